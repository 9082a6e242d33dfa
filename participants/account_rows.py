"""What moved an account's balance, read from an institution's book, youngest first.

It walks back over the changes of the whole institution, which have an index: one by account would
be paid for by every order, and a statement is rare. So it runs in a thread beside the service.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from scheme.errors import StoreError

# A debit of a slow rail is taken when it is sent; what was rejected or undone came back whole.
_ROWS: Final = (
    "SELECT * FROM (SELECT sequence, instruction_id, reference, 'creditor' AS role, state,"
    " debtor_agent, cci, amount, fee, settlement, currency, reason, at_ms, 'tin' FROM credits"
    " WHERE participant = :code AND cci = :cci AND state = 'FINAL'"
    " ORDER BY sequence DESC LIMIT :most)"
    " UNION ALL SELECT * FROM (SELECT sequence, instruction_id, verification_id, 'debtor', state,"
    " creditor_agent, cci, amount, fee, amount + fee, currency, reason, at_ms, 'tin' FROM debits"
    " WHERE participant = :code AND cci = :cci AND state = 'FINAL'"
    " ORDER BY sequence DESC LIMIT :most)"
    " UNION ALL SELECT * FROM (SELECT sequence, payment_id, '', role, state, counterparty, cci,"
    " amount, fee, amount + fee, currency, reason, at_ms, rail FROM payments"
    " WHERE participant = :code AND cci = :cci"
    " AND (state = 'FINAL' OR role = 'debtor' AND state = 'PENDING')"
    " ORDER BY sequence DESC LIMIT :most) ORDER BY 1 DESC LIMIT :most"
)


def account_rows(path: Path, participant: str, cci: str, most: int) -> list[Sequence[Any]]:
    """Return the last rows, in the columns of a movement.

    Raises:
        StoreError: the file cannot be read.
    """
    asked = {"code": participant, "cci": cci, "most": most}
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(_ROWS, asked).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
