"""Reads what the ledger has written, over a read-only connection, on the loop.

An indexed read takes about 10 microseconds, less than a hop to a thread. Lists for operators are
bounded pages.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from scheme.ledger import Owed
from scheme.limits import PAGE_ROWS_MAX
from switch.core.cash import CashRecord, CashState, unpack_cash
from switch.core.payment import (
    PAYMENT_STATES,
    PaymentRecord,
    PaymentState,
    unpack_payment,
)
from switch.core.records import (
    CLAIM_PREFIX,
    TransferRecord,
    VerificationRecord,
    is_cash,
    unpack_tombstone,
    unpack_transfer,
    unpack_verification,
)
from switch.core.transfer import TransferState
from switch.payment_ports import OppositionRow, PaymentFilter, StoredPayment
from switch.ports import EntryRow, OwedRow, StoredTransfer, TransferFilter, TransferRow

_TRANSFER = "SELECT transfer_id, state, reason, creditor_agent, record FROM transfers WHERE "
_IS_OPEN = "state NOT IN ('CONFIRMED', 'REJECTED', 'CANCELLED', 'TOMBSTONE', 'ACSC', 'RJCT')"
"""Said in the very words of the ledger's partial index, or SQLite would read the whole table."""
_OUTBOX = "SELECT owed_id, participant, message, subject, body, due_ms, parked_ms FROM outbox"


