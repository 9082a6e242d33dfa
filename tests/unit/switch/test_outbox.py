"""What is owed arrives: repeats, back-off, parking, wake, and a bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.clock import from_ms, to_ms
from scheme.ledger import APPLIED, Advance, Command, Owed, Result, StrikeOff
from scheme.limits import OUTBOX_CONCURRENCY_PER_PEER
from switch import outbox as outbox_module
from switch.outbox import Outbox, backoff_s
from switch.ports import Delivery, OwedRow
from tests.support.switch_world import quiet

START = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
TIMERS = load_profile("peru").timers
YES, NO = Delivery(acknowledged=True), Delivery(acknowledged=False)


class Disk:
    """The ledger and the store: keeps what is owed until it is struck off."""

    is_full = False

    def __init__(self) -> None:
        self.rows: dict[str, OwedRow] = {}
        self.applied: list[Command] = []
        self.delay: Callable[[], Coroutine[Any, Any, None]] | None = None

    def owe(self, *owed: Owed) -> Sequence[Owed]:
        self.rows |= {one.owed_id: OwedRow(one, None) for one in owed}
        return owed

    async def apply(self, batch: Sequence[Command]) -> Sequence[Result]:
        if self.delay is not None:
            await self.delay()
        for command in batch:
            self.applied.append(command)
            match command:
                case StrikeOff(owed_ids=ids, parked=True, at_ms=at_ms):
                    for owed_id in ids:
                        self.rows[owed_id] = replace(self.rows[owed_id], parked_ms=at_ms)
                case StrikeOff(owed_ids=ids) | Advance(struck=ids):
                    for owed_id in ids:
                        self.rows.pop(owed_id, None)
                case _:
                    raise AssertionError(command)
        return [APPLIED for _ in batch]

    def lacks(self, _: str) -> bool:
        raise AssertionError("nobody asks for orders here")

    def position(self, _: object) -> None:
        return None

    def owed_to(self, participant: str, *, limit: int) -> Sequence[OwedRow]:
        found = [
            row
            for row in self.rows.values()
            if row.owed.participant == participant and row.parked_ms is None
        ]
        return sorted(found, key=lambda row: row.owed.due_ms)[:limit]

    def peers_owed(self) -> Sequence[str]:
        return sorted({r.owed.participant for r in self.rows.values() if r.parked_ms is None})


class Peers:
    """Notes every attempt, and answers as the test says."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.attempts: list[tuple[float, Owed]] = []
        self.repeats: list[bool] = []
        self.say: Callable[[Owed], Any] = lambda _: YES

    def prepare(self, *_: object) -> bytes:
        raise AssertionError

    async def ask(self, *_: object) -> Any:
        raise AssertionError

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        self.repeats.append(repeated)
        self.attempts.append(((self._clock.now() - START).total_seconds(), owed))
        said = self.say(owed)
        if isinstance(said, asyncio.Future):
            said = await said
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, Delivery)
        return said

    def times(self, owed_id: str) -> list[float]:
        return [at for at, owed in self.attempts if owed.owed_id == owed_id]


class Desk:
    """An outbox with everything around it."""

    def __init__(self, *, ct5_deliveries: int = 0) -> None:
        self.clock = ManualClock(START)
        self.disk = Disk()
        self.peers = Peers(self.clock)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.timers = replace(TIMERS, ct5_deliveries=ct5_deliveries)
        self.outbox = self.made()

    def made(self) -> Outbox:
        return Outbox(
            ledger=self.disk,
            messages=self.disk,
            peers=self.peers,
            timers=self.timers,
            clock=self.clock,
            spawn=lambda work: self.tasks.add(asyncio.create_task(work)),
        )

    def owe(self, *names: str, **changes: Any) -> Sequence[Owed]:
        owed = self.disk.owe(*[an_owed(name, **changes) for name in names])
        self.outbox.take(owed)
        return owed

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(timedelta(0), turns=12)
        await self.clock.advance(timedelta(seconds=seconds), turns=12)


def an_owed(name: str, *, participant: str = "0971", message: str = "CT5") -> Owed:
    return Owed(
        owed_id=name,
        participant=participant,
        message=message,
        body=name.encode(),
        subject=f"order-{name}",
        due_ms=to_ms(START),
    )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    with quiet():
        made = Desk()
        yield made
        for task in made.tasks:
            task.cancel()


async def test_what_is_acknowledged_is_struck_off_with_its_state(desk: Desk) -> None:
    desk.owe("a")
    desk.owe("b", message="CTC1")
    desk.owe("c", message="SNM981")
    await desk.advance(0)
    assert desk.disk.rows == {}
    assert [(c.transfer_id, c.state) for c in desk.disk.applied if isinstance(c, Advance)] == [
        ("order-a", "CONFIRMED"),
        ("order-b", "CANCELLED"),
    ]
    assert [c.owed_ids for c in desk.disk.applied if isinstance(c, StrikeOff)] == [("c",)]


