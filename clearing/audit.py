"""The audit's figures, counted anew from single rows in one read transaction."""

from typing import Any

import msgspec

from clearing.core.audit import Audit, Recount, compare
from clearing.core.posting import holds
from clearing.ledger_reader import read_held, read_positions
from scheme.ledger import Account, Entry

_BALANCES = """
    SELECT ledger, currency, owner, sum(minor) FROM (
        SELECT ledger, currency, credit AS owner, minor FROM entries
        UNION ALL
        SELECT ledger, currency, debit AS owner, -minor FROM entries)
    GROUP BY ledger, currency, owner"""

# A transfer that was posted has each of its entries once; any other has none.
_POSTINGS = """
    SELECT transfer_id, state, entries, posted FROM (
        SELECT t.transfer_id, t.state, t.entries,
               (SELECT count(*) FROM entries AS e WHERE e.transfer_id = t.transfer_id) AS posted
        FROM transfers AS t)"""
_POSTED_STATES = frozenset({"POSTED", "CONFIRMED"})

_decode_entries = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode


def audit(connection: Any) -> Audit:
    """Recount a ledger and hold its positions against it.

    Args:
        connection: used for one read transaction, in which nothing moves.
    """
    connection.execute("BEGIN")
    try:
        return compare(read_positions(connection), _recount(connection))
    finally:
        connection.execute("COMMIT")


def _recount(connection: Any) -> Recount:
    return Recount(
        balances={
            Account(ledger=ledger, currency=currency, owner=owner): minor
            for ledger, currency, owner, minor in connection.execute(_BALANCES).fetchall()
        },
        reserved=_reserved(connection),
        postings=_postings(connection),
        entries=_count(connection, "entries"),
        transfers=_count(connection, "transfers"),
    )


def _reserved(connection: Any) -> dict[Account, int]:
    reserved: dict[Account, int] = {}
    for one in read_held(connection):
        for account, minor in holds(one.entries).items():
            reserved[account] = reserved.get(account, 0) + minor
    return reserved


def _postings(connection: Any) -> dict[str, tuple[int, int]]:
    wrong = {}
    for transfer_id, state, entries, posted in connection.execute(_POSTINGS):
        expected = len(_decode_entries(entries)) if state in _POSTED_STATES else 0
        if posted != expected:
            wrong[transfer_id] = (expected, posted)
    return wrong


def _count(connection: Any, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
