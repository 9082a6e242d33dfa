"""An HTTP server that no client can hold up: every body, head, wait and connection is bounded.

It stands on aiohttp's low-level server, whose parser is C, and does three things of its own: it
reads the whole body before a handler is called, it writes an answer as one chunk of bytes (or, if
it is long, part by part, at the pace of its reader), and it ends slow clients. Handlers see a
``Request`` and return a ``Response``; none knows aiohttp.
"""

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
from aiohttp import StreamReader, web
from aiohttp.http import HttpProcessingError, HttpVersion11
from aiohttp.web_protocol import RequestHandler
from msgspec import Struct

from runtime.http_answers import JSON as JSON
from runtime.http_answers import Answer, StreamedAnswer, encoded, streamed_head
from runtime.http_answers import Response as Response
from runtime.http_answers import refusal as refusal
from scheme import limits
from scheme.errors import ConfigError

log = structlog.get_logger()

_NO_QUERY: Mapping[str, str] = {}


class Request(Struct, frozen=True, gc=False):
    """One request, whole.

    Attributes:
        method: in capitals, as received.
        path: decoded, without the query.
        query: decoded; of a name given twice the last value.
        headers: names in any case.
        peer: the client's address, without its port.
        certificate: the client's, as DER, where the server shows them; else empty.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str
    certificate: bytes = b""


class Drop(Exception):
    """Raised by a handler that wants no answer sent: the connection is cut.

    Args:
        partial: bytes written before, exactly as they are; half an answer, or none.
    """

    def __init__(self, partial: bytes = b"") -> None:
        super().__init__(f"connection dropped after {len(partial)} bytes")
        self.partial = partial


Handler = Callable[[Request], Awaitable[Response]]


class _Refused(Exception):
    """A body that is not read to its end; the connection closes after the answer."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.response = refusal(status, what)


class _Bounds(Struct, frozen=True):
    """What one server grants its clients."""

    body_bytes_max: int
    header_s_max: float
    body_s_max: float
    keepalive_s: float
    connections_max: int
    error_header: str

    def explained(self, refused: Response, part: str) -> Response:
        """Say in a header as well what a request was refused for."""
        if not self.error_header:
            return refused
        what = msgspec.json.decode(refused.body)["error"]
        header = (self.error_header, f"{part}: {what}")
        return msgspec.structs.replace(refused, headers=(*refused.headers, header))


