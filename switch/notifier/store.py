"""The notifier's two files: the ledger, which it only reads, and what it has told, its own."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from scheme.batch import Batch, decode_batch
from scheme.errors import StoreError
from switch.notifier.events import UNDECIDED, AlertRow, ReturnRow, TransferRow

_P = ParamSpec("_P")
_T = TypeVar("_T")

_TRANSFER: Final = (
    "t.number, t.transfer_id, t.state, t.reason, t.debtor_agent, t.creditor_agent, t.currency,"
    " t.minor, coalesce(t.decided_ms, t.created_ms), t.record"
)
_STILL_OPEN: Final = ", ".join(f"'{state}'" for state in UNDECIDED)
_BUSY_S: Final = 1.0


def _reading(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have a failed statement raise StoreError."""

    @wraps(work)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return work(*args, **kwargs)
        except sqlite3.Error as error:
            raise StoreError(f"notices: {error}") from error

    return call


class LedgerTail:
    """Reads what the ledger has added, over a connection that cannot write.

    Every read fetches a bounded page at once, so that none holds a checkpoint back.

    Args:
        path: ``ledger.db``, already made by the switch.
    """

    @_reading
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_S
        )
        self._connection.execute("PRAGMA query_only=ON")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @_reading
    def version(self) -> int:
        """Return a number that changes with every commit of the switch."""
        return int(self._one("PRAGMA data_version"))

    @_reading
    def made_ms(self) -> int:
        """Return when the ledger was made, which tells one from another."""
        return int(self._one("SELECT created_ms FROM meta"))

    @_reading
    def ends(self) -> tuple[int, int, int]:
        """Return the last numbers of transfers, of other postings, and of batches."""
        row: tuple[int, int, int] = self._connection.execute(
            "SELECT coalesce((SELECT max(number) FROM transfers), 0),"
            " coalesce((SELECT min(number) FROM occasions), 0),"
            " coalesce((SELECT max(rowid) FROM batches), 0)"
        ).fetchone()
        return row

    @_reading
    def transfers_after(self, number: int, *, limit: int) -> list[TransferRow]:
        """Return transfers in the order in which they were first written."""
        rows = self._all(
            f"SELECT {_TRANSFER} FROM transfers AS t"  # noqa: S608 - constants
            " WHERE t.number > ? ORDER BY t.number LIMIT ?",
            (number, limit),
        )
        return [TransferRow(*row) for row in rows]

    @_reading
    def decided_among(self, numbers: Sequence[int]) -> list[TransferRow]:
        """Return those of these transfers that have an outcome by now."""
        rows = self._all(
            f"SELECT {_TRANSFER} FROM json_each(?) AS wanted"  # noqa: S608 - constants
            " CROSS JOIN transfers AS t ON t.number = wanted.value"
            f" WHERE t.state NOT IN ({_STILL_OPEN})",
            (json.dumps(list(numbers)),),
        )
        return [TransferRow(*row) for row in rows]

    @_reading
    def occasions_after(self, number: int, *, limit: int) -> tuple[list[ReturnRow], int]:
        """Return the returns among the postings that are no transfers, and the last one read.

        Their numbers fall: the next ones are below.
        """
        rows = self._all(
            f"SELECT o.number, p.transfer_id, p.minor, p.at_ms, {_TRANSFER}"  # noqa: S608
            " FROM (SELECT number, name FROM occasions WHERE number < ?"
            " ORDER BY number DESC LIMIT ?) AS o"
            " LEFT JOIN oppositions AS p ON p.transfer_id = o.name"
            " LEFT JOIN transfers AS t ON t.transfer_id = p.opposite_of ORDER BY o.number DESC",
            (number, limit),
        )
        returns = [
            ReturnRow(number, return_id, minor, at_ms, TransferRow(*original))
            for number, return_id, minor, at_ms, *original in rows
            if original[0] is not None
        ]
        return returns, rows[-1][0] if rows else number

    @_reading
    def batches_after(self, row_id: int, *, limit: int) -> list[tuple[int, Batch, int]]:
        """Return the batches of windows that closed, each with its number and its instant."""
        rows = self._all(
            "SELECT rowid, body, made_ms FROM batches WHERE rowid > ? ORDER BY rowid LIMIT ?",
            (row_id, limit),
        )
        return [(number, decode_batch(body), made_ms) for number, body, made_ms in rows]

    @_reading
    def positions(self) -> list[AlertRow]:
        """Return all positions."""
        rows = self._all("SELECT ledger, currency, owner, balance, low, alerted FROM positions", ())
        return [AlertRow(*row) for row in rows]

    def _one(self, query: str) -> Any:
        row = self._connection.execute(query).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("nothing is there yet")
        return row[0]

    def _all(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()


_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS cursors(
        name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS pending(number INTEGER PRIMARY KEY, state TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS alerted(
        ledger TEXT, currency TEXT, owner TEXT,
        PRIMARY KEY (ledger, currency, owner)) WITHOUT ROWID""",
)

AlertKey = tuple[str, str, str]
"""Ledger, currency and owner of a position."""


class NoticeBook:
    """How far has been told, in ``notices.db``; made if it is not there.

    A power cut may lose the last writes: what they covered is told again.
    """

    @_reading
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        for statement in _SCHEMA:
            self._connection.execute(statement)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @_reading
    def cursors(self) -> dict[str, int]:
        """Return where everything was when it was last saved, by name."""
        return dict(self._connection.execute("SELECT name, value FROM cursors").fetchall())

    @_reading
    def pending(self) -> dict[int, str]:
        """Return the transfers that were seen without an outcome, with their state, in order."""
        rows = self._connection.execute("SELECT number, state FROM pending ORDER BY number")
        return dict(rows.fetchall())

    @_reading
    def alerted(self) -> set[AlertKey]:
        """Return the positions that were told to be low."""
        rows = self._connection.execute("SELECT ledger, currency, owner FROM alerted")
        return set(rows.fetchall())

    @_reading
    def begin_anew(self, cursors: Mapping[str, int], alerted: Iterable[AlertKey]) -> None:
        """Forget everything, and start from there."""
        self._write(("DELETE FROM pending", "DELETE FROM alerted"), cursors, {}, (), alerted, ())

    @_reading
    def save(
        self,
        cursors: Mapping[str, int],
        *,
        entered: Mapping[int, str],
        left: Iterable[int],
        low: Iterable[AlertKey],
        restored: Iterable[AlertKey],
    ) -> None:
        """Note in one transaction what was told.

        Args:
            entered: transfers seen without an outcome; left: those that have one now.
            low: positions told to be low; restored: those told not to be any more.
        """
        self._write((), cursors, entered, left, low, restored)

    def _write(
        self,
        first: Sequence[str],
        cursors: Mapping[str, int],
        entered: Mapping[int, str],
        left: Iterable[int],
        low: Iterable[AlertKey],
        restored: Iterable[AlertKey],
    ) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in first:
                connection.execute(statement)
            many = connection.executemany
            many("INSERT OR REPLACE INTO cursors VALUES (?, ?)", cursors.items())
            many("INSERT OR REPLACE INTO pending VALUES (?, ?)", entered.items())
            many("DELETE FROM pending WHERE number=?", ((number,) for number in left))
            many("INSERT OR IGNORE INTO alerted VALUES (?, ?, ?)", low)
            many("DELETE FROM alerted WHERE (ledger, currency, owner) = (?, ?, ?)", restored)
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
