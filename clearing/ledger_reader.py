"""What the ledger reads back: everything at the start, single keys while it runs."""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from clearing.core.key_gaps import ABOVE_ALL, KeyGaps
from clearing.core.ledger_state import opposition_record
from clearing.core.ledger_write import Held, Recorded
from clearing.core.tally import FIELDS, WindowBook
from clearing.core.window_state import ENDED, SEALED
from clearing.lanes import read_lanes
from clearing.ledger_schema import IS_OPEN
from scheme.errors import StoreError
from scheme.ledger import HOLDING, Account, Duplicate, Entry, Position
from scheme.standing import Instruction, Tally, WindowStand

_decode_entries = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode

_decode_legs = msgspec.msgpack.Decoder(tuple[tuple[int, int], ...]).decode

_HELD = (
    "SELECT transfer_id, key, record, legs, number FROM transfers "  # noqa: S608 - constants
    f"WHERE state IN {tuple(sorted(HOLDING))} AND {IS_OPEN} ORDER BY number"
)
_STAND = (
    'SELECT "window", cycle, currency, settlement_date, number, opens_ms, closes_ms, state, '
    "closed_ms, record FROM windows"
)
_LIVE_WINDOWS = f"{_STAND} WHERE state NOT IN {tuple(sorted(ENDED))}"
_PAST_WINDOWS = (
    f"{_STAND} WHERE state IN {tuple(sorted(ENDED))} "
    "ORDER BY closed_ms DESC, settlement_date DESC, number DESC LIMIT ?"
)
_TALLIES = (
    f"SELECT ledger, currency, owner, {', '.join(FIELDS)} FROM tallies "  # noqa: S608 - constants
    'WHERE "window" = ?'
)
_INSTRUCTION = (
    "SELECT sequence, instruction_id, kind, subject, ledger, currency, debit, credit, minor, "
    "linked, state, reason, queued_ms, settled_ms FROM instructions"
)
_SETTLED = f"{_INSTRUCTION} WHERE state = 'SETTLED'"
_QUEUED = f"{_INSTRUCTION} WHERE state = 'QUEUED' ORDER BY sequence"
_BY_KEY = "SELECT transfer_id, record FROM transfers WHERE key = ?1 OR transfer_id = ?2"
_NEXT_KEYS = (
    "SELECT coalesce((SELECT max(key) FROM transfers WHERE key < ?1), ''), "
    "coalesce((SELECT min(key) FROM transfers WHERE key > ?1), ?2)"
)
_NEXT_IDS = _NEXT_KEYS.replace("key", "transfer_id")


class LedgerReader:
    """The ledger's Archive: indexed reads, short enough to be done on the loop.

    Args:
        connection: a read-only connection; it sees what is committed.

    Every method raises StoreError if the file cannot be read.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._keys = KeyGaps()
        self._ids = KeyGaps()

    def transfer(self, key: str, transfer_id: str) -> Duplicate | None:
        """Return the transfer that has this key or this id."""
        if self._keys.lacks(key) and self._ids.lacks(transfer_id):
            return None
        row = self._one(_BY_KEY, key, transfer_id)
        if row is not None:
            return Duplicate(row[0], row[1])
        self._learn(self._keys, _NEXT_KEYS, key)
        self._learn(self._ids, _NEXT_IDS, transfer_id)
        return None

    def lacks(self, key: str) -> bool:
        """Tell whether no transfer on disk has this key for certain."""
        return self._keys.lacks(key)

    def add(self, key: str, transfer_id: str) -> None:
        """Take over that a transfer is on disk now; until then its owner has it in memory."""
        self._keys.add(key)
        self._ids.add(transfer_id)

    def _learn(self, gaps: KeyGaps, query: str, key: str) -> None:
        if gaps.is_learning and not gaps.lacks(key):
            gaps.learn(*self._one(query, key, ABOVE_ALL))

    def movement(self, movement_id: str) -> str | None:
        """Return the digest of a movement."""
        query = "SELECT digest FROM movements WHERE movement_id = ?"
        row = self._one(query, movement_id)
        return None if row is None else str(row[0])

    def opposition(self, transfer_id: str) -> bytes | None:
        """Return what an opposite posting of this id was asked for."""
        query = "SELECT opposite_of, minor FROM oppositions WHERE transfer_id = ?"
        row = self._one(query, transfer_id)
        return None if row is None else opposition_record(row[0], row[1])

    def opposed(self, transfer_id: str) -> Mapping[str, int]:
        """Return the amounts that were taken back of a transfer, by opposite posting."""
        query = "SELECT transfer_id, minor FROM oppositions WHERE opposite_of = ?"
        return dict(self._all(query, transfer_id))

    def postings(self, transfer_id: str) -> tuple[Entry, ...]:
        """Return the entries posted for a transfer."""
        query = (
            'SELECT kind, ledger, currency, debit, credit, minor, "window" '
            "FROM entries WHERE transfer_id = ? ORDER BY entry_id"
        )
        return tuple(
            Entry(
                kind=kind,
                debit=Account(ledger=ledger, currency=currency, owner=debit),
                credit=Account(ledger=ledger, currency=currency, owner=credit),
                minor=minor,
                window=window,
            )
            for kind, ledger, currency, debit, credit, minor, window in self._all(
                query, transfer_id
            )
        )

    def window(self, window: str) -> WindowStand | None:
        """Return a window."""
        row = self._one(f'{_STAND} WHERE "window" = ?', window)
        return None if row is None else _stand(row)

    def past_windows(self, limit: int) -> tuple[WindowStand, ...]:
        """Return windows at an end, newest first."""
        return tuple(_stand(row) for row in self._all(_PAST_WINDOWS, limit))

    def book(self, window: str) -> WindowBook:
        """Return what a window has counted, empty if it is not known."""
        stand = self.window(window)
        return WindowBook(
            window,
            (_tally(window, row) for row in self._all(_TALLIES, window)),
            sealed=stand is not None and stand.state in SEALED,
        )

    def batch(self, window: str) -> bytes | None:
        """Return a window's batch."""
        row = self._one('SELECT body FROM batches WHERE "window" = ?', window)
        return None if row is None else bytes(row[0])

    def batch_digest(self, window: str) -> str | None:
        """Return the digest that a window's batch was written with."""
        row = self._one('SELECT digest FROM batches WHERE "window" = ?', window)
        return None if row is None else str(row[0])

    def instruction(self, instruction_id: str) -> Instruction | None:
        """Return a payment in a ledger of money."""
        row = self._one(f"{_INSTRUCTION} WHERE instruction_id = ?", instruction_id)
        return None if row is None else _instruction(row)

    def instructions_of(self, subject: str) -> tuple[Instruction, ...]:
        """Return the payments of one window or order, by sequence."""
        rows = self._all(f"{_INSTRUCTION} WHERE subject = ? ORDER BY sequence", subject)
        return tuple(_instruction(row) for row in rows)

    def _one(self, query: str, *values: object) -> Any:
        rows = self._all(query, *values)
        return rows[0] if rows else None

    def _all(self, query: str, *values: object) -> list[Any]:
        try:
            rows: list[Any] = self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            # Nothing was decided yet, so whoever asked may ask again.
            raise StoreError(f"the ledger could not be read: {error}") from error
        return rows


