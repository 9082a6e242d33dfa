"""Field agents' desk over its real store, with a scripted clearing house behind it."""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import apsw
from msgspec.structs import replace

from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.clock import to_ms
from scheme.errors import StoreError
from scheme.network import AgentGroup, Fleet, Participant
from scheme.profile import Profile
from scheme.wire.agent_digest import digest_of, sealed
from scheme.wire.agent_payload import (
    Closing,
    Down,
    Hello,
    Kind,
    Operation,
    Operations,
    Up,
    Verdict,
    Verdicts,
    decode_down,
    encode,
)
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import encode_tlv
from switch.agent_desk import AgentDesk
from switch.agent_store import AgentStore
from switch.agent_terminal import RETRY_S, Handle
from tests.support.forgetful_disk import ForgetfulDisk

START = datetime(2026, 1, 15, 15, 15, 0, tzinfo=UTC)
"""10:15:00 in Lima."""
NOW_S = to_ms(START) // 1000
DEVICE = "0992-0001-1"
SECOND = "0992-0001-2"
OTHERS = "0992-0002-1"
MEMBER = "97000100000000014204"
"""An account at a cooperative."""
AT_BANK = "98800100000000014204"
_WAIT_S = 5.0
_RRN_REASONS = {"51": "AM09"}
R = TypeVar("R")


def a_fleet() -> Fleet:
    """Return an institution of two agents with two terminals each, a cooperative and a bank."""
    agents = Participant(code="0992", name="RED DE PRUEBA", kind="acquirer", lane="mqtt")
    coop = Participant(code="0970", name="COOPAC DE PRUEBA", kind="coop", lane="iso8583")
    bank = Participant(code="0988", name="BANCO DE PRUEBA", kind="bank", lane="iso8583")
    groups = (AgentGroup(institution="0992", agents=2, devices=2),)
    return Fleet(participant=(agents, coop, bank), agents=groups)


def a_profile(**rules: Any) -> Profile:
    """Return the scheme's profile with other rules for agents."""
    profile = load_profile("peru")
    return replace(profile, agents=replace(profile.agents, **rules))


def key_of(device: str) -> bytes:
    """Return the key of a terminal."""
    return device.encode() * 3


def an_operation(seq: int, device: str = DEVICE, **changes: Any) -> Operation:
    """Return a sealed operation: ten soles into a member's account, live, unless said otherwise."""
    made = Operation(
        seq=seq,
        op_id=seq.to_bytes(8, "big"),
        kind=Kind.CASH_IN,
        minor=1000,
        currency=0,
        account=MEMBER,
        entity="",
        at=NOW_S,
        offline=False,
    )
    return sealed(key_of(device), device, replace(made, **changes))


