"""Ranges of a unique key that are empty on disk: what lies in one need not be looked up there."""

from bisect import bisect_left

from scheme.limits import LEDGER_GAPS_MAX, LEDGER_RECENT_KEYS_MAX

ABOVE_ALL = "\U0010ffff"
"""Upper end of a range above every key."""


class KeyGaps:
    """Proves that a key is on no row, or leaves it open.

    Keys carry dates and counters, so nearly every new one lies in a range that was read as empty
    before; only what was added since must be kept besides. Both are bounded: no more ranges are
    learnt than ``LEDGER_GAPS_MAX``, and beyond ``LEDGER_RECENT_KEYS_MAX`` added keys
    all is forgotten, and ranges are learnt anew.
    """

    def __init__(self) -> None:
        self._recent: set[str] = set()
        # Both sorted: ranges do not overlap.
        self._lows: list[str] = []
        self._highs: list[str] = []

    def lacks(self, key: str) -> bool:
        """Tell whether no row has this key for certain."""
        if key in self._recent:
            return False
        place = bisect_left(self._lows, key)
        return place > 0 and key < self._highs[place - 1]

    @property
    def is_learning(self) -> bool:
        """Whether another range is wanted."""
        return len(self._lows) < LEDGER_GAPS_MAX

    def learn(self, low: str, high: str) -> None:
        """Take over that no row has a key between these two, as was just read.

        Args:
            low: the highest key below, or empty; high: the lowest key above, or ``ABOVE_ALL``.
        """
        place = bisect_left(self._lows, low)
        if place == len(self._lows) or self._lows[place] != low:
            self._lows.insert(place, low)
            self._highs.insert(place, high)

    def add(self, key: str) -> None:
        """Take over that a row with this key is on disk now."""
        self._recent.add(key)
        if len(self._recent) > LEDGER_RECENT_KEYS_MAX:
            # They are on disk: no range that is read from now on has one of them in it.
            self._recent.clear()
            self._lows.clear()
            self._highs.clear()
