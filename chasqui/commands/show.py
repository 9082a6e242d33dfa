"""``chasqui show``: one transfer, or one order: messages, decision, postings."""

from collections.abc import Mapping, Sequence
from gettext import gettext as _

import click

from chasqui.answers import Considered, EntryRow, OwedRow, ReturnRow, TimelineRow, Transfer
from chasqui.country import Country
from chasqui.exits import Misused
from chasqui.language import N_
from chasqui.legs import answer_text
from chasqui.names import message_name
from chasqui.options import argument, command, option
from chasqui.orders import is_order, print_ending
from chasqui.output import (
    amount_text,
    as_json,
    day_text,
    local_second,
    milliseconds,
    moved_text,
    paragraph,
    span,
    table,
)
from chasqui.rails import print_considered, rail_name
from chasqui.routing_answers import PaymentRow
from chasqui.session import Session, pass_session
from chasqui.timeline import print_bodies, print_messages
from chasqui.told import told
from chasqui.verdicts import own_rule, verdict

_KINDS: Mapping[str, str] = {
    "principal": N_("principal"),
    "interbank_fee": N_("fee"),
    "opposite": N_("returned"),
    "settlement": N_("settlement"),
}


@command(
    "show",
    help=N_(
        "Show everything about one transfer.\n\n"
        "The messages with their times, the rails considered, who decided what, the postings in "
        "each ledger, and what is still owed. Without an id: the latest transfer. An id of a "
        "verification, or of an order of the deferred and LBTR rails, works too."
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
    if is_order(instruction_id):
        _show_order(country, instruction_id, in_json=in_json)
        return
    detail = country.with_returns(country.detail(instruction_id))
    if in_json:
        as_json(detail)
        return
    currency = detail.transfer.currency if detail.transfer else "PEN"
    if detail.transfer:
        _print_facts(detail.transfer, detail.decision.rail)
    _print_timeline(detail.timeline, currency, verbose=verbose)
    _print_rails(detail.decision.considered, currency)
    _print_entries(detail.entries)
    _print_returns(detail.returns)
    _print_owed(detail.owed)
    for line in verdict(detail):
        paragraph(line)


def _show_order(country: Country, identity: str, *, in_json: bool) -> None:
    detail = country.payment(identity)
    if in_json:
        as_json(detail)
        return
    one = detail.payment
    _print_order(one)
    _print_rails(detail.considered, one.currency)
    _print_entries(detail.entries)
    _print_returns(detail.returns)
    _print_owed(detail.owed)
    print_ending(one, amount=one.amount, currency=one.currency)


def _print_order(one: PaymentRow) -> None:
    click.secho(f"{one.payment_id}  {one.status}", bold=True)
    facts = [
        (_("Amount"), amount_text(one.amount, one.currency)),
        (_("Fee"), amount_text(one.fee, one.currency) if one.fee else ""),
        (_("From -> to"), f"{one.debtor_agent} -> {one.creditor_agent}"),
        (_("Accounts"), f"{one.debtor_cci} -> {one.creditor_cci}"),
        (_("Rail"), rail_name(one.rail)),
        (_("Created"), local_second(one.created_at)),
        (_("Ended"), local_second(one.ended_at) if one.ended_at else ""),
        (_("Payment in the queue"), one.instruction or ""),
        (_("Settlement date"), day_text(one.settlement_date) if one.settlement_date else ""),
        (_("Window"), one.window or ""),
    ]
    _print_pairs(facts)


def _print_facts(one: Transfer, rail: str | None) -> None:
    click.secho(f"{one.instruction_id}  {one.state}", bold=True)
    facts = [
        (_("Amount"), moved_text(one.amount, one.currency)),
        (_("Interbank fee"), amount_text(one.fee, one.currency) if one.fee else ""),
        (_("From -> to"), f"{one.debtor_agent or '-'} -> {one.creditor_agent or '-'}"),
        (_("Rail"), rail_name(rail) if rail else ""),
        (_("Answer"), answer_text(one.response_code, one.reason_code)),
        (_("Created"), local_second(one.created_at)),
        (_("Decided"), local_second(one.decided_at) if one.decided_at else ""),
        (_("Time"), milliseconds(one.elapsed_ms) if one.elapsed_ms is not None else ""),
        (_("Verification"), one.verification_id or ""),
        (_("Reference"), one.reference or ""),
        (_("Channel"), one.channel or ""),
        (_("Settlement date"), day_text(one.settlement_date) if one.settlement_date else ""),
        (_("Window"), one.window or ""),
    ]
    _print_pairs(facts)


def _print_pairs(facts: Sequence[tuple[str, str]]) -> None:
    shown = [(name, value) for name, value in facts if value]
    width = max(len(name) for name, _value in shown)
    for name, value in shown:
        click.echo(f"  {name:<{width}}  {value}")


def _print_timeline(timeline: Sequence[TimelineRow], currency: str, *, verbose: bool) -> None:
    if not timeline:
        click.echo(_("No messages were kept: the wire log was off or has moved on."))
        return
    print_messages(timeline)
    for row in timeline:
        if note := own_rule(row.note or ""):
            paragraph(f"{message_name(row.message)}: {told(note, currency=currency)}")
    if verbose:
        print_bodies(timeline)


def _print_rails(considered: Sequence[Considered], currency: str) -> None:
    if considered:
        click.echo()
        print_considered(considered, currency)


def _print_entries(entries: Sequence[EntryRow]) -> None:
    if not entries:
        return
    click.echo()
    rows = [
        (
            entry.ledger,
            _(_KINDS[entry.kind]) if entry.kind in _KINDS else entry.kind,
            f"{entry.debit} -> {entry.credit}",
            amount_text(entry.minor if entry.amount is None else entry.amount, entry.currency),
            entry.window,
        )
        for entry in entries
    ]
    headings = (_("Ledger"), _("Posting"), _("From -> to"), _("Amount"), _("Window"))
    table(headings, rows, right="lllr")


def _print_returns(returns: Sequence[ReturnRow]) -> None:
    for one in returns:
        facts = (amount_text(one.amount, one.currency), local_second(one.at), one.reason or "")
        shown = ", ".join(fact for fact in facts if fact)
        click.secho(_("Returned: {facts}").format(facts=shown), fg="yellow")


def _print_owed(owed: Sequence[OwedRow]) -> None:
    for one in owed:
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
