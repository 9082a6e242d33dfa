"""One group of the ledger as few SQL statements.

The commands of a group are walked once, in order, and folded: a transfer that is reserved and
posted in the same group is inserted as posted, a position that moved fifty times is written
once, a message that became owed and was acknowledged is never written. What is left goes out in
multi-row statements, because each statement hands the interpreter's lock over twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from clearing.core.ledger_state import Write
from scheme.ledger import (
    Account,
    Advance,
    Entry,
    Move,
    OpenPosition,
    Oppose,
    Owed,
    Position,
    Post,
    PutFact,
    Refuse,
    Release,
    Remember,
    Reserve,
    SetAlert,
    StrikeOff,
)

_STATE, _REASON, _DECIDED, _RECORD = 2, 3, 9, 11
_PARKED = 6
_ROWS_PER_STATEMENT = 64

Row = Sequence[object]


class _MultiRow:
    """A statement over many rows: ``head (?,..),(?,..) tail``."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        self._head = head
        self._row = f"({','.join('?' * columns)})"
        self._tail = tail
        self._texts: dict[int, str] = {}

    def run(self, execute: Callable[[str, Sequence[object]], object], rows: Sequence[Row]) -> None:
        """Run it over all rows, in pieces of powers of two: few texts, so all stay prepared."""
        done = 0
        size = _ROWS_PER_STATEMENT
        while done < len(rows):
            while size > len(rows) - done:
                size //= 2
            piece = rows[done : done + size]
            execute(self._text(size), list(chain.from_iterable(piece)))
            done += size

    def _text(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            text = f"{self._head} {','.join([self._row] * size)} {self._tail}"
            self._texts[size] = text
        return text


def _statements() -> dict[str, _MultiRow]:
    """Return a statement for each kind of row, in the order in which they must run.

    Deletions from the outbox stand before insertions: an id that was struck off and is owed
    again in one group must be there afterwards.
    """
    return {
        "transfers": _MultiRow("INSERT INTO transfers VALUES", 12),
        "decided": _MultiRow(
            "UPDATE transfers SET state = v.column2, reason = v.column3, "
            "decided_ms = v.column4, record = v.column5 FROM (VALUES",
            5,
            ") AS v WHERE transfers.transfer_id = v.column1",
        ),
        "advanced": _MultiRow(
            "UPDATE transfers SET state = v.column2 FROM (VALUES",
            2,
            ") AS v WHERE transfers.transfer_id = v.column1",
        ),
        "entries": _MultiRow(
            "INSERT INTO entries(transfer_id, kind, ledger, currency, debit, credit, minor, "
            '"window", posted_ms) VALUES',
            9,
        ),
        "struck": _MultiRow("DELETE FROM outbox WHERE owed_id IN (VALUES", 1, ")"),
        "outbox": _MultiRow("INSERT INTO outbox VALUES", 7),
        "parked": _MultiRow(
            "UPDATE outbox SET parked_ms = v.column2 FROM (VALUES",
            2,
            ") AS v WHERE outbox.owed_id = v.column1",
        ),
        # The first one stands, as with every key.
        "verifications": _MultiRow("INSERT OR IGNORE INTO verifications VALUES", 4),
        "facts": _MultiRow("INSERT OR REPLACE INTO facts VALUES", 2),
        "movements": _MultiRow("INSERT INTO movements VALUES", 3),
        "oppositions": _MultiRow("INSERT INTO oppositions VALUES", 4),
        "positions": _MultiRow("INSERT OR REPLACE INTO positions VALUES", 9),
    }


class _Group:
    """The rows of one group, folded."""

    def __init__(self) -> None:
        self.transfers: dict[str, list[object]] = {}
        self.decided: dict[str, list[object]] = {}
        self.advanced: dict[str, tuple[str, str]] = {}
        self.entries: list[Row] = []
        self.struck: dict[str, Row] = {}
        self.outbox: dict[str, list[object]] = {}
        self.parked: dict[str, Row] = {}
        self.verifications: list[Row] = []
        self.facts: dict[str, Row] = {}
        self.movements: list[Row] = []
        self.oppositions: list[Row] = []
        self.positions: dict[Account, Position] = {}

    def rows(self, kind: str) -> Sequence[Row]:
        """Return the rows of one table or update."""
        if kind == "positions":
            return [_position_row(one) for one in self.positions.values()]
        rows: Mapping[str, Row] | list[Row] = getattr(self, kind)
        return rows if isinstance(rows, list) else list(rows.values())

    def owe(self, owed: Iterable[Owed]) -> None:
        for one in owed:
            row = [one.owed_id, one.participant, one.message, one.subject, one.body, one.due_ms]
            self.outbox[one.owed_id] = [*row, None]

    def strike(self, owed_ids: Iterable[str]) -> None:
        for owed_id in owed_ids:
            self.parked.pop(owed_id, None)
            if self.outbox.pop(owed_id, None) is None:
                self.struck[owed_id] = (owed_id,)

    def park(self, owed_ids: Iterable[str], at_ms: int) -> None:
        for owed_id in owed_ids:
            if owed_id in self.outbox:
                self.outbox[owed_id][_PARKED] = at_ms
            elif owed_id not in self.struck:
                self.parked[owed_id] = (owed_id, at_ms)

    def enter(self, transfer_id: str, entries: Iterable[Entry], at_ms: int) -> None:
        for one in entries:
            debit = one.debit
            self.entries.append(
                (
                    transfer_id,
                    one.kind,
                    debit.ledger,
                    debit.currency,
                    debit.owner,
                    one.credit.owner,
                    one.minor,
                    one.window,
                    at_ms,
                )
            )


class GroupWriter:
    """Writes groups on one connection, from the writer's thread.

    Args:
        connection: of sqlite3, or of another library of the same shape.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._statements = _statements()
        self._encode = msgspec.msgpack.Encoder().encode
        self._folds: dict[type, Callable[[_Group, Write, Any], None]] = {
            Reserve: self._reserve,
            Refuse: self._refuse,
            Post: self._post,
            Release: self._release,
            Advance: _advance,
            StrikeOff: _strike_off,
            Remember: _remember,
            PutFact: _put_fact,
            Oppose: _oppose,
            Move: _move,
            OpenPosition: _open_position,
            SetAlert: _positions_only,
        }

    def write(self, writes: Sequence[Write]) -> None:
        """Write one group inside the transaction that is open."""
        group = _Group()
        for write in writes:
            command = write.command
            self._folds[type(command)](group, write, command)
            if command.owed:
                group.owe(command.owed)
            if write.changes:
                group.positions.update(write.changes)
        execute = self._connection.execute
        for kind, statement in self._statements.items():
            rows = group.rows(kind)
            if rows:
                statement.run(execute, rows)

    def _reserve(self, group: _Group, _: Write, command: Reserve) -> None:
        group.transfers[command.transfer_id] = [
            command.transfer_id,
            command.key,
            command.state,
            "",
            command.debtor_agent,
            command.creditor_agent,
            command.currency,
            command.minor,
            command.created_ms,
            None,
            self._encode(command.entries),
            command.record,
        ]

    def _refuse(self, group: _Group, _: Write, command: Refuse) -> None:
        group.transfers[command.transfer_id] = [
            command.transfer_id,
            command.key,
            command.state,
            command.reason,
            command.debtor_agent,
            command.creditor_agent,
            command.currency,
            command.minor,
            command.created_ms,
            command.created_ms,
            None,
            command.record,
        ]

    def _post(self, group: _Group, write: Write, command: Post) -> None:
        self._end(group, command)
        group.enter(command.transfer_id, write.entries, command.at_ms)

    def _release(self, group: _Group, _: Write, command: Release) -> None:
        self._end(group, command)

    def _end(self, group: _Group, command: Post | Release) -> None:
        row = group.transfers.get(command.transfer_id)
        if row is None:
            group.decided[command.transfer_id] = [
                command.transfer_id,
                command.state,
                command.reason,
                command.at_ms,
                command.record,
            ]
        else:
            row[_STATE] = command.state
            row[_REASON] = command.reason
            row[_DECIDED] = command.at_ms
            row[_RECORD] = command.record


def _advance(group: _Group, _: Write, command: Advance) -> None:
    transfer_id, state = command.transfer_id, command.state
    if transfer_id in group.transfers:
        group.transfers[transfer_id][_STATE] = state
    elif transfer_id in group.decided:
        group.decided[transfer_id][1] = state
    else:
        group.advanced[transfer_id] = (transfer_id, state)
    group.strike(command.struck)


def _strike_off(group: _Group, _: Write, command: StrikeOff) -> None:
    if command.parked:
        group.park(command.owed_ids, command.at_ms)
    else:
        group.strike(command.owed_ids)


def _remember(group: _Group, _: Write, command: Remember) -> None:
    group.verifications.append(
        (command.instruction_id, command.key, command.created_ms, command.record)
    )


def _put_fact(group: _Group, _: Write, command: PutFact) -> None:
    group.facts[command.name] = (command.name, command.value)


def _oppose(group: _Group, write: Write, command: Oppose) -> None:
    group.oppositions.append(
        (command.transfer_id, command.opposite_of, command.minor, command.at_ms)
    )
    group.enter(command.transfer_id, write.entries, command.at_ms)


def _move(group: _Group, write: Write, command: Move) -> None:
    group.movements.append((command.movement_id, command.digest, command.at_ms))
    group.enter(command.movement_id, write.entries, command.at_ms)


def _open_position(group: _Group, write: Write, command: OpenPosition) -> None:
    account = command.account
    name = f"prefund:{account.ledger}:{account.currency}:{account.owner}"
    group.enter(name, write.entries, command.at_ms)


def _positions_only(_: _Group, __: Write, ___: SetAlert) -> None:
    """Its positions are all there is to write."""


def _position_row(position: Position) -> Row:
    account = position.account
    return (
        account.ledger,
        account.currency,
        account.owner,
        position.balance_minor,
        position.reserved_minor,
        position.low_minor,
        position.high_minor,
        position.cap_minor,
        int(position.alerted),
    )
