"""The creditor behind the bare relay: fixed answers at the least cost."""

import asyncio

import uvloop

from loadtests.bench.child import serve_until_orphaned
from loadtests.bench.documents import documents
from loadtests.bench.lean_http import StubServer, answer
from loadtests.bench.traffic import BASE_PATH
from runtime.clock import SystemClock


async def _serve() -> None:
    fixed = documents(SystemClock().now())
    by_name = {"AV2": fixed.av3, "CT2": fixed.ct3, "CT5": b""}
    answers = {(BASE_PATH + name).encode(): answer(body) for name, body in by_name.items()}
    server = await asyncio.get_running_loop().create_server(
        lambda: StubServer(answers.__getitem__), "127.0.0.1", 0, backlog=1024
    )
    await serve_until_orphaned(server.sockets[0].getsockname()[1])
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
