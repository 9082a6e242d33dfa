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
    at, end, count = 0, len(text), 0
    try:
        while at < end:
            start = at + _HEAD
            tag = text[at : at + _TAG]
            at = start + _LENGTHS[text[at + _TAG : start]]
            values[tag] = text[start:at]
            count += 1
    except KeyError:
        raise _fault_of(text, element) from None
    # Three looks at the end in place of three at each tag: every transfer pays for them.
    if at != end or len(values) != count or not values.keys() <= _TAGS:
        raise _fault_of(text, element)
    return values


def _fault_of(text: str, element: int | str) -> IsoFault:
    """Return the first thing that is wrong, which ``decode_tlv`` only knows to be there."""
    seen: set[str] = set()
    at = 0
    while True:
        tag = text[at : at + _TAG]
        if tag not in _TAGS:
            return IsoFault(f"DE{element}", f"a tag of two digits at character {at + 1}")
        length = _LENGTHS.get(text[at + _TAG : at + _HEAD])
        at += _HEAD
        if length is None:
            return IsoFault(f"DE{element}.{tag}", "a length of three digits")
        if len(text) < at + length:
            rule = f"its length says {length}, {len(text) - at} characters are left"
            return IsoFault(f"DE{element}.{tag}", rule)
        if tag in seen:
            return IsoFault(f"DE{element}.{tag}", "given once")
        seen.add(tag)
        at += length


def encode_tlv(values: Mapping[str, str]) -> str:
    """Return the values as the text of one element, in the order given.

    Raises:
        IsoFault: a value is longer than any element.
    """
    assert values.keys() <= _TAGS, "tags are ours"
    try:
        return "".join([f"{tag}{_WRITTEN[len(value)]}{value}" for tag, value in values.items()])
    except IndexError:
        tag = max(values, key=lambda one: len(values[one]))
        raise IsoFault(f"tag {tag}", f"at most {VALUE_CHARACTERS_MAX} characters") from None


def printable(text: str) -> str:
    """Return a text as this lane can carry it: printable ASCII, accents left out.

    What has no such form becomes ``?``, so that a reader sees that something stood there.
    """
    if text.isascii() and text.isprintable():
        return text
    # Decomposed, an accent is a character of its own: "Ñ" becomes "N" and a tilde.
    plain = (one for one in normalize("NFKD", text) if not "\u0300" <= one <= "\u036f")
    return "".join(one if one.isascii() and one.isprintable() else _UNREADABLE for one in plain)
