"""Which queued payments can settle: first in, first out, and what offsets one another.

Each payer's payments settle in the order in which they were queued; nobody's balance falls below
what it may. Offsetting looks for sets in which each needs only the net of them: pairs first, then
everybody at once, taking the last payment of whoever is short out until the rest is covered.
Such a set, found by taking out, is the largest there is, in whatever order they are taken out.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from scheme.ledger import Account

NONE = "none"
BILATERAL = "bilateral"
MULTILATERAL = "multilateral"


class Payment(Struct, frozen=True, kw_only=True, gc=False):
    """A queued payment."""

    id: str
    debit: Account
    credit: Account
    minor: int


def resolve(
    queue: Sequence[Payment], available: Mapping[Account, int], setting: str
) -> tuple[tuple[str, ...], ...]:
    """Return sets of payments to settle, each whole and in this order.

    Args:
        queue: in the order of arrival.
        available: what each account may still pay, its credit included; a missing one has
            nothing.
        setting: ``none``, ``bilateral`` or ``multilateral``.
    """
    book = _Book(queue, available)
    found: list[tuple[str, ...]] = []
    while True:
        settled = book.first_in_first_out()
        if not settled and setting != NONE:
            settled = book.bilateral()
        if not settled and setting == MULTILATERAL:
            settled = book.multilateral()
        if not settled:
            return tuple(found)
        found.append(tuple(one.id for one in settled))


class _Book:
    """Queues by payer and what each may still pay, as sets of payments settle."""

    def __init__(self, queue: Sequence[Payment], available: Mapping[Account, int]) -> None:
        self._queues: dict[Account, deque[Payment]] = {}
        self._available: dict[Account, int] = {}
        for one in queue:
            self._queues.setdefault(one.debit, deque()).append(one)
            for account in (one.debit, one.credit):
                self._available[account] = available.get(account, 0)

    def first_in_first_out(self) -> list[Payment]:
        """Settle each payer's next payment as long as it is covered."""
        settled: list[Payment] = []
        waiting = deque(self._queues)
        while waiting:
            payer = waiting.popleft()
            queue = self._queues[payer]
            while queue and queue[0].minor <= self._available[payer]:
                payment = queue[0]
                self._settle((payment,))
                settled.append(payment)
                if payment.credit in self._queues:
                    waiting.append(payment.credit)
        return settled

    def bilateral(self) -> list[Payment]:
        """Settle the first pair of payers whose next payments to one another offset."""
        for one, queue in self._queues.items():
            other = queue[0].credit if queue else None
            if other is None or other not in self._queues:
                continue
            ours, theirs = self._run(one, other), self._run(other, one)
            settled = self._largest({one: ours, other: theirs})
            if settled:
                self._settle(settled)
                return settled
        return []

    def multilateral(self) -> list[Payment]:
        """Settle the largest set that the net of it covers."""
        settled = self._largest({payer: list(queue) for payer, queue in self._queues.items()})
        self._settle(settled)
        return settled

    def _run(self, payer: Account, payee: Account) -> list[Payment]:
        run: list[Payment] = []
        for one in self._queues[payer]:
            if one.credit != payee:
                break
            run.append(one)
        return run

    def _largest(self, chosen: dict[Account, list[Payment]]) -> list[Payment]:
        left = dict(self._available)
        for payments in chosen.values():
            for one in payments:
                left[one.debit] -= one.minor
                left[one.credit] += one.minor
        short = deque(payer for payer in chosen if left[payer] < 0)
        while short:
            payer = short.popleft()
            # An account below its limit before any payment keeps all of its own waiting.
            while left[payer] < 0 and chosen[payer]:
                removed = chosen[payer].pop()
                left[payer] += removed.minor
                left[removed.credit] -= removed.minor
                if left[removed.credit] < 0 and removed.credit in chosen:
                    short.append(removed.credit)
        return [one for payments in chosen.values() for one in payments]

    def _settle(self, payments: Iterable[Payment]) -> None:
        for one in payments:
            first = self._queues[one.debit].popleft()
            assert first is one, "a payer's payments settle in their order"
            self._available[one.debit] -= one.minor
            self._available[one.credit] += one.minor
