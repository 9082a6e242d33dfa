"""Answers as the guarded server writes them: whole at once, or part by part.

A part is asked for only when the client has taken what was sent before it, so a file of any length
needs the memory of one part.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from msgspec import Struct

log = structlog.get_logger()

JSON = "application/json"
_STATUS_LINES = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n" for one in HTTPStatus}
# What a client may leave unread before it is waited for; asyncio's own high-water mark.
_UNREAD_BYTES = 64 * 1024
_WITHOUT_BODY = frozenset((204, 304))


class Response(Struct, frozen=True, gc=False):
    """One answer, whole.

    Attributes:
        parts: a long body instead of ``body``: each part is asked for when the client has taken
            the ones before. If it raises, the connection is cut, so that nobody takes half a
            file for a whole one.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON
    parts: AsyncIterator[bytes] | None = None


def refusal(status: int, what: str) -> Response:
    """Return the small JSON answer of a request that reached no handler."""
    return Response(status, msgspec.json.encode({"error": what}))


def encoded(response: Response, *, stays: bool, head_only: bool = False) -> bytes:
    """Return a whole answer as bytes; without its body for a HEAD."""
    status = response.status
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} -\r\n"
    body = response.body
    head = f"{line}Content-Length: {len(body)}\r\nDate: {rfc822_formatted_time()}\r\n"
    if status in _WITHOUT_BODY:
        head = line
    elif body:
        head += f"Content-Type: {response.content_type}\r\n"
    for name, value in response.headers:
        assert "\n" not in value, "a header is one line"
        head += f"{name}: {value}\r\n"
    if not stays:
        head += "Connection: close\r\n"
    if head_only or status in _WITHOUT_BODY:
        body = b""
    return (head + "\r\n").encode("latin-1") + body


def streamed_head(response: Response, *, stays: bool, chunked: bool) -> bytes:
    """Return the head of an answer whose body follows in parts."""
    head = _STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} -\r\n"
    head += f"Date: {rfc822_formatted_time()}\r\nContent-Type: {response.content_type}\r\n"
    if chunked:
        head += "Transfer-Encoding: chunked\r\n"
    for name, value in response.headers:
        assert "\n" not in value, "a header is one line"
        head += f"{name}: {value}\r\n"
    if not stays:
        head += "Connection: close\r\n"
    return (head + "\r\n").encode("latin-1")


class Answer(web.StreamResponse):
    """Bytes that are ready to be written; all that aiohttp's server asks of a response.

    aiohttp's own builds headers anew in dictionaries, which costs more than the rest of a request.
    """

    def __init__(self, data: bytes, drain_s: float, *, stays: bool, cut: bool = False) -> None:
        # Not the parent's: none of what it sets up is used.
        self._data = data
        self._drain_s = drain_s
        self._keep_alive = stays
        self._cut = cut

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write everything at once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(self._data)
        if transport.get_write_buffer_size() > _UNREAD_BYTES:
            await self._taken(request, transport)
        if self._cut:
            raise ConnectionResetError("cut on purpose")  # aiohttp closes the connection then.

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""

    async def _taken(self, request: web.BaseRequest, transport: asyncio.Transport) -> None:
        # uvloop writes at the end of a turn, and only then asks to be waited for.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self._drain_s):
                await request.writer.drain()
        except TimeoutError as error:
            transport.abort()
            raise ConnectionResetError("the client does not read") from error


class StreamedAnswer(Answer):
    """A head, and a body that is written as its reader takes it."""

    def __init__(
        self,
        head: bytes,
        drain_s: float,
        parts: AsyncIterator[bytes],
        *,
        stays: bool,
        chunked: bool,
        head_only: bool,
    ) -> None:
        super().__init__(head, drain_s, stays=stays)
        self._parts = parts
        self._chunked = chunked
        self._head_only = head_only

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the head, and then every part."""
        try:
            await super().prepare(request)
            if not self._head_only:
                await self._stream(request)
        finally:
            # It may hold a file or a database open, and is not always read to its end.
            close = getattr(self._parts, "aclose", None)
            if close is not None:
                await close()

    async def _stream(self, request: web.BaseRequest) -> None:
        try:
            async for part in self._parts:
                if part:
                    await self._write(request, part)
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("a streamed answer broke off", path=request.path)
            raise ConnectionResetError("the rest of the answer is missing") from error
        if self._chunked:
            await self._write(request, b"")

    async def _write(self, request: web.BaseRequest, part: bytes) -> None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        framed = b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part
        transport.write(framed)
        if transport.get_write_buffer_size() > _UNREAD_BYTES:
            await self._taken(request, transport)