class SqliteStore:
    """The switch's reads of ``ledger.db``.

    Args:
        path: the database, already made by the ledger.
    """

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA query_only=ON")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def transfer(self, transfer_id: str) -> StoredTransfer | None:
        """Return a transfer, or a tombstone, by its instructionId."""
        return _stored(self._one(_TRANSFER + "transfer_id=?", (transfer_id,)))

    def transfer_by_key(self, key: str) -> StoredTransfer | None:
        """Return the transfer under an idempotency key."""
        return _stored(self._one(_TRANSFER + "key=?", (key,)))

    def payment(self, payment_id: str) -> StoredPayment | None:
        """Return a payment of the deferred or LBTR rail."""
        return _payment(self._one(_PAYMENT + "transfer_id=?", (payment_id,)))

    def payment_by_key(self, key: str) -> StoredPayment | None:
        """Return the payment under an idempotency key of the ledger."""
        return _payment(self._one(_PAYMENT + "key=?", (key,)))

    def open_payments(self, after: tuple[int, str], *, limit: int) -> list[PaymentRecord]:
        """Return payments that are ACSP, oldest first, from behind a creation time and id."""
        rows = self._connection.execute(
            f"SELECT record FROM transfers WHERE state='ACSP' AND {_IS_OPEN}"  # noqa: S608
            " AND (created_ms, transfer_id) > (?, ?) ORDER BY created_ms, transfer_id LIMIT ?",
            (*after, limit),
        )
        return [unpack_payment(record) for (record,) in rows]

    def payments(
        self, wanted: PaymentFilter, *, limit: int
    ) -> tuple[list[StoredPayment], str | None]:
        """Return a page of payments, youngest first, and where the next one begins.

        A page may be short, even empty, though another follows: a window's payments are looked
        for among a bounded number of rows.
        """
        found: list[StoredPayment] = []
        after: str | None = wanted.after or _BEHIND_PAYMENTS
        for _ in range(_PAYMENT_PAGES_MAX):
            page, after = self._payments(wanted, after or "", limit=limit - len(found))
            found += page
            if after is None or len(found) >= limit or not wanted.window:
                break
        return found, after

    def _payments(
        self, wanted: PaymentFilter, after: str, *, limit: int
    ) -> tuple[list[StoredPayment], str | None]:
        # Ids of payments begin with a letter and then the time, so the key's own tree lists them.
        clauses, values = ["transfer_id >= 'P' AND transfer_id < ?"], [after]
        if wanted.status:
            clauses.append("state=?")
            values.append(wanted.status)
        if wanted.participant:
            clauses.append("(debtor_agent=? OR creditor_agent=?)")
            values += [wanted.participant] * 2
        asked = PAGE_ROWS_MAX if wanted.window else min(limit, PAGE_ROWS_MAX)
        rows = self._connection.execute(
            _PAYMENT + " AND ".join(clauses) + " ORDER BY transfer_id DESC LIMIT ?",
            (*values, asked),
        ).fetchall()
        found: list[StoredPayment] = []
        for row in rows:
            one = _payment(row)
            if one is None or (wanted.window and one.record.window != wanted.window):
                continue
            found.append(one)
            if len(found) == limit:
                return found, one.record.payment_id
        return found, rows[-1][0] if len(rows) == asked else None

    def fact(self, name: str) -> bytes | None:
        """Return one fact by name."""
        row = self._one("SELECT value FROM facts WHERE name=?", (name,))
        return None if row is None else bytes(row[0])

    def opposed_minor(self, transfer_id: str) -> int:
        """Return how much of a transfer was returned, in minor units."""
        row = self._one(
            "SELECT coalesce(sum(minor), 0) FROM oppositions WHERE opposite_of=?", (transfer_id,)
        )
        return int(row[0])

    def returns_of(self, transfer_id: str) -> list[OppositionRow]:
        """Return the returns of one transfer, oldest first."""
        rows = self._connection.execute(
            _RETURNS + " WHERE opposite_of=? ORDER BY at_ms, transfer_id LIMIT ?",
            (transfer_id, PAGE_ROWS_MAX),
        )
        return [OppositionRow(*row) for row in rows]

    def returns(self, after: tuple[int, str], *, limit: int) -> list[OppositionRow]:
        """Return returns, oldest first, from behind a time and id."""
        rows = self._connection.execute(
            _RETURNS + " WHERE (at_ms, transfer_id) > (?, ?) ORDER BY at_ms, transfer_id LIMIT ?",
            (*after, min(limit, PAGE_ROWS_MAX)),
        )
        return [OppositionRow(*row) for row in rows]

    def verification(self, instruction_id: str) -> VerificationRecord | None:
        """Return a verification by the id it was issued."""
        row = self._one(
            "SELECT record FROM verifications WHERE instruction_id=?", (instruction_id,)
        )
        return None if row is None else unpack_verification(row[0])

    def latest_verification(self, key: str) -> VerificationRecord | None:
        """Return the youngest verification under an idempotency key."""
        row = self._one(
            "SELECT record FROM verifications WHERE key=? ORDER BY created_ms DESC LIMIT 1", (key,)
        )
        return None if row is None else unpack_verification(row[0])

    def is_issued(self, instruction_id: str) -> bool:
        """Tell whether an id is on record, as a verification or as a transfer."""
        row = self._one(
            "SELECT EXISTS(SELECT 1 FROM transfers WHERE transfer_id=?1)"
            " OR EXISTS(SELECT 1 FROM verifications WHERE instruction_id=?1)",
            (instruction_id,),
        )
        return bool(row and row[0])

    def greatest_issued(self) -> str:
        """Return the greatest of the ids on record that begin with a digit, or nothing."""
        row = self._one(
            "SELECT max((SELECT coalesce(max(transfer_id), '') FROM transfers"
            " WHERE transfer_id < ?1), (SELECT coalesce(max(instruction_id), '')"
            " FROM verifications WHERE instruction_id < ?1))",
            (_BEHIND_DIGITS,),
        )
        return str(row[0])

    def reserved(self) -> Sequence[TransferRecord]:
        """Return the orders that a former process left without an outcome."""
        rows = self._connection.execute(
            f"SELECT record FROM transfers WHERE state=? AND {_IS_OPEN}",  # noqa: S608 - a constant
            (TransferState.RESERVED,),
        )
        return [unpack_transfer(record) for (record,) in rows]

    def facts(self) -> Mapping[str, bytes]:
        """Return all facts by name."""
        return dict(self._connection.execute("SELECT name, value FROM facts"))

    def owed_to(self, participant: str, *, limit: int) -> Sequence[OwedRow]:
        """Return the oldest messages owed to a participant that are not parked."""
        rows = self._connection.execute(
            _OUTBOX + " WHERE participant=? AND parked_ms IS NULL ORDER BY due_ms LIMIT ?",
            (participant, limit),
        )
        return [_owed(row) for row in rows]

    def peers_owed(self) -> Sequence[str]:
        """Return the participants to whom something is owed that is not parked."""
        rows = self._connection.execute(
            "SELECT DISTINCT participant FROM outbox WHERE parked_ms IS NULL"
        )
        return [code for (code,) in rows]

    def owed_counts(self) -> Mapping[str, int]:
        """Return how many messages are owed, by participant."""
        return dict(self._connection.execute("SELECT participant, count(*) FROM outbox GROUP BY 1"))

    def owed(
        self,
        *,
        subject: str | None = None,
        participant: str | None = None,
        messages: Sequence[str] = (),
        others_than: Sequence[str] = (),
        parked: bool | None = None,
        limit: int = PAGE_ROWS_MAX,
    ) -> Sequence[OwedRow]:
        """Return what is owed, oldest first.

        Args:
            subject: only for one transfer; participant: only to one.
            messages: only these; others_than: all but these.
            parked: only what is parked, or what is not.
        """
        clauses: list[tuple[str, Sequence[str]]] = []
        if subject is not None:
            clauses.append(("subject=?", (subject,)))
        if participant is not None:
            clauses.append(("participant=?", (participant,)))
        if messages:
            clauses.append((f"message IN ({_marks(messages)})", messages))
        if others_than:
            clauses.append((f"message NOT IN ({_marks(others_than)})", others_than))
        if parked is not None:
            clauses.append((f"parked_ms IS {'NOT ' if parked else ''}NULL", ()))
        where = " AND ".join(clause for clause, _ in clauses)
        values = [value for _, given in clauses for value in given]
        rows = self._connection.execute(
            f"{_OUTBOX} {'WHERE ' + where if where else ''} ORDER BY due_ms LIMIT ?",
            (*values, limit),
        )
        return [_owed(row) for row in rows]

    def owed_by_id(self, owed_id: str) -> OwedRow | None:
        """Return one owed message."""
        row = self._one(_OUTBOX + " WHERE owed_id=?", (owed_id,))
        return None if row is None else _owed(row)

    def in_states(self, states: Sequence[str], *, limit: int = PAGE_ROWS_MAX) -> list[TransferRow]:
        """Return transfers in any of these states, none of them an end, oldest first."""
        marks = ",".join("?" * len(states))
        rows = self._connection.execute(
            f"{_LIST} WHERE state IN ({marks}) AND {_IS_OPEN} ORDER BY created_ms LIMIT ?",
            (*states, limit),
        )
        return [TransferRow(*row) for row in rows]

    def transfers(self, wanted: TransferFilter, *, limit: int) -> list[TransferRow]:
        """Return a page of transfers, youngest first."""
        clauses: list[tuple[str, tuple[Any, ...]]] = [
            (clause, (value,))
            for clause, value in (
                ("state=?", wanted.state),
                ("debtor_agent=?", wanted.debtor),
                ("creditor_agent=?", wanted.creditor),
                ("reason=?", wanted.reason),
                ("minor=?", wanted.minor),
                ("created_ms>=?", wanted.since_ms),
                ("created_ms<?", wanted.until_ms),
            )
            if value is not None
        ]
        if wanted.participant is not None:
            both = (wanted.participant, wanted.participant)
            clauses.append(("(debtor_agent=? OR creditor_agent=?)", both))
        if wanted.after is not None:
            clauses.append(("(created_ms, transfer_id) < (?, ?)", wanted.after))
        clauses.append(("transfer_id NOT LIKE ?", (f"{CLAIM_PREFIX}%",)))  # They are no orders.
        where = " AND ".join(clause for clause, _ in clauses)
        values = [value for _, given in clauses for value in given]
        rows = self._connection.execute(
            f"{_LIST} WHERE {where} ORDER BY created_ms DESC, transfer_id DESC LIMIT ?",
            (*values, min(limit, PAGE_ROWS_MAX)),
        )
        return [TransferRow(*row) for row in rows]

    def row(self, transfer_id: str) -> TransferRow | None:
        """Return one transfer as a list shows it."""
        row = self._one(f"{_LIST} WHERE transfer_id=?", (transfer_id,))
        return None if row is None else TransferRow(*row)

    def row_by_key(self, key: str) -> TransferRow | None:
        """Return any transfer under an idempotency key, as a list shows it."""
        row = self._one(f"{_LIST} WHERE key=?", (key,))
        return None if row is None else TransferRow(*row)

    def cash_rows(self, after: str, *, limit: int) -> list[TransferRow]:
        """Return withdrawals, youngest first, from before an id; an empty one is the end."""
        # Their ids begin with a letter and then the time, so the key's own tree lists them.
        rows = self._connection.execute(
            f"{_LIST} WHERE transfer_id >= 'W' AND transfer_id < ?"
            " ORDER BY transfer_id DESC LIMIT ?",
            (after or _BEHIND_CASH, min(limit, PAGE_ROWS_MAX)),
        )
        return [TransferRow(*row) for row in rows]

    def cash_in_flight(self) -> list[CashRecord]:
        """Return the withdrawals that a former process left without an outcome."""
        rows = self._connection.execute(
            f"SELECT record FROM transfers WHERE state=? AND {_IS_OPEN}",  # noqa: S608 - a constant
            (CashState.AUTHORISING,),
        )
        return [unpack_cash(record) for (record,) in rows]

    def facts_named(self, prefix: str, after: str, *, limit: int) -> list[tuple[str, bytes]]:
        """Return facts whose names begin so, by name, from behind one."""
        rows = self._connection.execute(
            "SELECT name, value FROM facts WHERE name > ? AND name < ? ORDER BY name LIMIT ?",
            (after or prefix, prefix + chr(0x10FFFF), min(limit, PAGE_ROWS_MAX)),
        )
        return [(name, bytes(value)) for name, value in rows]

    def entries(self, transfer_id: str) -> list[EntryRow]:
        """Return the entries posted for a transfer."""
        rows = self._connection.execute(
            "SELECT kind, ledger, currency, debit, credit, minor, window, posted_ms"
            " FROM entries WHERE transfer_id=? ORDER BY entry_id",
            (transfer_id,),
        )
        return [EntryRow(*row) for row in rows]

    def _one(self, query: str, values: tuple[Any, ...]) -> Any:
        return self._connection.execute(query, values).fetchone()


