"""Power cuts under orders to a creditor that posts on the 0200, on a disk that forgets.

Whatever left the clearing house stands on the disk afterwards: the exact 0200, what was answered,
and what a reversal was told. With the syncs taken out the same test must fail.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from scheme.messages import CT1
from switch.flight import Answer, Reversal, ReversalOutcome
from tests.support.forgetful_disk import ForgetfulDisk
from tests.support.single_message import (
    Books,
    a_reference,
    enter,
    entering,
    iso_fleet,
    never,
    reversing,
    told,
)
from tests.support.switch_world import PREFUND, START, World, accept_order, refuse_order, world

SEEDS = range(24)
ORDERS = 10
AMOUNT, FEE = 100, 80


@dataclass
class Told:
    """Everything that left before the power went."""

    orders: dict[str, CT1] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    reversals: dict[str, Reversal] = field(default_factory=dict)


async def until_the_cut(
    folder: Path, disk: ForgetfulDisk, peers: Books, rng: random.Random
) -> Told:
    """Carry orders, and take some back, until the power goes."""
    heard = Told()
    async with world(folder, forgetful=disk, peers=peers, members=iso_fleet()) as one:
        for number in range(ORDERS):
            trace = f"{number:06}"
            quoted = await a_reference(one, trace=trace)
            key = f"iso:0970:{trace}"
            heard.orders[key] = one.ct1(quoted, trace=trace, amount=AMOUNT, feeAmount=FEE)
        disk.cut_after = rng.randrange(2, 300)
        sent: dict[str, asyncio.Task[Answer]] = {}
        taken_back: dict[str, asyncio.Task[Reversal]] = {}
        for key, ct1 in heard.orders.items():
            if disk.is_dead:
                break  # The process would have ended.
            peers.on_ct2.append(
                rng.choice((accept_order, accept_order, refuse_order("AC01"), never()))
            )
            sent[key] = entering(one, ct1, key=key)
            if rng.random() < 0.5:
                await one.clock.advance(timedelta(seconds=rng.choice((0, 1, 9))))
            if rng.random() < 0.5:
                taken_back[key] = reversing(one, key)
            if rng.random() < 0.5:
                await one.settle()
        await one.advance(9)
        # Reads may fail as well once there is no power; that tells nobody anything.
        heard.answers = {key: task.result() for key, task in sent.items() if _is_heard(task)}
        heard.reversals = {k: task.result() for k, task in taken_back.items() if _is_heard(task)}
        for task in (*sent.values(), *taken_back.values()):
            task.cancel()
    return heard


def _is_heard(task: "asyncio.Task[Answer] | asyncio.Task[Reversal]") -> bool:
    return task.done() and task.exception() is None


async def check(folder: Path, disk: ForgetfulDisk, peers: Books, heard: Told) -> None:
    """Start again from what survived, and hold it against what left."""
    later = START + timedelta(minutes=1)
    async with world(folder, forgetful=disk, peers=peers, members=iso_fleet(), start=later) as one:
        for instruction, prepared in peers.prepared.items():
            stored = one.store.transfer(instruction)
            assert stored is not None, "an order left that was not on disk"
            assert stored.record is not None
            assert stored.record.sent == prepared
        await one.advance(130)
        for key, reversal in heard.reversals.items():
            assert await reversing(one, key) == reversal
        for key, answer in heard.answers.items():
            assert await enter(one, heard.orders[key], key=key) == answer
        await _everything_ends(one, peers, heard)
    disk.disconnect()


async def _everything_ends(one: World, peers: Books, heard: Told) -> None:
    """Send and take back what nobody has heard of, then compare the books."""
    peers.on_ct2.clear()
    for key, ct1 in heard.orders.items():
        answer = await enter(one, ct1, key=key)
        reversal = await reversing(one, key)
        is_paid = told(answer)[0] == "00"
        assert (reversal.outcome is ReversalOutcome.POSTED) == is_paid
        assert (answer.subject in peers.posted) == is_paid
    await one.advance(60)
    assert one.owed() == []
    assert one.balance("0970") == PREFUND - (AMOUNT + FEE) * len(peers.posted)
    await one.audited()


async def run(folder: Path, seed: int, *, honours_sync: bool) -> Told:
    rng, peers = random.Random(seed), Books()
    disk = ForgetfulDisk(rng, honours_sync=honours_sync)
    heard = await until_the_cut(folder, disk, peers, rng)
    if not disk.is_dead:
        disk.cut()
    disk.disconnect()
    disk.power_on()
    await check(folder, disk, peers, heard)
    return heard


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_left_before_a_power_cut_is_on_disk_after_it(tmp_path: Path, seed: int) -> None:
    await run(tmp_path, seed, honours_sync=True)


async def test_the_cuts_come_in_the_middle_of_the_work(tmp_path: Path) -> None:
    heard = [await run(tmp_path, seed, honours_sync=True) for seed in SEEDS[:8]]
    assert any(0 < len(one.answers) < ORDERS for one in heard)
    outcomes = {said.outcome for one in heard for said in one.reversals.values()}
    assert len(outcomes) > 1


async def test_without_the_syncs_something_is_lost_so_the_test_can_fail(tmp_path: Path) -> None:
    failures = 0
    for seed in SEEDS[:8]:
        try:
            await run(tmp_path, seed, honours_sync=False)
        except Exception:  # noqa: BLE001 - a lost table is as good a proof as a lost outcome
            failures += 1
    assert failures
