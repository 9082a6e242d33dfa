"""Windows on a real file: cut-offs, transfers in flight, clocks that go back, refused batches."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from clearing.refusals import Fault, Refusal
from runtime.clock import ManualClock
from scheme.ledger import APPLIED, DALE, DEFERRED, NATIONAL, Oppose
from scheme.standing import Tally
from tests.support import settlement_world
from tests.support.settlement_world import NOON, ClearingWorld, account, clearing_world, rules

MONDAY = "national-PEN-20261123-1"
TUESDAY = "national-PEN-20261124-1"


async def test_a_day_is_netted_settled_and_told(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        await world.pay("0002", "0003", 700)
        await world.pay("0003", "0011", 200)
        await world.until("16:35:15")
        await world.turn()

        batch = world.batch(MONDAY)
        rows = {row.participant: row for row in batch.participants}
        assert [rows[code].net for code in ("0002", "0003", "0011", "0987")] == [-700, 500, 200, 0]
        assert (rows["0003"].opening, rows["0003"].new_opening) == (1_000, 1_500)
        assert (batch.cut_off, batch.next_window) == ("20261123163515", TUESDAY)
        assert world.stand(MONDAY).state == "SETTLED"
        assert world.settlement(MONDAY).audit == "agreed"
        assert world.money("0003:prefund") == 1_500
        assert (MONDAY, "20261124") in world.notices
        assert await world.is_square()


async def test_balances_carry_on_from_window_to_window(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        await world.pay("0002", "0003", 700)
        await world.until("16:35:15")
        await world.turn()
        await world.pay("0003", "0002", 100)
        await world.until("16:35:15", day="2026-11-24")
        await world.turn()

        rows = {row.participant: row for row in world.batch(TUESDAY).participants}
        assert (rows["0002"].opening, rows["0002"].new_opening) == (300, 400)
        assert (rows["0003"].opening, rows["0003"].new_opening) == (1_700, 1_600)
        assert world.stand(TUESDAY).state == "SETTLED"


async def test_an_order_after_the_cut_off_belongs_to_the_next_business_day(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        await world.until("16:35:14")
        assert world.service.window(NATIONAL, "PEN").id == MONDAY
        await world.until("16:35:15")

        # Nobody has turned yet: the window rolls under the first order that asks.
        assert world.service.window(NATIONAL, "PEN").settlement_date == "20261124"
        assert world.stand(MONDAY).state == "CLOSING"


async def test_it_waits_for_transfers_in_flight_and_counts_them_where_they_were_reserved(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        posted = await world.hold("0002", "0003", 700)
        refused = await world.hold("0002", "0003", 50)
        await world.until("16:35:15")
        await world.turn()
        assert (world.stand(MONDAY).state, world.stand(MONDAY).held) == ("CLOSING", 2)
        assert world.ledger.batch(MONDAY) is None

        await world.pay("0011", "0002", 5)
        await world.post(posted)
        await world.release(refused)
        await world.turn()

        rows = {row.participant: row for row in world.batch(MONDAY).participants}
        assert (rows["0002"].net, rows["0002"].sent.rejected.value) == (-700, 50)
        assert rows["0011"].net == 0
        assert rows["0002"].new_opening == 300
        (later,) = (one for one in world.ledger.tallies(TUESDAY) if one.sent_accepted)
        assert (later.account.owner, later.sent_accepted_minor) == ("0011", 5)


async def test_windows_of_a_cycle_close_in_their_order(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        stuck = await world.hold("0002", "0003", 700)
        assert not isinstance(await world.keeper.close(MONDAY), Refusal)
        second = world.service.window(NATIONAL, "PEN").id
        assert not isinstance(await world.keeper.close(second), Refusal)
        await world.turn()
        assert [world.stand(one).state for one in (MONDAY, second)] == ["CLOSING", "CLOSING"]

        await world.post(stuck)
        await world.turn()
        assert [world.stand(one).state for one in (MONDAY, second)] == ["SETTLED", "SETTLED"]
        row = next(one for one in world.batch(second).participants if one.participant == "0002")
        assert row.opening == 300


async def test_the_loop_closes_by_itself_and_hears_of_the_last_release(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        running = asyncio.create_task(world.service.run())
        held = await world.hold("0002", "0003", 700)
        await world.until("16:36:00")
        await _comes_to(world, "CLOSING")
        await world.post(held)
        await _comes_to(world, "SETTLED")
        running.cancel()


async def _comes_to(world: ClearingWorld, state: str) -> None:
    async with asyncio.timeout(5):
        while world.stand(MONDAY).state != state:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # The disk is real, whatever the clock shows.


async def test_a_window_closes_once(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        await world.pay("0002", "0003", 1)
        closed = await world.keeper.close(MONDAY)
        again = await world.keeper.close(MONDAY)
        unknown = await world.keeper.close("national-PEN-20261123-9")

        assert not isinstance(closed, Refusal)
        assert isinstance(again, Refusal)
        assert (again.fault, again.error) == (
            Fault.CONFLICT,
            "the window is CLOSING already",
        )
        assert isinstance(unknown, Refusal)
        assert unknown.fault is Fault.UNKNOWN
        assert world.service.window(NATIONAL, "PEN").id == "national-PEN-20261123-2"


async def test_if_the_clock_goes_back_no_window_does(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        await world.until("16:35:15")
        await world.turn()
        await world.until("12:00:00")

        assert world.service.window(NATIONAL, "PEN").id == TUESDAY
        await world.pay("0002", "0003", 5)
        await world.keeper.close(TUESDAY)
        assert world.service.window(NATIONAL, "PEN").id == "national-PEN-20261124-2"
        await world.turn()
        assert world.stand(TUESDAY).state == "SETTLED"


async def test_a_process_that_slept_over_cut_offs_closes_what_was_open(tmp_path: Path) -> None:
    async with clearing_world(tmp_path) as world:
        await world.pay("0002", "0003", 700)
    async with clearing_world(tmp_path, clock=ManualClock(NOON.replace(day=26))) as world:
        assert world.service.window(NATIONAL, "PEN").id == "national-PEN-20261126-1"
        await world.turn()

        assert world.stand(MONDAY).state == "SETTLED"
        assert world.batch(MONDAY).cut_off == "20261123163515"
        assert world.batch(MONDAY).next_window == "national-PEN-20261126-1"
        assert await world.is_square()


async def test_holidays_are_skipped(tmp_path: Path) -> None:
    clock = ManualClock(NOON.replace(month=12, day=7, hour=22))
    async with clearing_world(tmp_path, clock=clock) as world:
        assert world.service.window(NATIONAL, "PEN").id == "national-PEN-20261210-1"


async def test_nets_that_do_not_sum_to_zero_are_refused_loudly_and_nothing_settles(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        await world.pay("0002", "0003", 700)
        real = world.ledger.tallies
        world.ledger.tallies = lambda window: _bent(real(window))  # type: ignore[method-assign]
        await world.until("16:35:15")
        await world.turn()

        assert world.stand(MONDAY).state == "CLOSING"
        assert "sum to 1" in world.settlement(MONDAY).refused
        await world.turn()
        assert world.ledger.batch(MONDAY) is None

        world.ledger.tallies = real  # type: ignore[method-assign]
        assert not isinstance(await world.keeper.retry(MONDAY), Refusal)
        await world.turn()
        assert world.stand(MONDAY).state == "SETTLED"


async def test_a_recount_that_differs_refuses_the_batch_and_nothing_settles(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path, rules(approvals=1)) as world:
        await world.pay("0002", "0003", 700)
        real = world.ledger.recount_window

        async def wrong(window: str) -> tuple[Tally, ...]:
            return _bent(await real(window))

        world.ledger.recount_window = wrong  # type: ignore[method-assign]
        await world.until("16:35:15")
        await world.turn()

        assert world.stand(MONDAY).state == "CLOSED"
        assert world.settlement(MONDAY).audit.startswith("refused: 0003")
        assert world.instructions(MONDAY) == {}
        approved = await world.keeper.approve(MONDAY, "ROSA")
        assert isinstance(approved, Refusal)
        assert "recount" in approved.error

        world.ledger.recount_window = real  # type: ignore[method-assign]
        assert not isinstance(await world.keeper.retry(MONDAY), Refusal)
        await world.turn()
        assert world.settlement(MONDAY).audit == "agreed"


@pytest.mark.parametrize("approvals", [0, 1])
async def test_a_batch_that_was_changed_on_disk_is_refused(approvals: int, tmp_path: Path) -> None:
    async with clearing_world(tmp_path, rules(approvals=approvals)) as world:
        await world.pay("0002", "0003", 700)
        real = world.ledger.batch
        if approvals:
            await world.keeper.close(MONDAY)
            await world.turn()
            assert world.settlement(MONDAY).audit == "agreed"
        world.ledger.batch = lambda window: (real(window) or b"") + b" "  # type: ignore[method-assign]
        if approvals:
            assert not isinstance(await world.keeper.approve(MONDAY, "ROSA"), Refusal)
        await world.until("16:35:15")
        await world.turn()

        assert world.stand(MONDAY).state == "CLOSED"
        assert world.settlement(MONDAY).audit.startswith("refused: its bytes")
        assert world.instructions(MONDAY) == {}


async def test_a_fault_of_one_window_does_not_keep_the_others_from_settling(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        await world.pay("0002", "0003", 700, DEFERRED)
        await world.pay("0002", "0003", 700)
        real = world.ledger.batch
        broken = world.service.window(DEFERRED, "PEN").id

        def batch(window: str) -> bytes | None:
            assert window != broken, "a bug"
            return real(window)

        world.ledger.batch = batch  # type: ignore[method-assign]
        await world.until("16:35:15")
        look_at = await world.turn()

        assert world.stand(broken).state == "CLOSED"
        assert world.stand(MONDAY).state == "SETTLED"
        assert look_at <= world.clock.now() + timedelta(seconds=10)


async def test_windows_of_a_currency_that_left_the_fleet_still_settle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = tuple(
        replace(one, currencies=("PEN", "USD")) for one in settlement_world.FLEET.participant
    )
    with monkeypatch.context() as patch:
        patch.setattr(settlement_world, "FLEET", replace(settlement_world.FLEET, participant=both))
        async with clearing_world(tmp_path) as world:
            window = world.service.window(NATIONAL, "USD").id
    async with clearing_world(tmp_path) as world:
        await world.until("20:00:00")
        await world.turn()

        assert world.stand(window).state == "SETTLED"


def _bent(tallies: tuple[Tally, ...]) -> tuple[Tally, ...]:
    return tuple(
        replace(one, received_accepted_minor=one.received_accepted_minor + 1)
        if one.account.owner == "0003" and one.received_accepted
        else one
        for one in tallies
    )


async def test_two_different_people_approve(tmp_path: Path) -> None:
    async with clearing_world(tmp_path, rules(approvals=2)) as world:
        await world.pay("0002", "0003", 700)
        early = await world.keeper.approve(MONDAY, "ROSA")
        await world.until("16:35:15")
        await world.turn()
        assert world.stand(MONDAY).state == "CLOSED"

        first = await world.keeper.approve(MONDAY, "Rosa")
        same = await world.keeper.approve(MONDAY, " rosa ")
        wide = await world.keeper.approve(MONDAY, "\uff32osa")
        await world.turn()
        assert world.stand(MONDAY).state == "CLOSED"
        second = await world.keeper.approve(MONDAY, "LUIS")
        third = await world.keeper.approve(MONDAY, "EVA")
        await world.turn()

        assert isinstance(early, Refusal)
        assert not isinstance(first, Refusal)
        assert isinstance(same, Refusal)
        assert same.field == "as"
        assert isinstance(wide, Refusal)
        assert not isinstance(second, Refusal)
        assert isinstance(third, Refusal)
        assert third.error == "the batch is approved already"
        assert world.stand(MONDAY).state == "SETTLED"
        assert [one.name for one in world.settlement(MONDAY).approvals] == ["Rosa", "LUIS"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\nb"])
async def test_who_approves_has_a_name(name: str, tmp_path: Path) -> None:
    async with clearing_world(tmp_path, rules(approvals=2)) as world:
        refused = await world.keeper.approve(MONDAY, name)

        assert isinstance(refused, Refusal)
        assert (refused.fault, refused.field) == (Fault.INVALID, "as")


async def test_an_approval_nobody_asked_for_and_a_retry_of_what_did_not_fail_are_refused(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        await world.until("16:35:15")
        await world.turn()
        unwanted = await world.keeper.approve(MONDAY, "ROSA")
        settled = await world.keeper.retry(MONDAY)
        unknown = await world.keeper.retry("x")

        assert isinstance(unwanted, Refusal)
        assert unwanted.error == "this profile wants no approval"
        assert isinstance(settled, Refusal)
        assert settled.error == "nothing failed: the batch is SETTLED"
        assert isinstance(unknown, Refusal)
        assert unknown.fault is Fault.UNKNOWN


async def test_a_coops_window_is_told_to_coops_and_settled_in_the_sponsors_books(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        await world.pay("0970", "0971", 300, DALE)
        await world.pay("0970", "0987", 50, DALE)
        await world.until("16:20:00")
        await world.turn()

        window = "dale-PEN-20261123-1"
        assert world.stand(window).state == "SETTLED"
        assert world.instructions(window) == {
            "top:0970": "SETTLED",
            "out:0971": "SETTLED",
            "out:0987": "SETTLED",
        }
        assert world.money("0970", "sponsor") == 150
        assert world.money("0971:prefund", "sponsor") == 300
        assert (world.balance("0970", DALE), world.balance("0987", DALE)) == (0, 0)
        assert await world.is_square()


async def test_what_is_in_flight_at_the_end_of_a_process_does_not_hold_the_next_one(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        held = await world.hold("0002", "0003", 700)
        await world.until("16:35:15")
        await world.turn()
    async with clearing_world(tmp_path, clock=ManualClock(NOON.replace(hour=22))) as world:
        await _recover(world, held)
        await world.turn()

        assert world.stand(MONDAY).state == "SETTLED"


async def _recover(world: ClearingWorld, held: str) -> None:
    await world.release(held)


async def test_returns_settle_in_the_dispute_cycle_and_are_in_the_next_opening(
    tmp_path: Path,
) -> None:
    async with clearing_world(tmp_path) as world:
        original = await world.hold("0002", "0003", 700)
        await world.post(original)
        await world.until("16:35:15")
        await world.turn()
        dispute = world.service.window("national-dispute", "PEN").id
        (result,) = await world.ledger.apply(
            (
                Oppose(
                    transfer_id="return-1",
                    opposite_of=original,
                    minor=200,
                    windows={NATIONAL: dispute},
                    at_ms=1,
                ),
            )
        )
        assert result == APPLIED
        await world.until("11:00:00", day="2026-11-24")
        await world.turn()

        assert dispute == "national-dispute-PEN-20261124-1"
        assert [row.net for row in world.batch(dispute).participants] == [200, -200]
        assert world.instructions(dispute) == {"in:0003": "SETTLED", "out:0002": "SETTLED"}
        assert dispute not in [window for window, _ in world.notices]
        await world.until("16:35:15", day="2026-11-24")
        await world.turn()
        rows = {row.participant: row for row in world.batch(TUESDAY).participants}
        assert (rows["0002"].opening, rows["0002"].net) == (300, 0)
        assert (rows["0002"].returns, rows["0002"].new_opening) == (200, 500)
        assert world.balance("0002") == 500
        assert await world.is_square()


@pytest.mark.parametrize("seed", range(2))
async def test_days_of_chance_end_square(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    banks, coops = ("0002", "0003", "0011"), ("0970", "0971", "0987")
    clock = ManualClock(NOON)
    profile = rules(cap=300, current=400, fund=500, coop_current=200)
    for _ in range(3):
        async with clearing_world(tmp_path, profile, clock=clock) as world:
            for _ in range(60):
                match chance.randrange(8):
                    case 0:
                        await clock.advance(timedelta(minutes=chance.randrange(1, 400)))
                        await world.turn()
                    case 1:
                        await world.deposit(chance.choice(banks), chance.randrange(1, 200))
                    case 2 | 3:
                        debit, credit = chance.sample(coops, 2)
                        await _try_to_pay(world, debit, credit, chance.randrange(1, 150), DALE)
                    case _:
                        debit, credit = chance.sample(banks, 2)
                        await _try_to_pay(world, debit, credit, chance.randrange(1, 400), NATIONAL)
        clock = ManualClock(clock.now() + timedelta(hours=chance.randrange(60)))
    async with clearing_world(tmp_path, profile, clock=clock) as world:
        for _ in range(4):
            for code in banks:
                await world.deposit(code, 10_000)
            await clock.advance(timedelta(days=3))
            await world.turn()
            for stand in world.ledger.windows():
                if stand.state == "FAILED":
                    await world.keeper.retry(stand.window)
            await world.turn()
        assert {one.state for one in world.ledger.windows()} == {"OPEN"}
        assert await world.is_square(), seed


async def _try_to_pay(
    world: ClearingWorld, debit: str, credit: str, minor: int, cycle: str
) -> None:
    position = world.ledger.position(account(debit, cycle))
    assert position is not None
    if minor <= position.available_minor:
        await world.pay(debit, credit, minor, cycle)
