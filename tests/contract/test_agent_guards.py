"""What protects the agent lane: old books, old clocks, outages, overload, terminals that flood."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scheme.limits import AGENT_BATCH_MAX
from scheme.network import AgentGroup, Fleet, Participant
from scheme.wire.agent_payload import Fault, Hello, Items, Kind, Missing, Verdicts, Welcome
from scheme.wire.iso8583_spec import Fields
from switch.agent_terminal import AGAIN, RETRY_S
from switch.agent_views import _LINES_MAX, Finding, Findings
from tests.contract.test_cash_agents import FLEET, lane
from tests.support.agent_world import (
    AT_BANK,
    DEVICE,
    NOW_S,
    SECOND,
    AgentWorld,
    agent_world,
    an_operation,
)
from tests.support.fleet_world import CREDITOR_CCI

HOUR = timedelta(hours=1)


# --- an agents.db that is older than the ledger


async def with_old_books(path: Path) -> AgentWorld:
    """Return a world whose terminal has carried out three operations that the disk forgot."""
    world = AgentWorld(path / "agents.db")
    await world.begin()
    await world.hello()
    await world.sends(*(an_operation(seq) for seq in (1, 2, 3)))
    assert await world.answered([1, 2, 3]) == ["00"] * 3
    await world.end()
    world._path = str(path / "older.db")
    await world.clock.advance(20 * HOUR)
    await world.begin()
    await world.hello()
    world.told.clear()
    world.verdicts.clear()
    return world


async def test_a_terminal_that_knows_more_than_the_books_has_no_session(tmp_path: Path) -> None:
    world = await with_old_books(tmp_path)
    await world.hello(session=2, first=4, next=4)
    (fault,) = world.messages(Fault)
    assert world.messages(Welcome) == []
    assert (fault.code, fault.text.split(":")[0]) == ("behind", "first")
    assert [(one.code, one.rule) for one in world.desk.findings()] == [("behind", fault.text)]
    # Not even by a number of a session that is known: nothing is asked for, nothing is taken.
    await world.sends(an_operation(1, at=NOW_S + 20 * 3600))
    await world.quiet()
    assert world.messages(Missing) == []
    assert world.desk.devices("", 1)[0].expected == 1
    assert len(world.house.moved) == 3
    await world.end()


async def test_an_operator_lets_pass_what_a_terminal_knows_more(tmp_path: Path) -> None:
    world = await with_old_books(tmp_path)
    await world.hello(session=2, first=4, next=4)
    await world.desk.restore(DEVICE)
    await world.hello(session=3, first=4, next=4)
    await world.quiet()
    assert world.messages(Missing) == [Missing(3, ((1, 3),))]
    # What is said again is as old as it is, and is not paid on another day.
    await world.sends(*(an_operation(seq) for seq in (1, 2, 3)), session=3)
    assert await world.answered([1, 2, 3]) == ["68"] * 3
    assert len(world.house.moved) == 3
    await world.hello(session=4, first=9, next=9)
    assert [one.code for one in world.messages(Fault)] == ["behind"] * 2, "only what it had said"
    await world.hello(session=5, first=4, next=4)
    assert world.messages(Welcome)[-1].expected == 4
    await world.end()


async def test_what_the_books_forgot_is_not_paid_again_on_another_day(tmp_path: Path) -> None:
    world = await with_old_books(tmp_path)
    # Its verdicts had never reached the terminal, which says it again as it was made: live.
    await world.hello(session=2, first=1, next=4)
    await world.sends(*(an_operation(seq) for seq in (1, 2, 3)), session=2)
    assert await world.answered([1, 2, 3]) == ["68"] * 3
    assert len(world.house.moved) == 3
    await world.end()


async def test_what_says_that_it_is_live_and_is_old_counts_as_made_alone(tmp_path: Path) -> None:
    rules: dict[str, Any] = {"skew_s": 60.0, "offline_s": 3600.0, "offline_count": 2}
    async with agent_world(tmp_path, **rules) as world:
        ages = (61, 3600, 61, 60, 3601)
        await world.sends(
            *(an_operation(seq, at=NOW_S - age) for seq, age in enumerate(ages, start=1))
        )
        assert await world.answered(range(1, 6)) == ["00", "00", "65", "00", "68"]
        assert world.store.tally("0992-0001", "20260115")[0] == 2


# --- institutions without a link


async def test_an_outage_holds_up_a_terminal_once_and_not_each_operation(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND)) as world:
        world.away.add("0970")
        made = [an_operation(seq, offline=True) for seq in range(1, 51)]
        await world.sends(*made)
        await world.sends(an_operation(51, account=AT_BANK))
        await world.quiet()
        assert not world.verdicts[DEVICE]
        for _ in RETRY_S:
            await world.clock.advance(timedelta(seconds=sum(RETRY_S) / len(RETRY_S) + 1))
            await world.quiet()
        assert await world.answered(range(1, 52)) == ["00"] * 51
        # Another terminal meets the same outage, which has lasted long enough.
        await world.sends(an_operation(1, SECOND, offline=True), device=SECOND)
        assert await world.answered([1], SECOND) == ["00"]


async def test_each_outage_has_its_own_grace(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        world.away.add("0970")
        await world.sends(an_operation(1, offline=True))
        await world.quiet()
        await world.clock.advance(timedelta(seconds=sum(RETRY_S)))
        assert await world.answered([1]) == ["00"]
        world.away.clear()
        await world.sends(an_operation(2))
        assert await world.answered([2]) == ["00"]
        world.away.add("0970")
        await world.sends(an_operation(3, offline=True))
        await world.quiet()
        assert 3 not in world.verdicts[DEVICE]
        world.away.clear()
        await world.clock.advance(timedelta(seconds=1))
        assert await world.answered([3]) == ["00"]


async def test_a_full_clearing_house_is_no_verdict(tmp_path: Path) -> None:
    async with lane(tmp_path) as (here, _):
        answers: list[Fields | None] = []

        async def handle(acquirer: Participant, fields: Fields) -> Fields | None:
            answers.append(await here.desk.handle(acquirer, fields))
            return answers[-1]

        world = AgentWorld(tmp_path / "agents.db", handle=handle)
        groups = (AgentGroup(institution="0992", agents=1, devices=1),)
        world.fleet = Fleet(participant=tuple(FLEET.values()), agents=groups)
        world.clock = here.one.clock
        await world.begin()
        await world.hello()
        router = here.one.house.router
        most, router._in_flight_max = router._in_flight_max, 0
        await world.sends(an_operation(1, account=CREDITOR_CCI))
        await world.until(lambda: answers == [None])
        await world.quiet()
        assert not world.verdicts[DEVICE]
        router._in_flight_max = most
        await world.clock.advance(timedelta(seconds=RETRY_S[0]))
        assert await world.answered([1]) == ["00"]
        assert len(answers) == 2
        await world.end()


# --- a terminal that says too much


async def with_verdicts(world: AgentWorld, count: int) -> None:
    for start in range(1, count, AGENT_BATCH_MAX):
        some = range(start, start + AGENT_BATCH_MAX)
        await world.sends(*(an_operation(seq, kind=Kind.VOID) for seq in some))
        await world.answered(some)
    world.told.clear()


async def test_hellos_bring_all_verdicts_only_once_in_two_seconds(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await with_verdicts(world, 100)
        for number in range(2, 10):
            await world.hello(session=number, first=1 + number % 2, next=101)
            await world.quiet()
        assert len(world.messages(Welcome)) == 8
        assert len(world.messages(Verdicts)) == 2
        await world.clock.advance(AGAIN)
        await world.hello(session=11, first=1, next=101)
        await world.quiet()
        assert len(world.messages(Verdicts)) == 4


async def test_items_are_compared_only_once_in_two_seconds(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await with_verdicts(world, 100)
        everything = Items(1, ((1, b"x" * 8), (100, b"y" * 8)))
        for _ in range(5):
            await world.says(everything)
            await world.quiet()
        told = sum(len(one.verdicts) for one in world.messages(Verdicts))
        assert told == 100
        await world.clock.advance(AGAIN)
        await world.says(everything)
        await world.quiet()
        assert sum(len(one.verdicts) for one in world.messages(Verdicts)) == 2 * told


async def test_items_in_several_payloads_are_all_compared(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await with_verdicts(world, 150)
        for start in (1, 51, 101):
            await world.says(Items(1, tuple((seq, b"x" * 8) for seq in range(start, start + 50))))
        await world.quiet()
        assert [one.verdicts[0].seq for one in world.messages(Verdicts)] == [1, 51, 101]


async def test_what_is_told_again_waits_while_much_is_to_be_sent(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND)) as world:
        await with_verdicts(world, 100)
        world.is_behind = True
        await world.hello(session=2, first=1, next=101)
        await world.says(Items(2, ((1, b"x" * 8), (100, b"y" * 8))))
        await world.quiet()
        assert world.messages(Verdicts) == []
        # What is due does not wait.
        await world.sends(an_operation(1, SECOND), device=SECOND)
        assert await world.answered([1], SECOND) == ["00"]
        world.is_behind = False
        await world.clock.advance(timedelta(seconds=1))
        await world.quiet()
        assert sum(len(one.verdicts) for one in world.messages(Verdicts)) == 200


async def test_a_clock_that_is_set_back_does_not_silence_the_desk(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(2))
        await world.quiet()
        assert len(world.messages(Missing)) == 1
        world.clock._now -= HOUR
        await world.says(Hello(2, 1, 3, NOW_S - 3600))
        await world.quiet()
        assert len(world.messages(Missing)) == 2


async def test_forged_operations_do_not_fill_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with agent_world(tmp_path) as world:
        for seq in range(1, 200):
            await world.sends(replace(an_operation(seq), mac=b"x" * 8))
        assert len(world.desk.findings()) == 199
    assert capsys.readouterr().out.count("agent finding") == _LINES_MAX


def test_the_log_has_room_for_each_terminal_in_each_minute() -> None:
    findings = Findings()

    def lines(device: str, at_ms: int) -> int:
        made = (Finding(at_ms=at_ms, device=device, seq=n, code="63", rule="") for n in range(99))
        return sum(findings.add(one) for one in made)

    assert [lines(DEVICE, 0), lines(SECOND, 59_999), lines(DEVICE, 1)] == [_LINES_MAX] * 2 + [0]
    assert lines(DEVICE, 60_000) == _LINES_MAX
