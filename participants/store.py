"""The fleet's book on disk: one SQLite file, written in groups, read over a second connection.

Nothing is written per request. What is read on the way of a message is one indexed row, read on
the loop, because a hop to a thread would cost ten times the read.
"""

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from participants.account_rows import account_rows
from participants.core.book import (
    Account,
    CashOrder,
    CashState,
    Change,
    CreditOrder,
    CreditState,
    DebitOrder,
    DebitState,
    LaneRequest,
    Movement,
    Posting,
    RailPayment,
    RailState,
    Recount,
    Role,
)
from participants.core.payment import Spent
from participants.core.session import Fact
from participants.recount import recount
from runtime.group_commit import GroupCommit, open_durable
from runtime.sqlite_file import check_whole, not_usable
from scheme.clock import from_ms, lima
from scheme.codes import CURRENCY_NAMES, Channel
from scheme.errors import StoreError
from scheme.limits import GROUP_COMMANDS_MAX, LEDGER_QUEUE_MAX

_ACCOUNT: Final = Account.__struct_fields__
_CREDIT: Final = CreditOrder.__struct_fields__
_DEBIT: Final = DebitOrder.__struct_fields__
_RAIL: Final = RailPayment.__struct_fields__
_LANE: Final = LaneRequest.__struct_fields__
_CASH: Final = CashOrder.__struct_fields__
_POSTING: Final = ("participant", *Posting.__struct_fields__)

_INTEGERS: Final = frozenset(
    {
        "affiliated", "amount", "at_ms", "balance", "created_ms", "dispensed", "enquiries",
        "enquiry_ms", "fee", "held", "minor", "opening", "sequence", "settlement",
    }
)  # fmt: skip


def _table(name: str, columns: Sequence[str], key: str) -> str:
    kinds = {"ct1": "BLOB"} | dict.fromkeys(_INTEGERS, "INTEGER")
    listed = ", ".join(f"{column} {kinds.get(column, 'TEXT')}" for column in columns)
    # Rows with a whole message in them are too long to live in their key's tree.
    kind = "" if "ct1" in columns else " WITHOUT ROWID"
    return f"CREATE TABLE IF NOT EXISTS {name} ({listed}, PRIMARY KEY ({key})){kind}"


_SCHEMA: Final = (
    _table("accounts", _ACCOUNT, "cci"),
    _table("credits", _CREDIT, "participant, instruction_id"),
    _table("debits", _DEBIT, "participant, order_id"),
    _table("payments", _RAIL, "participant, role, payment_id"),
    _table("lane_requests", _LANE, "participant, key"),
    _table("cash_orders", _CASH, "participant, cash_id"),
    # Only ever added to: an order's second posting is not one, and the recount will miss it.
    _table("postings", _POSTING, "participant, role, order_id"),
    _table("facts", ("participant", "name", "value"), "participant, name"),
    "CREATE INDEX IF NOT EXISTS credits_by_change ON credits (participant, sequence)",
    "CREATE INDEX IF NOT EXISTS debits_by_change ON debits (participant, sequence)",
    "CREATE INDEX IF NOT EXISTS payments_by_change ON payments (participant, sequence)",
    "CREATE INDEX IF NOT EXISTS credits_held ON credits (participant) WHERE state = 'HELD'",
    "CREATE INDEX IF NOT EXISTS debits_pending ON debits (participant) WHERE state = 'PENDING'",
    (
        "CREATE INDEX IF NOT EXISTS cash_open ON cash_orders (participant)"
        " WHERE state IN ('ASKED', 'REVERSING')"
    ),
    "CREATE UNIQUE INDEX IF NOT EXISTS debits_by_key ON debits (participant, key) WHERE key <> ''",
)


_SCHEMA_VERSION: Final = 4


def _upsert(table: str, columns: Sequence[str]) -> str:
    holes = ", ".join("?" * len(columns))
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({holes})"  # noqa: S608


