"""``chasqui route``: which rail would carry a payment, and why; nothing is sent."""

from gettext import gettext as _

import click

from chasqui.calling import as_called
from chasqui.country import Country
from chasqui.exits import ExitCode, Misused
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.output import CURRENCIES, Amount, amount_text, as_json
from chasqui.payer import cci_of, find_account, phone_of
from chasqui.rails import RAILS, ask_route, print_considered, print_verdict
from chasqui.routing_answers import RouteAnswer
from chasqui.session import Session, pass_session
from scheme.cci import participant_of

_CODE_DIGITS = 4


@command(
    "route",
    help=N_(
        "Explain which rail would carry a payment.\n\n"
        "Nothing is sent. Of a code only the institution is known: plaza and fee need CCIs."
    ),
)
@option("--from", "debtor", required=True, metavar="CCI|PHONE|CODE", help=N_("Who would pay."))
@option("--to", "creditor", required=True, metavar="CCI|CODE", help=N_("Who would be paid."))
@option("--amount", type=Amount(), required=True, help=N_("How much, e.g. 25.50."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@option(
    "--rail",
    type=click.Choice(("auto", *RAILS)),
    default="auto",
    help=N_("Only this rail (default: auto, the first that can)."),
)
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
@click.pass_context
def route_command(
    ctx: click.Context,
    session: Session,
    *,
    debtor: str,
    creditor: str,
    amount: int,
    currency: str,
    rail: str,
    in_json: bool,
) -> None:
    """Ask for a route, and print each rail considered."""
    country = session.country()
    payer, payee = _payer(country, debtor, currency), _payee(creditor)
    route = ask_route(country, payer, payee, amount=amount, currency=currency, rail=rail)
    if in_json:
        as_json(route)
    else:
        _print(country, payer, payee, amount, currency, route)
    ctx.exit(ExitCode.DONE if route.rail else ExitCode.REFUSED)


def _payer(country: Country, text: str, currency: str) -> str:
    if _is_code(text):
        return text
    if cci := cci_of(text):
        return cci
    if phone_of(text) is None:
        raise Misused(
            _("{label}: {text!r} is neither a phone, nor a CCI, nor a code.").format(
                label="--from", text=text
            ),
            _("Find accounts with: chasqui customers"),
        )
    _agent, _account, cci = find_account(
        country, text, agent=None, currency=currency, label="--from"
    )
    return cci


def _payee(text: str) -> str:
    if _is_code(text):
        return text
    cci = cci_of(text)
    if cci is None:
        raise Misused(
            _("{label}: {text!r} is neither a CCI nor a code of four digits.").format(
                label="--to", text=text
            ),
            _("See who takes part with: chasqui participants"),
        )
    return cci


def _is_code(text: str) -> bool:
    return len(text) == _CODE_DIGITS and text.isascii() and text.isdigit()


def _print(
    country: Country, payer: str, payee: str, amount: int, currency: str, route: RouteAnswer
) -> None:
    everyone = {one.code: one.name for one in country.participants()}
    click.secho(amount_text(amount, currency), bold=True)
    ends = ((_("From"), payer), (_("To"), payee))
    width = max(len(name) for name, _end in ends)
    for name, end in ends:
        code = end if _is_code(end) else participant_of(end)
        click.echo(f"  {name:<{width}}  {code} {everyone.get(code, '')}".rstrip())
    click.echo()
    print_considered(route.considered, currency)
    print_verdict(route, currency)
    if route.rail and not (_is_code(payer) or _is_code(payee)):
        words = f"--from {payer} --to {payee} --amount {amount / 100:.2f} --rail auto"
        if currency != "PEN":
            words += f" --currency {currency}"
        click.echo(as_called(_("Send it: chasqui send {words}").format(words=words)))
