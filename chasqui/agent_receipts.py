"""Receipts: what somebody at a field agent's counter is handed, or is told instead."""

from gettext import gettext as _

import click
from msgspec import Struct

from chasqui.agent_words import account_text, code_meaning, kind_name
from chasqui.calling import as_called
from chasqui.exits import ExitCode
from chasqui.output import amount_text, local_ms, paragraph, table
from chasqui.verdicts import reason_lines
from participants.core.agent_book import Entry, EntryState
from scheme.wire.agent_digest import voucher_of
from scheme.wire.agent_payload import CASH_TAKEN, CURRENCIES, Kind, Row


class ReceiptRow(Struct, frozen=True, kw_only=True):
    """An operation of a terminal as a script gets it; ``at`` in seconds."""

    device: str
    seq: int
    op_id: str
    kind: str
    minor: int
    currency: str
    account: str
    at: int
    offline: bool
    state: str
    voucher: str
    code: str = ""
    reason: str = ""
    reference: str = ""
    note: str = ""
    data: tuple[object, ...] = ()


def receipt_row(device: str, entry: Entry) -> ReceiptRow:
    """Return an operation as a script gets it."""
    entry = entry.outcome
    operation, verdict = entry.operation, entry.verdict
    return ReceiptRow(
        device=device,
        seq=operation.seq,
        op_id=operation.op_id.hex(),
        kind=Kind(operation.kind).name.lower(),
        minor=operation.minor,
        currency=CURRENCIES[operation.currency],
        account=account_text(operation.account),
        at=operation.at,
        offline=operation.offline,
        state=entry.state.value,
        voucher=voucher_of(operation) if operation.offline else "",
        code=verdict.code if verdict else "",
        reason=verdict.reason if verdict else "",
        reference=verdict.reference if verdict else "",
        note=verdict.note if verdict else "",
        data=verdict.data if verdict else (),
    )


def print_receipt(device: str, entry: Entry) -> ExitCode:
    """Print a receipt, or why there is none; return how the command ends."""
    entry = entry.outcome
    row = receipt_row(device, entry)
    head = _("{device}, operation {seq}: {kind}").format(
        device=device, seq=row.seq, kind=kind_name(entry.operation.kind)
    )
    moved = f", {amount_text(row.minor, row.currency)}" if row.minor else ""
    click.secho(f"{head}{moved}, {row.account}", bold=True)
    match entry.state:
        case EntryState.QUEUED:
            print_voucher(row)
            return ExitCode.DONE
        case EntryState.SENT:
            text = _(
                "No verdict came: hand nothing over. It is asked for again by the next session."
            )
            click.secho(text, fg="yellow", bold=True)
            click.echo(
                as_called(_("Ask now: chasqui agent sync --device {device}").format(device=device))
            )
            return ExitCode.UNKNOWN
        case EntryState.APPLIED:
            _print_applied(entry, row)
            return ExitCode.DONE
        case EntryState.REFUSED:
            print_refusal(row)
            return ExitCode.REFUSED


def print_voucher(row: ReceiptRow) -> None:
    """Print what the customer of an operation made alone is handed."""
    text = _("Made without the clearing house, at the agent's own risk. Voucher: {voucher}")
    click.secho(text.format(voucher=row.voucher), fg="yellow", bold=True)
    click.echo(
        as_called(
            _("It waits to be sent: chasqui agent sync --device {device}").format(device=row.device)
        )
    )


def print_refusal(row: ReceiptRow) -> None:
    """Print why an operation was refused."""
    meaning = code_meaning(row.code)
    text = _("Refused: {code} {meaning}.").format(code=row.code, meaning=meaning)
    click.secho(text, fg="red", bold=True)
    for line in reason_lines(row.reason or None, row.note, row.currency):
        paragraph(line)


def _print_applied(entry: Entry, row: ReceiptRow) -> None:
    kind = Kind(entry.operation.kind)
    if kind is Kind.BALANCE:
        _print_balance(row)
    elif kind is Kind.STATEMENT:
        _print_statement(row)
    else:
        text = _("Taken: {amount}.") if kind in CASH_TAKEN else _("Paid out: {amount}.")
        amount = amount_text(row.minor, row.currency)
        click.secho(text.format(amount=amount), fg="green", bold=True)
    if row.reference:
        step = _("Details: chasqui show {subject}").format(subject=row.reference)
        click.echo(as_called(step))


def _print_balance(row: ReceiptRow) -> None:
    available, ledger = (*(one for one in row.data if isinstance(one, int)), None, None)[:2]
    text = _("Available: {available}; on the books: {ledger}.").format(
        available=amount_text(available, row.currency), ledger=amount_text(ledger, row.currency)
    )
    click.secho(text, fg="green", bold=True)


def _print_statement(row: ReceiptRow) -> None:
    moves = [one for one in row.data if isinstance(one, Row)]
    if not moves:
        click.echo(_("No movements."))
        return
    cells = [
        (local_ms(one.at * 1000), amount_text(one.minor, row.currency), one.text) for one in moves
    ]
    table((_("When"), _("Amount"), _("What")), cells, right="lrl")
