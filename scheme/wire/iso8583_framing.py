"""Frames of ISO 8583 on a stream: length header, TPDU, message (docs/wire/iso8583.md#framing)."""

from typing import Final

from scheme.limits import ISO_FRAME_BYTES_MAX
from scheme.wire.iso8583_codec import IsoFault

BINARY_2: Final = "binary-2"
ASCII_4: Final = "ascii-4"
TPDU_BYTES: Final = 5


class Framing:
    """How one end writes frames. The length counts TPDU and message, not itself.

    Args:
        header: ``binary-2``, big-endian, or ``ascii-4``, decimal digits.
        tpdu: ten hex digits that stand before every message, or empty. Of a peer's frames only
            its presence counts: it routes inside their own network.
    """

    __slots__ = ("header", "header_bytes", "tpdu", "tpdu_raw")

    def __init__(self, header: str = BINARY_2, tpdu: str = "") -> None:
        assert header in (BINARY_2, ASCII_4)
        self.header = header
        self.header_bytes = 2 if header == BINARY_2 else 4
        self.tpdu = tpdu
        self.tpdu_raw = bytes.fromhex(tpdu)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Framing) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    @property
    def _content(self) -> tuple[str, str]:
        return self.header, self.tpdu

    def wrap(self, body: bytes) -> bytes:
        """Return a message as a frame.

        Raises:
            IsoFault: it is longer than ``ISO_FRAME_BYTES_MAX``.
        """
        length = len(self.tpdu_raw) + len(body)
        if length > ISO_FRAME_BYTES_MAX:
            raise IsoFault("length", f"at most {ISO_FRAME_BYTES_MAX} bytes")
        if self.header == BINARY_2:
            return length.to_bytes(2, "big") + self.tpdu_raw + body
        return b"%04d%b%b" % (length, self.tpdu_raw, body)


class Deframer:
    """Cuts what arrives into messages; keeps the beginning of one that is not whole."""

    __slots__ = ("_framing", "_least", "_rest")

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._least = len(framing.tpdu_raw) + 1
        self._rest = b""

    @property
    def rest(self) -> int:
        """How many bytes of an unfinished frame are kept."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole now, without header and TPDU.

        Raises:
            IsoFault: a header is no length of a frame; nothing after it can be told apart.
        """
        rest = self._rest
        if rest:
            data = rest + data
        size = self._framing.header_bytes
        skip = self._least - 1
        frames: list[bytes] = []
        at = 0
        while len(data) - at >= size:
            length = self._length(data, at)
            end = at + size + length
            if len(data) < end:
                break
            frames.append(data[at + size + skip : end])
            at = end
        self._rest = data[at:] if at else data
        return frames

    def _length(self, data: bytes, at: int) -> int:
        if self._framing.header == BINARY_2:
            length = data[at] << 8 | data[at + 1]
        else:
            digits = data[at : at + 4]
            if not digits.isdigit():
                raise IsoFault("length", "four ASCII digits", at)
            length = int(digits)
        if not self._least <= length <= ISO_FRAME_BYTES_MAX:
            rule = f"from {self._least} to {ISO_FRAME_BYTES_MAX} bytes, the header not counted"
            raise IsoFault("length", rule, at)
        return length
