"""The ISO 8583 port alone, on a real socket: a scripted desk behind it, clients before it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from runtime.clock import SystemClock
from runtime.files import load_profile
from runtime.iso8583_client import Dialled, Iso8583Client
from runtime.iso8583_speech import APPROVED, KEY_BYTES, NO_MAC, SIGN_ON, brief_answer
from scheme.clock import Clock
from scheme.network import Iso8583, Participant
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_framing import Deframer, Framing
from scheme.wire.iso8583_spec import Fields
from switch.edges.iso8583_peers import Iso8583Peers
from switch.edges.iso8583_tcp import Iso8583Acceptor
from switch.iso8583_links import IsoLinks
from switch.iso8583_sessions import SessionDesk
from switch.wire_log import WireLog

KEK = bytes(range(16))
Answer = Callable[[Participant, Fields], Awaitable[Fields | None]]


def member(code: str, **spoken: Any) -> Participant:
    """Return a participant of the lane, in clear unless told otherwise."""
    return Participant(
        code=code,
        name=f"SIMULADA {code}",
        kind="coop",
        simulated=False,
        lane="iso8583",
        iso8583=Iso8583(**spoken),
    )


MEMBERS = {
    "0975": member("0975", mac="aes-cmac"),
    "0976": member("0976", spec="packed-1987", header="ascii-4", tpdu="6000000000", mac="x9.19"),
    "0991": member("0991", links_max=64),
}


async def approve(_: Participant, fields: Fields) -> Fields:
    """Answer a request with 00."""
    return brief_answer(fields, APPROVED)


class EdgeWorld:
    """A port with what stands behind it.

    Attributes:
        answer: what the desk does with a request.
        signed: every sign-on and sign-off.
        woken: participants whose owed messages were to be tried.
    """

    def __init__(
        self,
        clock: Clock,
        members: dict[str, Participant],
        wire_log: WireLog,
        **bounds: Any,
    ) -> None:
        self.clock = clock
        self.members = members
        self.wire_log = wire_log
        self.answer: Answer = approve
        self.signed: list[tuple[str, bool]] = []
        self.woken: list[str] = []
        self.failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._clients: list[Iso8583Client] = []
        self._raw: list[RawLink] = []
        self._stan = 0
        self.links = IsoLinks(members, clock)
        self.peers = Iso8583Peers(self.links, fleet=members, wire_log=wire_log, clock=clock)
        self.peers.next_stan = self.next_stan
        profile = load_profile("peru")
        self.rules = replace(profile.iso8583, **bounds.pop("rules", {}))
        self.acceptor = Iso8583Acceptor(
            links=self.links,
            handle=self._handle,
            next_stan=self.next_stan,
            rules=self.rules,
            wire_log=wire_log,
            clock=clock,
            spawn=self.spawn,
            **bounds,
        )
        self.sessions = SessionDesk(
            links=self.links,
            fleet=members,
            sign=self._sign,
            wake=self.woken.append,
            keks=dict.fromkeys(members, KEK),
            new_key=lambda size: bytes(range(100, 100 + size)),
            probe=self.acceptor.probe,
            wire_log=wire_log,
            clock=clock,
            spawn=self.spawn,
        )

    @property
    def port(self) -> int:
        """Where links are taken."""
        return self.acceptor.port

    def next_stan(self) -> int:
        """Return the switch's next STAN."""
        self._stan += 1
        return self._stan

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a task, and keep what it died of."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def counts(self, code: str) -> dict[str, int]:
        """Return what was counted for a participant, without what was not."""
        return {name: count for name, count in self.links.lanes[code].counts.items() if count}

    def dialled(self, code: str, **changes: Any) -> Dialled:
        """Return how a participant calls."""
        spoken = self.members[code].iso8583
        said = Dialled(
            port=self.port,
            code=code,
            spec=spoken.spec,
            header=spoken.header,
            tpdu=spoken.tpdu,
            mac=spoken.mac,
            kek=KEK if spoken.mac != NO_MAC else b"",
            reconnect_s=(0.01,),
        )
        return replace(said, **changes)

    def client(
        self, code: str, answer: Any = None, *, report: Any = None, **changes: Any
    ) -> Iso8583Client:
        """Return a participant's client, not started; it is stopped with the world."""
        given = {"answer": answer, "report": report}
        more = {name: one for name, one in given.items() if one is not None}
        client = Iso8583Client(self.dialled(code, **changes), clock=SystemClock(), **more)
        self._clients.append(client)
        return client

    async def signed_on(self, code: str, answer: Any = None, **changes: Any) -> Iso8583Client:
        """Return a participant's client with all its links signed on."""
        client = self.client(code, answer, **changes)
        await client.start()
        async with asyncio.timeout(5):
            await client.ready()
        return client

    async def raw(self, code: str = "0991") -> "RawLink":
        """Return a bare connection that frames as a participant does."""
        spoken = self.members[code].iso8583
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        link = RawLink(reader, writer, Framing(spoken.header, spoken.tpdu))
        self._raw.append(link)
        return link

    async def close(self) -> None:
        """Stop everything."""
        for client in self._clients:
            await client.stop()
        for link in self._raw:
            link.writer.close()
            with suppress(ConnectionError):
                await link.writer.wait_closed()
        await self.acceptor.stop(0.05)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wire_log.close()
        assert not self.failures, self.failures

    async def _handle(self, participant: Participant, fields: Fields) -> Fields | None:
        return await self.answer(participant, fields)

    async def _sign(self, code: str, on: bool) -> None:
        await asyncio.sleep(0)
        self.signed.append((code, on))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)


