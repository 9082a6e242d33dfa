"""The least HTTP/1.1 that a load generator and a stub need, on asyncio's protocols.

A generator must cost little beside what it measures, and aiohttp's client costs as much as a whole
transfer. So this one knows only what our own servers send: one answer to one request on a kept
connection, its length announced. It is no client for strangers.
"""

import asyncio
from collections.abc import Callable
from typing import cast

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


class BrokenLink(Exception):
    """The connection ended, or what came is no answer: the request may have been seen."""


class _Reader:
    """Cuts a stream of messages with announced lengths into head and body."""

    def __init__(self) -> None:
        self._buffer = b""
        self._body_at = 0
        self._end = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Take bytes; return a message's head and body once it is whole."""
        buffer = self._buffer = self._buffer + data if self._buffer else data
        if not self._end:
            at = buffer.find(_END)
            if at < 0:
                return None
            self._body_at = at + len(_END)
            self._end = self._body_at + _announced(buffer[:at].lower())
        if len(buffer) < self._end:
            return None
        head, body = buffer[: self._body_at], buffer[self._body_at : self._end]
        self._buffer = buffer[self._end :]
        self._end = 0
        return head, body


def _announced(head: bytes) -> int:
    at = head.find(_LENGTH)
    if at < 0:
        return 0
    try:
        return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
    except ValueError as error:
        raise BrokenLink("a length that is no number") from error


class Link(asyncio.Protocol):
    """One kept connection of a client; one request at a time."""

    def __init__(self) -> None:
        self._reader = _Reader()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def to(cls, host: str, port: int) -> "Link":
        """Connect.

        Raises:
            BrokenLink: nobody is there.
        """
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_connection(cls, host, port)
        except OSError as error:
            raise BrokenLink(str(error)) from error
        return link

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._transport is not None

    def send(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; the future gives status and body, or raises BrokenLink."""
        assert self._waiting is None, "one request at a time"
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        if self._transport is None:
            self._fail("the connection has ended")
        else:
            self._transport.write(request)
        return waiting

    def close(self) -> None:
        """Close the connection; who waits on it fails."""
        if self._transport is not None:
            self._transport.abort()
        self._fail("closed by us")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's inherit from nothing.

    def data_received(self, data: bytes) -> None:
        """Hand a whole answer to who waits for it."""
        try:
            message = self._reader.feed(data)
            if message is None:
                return
            status = int(message[0][9:12])
        except (BrokenLink, ValueError) as error:
            self._fail(str(error))
            self.close()
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result((status, message[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail who waits."""
        self._transport = None
        self._fail(repr(exc) if exc else "the peer closed the connection")

    def _fail(self, why: str) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(BrokenLink(why))


class StubServer(asyncio.Protocol):
    """Answers every request at once with fixed bytes, by its path.

    Args:
        answer: the whole HTTP answer to a request's path.
    """

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._reader = _Reader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's inherit from nothing.

    def data_received(self, data: bytes) -> None:
        """Answer every request that has become whole."""
        assert self._transport is not None
        message = self._reader.feed(data)
        while message is not None:
            path = message[0].split(b" ", 2)[1]
            self._transport.write(self._answer(path))
            message = self._reader.feed(b"")


def request(path: str, body: bytes, *, request_id: str) -> bytes:
    """Return a POST with a JSON body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"request-id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def answer(body: bytes, *, status: str = "200 OK") -> bytes:
    """Return an answer with a JSON body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + _END + body
