"""ISO 8583 messages to fields and back, compiled from the tables of ``iso8583_spec``.

There are two readers. The fast one follows a plan made once for each bitmap and gives up, without
saying why, at the first thing that is wrong. Only then does the careful one walk the message part
by part and name the element, the rule and the byte; the inspector shows what it finds. Tests hold
the two, and pyiso8583, against each other.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Final

from msgspec import Struct

from scheme.errors import MalformedMessage
from scheme.wire.iso8583_spec import (
    MANDATORY,
    MESSAGE_TYPES,
    PREFIX_DIGITS,
    SPECS,
    Element,
    Fields,
    IsoSpec,
)

PLANS_KEPT_MAX: Final = 512
"""Bitmaps, and sets of elements, whose plans one codec keeps."""

_DIGITS, _PACKED, _ALNUM, _TEXT, _HEX, _RAW = range(6)
_HEX_DIGITS: Final = "0123456789ABCDEF"
_BITMAP_CHARACTERS: Final = 16
_SECONDARY: Final = frozenset("89ABCDEF")
_TERTIARY_BIT: Final = 65

# One look-up both checks a length's digits and reads them; 0 stands for what is not a length.
_LENGTHS: Final = {
    f"{length:0{digits}d}": length for digits in (2, 3, 4) for length in range(10 ** min(digits, 3))
}

# Key, form, greatest length (or the fixed one), bytes of its prefix.
_Read = tuple[str, int, int, int]
# Key, form, least length, greatest length, prefixes by length.
_Write = tuple[str, int, int, int, Sequence[bytes]]


class IsoFault(MalformedMessage):
    """An ISO 8583 frame or message breaks a rule of its wire.

    Args:
        field: ``DE4``, ``MTI``, ``bitmap``, ``length``, ``TPDU`` or ``MAC``.
        rule: the rule that was broken, without the value received.
        at: offset of the byte where it shows; None if no bytes were read.
        raw: elements that could be read all the same, for an answer; ``t`` with them.
    """

    def __init__(
        self, field: str, rule: str, at: int | None = None, *, raw: Fields | None = None
    ) -> None:
        super().__init__(rule, field=field, name=(raw or {}).get("t"), raw=raw)
        self.at = at


class Part(Struct, frozen=True, kw_only=True, gc=False):
    """One stretch of a message, as the careful reader met it.

    Attributes:
        key: ``t``, ``p`` (bitmap), ``1`` (second bitmap), an element, or empty for what follows
            the last one.
        at: offset of its first byte.
        end: offset after its last byte, as far as there is one.
        value: its text; empty where it could not be read.
        rule: what is wrong with it; empty if nothing.
    """

    key: str
    at: int
    end: int
    value: str = ""
    rule: str = ""

    @property
    def field(self) -> str:
        """What a fault calls it."""
        return _FIELD_OF.get(self.key) or f"DE{self.key}"


_FIELD_OF: Final = {"t": "MTI", "p": "bitmap", "1": "bitmap", "": "length"}


class Codec:
    """Reads and writes the messages of one variant.

    Args:
        spec: the variant.
    """

    def __init__(self, spec: IsoSpec) -> None:
        self.spec = spec
        self.elements = {element.key: element for element in spec.elements}
        self._type_bytes = 4 if spec.digits == "ascii" else 2
        self._bitmap_bytes = 16 if spec.binary == "hex" else 8
        self._has_bytes = (spec.digits, spec.lengths, spec.binary) != ("ascii", "ascii", "hex")
        self._prefixes = {element.key: _prefixes(spec, element) for element in spec.elements}
        self._reads: Callable[[str], tuple[_Read, ...] | None]
        self._reads = lru_cache(PLANS_KEPT_MAX)(self._plan_to_read)
        self._writes: Callable[[tuple[str, ...]], tuple[bytes, tuple[_Write, ...]] | None]
        self._writes = lru_cache(PLANS_KEPT_MAX)(self._plan_to_write)

    def decode(self, body: bytes) -> Fields:
        """Return the fields of a message.

        Raises:
            IsoFault: it breaks a rule; the first one that the careful reader meets.
        """
        fields = self._read(body)
        if fields is None:
            raise self._fault_of(body)
        return fields

    def encode(self, fields: Fields) -> bytes:
        """Return a message's bytes.

        Raises:
            IsoFault: an element is unknown or does not fit its row of the table.
        """
        plan = self._writes(tuple(fields))
        if plan is None or fields["t"] not in MESSAGE_TYPES:
            raise self._refusal_of(fields)
        bitmap, steps = plan
        kind = fields["t"]
        parts = [kind.encode() if self._type_bytes == len(kind) else bytes.fromhex(kind), bitmap]
        try:
            for key, form, least, most, prefixes in steps:
                value = fields[key]
                length = len(value)
                if not least <= length <= most or not _holds(form, value):
                    raise self._refusal_of(fields)
                if prefixes:
                    parts.append(prefixes[length])
                if form is _PACKED:
                    parts.append(bytes.fromhex("0" + value if length & 1 else value))
                elif form is _RAW:
                    parts.append(bytes.fromhex(value))
                else:
                    parts.append(value.encode("ascii"))
        except ValueError as error:
            raise self._refusal_of(fields) from error
        return b"".join(parts)

