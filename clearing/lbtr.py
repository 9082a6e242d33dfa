"""The ledgers of money: a queue of payments in each, settled as soon as they are covered."""

from collections.abc import Callable
from datetime import datetime, time, timedelta

import structlog

from clearing.core import gridlock
from clearing.core.business_days import Calendar
from clearing.core.gridlock import Payment
from clearing.ports import LedgerStore
from scheme.clock import Clock, lima, to_ms
from scheme.ledger import DropInstructions, SettleInstructions, Short
from scheme.profile import Profile
from scheme.standing import Instruction

log = structlog.get_logger()

CUSTOMER = "customer"
CLOSED_FOR_TODAY = "the rail closed before the payment was covered"
"""Why a customer's payment was taken out of the queue."""
_RAIL = "lbtr"


class Lbtr:
    """Settles queued payments, and drops customers' at the end of the day.

    Attributes:
        on_ended: told of customers' payments that settled or were dropped, once that is on disk.
        on_moved: told when any payment settled: something that waits for money may go on.
    """

    def __init__(
        self, ledger: LedgerStore, *, profile: Profile, calendar: Calendar, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._setting = profile.lbtr.offsetting
        self._hours = profile.rails.hours.get(_RAIL)
        self._calendar = calendar
        self._clock = clock
        self.on_ended: Callable[[Instruction], None] | None = None
        self.on_moved: Callable[[], None] | None = None

    async def pump(self) -> int:
        """Settle every queued payment that is covered or offset; return how many."""
        sets = self._settleable()
        if not sets:
            return 0
        now_ms = to_ms(self._clock.now())
        commands = [SettleInstructions(instruction_ids=ids, at_ms=now_ms) for ids in sets]
        # Nothing awaits between the look at the queue and this call, which decides at once.
        results = await self._ledger.apply(commands)
        settled = 0
        for ids, result in zip(sets, results, strict=True):
            if isinstance(result, Short):
                log.warning("queued payments are short after all", account=str(result.account))
                continue
            settled += len(ids)
            self._tell(ids)
        if settled and self.on_moved is not None:
            self.on_moved()
        return settled

    async def drop_late(self) -> None:
        """Drop customers' payments that the rail's last closing found in the queue."""
        closed = self._last_closing()
        if closed is None:
            return
        ids = tuple(
            one.instruction_id
            for one in self._ledger.instructions()
            if one.kind == CUSTOMER and one.queued_ms < to_ms(closed)
        )
        if ids:
            now_ms = to_ms(self._clock.now())
            drop = DropInstructions(instruction_ids=ids, reason=CLOSED_FOR_TODAY, at_ms=now_ms)
            await self._ledger.apply((drop,))
            self._tell(ids)

    def next_closing(self) -> datetime | None:
        """Return when the rail closes next, or None if it never does."""
        if self._hours is None:
            return None
        now = self._clock.now()
        day = lima(now).replace(hour=0, minute=0, second=0, microsecond=0)
        while True:
            closing = self._closing(day)
            if closing is not None and closing > now:
                return closing
            day += timedelta(days=1)

    def _last_closing(self) -> datetime | None:
        if self._hours is None:
            return None
        now = self._clock.now()
        day = lima(now).replace(hour=0, minute=0, second=0, microsecond=0)
        while True:
            closing = self._closing(day)
            if closing is not None and closing <= now:
                return closing
            day -= timedelta(days=1)

    def _closing(self, day: datetime) -> datetime | None:
        """Return when the rail closes on a day, or None if it does not open on it."""
        assert self._hours is not None
        if self._hours.business_days and not self._calendar.is_business_day(day.date()):
            return None
        closes = time.fromisoformat(self._hours.closes)
        return datetime.combine(day.date(), closes, day.tzinfo)

    def _settleable(self) -> tuple[tuple[str, ...], ...]:
        by_book: dict[tuple[str, str], list[Payment]] = {}
        # Settlement before customers' payments; sorting keeps the order within each.
        for one in sorted(self._ledger.instructions(), key=lambda one: one.kind == CUSTOMER):
            payment = Payment(
                id=one.instruction_id, debit=one.debit, credit=one.credit, minor=one.minor
            )
            by_book.setdefault((one.debit.ledger, one.debit.currency), []).append(payment)
        found: list[tuple[str, ...]] = []
        for payments in by_book.values():
            accounts = {account for one in payments for account in (one.debit, one.credit)}
            available = {}
            for account in accounts:
                position = self._ledger.position(account)
                assert position is not None, "payments are between accounts that exist"
                available[account] = position.available_minor
            found.extend(gridlock.resolve(payments, available, self._setting))
        return tuple(found)

    def _tell(self, ids: tuple[str, ...]) -> None:
        if self.on_ended is None:
            return
        for one in ids:
            instruction = self._ledger.instruction(one)
            assert instruction is not None
            if instruction.kind == CUSTOMER:
                self.on_ended(instruction)
