"""The generator's debtor agents on the wire: AV1 and CT1, each order told to the book once."""

import asyncio
import random
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from loadtests.bench.lean_http import BrokenLink, request
from loadtests.bench.orders import Debtor, Payee, Plain, Verdict
from loadtests.bench.traffic import BASE_PATH
from loadtests.day.book import ACCEPTED, REFUSED, UNSENT, DayBook, Line, Outcome
from loadtests.day.calls import PATIENCE_S, Lane, Unanswered
from scheme.clock import Clock

MAGIC_SOLES = 6_600
"""Cents of magic number 0 (docs/howto/magic-values.md)."""
REFUSALS = (1, 2, 3, 8, 12, 20)
OWED_TROUBLE = (40, 43)
"""The first CT5 answered with 500; CT5 acknowledged and forgotten, asked for by PSR1."""
SILENCES = (30, 35, 44)
_MAGIC_IN_THOUSAND = 30
_AGAIN_S = 0.2
_OK = 200


class _Order(Struct, frozen=True, rename="camel"):
    """What the book takes from an order as it was sent."""

    trace: str
    creation_date: str
    creation_time: str


class _CT1(Struct, frozen=True):
    ct1: _Order = msgspec.field(name="CT1")


_decode_ct1 = msgspec.json.Decoder(_CT1).decode


class Quota:
    """How many orders are left to begin, and after how many answers the next silence comes."""

    def __init__(self, orders: int, silences: int) -> None:
        self._left = orders
        self._every = max(orders // (silences + 1), 1)
        self._silences = silences

    def take(self) -> bool:
        """Return whether one more may begin."""
        self._left -= 1
        return self._left >= 0

    def takes_silence(self) -> bool:
        """Return whether this order is to meet a creditor that never answers."""
        if self._silences and self._left % self._every == 0:
            self._silences -= 1
            return True
        return False


class DayDebtor(Debtor):
    """An agent some of whose orders meet creditors that misbehave on purpose."""

    quota: Quota
    chance: random.Random

    def draw(self) -> tuple[Payee, int]:
        """Return whom to pay, and how many cents."""
        payee, cents = super().draw()
        if self.quota.takes_silence():
            return payee, MAGIC_SOLES + self.chance.choice(SILENCES)
        if self.chance.randrange(1000) < _MAGIC_IN_THOUSAND:
            return payee, MAGIC_SOLES + self.chance.choice(REFUSALS + OWED_TROUBLE)
        return payee, cents


class Wire:
    """Keeps a number of transfers in flight until its quota is used up.

    Args:
        payees: whom an agent may pay, with the fee that each order carries.
        book: told of every order.
    """

    def __init__(
        self,
        port: int,
        codes: Sequence[str],
        payees: Callable[[str], Sequence[Payee]],
        book: DayBook,
        clock: Clock,
        *,
        quota: Quota,
        in_flight: int,
        seed: int,
    ) -> None:
        self._port = port
        self._book = book
        self._clock = clock
        self._quota = quota
        self._debtors = []
        lanes_each = -(-in_flight // len(codes))
        for number in range(in_flight):
            code = codes[number % len(codes)]
            rng = random.Random(f"{seed}:{code}:{number}")
            # Each lane counts traces of its own: no two orders of an agent share one.
            trace = number // len(codes) * (799_999 // lanes_each)
            debtor = DayDebtor(code, payees(code), rng, envelope=Plain(), trace=trace)
            debtor.quota = quota
            debtor.chance = rng
            self._debtors.append(debtor)

    async def run(self) -> None:
        """Sign on, then send until nothing is left."""
        lane = Lane(self._port)
        for debtor in {one.code: one for one in self._debtors}.values():
            await _post(lane, "SignOn1", debtor.sign_on(self._clock.now()))
        lane.close()
        async with asyncio.TaskGroup() as group:
            for debtor in self._debtors:
                group.create_task(self._drive(debtor))

    async def _drive(self, debtor: DayDebtor) -> None:
        lane = Lane(self._port)
        while self._quota.take():
            await self._transfer(lane, debtor)
        lane.close()

    async def _transfer(self, lane: Lane, debtor: DayDebtor) -> None:
        payee, cents = debtor.draw()
        verified = await self._verified(lane, debtor, payee)
        order, settled = b"", verified
        if verified.accepted:
            order = debtor.order(payee, cents, verified, self._clock.now())
            settled = debtor.settled(await self._ordered(lane, order))
        self._note(debtor, payee, cents, order, settled)

    async def _verified(self, lane: Lane, debtor: DayDebtor, payee: Payee) -> Verdict:
        """Ask who the payee is; no money is concerned, so a lost question is asked anew."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + PATIENCE_S
        while True:
            query = debtor.verification(payee, self._clock.now())
            try:
                return debtor.verified(await _once(lane, "AV1", query))
            except BrokenLink as error:
                if loop.time() > ends_at:
                    raise Unanswered(f"a query got no answer: {error}") from error
            await asyncio.sleep(_AGAIN_S)

    async def _ordered(self, lane: Lane, order: bytes) -> bytes:
        """Send an order, and again as 0201 until it is answered: the same content each time."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + PATIENCE_S
        while True:
            try:
                return await _once(lane, "CT1", order)
            except BrokenLink as error:
                if loop.time() > ends_at:
                    raise Unanswered(f"an order got no answer: {error}") from error
            order = order.replace(b'"messageTypeId":"0200"', b'"messageTypeId":"0201"')
            await asyncio.sleep(_AGAIN_S)

    def _note(
        self, debtor: DayDebtor, payee: Payee, cents: int, order: bytes, settled: Verdict
    ) -> None:
        sent = _decode_ct1(order).ct1 if order else _Order("", "", "")
        outcome: Outcome = REFUSED if order else UNSENT
        self._book.note(
            Line(
                way="wire",
                outcome=ACCEPTED if order and settled.accepted else outcome,
                order_id=settled.instruction_id if order else "",
                reason=settled.reason,
                debtor=debtor.code,
                creditor=payee.participant,
                debtor_cci=debtor.cci,
                creditor_cci=payee.cci,
                amount=cents,
                fee=payee.fee,
                trace=sent.trace,
                at=sent.creation_date + sent.creation_time,
            )
        )


async def _once(lane: Lane, name: str, body: bytes) -> bytes:
    status, answer = await lane.once(request(BASE_PATH + name, body, request_id="000001"))
    if status != _OK:
        raise BrokenLink(f"HTTP {status}")
    return answer


async def _post(lane: Lane, name: str, body: bytes) -> None:
    status, answer = await lane.send(request(BASE_PATH + name, body, request_id="000001"))
    if status != _OK:
        raise Unanswered(f"{name}: HTTP {status}: {answer[:200]!r}")
