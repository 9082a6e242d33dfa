"""Seeded worlds of loss, delay, garbage, repeats and crashes, audited by a simpler model.

The model knows three things: what each payer was told, what each creditor's agent posted, and
what positions should therefore be. A creditor's agent here posts on CT5 or on PSR2 00, once, and
gives its hold up on CTC1 or PSR2 05; it forgets nothing, as its books survive.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scheme.clock import Clock
from scheme.errors import NoAnswer, NotConnected
from scheme.ledger import Owed
from scheme.messages import AV2, CT1, CT2, CT4, CT5, CTC1, ET1, Message
from scheme.wire.tin_json import decode
from switch.flight import Answer, UnknownOutcome
from switch.ports import Delivery, TransferFilter
from tests.support.switch_world import (
    START,
    World,
    accept_order,
    accept_query,
    echo,
    refuse_order,
    world,
)

SEEDS = range(50)
STEPS = 14
PREFUND = 4_000
DEBTORS = ("0970", "0988")
CREDITORS = ("0971", "0002")


@dataclass
class Order:
    """A payment as its payer sees it."""

    ct1: CT1
    told: bytes | None = None

    @property
    def code(self) -> str | None:
        """The outcome the payer was told, if any."""
        return None if self.told is None else decode(self.told, CT4).responseCode

    @property
    def total(self) -> int:
        """What it moves."""
        return self.ct1.amount + self.ct1.feeAmount


@dataclass
class Country:
    """Everyone but the clearing house, on a network that loses, delays and garbles."""

    rng: random.Random
    is_calm: bool = False
    orders: list[Order] = field(default_factory=list)
    holds: dict[str, CT2] = field(default_factory=dict)
    posted: dict[str, CT2] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    clock: Clock | None = None

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        """Return what a single-message creditor is sent; here there is none yet."""
        raise AssertionError(participant, message, subject)

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Answer the clearing house, or not."""
        del subject, prepared
        luck = 1.0 if self.is_calm else self.rng.random()
        await asyncio.sleep(0)
        if isinstance(message, ET1):
            return echo(message)
        if luck < 0.06:
            raise NotConnected("down")
        if luck < 0.12:
            raise NoAnswer("lost on its way")
        if isinstance(message, AV2):
            return accept_query(message)
        assert isinstance(message, CT2)
        assert message.creditorParticipantCode == participant
        return await self._order(message, luck)

    async def _order(self, ct2: CT2, luck: float) -> Message:
        if luck < 0.2:
            return refuse_order("AC01")(ct2)
        assert ct2.instructionId not in self.holds, "never a second CT2 under one id"
        assert ct2.instructionId not in self.posted
        self.holds[ct2.instructionId] = ct2
        if luck < 0.3:
            raise NoAnswer("half a body")
        if luck < 0.38:
            await asyncio.get_running_loop().create_future()
        if luck < 0.55:
            assert self.clock is not None
            wait = timedelta(seconds=self.rng.uniform(0.0, 12.0))
            await self.clock.sleep_until(self.clock.now() + wait)
        return accept_order(ct2)

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Take an owed message, or lose it, or lose its acknowledgement."""
        del repeated
        luck = 1.0 if self.is_calm else self.rng.random()
        await asyncio.sleep(0)
        if luck < 0.3:
            return Delivery(acknowledged=False)
        if owed.message == "CT5":
            self.confirm(decode(owed.body, CT5).instructionId)
        elif owed.message == "CTC1":
            self.give_up(decode(owed.body, CTC1).referenceInstructionId)
        return Delivery(acknowledged=luck > 0.4)

    def confirm(self, instruction: str) -> None:
        """Post what is held, once."""
        if instruction in self.posted:
            return
        assert instruction not in self.cancelled, "confirmed after it was cancelled"
        self.posted[instruction] = self.holds.pop(instruction)

    def give_up(self, instruction: str) -> None:
        """Release what is held."""
        assert instruction not in self.posted, "cancelled after it was confirmed"
        self.holds.pop(instruction, None)
        self.cancelled.add(instruction)

    def hear(self, order: Order, answer: bytes) -> None:
        """Take an outcome: it is the same for ever."""
        ct4 = decode(answer, CT4)
        if ct4.reasonCode == "BE15":
            assert order.told is None, "an outcome was forgotten"
            return
        assert order.told in (None, answer), "two outcomes"
        order.told = answer


class Life:
    """One run of the clearing house, from its start to its crash."""

    def __init__(self, one: World, country: Country) -> None:
        self.one = one
        self.country = country
        self.sending: set[asyncio.Task[None]] = set()

    async def step(self) -> None:
        """Let one thing happen."""
        rng = self.country.rng
        match rng.randrange(8):
            case 0 | 1 | 2:
                await self._new()
            case 3 | 4 if self.country.orders:
                self.send(rng.choice(self.country.orders), resend=True)
            case 5 if self.country.holds:
                await self.enquire(rng.choice(sorted(self.country.holds)))
            case 6:
                self.one.disk.shut()
                self.send_any()
                await self.one.settle()
                self.one.disk.release()
            case _:
                pass
        await self.one.advance(rng.choice((0.0, 0.1, 1.0, 3.0, 9.0)))

    async def _new(self) -> None:
        rng, count = self.country.rng, len(self.country.orders)
        debtor, creditor = rng.choice(DEBTORS), rng.choice(CREDITORS)
        parties = {"debtorParticipantCode": debtor, "creditorParticipantCode": creditor}
        query = asyncio.create_task(self.one.verify(trace=f"{count:06}", **parties))
        await self.one.advance(6)
        av4 = await query
        if av4.responseCode != "00":
            return
        ct1 = self.one.ct1(
            av4.instructionId,
            # Few traces, so that composed ids collide.
            trace=f"{rng.randrange(3):06}",
            amount=rng.randrange(1, 900),
            feeAmount=rng.choice((0, 80)),
            **parties,
        )
        self.country.orders.append(Order(ct1))
        self.send(self.country.orders[-1])

    def send_any(self) -> None:
        """Send a known order again, if there is one."""
        if self.country.orders:
            self.send(self.country.rng.choice(self.country.orders), resend=True)

    def send(self, order: Order, *, resend: bool = False) -> None:
        """Send an order and go on; whoever hears of its outcome notes it."""
        ct1 = order.ct1
        if resend and self.country.rng.random() < 0.8:
            ct1 = replace(ct1, messageTypeId="0201")
        self.sending.add(asyncio.create_task(self._sent(order, ct1)))

    async def _sent(self, order: Order, ct1: CT1) -> None:
        try:
            answer: Answer = await self.one.send(ct1)
        except UnknownOutcome:
            return
        self.country.hear(order, answer.body)

    async def enquire(self, instruction: str) -> None:
        """Ask as the creditor's agent does, and act on the answer."""
        held = self.country.holds[instruction]
        psr2 = await self.one.ask(instruction, asker=held.creditorParticipantCode)
        if psr2.responseCode == "00":
            self.country.confirm(instruction)
        elif psr2.responseCode == "05":
            self.country.give_up(instruction)

    async def settle_all(self) -> None:
        """In calm weather everything finds its end."""
        await self.one.advance(130)
        for order in self.country.orders:
            self.send(order, resend=True)
        await self.one.advance(130)
        assert all(task.done() for task in self.sending), "in calm weather all are answered"
        for instruction in sorted(self.country.holds):
            await self.enquire(instruction)
        await self.one.advance(130)

    def end(self) -> None:
        """Hang up everyone who waits."""
        for task in self.sending:
            if task.done() and not task.cancelled():
                task.result()
            task.cancel()


