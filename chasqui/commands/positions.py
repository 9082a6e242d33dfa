"""``chasqui positions`` and ``chasqui fund``."""

import secrets
from collections.abc import Sequence
from gettext import gettext as _

import click

from chasqui.answers import Position, PositionAnswer, PositionsAnswer
from chasqui.exits import Failure
from chasqui.language import N_
from chasqui.options import argument, command, option
from chasqui.output import (
    CURRENCIES,
    Amount,
    amount_text,
    as_json,
    cap_text,
    is_unlimited,
    table,
)
from chasqui.session import Session, pass_session
from scheme.ledger import DALE, DEFERRED, NATIONAL

_FLAGS = {"amount": "--amount", "currency": "--currency", "Idempotency-Key": "--idempotency-key"}
_UNSAID = "-"


@command(
    "positions",
    help=N_(
        "List the positions of the institutions.\n\n"
        "Each institution's own; with --ledger all of that ledger, so that dale has the sponsor's "
        "mirror too. Available is the balance, less what is reserved, plus the line: the debit "
        "that needs no cover."
    ),
)
@option("--participant", metavar="CODE", help=N_("Only of this institution."))
@option("--currency", type=click.Choice(CURRENCIES), help=N_("Only in this currency."))
@option(
    "--ledger",
    type=click.Choice((NATIONAL, DALE, DEFERRED)),
    help=N_("All of this ledger."),
)
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def positions_command(
    session: Session,
    *,
    participant: str | None,
    currency: str | None,
    ledger: str | None,
    in_json: bool,
) -> None:
    """List positions."""
    answer = session.country().operator.get("/positions", PositionsAnswer, ledger=ledger)
    found = [
        one
        for one in answer.positions
        if participant in {None, one.participant} and currency in {None, one.currency}
    ]
    if in_json:
        as_json(found)
        return
    _print(found)


def _print(found: Sequence[Position]) -> None:
    groups = dict.fromkeys((one.ledger, one.currency) for one in found)
    for number, (ledger, currency) in enumerate(groups):
        if number:
            click.echo()
        click.secho(f"{ledger}, {currency}", bold=True)
        _print_group([one for one in found if (one.ledger, one.currency) == (ledger, currency)])


def _print_group(found: Sequence[Position]) -> None:
    rows = [
        (
            one.participant,
            amount_text(one.balance, one.currency),
            amount_text(one.reserved, one.currency),
            # What mirrors others can owe without end: what is left of that tells nobody anything.
            _UNSAID if is_unlimited(one.cap) else amount_text(one.available, one.currency),
            cap_text(one.cap, one.currency),
            _("low") if one.alerted else "",
        )
        for one in found
    ]
    headings = (_("At"), _("Balance"), _("Reserved"), _("Available"), _("Line"), "")
    table(headings, rows, right="lrrrr")


@command(
    "fund",
    help=N_(
        "Fund a position, or draw it down.\n\n"
        "The money comes from the simulated central bank, or goes back there."
    ),
)
@argument("code")
@option("--amount", type=Amount(), required=True, help=N_("How much, e.g. 1000.00."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@option("--drawdown", is_flag=True, help=N_("Take money out instead."))
@option("--idempotency-key", metavar="KEY", help=N_("Repeats with this key move money once."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
def fund_command(
    session: Session,
    *,
    code: str,
    amount: int,
    currency: str,
    drawdown: bool,
    idempotency_key: str | None,
    in_json: bool,
) -> None:
    """Move money between a position and the central bank."""
    path = f"/positions/{code}/{'drawdown' if drawdown else 'funding'}"
    headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
    body = {"currency": currency, "amount": amount}
    operator = session.country().operator
    try:
        position = operator.post(path, body, PositionAnswer, headers).position
    except Failure as failure:
        # What it says is in minor units, and only here is it known of which currency.
        raise failure.said_in(currency).about(_FLAGS) from failure
    if in_json:
        as_json(position)
        return
    _print([position])
