"""Settlements on a real file: every rule of failure, the queue, and a death at every step."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.clock import ManualClock
from scheme.ledger import DALE, DEFERRED, NATIONAL, Instruct
from scheme.profile import Profile
from tests.support.settlement_world import (
    NOON,
    ClearingWorld,
    Stopped,
    account,
    clearing_world,
    rules,
)

MONDAY = "national-PEN-20261123-1"
NOON_CYCLE = "deferred-PEN-20261123-3"


@asynccontextmanager
async def overdrawn(folder: Path, profile: Profile) -> AsyncIterator[ClearingWorld]:
    """A window in which 0002 sent more than its prefund: 1400 of 1000."""
    async with clearing_world(folder, profile) as world:
        await world.pay("0002", "0003", 1_000)
        await world.pay("0002", "0011", 400)
        await world.until("16:35:15")
        yield world


async def test_a_queued_pay_in_settles_as_soon_as_money_comes(tmp_path: Path) -> None:
    async with overdrawn(tmp_path, rules(cap=500, current=0)) as world:
        await world.turn()
        assert world.instructions(MONDAY) == {"in:0002": "SETTLED", "top:0002": "QUEUED"}
        assert world.money("0003:prefund") == 1_000

        await world.deposit("0002", 400)
        await world.turn()

        assert world.stand(MONDAY).state == "SETTLED"
        assert world.settlement(MONDAY).bearers == ()
        assert await world.is_square()


async def test_the_guarantee_fund_bears_what_it_can_and_the_others_the_rest(
    tmp_path: Path,
) -> None:
    async with overdrawn(tmp_path, rules(cap=500, current=0, fund=100)) as world:
        for code in ("0003", "0011"):
            await world.deposit(code, 900)
        stand = await world.wait_out(MONDAY)

        assert stand.state == "PARTIAL"
        borne = {(one.participant, one.by): one.minor for one in world.settlement(MONDAY).bearers}
        assert borne == {
            ("0002", "itself"): 1_000,
            ("guarantee", "guarantee_fund"): 100,
            ("0003", "loss_sharing"): 214,
            ("0011", "loss_sharing"): 86,
        }
        assert world.money("guarantee") == 0
        assert world.money("settlement") == 0
        assert await world.is_square()


async def test_when_nobody_can_bear_it_it_fails_and_a_person_tries_again(tmp_path: Path) -> None:
    async with overdrawn(tmp_path, rules(cap=500, current=0)) as world:
        assert (await world.wait_out(MONDAY)).state == "FAILED"
        assert world.money("0002:prefund") == 1_000
        assert world.money("settlement") == 0
        await world.turn()
        assert world.stand(MONDAY).state == "FAILED"

        await world.deposit("0002", 400)
        await world.keeper.retry(MONDAY)
        assert (await world.wait_out(MONDAY)).state == "SETTLED"
        assert world.settlement(MONDAY).round == 2
        assert await world.is_square()


async def test_intraday_credit_lets_a_pay_in_through(tmp_path: Path) -> None:
    async with overdrawn(tmp_path, rules(cap=500, current=0, credit=400)) as world:
        await world.turn()

        assert world.stand(MONDAY).state == "SETTLED"
        assert world.money("0002") == -400


async def test_a_sponsor_bears_what_its_coop_cannot_pay(tmp_path: Path) -> None:
    async with clearing_world(tmp_path, rules(coop_current=100)) as world:
        await world.pay("0970", "0971", 300, DALE)
        await world.until("16:20:00")
        stand = await world.wait_out("dale-PEN-20261123-1")

        assert stand.state == "PARTIAL"
        bearers = world.settlement("dale-PEN-20261123-1").bearers
        assert [(one.participant, one.by, one.minor) for one in bearers] == [
            ("0970", "itself", 100),
            ("0987", "sponsor", 200),
        ]
        assert world.money("0970", "sponsor") == 0
        assert await world.is_square()


async def test_an_exchange_cycle_settles_its_held_orders_and_then_they_post(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        orders = [
            await world.hold("0002", "0003", 700, DEFERRED),
            await world.hold("0003", "0011", 100, DEFERRED),
        ]
        window = world.service.window(DEFERRED, "PEN").id
        await world.until("15:00:00")
        await world.turn()

        assert window == NOON_CYCLE
        assert world.stand(window).state == "SETTLED"
        assert world.cycles == [(window, frozenset())]
        for order in orders:
            await world.post(order)
        assert [world.balance(code, DEFERRED) for code in ("0002", "0003", "0011")] == [0, 0, 0]
        assert [world.money(code) for code in ("0002", "0003", "0011")] == [4_300, 5_600, 5_100]
        assert (await world.service.audit()).clean


async def test_orders_of_who_cannot_pay_are_unwound_and_nobody_elses(tmp_path: Path) -> None:
    async with clearing_world(tmp_path, rules(current=600, fund=50)) as world:
        gone = await world.hold("0002", "0003", 700, DEFERRED)
        kept = await world.hold("0003", "0011", 100, DEFERRED)
        await world.until("15:00:00")
        stand = await world.wait_out(NOON_CYCLE)

        assert stand.state == "PARTIAL"
        assert world.cycles == [(NOON_CYCLE, frozenset({gone}))]
        assert world.settlement(NOON_CYCLE).round == 2
        await world.release(gone)
        await world.post(kept)
        assert [world.balance(code, DEFERRED) for code in ("0002", "0003", "0011")] == [0, 0, 0]
        assert [world.money(code) for code in ("0002", "0003", "0011")] == [600, 500, 700]
        assert world.money("guarantee") == 50
        await world.until("09:00:00", day="2026-11-24")
        await world.turn()
        assert world.stand("deferred-PEN-20261124-1").state == "SETTLED"
        assert (await world.service.audit()).clean


async def test_a_window_with_a_pay_in_still_queued_waits_for_it(tmp_path: Path) -> None:
    profile = rules(cap=500, current=0, queue_s=100_000.0)
    async with overdrawn(tmp_path, profile) as world:
        await world.turn()
        await world.until("16:35:15", day="2026-11-24")
        await world.turn()
        assert world.stand("national-PEN-20261124-1").state == "CLOSING"

        await world.deposit("0002", 400)
        await world.turn()
        await world.turn()

        assert world.stand(MONDAY).state == "SETTLED"
        assert world.stand("national-PEN-20261124-1").state == "SETTLED"
        batch = world.batch("national-PEN-20261124-1")
        row = next(one for one in batch.participants if one.participant == "0002")
        assert (row.opening, row.funded.value, row.new_opening) == (-400, 400, 0)


def _customer(name: str, debit: str, credit: str, minor: int) -> Instruct:
    return Instruct(
        instruction_id=name,
        kind="customer",
        subject=name,
        debit=account(debit, "lbtr"),
        credit=account(credit, "lbtr"),
        minor=minor,
        at_ms=1,
    )


async def test_customers_payments_offset_one_another_and_are_told(tmp_path: Path) -> None:
    async with clearing_world(tmp_path, rules(current=10)) as world:
        circle = [("a", "0002", "0003"), ("b", "0003", "0011"), ("c", "0011", "0002")]
        for name, debit, credit in circle:
            await world.ledger.apply((_customer(name, debit, credit, 5_000),))
        assert await world.service.lbtr.pump() == 3

        assert sorted(one.instruction_id for one in world.ended) == ["a", "b", "c"]
        assert {one.state for one in world.ended} == {"SETTLED"}
        assert [world.money(code) for code in ("0002", "0003", "0011")] == [10, 10, 10]


async def test_what_a_customer_left_in_the_queue_is_dropped_when_the_rail_closes(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path, rules(current=10)) as world:
        late = _customer("late", "0002", "0003", 5_000)
        await world.ledger.apply((late,))
        await world.turn()
        assert len(world.ledger.instructions()) == 1 or world.ended

        await world.until("18:00:00")
        await world.turn()
        (ended,) = world.ended
        assert (ended.state, bool(ended.reason)) == ("DROPPED", True)


Scenario = tuple[str, Profile, Callable[[ClearingWorld], object]]


async def _overdraw(world: ClearingWorld) -> str:
    await world.pay("0002", "0003", 1_000)
    await world.pay("0002", "0011", 400)
    return MONDAY


async def _order(world: ClearingWorld) -> str:
    await world.hold("0002", "0003", 700, DEFERRED, name="gone")
    await world.hold("0003", "0011", 100, DEFERRED, name="kept")
    return NOON_CYCLE


SCENARIOS = {
    "topped up": (rules(cap=500), _overdraw, "SETTLED"),
    "guaranteed": (rules(cap=500, current=0, fund=900), _overdraw, "PARTIAL"),
    "failed": (rules(cap=500, current=0), _overdraw, "FAILED"),
    "unwound": (rules(current=600), _order, "PARTIAL"),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_death_after_any_step_repeats_nothing_and_loses_nothing(
    scenario: str, tmp_path: Path
) -> None:
    profile, begin, end = SCENARIOS[scenario]
    whole = tmp_path / "whole"
    whole.mkdir()
    async with clearing_world(whole, profile) as world:
        window = await begin(world)
        await world.until("16:36:00")
        assert (await world.wait_out(window)).state == end
        expected = _outcome(world, window)
    for applies in range(40):
        folder = tmp_path / f"{applies}"
        folder.mkdir()
        if not await _dies_after(folder, profile, begin, applies, (window, end), expected):
            assert applies > 5, "every step was died after"
            return
    raise AssertionError("it never got through")


async def _dies_after(
    folder: Path,
    profile: Profile,
    begin: Callable[[ClearingWorld], object],
    applies: int,
    goal: tuple[str, str],
    expected: object,
) -> bool:
    """Die after so many writes, start again and end; return whether it died at all."""
    window, end = goal
    died = False
    async with clearing_world(folder, profile) as world:
        await begin(world)  # type: ignore[misc]
        await world.until("16:36:00")
        world.die_after(applies)
        try:
            await world.wait_out(window)
        except Stopped:
            died = True
        now = world.clock.now()
    async with clearing_world(folder, profile, clock=ManualClock(now)) as world:
        assert (await world.wait_out(window)).state == end
        assert _outcome(world, window) == expected
        assert (await world.service.audit()).clean
    return died


def _outcome(world: ClearingWorld, window: str) -> object:
    money = {
        one.account: one.balance_minor
        for one in world.ledger.positions()
        if one.account.currency == "PEN"
    }
    settlement = world.settlement(window)
    return money, world.instructions(window), settlement.bearers, settlement.unwound


async def test_the_window_after_a_death_is_the_one_before_it(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        before = world.service.window(NATIONAL, "PEN")
    async with clearing_world(tmp_path, clock=ManualClock(NOON)) as world:
        assert world.service.window(NATIONAL, "PEN") == before
