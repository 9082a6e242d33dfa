"""The clearing house on real sockets, with a scripted creditor's agent on one of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from runtime.clock import ManualClock
from runtime.http_client import AiohttpClient
from runtime.http_server import GuardedServer, Request, Response
from runtime.pki import Pki
from runtime.signing import Keyring, Signer, SigningPool
from scheme.messages import AV2, CT2, CTC1, ET1
from scheme.network import Participant
from scheme.wire import jws
from scheme.wire.tin_json import decode, encode
from switch.edges.peers_http import HttpPeers
from switch.edges.tin_http import TinEdge
from switch.envelope import Envelopes
from switch.wire_log import WireLog
from switch.wire_names import BASE_PATH, ERROR_HEADER
from tests.support.switch_world import START, World, accept_order, accept_query, echo, fleet, world

DEAD = "http://127.0.0.1:1"
"""Nobody listens on this port."""
MEMBERS = ("0970", "0971", "0988", "0002")

Behaviour = Callable[[Request], Any]


class Answered(Struct, frozen=True):
    """An HTTP answer: its one document under its root key, and what explains it."""

    status: int
    body: bytes
    explain: str = ""

    @property
    def root(self) -> str:
        """The document's root key."""
        return str(next(iter(msgspec.json.decode(self.body))))

    @property
    def content(self) -> Mapping[str, Any]:
        """The fields of the message, out of its signature if it has one."""
        body = jws.split(self.body).payload if jws.looks_signed(self.body) else self.body
        fields: Mapping[str, Any] = next(iter(msgspec.json.decode(body).values()))
        return fields

    @property
    def code(self) -> tuple[str | None, str | None]:
        """The response code, or status, and the reason."""
        fields = self.content
        return fields.get("responseCode", fields.get("status")), fields.get("reasonCode")


class ScriptedCreditor:
    """A creditor's agent over HTTP that does what the test says.

    Attributes:
        behaviours: by message, what it does instead of accepting: takes the Request and returns
            a Response, an awaitable of one, or raises ``Drop``.
        taken: the messages that came, oldest first.
    """

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.taken: list[tuple[str, bytes]] = []

    async def handle(self, request: Request) -> Response:
        """Answer one request of the clearing house."""
        name = request.path.removeprefix(BASE_PATH)
        self.taken.append((name, request.body))
        behaviour = self.behaviours.get(name, accept)
        answer = behaviour(request)
        if asyncio.iscoroutine(answer) or isinstance(answer, asyncio.Future):
            answer = await answer
        assert isinstance(answer, Response)
        return answer

    def count(self, name: str) -> int:
        """Return how many of one message came."""
        return sum(1 for taken, _ in self.taken if taken == name)


def accept(request: Request) -> Response:
    """Accept whatever comes."""
    match request.path.removeprefix(BASE_PATH):
        case "AV2":
            return Response(body=encode(accept_query(decode(request.body, AV2))))
        case "CT2":
            return Response(body=encode(accept_order(decode(request.body, CT2))))
        case "ET1":
            return Response(body=encode(echo(decode(request.body, ET1))))
        case "CTC1":
            ctc1 = decode(request.body, CTC1)
            fields = {"creditorParticipantCode": ctc1.creditorParticipantCode, "responseCode": "00"}
            fields |= {"instructionId": ctc1.instructionId}
            return Response(body=msgspec.json.encode({"CTC2": fields}))
        case _:
            return Response()


class _NoDirectory:
    """The directory's and the QR module's wire, which other tests are about."""

    def sender(self, body: bytes) -> str | None:
        del body
        return None

    async def reply(self, body: bytes) -> Any:
        raise AssertionError(body)

    def refuse(self, body: bytes, reason: str) -> bytes:
        raise AssertionError(body, reason)

    async def handle(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        raise AssertionError(path, headers, body)


class Wire:
    """A clearing house that is spoken to over HTTP."""

    def __init__(
        self,
        one: World,
        creditor: ScriptedCreditor,
        session: aiohttp.ClientSession,
        port: int,
        wire_log: WireLog,
    ) -> None:
        self.world = one
        self.creditor = creditor
        self.port = port
        self.wire_log = wire_log
        self._session = session

    async def post(
        self, name: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """Post a body to the path of a message."""
        url = f"http://127.0.0.1:{self.port}{BASE_PATH}{name}"
        async with self._session.post(url, data=BytesIO(body), headers=headers) as response:
            explain = response.headers.get(ERROR_HEADER, "")
            return Answered(response.status, await response.read(), explain)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that needs the sockets."""
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - what is awaited is on the other side of a socket
                await asyncio.sleep(0.001)

    async def expire(self, sent: "asyncio.Task[Answered]") -> Answered:
        """Let an order's time run out once its creditor's agent has it."""
        await self.until(lambda: self.creditor.count("CT2") > 0)
        await asyncio.sleep(0.01)
        assert not sent.done()
        await self.world.clock.advance(self.world.expiry)
        return await sent


@asynccontextmanager
async def wired(
    folder: Path,
    *,
    token: str = "",
    pki: Pki | None = None,
    body_s_max: float = 10.0,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    start: datetime = START,
) -> AsyncIterator[Wire]:
    """Open a clearing house on a port of its own; 0971 listens, the others do not.

    Args:
        pki: identities to sign with; None: nothing is signed.
        changes: of participants, by code.
    """
    creditor = ScriptedCreditor()
    listening = GuardedServer(creditor.handle)
    await listening.start()
    members = fleet(**_addresses(listening.port, changes or {}))
    clock = ManualClock(start)
    pool = SigningPool()
    envelopes = _envelopes(members, clock, pki, pool)
    client = AiohttpClient()
    wire_log = WireLog(folder / "wire", clock=clock, bytes_max=2**30)
    peers = HttpPeers(client, fleet=members, envelopes=envelopes, wire_log=wire_log, clock=clock)
    async with world(
        folder, members=members, peers=peers, clock=clock, start=start, is_fresh=False
    ) as one:
        edge = TinEdge(
            one.house.handlers,
            fleet=members,
            envelopes=envelopes,
            directory=_NoDirectory(),
            qr=_NoDirectory(),
            wire_log=wire_log,
            clock=clock,
            token=token,
        )
        tin = GuardedServer(
            edge.handle,
            body_s_max=body_s_max,
            header_s_max=body_s_max,
            error_header=ERROR_HEADER,
        )
        await tin.start()
        async with aiohttp.ClientSession() as session:
            yield Wire(one, creditor, session, tin.port, wire_log)
        await tin.stop(0.1)
        one.house.outbox.close()
    await client.close()
    await listening.stop(0.1)
    await wire_log.close()
    pool.close()


def _addresses(port: int, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    urls: dict[str, dict[str, Any]] = {
        code: {"url": DEAD if code == "0988" else ""} for code in MEMBERS
    }
    urls["0971"] = {"url": f"http://127.0.0.1:{port}"}
    return {code: {**urls[code], **changes.get(code, {})} for code in MEMBERS}


def _envelopes(
    members: Mapping[str, Participant], clock: ManualClock, pki: Pki | None, pool: SigningPool
) -> Envelopes:
    if pki is None:
        return Envelopes(members, clock, keyring=None, signer=None)
    trusted = {
        code: jws.TrustedCertificate.of(one.certificate, pki.ca)
        for code, one in pki.identities.items()
    }
    own = pki.identities["switch"]
    signer = Signer(own.key, jws.thumbprint(own.certificate), pool)
    return Envelopes(members, clock, keyring=Keyring(trusted), signer=signer)
