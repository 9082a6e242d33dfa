"""Ends payments once their cycle or their queue has: posted and told, or given back and told.

What was missed, because the process ended in between, is taken up at the next start: the ledger
says what became of every window and instruction.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import structlog

from scheme.batch import decode_settlement
from scheme.clock import Clock, to_ms
from scheme.ledger import Command, Owed, Post, Release
from scheme.messages.payment import SETTLEMENT_FAILED
from scheme.network import Participant
from scheme.standing import Instruction
from switch.core.entries import DEFERRED_RAIL
from switch.core.payment import (
    Event,
    PaymentFailed,
    PaymentRecord,
    PaymentSettled,
    PaymentState,
    ended,
    pack_payment,
)
from switch.core.payment_messages import credit_transfer, status_report
from switch.payment_ports import PaymentLedger, PaymentStore
from switch.ports import Outbox

log = structlog.get_logger()

CHUNK: Final = 500
"""Payments ended in one group, and read in one go: the loop has others to serve."""
UNWOUND: Final = "its exchange cycle was settled without it"
DROPPED: Final = "the LBTR took it out of its queue"
_END_STATES: Final = frozenset({"SETTLED", "PARTIAL"})
_PAID: Final = "SETTLED"
_QUEUED: Final = "QUEUED"
_START: Final = (0, "")

Ending = tuple[PaymentRecord, Event]
EventOf = Callable[[PaymentRecord], Event | None]


class PaymentSettler:
    """Ends payments.

    Args:
        spawn: starts a task that the process owns.
        pump: has the LBTR look at its queue.
    """

    def __init__(
        self,
        *,
        ledger: PaymentLedger,
        store: PaymentStore,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        clock: Clock,
        spawn: Callable[..., object],
        pump: Callable[[], object],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._outbox = outbox
        self._fleet = fleet
        self._clock = clock
        self._spawn = spawn
        self._pump = pump
        self._ending: set[str] = set()
        self._queue: dict[str, Event] = {}
        self._is_draining = False

    def accepted(self, record: PaymentRecord) -> None:
        """Take a new payment on: have the LBTR try it, or end it if nobody has to pay."""
        if record.rail == DEFERRED_RAIL:
            return
        if not record.instruction:
            self._end_soon(record.payment_id, PaymentSettled())
            return
        self._pump()
        # Its instruction may have ended while the payment itself was on its way to the disk.
        event = self._ended_by_queue(record)
        if event is not None:
            self._end_soon(record.payment_id, event)

    def on_instruction_ended(self, instruction: Instruction) -> None:
        """End the payment of a customer's instruction that was paid or dropped."""
        event = _event_of(instruction)
        if event is not None:
            self._end_soon(instruction.subject, event)

    def on_settled_cycle(self, window: str, unwound: frozenset[str]) -> None:
        """End every payment of an exchange cycle that has been settled."""
        self._spawn(self.settle_cycle(window, unwound))

    async def settle_cycle(self, window: str, unwound: frozenset[str]) -> int:
        """End every payment of a settled cycle; return how many."""

        def event_of(record: PaymentRecord) -> Event | None:
            return _cycle_event(record, unwound) if record.window == window else None

        return await self._sweep(event_of)

    async def resume(self) -> int:
        """End what the last process left though its cycle or instruction had ended.

        Returns:
            How many payments were ended.
        """
        unwound: dict[str, frozenset[str] | None] = {}

        def event_of(record: PaymentRecord) -> Event | None:
            if record.rail != DEFERRED_RAIL:
                return self._ended_by_queue(record)
            if record.window not in unwound:
                unwound[record.window] = self._unwound_of(record.window)
            found = unwound[record.window]
            return None if found is None else _cycle_event(record, found)

        count = await self._sweep(event_of)
        if count:
            log.info("payments of a former process ended", count=count)
        return count

    def _ended_by_queue(self, record: PaymentRecord) -> Event | None:
        if not record.instruction:
            return PaymentSettled()
        instruction = self._ledger.instruction(record.instruction)
        return None if instruction is None else _event_of(instruction)

    def _unwound_of(self, window: str) -> frozenset[str] | None:
        """Return the orders unwound of a cycle that is settled, else None."""
        stand = self._ledger.window(window)
        if stand is None or stand.state not in _END_STATES:
            return None
        return frozenset(decode_settlement(stand.record, state=stand.state).unwound)

    def _end_soon(self, payment: str, event: Event) -> None:
        """End one, together with all others of this turn of the loop."""
        self._queue[payment] = event
        if not self._is_draining:
            self._is_draining = True
            self._spawn(self._drain())

    async def _drain(self) -> None:
        try:
            while self._queue:
                taken = dict(list(self._queue.items())[:CHUNK])
                for payment in taken:
                    del self._queue[payment]
                await self._end(self._found(taken))
        finally:
            self._is_draining = False

    def _found(self, events: Mapping[str, Event]) -> Iterator[Ending]:
        for payment, event in events.items():
            stored = self._store.payment(payment)
            # One that is not on disk yet is asked about again when it is (``accepted``).
            if stored is not None and stored.state is PaymentState.ACSP:
                yield stored.record, event

    async def _sweep(self, event_of: EventOf) -> int:
        """Walk over all open payments, a chunk at a time, and end those that have an event."""
        after, count = _START, 0
        while page := self._store.open_payments(after, limit=CHUNK):
            after = (page[-1].created_ms, page[-1].payment_id)
            found = ((one, event) for one in page if (event := event_of(one)) is not None)
            count += await self._end(found)
            await asyncio.sleep(0)
        return count

    async def _end(self, endings: Any) -> int:
        """End payments in one group, with what is owed about it; return how many."""
        chosen = [one for one in endings if one[0].payment_id not in self._ending]
        if not chosen:
            return 0
        ids = [record.payment_id for record, _ in chosen]
        self._ending.update(ids)
        commands = [self._command(record, event) for record, event in chosen]
        await self._ledger.apply(commands)
        # From here the disk itself says that they have ended.
        self._ending.difference_update(ids)
        owed: Sequence[Owed] = [one for command in commands for one in command.owed]
        self._outbox.take(owed)
        log.info("payments ended", count=len(chosen))
        return len(chosen)

    def _command(self, record: PaymentRecord, event: Event) -> Command:
        now = self._clock.now()
        state, last = ended(record, event, to_ms(now))
        debtor = self._fleet.get(record.debtor_agent)
        creditor = self._fleet.get(record.creditor_agent)
        owed = () if debtor is None else status_report(last, state, debtor, now)
        if state is PaymentState.RJCT:
            return Release(
                transfer_id=record.payment_id,
                state=state,
                record=pack_payment(last),
                reason=SETTLEMENT_FAILED,
                at_ms=to_ms(now),
                # Its creditor's agent hears of it for the first time once it is paid.
                was_received=False,
                owed=owed,
            )
        owed += () if creditor is None else credit_transfer(last, creditor, now)
        return Post(
            transfer_id=record.payment_id,
            state=state,
            record=pack_payment(last),
            at_ms=to_ms(now),
            owed=owed,
        )


def _cycle_event(record: PaymentRecord, unwound: frozenset[str]) -> Event:
    return PaymentFailed(UNWOUND) if record.payment_id in unwound else PaymentSettled()


def _event_of(instruction: Instruction) -> Event | None:
    if instruction.state == _QUEUED:
        return None
    if instruction.state == _PAID:
        return PaymentSettled()
    return PaymentFailed(instruction.reason or DROPPED)