_PUT_ACCOUNT: Final = _upsert("accounts", _ACCOUNT)
_PUT_CREDIT: Final = _upsert("credits", _CREDIT)
_PUT_DEBIT: Final = _upsert("debits", _DEBIT)
_PUT_RAIL: Final = _upsert("payments", _RAIL)
_PUT_LANE: Final = _upsert("lane_requests", _LANE)
_PUT_CASH: Final = _upsert("cash_orders", _CASH)
_PUT_BALANCE: Final = "UPDATE accounts SET balance = ?, held = ? WHERE cci = ?"
_ADD_POSTING: Final = _upsert("postings", _POSTING).replace("OR REPLACE", "OR IGNORE")
_PUT_FACT: Final = _upsert("facts", ("participant", "name", "value"))
_GET_CREDIT: Final = (
    f"SELECT {', '.join(_CREDIT)} FROM credits WHERE participant = ? AND instruction_id = ?"  # noqa: S608
)
_GET_RAIL: Final = (
    f"SELECT {', '.join(_RAIL)} FROM payments"  # noqa: S608
    " WHERE participant = ? AND role = ? AND payment_id = ?"
)
_GET_LANE: Final = f"SELECT {', '.join(_LANE)} FROM lane_requests WHERE participant = ? AND key = ?"  # noqa: S608
_SEEDED: Final = "seeded"


