"""Seeded worlds in which orders come by another wire, are taken back, and their creditors crash,
lose answers and garble them, on both lanes; the clearing house loses its power in between.

The model knows what each payer was told of its order and of its reversal, and what each
creditor's agent posted. A single-message creditor posts on the 0200 and undoes it on the 0420; it
refuses a 0200 that comes after its reversal, and the clearing house never lets that happen.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheme.clock import Clock
from scheme.errors import NoAnswer, NotConnected
from scheme.ledger import Owed
from scheme.messages import AV2, CT1, CT2, CT4, CT5, CTC1, ET1, Message
from scheme.wire.tin_json import decode
from switch.flight import Answer, Entered, NotAccepting, Reversal, ReversalOutcome, UnknownOutcome
from switch.ports import Delivery
from tests.support.single_message import iso_fleet
from tests.support.switch_world import (
    START,
    World,
    accept_order,
    accept_query,
    an_iso_order,
    echo,
    refuse_order,
    world,
)

SEEDS = range(24)
STEPS = 14
PREFUND = 40_000
CREDITORS = ("0971", "0002")
"""The first is of the ISO 8583 lane, the second of TIN."""


@dataclass
class Order:
    """An order under a key, and all that was said about it."""

    key: str
    ct1: CT1
    told: Answer | None = None
    reversal: Reversal | None = None

    @property
    def is_paid(self) -> bool:
        return self.told is not None and decode(self.told.body, CT4).responseCode == "00"


@dataclass
class Country:
    """Everyone but the clearing house, on links that break."""

    rng: random.Random
    is_calm: bool = False
    orders: list[Order] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    posted: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    clock: Clock | None = None

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        """Write the 0200, unless there is no link."""
        assert isinstance(message, CT2)
        assert subject == message.instructionId
        if not self.is_calm and self.rng.random() < 0.03:
            raise NotConnected("no link")
        return an_iso_order(participant, message)

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Answer the clearing house, or not."""
        luck = 1.0 if self.is_calm else self.rng.random()
        await asyncio.sleep(0)
        if isinstance(message, ET1):
            return echo(message)
        if isinstance(message, AV2):
            return accept_query(message)
        if luck < 0.05:
            raise NotConnected("down")
        assert isinstance(message, CT2)
        assert bool(prepared) == (participant == CREDITORS[0])
        assert subject not in self.asked, "never a second order under one id"
        assert not (prepared and subject in self.undone), "it left after its reversal"
        self.asked.add(subject)
        if luck < 0.15:
            return refuse_order("AC01")(message)
        if prepared:
            self.posted.add(subject)
        if luck < 0.22:
            raise NoAnswer("the link was cut")
        if luck < 0.4:
            await asyncio.get_running_loop().create_future()
        if luck < 0.7:
            assert self.clock is not None
            wait = timedelta(seconds=self.rng.uniform(0.0, 12.0))
            await self.clock.sleep_until(self.clock.now() + wait)
        return accept_order(message)

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Take an owed message, or lose it, or lose its acknowledgement."""
        del repeated
        luck = 1.0 if self.is_calm else self.rng.random()
        await asyncio.sleep(0)
        if luck < 0.3:
            return Delivery(acknowledged=False)
        if owed.message == "CT5":
            assert decode(owed.body, CT5).instructionId == owed.subject
            assert owed.subject not in self.undone
            self.posted.add(owed.subject)
        elif owed.message == "CTC1":
            assert decode(owed.body, CTC1).referenceInstructionId == owed.subject
            assert owed.subject not in self.posted
            self.undone.add(owed.subject)
        elif owed.message == "0420":
            self.posted.discard(owed.subject)
            self.undone.add(owed.subject)
        return Delivery(acknowledged=luck > 0.4)


class Life:
    """One run of the clearing house, from its start to its crash."""

    def __init__(self, one: World, country: Country) -> None:
        self.one = one
        self.country = country
        self.tasks: set[asyncio.Task[None]] = set()

    async def step(self) -> None:
        """Let one thing happen."""
        rng = self.country.rng
        known = self.country.orders
        match rng.randrange(8):
            case 0 | 1 | 2:
                await self._new()
            case 3 if known:
                self.send(rng.choice(known))
            case 4 | 5 if known:
                self.take_back(rng.choice(known[-4:]))
            case 6:
                self.one.disk.shut()
                for order in known[-2:]:
                    rng.choice((self.send, self.take_back))(order)
                await self.one.settle()
                self.one.disk.release()
            case _:
                pass
        if rng.random() < 0.6:
            await self.one.advance(rng.choice((0.0, 0.1, 1.0, 3.0, 9.0)))

    async def _new(self) -> None:
        rng, count = self.country.rng, len(self.country.orders)
        creditor = rng.choice(CREDITORS)
        av4 = await self.one.verify(trace=f"{count:06}", creditorParticipantCode=creditor)
        if av4.responseCode != "00":
            return
        ct1 = self.one.ct1(
            av4.instructionId,
            trace=f"{count:06}",
            amount=rng.randrange(1, 900),
            creditorParticipantCode=creditor,
        )
        order = Order(f"iso:0970:{count:06}", ct1)
        self.country.orders.append(order)
        begin = [self.send, self.take_back] if rng.random() < 0.15 else [self.send]
        rng.shuffle(begin)
        for act in begin:
            act(order)

    def send(self, order: Order) -> None:
        """Send an order, for the first time or again."""
        self.tasks.add(asyncio.create_task(self._sent(order)))

    def take_back(self, order: Order) -> None:
        """Send its reversal, for the first time or again."""
        self.tasks.add(asyncio.create_task(self._taken_back(order)))

    async def _sent(self, order: Order) -> None:
        router, binding = self.one.house.router, self.one.house.verifier.binding
        bound = binding(order.ct1.referenceTransactionId)
        if bound is None:
            return
        try:
            answer = await router.order(order.ct1, Entered(order.key, order.key, bound))
        except (UnknownOutcome, NotAccepting):
            return
        if decode(answer.body, CT4).reasonCode == "BE15":
            assert order.told is None, "an outcome was forgotten"
            return
        assert order.told in (None, answer), "two outcomes"
        order.told = answer

    async def _taken_back(self, order: Order) -> None:
        try:
            reversal = await self.one.house.router.reverse(order.key)
        except (UnknownOutcome, NotAccepting):
            return
        assert order.reversal in (None, reversal), "two outcomes of a reversal"
        order.reversal = reversal

    async def settle_all(self) -> None:
        """In calm weather everything finds its end."""
        await self.one.advance(130)
        for order in self.country.orders:
            self.send(order)
            if order.reversal is not None:
                self.take_back(order)
        await self.one.advance(130)
        assert all(task.done() for task in self.tasks)

    def end(self) -> None:
        """Hang up everyone who waits."""
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.result()
            task.cancel()


async def run(folder: Path, seed: int, steps: int) -> Country:
    rng = random.Random(seed)
    country, now = Country(rng), START
    while True:
        async with world(
            folder,
            members=iso_fleet(),
            peers=country,
            start=now,
            prefund=PREFUND,
            is_fresh=False,
        ) as one:
            country.clock = one.clock
            life = Life(one, country)
            if country.is_calm:
                await life.settle_all()
                life.end()
                await audit(one, country, seed)
                return country
            for _ in range(steps):
                await life.step()
            if rng.random() < 0.7:
                one.disk.lose_power()
            life.end()
            now = _later(one.clock.now(), rng)
        country.is_calm = rng.random() < 0.4


def _later(now: datetime, rng: random.Random) -> datetime:
    return now + timedelta(seconds=rng.choice((1, 3, 40)))


async def audit(one: World, country: Country, seed: int) -> None:
    """Hold the clearing house against the model."""
    await one.audited()
    assert one.house.router.in_flight == (), f"{seed=}"
    assert one.owed() == [], f"{seed=}"
    expected = dict.fromkeys(("0970", *CREDITORS), PREFUND)
    paid: set[str] = set()
    for order in country.orders:
        if order.reversal is not None:
            assert order.told in (None, order.reversal.answer), f"{seed=}: {order.key}"
            is_posted = order.reversal.outcome is ReversalOutcome.POSTED
            assert is_posted == order.is_paid, f"{seed=}: {order.key}"
        if order.is_paid:
            assert order.told is not None
            paid.add(order.told.subject)
            total = order.ct1.amount + order.ct1.feeAmount
            expected["0970"] -= total
            expected[order.ct1.creditorParticipantCode] += total
    assert country.posted == paid, f"{seed=}: what was posted is not what was paid"
    for owner, minor in expected.items():
        assert one.balance(owner) == one.available(owner) == minor, f"{seed=} {owner=}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_posted_that_was_taken_back_and_nothing_twice(
    tmp_path: Path, seed: int
) -> None:
    await run(tmp_path, seed, STEPS)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_many_more_worlds(tmp_path: Path) -> None:
    for seed in (*range(24, 40), *range(1_000, 3_000)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        await run(folder, seed, 3 * STEPS)


async def test_the_worlds_are_not_tame(tmp_path: Path) -> None:
    """Guards the simulation itself: reversals must meet each outcome they can have."""
    outcomes: set[ReversalOutcome] = set()
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        country = await run(folder, seed, 2 * STEPS)
        outcomes |= {one.reversal.outcome for one in country.orders if one.reversal is not None}
        if outcomes == set(ReversalOutcome):
            break
    assert outcomes == set(ReversalOutcome)
