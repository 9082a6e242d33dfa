"""Orders of the exchange cycles and of the gross settlement."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from loadtests.day.book import PENDING, REFUSED, DayBook, Line
from loadtests.day.calls import Lane, Unanswered
from loadtests.day.customers import Customer
from loadtests.day.plan import FAILING

DEFERRED, LBTR = "deferred", "lbtr"
_AMOUNTS = {DEFERRED: (10_000, 60_000), LBTR: (500_000, 600_000)}
_AT_ONCE = 4
_LAST_AT = 800
"""Thousandths of the day over which payments are spread; the rest is for what waits for them."""
_KEPT_CENTS = 300_000
"""What a payer keeps for its immediate transfers of the day."""
_SPARE_CENTS = 30_000
"""Kept beside each payment: its fee, and more immediate transfers."""
_TRIES_MAX = 10_000
_FAILING_EVERY = 8
_ACCEPTED_STATUS = 202
_CONFLICT = 409


class Payments:
    """Posts payments at the operator port, each under a key of its own.

    ``FAILING`` only pays and is never paid here, so that it owes in every cycle.
    """

    def __init__(
        self,
        operator_port: int,
        everyone: Mapping[str, Sequence[Customer]],
        book: DayBook,
        *,
        seed: int,
    ) -> None:
        self._port = operator_port
        self._book = book
        self._rng = random.Random(f"{seed}:payments")
        self._left = {
            one.cci: one.balance - _KEPT_CENTS for own in everyone.values() for one in own
        }
        self._people = [one for own in everyone.values() for one in own]
        self._failing = [one for one in self._people if one.participant == FAILING]
        self._payees = [one for one in self._people if one.participant != FAILING]
        self._made = 0

    async def run(self, rail: str, orders: int, *, until: Callable[[int], Awaitable[None]]) -> None:
        """Post so many payments, spread over the day.

        Args:
            until: waits for a share of the day's orders, in thousandths.
        """
        drawn = [self._draw(rail) for _ in range(orders)]
        async with asyncio.TaskGroup() as group:
            for number in range(_AT_ONCE):
                group.create_task(self._drive(rail, drawn, number, until))

    def _draw(self, rail: str) -> tuple[str, Customer, Customer, int]:
        """Draw an order that its payer can afford, whatever becomes of what it is paid."""
        self._made += 1
        cents = self._rng.randint(*_AMOUNTS[rail])
        # An emptied current account would hold up orders of the gross settlement for hours.
        barred = FAILING if rail == LBTR else ""
        # Each cycle of a day however small has orders of the one that cannot pay.
        own_turn = rail == DEFERRED and self._made % _FAILING_EVERY == 1
        payers = self._failing if own_turn else self._people
        for _ in range(_TRIES_MAX):
            payer, payee = self._rng.choice(payers), self._rng.choice(self._payees)
            if payer.participant in {payee.participant, barred}:
                continue
            if self._left[payer.cci] >= cents + _SPARE_CENTS:
                self._left[payer.cci] -= cents + _SPARE_CENTS
                return f"day-{rail}-{self._made}", payer, payee, cents
            cents = max(cents // 2, _AMOUNTS[rail][0])
        raise Unanswered("the customers' money is ordered away: ask for fewer transfers")

    async def _drive(
        self,
        rail: str,
        drawn: Sequence[tuple[str, Customer, Customer, int]],
        first: int,
        until: Callable[[int], Awaitable[None]],
    ) -> None:
        lane = Lane(self._port)
        for nth in range(first, len(drawn), _AT_ONCE):
            await until(_LAST_AT * nth // len(drawn))
            await self._pay(lane, rail, *drawn[nth])
        lane.close()

    async def _pay(
        self, lane: Lane, rail: str, key: str, payer: Customer, payee: Customer, cents: int
    ) -> None:
        order = {
            "debtor_agent": payer.participant,
            "debtor_cci": payer.cci,
            "creditor_cci": payee.cci,
            "amount": cents,
            "currency": "PEN",
            "rail": rail,
            "description": "PAGO DE LA JORNADA",
        }
        status, answer = await lane.post("/payments", order, key)
        if status not in {_ACCEPTED_STATUS, _CONFLICT}:
            raise Unanswered(f"a payment got HTTP {status}: {answer}")
        accepted = status == _ACCEPTED_STATUS
        self._book.note(
            Line(
                way=rail,
                outcome=PENDING if accepted else REFUSED,
                order_id=str(answer.get("payment_id") or ""),
                reason="" if accepted else str(answer.get("reason") or answer.get("error", "")),
                debtor=payer.participant,
                creditor=payee.participant,
                debtor_cci=payer.cci,
                creditor_cci=payee.cci,
                amount=cents,
                fee=int(answer.get("fee", 0)) if accepted else 0,
            )
        )
