"""A clearing house in one process: the real parts over SQLite, with scripted creditors."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from clearing.ledger_sqlite import SqliteLedger
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.clock import to_ms
from scheme.errors import NoAnswer, NotConnected
from scheme.ledger import NATIONAL, Account, OpenPosition, Owed
from scheme.messages import AV1, AV2, AV3, AV4, CT1, CT2, CT3, CT4, Message
from scheme.network import Participant
from scheme.profile import Profile
from scheme.wire.tin_json import decode
from switch.core.sessions import Session
from switch.flight import Answer
from switch.house import House
from switch.ports import Delivery
from switch.store import SqliteStore
from switch.tasks import Tasks

START = datetime(2026, 1, 15, 15, 15, 0, tzinfo=UTC)
"""10:15:00 in Lima, fifteen seconds before the first example of the wire."""
WINDOW = "national-PEN-20260115"
PREFUND = 1_000_000_00
GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> bytes:
    """Return the bytes of a golden message."""
    return (GOLDEN / f"{name}.json").read_bytes()


def fleet(**changes: Any) -> dict[str, Participant]:
    """Return the small network of the tests: 0970 pays 0971, 0988 listens too."""
    members = {
        code: Participant(
            code=code,
            name=f"SIMULADA {code}",
            kind="coop",
            simulated=False,
            url=f"http://127.0.0.1:1/{code}",
        )
        for code in ("0970", "0971", "0988", "0002")
    }
    return {code: replace(one, **changes.get(code, {})) for code, one in members.items()}


class ScriptedPeers:
    """Creditors' agents that do what the test says.

    Attributes:
        sent: every message that left, with its receiver.
        delivered: every attempt to deliver an owed message.
        behaviours: what the next orders do: a function from CT2 to CT3, an exception, or a
            future of either; when it runs out everything is accepted.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.delivered: list[Owed] = []
        self.on_av2: deque[Any] = deque()
        self.on_ct2: deque[Any] = deque()
        self.deliveries: deque[Any] = deque()
        self.acknowledge: Callable[[Owed], Delivery] = lambda _: Delivery(acknowledged=True)

    async def ask(self, participant: str, message: Message, subject: str) -> Message:
        """Answer as scripted."""
        self.sent.append((participant, message))
        if isinstance(message, AV2):
            behaviour = self.on_av2.popleft() if self.on_av2 else accept_query
        else:
            assert isinstance(message, CT2)
            behaviour = self.on_ct2.popleft() if self.on_ct2 else accept_order
        await asyncio.sleep(0)
        if isinstance(behaviour, asyncio.Future):
            behaviour = await behaviour
        if isinstance(behaviour, Exception):
            raise behaviour
        answer: Message = behaviour(message)
        return answer

    async def deliver(self, owed: Owed) -> Delivery:
        """Take an owed message as scripted."""
        self.delivered.append(owed)
        await asyncio.sleep(0)
        return self.acknowledge(owed)

    def orders(self) -> list[CT2]:
        """Return the CT2 that left."""
        return [message for _, message in self.sent if isinstance(message, CT2)]


def accept_query(av2: Message) -> AV3:
    """Answer a query with 00."""
    assert isinstance(av2, AV2)
    fields = {name: getattr(av2, name, None) for name in AV3.__struct_fields__}
    fields |= {
        "responseCode": "00",
        "creditorName": "SOCIO DOS DEMO ENSAYO",
        "creditorId": "00000202",
        "creditorIdCode": "2",
        "sameCustomerFlag": "O",
    }
    return AV3(**fields)


def accept_order(ct2: Message) -> CT3:
    """Authorise an order."""
    return answer_order(ct2, "00", None)


def refuse_order(reason: str) -> Callable[[Message], CT3]:
    """Return a behaviour that refuses with a reason."""
    return lambda ct2: answer_order(ct2, "05", reason)


def answer_order(ct2: Message, code: str, reason: str | None) -> CT3:
    """Answer an order."""
    assert isinstance(ct2, CT2)
    fields = {name: getattr(ct2, name, None) for name in CT3.__struct_fields__}
    fields |= {"responseCode": code, "reasonCode": reason}
    fields |= {"responseDate": ct2.creationDate, "responseTime": ct2.creationTime}
    return CT3(**fields)


class NoDirectory:
    """A directory that knows one phone and one token."""

    def resolve_phone(self, phone: str, code: str) -> Any:
        """Resolve the phone of the examples."""
        return _Found("0971", "97100220030040050213") if phone == "900000202" else None

    def resolve_token(self, token: str, code: str) -> Any:
        """Resolve the token of the examples."""
        return _Found("0002", "00299910000000000159") if token.startswith("ea78") else None


