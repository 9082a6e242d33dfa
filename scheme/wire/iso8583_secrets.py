"""What of an ISO 8583 message may be kept: its bytes, without PINs, cards, codes and keys."""

from functools import lru_cache
from typing import Final

from scheme.wire.iso8583_codec import Codec, IsoFault
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv

CARD: Final = "2"
PIN_BLOCK: Final = "52"
PARTIES: Final = "48"
SECRET_TAGS: Final = frozenset({"30", "40"})
"""Of DE48: a one-time code, and the cryptogram of a key."""
BLANK: Final = "0"
_TAG: Final = 2
_HEAD: Final = 5
_STEPS_KEPT: Final = 4096
_CARD_HEAD: Final = 6
_CARD_TAIL: Final = 4
_CARD_MIN: Final = 13
"""Digits of the shortest card number of which a part may be kept."""


def for_log(codec: Codec, fields: Fields, body: bytes) -> bytes:
    """Return a message's bytes as they may be kept.

    They are the exact bytes, but for a PIN block, a one-time code or a key, and the middle of a
    card's number: there each character is a zero, so that lengths, and every other byte, stay what
    they were.

    Args:
        fields: what ``body`` was read from, or written to.
    """
    blanks = _blanks(fields)
    if not blanks:
        return body
    # The MAC stays as it was: it no longer fits, and shows that something is missing.
    return codec.encode({**fields, **blanks})


def for_log_refused(codec: Codec, body: bytes) -> bytes:
    """Return what may be kept of a message that could not be taken.

    What cannot be read may hold anything: from the first wrong element on only its length is kept.
    """
    try:
        return for_log(codec, codec.decode(body), body)
    except IsoFault:
        parts = codec.walk(body)
    kept = bytearray(BLANK.encode() * len(body))
    for part in parts:
        if part.rule:
            break
        if not _blanks({part.key: part.value}):
            kept[part.at : part.end] = body[part.at : part.end]
    return bytes(kept)


def _blanks(fields: Fields) -> Fields:
    blanks: Fields = {}
    card = fields.get(CARD)
    if card is not None:
        blanks[CARD] = _hidden(card)
    pin = fields.get(PIN_BLOCK)
    if pin is not None:
        blanks[PIN_BLOCK] = BLANK * len(pin)
    parties = fields.get(PARTIES)
    # Looked at first: nearly every message has neither, and this is in its way.
    if parties is not None and _may_have_secrets(parties):
        shown = _without_secrets(parties)
        if shown != parties:
            blanks[PARTIES] = shown
    return blanks


def _hidden(card: str) -> str:
    """Return a card's number with its middle in zeros: it has to stay digits."""
    if len(card) < _CARD_MIN:
        return BLANK * len(card)
    middle = len(card) - _CARD_HEAD - _CARD_TAIL
    return card[:_CARD_HEAD] + BLANK * middle + card[-_CARD_TAIL:]


def _may_have_secrets(parties: str) -> bool:
    """Step from tag to tag without reading values; what cannot be told apart may have some."""
    at, end = 0, len(parties)
    while at < end:
        step = _step(parties[at : at + _HEAD])
        if not step:
            return True
        at += step
    return at != end


@lru_cache(maxsize=_STEPS_KEPT)
def _step(head: str) -> int:
    """Return how far it is from a tag to the next, or 0 if it is secret, or none can be told.

    Remembered, as the same few tags and lengths come with every message.
    """
    digits = head[_TAG:]
    if head[:_TAG] in SECRET_TAGS or not digits.isdigit():
        return 0
    return _HEAD + int(digits)


def _without_secrets(parties: str) -> str:
    try:
        tags = decode_tlv(parties, PARTIES)
    except IsoFault:
        # It cannot be told apart: none of it is kept.
        return BLANK * len(parties)
    return encode_tlv(
        {tag: BLANK * len(value) if tag in SECRET_TAGS else value for tag, value in tags.items()}
    )
