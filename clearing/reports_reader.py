"""What the files of a batch and a what-if read: pages of rows, on a connection of their own.

Nothing here holds a read transaction open while somebody takes his time with a file: each page is
a query of its own, after the last row of the page before. What belongs to a batch does not change
any more, so the pages fit together.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import msgspec

from clearing.core.recount import ORDERED, REJECTED, UNSEEN
from clearing.core.what_if import Payment
from clearing.ledger_schema import LINES_PER_NUMBER
from clearing.reports import Moved
from scheme.batch import Batch
from scheme.clock import from_ms, wire_date_time
from scheme.errors import StoreError
from scheme.ledger import DEFERRED
from scheme.limits import REPORT_PAGE_LINES
from scheme.wire.iso20022 import StatementEntry

_ROWS_AT_ONCE = 5000
_PRINCIPAL, _FEE, _OPPOSITE = "principal", "interbank_fee", "opposite"
_MOVED = ("funding", "drawdown", "settlement")

_RANGE = 'SELECT after_number, last_number FROM windows WHERE "window" = ?'
_FIRST = "SELECT coalesce(min(number), 0) FROM occasions"
_LINES = """
    SELECT l.line_id, a.kind, a.debit = ?1, a.credit = ?1, l.minor, l.posted_ms
    FROM lines AS l CROSS JOIN lanes AS a ON a.lane = l.lane
    WHERE l.line_id >= ?2 AND l.line_id < ?3 AND a."window" = ?4
        AND (a.debit = ?1 OR a.credit = ?1) AND a.kind IN (SELECT value FROM json_each(?5))
        AND (a.counted OR a.kind NOT IN (SELECT value FROM json_each(?6)))
    ORDER BY l.line_id LIMIT ?7"""
_TRANSFERS = """
    SELECT number, record, rail, state FROM transfers
    WHERE number IN (SELECT value FROM json_each(?))"""
_RETURNS = """
    SELECT c.number, t.record, t.rail, t.state, o.minor, o.transfer_id
    FROM occasions AS c JOIN oppositions AS o ON o.transfer_id = c.name
    JOIN transfers AS t ON t.transfer_id = o.opposite_of
    WHERE c.number IN (SELECT value FROM json_each(?))"""
_NAMES = """
    SELECT number, name FROM occasions WHERE number IN (SELECT value FROM json_each(?1))
    UNION ALL SELECT number, transfer_id FROM transfers
    WHERE number IN (SELECT value FROM json_each(?1))"""
_LANES = """
    SELECT lane, debit, credit FROM lanes
    WHERE ledger = ? AND currency = ? AND kind IN (SELECT value FROM json_each(?))"""
_PAYMENTS = """
    SELECT posted_ms, line_id, lane, minor FROM lines
    WHERE posted_ms >= ? AND posted_ms < ? AND lane IN (SELECT value FROM json_each(?))
    ORDER BY posted_ms, line_id"""

_Line = tuple[int, str, int, int, int, int]


class ReportReader:
    """Reads a ledger for one file or one question; made, used and closed in worker threads.

    Every method raises StoreError if the file cannot be read.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: str) -> Self:
        """Open a ledger to read from it.

        Raises:
            StoreError: it cannot be opened.
        """
        with _readable():
            return cls(
                sqlite3.connect(
                    f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
                )
            )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def moved(self, batch: Batch, code: str) -> Iterator[Sequence[Moved]]:
        """Yield the transfers that a batch counts for a participant, some at a time.

        One that only passed through, as from coop to coop by a sponsor, comes twice.
        """
        order = (ORDERED,) if batch.ledger == DEFERRED else (_PRINCIPAL, _FEE)
        kinds = (*order, REJECTED, UNSEEN, _OPPOSITE)
        for lines in self._pages(batch.batch, code, kinds):
            yield self._moved(lines)

    def entries(self, batch: Batch, code: str) -> Iterator[StatementEntry]:
        """Yield what a batch moved on a participant's position, summed by transfer and direction.

        An order of the exchange cycles is in it as it was accepted.
        """
        order = (ORDERED,) if batch.ledger == DEFERRED else (_PRINCIPAL, _FEE)
        for lines in self._pages(batch.batch, code, (*order, _OPPOSITE, *_MOVED)):
            numbers = msgspec.json.encode(sorted({one[0] // LINES_PER_NUMBER for one in lines}))
            names = dict(self._all(_NAMES, numbers.decode()))
            yield from _summed(lines, names)

    def payments(
        self, ledger: str, currency: str, from_ms: int, until_ms: int
    ) -> Iterator[Sequence[Payment]]:
        """Yield the payments of a time in the order of their posting, some at a time.

        Fee and principal are one payment; so is what goes through a sponsor from coop to coop.
        """
        kinds = (ORDERED,) if ledger == DEFERRED else (_PRINCIPAL, _FEE)
        wanted = msgspec.json.encode((*kinds, _OPPOSITE)).decode()
        # Joined here: the names of accounts need not be read a million times.
        lanes = {row[0]: (row[1], row[2]) for row in self._all(_LANES, ledger, currency, wanted)}
        with _readable():
            cursor = self._connection.execute(_PAYMENTS, (from_ms, until_ms, _keys(iter(lanes))))
            last: list[Any] | None = None
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                found, last = _merged(rows, lanes, last)
                yield found
            if last is not None:
                yield [(last[0], last[2], last[4], last[5])]

    def _pages(self, window: str, code: str, kinds: Sequence[str]) -> Iterator[Sequence[_Line]]:
        """Yield the lines of whole numbers: of transfers, then of other postings."""
        after, last = self._all(_RANGE, window)[0]
        first = self._all(_FIRST)[0][0]
        wanted, moved = (msgspec.json.encode(one).decode() for one in (kinds, _MOVED))
        for low, high in ((after + 1, (last or 0) + 1), (first, 0)):
            at, end = low * LINES_PER_NUMBER, high * LINES_PER_NUMBER
            while at < end:
                lines = self._all(_LINES, code, at, end, window, wanted, moved, REPORT_PAGE_LINES)
                at = end
                if len(lines) == REPORT_PAGE_LINES:
                    # The last number may have more lines: they come together with the next page.
                    at = lines[-1][0] // LINES_PER_NUMBER * LINES_PER_NUMBER
                    lines = [one for one in lines if one[0] < at]
                if lines:
                    yield lines

    def _moved(self, lines: Sequence[_Line]) -> list[Moved]:
        numbers = {one[0] // LINES_PER_NUMBER: one[5] for one in lines}
        transfers = _keys(number for number in numbers if number > 0)
        others = _keys(number for number in numbers if number <= 0)
        rows = {row[0]: (*row[1:], 0, "", "") for row in self._all(_TRANSFERS, transfers)}
        for number, record, rail, state, minor, return_id in self._all(_RETURNS, others):
            at = "".join(wire_date_time(from_ms(numbers[number])))
            rows[number] = (record, rail, state, minor, return_id, at)
        found: dict[tuple[int, bool], Moved] = {}
        for line_id, kind, is_debit, is_credit, _, _ in lines:
            number = line_id // LINES_PER_NUMBER
            for is_here, sent in ((is_debit, True), (is_credit and kind != UNSEEN, False)):
                if is_here and (number, sent) not in found:
                    record, rail, state, minor, return_id, at = rows[number]
                    found[number, sent] = Moved(
                        record=record,
                        rail=rail,
                        state=state,
                        sent=sent,
                        accepted=kind not in {REJECTED, UNSEEN},
                        returned_minor=minor,
                        return_id=return_id,
                        returned_at=at,
                    )
        return list(found.values())

    def _all(self, query: str, *values: object) -> list[Any]:
        with _readable():
            rows: list[Any] = self._connection.execute(query, values).fetchall()
        return rows


def _summed(lines: Sequence[_Line], names: dict[int, str]) -> Iterator[StatementEntry]:
    sums: dict[tuple[int, bool], list[Any]] = {}
    for line_id, kind, is_debit, is_credit, minor, posted_ms in lines:
        number = line_id // LINES_PER_NUMBER
        for is_here, credited in ((is_debit, False), (is_credit, True)):
            if is_here:
                found = sums.setdefault((number, credited), [kind, 0, posted_ms])
                found[1] += minor
    for (number, credited), (kind, minor, posted_ms) in sums.items():
        yield StatementEntry(
            reference=names.get(number, str(number)),
            kind=kind,
            is_credit=credited,
            minor=minor,
            posted_ms=posted_ms,
        )


def _merged(
    rows: Sequence[Any], lanes: Mapping[int, tuple[str, str]], last: list[Any] | None
) -> tuple[list[Payment], list[Any] | None]:
    """Return payments of rows, and the last one, which the next rows may belong to.

    An open payment is: when, number, payer, the first leg's payee, the last one's payee, amount.
    """
    found: list[Payment] = []
    for at_ms, line_id, lane, minor in rows:
        debit, credit = lanes[lane]
        # Not by SQL: its division of what is below zero goes the other way.
        number = line_id // LINES_PER_NUMBER
        if last is None or number != last[1]:
            if last is not None:
                found.append((last[0], last[2], last[4], last[5]))
            last = [at_ms, number, debit, credit, credit, minor]
        else:
            last[4] = credit
            if debit == last[2] and credit == last[3]:
                last[5] += minor
    return found, last


def _keys(numbers: Iterator[int]) -> str:
    return msgspec.json.encode(list(numbers)).decode()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the ledger could not be read: {error}") from error


OpenReader = Callable[[], ReportReader]
"""Opens a reader; each file has one of its own."""
