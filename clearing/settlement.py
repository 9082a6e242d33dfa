"""Drives the settlement of closed windows over the ledger, one step after another.

Every step is one ``apply``: its payments and how far the settlement is go to disk together, so a
process that dies between two steps goes on exactly there.
"""

import hashlib
from collections.abc import Callable, Mapping

import structlog

from clearing.core.settlement import Facts, Order, Step, Waits, next_step
from clearing.lbtr import Lbtr
from clearing.ports import LedgerStore
from scheme.batch import SETTLING, Settlement, decode_batch, decode_settlement, encode_settlement
from scheme.clock import Clock, to_ms
from scheme.ledger import Account, AdvanceWindow, Short
from scheme.profile import Profile

log = structlog.get_logger()


class Settler:
    """Settles batches.

    Args:
        sponsors: a coop's sponsor, by code.
        open_window: id of the window now open for a ledger's postings, by ledger and currency.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        lbtr: Lbtr,
        *,
        profile: Profile,
        sponsors: Mapping[str, str],
        clock: Clock,
        open_window: Callable[[str, str], str],
    ) -> None:
        self._ledger = ledger
        self._lbtr = lbtr
        self._rules = profile.settlement
        self._sponsors = sponsors
        self._clock = clock
        self._open_window = open_window

    async def settle(self, window: str) -> int:
        """Take a settlement as far as it goes now.

        Returns:
            When to look again, in milliseconds since the epoch; 0: it is at an end.
        """
        while True:
            await self._lbtr.pump()
            stand = self._ledger.window(window)
            assert stand is not None
            if stand.state != SETTLING:
                return 0
            before = decode_settlement(stand.record, state=stand.state)
            step = self._next(window, before, stand.cycle)
            if step.commands or step.settlement != before:
                await self._apply(window, step)
            if step.settlement.state != SETTLING:
                _report(window, step.settlement)
                return 0
            if step.wake_ms:
                return step.wake_ms

    def is_unchanged(self, window: str) -> bool:
        """Tell whether a batch still has the digest that it was written with."""
        data = self._ledger.batch(window)
        assert data is not None, "only a window with a batch has a digest"
        return hashlib.sha256(data).hexdigest() == self._ledger.batch_digest(window)

    def _next(self, window: str, settlement: Settlement, cycle: str) -> Step:
        data = self._ledger.batch(window)
        assert data is not None, "only a window with a batch is settled"
        assert self.is_unchanged(window), "the batch is not what was written"
        batch = decode_batch(data)
        facts = Facts(
            instructions={one.instruction_id: one for one in self._ledger.instructions_of(window)},
            available=self._available,
            orders=tuple(
                Order(transfer_id=one.transfer_id, entries=one.entries)
                for one in self._ledger.held_in(window)
            ),
            sponsors=self._sponsors,
            window=self._open_window(batch.ledger, batch.currency),
            now_ms=to_ms(self._clock.now()),
        )
        return next_step(batch, settlement, self._waits(cycle), facts)

    async def _apply(self, window: str, step: Step) -> None:
        advance = AdvanceWindow(
            window=window,
            state=step.settlement.state,
            at_ms=to_ms(self._clock.now()),
            record=encode_settlement(step.settlement),
        )
        results = await self._ledger.apply((*step.commands, advance))
        short = [one for one in results if isinstance(one, Short)]
        assert not short, f"a step asked for what is not there: {short}"

    def _available(self, account: Account) -> int | None:
        position = self._ledger.position(account)
        return None if position is None else position.available_minor

    def _waits(self, cycle: str) -> Waits:
        rules = self._rules
        return Waits(
            rules=rules.on_failure.get(cycle, ()),
            queue_ms=round(rules.queue_s * 1000),
            retries=rules.retries,
            retry_ms=round(rules.retry_s * 1000),
        )


def _report(window: str, settlement: Settlement) -> None:
    log.info(
        "settlement ended",
        window=window,
        state=settlement.state,
        rules=settlement.rules_applied,
        bearers=len(settlement.bearers),
        unwound=len(settlement.unwound),
    )
