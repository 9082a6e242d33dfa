"""The files of a batch that people hand on, made in pieces from what the ledger recorded.

docs/wire/settlement-files.md says what stands in them. They are for the participant itself, so
account numbers stand in them whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from scheme.batch import Batch, BatchRow, Settlement
from scheme.movement import Movement
from scheme.wire import iso20022
from scheme.wire.iso20022 import PayOrder, StatementEntry
from scheme.wire.settlement_csv import COLUMNS, NET_COLUMNS, encode_rows, movement_row, net_row

RECONCILIATION = "reconciliation.csv"
NET_REPORT = "net.csv"
STATEMENT = "camt.053.xml"
INSTRUCTION = "pacs.009.xml"
ALL = "all"
"""Instead of a participant's code: the net report of everybody."""

CSV_TYPE = "text/csv; charset=utf-8; header=present"
XML_TYPE = "application/xml"

MovementOf = Callable[[bytes, str, str], Movement]
"""Reads a stored transfer: its record, its rail and its state."""


class Moved(Struct, frozen=True, kw_only=True, gc=False):
    """A transfer as one participant's file shows it.

    Attributes:
        sent: whether the participant's position gave or received.
        accepted: whether it was counted as accepted.
        returned_minor: of a return: how much of the transfer went back; 0 otherwise.
        return_id, returned_at: its id, and when, as ``yyyyMMddHHmmss`` of Lima.
    """

    record: bytes
    rail: str
    state: str
    sent: bool
    accepted: bool
    returned_minor: int = 0
    return_id: str = ""
    returned_at: str = ""


def reconciliation(pages: Iterable[Sequence[Moved]], movement_of: MovementOf) -> Iterator[bytes]:
    """Yield a reconciliation file: its header, and one piece for each page of movements."""
    yield encode_rows([COLUMNS])
    for page in pages:
        yield encode_rows(_row(one, movement_of) for one in page)


def net_report(batch: Batch, rows: Iterable[BatchRow]) -> Iterator[bytes]:
    """Yield a net report."""
    yield encode_rows([NET_COLUMNS, *(net_row(batch, row) for row in rows)])


def statement(batch: Batch, row: BatchRow, entries: Iterable[StatementEntry]) -> Iterator[bytes]:
    """Yield a camt.053 statement."""
    return iso20022.statement(batch, row, entries)


def pay_order(row: BatchRow, settlement: Settlement) -> PayOrder | None:
    """Return what a participant pays in or is paid, or None if it is even.

    Unwinding changes the nets of a round; the files of the batch itself stay as they were.
    """
    nets = settlement.nets
    net = row.net if nets is None else nets.get(row.participant, 0)
    if not net:
        return None
    return PayOrder(participant=row.participant, name=row.name, net=net, round=settlement.round)


def file_name(batch: str, code: str, kind: str) -> str:
    """Return how a file is called when it is written down."""
    return f"{batch}.{code}.{kind}"


def _row(one: Moved, movement_of: MovementOf) -> tuple[str, ...]:
    movement = movement_of(one.record, one.rail, one.state)
    if one.state == DISPUTED:
        movement = replace(movement, process_code=IN_DISPUTE)
    if one.return_id:
        movement = Movement(
            instruction_id=one.return_id,
            # The money goes back, so the account that received it is the origin.
            debtor_account=movement.creditor_account,
            creditor_account=movement.debtor_account,
            debtor_agent=movement.creditor_agent,
            creditor_agent=movement.debtor_agent,
            amount=one.returned_minor,
            fee=0,
            transfer_type=movement.transfer_type,
            at=one.returned_at,
            channel=movement.channel,
            trace=movement.trace,
            process_code=IN_DISPUTE if one.state == DISPUTED_POSTED else RETURN,
        )
    return movement_row(movement, sent=one.sent, accepted=one.accepted)


RETURN = "RTRN"
"""Process code of a return."""
DISPUTED = "DISPUTED"
"""State of a transfer whose money was given back, while its receiver may have credited it."""
DISPUTED_POSTED = "DISPUTED_POSTED"
"""State of cash that was not given out and went back, while its issuer keeps its member's money."""
IN_DISPUTE = "DISP"
"""Process code of a transfer in dispute, and of what went back in one."""
