"""What machines take back after their withdrawal was approved: cash not given out, in full or not.

What was posted stays posted. The rest of it goes back as one opposite posting, for ever the same
one, and its issuer is owed the reversal in the same command.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from scheme.clock import Clock, to_ms
from scheme.ledger import Duplicate, Oppose, PutFact, Short
from scheme.network import Participant
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import Fields
from switch.cash_ports import CashStore
from switch.core.cash import CashAnswer, CashRecord, opposition_id
from switch.core.cash_messages import dispensed_of, malformed
from switch.core.cash_outcome import undispensed
from switch.core.cash_rules import position_short
from switch.core.iso8583_codes import APPROVED, INVALID_AMOUNT, ISSUER_UNAVAILABLE
from switch.ports import Ledger, Outbox, WindowOf

log = structlog.get_logger()

DISPENSED_FACT: Final = "cash:dispensed:"
"""Prefix of the facts about reversals that say all was given out; the withdrawal's id follows."""


class CashReversals:
    """Posts what goes back, once for each withdrawal."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: CashStore,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        clock: Clock,
        window_of: WindowOf,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._outbox = outbox
        self._fleet = fleet
        self._clock = clock
        self._window_of = window_of
        self._running: dict[str, asyncio.Task[CashAnswer]] = {}

    async def not_dispensed(self, record: CashRecord, fields: Fields) -> CashAnswer:
        """Take back what a machine did not give out of an approved withdrawal."""
        identity = record.transfer_id
        while (running := self._running.get(identity)) is not None:
            await asyncio.wait({running})
        if self._is_known(identity):
            # The same at every repeat, whatever it says now: the first one stands.
            return CashAnswer(response_code=APPROVED, subject=identity)
        dispensed = dispensed_of(fields)
        if dispensed is None:
            return malformed("DE95: twelve digits of what was given out")
        if dispensed > record.amount:
            rule = f"DE95: more than the {record.amount} that were withdrawn"
            return CashAnswer(
                response_code=INVALID_AMOUNT,
                reason=ReasonCode.AM09,
                rule=rule,
                subject=identity,
            )
        # A task of its own: whoever asked may go away, and a repeat waits for it.
        work = self._take_back(record, dispensed)
        task = asyncio.get_running_loop().create_task(work)
        self._running[identity] = task
        task.add_done_callback(lambda _: self._running.pop(identity))
        return await asyncio.shield(task)

    def _is_known(self, identity: str) -> bool:
        if self._store.opposed_minor(identity) > 0:
            return True
        return self._store.fact(DISPENSED_FACT + identity) is not None

    async def _take_back(self, record: CashRecord, dispensed: int) -> CashAnswer:
        identity, now = record.transfer_id, self._clock.now()
        done = CashAnswer(response_code=APPROVED, subject=identity)
        if dispensed == record.amount:
            value = msgspec.msgpack.encode(to_ms(now))
            await self._ledger.apply((PutFact(name=DISPENSED_FACT + identity, value=value),))
            return done
        issuer = self._fleet.get(record.issuer)
        owed = undispensed(record, issuer, dispensed, now)
        oppose = Oppose(
            transfer_id=opposition_id(identity),
            opposite_of=identity,
            minor=record.amount - dispensed,
            windows={
                ledger: self._window_of(ledger, record.currency).id for ledger in record.windows
            },
            at_ms=to_ms(now),
            owed=(owed,),
        )
        (result,) = await self._ledger.apply((oppose,))
        if isinstance(result, Short):
            # Nothing was taken back and nothing is remembered: the machine's repeat tries again.
            log.warning("cash could not go back", transfer_id=identity, agent=record.acquirer)
            short = position_short(result.account.owner, self._fleet, result.available_minor)
            return replace(short, response_code=ISSUER_UNAVAILABLE)
        if not isinstance(result, Duplicate):
            log.info("cash not dispensed", transfer_id=identity, dispensed=dispensed)
            self._outbox.take((owed,))
        return done
