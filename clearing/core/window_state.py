"""The windows of the ledger: where each stands, how many transfers it waits for, its batch."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from scheme.ledger import AdvanceWindow, CloseWindow, Entry, OpenWindow
from scheme.standing import WindowStand

OPEN, CLOSING, CLOSED, SETTLING = "OPEN", "CLOSING", "CLOSED", "SETTLING"
SETTLED, PARTIAL, FAILED = "SETTLED", "PARTIAL", "FAILED"
ENDED = frozenset({SETTLED, PARTIAL})
"""States that nothing leads out of. FAILED is none: a person may have it tried again."""
SEALED = frozenset({CLOSED, SETTLING, FAILED}) | ENDED
"""States of a window that has its batch."""
DEFERRED_CYCLE = "deferred"

_MOVES: Mapping[str, frozenset[str]] = {
    OPEN: frozenset({CLOSING}),
    CLOSING: frozenset({CLOSING}),
    CLOSED: frozenset({CLOSED, SETTLING, *ENDED, FAILED}),
    SETTLING: frozenset({SETTLING, *ENDED, FAILED}),
    FAILED: frozenset({FAILED, SETTLING, *ENDED}),
}


class Batch(Struct, frozen=True, kw_only=True, gc=False):
    """What closing a window made, once and for ever."""

    window: str
    body: bytes
    digest: str


class WindowState:
    """Every window that is not at an end.

    Args:
        stands: as they are on disk.
    """

    def __init__(self, stands: Iterable[WindowStand]) -> None:
        self._stands = {one.window: one for one in stands}
        self._batches: dict[str, Batch] = {}
        self._held: Counter[str] = Counter()
        self._released: list[str] = []

    def hold(self, windows: Iterable[str]) -> None:
        """Count a transfer that holds money in these windows."""
        for window in windows:
            self._held[window] += 1

    def release(self, windows: Iterable[str]) -> None:
        """Count that it holds none any more."""
        held = self._held
        for window in windows:
            left = held[window] - 1
            assert left >= 0, "more transfers ended than were held"
            if left:
                held[window] = left
                continue
            del held[window]
            stand = self._stands.get(window)
            if stand is not None and stand.state == CLOSING:
                self._released.append(window)

    def take_released(self) -> Sequence[str]:
        """Return the CLOSING windows whose last transfer ended since the last call."""
        if not self._released:
            return ()
        released, self._released = self._released, []
        return released

    def get(self, window: str) -> WindowStand | None:
        """Return a window that is in memory."""
        stand = self._stands.get(window)
        return None if stand is None else replace(stand, held=self._held[window])

    def all(self) -> tuple[WindowStand, ...]:
        """Return all that are not at an end, by settlement date, cycle, currency and number."""
        known = (self.get(window) for window, one in self._stands.items() if one.state not in ENDED)
        stands = [one for one in known if one is not None]
        return tuple(
            sorted(stands, key=lambda w: (w.settlement_date, w.cycle, w.currency, w.number))
        )

    def batch(self, window: str) -> bytes | None:
        """Return a batch that is not on disk yet."""
        one = self._batches.get(window)
        return None if one is None else one.body

    def batch_digest(self, window: str) -> str | None:
        """Return the digest of a batch that is not on disk yet."""
        one = self._batches.get(window)
        return None if one is None else one.digest

    def open_like(self, window: str) -> str:
        """Return the window that takes what was meant for one that has its batch.

        Raises:
            AssertionError: none of its cycle and currency is open.
        """
        sealed = self._stands.get(window)
        for stand in self._stands.values():
            if (
                sealed is not None
                and stand.state == OPEN
                and (stand.cycle, stand.currency) == (sealed.cycle, sealed.currency)
            ):
                return stand.window
        raise AssertionError(f"no window is open in the place of {window}")

    def open(self, command: OpenWindow) -> WindowStand:
        """Open a window that is not known."""
        stand = WindowStand(
            window=command.window,
            cycle=command.cycle,
            currency=command.currency,
            settlement_date=command.settlement_date,
            number=command.number,
            opens_ms=command.opens_ms,
            closes_ms=command.closes_ms,
            state=OPEN,
        )
        self._stands[command.window] = stand
        return stand

    def advance(self, command: AdvanceWindow) -> WindowStand:
        """Move a window on."""
        stand = self._stands.get(command.window)
        assert stand is not None, "only a window that is not at an end moves on"
        allowed = _MOVES.get(stand.state, frozenset())
        assert command.state in allowed, f"a window does not go from {stand.state} {command.state}"
        after = replace(stand, state=command.state, record=command.record or stand.record)
        self._stands[command.window] = after
        return after

    def close(self, command: CloseWindow) -> WindowStand:
        """Make a window's batch.

        Raises:
            AssertionError: it is not CLOSING, or transfers still hold money in it (which only
                the deferred cycle allows).
        """
        stand = self._stands.get(command.window)
        assert stand is not None, "only a window that was opened can be closed"
        assert stand.state == CLOSING, f"a window in state {stand.state} is not closed"
        assert not self._held[command.window] or stand.cycle == DEFERRED_CYCLE, (
            "transfers of the window still hold money"
        )
        after = replace(stand, state=CLOSED, closed_ms=command.at_ms)
        self._stands[command.window] = after
        self._batches[command.window] = Batch(
            window=command.window, body=command.batch, digest=command.digest
        )
        return after

    def is_held(self, window: str) -> bool:
        """Tell whether transfers of a window hold money."""
        return self._held[window] > 0

    def forget_batch(self, window: str) -> None:
        """Drop a batch that is on disk."""
        self._batches.pop(window, None)

    def forget_ended(self, window: str) -> None:
        """Drop a window whose end is on disk."""
        self._stands.pop(window, None)


def windows_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the windows that entries belong to, each once."""
    windows: list[str] = []
    for entry in entries:
        if entry.window and entry.window not in windows:
            windows.append(entry.window)
    return tuple(windows)
