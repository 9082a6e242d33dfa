"""Customers of the simulated institutions who pay by themselves, so that books exist to compare."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from loadtests.day.book import ACCEPTED, REFUSED, UNSENT, DayBook, Line, Outcome
from loadtests.day.calls import PATIENCE_S, Lane, Unanswered
from loadtests.day.customers import Customer
from loadtests.day.wire import Quota
from scheme.network import Participant

AMOUNTS = (100, 5_000)
_AGAIN_S = 0.2
_OK = 200
_NO_ANSWER = "no_answer"
_OUTCOMES: Mapping[str, Outcome] = {
    "FINAL": ACCEPTED, "REJECTED": REFUSED, "NOT_SENT": UNSENT,
}  # fmt: skip


class Hooks:
    """Orders through the institutions' control APIs, each under a key of its own."""

    def __init__(
        self,
        fleet: Mapping[str, Participant],
        everyone: Mapping[str, Sequence[Customer]],
        book: DayBook,
        *,
        quota: Quota,
        at_once: int,
        seed: int,
    ) -> None:
        self._fleet = fleet
        self._people = [one for own in everyone.values() for one in own]
        self._book = book
        self._quota = quota
        self._at_once = at_once
        self._seed = seed

    async def run(self) -> None:
        """Pay until nothing is left of the quota."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._at_once):
                group.create_task(self._drive(number))

    async def _drive(self, number: int) -> None:
        rng = random.Random(f"{self._seed}:hook:{number}")
        lanes: dict[str, Lane] = {}
        made = 0
        while self._quota.take():
            payer, payee = self._pair(rng)
            lane = lanes.get(payer.participant)
            if lane is None:
                port = self._fleet[payer.participant].port
                lane = lanes[payer.participant] = Lane(port)
            made += 1
            key = f"day-{self._seed}-{number}-{made}"
            await self._pay(lane, payer, payee, rng.randint(*AMOUNTS), key)
        for lane in lanes.values():
            lane.close()

    def _pair(self, rng: random.Random) -> tuple[Customer, Customer]:
        while True:
            payer, payee = rng.sample(self._people, 2)
            if payer.participant != payee.participant:
                return payer, payee

    async def _pay(
        self, lane: Lane, payer: Customer, payee: Customer, cents: int, key: str
    ) -> None:
        order = {"debtor": payer.cci, "creditor": {"cci": payee.cci}, "amount": cents}
        end = await _ended(lane, order, key)
        self._book.note(
            Line(
                way="hook",
                outcome=_OUTCOMES[end["state"]],
                order_id=end["instruction_id"] or "",
                reason=end["reason_code"] or end["not_sent_because"] or "",
                debtor=payer.participant,
                creditor=payee.participant,
                debtor_cci=payer.cci,
                creditor_cci=payee.cci,
                amount=cents,
                fee=int(end["fee"]),
            )
        )


async def _ended(lane: Lane, order: Mapping[str, object], key: str) -> Any:
    """Pay, and ask under the same key until the order has ended.

    What never left because the clearing house was away is ordered anew, under another key.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + PATIENCE_S
    tries = 0
    while True:
        status, answer = await lane.post("/control/payments", order, f"{key}-{tries}")
        if status != _OK:
            raise Unanswered(f"a customer's order got HTTP {status}: {answer}")
        is_away = answer["not_sent_because"] == _NO_ANSWER
        if answer["state"] != "PENDING" and not is_away:
            return answer
        if loop.time() > ends_at:
            raise Unanswered(f"a customer's order does not end: {answer}")
        tries += is_away
        await asyncio.sleep(_AGAIN_S)