async def run(folder: Path, seed: int, steps: int) -> None:
    rng = random.Random(seed)
    country = Country(rng)
    now: datetime = START
    while True:
        async with world(folder, peers=country, start=now, prefund=PREFUND, is_fresh=False) as one:
            country.clock = one.clock
            life = Life(one, country)
            if country.is_calm:
                await life.settle_all()
                life.end()
                await audit(one, country, seed)
                return
            for _ in range(steps):
                await life.step()
            if rng.random() < 0.7:
                one.disk.lose_power()
            life.end()
            now = one.clock.now() + timedelta(seconds=rng.choice((1, 3, 40)))
        country.is_calm = rng.random() < 0.4


async def audit(one: World, country: Country, seed: int) -> None:
    """Hold the clearing house against the model."""
    await one.audited()
    assert country.holds == {}, f"{seed=}: held for ever"
    assert one.house.router.in_flight == (), f"{seed=}"
    assert one.owed() == [], f"{seed=}"
    expected = dict.fromkeys((*DEBTORS, *CREDITORS), PREFUND)
    paid: set[str] = set()
    for order in country.orders:
        stored = one.store.transfer_by_key(
            f"{order.ct1.debtorParticipantCode}:{order.ct1.referenceTransactionId}"
        )
        if order.told is None:
            assert stored is None, f"{seed=}: an outcome that nobody can learn"
            continue
        assert stored is not None, f"{seed=}: an acknowledged outcome is missing"
        assert (order.code == "00") == (stored.state == "CONFIRMED"), f"{seed=}"
        if order.code == "00":
            paid.add(stored.transfer_id)
            expected[order.ct1.debtorParticipantCode] -= order.total
            expected[order.ct1.creditorParticipantCode] += order.total
    assert set(country.posted) == paid, f"{seed=}: posted is not what was paid"
    for owner, minor in expected.items():
        assert one.balance(owner) == one.available(owner) == minor, f"{seed=} {owner=}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_what_was_told_holds_and_money_is_conserved(
    tmp_path: Path, seed: int
) -> None:
    await run(tmp_path, seed, STEPS)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_many_more_worlds(tmp_path: Path) -> None:
    for seed in range(1_000, 3_000):
        folder = tmp_path / str(seed)
        folder.mkdir()
        await run(folder, seed, 4 * STEPS)


async def test_the_worlds_are_not_tame(tmp_path: Path) -> None:
    """Guards the simulation itself: it must meet each fate a transfer can have."""
    fates: set[Any] = set()
    for seed in range(6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        await run(folder, seed, 2 * STEPS)
        async with world(
            folder, peers=Country(random.Random(0), is_calm=True), is_fresh=False
        ) as one:
            fates |= {(row.state, row.reason) for row in _rows(one)}
    assert {
        ("CONFIRMED", ""),
        ("CANCELLED", "AB05"),
        ("REJECTED", "AC01"),
        ("REJECTED", "AB05"),
        ("REJECTED", "FF07"),
    } <= fates


def _rows(one: World) -> list[Any]:
    return list(one.store.transfers(TransferFilter(), limit=500))
