"""What the ledger reads back: everything at the start, single keys while it runs."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import msgspec

from clearing.core.ledger_state import RESERVED, Held, opposition_record
from clearing.ledger_schema import IS_OPEN
from scheme.errors import StoreError
from scheme.ledger import Account, Duplicate, Entry, Position

_decode_entries = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode

_HELD = (
    "SELECT transfer_id, key, record, entries FROM transfers "  # noqa: S608 - constants
    f"WHERE state = '{RESERVED}' AND {IS_OPEN}"
)
_BY_KEY = "SELECT transfer_id, record FROM transfers WHERE key = ?1 OR transfer_id = ?2"


class LedgerReader:
    """The ledger's Archive: indexed reads, short enough to be done on the loop.

    Args:
        connection: a read-only connection; it sees what is committed.

    Every method raises StoreError if the file cannot be read.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def transfer(self, key: str, transfer_id: str) -> Duplicate | None:
        """Return the transfer that has this key or this id."""
        row = self._one(_BY_KEY, key, transfer_id)
        return None if row is None else Duplicate(row[0], row[1])

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

    def _one(self, query: str, *values: str) -> Any:
        rows = self._all(query, *values)
        return rows[0] if rows else None

    def _all(self, query: str, *values: str) -> list[Any]:
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


def read_held(connection: Any) -> list[Held]:
    """Return the transfers that hold money.

    Raises:
        StoreError: one of them cannot be read back.
    """
    held = []
    for transfer_id, key, record, entries in connection.execute(_HELD).fetchall():
        try:
            decoded = _decode_entries(entries)
        except msgspec.DecodeError as error:
            raise StoreError(f"transfer {transfer_id}: its entries cannot be read") from error
        held.append(Held(transfer_id=transfer_id, key=key, record=record, entries=decoded))
    return held
