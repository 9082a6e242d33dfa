"""The process ends at every step of a withdrawal: nothing is lost, doubled or told and not true."""

import asyncio
import random
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from switch.core.cash import CashAnswer
from tests.support.cash_world import AMOUNT, CashWorld, Core, cash_world
from tests.support.forgetful_disk import ForgetfulDisk

SEEDS = range(12)
ORDERS = 8


async def test_one_that_never_reached_the_disk_never_was(tmp_path: Path) -> None:
    core = Core()
    async with cash_world(tmp_path, core) as one:
        one.disk.shut()
        asyncio.create_task(one.withdraw()).add_done_callback(_seen)
        await one.settle()
        one.disk.lose_power()
    async with cash_world(tmp_path, core) as one:
        assert core.asked == []
        assert (await one.withdraw()).response_code == "00"
        await one.audited()


@pytest.mark.parametrize("has_paid", [True, False])
async def test_one_without_an_answer_is_expired_and_undone(tmp_path: Path, has_paid: bool) -> None:
    core = Core()
    core.next.append(asyncio.get_running_loop().create_future())
    async with cash_world(tmp_path, core) as one:
        code = await one.code()
        asyncio.create_task(one.withdraw(one.cardless(code))).add_done_callback(_seen)
        await one.settle()
        (record,) = one.store.cash_in_flight()
    identity = record.transfer_id
    if has_paid:
        core.paid[identity] = AMOUNT
    async with cash_world(tmp_path, core) as one:
        assert (one.state(identity), one.held()) == ("CANCELLED", 0)
        assert core.kept(identity) == 0
        again = await one.withdraw(one.cardless(code, t="0201"))
        assert (again.response_code, again.subject) == ("91", identity)
        # The member has neither cash nor debit, so the code is good again.
        assert (await one.withdraw(one.cardless(code, 2))).response_code == "00"
        await one.audited()


async def test_an_approval_that_missed_the_disk_is_undone(tmp_path: Path) -> None:
    core = Core()
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    core.next.append(gate)
    async with cash_world(tmp_path, core) as one:
        asking = asyncio.create_task(one.withdraw())
        asking.add_done_callback(_seen)
        await one.settle()
        one.disk.shut()
        gate.set_result("00")
        await one.settle()
        assert not asking.done()
        one.disk.lose_power()
    (identity,) = core.paid
    async with cash_world(tmp_path, core) as one:
        assert one.state(identity) == "CANCELLED"
        assert core.kept(identity) == one.paid(identity) == 0


async def test_an_approval_on_disk_is_told_for_ever(tmp_path: Path) -> None:
    core = Core()
    async with cash_world(tmp_path, core) as one:
        first = await one.withdraw()
    async with cash_world(tmp_path, core) as one:
        assert await one.withdraw(one.request(t="0201")) == first
        assert len(core.asked) == 1


async def test_cash_taken_back_just_before_the_end_goes_back_once(tmp_path: Path) -> None:
    core = Core(undo="silent")
    async with cash_world(tmp_path, core) as one:
        identity = (await one.withdraw()).subject
        one.disk.shut()
        asyncio.create_task(one.reverse(one.reversal(dispensed=5_000))).add_done_callback(_seen)
        await one.settle()
        one.disk.lose_power()
    assert core.told == []
    async with cash_world(tmp_path, core) as one:
        assert one.paid(identity) == AMOUNT
        await one.reverse(one.reversal(dispensed=5_000, t="0421"))
        await one.settle()
    core.undo = "00"
    async with cash_world(tmp_path, core) as one:
        assert one.paid(identity) == core.kept(identity) == 5_000
        assert core.told[-1][1], "a former process may have sent it"
        await one.reverse(one.reversal(dispensed=0))
        assert one.paid(identity) == 5_000
        await one.audited()


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_power_cut_takes_nothing_back_that_was_told(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    disk, core = ForgetfulDisk(rng), Core()
    told: dict[int, CashAnswer] = {}
    taken: dict[int, int] = {}
    async with cash_world(tmp_path, core, forgetful=disk, seed=seed) as one:
        disk.cut_after = rng.randrange(2, 160)
        await _until_the_cut(one, disk, rng, told, taken)
    disk.disconnect()
    disk.power_on()
    core.next.clear()
    core.undo = "00"
    async with cash_world(tmp_path, core, forgetful=disk, seed=seed) as one:
        await one.settle()
        for stan, answer in told.items():
            again = await one.withdraw(one.request(stan, t="0201"))
            assert again == answer, f"{seed=} {stan=}"
        for stan, dispensed in taken.items():
            if told.get(stan) is not None and told[stan].response_code == "00":
                assert one.paid(told[stan].subject) == dispensed, f"{seed=} {stan=}"
        for row in one.store.cash_rows("", limit=100):
            assert one.paid(row.transfer_id) == core.kept(row.transfer_id), f"{seed=}"
        assert one.held() == 0
        await one.audited()
    disk.disconnect()


async def _until_the_cut(
    one: CashWorld,
    disk: ForgetfulDisk,
    rng: random.Random,
    told: dict[int, CashAnswer],
    taken: dict[int, int],
) -> None:
    asking: dict[int, asyncio.Task[CashAnswer]] = {}
    undoing: dict[int, tuple[int, asyncio.Task[CashAnswer]]] = {}
    one.core.undo = rng.choice(("00", "silent"))
    for stan in range(1, ORDERS + 1):
        if disk.is_dead:
            break
        never = asyncio.get_running_loop().create_future()
        one.core.next = deque([rng.choice(("00", "00", "51", "silent", "lost", never))])
        asking[stan] = asyncio.create_task(one.withdraw(one.request(stan)))
        await _turns(rng.randrange(1, 40))
        back = rng.randrange(1, stan + 1)
        if rng.random() < 0.5 and back not in undoing:
            dispensed = rng.choice((0, 5_000))
            work = one.reverse(one.reversal(back, dispensed=dispensed))
            undoing[back] = (dispensed, asyncio.create_task(work))
        await _turns(rng.randrange(1, 40))
    await one.settle()
    await one.clock.advance(timedelta(seconds=9))
    await one.settle()
    for stan, task in asking.items():
        if task.done() and not task.cancelled() and task.exception() is None:
            told[stan] = task.result()
        task.cancel()
    for stan, (dispensed, undo) in undoing.items():
        if undo.done() and not undo.cancelled() and undo.exception() is None:
            taken[stan] = dispensed
        undo.cancel()


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def _seen(task: "asyncio.Task[Any]") -> None:
    """Look at what became of a task that the end of the process left behind."""
    if not task.cancelled():
        task.exception()