def read_positions(connection: Any) -> list[Position]:
    """Return all positions as recorded, ``lbtr`` included."""
    query = (
        "SELECT ledger, currency, owner, balance, reserved, low, high, cap, alerted "
        "FROM positions ORDER BY ledger, currency, owner"
    )
    return [
        Position(
            account=Account(ledger=row[0], currency=row[1], owner=row[2]),
            balance_minor=row[3],
            reserved_minor=row[4],
            low_minor=row[5],
            high_minor=row[6],
            cap_minor=row[7],
            alerted=bool(row[8]),
        )
        for row in connection.execute(query).fetchall()
    ]


def read_recorded(connection: Any) -> Recorded:
    """Return all that a ledger keeps in memory.

    Raises:
        StoreError: part of it cannot be read back.
    """
    numbers = "SELECT coalesce(max(number), 0) FROM transfers"
    occasions = "SELECT coalesce(min(number), 0) FROM occasions"
    sequences = "SELECT coalesce(max(sequence), 0) FROM instructions"
    return Recorded(
        positions=read_positions(connection),
        held=read_held(connection),
        last_number=connection.execute(numbers).fetchone()[0],
        first_number=connection.execute(occasions).fetchone()[0],
        windows=[_stand(row) for row in connection.execute(_LIVE_WINDOWS).fetchall()],
        instructions=[_instruction(row) for row in connection.execute(_QUEUED).fetchall()],
        last_sequence=connection.execute(sequences).fetchone()[0],
    )


def read_settled(connection: Any) -> Iterator[Instruction]:
    """Yield all payments that settled."""
    return map(_instruction, connection.execute(_SETTLED))


def read_held(connection: Any) -> list[Held]:
    """Return the transfers that hold money, in the order of their reservation.

    Raises:
        StoreError: one of them cannot be read back.
    """
    rows = []
    for transfer_id, key, record, legs, number in connection.execute(_HELD).fetchall():
        try:
            rows.append((transfer_id, key, record, _decode_legs(legs), number))
        except msgspec.DecodeError as error:
            raise StoreError(f"transfer {transfer_id}: its entries cannot be read") from error
    lanes = read_lanes(connection, (lane for row in rows for lane, _ in row[3]))
    held = []
    for transfer_id, key, record, legs, number in rows:
        if not all(lane in lanes for lane, _ in legs):
            raise StoreError(f"transfer {transfer_id}: its entries cannot be read")
        entries = tuple(replace(lanes[lane], minor=minor) for lane, minor in legs)
        held.append(
            Held(transfer_id=transfer_id, key=key, record=record, entries=entries, number=number)
        )
    return held


def _tally(window: str, row: Any) -> Tally:
    account = Account(ledger=row[0], currency=row[1], owner=row[2])
    return Tally(window=window, account=account, **dict(zip(FIELDS, row[3:], strict=True)))


def _stand(row: Any) -> WindowStand:
    return WindowStand(
        window=row[0],
        cycle=row[1],
        currency=row[2],
        settlement_date=row[3],
        number=row[4],
        opens_ms=row[5],
        closes_ms=row[6],
        state=row[7],
        closed_ms=row[8],
        record=row[9],
    )


def _instruction(row: Any) -> Instruction:
    ledger, currency = row[4], row[5]
    try:
        linked = _decode_entries(row[9])
    except msgspec.DecodeError as error:
        raise StoreError(f"instruction {row[1]}: its entries cannot be read") from error
    return Instruction(
        sequence=row[0],
        instruction_id=row[1],
        kind=row[2],
        subject=row[3],
        debit=Account(ledger=ledger, currency=currency, owner=row[6]),
        credit=Account(ledger=ledger, currency=currency, owner=row[7]),
        minor=row[8],
        linked=linked,
        state=row[10],
        reason=row[11],
        queued_ms=row[12],
        settled_ms=row[13],
    )