async def test_a_refused_cancellation_is_acknowledged_and_leaves_a_dispute(desk: Desk) -> None:
    desk.peers.say = lambda _: Delivery(acknowledged=True, refused=True)
    desk.owe("a", message="CTC1")
    await desk.advance(0)
    (command,) = desk.disk.applied
    assert isinstance(command, Advance)
    assert command.state == "DISPUTED"


@pytest.mark.parametrize("message", ["CTC1", "0420"])
@pytest.mark.parametrize(("refused", "state"), [(False, "CANCELLED"), (True, "DISPUTED")])
async def test_a_cancellation_of_either_lane_ends_the_order(
    desk: Desk, message: str, refused: bool, state: str
) -> None:
    desk.peers.say = lambda _: Delivery(acknowledged=True, refused=refused)
    desk.owe("a", message=message)
    await desk.advance(0)
    assert [c.state for c in desk.disk.applied if isinstance(c, Advance)] == [state]


async def test_what_may_have_been_sent_before_says_so(desk: Desk) -> None:
    desk.peers.say = lambda _: NO
    (owed,) = desk.owe("a", message="0420")
    await desk.advance(4)
    assert desk.peers.repeats == [False, True, True]
    desk.outbox.close()
    desk.peers.repeats.clear()
    desk.outbox = desk.made()
    desk.outbox.start()
    await desk.advance(0)
    assert desk.peers.repeats == [True], "a former process may have sent it"
    desk.outbox.resend(owed)
    await desk.advance(0)
    assert desk.peers.repeats == [True, True]


async def test_repeats_come_after_1_2_4_to_60_seconds_and_are_the_same_bytes(desk: Desk) -> None:
    desk.peers.say = lambda _: NO
    desk.owe("a")
    await desk.advance(200)
    assert desk.peers.times("a") == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert {owed.body for _, owed in desk.peers.attempts} == {b"a"}
    assert [backoff_s(n, TIMERS) for n in (1, 2, 3, 7, 8, 99)] == [1, 2, 4, 60, 60, 60]


async def test_a_peer_that_says_nothing_is_given_up_and_tried_again(desk: Desk) -> None:
    desk.peers.say = lambda _: asyncio.get_running_loop().create_future()
    desk.owe("a")
    await desk.advance(30)
    assert desk.peers.times("a") == [0, 11, 23]


async def test_a_delivery_that_fails_in_an_unforeseen_way_stays_owed(desk: Desk) -> None:
    said: list[Any] = [ValueError("a bug"), YES]
    desk.peers.say = lambda _: said.pop(0)
    desk.owe("a")
    await desk.advance(5)
    assert desk.peers.times("a") == [0, 1]
    assert desk.disk.rows == {}


async def test_one_peers_silence_delays_nobody_else(desk: Desk) -> None:
    silent = asyncio.get_running_loop().create_future()
    desk.peers.say = lambda owed: silent if owed.participant == "0971" else YES
    desk.owe(*[f"slow-{n}" for n in range(200)])
    desk.owe("quick", participant="0988")
    await desk.advance(0)
    assert desk.peers.times("quick") == [0]
    assert "quick" not in desk.disk.rows
    assert len(desk.peers.attempts) == 1 + OUTBOX_CONCURRENCY_PER_PEER


async def test_a_sign_on_brings_everything_at_once(desk: Desk) -> None:
    desk.peers.say = lambda _: NO
    desk.owe("a", "b")
    await desk.advance(70)
    desk.peers.say = lambda _: YES
    tried = len(desk.peers.attempts)
    assert desk.outbox.wake("0971") == 2
    await desk.advance(0)
    assert len(desk.peers.attempts) == tried + 2
    assert desk.disk.rows == {}


async def test_after_24_hours_a_message_is_parked_until_a_person_sends_it_again(
    desk: Desk,
) -> None:
    desk.peers.say = lambda _: NO
    (owed,) = desk.owe("a")
    await desk.advance(86_400 + 60)
    parked = desk.disk.rows["a"].parked_ms
    assert parked is not None
    assert from_ms(parked) >= START + timedelta(hours=24)
    tried = len(desk.peers.attempts)
    await desk.advance(86_400)
    assert len(desk.peers.attempts) == tried
    desk.outbox.resend(owed)
    await desk.advance(2)
    assert len(desk.peers.attempts) == tried + 2, "it gets its whole time again"
    desk.peers.say = lambda _: YES
    await desk.advance(60)
    assert desk.disk.rows == {}


