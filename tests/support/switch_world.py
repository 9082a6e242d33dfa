"""A clearing house in one process: the real parts over SQLite, with scripted creditors."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from inspect import CORO_CREATED, getcoroutinestate
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from clearing.ledger_sqlite import SqliteLedger
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.clock import to_ms
from scheme.errors import StoreError
from scheme.ledger import DALE, NATIONAL, Account, Command, OpenPosition, OpenWindow, Owed
from scheme.messages import AV1, AV2, AV3, AV4, CT1, CT2, CT3, CT4, ET1, ET2, PSR1, PSR2, Message
from scheme.network import Participant
from scheme.profile import Profile
from scheme.wire.iso8583_codec import codec
from scheme.wire.tin_json import decode
from switch.core.iso8583_messages import request_for
from switch.flight import Answer
from switch.house import House
from switch.ports import Delivery, WindowOf
from switch.store import SqliteStore
from switch.tasks import Tasks
from tests.support.forgetful_disk import ForgetfulDisk
from tests.support.gated_disk import GatedDisk

SATURDAY = 5
START = datetime(2026, 1, 15, 15, 15, 0, tzinfo=UTC)
"""10:15:00 in Lima, fifteen seconds before the first example of the wire."""
WINDOW = "national-PEN-20260115-1"
PREFUND = 1_000_000_00
GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> bytes:
    """Return the bytes of a golden message."""
    return (GOLDEN / f"{name}.json").read_bytes()


def fleet(**changes: Any) -> dict[str, Participant]:
    """Return the small network of the tests: 0970 pays 0971, 0988 listens too.

    All of them settle for themselves; ``tiered_fleet`` has coops behind a sponsor.
    """
    members = {
        code: Participant(
            code=code,
            name=f"SIMULADA {code}",
            kind="bank",
            simulated=False,
            url=f"http://127.0.0.1:1/{code}",
        )
        for code in ("0970", "0971", "0988", "0002")
    }
    return {code: replace(one, **changes.get(code, {})) for code, one in members.items()}


def tiered_fleet(**changes: Any) -> dict[str, Participant]:
    """Return the same with 0970 and 0971 as coops of the network, behind 0987."""
    behind = {"kind": "coop", "ledger": DALE, "sponsor": "0987"}
    members = fleet(**{"0970": behind, "0971": behind})
    sponsor = replace(members["0002"], code="0987", name="SIMULADA 0987", kind="sponsor")
    members = {**members, "0987": sponsor}
    return {code: replace(one, **changes.get(code, {})) for code, one in members.items()}


class ScriptedPeers:
    """Creditors' agents that do what the test says.

    Attributes:
        sent: every message that left, with its receiver.
        prepared: the exact request of each order to a single-message creditor that left.
        delivered: every attempt to deliver an owed message.
        repeats: of each of them, whether it said that it is a repeat.
        on_av2, on_ct2: what the next queries and orders get: a function from the message to its
            answer, an exception, or a future of either; after the last one all is accepted.
        acknowledge: says what becomes of each delivery.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.prepared: dict[str, bytes] = {}
        self.delivered: list[Owed] = []
        self.repeats: list[bool] = []
        self.on_av2: deque[Any] = deque()
        self.on_ct2: deque[Any] = deque()
        self.refusal = Delivery(acknowledged=False, detail="scripted")
        self.acknowledge: Callable[[Owed], Delivery] = lambda _: Delivery(acknowledged=True)

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        """Return the 0200 of an order; whoever is not connected cannot be asked."""
        assert isinstance(message, CT2)
        assert message.instructionId == subject
        return an_iso_order(participant, message)

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Answer as scripted."""
        self.sent.append((participant, message))
        if prepared:
            self.prepared[subject] = prepared
        if isinstance(message, ET1):
            return echo(message)
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

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Take an owed message as scripted."""
        self.delivered.append(owed)
        self.repeats.append(repeated)
        await asyncio.sleep(0)
        return self.acknowledge(owed)

    def orders(self) -> list[CT2]:
        """Return the CT2 that left."""
        return [message for _, message in self.sent if isinstance(message, CT2)]


def an_iso_order(participant: str, ct2: CT2) -> bytes:
    """Return the 0200 that a single-message creditor gets for an order."""
    creditor = Participant(code=participant, name="SIMULADA", kind="coop", lane="iso8583")
    fields = request_for(ct2, stan=int(ct2.trace), now=START, creditor=creditor)
    return codec(creditor.iso8583.spec).encode(fields)


