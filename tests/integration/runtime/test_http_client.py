"""The HTTP client against servers that behave in every wrong way, on real loopback sockets."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime import pki
from runtime.http_client import AiohttpClient
from runtime.http_server import GuardedServer, Request, Response
from scheme.errors import NoAnswer, NotConnected
from scheme.limits import ANSWER_BYTES_MAX

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def client() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient(connect_s_max=0.2)
    yield client
    await client.close()


@asynccontextmanager
async def peer_that(serve: Serve) -> AsyncIterator[str]:
    """Serve connections whose request has been read by hand-made bytes."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/x"
    finally:
        server.close()
        await server.wait_closed()


def saying(data: bytes) -> Serve:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return serve


async def test_an_answer_comes_back_whole_and_the_connection_is_used_again(
    client: AiohttpClient,
) -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(202, request.body * 2)

    server = GuardedServer(handler)
    await server.start()
    for _ in range(3):
        answer = await client.post(
            f"http://127.0.0.1:{server.port}/a/b", b"{}", {"Request-Id": "7"}
        )
        assert (answer.status, answer.body) == (202, b"{}{}")
    assert [one.path for one in seen] == ["/a/b"] * 3
    assert seen[0].headers["Request-Id"] == "7"
    assert {"User-Agent", "Accept", "Accept-Encoding"}.isdisjoint(set(seen[0].headers))
    await server.stop(grace_s=0.1)


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_any_status_is_an_answer_and_no_redirect_is_followed(
    client: AiohttpClient, status: int
) -> None:
    head = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\n{{}}"
    async with peer_that(saying(head.encode())) as url:
        answer = await client.post(url, b"", {})
    assert (answer.status, answer.body) == (status, b"{}")


async def test_an_answer_that_ends_with_its_connection_is_whole(client: AiohttpClient) -> None:
    async with peer_that(saying(b"HTTP/1.1 200 OK\r\n\r\nall")) as url:
        assert (await client.post(url, b"", {})).body == b"all"


def _refused_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


@pytest.mark.parametrize(
    "url",
    [
        _refused_url,
        lambda: "http://no-such-host.invalid/",
        lambda: "not a url",
        lambda: "ftp://127.0.0.1/",
        lambda: "http://[broken/",
        lambda: "",
    ],
)
async def test_a_peer_that_cannot_be_reached_is_not_connected(
    client: AiohttpClient, url: Callable[[], str]
) -> None:
    with pytest.raises(NotConnected):
        await client.post(url(), b"{}", {})


async def test_a_peer_that_does_not_take_connections_is_not_connected(
    client: AiohttpClient,
) -> None:
    # A backlog that is full drops further connections without a word.
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(busy.getsockname())
        try:
            with pytest.raises(NotConnected):
                await client.post(f"http://127.0.0.1:{busy.getsockname()[1]}/", b"{}", {})
        finally:
            for one in waiting:
                one.close()


async def test_a_peer_that_speaks_no_tls_is_not_connected(client: AiohttpClient) -> None:
    async with peer_that(saying(b"")) as url:
        # Not even its head ends in an empty line, so the peer only listens.
        with pytest.raises(NotConnected):
            await client.post(url.replace("http:", "https:"), b"{}", {})


async def _reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(_reset, id="reset after the request"),
        pytest.param(saying(b""), id="closed without a word"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Le"), id="half a head"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), id="half a body"),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            id="half a chunk",
        ),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            id="a chunk without a size",
        ),
        pytest.param(saying(b"\x00\x01garbage\r\n\r\n"), id="garbage"),
        pytest.param(saying(b"HTTP/1.1 OK\r\n\r\n"), id="no status"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), id="no length"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000), id="a head without end"),
    ],
)
async def test_what_is_no_whole_answer_is_silence(client: AiohttpClient, serve: Serve) -> None:
    async with peer_that(serve) as url:
        with pytest.raises(NoAnswer):
            await client.post(url, b"{}", {})


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("excess", [0, 1])
async def test_an_answer_is_taken_up_to_its_limit(
    client: AiohttpClient, framing: str, excess: int
) -> None:
    size = ANSWER_BYTES_MAX + excess
    body = b"x" * size
    head, data = {
        "length": (f"Content-Length: {size}\r\n", body),
        "chunked": ("Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)),
        "close": ("", body),
    }[framing]
    async with peer_that(saying(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + data)) as url:
        if excess:
            with pytest.raises(NoAnswer, match="more than"):
                await client.post(url, b"{}", {})
        else:
            assert (await client.post(url, b"{}", {})).body == body


async def test_the_caller_ends_the_wait_for_a_slow_peer(client: AiohttpClient) -> None:
    closed = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with peer_that(slow) as url:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.post(url, b"", {})
        async with asyncio.timeout(5.0):
            await closed.wait()  # A connection that was given up is not used again.


async def test_an_answer_nobody_asked_for_is_not_taken_for_the_next(
    client: AiohttpClient,
) -> None:
    connections = 0

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        one = f"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{connections}".encode()
        writer.write(one + one.replace(b"200", b"500"))
        await reader.read()

    async with peer_that(talkative) as url:
        for number in (b"1", b"2", b"3"):
            answer = await client.post(url, b"", {})
            assert (answer.status, answer.body) == (200, number)


async def test_a_word_of_encouragement_is_not_the_answer(client: AiohttpClient) -> None:
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    async with peer_that(saying(go_on + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as url:
        assert (await client.post(url, b"", {})).body == b"ok"


async def test_a_peer_that_closes_after_each_answer_is_reached_again(
    client: AiohttpClient,
) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with peer_that(saying(head)) as url:
        for _ in range(3):
            assert (await client.post(url, b"", {})).body == b"ok"


async def test_messages_cross_tls_with_authorities_of_our_own(tmp_path: Path) -> None:
    home = pki.open_pki(tmp_path, ["switch", "0970"], datetime.now(UTC))  # noqa: TID251

    async def echo(request: Request) -> Response:
        return Response(body=request.body)

    identities = home.identities
    tls = pki.server_context(identities["switch"], clients=[home.ca_path], client_required=True)
    server = GuardedServer(echo, tls=tls)
    await server.start()
    url = f"https://127.0.0.1:{server.port}/"
    known = AiohttpClient(pki.client_context([home.ca_path], identities["0970"]))
    for body in (b"{}", b"x" * 60_000):
        assert (await known.post(url, body, {})).body == body
    await known.close()
    # With TLS 1.3 a server looks at certificates after the client has begun to speak.
    unknown = AiohttpClient(pki.client_context([home.ca_path]))
    with pytest.raises((NotConnected, NoAnswer)):
        await unknown.post(url, b"{}", {})
    await unknown.close()
    await server.stop(grace_s=0.1)


async def test_a_certificate_of_nobody_we_know_is_not_connected(client: AiohttpClient) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT")

    async def handler(_: Request) -> Response:
        return Response()

    # Without any certificate the handshake fails, as it does with a wrong one.
    server = GuardedServer(handler, tls=context)
    await server.start()
    with pytest.raises(NotConnected):
        await client.post(f"https://127.0.0.1:{server.port}/", b"", {})
    await server.stop(grace_s=0.1)
