"""All positions in memory, and the watermarks they pass."""

from collections.abc import Iterable, Mapping, Sequence

from clearing.core.position import Changes, changed, ends_alert, needs_alert
from scheme.ledger import Account, Position

NO_CHANGES: Mapping[Account, Position] = {}


class PositionBook:
    """Positions as decided.

    Args:
        positions: as they stand on disk.
    """

    def __init__(self, positions: Iterable[Position]) -> None:
        self.positions: dict[Account, Position] = {one.account: one for one in positions}
        self._announced: set[Account] = set()
        self._low: list[Position] = []
        self._high: list[Position] = []

    def change(self, changes: Changes) -> None:
        """Take changed positions over; an alert that ends by it is ended in ``changes`` too."""
        positions = self.positions
        for account, after in changes.items():
            positions[account] = after
            available = after.available_minor
            if available < after.low_minor:
                if needs_alert(after) and account not in self._announced:
                    self._announced.add(account)
                    self._low.append(after)
            elif available > after.high_minor:
                self._announced.discard(account)
                if ends_alert(after):
                    positions[account] = changes[account] = changed(after, alerted=False)
                    self._high.append(positions[account])

    def set_alert(self, account: Account, *, alerted: bool) -> Position:
        """Remember that a low watermark was announced, or is past."""
        after = changed(self.positions[account], alerted=alerted)
        self.positions[account] = after
        self._announced.discard(account)
        return after

    def take_low(self) -> Sequence[Position]:
        """Return the positions that passed their low watermark since the last call."""
        if not self._low:
            return ()
        low, self._low = self._low, []
        return low

    def take_high(self) -> Sequence[Position]:
        """Return the announced positions that passed their high watermark since the last call."""
        if not self._high:
            return ()
        high, self._high = self._high, []
        return high


class Numbers:
    """Numbers that rows are kept under: transfers above zero, all other postings below.

    Args:
        last: highest number of a transfer; first: lowest number of another posting.

    Attributes:
        last: as given, kept up.
    """

    def __init__(self, last: int, first: int) -> None:
        self.last = last
        self._first = first

    def transfer(self) -> int:
        """Return the number of a new transfer."""
        self.last += 1
        return self.last

    def posting(self, count: int = 1) -> int:
        """Return the number of a new posting, or the first of several, each one less."""
        number = self._first - 1
        self._first -= count
        return number
