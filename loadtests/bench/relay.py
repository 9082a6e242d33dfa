"""The baseline: a relay on bare aiohttp with the hops of the switch and none of its work.

AV1 and CT1 come in, go on to one creditor, and its answer goes back; each CT1 is followed by a CT5
that nobody waits for. Nothing is read, checked, kept or written.
"""

import argparse
import asyncio

import aiohttp
import uvloop
from aiohttp import web

from loadtests.bench.child import serve_until_orphaned
from loadtests.bench.documents import Documents, documents
from loadtests.bench.traffic import BASE_PATH
from runtime.clock import SystemClock

_JSON = "application/json"


class Relay:
    """Passes messages on to one creditor.

    Args:
        creditor: base address of the stub.
    """

    def __init__(self, session: aiohttp.ClientSession, creditor: str, fixed: Documents) -> None:
        self._session = session
        self._creditor = creditor
        self._fixed = fixed
        self._confirmations: set[asyncio.Task[bytes]] = set()

    async def verify(self, request: web.Request) -> web.Response:
        """AV1 in, AV2 out, AV3 back."""
        body = await request.read()
        answer = await self._post("AV2", body[:-2] + self._fixed.av2_more)
        return web.Response(body=answer, content_type=_JSON)

    async def order(self, request: web.Request) -> web.Response:
        """CT1 in, CT2 out, CT3 back; CT5 follows behind."""
        body = await request.read()
        answer = await self._post("CT2", body[:-2] + self._fixed.ct2_more)
        confirmation = asyncio.create_task(self._post("CT5", self._fixed.ct5))
        self._confirmations.add(confirmation)
        confirmation.add_done_callback(self._confirmations.discard)
        return web.Response(body=answer, content_type=_JSON)

    async def _post(self, name: str, body: bytes) -> bytes:
        url = self._creditor + name
        headers = {"Content-Type": _JSON}
        async with self._session.post(url, data=body, headers=headers) as answer:
            return await answer.read()


async def _serve(creditor_port: int) -> None:
    creditor = f"http://127.0.0.1:{creditor_port}{BASE_PATH}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        relay = Relay(session, creditor, documents(SystemClock().now()))
        app = web.Application()
        app.router.add_post(BASE_PATH + "AV1", relay.verify)
        app.router.add_post(BASE_PATH + "CT1", relay.order)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await serve_until_orphaned(runner.addresses[0][1])
        await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("creditor_port", type=int)
    uvloop.run(_serve(parser.parse_args().creditor_port))
