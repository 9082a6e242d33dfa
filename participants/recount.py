"""The recount of an institution's book: every balance and hold again, from what moved them.

It reads the postings and the orders, never the balances it judges, in one snapshot of the file and
over a connection of its own, so that it may run in a thread beside the service.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from participants.core.book import Difference, Recount
from scheme.errors import StoreError

DIFFERENCES_MAX: Final = 100
"""Of each kind, how many are told; the first is reason enough to look at the file itself."""

_BALANCES: Final = (
    "SELECT 'balance', a.cci, a.balance, a.opening + coalesce(p.minor, 0) AS recounted"
    " FROM accounts a LEFT JOIN"
    " (SELECT cci, sum(minor) AS minor FROM postings WHERE participant = :code GROUP BY cci) p"
    " ON p.cci = a.cci WHERE a.participant = :code AND a.balance <> recounted LIMIT :most"
)
_HOLDS: Final = (
    "SELECT 'held', a.cci, a.held, coalesce(o.minor, 0) AS recounted FROM accounts a LEFT JOIN"
    " (SELECT cci, sum(amount + fee) AS minor FROM debits"
    " WHERE participant = :code AND state = 'PENDING' GROUP BY cci) o"
    " ON o.cci = a.cci WHERE a.participant = :code AND a.held <> recounted LIMIT :most"
)
# An order that is FINAL has exactly its posting, on its account; one that was UNDONE has that and
# the opposite one; any other order has none.
_ORDERS: Final = (
    "SELECT 'posting', o.id, coalesce(p.minor, 0) AS posted,"
    " CASE o.state WHEN 'FINAL' THEN o.minor ELSE 0 END AS due FROM"
    " (SELECT 'creditor' AS role, instruction_id AS id,"
    " CASE state WHEN 'UNDONE' THEN 'FINAL' ELSE state END AS state, cci, amount AS minor"
    " FROM credits WHERE participant = :code UNION ALL"
    " SELECT 'undo', instruction_id, CASE state WHEN 'UNDONE' THEN 'FINAL' ELSE 'NONE' END, cci,"
    " -amount FROM credits WHERE participant = :code UNION ALL"
    " SELECT 'debtor', order_id, state, cci, -(amount + fee) FROM debits"
    " WHERE participant = :code UNION ALL"
    " SELECT role, payment_id, CASE WHEN state = 'FINAL' OR role = 'debtor'"
    " AND state IN ('PENDING', 'REJECTED') THEN 'FINAL' ELSE 'NONE' END, cci,"
    " CASE role WHEN 'debtor' THEN -(amount + fee) ELSE amount END FROM payments"
    " WHERE participant = :code UNION ALL"
    " SELECT 'refund', payment_id, CASE state WHEN 'REJECTED' THEN 'FINAL' ELSE 'NONE' END, cci,"
    " amount + fee FROM payments WHERE participant = :code AND role = 'debtor') o"
    " LEFT JOIN postings p"
    " ON p.participant = :code AND p.role = o.role AND p.order_id = o.id"
    " WHERE posted <> due OR p.cci <> o.cci LIMIT :most"
)
_STRAYS: Final = (
    "SELECT 'posting', p.order_id, p.minor, 0 FROM postings p WHERE p.participant = :code"
    " AND NOT ((CASE p.role"
    " WHEN 'creditor' THEN EXISTS (SELECT 1 FROM credits o"
    " WHERE o.participant = :code AND o.instruction_id = p.order_id)"
    " WHEN 'undo' THEN EXISTS (SELECT 1 FROM credits o"
    " WHERE o.participant = :code AND o.instruction_id = p.order_id AND o.state = 'UNDONE')"
    " WHEN 'debtor' THEN EXISTS (SELECT 1 FROM debits o"
    " WHERE o.participant = :code AND o.order_id = p.order_id) ELSE 0 END"
    " OR EXISTS (SELECT 1 FROM payments o WHERE o.participant = :code AND o.payment_id = p.order_id"
    " AND o.role = CASE p.role WHEN 'refund' THEN 'debtor' ELSE p.role END))"
    " AND EXISTS (SELECT 1 FROM accounts a"
    " WHERE a.cci = p.cci AND a.participant = :code)) LIMIT :most"
)
_COUNT: Final = "SELECT count(*) FROM {} WHERE participant = :code"


def recount(path: Path, participant: str) -> Recount:
    """Recount one institution's book from its file.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        with closing(connection):
            # One snapshot: a group that is written meanwhile is seen whole or not at all.
            connection.execute("BEGIN")
            differences = tuple(_differences(connection, participant))
            return Recount(
                clean=not differences,
                accounts=_count(connection, "accounts", participant),
                postings=_count(connection, "postings", participant),
                differences=differences,
            )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def _differences(connection: sqlite3.Connection, participant: str) -> Iterator[Difference]:
    asked = {"code": participant, "most": DIFFERENCES_MAX}
    for query in (_BALANCES, _HOLDS, _ORDERS, _STRAYS):
        for row in connection.execute(query, asked):
            yield Difference(*row)


def _count(connection: sqlite3.Connection, table: str, participant: str) -> int:
    row = connection.execute(_COUNT.format(table), {"code": participant}).fetchone()
    return int(row[0])