class _Found(msgspec.Struct, frozen=True):
    participant: str
    cci: str


class World:
    """One run of the clearing house; the same folder can be opened again after a crash."""

    def __init__(
        self,
        house: House,
        ledger: SqliteLedger,
        store: SqliteStore,
        peers: ScriptedPeers,
        clock: ManualClock,
    ) -> None:
        self.house = house
        self.ledger = ledger
        self.store = store
        self.peers = peers
        self.clock = clock
        self.failures: list[BaseException] = []

    async def verify(self, name: str = "AV1-by-cci", **changes: Any) -> AV4:
        """Send a query and return its answer."""
        av1 = replace(decode(golden(name), AV1), **changes)
        return decode((await self.house.verifier.query(av1)).body, AV4)

    def ct1(self, reference: str, **changes: Any) -> CT1:
        """Return the order of the example, quoting a verification."""
        ct1 = decode(golden("CT1-by-cci"), CT1)
        return replace(ct1, referenceTransactionId=reference, **changes)

    async def pay(self, **changes: Any) -> CT4:
        """Verify and order; return the outcome."""
        av4 = await self.verify(trace=changes.pop("av_trace", "000123"))
        return await self.order(self.ct1(av4.instructionId, **changes))

    async def order(self, ct1: CT1) -> CT4:
        """Send an order and return its outcome."""
        return decode((await self.send(ct1)).body, CT4)

    async def send(self, ct1: CT1) -> Answer:
        """Send an order and return the answer's bytes."""
        return await self.house.router.order(ct1)

    def state(self, instruction: str) -> str:
        """Return the state on disk."""
        row = self.store.row(instruction)
        return "" if row is None else row.state

    def balance(self, owner: str) -> int:
        """Return a balance in memory."""
        position = self.ledger.position(account(owner))
        assert position is not None
        return position.balance_minor

    def available(self, owner: str) -> int:
        """Return what is available in memory."""
        position = self.ledger.position(account(owner))
        assert position is not None
        return position.available_minor

    async def settle(self, turns: int = 60) -> None:
        """Let everything that is ready run, the disk included."""
        for _ in range(turns):
            await asyncio.sleep(0)
        await self.ledger.drain()
        for _ in range(turns):
            await asyncio.sleep(0)
        await self.ledger.drain()


def account(owner: str) -> Account:
    """Return the PEN position of an owner in the national ledger."""
    return Account(ledger=NATIONAL, currency="PEN", owner=owner)


@asynccontextmanager
async def world(
    folder: Path,
    *,
    members: Mapping[str, Participant] | None = None,
    profile: Profile | None = None,
    peers: ScriptedPeers | None = None,
    start: datetime = START,
    signed_on: bool = True,
    prefund: int = PREFUND,
) -> AsyncIterator[World]:
    """Open a clearing house over a folder; leaving it is a crash, nothing is drained."""
    members = fleet() if members is None else members
    profile = profile or load_profile("peru")
    peers = peers or ScriptedPeers()
    clock = ManualClock(start)
    failures: list[BaseException] = []
    path = str(folder / "ledger.db")
    ledger = SqliteLedger.open(path, on_failure=failures.append, now_ms=to_ms(start))
    positions = [
        OpenPosition(
            account=account(code),
            prefund_minor=prefund,
            low_minor=prefund // 4,
            high_minor=prefund * 3 // 10,
            window=WINDOW,
            at_ms=to_ms(start),
        )
        for code in members
    ]
    await ledger.apply(positions)
    store = SqliteStore(path)
    try:
        async with asyncio.TaskGroup() as group:
            house = House(
                ledger=ledger,
                store=store,
                peers=peers,
                directory=NoDirectory(),
                fleet=members,
                profile=profile,
                clock=clock,
                started=start,
                window_of=lambda currency: (f"national-{currency}-20260115", "20260115"),
                spawn=Tasks(group).spawn,
            )
            await house.recover()
            if signed_on:
                for code in members:
                    if not house.sessions.state.session(code).signed_on:
                        await house.sessions.sign(code, on=True)
            made = World(house, ledger, store, peers, clock)
            made.failures = failures
            await made.settle()
            peers.delivered.clear()
            peers.sent.clear()
            yield made
            for task in group._tasks:
                task.cancel()
    finally:
        store.close()
        await ledger.drain()
        ledger.close()


__all__ = [
    "NoAnswer",
    "NotConnected",
    "ScriptedPeers",
    "Session",
    "World",
    "random",
    "timedelta",
    "world",
]