def echo(et1: ET1) -> ET2:
    """Answer an echo test."""
    return ET2(
        participantCode=et1.participantCode,
        responseDate=et1.creationDate,
        responseTime=et1.creationTime,
        status="00",
        trace=et1.trace,
    )


def accept_query(av2: Message) -> AV3:
    """Answer a query with 00."""
    assert isinstance(av2, AV2)
    fields: dict[str, Any] = {name: getattr(av2, name, None) for name in AV3.__struct_fields__}
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


def answer_order(ct2: Message, code: str, reason: str | None, **changes: Any) -> CT3:
    """Answer an order."""
    assert isinstance(ct2, CT2)
    fields: dict[str, Any] = {name: getattr(ct2, name, None) for name in CT3.__struct_fields__}
    fields |= {"responseCode": code, "reasonCode": reason}
    fields |= {"responseDate": ct2.creationDate, "responseTime": ct2.creationTime}
    return CT3(**fields | changes)


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
        peers: Any,
        clock: ManualClock,
        disk: GatedDisk,
    ) -> None:
        self.disk = disk
        self.house = house
        self.ledger = ledger
        self.store = store
        self.peers = peers
        self.clock = clock
        self.failures: list[BaseException] = []
        self.expired_at_start = 0

    @property
    def expiry(self) -> timedelta:
        """How long a creditor's agent has to answer an order."""
        return timedelta(seconds=load_profile("peru").timers.ct_expiry_s)

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

    def balance(self, owner: str, ledger: str = NATIONAL) -> int:
        """Return a balance in memory."""
        position = self.ledger.position(account(owner, ledger))
        assert position is not None
        return position.balance_minor

    def available(self, owner: str, ledger: str = NATIONAL) -> int:
        """Return what is available in memory."""
        position = self.ledger.position(account(owner, ledger))
        assert position is not None
        return position.available_minor

    async def settle(self, turns: int = 60) -> None:
        """Let everything that is ready run, the disk included."""
        for _ in range(2):
            for _ in range(turns):
                await asyncio.sleep(0)
            if self.disk.is_open:
                with suppress(StoreError):
                    await self.ledger.drain()

    async def advance(self, seconds: float) -> None:
        """Let the clock go on, and everything that this makes ready."""
        await self.settle()
        await self.clock.advance(timedelta(seconds=seconds))
        await self.settle()

    async def ask(self, instruction: str, *, asker: str = "0971") -> PSR2:
        """Send an enquiry and return its answer."""
        psr1 = replace(
            decode(golden("PSR1"), PSR1), instructionId=instruction, creditorParticipantCode=asker
        )
        return decode((await self.house.enquiries.answer(psr1)).body, PSR2)

    def start(self, ct1: CT1) -> "asyncio.Task[Answer]":
        """Send an order without waiting for its outcome."""
        return asyncio.create_task(self.send(ct1))

    def owed(self) -> Sequence[str]:
        """Return the messages owed on disk, each with its receiver."""
        return sorted(f"{row.owed.message}>{row.owed.participant}" for row in self.store.owed())

    async def audited(self) -> None:
        """Check that every sum is right, recounted from the rows."""
        await self.ledger.drain()
        audit = await self.ledger.audit()
        assert audit.clean, audit


