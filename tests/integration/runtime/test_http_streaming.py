"""Answers that are sent part by part: framed, paced by their reader, and never half a file."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from runtime.http_server import GuardedServer, Request, Response

WAIT_S = 5.0
PART = b"x" * 20_000


@asynccontextmanager
async def serving(
    parts: Callable[[], AsyncIterator[bytes]], **bounds: float
) -> AsyncIterator[GuardedServer]:
    async def handle(_: Request) -> Response:
        return Response(content_type="text/csv", parts=parts(), headers=(("X-Name", "a"),))

    server = GuardedServer(handle, **bounds)  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace_s=0.1)


async def asked(server: GuardedServer, head: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode())
    async with asyncio.timeout(WAIT_S):
        answer = await reader.read()
    writer.close()
    return answer


def get(version: str = "1.1", method: str = "GET") -> str:
    return f"{method} / HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n"


async def two_parts() -> AsyncIterator[bytes]:
    yield b"one;"
    yield b""
    yield b"two"


async def test_parts_are_sent_as_chunks() -> None:
    async with serving(two_parts) as server:
        answer = await asked(server, get())

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Type: text/csv" in head
    assert b"X-Name: a" in head
    assert b"Content-Length" not in head
    assert body == b"4\r\none;\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_a_connection_serves_on_after_a_streamed_answer() -> None:
    async with serving(two_parts) as server:
        twice = "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + get()
        assert (await asked(server, twice)).count(b"0\r\n\r\n") == 2


async def test_an_old_client_gets_the_bytes_and_a_closed_connection() -> None:
    async with serving(two_parts) as server:
        head, _, body = (await asked(server, get("1.0"))).partition(b"\r\n\r\n")

    assert b"chunked" not in head
    assert b"Connection: close" in head
    assert body == b"one;two"


async def test_a_head_request_makes_no_part() -> None:
    made = []

    async def counted() -> AsyncIterator[bytes]:
        made.append(1)
        yield b"x"

    async with serving(counted) as server:
        _, _, body = (await asked(server, get(method="HEAD"))).partition(b"\r\n\r\n")

    assert (body, made) == (b"", [])


async def test_an_answer_that_breaks_off_is_not_ended() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("the disk is gone")

    structlog.configure(processors=[_drop])
    try:
        async with serving(broken) as server:
            answer = await asked(server, get())
    finally:
        structlog.reset_defaults()
    assert answer.endswith(b"3\r\none\r\n")


async def test_parts_wait_for_a_slow_reader_and_end_when_it_never_reads() -> None:
    made: list[int] = []
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                made.append(1)
                yield PART * 50
        finally:
            ended.set()

    async with serving(endless, body_s_max=0.3) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(get().encode())
        async with asyncio.timeout(WAIT_S):
            await ended.wait()
        assert len(made) < 30
        writer.close()
        del reader


async def test_a_client_that_leaves_ends_the_parts() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield PART
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with serving(endless) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(get().encode())
        await reader.read(1000)
        writer.transport.abort()
        async with asyncio.timeout(WAIT_S):
            await ended.wait()


def _drop(*_: object) -> str:
    raise structlog.DropEvent
