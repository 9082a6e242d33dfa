"""One ISO 8583 connection: bytes to frames and frames to bytes, bounded at every point.

The switch, the simulated institutions and the load generators share it. It knows framing and
nothing of what the messages say. Half a frame that does not get its other half, a peer that does
not read what it is sent, a header that announces what no frame may be: each cuts the link, with a
reason. A whole frame goes straight to the owner, in the call that brought its last byte.

What is written in one turn of the loop leaves in one system call, which costs more than all the
rest of a frame.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, cast

from scheme.errors import ConfigError
from scheme.limits import ISO_FRAME_BYTES_MAX, ISO_FRAME_S_MAX, ISO_SEND_BYTES_MAX
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_framing import Deframer, Framing

SLOW_READER: Final = "the peer does not read what it is sent"
SLOW_WRITER: Final = "half a frame, and the rest did not come in time"
TRUNCATED: Final = "the peer closed in the middle of a frame"
PEER_CLOSED: Final = "the peer closed"

_ZERO, _NINE = b"09"
_ASCII_DIGITS = range(_ZERO, _NINE + 1)
_PACKED_TYPES = range(0x0A)
_BINARY_HEADER_MAX: Final = ISO_FRAME_BYTES_MAX >> 8
_TPDU_BYTES: Final = 5
_BACKLOG: Final = 1024


def recognise(head: bytes) -> Framing | None:
    """Return how a peer frames, told by its first bytes; None if more of them are needed.

    No two framings share a first byte: a length in two bytes begins below ``11`` hex, one in four
    ASCII digits with ``30`` to ``39``. Behind it a message type begins with ``0``, as a character
    or as half a byte; anything else is the first of a TPDU's five bytes.

    Raises:
        IsoFault: no length of a frame begins like this.
    """
    if head[0] in _ASCII_DIGITS:
        header, size = "ascii-4", 4
    elif head[0] <= _BINARY_HEADER_MAX:
        header, size = "binary-2", 2
    else:
        rule = f"two bytes up to {ISO_FRAME_BYTES_MAX}, or four ASCII digits, begin a frame"
        raise IsoFault("length", rule, 0)
    # A length that no frame has is wrong at once: nothing more may ever come behind it.
    Deframer(Framing(header)).feed(head[:size])
    if len(head) <= size:
        return None
    if head[size] == _ZERO or head[size] in _PACKED_TYPES:
        return Framing(header)
    if len(head) < size + _TPDU_BYTES:
        return None
    return Framing(header, head[size : size + _TPDU_BYTES].hex().upper())


class LinkOwner(Protocol):
    """Whoever a link reports to; every call comes from the loop, none may block."""

    def opened(self, link: "Link") -> None:
        """A link is there."""

    def received(self, link: "Link", body: bytes) -> None:
        """A whole frame came; its header and TPDU are gone."""

    def broken(self, link: "Link", fault: IsoFault) -> None:
        """What came cannot be cut into frames any more: the link is cut after this call."""

    def ended(self, link: "Link", reason: str) -> None:
        """The link is gone, whoever ended it."""


class Link(asyncio.Protocol):
    """One connection.

    Args:
        framing: how the peer frames; None: told by its first bytes.
        frame_s_max: seconds from a frame's first byte to its last.
        send_bytes_max: bytes that the peer may leave unread here.
    """

    __slots__ = (
        "_deframer",
        "_head",
        "_is_held",
        "_out",
        "_owner",
        "_reason",
        "_rest",
        "_send_bytes_max",
        "_transport",
        "_waiting",
        "frame_s_max",
        "framing",
        "half_since",
        "is_open",
        "peer",
    )

    def __init__(
        self,
        owner: LinkOwner,
        framing: Framing | None = None,
        *,
        frame_s_max: float = ISO_FRAME_S_MAX,
        send_bytes_max: int = ISO_SEND_BYTES_MAX,
    ) -> None:
        self._owner = owner
        self._send_bytes_max = send_bytes_max
        self._transport: asyncio.Transport | None = None
        self._deframer: Deframer | None = None
        self._head = b""
        self._rest = 0
        self._is_held = False
        self._out: list[bytes] = []
        self._waiting: deque[bytes] = deque()
        self._reason = ""
        self.frame_s_max = frame_s_max
        self.framing = framing
        self.half_since = 0.0
        self.is_open = False
        self.peer = ""
        if framing is not None:
            self._frame_as(framing)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._send_bytes_max)
        own: socket.socket | None = transport.get_extra_info("socket")
        if own is not None:
            # The system's buffer grows to megabytes by itself: a thousand of them are too many.
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_bytes_max)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if name else ""
        self.is_open = True
        self._owner.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once."""
        self.is_open = False
        self._waiting.clear()
        if not self._reason:
            self._reason = TRUNCATED if self._rest else (str(exc) if exc else PEER_CLOSED)
        self._owner.ended(self, self._reason)

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames and hand them on."""
        deframer = self._deframer
        try:
            if deframer is None:
                data = self._head + data
                framing = recognise(data)
                if framing is None:
                    self._head, self._rest = data, len(data)
                    self._note_rest(started=False)
                    return
                self._head = b""
                deframer = self._frame_as(framing)
            frames = deframer.feed(data)
        except IsoFault as fault:
            self._owner.broken(self, fault)
            self.cut(str(fault))
            return
        self._rest = deframer.rest
        if self._rest or self.half_since:
            self._note_rest(started=bool(frames))
        self._hand_on(frames)

    def pause_writing(self) -> None:
        """Cut a peer that does not read: more of its answers are not kept."""
        self.is_open = False
        # Not from here: the transport is in the middle of its write.
        asyncio.get_running_loop().call_soon(self.cut, SLOW_READER)

    def send(self, body: bytes) -> bool:
        """Write one frame; return whether it was handed to the connection."""
        if not self.is_open:
            return False
        assert self.framing is not None
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(self.framing.wrap(body))
        return True

    def answer_as(self, framing: Framing) -> None:
        """Write frames with a TPDU of our own; a peer's own may be another."""
        assert self.framing is not None, "a frame has come"
        assert self.framing.header == framing.header
        assert bool(self.framing.tpdu) is bool(framing.tpdu)
        self.framing = framing

    def hold(self) -> None:
        """Read no more for now; what has come already waits."""
        if not self._is_held and self.is_open and self._transport is not None:
            self._is_held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Go on reading, after what waits."""
        if not self._is_held:
            return
        self._is_held = False
        while self._waiting and not self._is_held and self.is_open:
            self._owner.received(self, self._waiting.popleft())
        if not self._is_held and self.is_open and self._transport is not None:
            self._transport.resume_reading()

    def is_overdue(self, now: float) -> bool:
        """Tell whether the frame under way has taken too long, by the loop's time."""
        # A peer that is not read just now cannot be blamed.
        return bool(self.half_since) and not self._is_held and self._late(now)

    def close(self, reason: str) -> None:
        """End the link once what was written has left."""
        self._flush()
        self._end(reason)
        if self._transport is not None:
            self._transport.close()

    def cut(self, reason: str) -> None:
        """End the link on the spot."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self.is_open and self._transport is not None:
            self._transport.write(b"".join(out))

    def _end(self, reason: str) -> None:
        self.is_open = False
        self._reason = self._reason or reason

    def _frame_as(self, framing: Framing) -> Deframer:
        self.framing = framing
        self._deframer = Deframer(framing)
        return self._deframer

    def _note_rest(self, *, started: bool) -> None:
        """Remember since when a half frame waits: from its own first byte, not from the last."""
        if not self._rest:
            self.half_since = 0.0
        elif started or not self.half_since:
            self.half_since = asyncio.get_running_loop().time()

    def _late(self, now: float) -> bool:
        return now - self.half_since > self.frame_s_max

    def _hand_on(self, frames: Sequence[bytes]) -> None:
        for body in frames:
            if self._is_held or self._waiting:
                self._waiting.append(body)
            elif self.is_open:
                self._owner.received(self, body)


async def listen(owner: LinkOwner, host: str, port: int) -> asyncio.Server:
    """Take links on a port; 0 takes a free one.

    Raises:
        ConfigError: the address cannot be had.
    """
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: Link(owner), host, port, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        cause = f"{error.strerror if isinstance(error, OSError) else error}"
        raise ConfigError(f"{host}:{port}: {cause}: set another host or iso8583_port") from error
