"""Lanes: what the entries of one window, kind and pair of accounts have in common."""

from collections.abc import Iterable, Sequence
from typing import Any

from scheme.ledger import Account, Entry

_CACHED_MAX = 200_000
_FIND = (
    'SELECT lane FROM lanes WHERE "window" = ? AND kind = ? AND ledger = ? AND currency = ? '
    "AND debit = ? AND credit = ? AND counted = ?"
)
_ENTRY = 'SELECT kind, ledger, currency, debit, credit, "window" FROM lanes WHERE lane = ?'


class Lanes:
    """Gives out the ids of lanes; the writer's own, used in its thread only.

    Args:
        connection: the writer's, so that it sees what the open transaction has written.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._ids: dict[tuple[object, ...], int] = {}
        self._fresh: list[tuple[object, ...]] = []
        self._last: int | None = None

    def of(self, entry: Entry, kind: str, counted: int) -> int:
        """Return the lane of an entry, made on demand."""
        key = (kind, entry.window, entry.debit, entry.credit, counted)
        lane = self._ids.get(key)
        if lane is None:
            lane = self._find_or_make(entry, kind, counted)
            if len(self._ids) >= _CACHED_MAX and not self._fresh:
                self._ids.clear()
            self._ids[key] = lane
        return lane

    def take_fresh(self) -> Sequence[Sequence[object]]:
        """Return the rows of lanes that were made since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def _find_or_make(self, entry: Entry, kind: str, counted: int) -> int:
        debit = entry.debit
        columns = (
            entry.window,
            kind,
            debit.ledger,
            debit.currency,
            debit.owner,
            entry.credit.owner,
            counted,
        )
        row = self._connection.execute(_FIND, columns).fetchone()
        if row is not None:
            return int(row[0])
        if self._last is None:
            query = "SELECT coalesce(max(lane), 0) FROM lanes"
            self._last = int(self._connection.execute(query).fetchone()[0])
        self._last += 1
        self._fresh.append((self._last, *columns))
        return self._last


def read_lanes(connection: Any, lanes: Iterable[int]) -> dict[int, Entry]:
    """Return an entry, of 1 minor unit, for each lane that exists."""
    found = {}
    for lane in set(lanes):
        row = connection.execute(_ENTRY, (lane,)).fetchone()
        if row is not None:
            kind, ledger, currency, debit, credit, window = row
            found[lane] = Entry(
                kind=kind,
                debit=Account(ledger=ledger, currency=currency, owner=debit),
                credit=Account(ledger=ledger, currency=currency, owner=credit),
                minor=1,
                window=window,
            )
    return found