async def test_a_message_on_its_way_is_not_sent_a_second_time_by_hand(desk: Desk) -> None:
    desk.peers.say = lambda _: asyncio.get_running_loop().create_future()
    (owed,) = desk.owe("a")
    await desk.advance(0)
    desk.outbox.resend(owed)
    await desk.advance(0)
    assert desk.peers.times("a") == [0]


async def test_a_restart_takes_up_what_is_owed_but_not_what_is_parked(desk: Desk) -> None:
    desk.disk.owe(an_owed("a"), an_owed("b", participant="0988"), an_owed("c"))
    desk.disk.rows["c"] = replace(desk.disk.rows["c"], parked_ms=1)
    desk.made().start()
    await desk.advance(0)
    assert {owed.owed_id for _, owed in desk.peers.attempts} == {"a", "b"}
    assert set(desk.disk.rows) == {"c"}


async def test_a_profile_may_send_a_confirmation_only_once_and_it_is_not_confirmed() -> None:
    with quiet():
        desk = Desk(ct5_deliveries=1)
        desk.peers.say = lambda _: NO
        desk.owe("a")
        desk.owe("b", message="CTC1")
        await desk.advance(10)
        assert desk.peers.times("a") == [0]
        assert len(desk.peers.times("b")) > 1
        assert set(desk.disk.rows) == {"b"}
        assert not any(isinstance(command, Advance) for command in desk.disk.applied)
        desk.outbox.close()


@pytest.mark.parametrize("is_slow", [False, True])
async def test_memory_is_bounded_and_filled_again_from_the_disk_and_nothing_comes_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, is_slow: bool
) -> None:
    monkeypatch.setattr(outbox_module, "OUTBOX_IN_MEMORY_PER_PEER", 5)
    monkeypatch.setattr(outbox_module, "OUTBOX_CONCURRENCY_PER_PEER", 2)
    if is_slow:
        later = desk.clock

        async def delay() -> None:
            await later.sleep_until(later.now() + timedelta(milliseconds=5))

        desk.disk.delay = delay
    names = [f"m-{n:02}" for n in range(23)]
    desk.owe(*names)
    assert sum(1 for _ in desk.outbox.attempts()) <= 5
    for _ in range(40):
        await desk.advance(0.01)
        assert sum(1 for _ in desk.outbox.attempts()) <= 5
    assert desk.disk.rows == {}
    assert sorted(owed.owed_id for _, owed in desk.peers.attempts) == names


async def test_what_keeps_failing_does_not_hide_what_waits_on_the_disk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "OUTBOX_IN_MEMORY_PER_PEER", 5)
    desk.peers.say = lambda owed: YES if owed.owed_id != "m-00" else NO
    names = [f"m-{n:02}" for n in range(12)]
    desk.owe(*names)
    for _ in range(20):
        await desk.advance(1)
    assert list(desk.disk.rows) == ["m-00"]


async def test_time_in_which_nobody_could_deliver_does_not_count_towards_parking(
    desk: Desk,
) -> None:
    desk.peers.say = lambda _: NO
    desk.disk.owe(an_owed("a"))
    await desk.advance(2 * 24 * 3600)
    desk.outbox = desk.made()
    desk.outbox.start()
    await desk.advance(1)
    desk.peers.say = lambda _: YES
    desk.outbox.wake("0971")
    await desk.advance(1)
    assert desk.disk.rows == {}


async def test_what_a_refill_has_found_is_not_taken_a_second_time(desk: Desk) -> None:
    desk.peers.say = lambda _: asyncio.get_running_loop().create_future()
    owed = desk.disk.owe(an_owed("a"))
    desk.outbox.look("0971")
    desk.outbox.take(owed)
    await desk.advance(0)
    assert desk.peers.times("a") == [0]


async def test_a_closed_outbox_begins_nothing(desk: Desk) -> None:
    desk.peers.say = lambda _: NO
    desk.owe("a")
    await desk.advance(0)
    desk.outbox.close()
    desk.owe("b")
    await desk.advance(600)
    assert desk.peers.times("b") == []
    assert desk.peers.times("a") == [0]
    assert set(desk.disk.rows) == {"a", "b"}


async def test_it_is_quiet_once_nothing_is_on_its_way(desk: Desk) -> None:
    answer: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
    desk.peers.say = lambda _: answer
    desk.owe("a")
    waiting = asyncio.create_task(desk.outbox.quiet())
    await desk.advance(1)
    assert not waiting.done()
    answer.set_result(NO)
    await desk.advance(0.1)
    assert waiting.done()
