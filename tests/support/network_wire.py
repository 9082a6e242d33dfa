"""The coops' network on a socket: its edge over a real directory, with messages as told."""

import itertools
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
from msgspec import Struct

from directory.dale import Dale
from directory.dale_store import DaleStore
from directory.service import DirectoryService
from directory.store import DirectoryStore
from runtime.clock import ManualClock
from runtime.files import load_profile
from runtime.http_guard import LOOPBACK
from runtime.http_server import GuardedServer, Request, Response
from scheme.network import Participant
from scheme.people import REFERENCE_PEOPLE
from switch.core.network_sessions import MemberKey, NetworkSessions
from switch.edges.network_http import REQUEST_ID, NetworkEdge
from switch.network_desk import NetworkDesk
from switch.network_requests import Requests
from tests.support.directory_fakes import PARTICIPANTS, RULES, lima_clock
from tests.support.network_fakes import MEMBERS, ScriptedNational

NAMES = MappingProxyType(
    {"0970": "COOPAC SIMULADA UNO", "0971": "COOPAC SIMULADA DOS", "0988": "BILLETERA SIMULADA"}
)


def a_request_id(number: int) -> str:
    """Return one UUID for each number."""
    return str(UUID(int=number, version=4))


class Said(Struct, frozen=True):
    """An answer: status and JSON document."""

    status: int
    body: bytes

    @property
    def document(self) -> Any:
        """The body, read."""
        return msgspec.json.decode(self.body)

    @property
    def fault(self) -> tuple[int, str]:
        """Status and field of a refusal, which also says error and hint."""
        assert set(self.document) == {"error", "field", "hint"}
        return self.status, self.document["field"]


class EchoedMessages:
    """Answers every message with what came, counting."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        self.status = 200

    async def from_member(self, request: Request, name: str, member: str) -> Response:
        self.came.append((name, member))
        body = msgspec.json.encode({"times": len(self.came), "got": len(request.body)})
        return Response(self.status, body)


class Network:
    """The network, and a client of it."""

    def __init__(self, url: str, session: aiohttp.ClientSession, clock: ManualClock) -> None:
        self.url = url
        self.clock = clock
        self.token = ""
        self._session = session
        self._numbers = itertools.count(100_000)

    def new_id(self) -> str:
        """Return an id not used before."""
        return a_request_id(next(self._numbers))

    async def call(
        self,
        path: str,
        content: object,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        tls: ssl.SSLContext | None = None,
    ) -> Said:
        """Post a document, or bytes as they are, in the session that is open."""
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        sent = {"Content-Type": "application/json"}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        async with self._session.request(
            method,
            f"{self.url}/network/v1/{path}",
            data=body,
            headers=sent | dict(headers or {}),
            ssl=tls if tls is not None else True,
        ) as response:
            return Said(response.status, await response.read())

    async def open(self, coop: str = "0970", **settings: Any) -> Said:
        """Open a session, used from now on if it is granted."""
        key_id = settings.pop("key_id", "demo")
        question = {"requestId": self.new_id(), "participant": coop, "keyId": key_id}
        self.token = ""
        said = await self.call("session", question, **settings)
        if said.status == 200:
            self.token = said.document["token"]
        return said

    async def message(self, name: str, body: bytes, request_id: str = "") -> Said:
        """Send a message of the wire."""
        return await self.call(f"messages/{name}", body, {REQUEST_ID: request_id or self.new_id()})


class Served(Struct):
    """A network that is served, and what stands around it."""

    network: Network
    national: ScriptedNational
    directory: DirectoryService
    index: DaleStore
    messages: EchoedMessages


def fleet() -> dict[str, Participant]:
    """Return who has a name here."""
    return {code: Participant(code=code, name=name, kind="coop") for code, name in NAMES.items()}


@asynccontextmanager
async def served(
    folder: Path,
    *,
    messages: Any = None,
    clock: ManualClock | None = None,
    tls: ssl.SSLContext | None = None,
    keys: Mapping[str, MemberKey] | None = None,
) -> AsyncIterator[Served]:
    """Serve the network of 0970 and 0971 over a directory in a folder."""
    clock = clock or lima_clock("2026-01-15T10:26:05.640")
    tokens = itertools.count(1)
    async with AsyncExitStack() as stack:
        store = await DirectoryStore.open(str(folder / "directory.db"))
        stack.push_async_callback(store.close)
        directory = DirectoryService(store, clock=clock, rules=RULES, participants=PARTICIPANTS)
        await directory.seed(REFERENCE_PEOPLE)
        index = await DaleStore.open(store, MEMBERS)
        national = ScriptedNational(directory)
        rules = load_profile("peru").network
        messages = messages or EchoedMessages()
        edge = NetworkEdge(
            NetworkDesk(
                Dale(index, national, members=MEMBERS, rules=RULES, network=rules, clock=clock),
                fleet(),
            ),
            messages,
            members=MEMBERS,
            sessions=NetworkSessions(rules.session_s),
            requests=Requests(index),
            keys=keys,
            clock=clock,
            hosts=LOOPBACK,
            new_token=lambda: f"token-{next(tokens)}",
        )
        server = GuardedServer(edge.handle, tls=tls, shows_certificates=tls is not None)
        await server.start()
        stack.push_async_callback(server.stop, 0.1)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        scheme = "http" if tls is None else "https"
        network = Network(f"{scheme}://127.0.0.1:{server.port}", http, clock)
        yield Served(network, national, directory, index, messages)
