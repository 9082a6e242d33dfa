"""The guarded HTTP server on real loopback sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from runtime.http_server import Drop, GuardedServer, Handler, Request, Response
from scheme.errors import ConfigError

ANSWER_S_MAX = 5.0


async def echo(request: Request) -> Response:
    return Response(body=request.body)


@asynccontextmanager
async def serving(handler: Handler = echo, **bounds: float) -> AsyncIterator[GuardedServer]:
    server = GuardedServer(handler, **bounds)  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace_s=0.1)


class Client:
    """A bare socket: it says what a test wants, when it wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(ANSWER_S_MAX):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            pairs = (line.split(": ", 1) for line in lines[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split(" ")[1]), headers, body

    async def until_closed(self) -> bytes:
        async with asyncio.timeout(ANSWER_S_MAX):
            return await self.reader.read()


@asynccontextmanager
async def client_of(server: GuardedServer) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


def post(body: bytes, *, path: str = "/", more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def error_of(body: bytes) -> str:
    return str(msgspec.json.decode(body)["error"])


async def test_a_connection_serves_one_request_after_another() -> None:
    async with serving() as server, client_of(server) as client:
        for body in (b'{"a":1}', b"", b"x" * 60_000):
            await client.say(post(body))
            status, headers, answered = await client.answer()
            assert (status, answered) == (200, body)
            assert "connection" not in headers


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as server, client_of(server) as client:
        await client.say(b"".join(post(str(n).encode()) for n in range(20)))
        assert [(await client.answer())[2] for _ in range(20)] == [
            str(n).encode() for n in range(20)
        ]


async def test_the_handler_sees_the_whole_request() -> None:
    seen: list[Request] = []

    async def keep(request: Request) -> Response:
        seen.append(request)
        return Response()

    async with serving(keep) as server, client_of(server) as client:
        await client.say(
            post(b"{}", path="/a%20b/c?x=1&y=&x=2%2B", more="Request-Id: 77\r\n"),
        )
        await client.answer()
        await client.say(b"GET http://else.example/full?q=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
    first, second = seen
    assert (first.method, first.path, first.body) == ("POST", "/a b/c", b"{}")
    assert first.query == {"x": "2+", "y": ""}
    assert first.headers["request-id"] == first.headers["REQUEST-ID"] == "77"
    assert first.peer == "127.0.0.1"
    assert (second.method, second.path, second.query) == ("GET", "/full", {"q": "1"})


async def test_an_answer_carries_status_headers_and_type() -> None:
    async def answer(_: Request) -> Response:
        return Response(202, b"hi", (("Request-Id", "9"),), "text/plain")

    async with serving(answer) as server, client_of(server) as client:
        await client.say(post(b""))
        status, headers, body = await client.answer()
    assert (status, body) == (202, b"hi")
    assert headers["request-id"] == "9"
    assert headers["content-type"] == "text/plain"
    assert "date" in headers


async def test_head_and_no_content_have_no_body() -> None:
    async def answer(request: Request) -> Response:
        return Response(200 if request.method == "HEAD" else 204, b"not shown")

    async with serving(answer) as server, client_of(server) as client:
        await client.say(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await client.reader.readuntil(b"\r\n\r\n")
        await client.say(post(b""))
        status, headers, _ = await client.answer()
    assert b"Content-Length: 9" in head
    assert status == 204
    assert "content-length" not in headers


async def test_an_old_client_gets_its_answer_and_a_closed_connection() -> None:
    async with serving() as server, client_of(server) as client:
        await client.say(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
        answer = await client.until_closed()
    assert answer.endswith(b"\r\n\r\nhi")
    assert b"Connection: close" in answer


async def test_a_client_may_ask_for_the_end_of_the_connection() -> None:
    async with serving() as server, client_of(server) as client:
        await client.say(post(b"hi", more="Connection: close\r\n"))
        assert (await client.until_closed()).endswith(b"hi")


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413)])
async def test_a_body_is_taken_up_to_its_limit(size: int, status: int) -> None:
    async with serving(body_bytes_max=1000) as server, client_of(server) as client:
        await client.say(post(b"x" * size))
        assert (await client.answer())[0] == status


@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1200, 413)])
async def test_a_chunked_body_is_taken_up_to_its_limit(size: int, status: int, pieces: int) -> None:
    part = size // pieces
    chunk = f"{part:x}\r\n".encode() + b"x" * part + b"\r\n"
    async with serving(body_bytes_max=1000) as server, client_of(server) as client:
        await client.say(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(pieces):
            await client.say(chunk)
        await client.say(b"0\r\n\r\n")
        answered, _, body = await client.answer()
    assert answered == status
    assert status == 200 or error_of(body) == "the body is longer than 1000 bytes"


async def test_a_megabyte_is_refused_and_its_sender_sees_it() -> None:
    async with serving() as server, client_of(server) as client:
        await client.say(post(b"x" * 1_000_000))
        status, headers, body = await client.answer()
        assert status == 413
        assert "longer than 65536 bytes" in error_of(body)
        assert headers["connection"] == "close"
        await client.until_closed()


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with serving() as server, client_of(server) as client:
        await client.say(post(b"hi", more="Expect: 100-continue\r\n")[:-2])
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.say(b"hi")
        assert (await client.answer())[2] == b"hi"


@pytest.mark.parametrize("head", [b"P", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_slow_head_is_cut_off(head: bytes) -> None:
    async with serving(header_s_max=0.1) as server, client_of(server) as client:
        await client.say(head)
        status, _, body = await client.answer()
        assert status == 408
        assert "head" in error_of(body)
        assert await client.until_closed() == b""


async def test_a_dripping_head_is_cut_off_though_it_never_rests() -> None:
    async with serving(header_s_max=0.15) as server, client_of(server) as client:
        await client.say(b"POST / HTTP/1.1\r\nHost: x\r\n")
        answer = asyncio.create_task(client.answer())
        while not answer.done():
            client.writer.write(b"X: y\r\n")
            await asyncio.sleep(0.03)
        assert (await answer)[0] == 408


async def test_a_head_in_pieces_is_whole_in_the_end() -> None:
    async with serving(header_s_max=5.0) as server, client_of(server) as client:
        for _ in range(2):
            for piece in (b"POST / HT", b"TP/1.1\r\nHost: x\r\nContent-Le", b"ngth: 2\r\n\r\nh"):
                await client.say(piece)
                await asyncio.sleep(0.01)
            await client.say(b"i")
            assert (await client.answer())[2] == b"hi"


async def test_a_slow_body_is_cut_off() -> None:
    async with serving(body_s_max=0.1) as server, client_of(server) as client:
        await client.say(post(b"0123456789")[:-1])
        status, _, body = await client.answer()
        assert status == 408
        assert "body" in error_of(body)


async def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    async def endless(_: Request) -> Response:
        return Response(body=b"x" * 40_000_000)

    async with serving(endless, body_s_max=0.1) as server, client_of(server) as client:
        await client.say(post(b""))
        await asyncio.sleep(0.3)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()


async def test_an_idle_connection_is_closed() -> None:
    async with serving(keepalive_s=0.1) as server, client_of(server) as client:
        await client.say(post(b"hi"))
        await client.answer()
        assert await client.until_closed() == b""


async def test_connections_beyond_the_limit_are_closed_at_once() -> None:
    async with serving(connections_max=1) as server, client_of(server) as first:
        await first.say(post(b"1"))
        await first.answer()
        async with client_of(server) as second:
            assert await second.until_closed() == b""
        await first.say(post(b"2"))
        assert (await first.answer())[2] == b"2"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not http\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
async def test_what_is_not_http_is_answered_400(garbage: bytes) -> None:
    async with serving() as server, client_of(server) as client:
        await client.say(garbage)
        status, _, body = await client.answer()
    assert status == 400
    assert error_of(body)


async def test_a_refusal_of_its_own_is_said_in_the_header_that_was_named() -> None:
    server = GuardedServer(echo, body_bytes_max=1, error_header="X-Why")
    await server.start()
    try:
        for sent, why in (
            (post(b"two"), "body: the body is longer than 1 bytes"),
            (b"\x00\r\n\r\n", "head: this is not an HTTP request we understand"),
        ):
            async with client_of(server) as client:
                await client.say(sent)
                assert (await client.answer())[1]["x-why"] == why
    finally:
        await server.stop(0.1)


async def test_a_broken_chunk_is_answered_400() -> None:
    async with serving() as server, client_of(server) as client:
        await client.say(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.say(b"zz\r\n")
        assert (await client.answer())[0] == 400


async def test_a_handler_that_fails_is_a_500_without_a_body() -> None:
    async def fail(_: Request) -> Response:
        raise ZeroDivisionError

    async with serving(fail) as server, client_of(server) as client:
        await client.say(post(b"hi"))
        status, _, body = await client.answer()
        assert (status, body) == (500, b"")
        assert await client.until_closed() == b""


@pytest.mark.parametrize("partial", [b"", b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"ha'])
async def test_a_drop_writes_what_it_was_given_and_cuts(partial: bytes) -> None:
    async def drop(_: Request) -> Response:
        raise Drop(partial)

    async with serving(drop) as server, client_of(server) as client:
        await client.say(post(b"hi"))
        assert await client.until_closed() == partial


async def test_a_client_that_goes_away_does_not_disturb_its_handler() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await asyncio.sleep(0.05)
        ended.set()
        return Response()

    async with serving(slow) as server:
        async with client_of(server) as client:
            await client.say(post(b"hi"))
            await begun.wait()
        async with asyncio.timeout(ANSWER_S_MAX):
            await ended.wait()


async def test_stopping_lets_a_running_request_end() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await may_end.wait()
        return Response(body=b"done")

    server = GuardedServer(slow)
    await server.start()
    async with client_of(server) as client, client_of(server) as idle:
        await client.say(post(b"hi"))
        await begun.wait()
        stopping = asyncio.create_task(server.stop(grace_s=5.0))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
        may_end.set()
        assert (await client.answer())[2] == b"done"
        assert await idle.until_closed() == b""
        await stopping


async def test_stopping_cuts_off_what_outlives_the_grace() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(_: Request) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response()

    server = GuardedServer(endless)
    await server.start()
    async with client_of(server) as client:
        await client.say(post(b"hi"))
        await begun.wait()
        async with asyncio.timeout(ANSWER_S_MAX):
            await server.stop(grace_s=0.05)
            await cancelled.wait()
        assert await client.until_closed() == b""


async def test_a_taken_port_is_named() -> None:
    async with serving() as server:
        second = GuardedServer(echo, port=server.port)
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{server.port}: another program"):
            await second.start()


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("203.0.113.1", _unused_port, "does not have that address"),
        ("127.0.0.1", lambda: 70_000, "set another host or port"),
        ("no-such-host.invalid", _unused_port, "set another host or port"),
    ],
)
async def test_an_impossible_address_is_named(
    host: str, port: Callable[[], int], says: str
) -> None:
    server = GuardedServer(echo, host=host, port=port())
    with pytest.raises(ConfigError, match=f"^{host}:.*{says}"):
        await server.start()


async def test_stopping_twice_or_before_the_start_does_nothing() -> None:
    server = GuardedServer(echo)
    await server.stop(grace_s=0.0)
    await server.start()
    await server.stop(grace_s=0.1)
    await server.stop(grace_s=0.1)
