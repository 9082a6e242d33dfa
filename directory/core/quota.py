"""The directory's quota: a token bucket per participant (docs/wire/directory-service.md#quota).

The price of a lookup is known only after it ran, so it is taken then and may leave a debt: whoever
sweeps through unknown phones is shut out until the bucket has filled above zero again.
"""

from msgspec import Struct

_MS_PER_MINUTE = 60_000


class BucketLevel(Struct, frozen=True):
    """How a participant stands: whole tokens left (below zero: a debt), and whether it is shut."""

    participant: str
    tokens: int
    is_shut: bool


class Quota:
    """Buckets of all participants; a full bucket takes no memory.

    Args:
        size: tokens of a full bucket.
        per_minute: tokens gained in a minute; 0: no quota.
        known_cost: tokens for a phone that some directory knows.
        unknown_cost: tokens for one that none knows.
    """

    def __init__(self, *, size: int, per_minute: int, known_cost: int, unknown_cost: int) -> None:
        assert size > 0
        assert per_minute >= 0
        self._full = size * _MS_PER_MINUTE
        self._per_minute = per_minute
        self._known_cost = known_cost
        self._unknown_cost = unknown_cost
        # Level in sixty-thousandths of a token, so that a millisecond adds a whole number.
        self._buckets: dict[str, tuple[int, int]] = {}

    @property
    def is_unlimited(self) -> bool:
        """Whether nobody is ever shut out."""
        return self._per_minute == 0

    def is_shut(self, participant: str, now_ms: int) -> bool:
        """Tell whether a participant must wait."""
        return self._level(participant, now_ms) <= 0

    def charge(self, participant: str, *, known: int, unknown: int, now_ms: int) -> None:
        """Take the price of a lookup."""
        if self.is_unlimited:
            return
        cost = known * self._known_cost + unknown * self._unknown_cost
        level = self._level(participant, now_ms) - cost * _MS_PER_MINUTE
        self._buckets[participant] = (level, now_ms)

    def levels(self, now_ms: int) -> tuple[BucketLevel, ...]:
        """Return the buckets that are not full, by participant."""
        rows = []
        for participant in sorted(self._buckets):
            level = self._level(participant, now_ms)
            if level < self._full:
                rows.append(BucketLevel(participant, level // _MS_PER_MINUTE, level <= 0))
        return tuple(rows)

    def _level(self, participant: str, now_ms: int) -> int:
        bucket = self._buckets.get(participant)
        if bucket is None:
            return self._full
        level, at_ms = bucket
        level += max(0, now_ms - at_ms) * self._per_minute
        if level >= self._full:
            del self._buckets[participant]
            return self._full
        return level
