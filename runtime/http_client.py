"""The HTTP client of the hot path behind one small port, so that it can be replaced."""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError
from msgspec import Struct

from scheme.errors import NoAnswer, NotConnected
from scheme.limits import ANSWER_BYTES_MAX, CONNECT_S_MAX, CONNECTIONS_PER_PEER_MAX


class HttpAnswer(Struct, frozen=True, gc=False):
    """A status and a whole body."""

    status: int
    body: bytes


class HttpClient(Protocol):
    """Posts JSON to peers over pooled connections."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send one request and read its whole answer.

        The caller guards the wait: cancelling gives the connection up.

        Raises:
            NotConnected: the peer was never reached.
            NoAnswer: anything else that is not a whole HTTP answer.
        """

    async def close(self) -> None:
        """Close all connections."""


_IDLE_S_MAX = 30.0
"""Less than a server's patience, so that we do not write to what it is just closing."""

# aiohttp's own kind of URL, which it takes but does not export.
_Url = type(aiohttp.ClientRequest.url)


class _Idle:
    """Kept connections to one peer that nobody uses; the one used last is taken first."""

    __slots__ = ("_kept", "_loop")

    def __init__(self) -> None:
        self._kept: deque[tuple[aiohttp.connector.Connection, float]] = deque()
        self._loop = asyncio.get_running_loop()

    def take(self) -> aiohttp.connector.Connection | None:
        """Return a connection that is still good, without a turn of the loop in between."""
        while self._kept:
            connection, since_s = self._kept.pop()
            protocol = connection.protocol
            if (
                protocol is not None
                and protocol.is_connected()
                and not protocol.should_close
                and self._loop.time() - since_s < _IDLE_S_MAX
            ):
                return connection
            connection.close()
        return None

    def give(self, connection: aiohttp.connector.Connection) -> None:
        """Keep a connection whose answer was read to its end."""
        protocol = connection.protocol
        if protocol is None or protocol.should_close or not protocol.is_connected():
            connection.close()
        else:
            self._kept.append((connection, self._loop.time()))

    def close(self) -> None:
        """Close all of them."""
        while self._kept:
            self._kept.pop()[0].close()


class _Target(Struct, frozen=True):
    """Where a URL leads: what the pool needs to know, and the head of every request."""

    address: aiohttp.ClientRequest
    head: bytes
    idle: _Idle


class AiohttpClient:
    """HttpClient on aiohttp's connection pool and its parser.

    The pool finds, opens and keeps connections, with TLS; the parser reads answers. aiohttp's
    session above them would build each request anew, header by header, which costs as much
    again as sending it. Redirects, cookies and encodings are not for us: a peer's answer is taken
    as it is.

    Args:
        tls: context for ``https://`` peers, with our authorities and certificate.
        connect_s_max: seconds to reach a peer, handshake included.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, connect_s_max: float = CONNECT_S_MAX
    ) -> None:
        self._pool = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=CONNECTIONS_PER_PEER_MAX,
            ssl=tls if tls is not None else True,
            ttl_dns_cache=300,
            keepalive_timeout=_IDLE_S_MAX,
        )
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=connect_s_max, ceil_threshold=60.0
        )
        self._targets: dict[str, _Target] = {}
        # aiohttp's own bookkeeping of idle connections costs as much as writing the request.
        self._idle: dict[tuple[str, str, int | None], _Idle] = {}

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send one request and read its whole answer (see the port)."""
        target = self._targets.get(url) or self._remember(url)
        connection = target.idle.take()
        if connection is None:
            try:
                connection = await self._pool.connect(target.address, [], self._timeout)
            except (aiohttp.ClientError, OSError) as error:
                raise NotConnected(str(error) or repr(error)) from error
        try:
            protocol = connection.protocol
            assert protocol is not None
            # Pooled ones are looked at before they are handed out, without a turn in between.
            assert protocol.transport is not None
            # A new parser, so that nothing of an earlier answer can be left in it.
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            protocol.transport.write(_request(target.head, headers, body))
            answer = await _answer(protocol)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            connection.close()
            raise NoAnswer(repr(error)) from error
        except BaseException:
            connection.close()  # Given up: what still comes belongs to nobody.
            raise
        target.idle.give(connection)
        return answer

    async def close(self) -> None:
        """Close all connections."""
        for idle in self._idle.values():
            idle.close()
        await self._pool.close()

    def _remember(self, url: str) -> _Target:
        try:
            parsed = _Url(url)
            if parsed.scheme not in {"http", "https"} or not parsed.raw_host:
                raise NotConnected(f"{url}: not an http address")
            address = aiohttp.ClientRequest(hdrs.METH_POST, parsed, loop=asyncio.get_running_loop())
        except (ValueError, aiohttp.InvalidURL) as error:
            raise NotConnected(f"{url}: not a URL") from error
        host = address.headers[hdrs.HOST]
        head = f"POST {parsed.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\n".encode()
        origin = (parsed.scheme, parsed.raw_host, parsed.port)
        idle = self._idle.setdefault(origin, _Idle())
        target = _Target(address, head, idle)
        # Few are ever used, one for each peer and message; ids in a path would fill it.
        if len(self._targets) < _TARGETS_MAX:
            self._targets[url] = target
        return target


_TARGETS_MAX = 4096


def _request(head: bytes, headers: Mapping[str, str], body: bytes) -> bytes:
    more = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    assert more.count("\n") == len(headers), "a header is one line"
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, more.encode("latin-1"), len(body), body)


async def _answer(protocol: ResponseHandler) -> HttpAnswer:
    message, content = await protocol.read()
    while 100 <= message.code < 200:  # It means to go on.
        message, content = await protocol.read()
    if content.is_eof():
        body = content.read_nowait(-1)  # It came with the head, as nearly all do.
    else:
        body = await _read_on(content)
    if len(body) > ANSWER_BYTES_MAX:
        raise aiohttp.ClientPayloadError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    return HttpAnswer(message.code, body)


async def _read_on(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while part := await content.readany():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            break
    return body