class SqliteBooks:
    """The books of every simulated institution.

    Args:
        writer: opened durably, handed over to the group commit.
        reader: opened read-only on the same file.
        path: of that file.
        on_failure: told once when a group could not be written; the process must end.
    """

    def __init__(
        self,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        path: Path,
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._path = path
        self._group: GroupCommit[Change] = GroupCommit(
            writer,
            self._write,
            on_failure=on_failure,
            group_max=GROUP_COMMANDS_MAX,
            queue_max=LEDGER_QUEUE_MAX,
        )
        row = reader.execute(
            "SELECT max(coalesce((SELECT max(sequence) FROM credits), 0),"
            " coalesce((SELECT max(sequence) FROM debits), 0),"
            " coalesce((SELECT max(sequence) FROM payments), 0))"
        ).fetchone()
        self._sequence = int(row[0])

    @classmethod
    def open(cls, path: Path, *, on_failure: Callable[[BaseException], None]) -> "SqliteBooks":
        """Open the book, making it if need be.

        Raises:
            StoreError: it cannot be opened, or not durably, or another version made it.
        """
        try:
            writer = open_durable(str(path))
            path.chmod(0o600)
            check_whole(writer, str(path))
            _ensure_schema(writer, path)
            reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise not_usable(str(path), error) from error
        except OSError as error:
            raise StoreError(f"{path}: {error}") from error
        return cls(writer, reader, path, on_failure=on_failure)

    # --- at the start, before anything else is written

    def is_seeded(self, participant: str) -> bool:
        """Tell whether a participant's accounts were put in before."""
        query = "SELECT 1 FROM facts WHERE participant = ? AND name = ?"
        return self._reader.execute(query, (participant, _SEEDED)).fetchone() is not None

    def seed(self, participants: Iterable[str], accounts: Iterable[Account]) -> None:
        """Put the first accounts of participants in, all at once."""
        rows = (msgspec.structs.astuple(account) for account in accounts)
        self._writer.execute("BEGIN IMMEDIATE")
        self._writer.executemany(_PUT_ACCOUNT, rows)
        self._writer.executemany(_PUT_FACT, [(code, _SEEDED, "1") for code in participants])
        self._writer.execute("COMMIT")

    def accounts(self) -> dict[str, list[Account]]:
        """Return every account, by participant."""
        found: dict[str, list[Account]] = {}
        query = f"SELECT {', '.join(_ACCOUNT)} FROM accounts ORDER BY cci"  # noqa: S608
        for row in self._reader.execute(query):
            account = Account(**dict(zip(_ACCOUNT, row, strict=True)))
            # Thousands of rows share these few values; one copy of each is enough.
            account.participant = sys.intern(account.participant)
            account.currency = sys.intern(account.currency)
            account.status = sys.intern(account.status)
            account.document_code = sys.intern(account.document_code)
            account.affiliated = bool(account.affiliated)
            found.setdefault(account.participant, []).append(account)
        return found

    def facts(self, participant: str) -> list[Fact]:
        """Return a participant's saved facts."""
        query = "SELECT name, value FROM facts WHERE participant = ? AND name <> ?"
        return self._reader.execute(query, (participant, _SEEDED)).fetchall()

    def held(self, participant: str) -> list[CreditOrder]:
        """Return the orders received whose end is open."""
        query = f"SELECT {', '.join(_CREDIT)} FROM credits WHERE state = 'HELD'"  # noqa: S608
        rows = self._reader.execute(query + " AND participant = ?", (participant,))
        return [_credit(row) for row in rows]

    def pending(self, participant: str) -> list[DebitOrder]:
        """Return the orders sent whose end is open."""
        query = f"SELECT {', '.join(_DEBIT)} FROM debits WHERE state = 'PENDING'"  # noqa: S608
        rows = self._reader.execute(query + " AND participant = ?", (participant,))
        return [_debit(row) for row in rows]

    def open_cash(self, participant: str) -> list[CashOrder]:
        """Return the orders of a machine network whose end is open."""
        query = (
            f"SELECT {', '.join(_CASH)} FROM cash_orders"  # noqa: S608
            " WHERE participant = ? AND state IN ('ASKED', 'REVERSING')"
        )
        return [_cash(row) for row in self._reader.execute(query, (participant,))]

    def credited_on(self, participant: str, day: str) -> dict[str, int]:
        """Return minor units credited by alias on a Lima day, by CCI."""
        query = (
            "SELECT cci, sum(amount) FROM credits WHERE participant = ? AND day = ?"
            " AND state = 'FINAL' AND channel = ? GROUP BY cci"
        )
        return dict(self._reader.execute(query, (participant, day, Channel.ALIAS.value)))

    def spent_on(self, participant: str, day: str) -> dict[str, Spent]:
        """Return what was sent by alias on a Lima day, by the payer's CCI."""
        query = (
            "SELECT cci, sum(amount), count(*) FROM debits WHERE participant = ? AND day = ?"
            " AND state IN ('PENDING', 'FINAL') AND channel = ? GROUP BY cci"
        )
        rows = self._reader.execute(query, (participant, day, Channel.ALIAS.value))
        return {cci: Spent(minor, operations) for cci, minor, operations in rows}

    # --- while serving

    @property
    def is_full(self) -> bool:
        """Whether new work should be turned away."""
        return self._group.is_full

    def save(self, change: Change) -> Awaitable[None]:
        """Write a change with the next group; ends once it is on disk."""
        return self._group.write(change)

    def submit(self, change: Change) -> None:
        """Write a change with the next group; nobody waits for it."""
        self._group.submit(change)

    def synced(self) -> Awaitable[None]:
        """End once everything handed over before is on disk."""
        return self._group.write()

    def take_sequence(self) -> int:
        """Return the next number of a change."""
        self._sequence += 1
        return self._sequence

    def credit(self, participant: str, instruction_id: str) -> CreditOrder | None:
        """Return an order received, as it is on disk."""
        row = self._reader.execute(_GET_CREDIT, (participant, instruction_id)).fetchone()
        return None if row is None else _credit(row)

    def rail_payment(self, participant: str, role: Role, payment_id: str) -> RailPayment | None:
        """Return a payment of a slow rail, or a return, as it is on disk."""
        row = self._reader.execute(_GET_RAIL, (participant, role, payment_id)).fetchone()
        return None if row is None else _rail(row)

    def lane_request(self, participant: str, key: str) -> LaneRequest | None:
        """Return a request of the ISO 8583 lane, as it is on disk."""
        row = self._reader.execute(_GET_LANE, (participant, key)).fetchone()
        return None if row is None else LaneRequest(**dict(zip(_LANE, row, strict=True)))

    async def account_movements(self, participant: str, cci: str, most: int) -> list[Movement]:
        """Return what moved an account's balance, youngest first; a thread looks for it.

        Raises:
            StoreError: the file cannot be read.
        """
        rows = await asyncio.to_thread(account_rows, self._path, participant, cci, most)
        return [_movement(row) for row in rows]

    def debit_by_key(self, participant: str, key: str) -> DebitOrder | None:
        """Return the order made under an Idempotency-Key, as it is on disk."""
        query = (
            f"SELECT {', '.join(_DEBIT)} FROM debits"  # noqa: S608
            " WHERE participant = ? AND key = ? AND key <> ''"
        )
        row = self._reader.execute(query, (participant, key)).fetchone()
        return None if row is None else _debit(row)

    def movements(self, participant: str, after: int, limit: int) -> list[Movement]:
        """Return orders that changed after a number, by the number of their last change."""
        rows = self._reader.execute(_MOVEMENTS, (*(participant, after) * 3, limit))
        return [_movement(row) for row in rows]

    async def recount(self, participant: str) -> Recount:
        """Recount an institution's book; a thread does it, while the wire goes on.

        Raises:
            StoreError: the file cannot be read.
        """
        return await asyncio.to_thread(recount, self._path, participant)

    async def close(self) -> None:
        """Write what is left and close.

        Raises:
            StoreError: it could not be written.
        """
        await self._group.drain()
        self._group.close()
        self._reader.close()
        self._writer.close()

    def _write(self, changes: Sequence[Change]) -> None:
        # Of several changes to a row in one group only the last is written.
        received: dict[tuple[str, str], CreditOrder] = {}
        sent: dict[tuple[str, str], DebitOrder] = {}
        balances: dict[str, tuple[int, int, str]] = {}
        postings: list[tuple[str, str, str, str, int]] = []
        facts: list[tuple[str, str, str]] = []
        for change in changes:
            if (credit := change.credit) is not None:
                received[credit.participant, credit.instruction_id] = credit
            if (debit := change.debit) is not None:
                sent[debit.participant, debit.order_id] = debit
            for one in change.balances:
                balances[one.cci] = (one.balance, one.held, one.cci)
            postings.extend(
                (change.participant, *msgspec.structs.astuple(one)) for one in change.postings
            )
            facts.extend((change.participant, *fact) for fact in change.facts)
        write = self._writer.executemany
        astuple = msgspec.structs.astuple
        if received:
            write(_PUT_CREDIT, map(astuple, received.values()))
        if sent:
            write(_PUT_DEBIT, map(astuple, sent.values()))
        rails = (change.rail_payment for change in changes)
        write(_PUT_RAIL, (astuple(one) for one in rails if one is not None))
        lanes = (change.lane for change in changes)
        write(_PUT_LANE, (astuple(one) for one in lanes if one is not None))
        cash = (change.cash for change in changes)
        write(_PUT_CASH, (astuple(one) for one in cash if one is not None))
        if balances:
            write(_PUT_BALANCE, balances.values())
        if postings:
            write(_ADD_POSTING, postings)
        if facts:
            write(_PUT_FACT, facts)


# Orders that were cancelled before they came are no movements: nothing is known of them.
_MOVEMENTS: Final = (
    "SELECT * FROM (SELECT sequence, instruction_id, reference, 'creditor', state, debtor_agent,"
    " cci, amount, fee, settlement, currency, reason, at_ms, 'tin' FROM credits"
    " WHERE participant = ? AND sequence > ? AND reference <> ''"
    " UNION ALL SELECT sequence, instruction_id, verification_id, 'debtor', state,"
    " creditor_agent, cci, amount, fee, amount + fee, currency, reason, at_ms, 'tin' FROM debits"
    " WHERE participant = ? AND sequence > ?"
    " UNION ALL SELECT sequence, payment_id, '', role, state, counterparty, cci, amount, fee,"
    " amount + fee, currency, reason, at_ms, rail FROM payments"
    " WHERE participant = ? AND sequence > ?) ORDER BY sequence LIMIT ?"
)


def _ensure_schema(writer: sqlite3.Connection, path: Path) -> None:
    tables = writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    version = writer.execute("PRAGMA user_version").fetchone()[0]
    if tables and version != _SCHEMA_VERSION:
        raise StoreError(f"{path}: made by another version; start over with `chasqui reset`")
    # Together, so that a crash in the middle leaves no file that looks like another version's.
    named = f"PRAGMA user_version = {_SCHEMA_VERSION}"
    for statement in ("BEGIN IMMEDIATE", *_SCHEMA, named, "COMMIT"):
        writer.execute(statement)


def _credit(row: Sequence[Any]) -> CreditOrder:
    order = CreditOrder(**dict(zip(_CREDIT, row, strict=True)))
    return msgspec.structs.replace(order, state=CreditState(order.state))


def _debit(row: Sequence[Any]) -> DebitOrder:
    order = DebitOrder(**dict(zip(_DEBIT, row, strict=True)))
    return msgspec.structs.replace(order, state=DebitState(order.state))


def _rail(row: Sequence[Any]) -> RailPayment:
    one = RailPayment(**dict(zip(_RAIL, row, strict=True)))
    return msgspec.structs.replace(one, role=Role(one.role), state=RailState(one.state))


def _cash(row: Sequence[Any]) -> CashOrder:
    order = CashOrder(**dict(zip(_CASH, row, strict=True)))
    return msgspec.structs.replace(order, state=CashState(order.state))


def _movement(row: Sequence[Any]) -> Movement:
    (sequence, instruction_id, reference, role, state, counterparty, cci, amount, fee, settlement,
     currency, reason, at_ms, rail) = row  # fmt: skip
    return Movement(
        sequence=sequence,
        instruction_id=instruction_id or None,
        verification_id=reference or None,
        role=role,
        state=state,
        # A machine is not told whose card it was.
        counterparty=counterparty or None,
        cci=cci,
        amount=amount,
        fee=fee,
        settlement=settlement,
        currency=CURRENCY_NAMES.get(currency, currency),
        reason_code=reason or None,
        at=lima(from_ms(at_ms)).isoformat(timespec="milliseconds"),
        rail=rail,
    )
