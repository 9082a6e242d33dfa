"""``chasqui show``: the wire timeline of one transfer."""

from collections.abc import Mapping
from gettext import gettext as _

import click

from chasqui.answers import Transfer, TransferDetail
from chasqui.exits import Misused
from chasqui.language import N_
from chasqui.legs import answer_text
from chasqui.names import message_name
from chasqui.options import argument, command, option
from chasqui.output import (
    amount_text,
    as_json,
    local_second,
    milliseconds,
    paragraph,
    span,
    table,
)
from chasqui.session import Session, pass_session
from chasqui.timeline import print_bodies, print_messages
from chasqui.told import told
from chasqui.verdicts import own_rule, verdict

_KINDS: Mapping[str, str] = {"principal": N_("principal"), "interbank_fee": N_("interbank fee")}


@command(
    "show",
    help=N_(
        "Show everything about one transfer.\n\n"
        "The messages with their times, who decided what, the postings, and what is still "
        "owed. Without an id: the latest transfer. An id of a verification works too."
    ),
)
@argument("instruction_id", required=False)
@option("-v", "--verbose", is_flag=True, help=N_("Print the messages, masked."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
def show_command(
    session: Session, *, instruction_id: str | None, verbose: bool, in_json: bool
) -> None:
    """Print one transfer."""
    country = session.country()
    if instruction_id is None:
        latest = next(country.transfers(limit=1), None)
        if latest is None:
            raise Misused(_("There is no transfer yet."), _("Make one with: chasqui send"))
        instruction_id = latest.instruction_id
    detail = country.detail(instruction_id)
    if in_json:
        as_json(detail)
        return
    if detail.transfer:
        _print_facts(detail.transfer)
    _print_timeline(detail, verbose=verbose)
    _print_money(detail)
    for line in verdict(detail):
        paragraph(line)


def _print_facts(one: Transfer) -> None:
    click.secho(f"{one.instruction_id}  {one.state}", bold=True)
    facts = [
        (_("Amount"), amount_text(one.amount, one.currency)),
        (_("Interbank fee"), amount_text(one.fee, one.currency) if one.fee else ""),
        (_("From -> to"), f"{one.debtor_agent} -> {one.creditor_agent}"),
        (_("Answer"), answer_text(one.response_code, one.reason_code)),
        (_("Created"), local_second(one.created_at)),
        (_("Decided"), local_second(one.decided_at) if one.decided_at else ""),
        (_("Time"), milliseconds(one.elapsed_ms) if one.elapsed_ms is not None else ""),
        (_("Verification"), one.verification_id or ""),
        (_("Reference"), one.reference or ""),
        (_("Channel"), one.channel or ""),
        (_("Settlement date"), one.settlement_date or ""),
        (_("Window"), one.window or ""),
    ]
    shown = [(name, value) for name, value in facts if value]
    width = max(len(name) for name, _value in shown)
    for name, value in shown:
        click.echo(f"  {name:<{width}}  {value}")


def _print_timeline(detail: TransferDetail, *, verbose: bool) -> None:
    if not detail.timeline:
        click.echo(_("No messages were kept: the wire log was off or has moved on."))
        return
    print_messages(detail.timeline)
    for row in detail.timeline:
        if note := own_rule(row.note or ""):
            paragraph(f"{message_name(row.message)}: {told(note)}")
    if verbose:
        print_bodies(detail.timeline)


def _print_money(detail: TransferDetail) -> None:
    if detail.entries:
        rows = [
            (
                entry.ledger,
                _(_KINDS[entry.kind]) if entry.kind in _KINDS else entry.kind,
                f"{entry.debit} -> {entry.credit}",
                amount_text(entry.minor if entry.amount is None else entry.amount, entry.currency),
                entry.window,
            )
            for entry in detail.entries
        ]
        headings = (_("Ledger"), _("Posting"), _("From -> to"), _("Amount"), _("Window"))
        table(headings, rows, right="lllr")
    for one in detail.owed:
        line = _("Still owed: {message} to {code}, for {age}, attempts: {attempts}")
        click.secho(
            line.format(
                message=one.message or "?",
                code=one.participant or "?",
                age=span(one.age_s),
                attempts=one.attempts or 0,
            ),
            fg="yellow",
        )
