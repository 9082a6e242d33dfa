"""How often a payer may look phones up: the institution's own guard against enumeration."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheme.profile import DirectoryRules

PAYERS_MAX = 10_000
"""Payers remembered; the one idle longest is forgotten first."""


@dataclass(slots=True)
class _Count:
    lookups: int
    until: datetime
    is_blocked: bool = False


class LookupQuota:
    """Counts the lookups of each payer. A completed transfer starts the count anew.

    The counts live in memory: a restart forgives, as it does at real connectors.
    """

    def __init__(self, rules: DirectoryRules) -> None:
        self._rules = rules
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def take(self, payer: str, now: datetime) -> bool:
        """Count one lookup; False if it may not be made, which blocks the payer for a while."""
        count = self._counts.get(payer)
        if count is None or count.until <= now:
            window = timedelta(minutes=self._rules.payer_lookups_minutes)
            count = _Count(0, now + window)
            self._counts[payer] = count
        self._counts.move_to_end(payer)
        if len(self._counts) > PAYERS_MAX:
            self._counts.popitem(last=False)
        if count.is_blocked:
            return False
        if count.lookups >= self._rules.payer_lookups_max:
            count.is_blocked = True
            count.until = now + timedelta(minutes=self._rules.payer_block_minutes)
            return False
        count.lookups += 1
        return True

    def forgive(self, payer: str) -> None:
        """Start a payer's count anew, unless a block is running."""
        count = self._counts.get(payer)
        if count is not None and not count.is_blocked:
            del self._counts[payer]
