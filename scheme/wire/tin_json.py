"""The TIN wire in JSON: messages to bytes and back (docs/wire/tin-messages.md).

Decoding is strict first, typed and in C; only what that refuses is read once more, leniently.
Encoding emits one variant, chosen by profile; the default one takes the fast path.
"""

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

import msgspec

from scheme.messages import AV3, CT3, Message
from scheme.messages.rules import CENTS, DIGITS, rules_of
from scheme.wire import tin_lenient
from scheme.wire.roots import MESSAGES, canonical_name, peek_name

__all__ = [
    "DEFAULT_VARIANT",
    "MESSAGES",
    "WireVariant",
    "canonical_name",
    "decode",
    "decode_any",
    "encode",
    "peek_name",
]

M = TypeVar("M", bound=Message)


class WireVariant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of speaking the wire among those that real connectors use.

    Attributes:
        absent: how a field without a value is sent.
        amounts: JSON numbers, or the same digits as text.
        sign_on: root keys of the session: SignOn1 and SignOff1, or SIGNON1 and SIGNOF1.
        status_enquiry: root keys of the enquiry.
        retrieval_reference: its name in AV3 and CT3; elsewhere it is always the official one.
        envelope: under a root key, or the bare fields.
        success_status: HTTP status of an answer.
        ct5_status: HTTP status of the empty answer to CT5.
    """

    absent: Literal["null", "empty", "omit"] = "null"
    amounts: Literal["number", "text"] = "number"
    sign_on: Literal["SignOn1", "SIGNON1"] = "SignOn1"
    status_enquiry: Literal["PSR1", "RCTC1"] = "PSR1"
    retrieval_reference: Literal["retrievalReferenteNumber", "retrievalReferenceNumber"] = (
        "retrievalReferenteNumber"
    )
    envelope: Literal["root", "flat"] = "root"
    success_status: Literal[200, 201] = 200
    ct5_status: Literal[200, 201, 204] = 200


DEFAULT_VARIANT: Final = WireVariant()
"""What the simulator emits unless a profile says otherwise."""

_SESSION_KEYS: Final = {
    "SignOn1": "SIGNON1",
    "SignOn2": "SIGNON2",
    "SignOff1": "SIGNOF1",
    "SignOff2": "SIGNOF2",
}
_ENQUIRY_KEYS: Final = {"PSR1": "RCTC1", "PSR2": "RCTC2"}


class _Strict(msgspec.Struct, frozen=True):
    """How one message is decoded without tolerance.

    Attributes:
        decode: typed decoder of the envelope.
        digits: gets every field that must be all digits.
    """

    decode: Callable[[bytes], Any]
    digits: Callable[[Message], tuple[str | None, ...]]


def _strict(message: type[Message]) -> _Strict:
    root = [("message", message, msgspec.field(name=message.__name__))]
    # A second root key is a matter for the lenient reader, which says so.
    envelope = msgspec.defstruct(
        f"{message.__name__}Envelope", root, forbid_unknown_fields=True, gc=False
    )
    digits = [rule.name for rule in rules_of(message) if rule.kind == DIGITS]
    assert len(digits) > 1, "attrgetter returns a tuple only for several names"
    return _Strict(msgspec.json.Decoder(envelope).decode, attrgetter(*digits))


_STRICT: Final[Mapping[type[Message], _Strict]] = MappingProxyType(
    {message: _strict(message) for message in MESSAGES.values()}
)
_PREFIX: Final[Mapping[type[Message], bytes]] = MappingProxyType(
    {message: f'{{"{name}":'.encode() for name, message in MESSAGES.items()}
)
_CENTS: Final[Mapping[type[Message], frozenset[str]]] = MappingProxyType(
    {
        message: frozenset(rule.name for rule in rules_of(message) if rule.kind == CENTS)
        for message in MESSAGES.values()
    }
)
# A text that ends in a blank, or is nothing else, is for the lenient reader to cut. To look for it
# in the bytes costs a tenth of looking at each field; a false alarm costs only time.
_ends_in_blank: Final = re.compile(rb' "[,}\s]').search
_ENCODE: Final = msgspec.json.Encoder().encode


def encode(message: Message, variant: WireVariant = DEFAULT_VARIANT) -> bytes:
    """Return a message as the bytes of its JSON document."""
    if variant is DEFAULT_VARIANT or variant == DEFAULT_VARIANT:
        return _PREFIX[type(message)] + _ENCODE(message) + b"}"
    content = _as_sent(message, variant)
    if variant.envelope == "flat":
        return _ENCODE(content)
    return _ENCODE({_root_key(type(message).__name__, variant): content})


def decode(body: bytes, expected: type[M]) -> M:
    """Return the message a body carries, which must be of the expected kind.

    Raises:
        MalformedMessage: it is not; names the first field and the rule it breaks.
    """
    strict = _STRICT[expected]
    try:
        message = strict.decode(body).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = None
    if message is None or _ends_in_blank(body) or not _holds(message, strict):
        message = tin_lenient.read(body, expected)
    assert isinstance(message, expected)
    return message


def decode_any(body: bytes) -> Message:
    """Return the message a body carries, whichever it is.

    Raises:
        MalformedMessage: as in ``decode``; an unknown root key is a fault of field ``root``.
    """
    name = peek_name(body)
    return tin_lenient.read(body, None) if name is None else decode(body, MESSAGES[name])


def _holds(message: Message, strict: _Strict) -> bool:
    # One test over all digit fields together; which of them is wrong is found only when one is.
    digits = "".join(filter(None, strict.digits(message)))
    return digits.isascii() and digits.isdigit() and message.fault() is None


def _as_sent(message: Message, variant: WireVariant) -> dict[str, Any]:
    cents = _CENTS[type(message)] if variant.amounts == "text" else frozenset()
    sent: dict[str, Any] = {}
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if value is None:
            if variant.absent == "omit":
                continue
            value = "" if variant.absent == "empty" else None
        elif name in cents:
            value = str(value)
        sent[_field_name(message, name, variant)] = value
    return sent


def _field_name(message: Message, name: str, variant: WireVariant) -> str:
    if name == tin_lenient.MISSPELT and isinstance(message, AV3 | CT3):
        return variant.retrieval_reference
    return name


def _root_key(name: str, variant: WireVariant) -> str:
    if variant.sign_on == "SIGNON1":
        name = _SESSION_KEYS.get(name, name)
    if variant.status_enquiry == "RCTC1":
        name = _ENQUIRY_KEYS.get(name, name)
    return name
