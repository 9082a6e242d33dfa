"""The second look at a body that the strict decoder refused.

It normalises what real connectors do differently (docs/wire/tin-messages.md#variants) into the
same Structs, and where that is not enough it names the first field and the rule it breaks. It
never repeats a value received: what it says may reach a header or a log.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

import msgspec

from scheme.errors import MalformedMessage
from scheme.limits import BODY_BYTES_MAX
from scheme.messages import AV3, AV4, CT3, CT4, CTC2, ET2, PSR2, Message, SignOff2, SignOn2
from scheme.messages.fields import Fault
from scheme.messages.rules import CENTS, FieldRule, rules_of
from scheme.wire.roots import MESSAGES, canonical_name
from scheme.wire.soap_text import NotWrapped, unwrap

MISSPELT: Final = "retrievalReferenteNumber"
"""The official name of the retrieval reference."""
CORRECTED: Final = "retrievalReferenceNumber"
"""The name some connectors corrected it to."""

_ROOT: Final = "root"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_WHOLE: Final = re.compile(r"-?[0-9]{1,32}")
_INTEGER_DIGITS_MAX: Final = 18
_UNSOUND: Final = object()  # A value that cannot become what its field needs.

# Receivers spoil what they echo; refusing their answer for that would turn a lawful answer into
# silence. So in these the echoes that break a rule are dropped, and only what decides must hold.
_ANSWERS: Final = frozenset({AV3, AV4, CT3, CT4, CTC2, PSR2, ET2, SignOn2, SignOff2})

_RULES: Final[Mapping[type[Message], tuple[FieldRule, ...]]] = MappingProxyType(
    {message: rules_of(message) for message in MESSAGES.values()}
)


def read(body: bytes, expected: type[Message] | None) -> Message:
    """Return the message of a body, read as leniently as is safe.

    Args:
        body: the JSON, or an XML document that holds it.
        expected: the message it should be; without it a flat body cannot be told.

    Raises:
        MalformedMessage: it is not JSON, not that message, or a field breaks its rule.
    """
    message, content = _opened(_document(body), expected)
    raw, faults = _normalised(message, content)
    hard = next((fault for fault in faults.values() if not _is_dropped(message, fault)), None)
    if hard is None:
        read_message = message(**raw)
        broken = read_message.fault()
        if broken is None:
            return read_message
        # The fault of a dropped value explains better than its absence does.
        hard = faults.get(broken.field, broken)
    raise MalformedMessage(
        hard.rule, field=hard.field, reason=hard.reason, name=message.__name__, raw=raw
    )


def _document(body: bytes) -> dict[str, Any]:
    text = body.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if text.startswith(b"<"):
        text = _unwrapped(text)
    try:
        document = msgspec.json.Decoder(float_hook=_decimal).decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage("JSON", field=_ROOT) from error
    if not isinstance(document, dict):
        raise MalformedMessage("one JSON object", field=_ROOT)
    return document


def _unwrapped(text: bytes) -> bytes:
    if len(text) > BODY_BYTES_MAX:
        raise MalformedMessage(f"at most {BODY_BYTES_MAX} bytes", field=_ROOT)
    try:
        return unwrap(text)
    except NotWrapped as error:
        raise MalformedMessage("JSON", field=_ROOT) from error


def _opened(
    document: dict[str, Any], expected: type[Message] | None
) -> tuple[type[Message], dict[str, Any]]:
    name = canonical_name(next(iter(document))) if len(document) == 1 else None
    if name is None:
        if expected is None or not _is_flat(document, expected):
            raise MalformedMessage("one known root key", field=_ROOT)
        return expected, document
    message = MESSAGES[name]
    if expected is not None and message is not expected:
        raise MalformedMessage(f"{expected.__name__} expected here", field=_ROOT, name=name)
    content = next(iter(document.values()))
    if not isinstance(content, dict):
        raise MalformedMessage("one JSON object under the root key", field=_ROOT, name=name)
    return message, content


def _is_flat(document: dict[str, Any], expected: type[Message]) -> bool:
    return not document.keys().isdisjoint(expected.__struct_fields__)


def _normalised(
    message: type[Message], content: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Fault]]:
    """Return the fields that hold, with None for the others, and the faults by field."""
    raw: dict[str, Any] = {}
    faults: dict[str, Fault] = {}
    for rule in _RULES[message]:
        value = _value(rule, content)
        fault = rule.fault(value)
        if fault is not None:
            faults[rule.name] = fault
            value = None
        elif value is None and rule.may_be_empty:
            value = ""
        raw[rule.name] = value
    return raw, faults


def _is_dropped(message: type[Message], fault: Fault) -> bool:
    if message not in _ANSWERS:
        return False
    return next(rule.may_be_none for rule in _RULES[message] if rule.name == fault.field)


def _value(rule: FieldRule, content: dict[str, Any]) -> object:
    value = _trimmed(content.get(rule.name))
    if value is None and rule.name == MISSPELT:
        value = _trimmed(content.get(CORRECTED))
    return _cents(value) if rule.kind == CENTS else value


def _trimmed(value: object) -> object:
    if isinstance(value, str):
        return value.rstrip() or None
    return value


def _cents(value: object) -> object:
    """Return a whole number of cents, however it was written."""
    if isinstance(value, str):
        # No decimal point in a text: "125.00" would be soles to whoever wrote it.
        return int(value) if _WHOLE.fullmatch(value) else _UNSOUND
    if isinstance(value, Decimal):
        return _whole(value)
    return value


def _whole(value: Decimal) -> object:
    # The size is looked at first: a short exponent can stand for a number of any length.
    if not value.is_finite() or value.adjusted() > _INTEGER_DIGITS_MAX:
        return _UNSOUND
    whole = int(value)
    return whole if value == whole else _UNSOUND


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # An exponent beyond what any number has.
        return Decimal("NaN")
