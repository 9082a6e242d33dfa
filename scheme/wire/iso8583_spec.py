"""What our ISO 8583:1987 messages are made of, as data (docs/wire/iso8583.md).

No profile of a Peruvian network is public, so this one is ours. The codec, the inspector and
the specifications in the form of pyiso8583 all come from these tables: a further variant is one
more row in ``SPECS``, a further element one more row in ``ELEMENTS``.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

Fields = dict[str, str]
"""A message: ``t`` for its type, ``2`` to ``128`` for its elements, every value as text.

Binary elements are upper-case hex digits. The bitmaps are not in it: they follow from the rest.
"""
Kind = Literal["n", "an", "ans", "b"]
Prefix = Literal["fixed", "LL", "LLL"]
PREFIX_DIGITS: Final[Mapping[Prefix, int]] = {"fixed": 0, "LL": 2, "LLL": 3}


class Element(Struct, frozen=True, gc=False):
    """One data element.

    Attributes:
        number: its bit in the bitmaps.
        name: what the standard calls it, in our words.
        kind: ``n`` digits, ``an`` letters and digits, ``ans`` printable ASCII, ``b`` bytes.
        length: characters, digits or bytes; of a variable element at most, and at least 1.
        prefix: digits of the length written before it.
    """

    number: int
    name: str
    kind: Kind
    length: int
    prefix: Prefix = "fixed"

    @property
    def key(self) -> str:
        """Its key in ``Fields``."""
        return str(self.number)

    @property
    def label(self) -> str:
        """What faults and people call it: ``DE4``."""
        return f"DE{self.number}"


ELEMENTS: Final = (
    Element(2, "Primary account number", "n", 19, "LL"),
    Element(3, "Processing code", "n", 6),
    Element(4, "Amount, transaction", "n", 12),
    Element(7, "Transmission date and time", "n", 10),
    Element(11, "System trace audit number", "n", 6),
    Element(12, "Time, local transaction", "n", 6),
    Element(13, "Date, local transaction", "n", 4),
    Element(15, "Date, settlement", "n", 4),
    Element(18, "Merchant type", "n", 4),
    Element(22, "Point of service entry mode", "n", 3),
    Element(25, "Point of service condition code", "n", 2),
    Element(32, "Acquiring institution", "n", 11, "LL"),
    Element(33, "Forwarding institution", "n", 11, "LL"),
    Element(37, "Retrieval reference number", "an", 12),
    Element(38, "Authorization identification response", "an", 6),
    Element(39, "Response code", "an", 2),
    Element(41, "Card acceptor terminal", "ans", 8),
    Element(42, "Card acceptor identification", "ans", 15),
    Element(43, "Card acceptor name and location", "ans", 40),
    Element(48, "Additional data, parties", "ans", 999, "LLL"),
    Element(49, "Currency code, transaction", "n", 3),
    Element(52, "Personal identification number data", "b", 8),
    Element(53, "Security related control information", "n", 16),
    Element(54, "Additional amounts", "an", 120, "LLL"),
    Element(62, "Private data, routing and result", "ans", 999, "LLL"),
    Element(64, "Message authentication code", "b", 8),
    Element(70, "Network management information code", "n", 3),
    Element(90, "Original data elements", "n", 42),
    Element(95, "Replacement amounts", "an", 42),
    Element(102, "Account identification 1, debtor", "ans", 28, "LL"),
    Element(103, "Account identification 2, creditor", "ans", 28, "LL"),
    Element(128, "Message authentication code, extended", "b", 8),
)


class IsoSpec(Struct, frozen=True, kw_only=True):
    """One variant: which elements there are, and how they are written.

    Attributes:
        digits: the message type and elements of kind ``n``: one ASCII character a digit, or two
            digits a byte with a ``0`` before an odd number of them.
        lengths: digits of the length prefixes, likewise.
        binary: bitmaps and elements of kind ``b``: upper-case hex text, or the bytes.
    """

    name: str
    digits: Literal["ascii", "bcd"]
    lengths: Literal["ascii", "bcd"]
    binary: Literal["hex", "raw"]
    elements: tuple[Element, ...] = ELEMENTS

    def prefix_bytes(self, element: Element) -> int:
        """Return how many bytes its length prefix takes; 0 if its length is fixed."""
        digits = PREFIX_DIGITS[element.prefix]
        return digits if self.lengths == "ascii" else (digits + 1) // 2


SPECS: Final[Mapping[str, IsoSpec]] = {
    spec.name: spec
    for spec in (
        IsoSpec(name="ascii-1987", digits="ascii", lengths="ascii", binary="hex"),
        IsoSpec(name="packed-1987", digits="bcd", lengths="bcd", binary="raw"),
    )
}
"""The variants by name, as ``fleet.toml`` has them."""

MESSAGE_TYPES: Final[Mapping[str, str]] = {
    "0200": "financial request",
    "0201": "financial request, repeated",
    "0210": "financial answer",
    "0420": "reversal",
    "0421": "reversal, repeated",
    "0430": "reversal answer",
    "0800": "network request",
    "0810": "network answer",
}
TRANSACTIONS: Final[Mapping[str, str]] = {
    "01": "cash withdrawal",
    "21": "cash deposit",
    "31": "balance",
    "33": "account verification",
    "38": "mini-statement",
    "40": "transfer",
}
"""What is asked for, by the first two digits of DE3."""
NETWORK_FUNCTIONS: Final[Mapping[str, str]] = {
    "001": "sign-on",
    "002": "sign-off",
    "101": "key change",
    "301": "echo",
    "701": "notice",
}
"""What a network message is about, by DE70."""


class Mandatory(Struct, frozen=True, gc=False):
    """What a message must have.

    Attributes:
        all_of: elements.
        one_of: elements at least one of which; empty for none.
    """

    all_of: tuple[str, ...]
    one_of: tuple[str, ...] = ()


_MATCHED: Final = ("3", "11", "32", "37")
_ASKED: Final = ("3", "7", "11", "12", "13", "32", "37")
_MONEY: Final = ("4", "41", "49")
_REQUESTS: Final[Mapping[str, Mandatory]] = {
    "01": Mandatory((*_ASKED, *_MONEY), ("2", "48", "102")),
    "21": Mandatory((*_ASKED, *_MONEY), ("48", "103")),
    "31": Mandatory((*_ASKED, "49"), ("2", "48", "102")),
    "33": Mandatory(_ASKED, ("48", "103")),
    "38": Mandatory((*_ASKED, "49"), ("2", "48", "102")),
    "40": Mandatory((*_ASKED, *_MONEY, "102"), ("48", "103")),
}
_ANSWER: Final = Mandatory((*_MATCHED, "39"))
_REVERSAL: Final = Mandatory((*_MATCHED, "4", "7", "13", "49", "90"))
_NETWORK: Final = ("7", "11", "70")
_NETWORK_REQUESTS: Final[Mapping[str, Mandatory]] = {
    "001": Mandatory((*_NETWORK, "32")),
    "002": Mandatory((*_NETWORK, "32")),
    "101": Mandatory((*_NETWORK, "32")),
    "301": Mandatory(_NETWORK),
    "701": Mandatory((*_NETWORK, "62")),
}
MANDATORY: Final[Mapping[str, Mapping[str, Mandatory]]] = {
    "0200": _REQUESTS,
    "0201": _REQUESTS,
    "0210": dict.fromkeys(TRANSACTIONS, _ANSWER),
    "0420": dict.fromkeys(TRANSACTIONS, _REVERSAL),
    "0421": dict.fromkeys(TRANSACTIONS, _REVERSAL),
    "0430": dict.fromkeys(TRANSACTIONS, _ANSWER),
    "0800": _NETWORK_REQUESTS,
    "0810": dict.fromkeys(NETWORK_FUNCTIONS, Mandatory((*_NETWORK, "39"))),
}
"""By message type, and then by the first digits of DE3, or by DE70 of a network message."""


def pyiso8583_spec(name: str) -> dict[str, dict[str, Any]]:
    """Return a variant in the form that pyiso8583 reads.

    Raises:
        KeyError: there is no such variant.
    """
    spec = SPECS[name]
    bitmap = _hex_form(spec, 8)
    packed = spec.digits == "bcd"
    form: dict[str, dict[str, Any]] = {
        "h": _form("ascii", 0, "Header, not used"),
        "t": _form("b" if packed else "ascii", 2 if packed else 4, "Message type"),
        "p": {**bitmap, "desc": "Bitmap, primary"},
        "1": {**bitmap, "desc": "Bitmap, secondary"},
    }
    for element in spec.elements:
        form[element.key] = {
            **_element_form(spec, element),
            "len_enc": spec.lengths,
            "len_type": spec.prefix_bytes(element),
            "desc": element.name,
        }
    return form


def _element_form(spec: IsoSpec, element: Element) -> dict[str, Any]:
    if element.kind == "b":
        return _hex_form(spec, element.length)
    if element.kind == "n" and spec.digits == "bcd":
        return {**_form("b", element.length), "len_count": "nibbles", "left_pad": "0"}
    return _form("ascii", element.length)


def _hex_form(spec: IsoSpec, length: int) -> dict[str, Any]:
    return _form("b", length) if spec.binary == "raw" else _form("ascii", 2 * length)


def _form(encoding: str, length: int, name: str = "") -> dict[str, Any]:
    return {
        "data_enc": encoding,
        "len_enc": "ascii",
        "len_type": 0,
        "max_len": length,
        "desc": name,
    }
