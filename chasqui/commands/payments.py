"""``chasqui payments`` and ``chasqui return``."""

import secrets
from gettext import gettext as _

import click

from chasqui.answers import ReturnRow, Transfer
from chasqui.calling import as_called
from chasqui.country import Country
from chasqui.exits import Failure, Misused
from chasqui.language import N_
from chasqui.options import argument, command, json_option, option
from chasqui.orders import ACCEPTED, REJECTED, SETTLED, is_order
from chasqui.output import Amount, amount_text, as_json, local_second, table
from chasqui.rails import rail_name
from chasqui.routing_answers import PaymentRow
from chasqui.session import Session, pass_session

_FLAGS = {"amount": "--amount", "reason": "--reason", "Idempotency-Key": "--idempotency-key"}


@command(
    "payments",
    help=N_(
        "List orders of the deferred and LBTR rails.\n\n"
        "ACSP is accepted and waits for its cycle or queue, ACSC is settled, RJCT is rejected."
    ),
)
@option(
    "--status",
    type=click.Choice((ACCEPTED, SETTLED, REJECTED), case_sensitive=False),
    help=N_("Only with this status."),
)
@option("--participant", default="", metavar="CODE", help=N_("Only of this institution."))
@option("--window", default="", metavar="WINDOW", help=N_("Only of this window."))
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def payments_command(
    session: Session,
    *,
    status: str | None,
    participant: str,
    window: str,
    limit: int,
    in_json: bool,
) -> None:
    """List orders, newest first."""
    wanted = {"status": status or "", "participant": participant, "window": window}
    found = list(session.country().payments(limit=limit, **wanted))
    if in_json:
        as_json(found)
        return
    if not found:
        click.echo(_("No orders."))
        return
    days = {local_second(one.created_at).partition(" ")[0] for one in found}
    headings = (_("Created"), _("Order"), _("Rail"), _("Amount"), _("State"))
    table(headings, [_row(one, with_day=len(days) > 1) for one in found], right="lllr")


def _row(one: PaymentRow, *, with_day: bool) -> tuple[str, ...]:
    created = local_second(one.created_at)
    return (
        created if with_day else created.rpartition(" ")[2],
        one.payment_id,
        rail_name(one.rail),
        amount_text(one.amount, one.currency),
        one.status,
    )


@command(
    "return",
    help=N_(
        "Give a settled transfer back, whole or in part.\n\n"
        "What was posted stays posted; a return is a posting the other way, which settles in a "
        "window of the dispute cycle, or of the exchange cycle. The fee is not returned."
    ),
)
@argument("instruction_id")
@option("--amount", type=Amount(), help=N_("How much (default: the whole transfer)."))
@option("--reason", default="FOCR", metavar="CODE", help=N_("Why, as ISO 20022 has it, e.g. DUPL."))
@option("--idempotency-key", metavar="KEY", help=N_("Repeats with this key move money once."))
@json_option
@pass_session
def return_command(
    session: Session,
    *,
    instruction_id: str,
    amount: int | None,
    reason: str,
    idempotency_key: str | None,
    in_json: bool,
) -> None:
    """Post the opposite of part of a transfer."""
    country = session.country()
    original = _original(country, instruction_id)
    body = {"amount": amount or original.amount, "reason": reason.upper()}
    headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
    path = f"/transfers/{instruction_id}/returns"
    try:
        answer = country.operator.post(path, body, ReturnRow, headers)
    except Failure as failure:
        raise failure.said_in(original.currency).about(_FLAGS) from failure
    if in_json:
        as_json(answer)
        return
    text = _("Returned: {amount} from {creditor} to {debtor}.").format(
        amount=amount_text(answer.amount, answer.currency),
        creditor=original.creditor_agent,
        debtor=original.debtor_agent,
    )
    click.secho(text, fg="green", bold=True)
    if answer.left is not None:
        left = amount_text(answer.left, answer.currency)
        click.echo(_("Left of the transfer: {amount}").format(amount=left))
    if answer.windows:
        windows = ", ".join(answer.windows.values())
        click.echo(_("It settles with: {windows}").format(windows=windows))
    click.echo(as_called(_("Details: chasqui show {subject}").format(subject=instruction_id)))


def _original(country: Country, identity: str) -> Transfer | PaymentRow:
    """Return what is to be given back: it says how much, and in which currency."""
    if is_order(identity):
        return country.payment(identity).payment
    transfer = country.detail(identity).transfer
    if transfer is None:
        raise Misused(
            _("{subject} is no transfer.").format(subject=identity),
            _("See what there is with: chasqui transfers"),
        )
    return transfer
