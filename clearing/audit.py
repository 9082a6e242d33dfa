"""The audit's figures, counted anew from single rows in one read transaction.

What grows by the million is only ever added up inside SQLite, which lets go of the interpreter's
lock meanwhile, so the event loop goes on. Single transfers are looked at only if the sums say
that one of them is wrong.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from clearing.core.audit import Audit, Recount, compare
from clearing.core.posting import holds
from clearing.core.recount import (
    COUNTED_KINDS,
    LaneTotal,
    backed_balances,
    balances,
    tallies,
)
from clearing.core.tally import FIELDS
from clearing.core.window_state import ENDED
from clearing.ledger_reader import read_held, read_positions, read_settled
from clearing.ledger_schema import COUNTED_FROM, LINES_PER_NUMBER, MIXED, POSTED_STATES
from scheme.ledger import Account, Entry
from scheme.standing import Tally

_LINES_AT_ONCE = 1 << 22
_WRONG_MAX = 1000
"""Wrong transfers that are named one by one."""

_LANES = 'SELECT lane, "window", kind, ledger, currency, debit, credit, counted FROM lanes'
_SUMS = (
    f"SELECT lane, count(*), sum(minor), sum({MIXED}) FROM lines "  # noqa: S608 - constants
    "WHERE line_id >= ? AND line_id < ? GROUP BY lane"
)
_POSTED = (
    "SELECT count(*), coalesce(sum(CASE WHEN "  # noqa: S608 - constants
    f"state IN {POSTED_STATES} THEN digest ELSE 0 END), 0) FROM transfers "
    "INDEXED BY transfers_created"
)
_OWN_LINES = (
    f"line_id BETWEEN t.number * {LINES_PER_NUMBER} "
    f"AND t.number * {LINES_PER_NUMBER} + {COUNTED_FROM - 1}"
)
_WRONG = f"""
    SELECT t.transfer_id, CASE WHEN t.state IN {POSTED_STATES} THEN t.legs END,
        (SELECT count(*) FROM lines WHERE {_OWN_LINES})
    FROM transfers AS t
    WHERE CASE WHEN t.state IN {POSTED_STATES} THEN t.digest ELSE 0 END
        <> (SELECT coalesce(sum({MIXED}), 0) FROM lines WHERE {_OWN_LINES})
    LIMIT {_WRONG_MAX}"""  # noqa: S608 - constants
_STRAYS = f"""
    SELECT line_id / {LINES_PER_NUMBER}, count(*) FROM lines
    WHERE line_id > 0 AND NOT EXISTS (
        SELECT 1 FROM transfers WHERE number = line_id / {LINES_PER_NUMBER})
    GROUP BY 1 LIMIT {_WRONG_MAX}"""  # noqa: S608 - constants
_OPENINGS = "SELECT next_window, openings FROM batches"
_TALLIES = f"""
    SELECT "window", ledger, currency, owner, {", ".join(FIELDS)} FROM tallies
    ORDER BY 1, 2, 3, 4"""  # noqa: S608 - constants

_WINDOWS = 'SELECT "window", state FROM windows'

_Sums = dict[int, list[int]]
"""By lane: how many lines, their amounts together, and their digests."""

_decode_legs = msgspec.msgpack.Decoder(tuple[tuple[int, int], ...]).decode
_decode_openings = msgspec.msgpack.Decoder(tuple[tuple[Account, int], ...]).decode


def audit(connection: Any) -> Audit:
    """Recount a ledger and hold its positions and tallies against it.

    Args:
        connection: used for one read transaction, in which nothing moves.
    """
    connection.execute("BEGIN")
    try:
        return compare(read_positions(connection), _recount(connection))
    finally:
        connection.execute("COMMIT")


def recount_window(connection: Any, window: str) -> tuple[Tally, ...]:
    """Count one window anew from its lines.

    Args:
        connection: used for one read transaction, in which nothing moves.
    """
    connection.execute("BEGIN")
    try:
        return _recount_window(connection, window)
    finally:
        connection.execute("COMMIT")


def _recount_window(connection: Any, window: str) -> tuple[Tally, ...]:
    query = 'SELECT after_number, last_number FROM windows WHERE "window" = ?'
    row = connection.execute(query, (window,)).fetchone()
    after, last = (0, None) if row is None else row
    first_line, last_line = _bounds(connection)
    end = last_line + 1 if last is None else (last + 1) * LINES_PER_NUMBER
    sums = _add_up(connection, first_line, 0)
    _merge(sums, _add_up(connection, (after + 1) * LINES_PER_NUMBER, end))
    found = [one for one in _totals(connection, sums) if one.entry.window == window]
    return tallies(found, [one for one in _openings(connection) if one[0] == window])


def _recount(connection: Any) -> Recount:
    first_line, last_line = _bounds(connection)
    sums = _add_up(connection, 0, last_line + 1)
    digest = sum(one.digest for one in _totals(connection, sums) if _is_money(one))
    _merge(sums, _add_up(connection, first_line, 0))
    found = list(_totals(connection, sums))
    transfers, expected = connection.execute(_POSTED).fetchone()
    states = dict(connection.execute(_WINDOWS).fetchall())
    ended = {window for window, state in states.items() if state in ENDED}
    live = states.keys() - ended
    settled = [one for one in read_settled(connection) if one.subject in live]
    return Recount(
        balances=balances(found),
        reserved=_reserved(connection),
        postings=_wrong(connection) if digest != expected else {},
        entries=sum(one.lines for one in found if _is_money(one)),
        transfers=transfers,
        backed=backed_balances(read_positions(connection), found, ended.__contains__, settled),
        recorded_tallies=_tallies(connection),
        tallies=tallies(found, _openings(connection)),
    )


def _is_money(total: LaneTotal) -> bool:
    return total.entry.kind not in COUNTED_KINDS


def _bounds(connection: Any) -> tuple[int, int]:
    # One by one: asked for together, SQLite reads the whole table for them.
    first = connection.execute("SELECT coalesce(min(line_id), 0) FROM lines").fetchone()[0]
    last = connection.execute("SELECT coalesce(max(line_id), 0) FROM lines").fetchone()[0]
    return min(first, 0), max(last, 0)


def _add_up(connection: Any, first: int, end: int) -> _Sums:
    """Add the lines of a range up by lane, in pieces that SQLite sorts in little memory."""
    sums: _Sums = {}
    for start in range(first, end, _LINES_AT_ONCE):
        stop = min(start + _LINES_AT_ONCE, end)
        piece = connection.execute(_SUMS, (start, stop)).fetchall()
        _merge(sums, {lane: figures for lane, *figures in piece})
    return sums


def _merge(sums: _Sums, more: _Sums) -> None:
    for lane, figures in more.items():
        known = sums.get(lane)
        sums[lane] = (
            figures
            if known is None
            else [one + other for one, other in zip(known, figures, strict=True)]
        )


def _totals(connection: Any, sums: _Sums) -> Iterator[LaneTotal]:
    for lane, window, kind, ledger, currency, debit, credit, counted in connection.execute(_LANES):
        figures = sums.get(lane)
        if figures is not None:
            lines, minor, digest = figures
            entry = Entry(
                kind=kind,
                debit=Account(ledger=ledger, currency=currency, owner=debit),
                credit=Account(ledger=ledger, currency=currency, owner=credit),
                minor=minor,
                window=window,
            )
            yield LaneTotal(entry=entry, counted=counted, lines=lines, minor=minor, digest=digest)


def _reserved(connection: Any) -> dict[Account, int]:
    reserved: dict[Account, int] = {}
    for one in read_held(connection):
        for account, minor in holds(one.entries).items():
            reserved[account] = reserved.get(account, 0) + minor
    return reserved


def _wrong(connection: Any) -> dict[str, tuple[int, int]]:
    wrong = {
        transfer_id: (0 if legs is None else len(_decode_legs(legs)), lines)
        for transfer_id, legs, lines in connection.execute(_WRONG)
    }
    for number, lines in connection.execute(_STRAYS):
        wrong[f"number {number}"] = (0, lines)
    return wrong


def _openings(connection: Any) -> list[tuple[str, Account, int]]:
    return [
        (window, account, minor)
        for window, openings in connection.execute(_OPENINGS).fetchall()
        for account, minor in _decode_openings(openings)
    ]


def _tallies(connection: Any) -> tuple[Tally, ...]:
    return tuple(
        Tally(
            window=row[0],
            account=Account(ledger=row[1], currency=row[2], owner=row[3]),
            **dict(zip(FIELDS, row[4:], strict=True)),
        )
        for row in connection.execute(_TALLIES).fetchall()
    )
