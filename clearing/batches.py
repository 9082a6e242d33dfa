"""Takes batches from their window's closing to the end of their settlement."""

import unicodedata
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from clearing.core.netting import disagreement
from clearing.core.settlement import again
from clearing.ports import LedgerStore
from clearing.refusals import Refusal, conflict, invalid, unknown
from clearing.settlement import Settler
from scheme.batch import (
    AGREED,
    CLOSED,
    CLOSING,
    FAILED,
    OPEN,
    PARTIAL,
    REFUSED,
    SETTLED,
    SETTLING,
    Approval,
    Settlement,
    decode_batch,
    decode_settlement,
    encode_settlement,
)
from scheme.clock import Clock, to_ms
from scheme.ledger import DEFERRED, AdvanceWindow
from scheme.standing import WindowStand

log = structlog.get_logger()

NAME_CHARACTERS_MAX = 64
"""Longest name under which a batch is approved."""


class Batches:
    """Has batches recounted, approved and settled, and failed ones tried again.

    Args:
        approvals: how many different people approve a batch.

    Attributes:
        on_settled: told the end of an exchange cycle: its window, and the orders unwound.
    """

    def __init__(
        self, ledger: LedgerStore, settler: Settler, *, approvals: int, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._settler = settler
        self._approvals = approvals
        self._clock = clock
        self.on_settled: Callable[[str, frozenset[str]], None] | None = None

    async def take_further(self, stand: WindowStand) -> int:
        """Take a closed window on; return when to look again, or 0."""
        if stand.state == CLOSED and await self._is_cleared(stand):
            settlement = self._settlement(stand.window)
            settling = replace(settlement, state=SETTLING)
            await self._ledger.apply((self._advanced(stand.window, settling),))
        elif stand.state != SETTLING:
            return 0
        wake_ms = await self._settler.settle(stand.window)
        after = self._ledger.window(stand.window)
        assert after is not None
        if stand.cycle == DEFERRED and after.state in (SETTLED, PARTIAL):
            unwound = decode_settlement(after.record, state=after.state).unwound
            if self.on_settled is not None:
                self.on_settled(stand.window, frozenset(unwound))
        return wake_ms

    async def _is_cleared(self, stand: WindowStand) -> bool:
        """Tell whether a closed window may be settled: its recount agrees, people approved."""
        settlement = decode_settlement(stand.record, state=stand.state)
        if not settlement.audit:
            settlement = await self._audited(stand.window)
        if settlement.audit != AGREED or len(settlement.approvals) < self._approvals:
            return False
        if self._settler.is_unchanged(stand.window):
            return True
        # People may have taken their time: what they approved must be what is settled.
        await self._audited(stand.window)
        return False

    async def _audited(self, window: str) -> Settlement:
        data = self._ledger.batch(window)
        assert data is not None
        if self._settler.is_unchanged(window):
            wrong = disagreement(decode_batch(data), await self._ledger.recount_window(window))
        else:
            wrong = "its bytes are not those that were written"
        if wrong:
            log.error("a batch is refused", window=window, cause=wrong)
        verdict = REFUSED + wrong if wrong else AGREED
        audited = replace(self._settlement(window), audit=verdict)
        await self._ledger.apply((self._advanced(window, audited),))
        return audited

    async def approve(self, window_id: str, name: str) -> Settlement | Refusal:
        """Note that a person approves a batch."""
        is_printable = name.strip().isprintable()
        name = " ".join(unicodedata.normalize("NFKC", name).split())
        stand = self._ledger.window(window_id)
        if stand is None:
            return _UNKNOWN_BATCH
        if not 0 < len(name) <= NAME_CHARACTERS_MAX or not is_printable:
            hint = f"the name of who approves, 1 to {NAME_CHARACTERS_MAX} characters"
            return invalid("the name is missing or too long", "as", hint)
        settlement = decode_settlement(stand.record, state=stand.state)
        refusal = self._no_approval(stand, settlement, name)
        if refusal is not None:
            return refusal
        approval = Approval(name=name, at=to_ms(self._clock.now()))
        approved = replace(settlement, approvals=(*settlement.approvals, approval))
        await self._ledger.apply((self._advanced(window_id, approved),))
        return approved

    def _no_approval(self, stand: WindowStand, settlement: Settlement, name: str) -> Refusal | None:
        if not self._approvals:
            hint = "settlement.approvals in the profile says how many people approve a batch"
            return conflict("this profile wants no approval", "batch", hint)
        if stand.state in (OPEN, CLOSING):
            return _not_closed(stand)
        if settlement.audit.startswith(REFUSED):
            return conflict(
                "the batch is refused: its recount differs",
                "batch",
                "GET /batches/{id} says how; nothing of it settles before they agree",
            )
        if any(_person(one.name) == _person(name) for one in settlement.approvals):
            hint = "two different people approve a batch"
            return conflict("this person has approved the batch already", "as", hint)
        if stand.state != CLOSED or len(settlement.approvals) >= self._approvals:
            return conflict("the batch is approved already", "batch", f"it is {stand.state}")
        return None

    async def retry(self, window_id: str) -> Settlement | Refusal:
        """Try once more, at a person's wish, what failed or was refused."""
        stand = self._ledger.window(window_id)
        if stand is None:
            return _UNKNOWN_BATCH
        settlement = decode_settlement(stand.record, state=stand.state)
        if stand.state == FAILED:
            anew = again(settlement)
        elif stand.state == CLOSED and settlement.audit.startswith(REFUSED):
            anew = replace(settlement, audit="")
        elif stand.state == CLOSING and settlement.refused:
            anew = replace(settlement, refused="")
        else:
            return conflict(
                f"nothing failed: the batch is {stand.state}",
                "batch",
                "only what FAILED or was refused is tried again",
            )
        await self._ledger.apply((self._advanced(window_id, anew),))
        return anew

    def _settlement(self, window: str) -> Settlement:
        stand = self._ledger.window(window)
        assert stand is not None
        return decode_settlement(stand.record, state=stand.state)

    def _advanced(self, window: str, settlement: Settlement) -> AdvanceWindow:
        return advanced(window, settlement, to_ms(self._clock.now()))


def _person(name: str) -> str:
    """Return what tells people apart by their names: neither case nor width nor spaces."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def advanced(window: str, settlement: Settlement, at_ms: int) -> AdvanceWindow:
    """Return the command that notes how far a window's settlement is."""
    return AdvanceWindow(
        window=window, state=settlement.state, at_ms=at_ms, record=encode_settlement(settlement)
    )


_UNKNOWN_BATCH = unknown("no batch has this id", "batch", "GET /batches lists them")


def _not_closed(stand: WindowStand) -> Refusal:
    return conflict(
        f"the window is not closed yet: it is {stand.state}",
        "batch",
        "its batch is made when nothing of it is in flight any more",
    )
