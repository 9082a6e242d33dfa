"""The HTTP client of the hot path behind one small port, so that it can be replaced."""

import ssl
from typing import Protocol

import aiohttp
import yarl
from msgspec import Struct

from scheme.errors import NoAnswer, NotConnected
from scheme.limits import ANSWER_BYTES_MAX, CONNECT_S_MAX, CONNECTIONS_PER_PEER_MAX


class HttpAnswer(Struct, frozen=True, gc=False):
    """A status and a whole body."""

    status: int
    body: bytes


class HttpClient(Protocol):
    """Posts JSON to peers over pooled connections."""

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> HttpAnswer:
        """Send one request and read its whole answer.

        The caller guards the wait: cancelling gives the connection up.

        Raises:
            NotConnected: the peer was never reached.
            NoAnswer: anything else that is not a whole HTTP answer.
        """

    async def close(self) -> None:
        """Close all connections."""


class AiohttpClient:
    """HttpClient on one pooled aiohttp session.

    It follows no redirect, keeps no cookie and unpacks nothing: a peer's answer is taken as it is.

    Args:
        tls: context for ``https://`` peers, with our authorities and certificate.
        connect_s_max: seconds to reach a peer, handshake included.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, connect_s_max: float = CONNECT_S_MAX
    ) -> None:
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=CONNECTIONS_PER_PEER_MAX,
            ssl=tls if tls is not None else True,
            ttl_dns_cache=300,
            # Less than a server's, so that we do not write to what it is just closing.
            keepalive_timeout=30.0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_s_max, ceil_threshold=60.0
            ),
        )
        self._urls: dict[str, yarl.URL] = {}

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> HttpAnswer:
        """Send one request and read its whole answer (see the port)."""
        target = self._urls.get(url) or self._remember(url)
        try:
            async with self._session.post(
                target, data=body, headers=headers, allow_redirects=False
            ) as response:
                return HttpAnswer(response.status, await _read(response))
        except _NEVER_REACHED as error:
            raise NotConnected(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(repr(error)) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _remember(self, url: str) -> yarl.URL:
        try:
            target = yarl.URL(url)
        except ValueError as error:
            raise NotConnected(f"{url}: not a URL") from error
        # Few are ever used, one for each peer and message; ids in a path would fill it.
        if len(self._urls) < _URLS_MAX:
            self._urls[url] = target
        return target


_URLS_MAX = 4096
_NEVER_REACHED = (
    aiohttp.ClientConnectorError,  # Unknown host, refused, no TLS.
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    announced = response.content_length
    if announced is not None and announced <= ANSWER_BYTES_MAX:
        return await response.read()
    body = b""
    if announced is None:
        body = await _read_on(response.content)
    if announced is not None or len(body) > ANSWER_BYTES_MAX:
        response.close()  # Else the rest would be waited for before the connection is used again.
        raise NoAnswer(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    return body


async def _read_on(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while part := await content.readany():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            break
    return body
