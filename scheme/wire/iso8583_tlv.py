"""Tagged values inside DE48 and DE62 (docs/wire/iso8583.md#private-data).

Two digits of tag, three digits of length, the value; then the next one. Tags may come in any order,
each once; a reader passes over those it does not know.
"""

from collections.abc import Mapping
from typing import Final
from unicodedata import normalize

from scheme.wire.iso8583_codec import IsoFault

VALUE_CHARACTERS_MAX: Final = 994
"""Longest value: the element itself holds 999 characters, five of them tag and length."""

_HEAD = 5
_TAG = 2
_UNREADABLE: Final = "?"

# A look-up both checks the digits and reads them; int() would take blanks, signs and underscores.
_TAGS: Final = frozenset(f"{tag:02}" for tag in range(100))
_LENGTHS: Final = {f"{length:03}": length for length in range(VALUE_CHARACTERS_MAX + 1)}
_WRITTEN: Final = tuple(_LENGTHS)


def decode_tlv(text: str, element: int | str) -> dict[str, str]:
    """Return the values by tag.

    Args:
        element: number of the data element, for faults.

    Raises:
        IsoFault: a tag or a length is not one, a value is cut short, or a tag comes twice; its
            field names element and tag: ``DE48.04``.
    """
    values: dict[str, str] = {}
    at, end = 0, len(text)
    while at < end:
        tag = text[at : at + _TAG]
        if tag not in _TAGS:
            raise IsoFault(f"DE{element}", f"a tag of two digits at character {at + 1}")
        length = _LENGTHS.get(text[at + _TAG : at + _HEAD])
        if length is None:
            raise IsoFault(f"DE{element}.{tag}", "a length of three digits")
        at += _HEAD
        value = text[at : at + length]
        if len(value) < length:
            rule = f"its length says {length}, {len(value)} characters are left"
            raise IsoFault(f"DE{element}.{tag}", rule)
        if tag in values:
            raise IsoFault(f"DE{element}.{tag}", "given once")
        values[tag] = value
        at += length
    return values


def encode_tlv(values: Mapping[str, str]) -> str:
    """Return the values as the text of one element, in the order given.

    Raises:
        IsoFault: a value is longer than any element.
    """
    parts: list[str] = []
    for tag, value in values.items():
        assert tag in _TAGS, "tags are ours"
        length = len(value)
        if length > VALUE_CHARACTERS_MAX:
            raise IsoFault(f"tag {tag}", f"at most {VALUE_CHARACTERS_MAX} characters")
        parts += (tag, _WRITTEN[length], value)
    return "".join(parts)


def printable(text: str) -> str:
    """Return a text as this lane can carry it: printable ASCII, accents left out.

    What has no such form becomes ``?``, so that a reader sees that something stood there.
    """
    if text.isascii() and text.isprintable():
        return text
    # Decomposed, an accent is a character of its own: "Ñ" becomes "N" and a tilde.
    plain = (one for one in normalize("NFKD", text) if not "\u0300" <= one <= "\u036f")
    return "".join(one if one.isascii() and one.isprintable() else _UNREADABLE for one in plain)
