"""What each window counts for each position, kept up with every entry (docs/clearing.md)."""

from collections.abc import Callable, Iterable, Sequence

from scheme.ledger import DEFERRED, FUNDING_ACCOUNT, Account, Entry
from scheme.limits import LEDGER_SUM_MINOR_MAX
from scheme.standing import Tally

FIELDS = (
    "opening_minor",
    "sent_accepted",
    "sent_accepted_minor",
    "sent_rejected",
    "sent_rejected_minor",
    "received_accepted",
    "received_accepted_minor",
    "received_rejected",
    "received_rejected_minor",
    "funded",
    "funded_minor",
    "drawn",
    "drawn_minor",
)
"""Figures of a tally in the order of a counter's list, and of the table's columns."""
OPENING = 0
SENT_ACCEPTED = 1
SENT_REJECTED = 3
RECEIVED_ACCEPTED = 5
RECEIVED_REJECTED = 7
FUNDED = 9
DRAWN = 11
"""Where a number stands; its value is the next figure."""


class Counter:
    """The tally of one position in one window, as it is counted.

    Attributes:
        counts: its figures, in the order of ``FIELDS``.
    """

    __slots__ = ("account", "counts", "window")

    def __init__(self, window: str, account: Account, counts: Iterable[int] = ()) -> None:
        self.window = window
        self.account = account
        self.counts = list(counts) or [0] * len(FIELDS)

    def tally(self) -> Tally:
        """Return the figures as they stand."""
        figures = dict(zip(FIELDS, self.counts, strict=True))
        return Tally(window=self.window, account=self.account, **figures)


Counted = tuple[tuple[Counter, tuple[int, ...]], ...]
"""Counters that a command changed, with their figures after it."""


class WindowBook:
    """All counters of one window.

    Attributes:
        gross_minor: at least the value of any figure; held transfers are in it already, so that
            no later posting can leave the range.
        is_sealed: its batch is made, so nothing may be counted any more.
    """

    __slots__ = ("counters", "gross_minor", "is_sealed", "window")

    def __init__(self, window: str, tallies: Iterable[Tally] = (), *, sealed: bool = False) -> None:
        self.window = window
        self.is_sealed = sealed
        self.counters = {
            one.account: Counter(window, one.account, (getattr(one, name) for name in FIELDS))
            for one in tallies
        }
        self.gross_minor = sum(
            max(abs(figure) for figure in one.counts) for one in self.counters.values()
        )

    def counter(self, account: Account) -> Counter:
        """Return the counter of a position, made on demand."""
        counter = self.counters.get(account)
        if counter is None:
            counter = self.counters[account] = Counter(self.window, account)
        return counter

    def tallies(self) -> tuple[Tally, ...]:
        """Return all tallies, sorted by account."""
        counters = sorted(self.counters.values(), key=lambda one: account_key(one.account))
        return tuple(one.tally() for one in counters)


