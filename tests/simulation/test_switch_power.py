"""Power cuts under the router: what was told before them is on the disk afterwards.

``kill -9`` would prove little, as the page cache survives it; this disk forgets what was not
synced. With the syncs taken out the same test must fail, or it would prove nothing.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from scheme.ledger import Owed
from scheme.messages import CT1, CT4, CT5, CTC1, PSR2
from scheme.wire.tin_json import decode
from switch.flight import Answer
from tests.support.forgetful_disk import ForgetfulDisk
from tests.support.switch_world import (
    START,
    ScriptedPeers,
    World,
    accept_order,
    refuse_order,
    world,
)

SEEDS = range(30)
ORDERS = 12
FORGOTTEN = "20260115101400097041910007{:02}"


@dataclass
class Told:
    """Everything that left the clearing house before the power went."""

    answers: dict[str, bytes] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    buried: set[str] = field(default_factory=set)

    def hear(self, delivered: Sequence[Owed]) -> None:
        """Note what the creditors' agents were told."""
        for owed in delivered:
            if owed.message == "CT5":
                self.confirmed.add(decode(owed.body, CT5).instructionId)
            elif owed.message == "CTC1":
                self.cancelled.add(decode(owed.body, CTC1).referenceInstructionId)


async def until_the_cut(folder: Path, disk: ForgetfulDisk, rng: random.Random) -> Told:
    """Carry orders until the power goes, and return what was told."""
    told, peers = Told(), ScriptedPeers()
    async with world(folder, forgetful=disk, peers=peers) as one:
        orders = [await _an_order(one, number) for number in range(ORDERS)]
        disk.cut_after = rng.randrange(2, 500)
        enquiries: list[asyncio.Task[PSR2]] = []
        sending: dict[asyncio.Task[Answer], CT1] = {}
        for number, ct1 in enumerate(orders):
            if disk.is_dead:
                break  # The process would have ended.
            never = asyncio.get_running_loop().create_future()
            peers.on_ct2.append(rng.choice((accept_order, refuse_order("AC01"), never)))
            sending[one.start(ct1)] = ct1
            if rng.random() < 0.3:
                asking = asyncio.create_task(one.ask(FORGOTTEN.format(number)))
                enquiries.append(asking)
                asking.add_done_callback(lambda task, n=number: _buried(told, task, n))  # type: ignore[misc]
            await one.clock.advance(timedelta(seconds=rng.choice((0, 0, 1, 9))))
            if rng.random() < 0.5:
                await one.settle()
        await one.advance(9)
        for task, ct1 in sending.items():
            # Reads may fail as well once there is no power; that tells nobody anything.
            if task.done() and task.exception() is None:
                told.answers[ct1.referenceTransactionId] = task.result().body
            task.cancel()
        for asking in enquiries:
            asking.cancel()
    told.hear(peers.delivered)
    return told


def _buried(told: Told, task: "asyncio.Task[PSR2]", number: int) -> None:
    if not task.cancelled() and task.exception() is None:
        told.buried.add(FORGOTTEN.format(number))


async def _an_order(one: World, number: int) -> CT1:
    av4 = await one.verify(trace=f"{number:06}")
    return one.ct1(av4.instructionId, trace=f"{number:06}", amount=100 + number)


async def check(folder: Path, disk: ForgetfulDisk, told: Told) -> None:
    """Start again from what survived, and hold it against what was told."""
    async with world(folder, forgetful=disk, start=START + timedelta(minutes=9)) as one:
        await one.audited()
        for reference, answer in told.answers.items():
            stored = one.store.transfer_by_key(f"0970:{reference}")
            assert stored is not None, "an outcome that was told is gone"
            assert stored.record is not None
            assert stored.record.answer == answer
            paid = decode(answer, CT4).responseCode == "00"
            assert paid == (stored.state in ("POSTED", "CONFIRMED"))
            again = await one.send(one.ct1(reference, amount=stored.record.ct1.amount))
            assert again.body == answer
        for instruction in told.confirmed:
            assert one.state(instruction) in ("POSTED", "CONFIRMED")
        for instruction in told.cancelled:
            assert one.state(instruction) in ("EXPIRED", "CANCELLED")
        for instruction in told.buried:
            assert one.state(instruction) == "TOMBSTONE"
    disk.disconnect()


async def run(folder: Path, seed: int, *, honours_sync: bool) -> Told:
    rng = random.Random(seed)
    disk = ForgetfulDisk(rng, honours_sync=honours_sync)
    told = await until_the_cut(folder, disk, rng)
    if not disk.is_dead:
        disk.cut()
    disk.disconnect()
    disk.power_on()
    await check(folder, disk, told)
    return told


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_told_before_a_power_cut_is_on_disk_after_it(
    tmp_path: Path, seed: int
) -> None:
    await run(tmp_path, seed, honours_sync=True)


async def test_the_cuts_come_in_the_middle_of_the_work(tmp_path: Path) -> None:
    told = [await run(tmp_path, seed, honours_sync=True) for seed in range(6)]
    counts = {len(one.answers) for one in told}
    assert any(0 < count < ORDERS for count in counts)
    assert any(one.confirmed for one in told)


async def test_without_the_syncs_outcomes_are_lost_so_the_test_can_fail(tmp_path: Path) -> None:
    failures = 0
    for seed in SEEDS[:8]:
        try:
            await run(tmp_path, seed, honours_sync=False)
        except Exception:  # noqa: BLE001 - a lost table is as good a proof as a lost outcome
            failures += 1
    assert failures
