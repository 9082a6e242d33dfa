"""A participant's own reconciliation file held against the ledger's, movement by movement.

Both are put into a temporary database on disk, so a million lines need no more memory than ten,
and the lines may stand in any order.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from msgspec import Struct

from scheme.wire.settlement_csv import COLUMNS, SENT, WrongFile, read_reconciliation

LISTED_MAX: Final = 1000
"""Movements of each kind that are listed; all are counted."""
_ROWS_AT_ONCE: Final = 1000
_JOINED: Final = "\x1f"
_ID: Final = COLUMNS.index("instruction_id")
_SIGN: Final = COLUMNS.index("fee_sign")

_TABLE = """
    CREATE TABLE {name}(id TEXT, sign TEXT, line INTEGER NOT NULL, cells TEXT NOT NULL,
        PRIMARY KEY (id, sign)) WITHOUT ROWID"""
_ONLY_IN = """
    FROM {here} AS h LEFT JOIN {there} AS t ON t.id = h.id AND t.sign = h.sign
    WHERE t.id IS NULL"""
_DIFFERENT = """
    FROM ours AS h JOIN theirs AS t ON t.id = h.id AND t.sign = h.sign
    WHERE t.cells <> h.cells"""


class Found(Struct, frozen=True, kw_only=True):
    """A movement that is not the same in both files.

    Attributes:
        direction: ``sent`` or ``received``.
        line: where it stands in the participant's file; 0 if it does not.
        columns: of one that differs: name of each column that does, the ledger's value, theirs.
    """

    instruction_id: str
    direction: str
    line: int = 0
    columns: tuple[tuple[str, str, str], ...] = ()


class Comparison(Struct, frozen=True, kw_only=True):
    """What a comparison found; the lists are cut at ``LISTED_MAX``, the numbers are not.

    Attributes:
        missing: the ledger has it, the file does not; extra: the other way round.
    """

    ours: int
    theirs: int
    missing_count: int
    extra_count: int
    different_count: int
    missing: tuple[Found, ...]
    extra: tuple[Found, ...]
    different: tuple[Found, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every movement is the same in both."""
        return not (self.missing_count or self.extra_count or self.different_count)


class FileComparison:
    """Two files put side by side; a context that removes its database at the end.

    Args:
        folder: where the database may lie meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "compared.db", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        for name in ("ours", "theirs"):
            self._connection.execute(_TABLE.format(name=name))

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close the database."""
        self._connection.close()

    def take(self, ours: BinaryIO, theirs: BinaryIO) -> Comparison:
        """Read both files and compare them.

        Raises:
            WrongFile: the participant's file breaks a rule of the format, or names a movement
                twice.
        """
        counts = self._load("theirs", theirs), self._load("ours", ours)
        only_ours = _ONLY_IN.format(here="ours", there="theirs")
        only_theirs = _ONLY_IN.format(here="theirs", there="ours")
        return Comparison(
            ours=counts[1],
            theirs=counts[0],
            missing_count=self._count(only_ours),
            extra_count=self._count(only_theirs),
            different_count=self._count(_DIFFERENT),
            missing=tuple(_found(one) for one in self._rows("h.id, h.sign, 0", only_ours)),
            extra=tuple(_found(one) for one in self._rows("h.id, h.sign, h.line", only_theirs)),
            different=tuple(
                _found(one[:3], _columns(one[3], one[4]))
                for one in self._rows("h.id, h.sign, t.line, h.cells, t.cells", _DIFFERENT)
            ),
        )

    def _load(self, name: str, file: BinaryIO) -> int:
        lines = read_reconciliation(file)
        insert = f"INSERT OR IGNORE INTO {name} VALUES (?, ?, ?, ?)"  # noqa: S608 - a constant
        count = 0
        self._connection.execute("BEGIN")
        while rows := [
            (row[_ID], row[_SIGN], line, _JOINED.join(row))
            for line, row in islice(lines, _ROWS_AT_ONCE)
        ]:
            before = self._connection.total_changes
            self._connection.executemany(insert, rows)
            if self._connection.total_changes - before < len(rows):
                self._refuse_twice(name, rows)
            count += len(rows)
        self._connection.execute("COMMIT")
        return count

    def _refuse_twice(self, name: str, rows: Iterable[tuple[str, str, int, str]]) -> None:
        find = f"SELECT line FROM {name} WHERE id = ? AND sign = ?"  # noqa: S608 - a constant
        for transfer, sign, line, _ in rows:
            first = self._connection.execute(find, (transfer, sign)).fetchone()[0]
            if first != line:
                rule = f"{transfer!r}: it stands on line {first} already"
                raise WrongFile(line, "instruction_id", rule)

    def _count(self, rest: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) {rest}").fetchone()[0])

    def _rows(self, columns: str, rest: str) -> Iterator[tuple[str, str, int, str, str]]:
        query = f"SELECT {columns} {rest} ORDER BY h.id, h.sign LIMIT {LISTED_MAX}"
        return iter(self._connection.execute(query).fetchall())


def _found(
    one: tuple[str, str, int] | tuple[str, str, int, str, str],
    columns: tuple[tuple[str, str, str], ...] = (),
) -> Found:
    direction = "sent" if one[1] == SENT else "received"
    return Found(instruction_id=one[0], direction=direction, line=one[2], columns=columns)


def _columns(ours: str, theirs: str) -> tuple[tuple[str, str, str], ...]:
    pairs = zip(COLUMNS, ours.split(_JOINED), theirs.split(_JOINED), strict=True)
    return tuple((name, here, there) for name, here, there in pairs if here != there)
