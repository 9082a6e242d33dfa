"""Float and offline limits of an agent: exact with its terminals at once, and after a restart."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from scheme.wire.agent_payload import Kind, Welcome
from tests.support.agent_world import (
    AT_BANK,
    DEVICE,
    OTHERS,
    SECOND,
    AgentWorld,
    agent_world,
    an_operation,
)

PEN = {"PEN": 2500, "USD": 0}


def float_of(world: AgentWorld) -> int:
    return world.desk.tills()[0].float_minor


async def test_cash_taken_lowers_the_float_and_cash_out_raises_it(tmp_path: Path) -> None:
    async with agent_world(tmp_path, float_minor=PEN) as world:
        kinds = (
            Kind.CREDIT_PAYMENT,
            Kind.CONTRIBUTION,
            Kind.TRANSFER,
            Kind.CASH_OUT,
            Kind.TRANSFER,
        )
        await world.sends(*(an_operation(seq, kind=kind) for seq, kind in enumerate(kinds, 1)))
        assert await world.answered(range(1, 6)) == ["00", "00", "51", "00", "00"]
        assert float_of(world) == 500
        till = world.desk.tills()[0]
        assert (till.opening, till.taken, till.paid, till.reserved) == (2500, 3000, 1000, 0)
        world.check_books()


async def test_two_terminals_that_race_for_the_last_of_the_float_do_not_both_have_it(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND), float_minor=PEN) as world:
        gate = world.house.gates["0970"] = asyncio.Event()
        await world.sends(an_operation(1, minor=1500))
        await world.sends(an_operation(1, SECOND, minor=1500), device=SECOND)
        assert await world.answered([1], SECOND) == ["51"]
        gate.set()
        assert await world.answered([1]) == ["00"]
        assert float_of(world) == 1000


async def test_what_is_refused_gives_its_float_and_its_share_of_the_day_back(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path, float_minor=PEN, offline_count=1) as world:
        world.house.refuse["000001"] = "14"
        await world.sends(
            an_operation(1, minor=2500, offline=True), an_operation(2, minor=2500, offline=True)
        )
        assert await world.answered([1, 2]) == ["14", "00"]
        assert float_of(world) == 0


async def test_the_offline_limits_are_the_agents_and_those_of_a_day(tmp_path: Path) -> None:
    rules: dict[str, Any] = {"offline_count": 3, "offline_minor": {"PEN": 2500, "USD": 0}}
    async with agent_world(tmp_path, hello=(DEVICE, SECOND, OTHERS), **rules) as world:
        await world.sends(an_operation(1, offline=True), an_operation(2, offline=True))
        assert await world.answered([1, 2]) == ["00", "00"]
        await world.sends(
            an_operation(1, SECOND, offline=True),
            an_operation(2, SECOND, offline=True, minor=500),
            an_operation(3, SECOND, offline=True, minor=1),
            an_operation(4, SECOND, offline=True, kind=Kind.BALANCE, minor=0),
            an_operation(5, SECOND),
            device=SECOND,
        )
        assert await world.answered(range(1, 6), SECOND) == ["61", "00", "65", "65", "00"]
        await world.sends(an_operation(1, OTHERS, offline=True), device=OTHERS)
        assert await world.answered([1], OTHERS) == ["00"], "another agent has its own"
        # Fourteen hours later it is the next day in Lima.
        await world.clock.advance(timedelta(hours=14))
        await world.hello(session=2)
        await world.sends(an_operation(3, offline=True, at=1768490100 + 50_000), session=2)
        assert await world.answered([3]) == ["00"]


async def test_a_lease_is_what_is_left_divided_among_the_terminals(tmp_path: Path) -> None:
    rules: dict[str, Any] = {"offline_count": 9, "offline_minor": {"PEN": 5001, "USD": 70}}
    async with agent_world(tmp_path, float_minor=PEN, **rules) as world:
        await world.sends(an_operation(1, offline=True), an_operation(2))
        await world.answered([1, 2])
        await world.hello(session=2)
        welcome = world.messages(Welcome)[-1]
        assert (welcome.offline_count, welcome.offline_minor) == (4, (2000, 35))
        assert welcome.float_minor == (250, 0)


async def test_an_operation_above_the_largest_is_refused(tmp_path: Path) -> None:
    async with agent_world(tmp_path, operation_max={"PEN": 1000}) as world:
        await world.sends(
            an_operation(1, minor=1000), an_operation(2, minor=1001), an_operation(3, currency=1)
        )
        assert await world.answered([1, 2, 3]) == ["00", "61", "61"]


async def test_the_limits_are_those_of_before_after_a_restart(tmp_path: Path) -> None:
    rules: dict[str, Any] = {"offline_count": 3, "float_minor": {"PEN": 5000, "USD": 0}}
    async with agent_world(tmp_path, hello=(DEVICE, SECOND), **rules) as world:
        await world.sends(an_operation(1, offline=True), an_operation(2, kind=Kind.CASH_OUT))
        await world.answered([1, 2])
        gate = world.house.gates["0970"] = asyncio.Event()
        await world.sends(an_operation(3, offline=True, minor=4000))
        await world.until(lambda: len(world.house.asked) == 3)
        assert await world.again() == 1
        # What was let through holds its share of float and day while nobody knows its outcome.
        till = world.desk.tills()[0]
        assert (till.taken, till.paid, till.reserved, till.float_minor) == (1000, 1000, 4000, 1000)
        await world.sends(
            an_operation(1, SECOND, minor=1001, account=AT_BANK),
            an_operation(2, SECOND, offline=True, account=AT_BANK),
            an_operation(3, SECOND, offline=True, account=AT_BANK),
            device=SECOND,
        )
        assert await world.answered([1, 2, 3], SECOND) == ["51", "00", "65"]
        gate.set()
        assert await world.answered([3]) == ["00"]
        assert float_of(world) == 0
        world.check_books()


async def test_what_was_let_through_before_a_crash_is_not_refused_after_it(tmp_path: Path) -> None:
    """Its money moved, the verdict was lost, and meanwhile its terminal was revoked."""
    async with agent_world(tmp_path, float_minor={"PEN": 1000}, hello=(DEVICE, SECOND)) as world:
        # Sent while the disk stands still: the outcome comes, the verdict never gets to the disk.
        moved = world.house.moved
        await world.sends(an_operation(1))
        await world.until(lambda: bool(moved))
        await world.end()
        world.verdicts.clear()
        await world.begin()
        await world.sends(an_operation(1, SECOND, account=AT_BANK), device=SECOND)
        await world.sends(an_operation(1))
        assert await world.answered([1]) == ["00"]
        assert await world.answered([1], SECOND) == ["51"]
        world.check_books()


async def test_a_terminal_revoked_while_its_outcome_is_open_still_gets_it(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        world.house.gates["0970"] = asyncio.Event()
        await world.sends(an_operation(1))
        await world.until(lambda: bool(world.house.asked))
        await world.desk.revoke(DEVICE)
        assert await world.again() == 1
        world.house.gates["0970"].set()
        assert await world.answered([1]) == ["00"]