class RawLink:
    """A connection that sends what it is told, bytes for bytes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, framing: Framing
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.framing = framing
        self._deframer = Deframer(framing)
        self._frames: list[bytes] = []

    def send(self, body: bytes) -> None:
        """Send one frame."""
        self.writer.write(self.framing.wrap(body))

    async def receive(self) -> bytes | None:
        """Return the next frame, or None if the other end closed."""
        async with asyncio.timeout(5):
            while not self._frames:
                data = await self.reader.read(65_536)
                if not data:
                    return None
                self._frames += self._deframer.feed(data)
        return self._frames.pop(0)

    async def is_closed(self) -> bool:
        """Wait for the other end to close; what still came is dropped."""
        try:
            while await self.receive() is not None:
                pass
        except ConnectionError:
            pass
        return True

    def close(self) -> None:
        """Go away at once."""
        self.writer.transport.abort()


@asynccontextmanager
async def edge(
    folder: Path,
    members: dict[str, Participant] | None = None,
    clock: Clock | None = None,
    **bounds: Any,
) -> AsyncIterator[EdgeWorld]:
    """Open a port on a free one; whatever failed in it fails the test."""
    shown = clock or SystemClock()
    wire_log = WireLog(folder / "wire", clock=shown, bytes_max=1 << 24)
    world = EdgeWorld(shown, MEMBERS if members is None else members, wire_log, **bounds)
    await world.acceptor.start(world.sessions)
    try:
        yield world
    finally:
        await world.close()


def a_transfer(code: str, stan: int, **changes: str) -> Fields:
    """Return the 0200 of a transfer."""
    fields = {
        "t": "0200",
        "3": "400000",
        "4": f"{100 + stan:012}",
        "7": "0115151500",
        "11": f"{stan:06}",
        "12": "101500",
        "13": "0115",
        "32": code,
        "37": f"{stan:012}",
        "41": "TERM0001",
        "49": "604",
        "102": "97500100000000000101",
        "103": "97600100000000000202",
    }
    return fields | changes


async def until(condition: Callable[[], bool], what: str = "it") -> None:
    """Wait until something is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)
    del what


assert KEY_BYTES["x9.19"] == KEY_BYTES["aes-cmac"] == len(KEK)


ASCII = codec("ascii-1987")


async def sign_on(link: RawLink, code: str = "0991", stan: int = 1) -> Fields:
    """Sign a bare link of a participant without MAC on."""
    request = {"t": "0800", "7": "0115151500", "11": f"{stan:06}", "32": code, "70": SIGN_ON}
    link.send(ASCII.encode(request))
    return await answer_of(link)


async def answer_of(link: RawLink) -> Fields:
    """Return the next message on a bare link without MAC."""
    body = await link.receive()
    assert body is not None
    return ASCII.decode(body)


async def ask_core(world: EdgeWorld, code: str, stan: int) -> Fields:
    """Have the switch ask a participant, as its peers do."""
    prepared = codec(world.members[code].iso8583.spec).encode(a_transfer("0970", stan))
    return await world.peers.ask_prepared(code, prepared, "")
