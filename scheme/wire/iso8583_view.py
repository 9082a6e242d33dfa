"""An ISO 8583 message as people may see it: its elements by number, masked, tags apart.

The same masks serve the operator's lists and the inspector. A name that no rule is known for is
treated as free text: it loses every long number.
"""

from collections.abc import Mapping
from typing import Any, Final

from scheme.masking import (
    mask_card,
    mask_cci,
    mask_document,
    mask_name,
    mask_phone,
    mask_text,
    mask_token,
)
from scheme.wire.iso8583_codec import Codec, IsoFault, Part, codec
from scheme.wire.iso8583_spec import SPECS, Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv

HIDDEN: Final = "****"
BLANK: Final = "0"
"""What stands for each hidden character of a frame: any kind of element may hold it."""
TAGGED: Final = frozenset({"48", "62"})
"""Elements that hold tagged values."""
SECRET: Final = frozenset({"52", "48.30", "48.40"})
"""What is never shown, not even in part."""
_NAMES: Final = frozenset({"48.04", "48.08"})
_DOCUMENTS: Final = frozenset({"48.06", "48.16"})
_PHONES: Final = frozenset({"48.07", "48.31"})
_ACCOUNTS: Final = frozenset({"102", "103"})
_ALIAS: Final = "48.03"
_CARD: Final = "2"
_PLAIN_TAGS: Final = frozenset({"01", "02", "05", "09", "10", "11", "12", "13", "15", "41"})
_PLAIN_ROUTING_TAGS: Final = frozenset({"01", "02", "03", "05", "06", "07"})
_FREE_TEXT: Final = frozenset({"41", "42", "43", "54"})
_CCI_DIGITS: Final = 20


def masked_value(key: str, value: str) -> str:
    """Return a value as people may see it.

    Args:
        key: an element's number, or ``48.04`` for a tag inside one.
    """
    if key in SECRET:
        return HIDDEN
    if key == _CARD:
        return mask_card(value)
    if key in _ACCOUNTS:
        account = value.strip()
        return mask_cci(account) if len(account) == _CCI_DIGITS else mask_token(account)
    if key in _NAMES:
        return mask_name(value)
    if key in _DOCUMENTS:
        return mask_document(value)
    if key in _PHONES:
        return mask_phone(value)
    if key == _ALIAS:
        return mask_phone(value) if value.isdigit() else mask_token(value)
    return mask_text(value) if _is_free_text(key) else value


def _is_free_text(key: str) -> bool:
    element, _, tag = key.partition(".")
    if element in TAGGED:
        return tag not in (_PLAIN_TAGS if element == "48" else _PLAIN_ROUTING_TAGS)
    return element in _FREE_TEXT


def masked_fields(fields: Fields) -> dict[str, Any]:
    """Return a message's elements masked; tagged ones as a mapping of their tags."""
    return {
        key: _tags(key, value) if key in TAGGED else masked_value(key, value)
        for key, value in fields.items()
    }


def _tags(key: str, text: str) -> Mapping[str, str] | str:
    try:
        tags = decode_tlv(text, key)
    except IsoFault:
        return HIDDEN  # It cannot be told apart, so nobody knows what stands where.
    return {tag: masked_value(f"{key}.{tag}", value) for tag, value in tags.items()}


def masked_message(body: bytes) -> dict[str, Any] | None:
    """Return the masked elements of a message of any variant, as far as it can be read.

    Returns:
        None if its type cannot be read in any; nothing of it may be shown then.
    """
    told = _walked(body)
    if told is None:
        return None
    read: Fields = {}
    for part in told[1]:
        if part.rule:
            break  # What stands behind it may be shifted: a name in the place of a terminal.
        if part.key not in {"p", "1"}:
            read[part.key] = part.value
    return masked_fields(read)


def masked_frame(body: bytes) -> bytes:
    """Return a message's bytes with a zero for every character of what is masked elsewhere.

    Lengths stay, so it is read as before; from the first wrong element on, where a name may stand
    in the place of a terminal, all is zeros, and so it is if no variant has its type.
    """
    shown = bytearray(BLANK.encode() * len(body))
    spoken, parts = _walked(body) or (None, [])
    for part in parts:
        if part.rule:
            break
        shown[part.at : part.end] = body[part.at : part.end]
        blank = _blank(part)
        if spoken is not None and blank != part.value:
            raw = _written(spoken, part.key, blank)
            shown[part.end - len(raw) : part.end] = raw
    return bytes(shown)


def _walked(body: bytes) -> tuple[Codec, list[Part]] | None:
    """Return the parts of a message and whose they are; None if no variant has its type."""
    # Variants do not overlap: a digit in ASCII and two of them in a byte begin differently.
    for name in SPECS:
        parts = codec(name).walk(body)
        if parts and not parts[0].rule:
            return codec(name), parts
    return None


def _blank(part: Part) -> str:
    """Return the text of a part, as long as it was, with zeros for what is hidden."""
    if not part.key.isdigit():
        return part.value
    if part.key not in TAGGED:
        return _zeros_unless_shown(part.key, part.value)
    try:
        tags = decode_tlv(part.value, part.key)
    except IsoFault:
        return BLANK * len(part.value)
    return encode_tlv(
        {tag: _zeros_unless_shown(f"{part.key}.{tag}", value) for tag, value in tags.items()}
    )


def _zeros_unless_shown(key: str, value: str) -> str:
    return value if masked_value(key, value) == value else BLANK * len(value)


def _written(spoken: Codec, key: str, text: str) -> bytes:
    """Return the bytes of an element's text, without the length before it."""
    kind = spoken.elements[int(key)].kind
    if (kind == "n" and spoken.spec.digits == "bcd") or (
        kind == "b" and spoken.spec.binary == "raw"
    ):
        return bytes.fromhex(text.zfill(len(text) + len(text) % 2))
    return text.encode("ascii")
