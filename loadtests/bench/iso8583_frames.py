"""The least of ISO 8583 that a load needs: requests from a template, answers by copying.

A generator must cost little beside what it measures, so these functions know one variant
(``ascii-1987`` in frames with two bytes of length) and check only what the load itself asks for.
What they write is held against the codec in tests.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from scheme.wire.iso8583_spec import ELEMENTS, PREFIX_DIGITS, Fields

HEADER_BYTES: Final = 2
MAC_DIGITS: Final = 16
STAN_AT: Final = HEADER_BYTES + 4 + 32 + 6 + 12 + 10
"""Where DE11 begins in a frame of ours, asked or answered: after type, bitmaps, DE3, 4 and 7."""
STAN_DIGITS: Final = 6
APPROVED: Final = b"00"

_TYPE_BYTES, _BITMAP_DIGITS = 4, 16
_TWO_BITMAPS = frozenset(b"89ABCDEF")
# Length in characters, or minus the digits of a variable element's length.
_LENGTHS: Final = {
    one.number: -PREFIX_DIGITS[one.prefix] or (2 * one.length if one.kind == "b" else one.length)
    for one in ELEMENTS
}
_ECHOED: Final = frozenset((3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 70, 102, 103))
_ANSWER_TYPES: Final = {
    b"0200": b"0210", b"0201": b"0210", b"0420": b"0430", b"0421": b"0430", b"0800": b"0810",
}  # fmt: skip
_APPROVAL: Final = b"BENCH1"
_VERIFICATION: Final = b"33"


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole frames of a stream, headers included, and the bytes that are left."""
    frames = []
    at, size = 0, len(buffer)
    while size - at >= HEADER_BYTES:
        end = at + HEADER_BYTES + (buffer[at] << 8 | buffer[at + 1])
        if end > size:
            break
        frames.append(buffer[at:end])
        at = end
    return frames, buffer[at:] if at else buffer


def framed(body: bytes) -> bytes:
    """Return a message with its length before it."""
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def elements(body: bytes) -> dict[int, bytes]:
    """Return the elements of a message as they are written, lengths included."""
    at = _TYPE_BYTES + _BITMAP_DIGITS
    if body[_TYPE_BYTES] in _TWO_BITMAPS:
        at += _BITMAP_DIGITS
    found = {}
    for number, length in _plan(body[_TYPE_BYTES:at]):
        end = at + length if length > 0 else at - length + int(body[at : at - length])
        found[number] = body[at:end]
        at = end
    return found


@lru_cache(maxsize=64)
def _plan(bitmap: bytes) -> tuple[tuple[int, int], ...]:
    bits = f"{int(bitmap, 16):0{len(bitmap) * 4}b}"
    return tuple((n, _LENGTHS[n]) for n, bit in enumerate(bits, 1) if bit == "1" and n > 1)


@lru_cache(maxsize=64)
def bitmap_of(numbers: frozenset[int]) -> bytes:
    """Return the bitmap, or both, of a message with these elements."""
    bits = 128 if max(numbers) > 64 else 64
    marks = numbers | {1} if bits == 128 else numbers
    return b"%0*X" % (bits // 4, sum(1 << (bits - number) for number in marks))


def mac_element(numbers: frozenset[int]) -> int:
    """Return which element bears the MAC of a message with these."""
    return 128 if max(numbers) > 64 else 64


def answer_to(request: bytes, holder: Mapping[int, bytes], *, sealed: bool) -> bytes:
    """Return the body of an approving answer, all but its MAC.

    Args:
        request: body of a request.
        holder: what the answer to a verification has besides, as it is written, by number.
        sealed: a MAC will follow; the bitmap says so.
    """
    asked = elements(request)
    said = {number: raw for number, raw in asked.items() if number in _ECHOED}
    said[39] = APPROVED
    kind = _ANSWER_TYPES[request[:_TYPE_BYTES]]
    if kind == b"0210":
        said[38] = _APPROVAL
        if asked[3].startswith(_VERIFICATION):
            said |= holder
    numbers = frozenset(said)
    if sealed:
        numbers |= {mac_element(numbers)}
    texts = [said[number] for number in sorted(said)]
    return b"".join((kind, bitmap_of(numbers), *texts))


class Template:
    """A financial request of which only a few elements change.

    Args:
        fields: the request with any values in the elements that change, without a MAC.
        sealed: a MAC will follow.
    """

    _CHANGING = (4, 7, 11, 12, 13, 37, 103)

    def __init__(self, fields: Fields, *, sealed: bool) -> None:
        raw = {int(key): _written(int(key), text) for key, text in fields.items() if key != "t"}
        numbers = frozenset(raw)
        if sealed:
            numbers |= {mac_element(numbers)}
        form = fields["t"].encode() + bitmap_of(numbers)
        for number in sorted(raw):
            form += b"%b" if number in self._CHANGING else raw[number].replace(b"%", b"%%")
        self._form = form

    def fill(
        self, cents: bytes, sent: bytes, stan: bytes, local: tuple[bytes, bytes], rrn: bytes,
        account: bytes,
    ) -> bytes:  # fmt: skip
        """Return a body, all but its MAC.

        Args:
            cents: DE4, twelve digits; sent: DE7; local: DE12 and DE13.
            account: DE103, its length included.
        """
        return self._form % (cents, sent, stan, *local, rrn, account)


def _written(number: int, text: str) -> bytes:
    length = _LENGTHS[number]
    return (f"{len(text):0{-length}d}" if length < 0 else "").encode() + text.encode()