_BEHIND_DIGITS = ":"
"""The character after the last digit."""
_BEHIND_PAYMENTS = "Q"
"""Ids of payments begin with the letter before."""
_BEHIND_CASH = "X"
"""Ids of withdrawals begin with the letter before."""
_PAYMENT_PAGES_MAX = 40
_PAYMENT = (
    "SELECT transfer_id, state, record FROM transfers WHERE state IN ('ACSP', 'ACSC', 'RJCT') AND "
)
_RETURNS = (
    "SELECT transfer_id, opposite_of, minor, at_ms, value FROM oppositions"
    " LEFT JOIN facts ON name = 'return:' || transfer_id"
)
_LIST = (
    "SELECT transfer_id, state, reason, debtor_agent, creditor_agent, currency, minor,"
    " created_ms, decided_ms, record FROM transfers"
)


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def _stored(row: Any) -> StoredTransfer | None:
    if row is None:
        return None
    transfer_id, state, reason, creditor_agent, record = row
    if state in PAYMENT_STATES or is_cash(transfer_id):
        return None  # No order of this wire.
    if state == TransferState.TOMBSTONE:
        tombstone = unpack_tombstone(record)
        return StoredTransfer(transfer_id, state, reason, creditor_agent, None, tombstone)
    known = unpack_transfer(record)
    return StoredTransfer(transfer_id, state, reason, creditor_agent, known)


def _payment(row: Any) -> StoredPayment | None:
    if row is None:
        return None
    _, state, record = row
    return StoredPayment(PaymentState(state), unpack_payment(record))


def _owed(row: Any) -> OwedRow:
    owed_id, participant, message, subject, body, due_ms, parked_ms = row
    owed = Owed(
        owed_id=owed_id,
        participant=participant,
        message=message,
        body=body,
        subject=subject,
        due_ms=due_ms,
    )
    return OwedRow(owed, parked_ms)
