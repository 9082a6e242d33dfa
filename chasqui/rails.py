"""The rails a payment may take, and why each was taken or left out: in words, and as a table."""

from collections.abc import Mapping, Sequence
from gettext import gettext as _

import click

from chasqui.answers import Considered
from chasqui.country import Country
from chasqui.exits import Failure
from chasqui.language import N_
from chasqui.output import amount_text, paragraph, table
from chasqui.routing_answers import RouteAnswer, RouteRefusal
from chasqui.told import told
from chasqui.verdicts import reason_lines

RAILS = ("on_us", "network", "tin", "deferred", "lbtr")
ORDERS = ("deferred", "lbtr")
"""Rails that an order takes by POST /payments; the others are sent as AV1 and CT1."""
_NAMES: Mapping[str, str] = {
    "on_us": N_("on us"),
    "network": N_("network"),
    "tin": "TIN",
    "deferred": N_("deferred"),
    "lbtr": "LBTR",
    "cash": N_("cash"),
}
_TIN = "tin"
_PLAZAS: Mapping[str, str] = {
    "M": N_("same plaza"),
    "O": N_("other plaza"),
    "E": N_("exclusive plaza"),
}
_FLAGS: Mapping[str, str] = {
    "from": "--from",
    "to": "--to",
    "amount": "--amount",
    "currency": "--currency",
    "rail": "--rail",
}
"""The flag behind each member of the question for a route."""
TAKEN = "\N{HEAVY CHECK MARK}"


def rail_name(rail: str) -> str:
    """Return what a rail is called in the language in use."""
    return _(_NAMES[rail]) if rail in _NAMES else rail


def plaza_name(plaza: str) -> str:
    """Return what a plaza's letter means, or nothing."""
    return _(_PLAZAS[plaza]) if plaza in _PLAZAS else plaza


def ask_route(
    country: Country, payer: str, payee: str, *, amount: int, currency: str, rail: str
) -> RouteAnswer:
    """Return which rail would carry a payment.

    Raises:
        Failure: about the flag that is wrong.
    """
    query = {"from": payer, "to": payee, "currency": currency, "rail": rail}
    try:
        return country.operator.get("/routes", RouteAnswer, **query, amount=amount)
    except Failure as failure:
        raise failure.said_in(currency).about(_FLAGS) from failure


def print_considered(considered: Sequence[Considered], currency: str) -> None:
    """Print each rail with its fee, where it is known, and why it was taken or not."""
    with_fee = any(one.fee is not None for one in considered)
    rows = [
        (
            TAKEN if one.taken else "",
            rail_name(one.rail),
            *((_fee(one, currency),) if with_fee else ()),
            told(one.text or one.rule, currency=currency),
        )
        for one in considered
    ]
    headings = ("", _("Rail"), *((_("Fee"),) if with_fee else ()), _("Why"))
    table(headings, rows, right="llr" if with_fee else "lll")


def _fee(one: Considered, currency: str) -> str:
    # A rail that is not for such a payment has no fee; what is free says so only if it is taken.
    return amount_text(one.fee, currency) if one.fee or one.taken else ""


def print_verdict(route: RouteAnswer, currency: str) -> None:
    """Print which rail carries the payment, or why none does."""
    if route.rail is None:
        text = _("It would be refused at once, before the payer is debited.")
        click.secho(text, fg="red", bold=True)
        refused = route.refused or RouteRefusal()
        rule = told(refused.text or refused.rule, currency=currency)
        for line in reason_lines(refused.reason, rule):
            paragraph(line)
        return
    # Only the tariff of an immediate transfer knows plazas.
    plaza = plaza_name(route.plaza) if route.rail == _TIN else ""
    if not route.fee:
        text = _("It would take the rail {rail}, free for the payer.")
    elif plaza:
        text = _("It would take the rail {rail}; the payer pays {fee} ({plaza}).")
    else:
        text = _("It would take the rail {rail}; the payer pays {fee}.")
    fee = amount_text(route.fee, currency)
    shown = text.format(rail=rail_name(route.rail), fee=fee, plaza=plaza)
    click.secho(shown, fg="green", bold=True)