class GuardedServer:
    """Serves one handler on one port.

    A client that goes away does not disturb its handler, which runs to its end.

    Args:
        handler: called with each whole request, in a task of its own.
        port: 0 takes a free one; ``port`` tells which after ``start``.
        tls: serves https when given.
        body_bytes_max: a longer body is answered 413 and not read.
        header_s_max: seconds for a request's head once its first byte came; then 408.
        body_s_max: seconds for its body, and for the client to take the answer.
        keepalive_s: seconds an idle connection stays open.
        connections_max: open connections; further ones are closed at once.
        error_header: names, in the answers that the server itself gives, what was refused.
        shows_certificates: hand the clients' certificates on with their requests.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        body_bytes_max: int = limits.BODY_BYTES_MAX,
        header_s_max: float = limits.HEADER_S_MAX,
        body_s_max: float = limits.BODY_S_MAX,
        keepalive_s: float = limits.KEEPALIVE_S,
        connections_max: int = limits.CONNECTIONS_MAX,
        error_header: str = "",
        shows_certificates: bool = False,
    ) -> None:
        self._shows_certificates = shows_certificates
        self.host = host
        self.port = port
        self._handler = handler
        self._tls = tls
        self._bounds = _Bounds(
            body_bytes_max, header_s_max, body_s_max, keepalive_s, connections_max, error_header
        )
        self._connections: _Connections | None = None
        self._listening: asyncio.Server | None = None
        self._running = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            ConfigError: the address cannot be had; says which and what to do.
        """
        loop = asyncio.get_running_loop()
        self._connections = _Connections(self._serve, self._bounds)
        handshake = self._bounds.header_s_max if self._tls is not None else None
        try:
            self._listening = await loop.create_server(
                self._connections,
                self.host,
                self.port,
                ssl=self._tls,
                backlog=1024,
                ssl_handshake_timeout=handshake,
            )
        except (OSError, OverflowError) as error:
            raise ConfigError(_cannot_listen(self.host, self.port, error)) from error
        self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self, grace_s: float) -> None:
        """Stop accepting, let running requests end for at most ``grace_s``, close the rest."""
        if self._listening is None or self._connections is None:
            return
        self._listening.close()
        self._connections.pre_shutdown()
        try:
            async with asyncio.timeout(grace_s):
                await self._quiet.wait()
        except TimeoutError:
            log.warning("requests cut off at stop", port=self.port, requests=self._running)
        # What is written now only waits for the loop; aiohttp reads a wait of 0 as forever.
        await self._connections.shutdown(0.05)
        await self._listening.wait_closed()
        self._listening = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self._running += 1
        self._quiet.clear()
        try:
            return await self._answer(request)
        finally:
            self._running -= 1
            if self._running == 0:
                self._quiet.set()

    async def _answer(self, request: web.BaseRequest) -> Answer:
        try:
            body = await self._body(request)
        except _Refused as refused:
            response = self._bounds.explained(refused.response, "body")
            return self._written(request, response, stays=False)
        except ConnectionError:
            return Answer(b"", 0.0, stays=False, cut=True)  # Gone before its request was whole.
        try:
            certificate = _certificate(request) if self._shows_certificates else b""
            response = await self._handler(_whole(request, body, certificate))
        except Drop as drop:
            return Answer(drop.partial, self._bounds.body_s_max, stays=False, cut=True)
        except Exception:
            # What we do not know we do not answer: the peer asks again.
            log.exception("handler failed", method=request.method, port=self.port)
            return self._written(request, Response(500), stays=False)
        return self._written(request, response, stays=True)

    async def _body(self, request: web.BaseRequest) -> bytes:
        content = request.content
        length = request.content_length
        bytes_max = self._bounds.body_bytes_max
        if length is not None and length > bytes_max:
            raise _Refused(413, f"the body is longer than {bytes_max} bytes")
        try:
            if content.is_eof():  # It came with the head, as nearly all do.
                body = content.read_nowait(-1)
                if len(body) > bytes_max:
                    raise _Refused(413, f"the body is longer than {bytes_max} bytes")
                return body
            self._invite(request)
            async with asyncio.timeout(self._bounds.body_s_max):
                return await _read_on(content, bytes_max)
        except TimeoutError as error:
            raise _Refused(408, "the body took too long to arrive") from error
        except (web.RequestPayloadError, HttpProcessingError) as error:
            raise _Refused(400, "the body is not framed as announced") from error

    def _invite(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is not None and request.headers.get("Expect", "").lower() == "100-continue":
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _written(self, request: web.BaseRequest, response: Response, *, stays: bool) -> Answer:
        # HTTP/1.0 clients are few: they get their answer and a closed connection.
        is_modern = request.version >= HttpVersion11
        stays = stays and request.keep_alive and is_modern
        head_only = request.method == "HEAD"
        if response.parts is not None:
            # Without chunks the end of the body is the end of the connection.
            head = streamed_head(response, stays=stays, chunked=is_modern)
            seconds = self._bounds.body_s_max
            return StreamedAnswer(
                head, seconds, response.parts, stays=stays, chunked=is_modern, head_only=head_only
            )
        data = encoded(response, stays=stays, head_only=head_only)
        return Answer(data, self._bounds.body_s_max, stays=stays)


async def _read_on(content: StreamReader, bytes_max: int) -> bytes:
    parts = []
    size = 0
    while part := await content.readany():
        size += len(part)
        if size > bytes_max:
            raise _Refused(413, f"the body is longer than {bytes_max} bytes")
        parts.append(part)
    return b"".join(parts)


def _certificate(request: web.BaseRequest) -> bytes:
    """Return the certificate that the client showed, as DER, or nothing."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    return (tls.getpeercert(binary_form=True) or b"") if tls is not None else b""


def _whole(request: web.BaseRequest, body: bytes, certificate: bytes) -> Request:
    target = request.raw_path
    if target[:1] != "/":
        target = request.rel_url.raw_path_qs  # A proxy's absolute form.
    path, question, rest = target.partition("?")
    return Request(
        request.method,
        unquote(path) if "%" in path else path,
        dict(parse_qsl(rest, keep_blank_values=True)) if question else _NO_QUERY,
        request.headers,
        body,
        request.remote or "",
        certificate,
    )


class _Connection(RequestHandler):
    """aiohttp's protocol, with a bound on the time a head may take."""

    __slots__ = ("_bounds", "_head_timer", "_owner")

    def __init__(self, owner: "_Connections", bounds: _Bounds, **settings: Any) -> None:
        super().__init__(owner, **settings)
        self._owner = owner
        self._bounds = bounds
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or close it if there are too many."""
        super().connection_made(transport)
        if self._owner.count > self._bounds.connections_max:
            log.warning("too many connections", open=self._owner.count)
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Parse on; a head that is left unfinished is given a time."""
        super().data_received(data)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            if data and self._head_timer is None:
                wait = self._bounds.header_s_max
                self._head_timer = self._loop.call_later(wait, self._head_overdue)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the timer with the connection."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _head_overdue(self) -> None:
        late = refusal(408, "the head of the request took too long to arrive")
        late = self._bounds.explained(late, "head")
        if self.transport is not None:
            self.transport.write(encoded(late, stays=False))
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP, or ended outside of the handler's care."""
        log.info("request refused", status=status, cause=type(exc).__name__)
        what = "this is not an HTTP request we understand" if status == 400 else "failed"
        answer = self._bounds.explained(refusal(status, what), "head")
        return Answer(encoded(answer, stays=False), self._bounds.body_s_max, stays=False)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what aiohttp would give to the standard library's logging."""
        log.error("connection failed", cause=repr(kw.get("exc_info")))


class _Connections(web.Server):
    """Makes one protocol for each connection and knows them all."""

    def __init__(
        self,
        serve: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        bounds: _Bounds,
    ) -> None:
        super().__init__(serve)
        self._bounds = bounds

    @property
    def count(self) -> int:
        """Return how many are open."""
        return len(self._connections)

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return _Connection(
            self,
            self._bounds,
            loop=self._loop,
            keepalive_timeout=self._bounds.keepalive_s,
            access_log=None,
            auto_decompress=False,  # A small body that unpacks to a huge one stays small.
            lingering_time=limits.LINGER_S,
            max_line_size=limits.HEAD_LINE_BYTES_MAX,
            max_field_size=limits.HEAD_LINE_BYTES_MAX,
            max_headers=limits.HEADERS_MAX,
        )


def _cannot_listen(host: str, port: int, error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            cause = "another program has this port: stop it, or set another port"
        case errno.EACCES:
            cause = "this port needs more rights: set one above 1023"
        case errno.EADDRNOTAVAIL:
            cause = "this machine does not have that address: set another host"
        case _:
            cause = f"{error}: set another host or port"
    return f"{host}:{port}: {cause}"
