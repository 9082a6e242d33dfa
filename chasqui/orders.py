"""Orders of the deferred and LBTR rails: how they are placed, and what is printed of them."""

import secrets
from collections.abc import Mapping
from gettext import gettext as _
from typing import Final

import click
from msgspec import Struct

from chasqui.calling import as_called
from chasqui.country import Country
from chasqui.exits import Failure, Misused
from chasqui.iso_verdicts import is_cash
from chasqui.language import N_
from chasqui.output import amount_text, day_text, paragraph
from chasqui.rails import ORDERS, print_considered, print_verdict, rail_name
from chasqui.routing_answers import PaymentRow, RouteAnswer
from chasqui.told import told

_FLAGS: Final[Mapping[str, str]] = {
    "debtor_cci": "--from",
    "creditor_cci": "--to",
    "amount": "--amount",
    "currency": "--currency",
    "rail": "--rail",
    "description": "--description",
    "Idempotency-Key": "--idempotency-key",
}
"""The flag behind each field of an order."""
ACCEPTED, SETTLED, REJECTED = "ACSP", "ACSC", "RJCT"
_ENDINGS: Final[Mapping[str, tuple[str, str]]] = {
    ACCEPTED: (N_("Accepted, not settled yet (ACSP): {amount} on the rail {rail}."), "yellow"),
    SETTLED: (N_("Settled (ACSC): {amount} on the rail {rail}, which is final."), "green"),
    REJECTED: (N_("Rejected (RJCT): {amount} on the rail {rail}; the payer has it back."), "red"),
}


class Order(Struct, frozen=True, kw_only=True):
    """What POST /payments takes; amount in minor units."""

    debtor_agent: str
    debtor_cci: str
    creditor_cci: str
    amount: int
    currency: str
    rail: str
    description: str


def is_order(identity: str) -> bool:
    """Tell whether an id is one of an order: they begin with a letter.

    So do those of cash, and the keys under which what never became a transfer is remembered.
    """
    return identity[:1].isalpha() and not is_cash(identity) and ":" not in identity


def place(country: Country, order: Order, key: str | None) -> PaymentRow:
    """Place an order of the deferred or LBTR rail.

    Args:
        key: idempotency key; None for a new one.

    Raises:
        Failure: about the flag that is wrong.
    """
    headers = {"Idempotency-Key": key or secrets.token_hex(16)}
    try:
        return country.operator.post("/payments", order, PaymentRow, headers)
    except Failure as failure:
        raise failure.said_in(order.currency).about(_FLAGS) from failure


def needs_cci(rail: str) -> Misused:
    """Return the failure of an order whose creditor is no CCI."""
    return Misused(
        _("--to: an order on the rail {rail} needs the creditor's CCI.").format(
            rail=rail_name(rail)
        ),
        _("Phones and QR codes are paid at once: leave --rail out."),
    )


def print_refused_route(route: RouteAnswer, currency: str) -> None:
    """Print why no rail carries an order."""
    print_considered(route.considered, currency)
    print_verdict(route, currency)


def print_placed(placed: PaymentRow, order: Order) -> None:
    """Print what became of an order, why that rail, and how to watch it."""
    if placed.considered:
        print_considered(placed.considered, order.currency)
    print_ending(placed, amount=order.amount, currency=order.currency)
    if placed.fee:
        click.echo(_("Fee: {fee}").format(fee=amount_text(placed.fee, order.currency)))
    if placed.status == ACCEPTED:
        watch = _("Watch it with: chasqui show {payment}").format(payment=placed.payment_id)
        click.echo(as_called(watch))


def print_ending(one: PaymentRow, *, amount: int, currency: str) -> None:
    """Print how an order stands, and what it waits for."""
    text, colour = _ENDINGS.get(one.status, ("{amount} {rail}", "yellow"))
    shown = _(text).format(amount=amount_text(amount, currency), rail=rail_name(one.rail))
    click.secho(shown, fg=colour, bold=True)
    if one.why:
        paragraph(_("In detail: {rule}").format(rule=told(one.why, currency=currency)))
    if one.status == ACCEPTED:
        paragraph(_waits_for(one))


def _waits_for(one: PaymentRow) -> str:
    date = day_text(one.settlement_date)
    if one.rail != ORDERS[0] or not one.window:
        return _("It waits in the queue of the central bank; settlement date {date}.").format(
            date=date
        )
    return _("It settles with window {window}; settlement date {date}.").format(
        window=one.window, date=date
    )