@contextmanager
def quiet() -> Iterator[None]:
    """Let nothing be logged meanwhile: a failing test shows its own output only."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(_: object, __: str, ___: Any) -> Any:
    raise structlog.DropEvent


def account(owner: str, ledger: str = NATIONAL) -> Account:
    """Return the PEN position of an owner."""
    return Account(ledger=ledger, currency="PEN", owner=owner)


@asynccontextmanager
async def world(
    folder: Path,
    *,
    members: Mapping[str, Participant] | None = None,
    profile: Profile | None = None,
    peers: Any = None,
    start: datetime = START,
    signed_on: bool = True,
    prefund: int = PREFUND,
    line: int = PREFUND,
    window_of: WindowOf | None = None,
    is_fresh: bool = True,
    clock: ManualClock | None = None,
    forgetful: ForgetfulDisk | None = None,
) -> AsyncIterator[World]:
    """Open a clearing house over a folder, or a disk that forgets; leaving it is a crash."""
    members = fleet() if members is None else members
    profile = profile or load_profile("peru")
    peers = peers or ScriptedPeers()
    clock = clock or ManualClock(start)
    disk = GatedDisk()
    failures: list[BaseException] = []
    path = str(folder / "ledger.db")
    with quiet():
        ledger = SqliteLedger.open(
            path,
            on_failure=failures.append,
            connect=disk.connect if forgetful is None else forgetful.connect,
            connect_reader=None if forgetful is None else forgetful.connect_reader,
            now_ms=to_ms(start),
        )
        await ledger.apply(_openings(members, prefund, line, start))
        store = SqliteStore(path) if forgetful is None else _StoreOn(forgetful)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = _MortalTasks(group)
                house = House(
                    ledger=ledger,
                    store=store,
                    peers=peers,
                    directory=NoDirectory(),
                    fleet=members,
                    profile=profile,
                    clock=clock,
                    started=start,
                    window_of=window_of or fixed_window,
                    is_business_day=lambda day: day.weekday() < SATURDAY,
                    spawn=tasks.spawn,
                )
                made = World(house, ledger, store, peers, clock, disk)
                made.failures = failures
                made.expired_at_start = await house.recover()
                if signed_on:
                    await _sign_on(house, members)
                await made.settle()
                if is_fresh:
                    _forget_the_start(peers)
                try:
                    yield made
                finally:
                    tasks.end()
        finally:
            disk.release()
            with suppress(StoreError):
                await ledger.drain()
            store.close()
            ledger.close()


def _forget_the_start(peers: Any) -> None:
    for told in (peers.delivered, peers.repeats, peers.sent):
        told.clear()


class _StoreOn(SqliteStore):
    """The store's reads over the one connection that a forgetful disk has."""

    def __init__(self, disk: ForgetfulDisk) -> None:
        # Not the parent's: it opens a file.
        self._connection: Any = disk.connect_reader("")


class _MortalTasks(Tasks):
    """Tasks that end with the process, also those that had not begun."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        super().__init__(group)
        self._works: list[Coroutine[Any, Any, Any]] = []
        self._has_ended = False

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start a task, unless the process is over."""
        if self._has_ended:
            work.close()
            return
        self._works.append(work)
        super().spawn(work)

    def end(self) -> None:
        """End all."""
        self._has_ended = True
        for task in self._group._tasks:
            task.cancel()
        for work in self._works:
            if getcoroutinestate(work) == CORO_CREATED:
                work.close()


class FixedWindow(msgspec.Struct, frozen=True):
    """A window that stays open."""

    id: str
    settlement_date: str


def fixed_window(cycle: str, currency: str) -> FixedWindow:
    """Return the window of the first example's day; the network's settles on the day after."""
    day = "20260116" if cycle == DALE else "20260115"
    return FixedWindow(f"{cycle}-{currency}-{day}-1", day)


async def _sign_on(house: House, members: Mapping[str, Participant]) -> None:
    for code in members:
        if not house.sessions.state.session(code).signed_on:
            await house.sessions.sign(code, on=True)


def an_open_window(cycle: str, at_ms: int = 0) -> OpenWindow:
    """Return the command that opens a cycle's fixed window."""
    window = fixed_window(cycle, "PEN")
    return OpenWindow(
        window=window.id,
        cycle=cycle,
        currency="PEN",
        settlement_date=window.settlement_date,
        number=1,
        opens_ms=at_ms,
        closes_ms=at_ms + 86_400_000,
    )


def _openings(
    members: Mapping[str, Participant], prefund: int, line: int, start: datetime
) -> list[Command]:
    """Open windows and positions: nationally with a prefund, in the network with a line."""
    at_ms = to_ms(start)
    openings: list[Command] = [an_open_window(cycle, at_ms) for cycle in (NATIONAL, DALE)]
    sponsors = {one.sponsor for one in members.values() if one.is_tiered}
    for code, one in members.items():
        if one.is_tiered:
            openings.append(_opening(code, DALE, 0, at_ms, cap=line))
        else:
            openings.append(_opening(code, NATIONAL, prefund, at_ms))
        if code in sponsors:
            openings.append(_opening(code, DALE, 0, at_ms, cap=10**15))
    return openings


def _opening(code: str, ledger: str, prefund: int, at_ms: int, *, cap: int = 0) -> OpenPosition:
    return OpenPosition(
        account=account(code, ledger),
        prefund_minor=prefund,
        low_minor=prefund // 4,
        high_minor=prefund * 3 // 10,
        cap_minor=cap,
        window=fixed_window(ledger, "PEN").id,
        at_ms=at_ms,
    )