class Tallies:
    """The books of all windows that are not at an end.

    Args:
        load: returns the book of a window that is not in memory.
    """

    def __init__(self, load: Callable[[str], WindowBook]) -> None:
        self._load = load
        self._books: dict[str, WindowBook] = {}

    def book(self, window: str) -> WindowBook:
        """Return the book of a window, made on demand."""
        book = self._books.get(window)
        if book is None:
            book = self._books[window] = self._load(window)
        return book

    def drop(self, window: str) -> None:
        """Forget a book that is on disk and will not change."""
        self._books.pop(window, None)

    def read(self, window: str) -> tuple[Tally, ...]:
        """Return the tallies of any window."""
        book = self._books.get(window)
        return (self._load(window) if book is None else book).tallies()

    def is_open(self, entries: Iterable[Entry]) -> bool:
        """Tell whether every window of these entries still counts."""
        return not any(one.window and self.book(one.window).is_sealed for one in entries)

    def admit(self, windows: Iterable[str], minor: int) -> None:
        """Check that so much may be counted in these windows, now or later; change nothing.

        Raises:
            AssertionError: a window has its batch, or its sums would leave
                ``LEDGER_SUM_MINOR_MAX``.
        """
        for window in windows:
            book = self._books.get(window) or self.book(window)
            assert not book.is_sealed, "the window has its batch: nothing enters it any more"
            assert book.gross_minor + minor <= LEDGER_SUM_MINOR_MAX, (
                f"window {window} would pass LEDGER_SUM_MINOR_MAX"
            )

    def weigh(self, windows: Iterable[str], minor: int) -> None:
        """Add an admitted amount to the bound of these windows' figures."""
        for window in windows:
            self.book(window).gross_minor += minor

    def admit_entries(self, entries: Iterable[Entry]) -> None:
        """Check that these entries may be counted; change nothing.

        Raises:
            AssertionError: as of ``admit``.
        """
        for window, minor in _by_window(entries).items():
            self.admit((window,), minor)

    def weigh_entries(self, entries: Iterable[Entry]) -> None:
        """Add admitted entries to the bound of their windows' figures."""
        for window, minor in _by_window(entries).items():
            self.weigh((window,), minor)

    def count(self, entries: Sequence[Entry], sent: int, received: int | None) -> Counted:
        """Count one transfer: once for each window and position, with all its value.

        Args:
            sent: where a debit counts; received: where a credit counts, or nowhere.
        """
        senders: list[Counter] = []
        receivers: list[Counter] = []
        book: WindowBook | None = None
        for entry in entries:
            window = entry.window
            if not window:
                continue
            if book is None or book.window != window:
                book = self._books.get(window) or self.book(window)
            minor = entry.minor
            counter = book.counters.get(entry.debit) or book.counter(entry.debit)
            counts = counter.counts
            counts[sent + 1] += minor
            if counter not in senders:
                senders.append(counter)
                counts[sent] += 1
            if received is not None:
                counter = book.counters.get(entry.credit) or book.counter(entry.credit)
                counts = counter.counts
                counts[received + 1] += minor
                if counter not in receivers:
                    receivers.append(counter)
                    counts[received] += 1
        if receivers:
            senders += [one for one in receivers if one not in senders]
        return tuple([(one, tuple(one.counts)) for one in senders])

    def count_moved(self, entries: Sequence[Entry]) -> Counted:
        """Count what was funded to a position or drawn from it, entry by entry."""
        changed: dict[Counter, None] = {}
        for entry in entries:
            if not entry.window:
                continue
            for account, where in ((entry.credit, FUNDED), (entry.debit, DRAWN)):
                if account.owner != FUNDING_ACCOUNT:
                    counter = self.book(entry.window).counter(account)
                    counter.counts[where] += 1
                    counter.counts[where + 1] += entry.minor
                    changed[counter] = None
        return tuple((one, tuple(one.counts)) for one in changed)

    def open_with(self, window: str, openings: Iterable[tuple[Account, int]]) -> Counted:
        """Add opening balances to a window."""
        book = self.book(window)
        changed = []
        for account, minor in openings:
            counter = book.counter(account)
            counter.counts[OPENING] += minor
            changed.append((counter, tuple(counter.counts)))
        return tuple(changed)


def _by_window(entries: Iterable[Entry]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for entry in entries:
        if entry.window:
            sums[entry.window] = sums.get(entry.window, 0) + entry.minor
    return sums


def at_posting(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return what is counted when a transfer ends: all but the orders of the cycles."""
    orders = at_acceptance(entries)
    return tuple(one for one in entries if one not in orders) if orders else entries


def at_acceptance(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return what is counted when it is held: orders of the cycles are batched while held."""
    for entry in entries:
        if entry.debit.ledger == DEFERRED:
            return tuple(one for one in entries if one.debit.ledger == DEFERRED)
    return ()


def account_key(account: Account) -> tuple[str, str, str]:
    """Return what accounts are sorted by."""
    return (account.ledger, account.currency, account.owner)