class ScriptedHouse:
    """Answers like the desk of the other lane: a key has one outcome for ever.

    Attributes:
        asked: keys, in the order in which they were asked for; moved: amount by key, of those
            that moved money; answers: by key.
        refuse: DE39 by DE37 and DE11, or by institution.
        gates: by institution, closed while they are not set.
        ahead: runs before a request is looked at; raises, or returns None to answer nothing.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, tuple[Fields, Fields]] = {}
        self.moved: dict[str, int] = {}
        self.refuse: dict[str, str] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.faults: list[Exception | None] = []
        self.busy = self.busiest = 0

    async def handle(self, acquirer: Participant, fields: Fields) -> Fields | None:
        """Return the first answer to a request, again and again."""
        key = ":".join((acquirer.code, fields["13"], fields["11"], fields["37"]))
        self.asked.append(key)
        institution = "0" + (fields.get("103") or fields.get("102") or "000")[:3]
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            gate = self.gates.get(institution)
            if gate is not None:
                await gate.wait()
            if self.faults:
                fault = self.faults.pop(0)
                if fault is None:
                    return None
                raise fault
            return self._answer(key, institution, fields)
        finally:
            self.busy -= 1

    def _answer(self, key: str, institution: str, fields: Fields) -> Fields:
        if key in self.answers:
            request, answer = self.answers[key]
            assert request == fields, "a repeat is the same request"
            return answer
        code = self.refuse.get(fields["11"], self.refuse.get(institution, "00"))
        private = {"01": f"T{key}"[:35]}
        if code != "00":
            private |= {"03": _RRN_REASONS.get(code, "FF07"), "04": "DE102: no"}
        answer = {"t": "0210", "39": code, "62": encode_tlv(private)}
        if fields["3"].startswith("31"):
            answer["54"] = "0002604C000000012345"
        self.answers[key] = (fields, answer)
        if code == "00" and "4" in fields:
            self.moved[key] = int(fields["4"])
        return answer


class _Unreadable:
    def execute(self, *_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")


class AgentWorld:
    """A desk that can lose its process, and terminals that remember what they were told.

    Attributes:
        told: everything that was sent, by terminal; verdicts: the last of each number.
        failures: what the store gave up for; bugs: what a task ended with.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        profile: Profile | None = None,
        disk: ForgetfulDisk | None = None,
        handle: Handle | None = None,
    ) -> None:
        self.clock = ManualClock(START)
        self.house = ScriptedHouse()
        self.handle: Handle = handle or self.house.handle
        self.profile = profile or a_profile()
        self.fleet = a_fleet()
        self.told: dict[str, list[Down]] = defaultdict(list)
        self.verdicts: dict[str, dict[int, Verdict]] = defaultdict(dict)
        self.failures: list[BaseException] = []
        self.bugs: list[BaseException] = []
        self.is_deaf = self.is_behind = False
        self.mirrored: list[tuple[str, str, bytes]] = []
        self._path = str(path)
        self._disk = disk
        self._tasks: set[asyncio.Task[None]] = set()
        self.away: set[str] = set()
        self.store: AgentStore
        self.desk: AgentDesk

    async def begin(self) -> int:
        """Start a process over what is on disk; return what it took up."""
        if self._disk is None:
            self.store = AgentStore.open(self._path, on_failure=self.failures.append)
        else:
            self.store = AgentStore.open(
                self._path,
                on_failure=self.failures.append,
                connect=self._disk.connect,
                connect_reader=self._disk.connect_reader,
            )
        self.desk = AgentDesk(
            handle=self.handle,
            store=self.store,
            fleet=self.fleet,
            profile=self.profile,
            clock=self.clock,
            keys=key_of,
            send=self._heard,
            spawn=self._spawn,
            is_away=lambda code: code in self.away,
            is_behind=lambda: self.is_behind,
            on_mirror=lambda *said: self.mirrored.append(said),
        )
        return await self.desk.start()

    async def end(self) -> None:
        """End the process without another word, wherever it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.store.close()
        if self._disk is not None:
            self._disk.disconnect()

    async def again(self) -> int:
        """End the process, and start the next one."""
        await self.end()
        if self._disk is not None:
            self._disk.power_on()
        self.failures.clear()
        return await self.begin()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # A disk that is gone says so in its own way, which is not sqlite3's.
        if error is not None and not isinstance(error, apsw.Error):
            self.bugs.append(error)

    def _heard(self, device: str, payload: bytes) -> None:
        message = decode_down(payload)
        if self.is_deaf:
            return
        self.told[device].append(message)
        if isinstance(message, Verdicts):
            self.verdicts[device].update((one.seq, one) for one in message.verdicts)

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        """Let every read of the disk fail."""
        reader = self.store._reader
        self.store._reader = _Unreadable()
        try:
            yield
        finally:
            self.store._reader = reader

    @contextmanager
    def overloaded(self) -> Iterator[None]:
        """Let as much wait for the disk as may."""
        commit = self.store._commit
        most, commit._queue_max = commit._queue_max, 0
        try:
            yield
        finally:
            commit._queue_max = most

    # --- what terminals do

    async def says(self, message: Up, device: str = DEVICE) -> None:
        """Hand over what a terminal says."""
        await self.desk.receive(device, encode(message))

    async def hello(self, device: str = DEVICE, session: int = 1, **changes: Any) -> None:
        """Open a session, and wait until it is answered."""
        now = to_ms(self.clock.now()) // 1000
        before = len(self.told[device])
        await self.says(replace(Hello(session, 1, 1, now), **changes), device)
        await self.until(lambda: len(self.told[device]) > before)

    async def sends(self, *operations: Operation, device: str = DEVICE, session: int = 1) -> None:
        """Hand operations over in one payload."""
        await self.says(Operations(session, operations), device)

    async def answered(self, seqs: Iterable[int], device: str = DEVICE) -> list[str]:
        """Wait for verdicts; return their codes."""
        wanted = list(seqs)
        await self.until(lambda: all(one in self.verdicts[device] for one in wanted))
        return [self.verdicts[device][one].code for one in wanted]

    async def closes(self, operations: Iterable[Operation], device: str = DEVICE) -> Any:
        """Close a session over operations by the verdicts that were told; return the answer."""
        ended = [(one, self.verdicts[device][one.seq]) for one in operations]
        count, total, xor = digest_of(key_of(device), device, ended)
        first, last = ended[0][0].seq, ended[-1][0].seq
        before = len(self.told[device])
        await self.says(Closing(1, first, last, count, total, xor), device)
        await self.until(lambda: len(self.told[device]) > before)
        return self.told[device][-1]

    def messages(self, kind: type[R], device: str = DEVICE) -> list[R]:
        """Return what a terminal was told of one kind."""
        return [one for one in self.told[device] if isinstance(one, kind)]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that needs no clock to be moved."""
        async with asyncio.timeout(_WAIT_S):
            while not holds():
                if self.failures:
                    raise StoreError("the disk is gone") from self.failures[0]
                await asyncio.sleep(0.0005)

    async def quiet(self) -> None:
        """Let everything run that can."""
        for _ in range(3):
            await self.store.drain()
            for _ in range(20):
                await asyncio.sleep(0)

    def check_books(self) -> None:
        """Money moved once for each approval that was told, and for nothing else."""
        approved = sorted(
            f"{seq:06}:{device[5:9]}0{device[-1]}000000"
            for device, verdicts in self.verdicts.items()
            for seq, one in verdicts.items()
            # A void has no reference, and a balance has data.
            if one.code == "00" and one.reference and not one.data
        )
        assert sorted(key.split(":", 2)[2] for key in self.house.moved) == approved
        assert not self.bugs


@asynccontextmanager
async def agent_world(
    path: Path, *, hello: Iterable[str] = (DEVICE,), **rules: Any
) -> AsyncIterator[AgentWorld]:
    """Yield a world whose terminals have said Hello."""
    world = AgentWorld(path / "agents.db", profile=a_profile(**rules))
    await world.begin()
    try:
        for device in hello:
            await world.hello(device)
        yield world
    finally:
        await world.end()


LONGEST_WAIT_S = max(RETRY_S)
