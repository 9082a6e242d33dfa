"""``chasqui cash withdraw``, ``deposit`` and ``balance``: the simulated machines at work."""

from collections.abc import Mapping
from gettext import gettext as _

import click

from chasqui.calling import as_called
from chasqui.cash_answers import MachineAnswer
from chasqui.exits import ExitCode, Failure, Misused
from chasqui.language import N_
from chasqui.meanings import advice
from chasqui.options import command, json_option, option
from chasqui.output import CURRENCIES, Amount, amount_text, as_json, paragraph
from chasqui.payer import cci_of, phone_of
from chasqui.session import Session, pass_session
from chasqui.told import told
from chasqui.verdicts import reason_lines
from scheme.cci import clean

_MACHINES = "0991"
_NOTHING = "0"
_FLAGS = {
    "amount": "--amount",
    "phone": "--phone",
    "code": "--code",
    "card": "--card",
    "cci": "--to",
    "currency": "--currency",
    "dispense": "--dispense",
}
_EXIT_BY_STATE = {
    "approved": ExitCode.DONE,
    "declined": ExitCode.REFUSED,
    "reversed": ExitCode.REFUSED,
}
_DONE: Mapping[str, str] = {
    "withdrawal": N_("The machine gave out {amount}."),
    "deposit": N_("Handed in: {amount}."),
}


class _Dispensed(Amount):
    """An amount that a machine gives out: it may be nothing."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return minor units."""
        return 0 if str(value).strip() == _NOTHING else super().convert(value, param, ctx)


@command(
    "withdraw",
    help=N_(
        "Withdraw at a simulated machine.\n\n"
        "Without a card: the member's phone and a code of chasqui cash code. With --dispense the "
        "machine gives out less than was approved, or nothing (0), and takes the rest back."
    ),
)
@option("--phone", metavar="PHONE", help=N_("The member's phone, with --code."))
@option("--code", metavar="VALUE", help=N_("The one-time code."))
@option("--card", metavar="CARD", help=N_("Number of a card, instead of phone and code."))
@option("--amount", type=Amount(), required=True, help=N_("How much, e.g. 200."))
@option("--dispense", type=_Dispensed(), help=N_("How much comes out (default: all)."))
@option("--machine", default=_MACHINES, metavar="CODE", help=N_("Whose machine (default: 0991)."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@json_option
@pass_session
@click.pass_context
def withdraw_command(
    ctx: click.Context,
    session: Session,
    *,
    phone: str | None,
    code: str | None,
    card: str | None,
    amount: int,
    dispense: int | None,
    machine: str,
    currency: str,
    in_json: bool,
) -> None:
    """Take cash out."""
    wish: dict[str, object] = {"kind": "withdrawal", "amount": amount, "currency": currency}
    if dispense is not None:
        if dispense > amount:
            raise Misused(_("more than --amount"), field="--dispense")
        wish["dispense"] = dispense
    if card is not None and phone is None and code is None:
        wish["card"] = clean(card)
    elif phone is not None and code is not None and card is None:
        wish |= {"phone": _phone(phone), "code": code}
    else:
        raise click.UsageError(_("Give --card, or --phone and --code."))
    answer = _operate(session, machine, wish, currency)
    _print(answer, wish, currency, in_json=in_json)
    ctx.exit(_exit_code(answer))


@command("deposit", help=N_("Hand cash in at a simulated agent, for an account anywhere."))
@option("--to", "creditor", required=True, metavar="CCI", help=N_("The account it is for."))
@option("--amount", type=Amount(), required=True, help=N_("How much, e.g. 200."))
@option("--machine", default=_MACHINES, metavar="CODE", help=N_("Whose agent (default: 0991)."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@json_option
@pass_session
@click.pass_context
def deposit_command(
    ctx: click.Context,
    session: Session,
    *,
    creditor: str,
    amount: int,
    machine: str,
    currency: str,
    in_json: bool,
) -> None:
    """Hand cash in."""
    cci = cci_of(creditor)
    if cci is None:
        raise click.UsageError(_("--to: a CCI of 20 digits is needed."))
    wish: dict[str, object] = {
        "kind": "deposit",
        "cci": cci,
        "amount": amount,
        "currency": currency,
    }
    answer = _operate(session, machine, wish, currency)
    _print(answer, wish, currency, in_json=in_json)
    ctx.exit(_exit_code(answer))


@command("balance", help=N_("Ask for a card's balance at a simulated machine."))
@option("--card", required=True, metavar="CARD", help=N_("Number of the card."))
@option("--machine", default=_MACHINES, metavar="CODE", help=N_("Whose machine (default: 0991)."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@json_option
@pass_session
@click.pass_context
def balance_command(
    ctx: click.Context, session: Session, *, card: str, machine: str, currency: str, in_json: bool
) -> None:
    """Ask the card's issuer."""
    wish: dict[str, object] = {"kind": "balance", "card": clean(card), "currency": currency}
    answer = _operate(session, machine, wish, currency)
    if in_json:
        as_json(answer)
    elif answer.account_balance is not None:
        balance = amount_text(answer.account_balance, currency)
        click.secho(_("Available: {amount}").format(amount=balance), bold=True)
    else:
        _print_ending(answer, currency)
    ctx.exit(_exit_code(answer))


def _phone(text: str) -> str:
    phone = phone_of(text)
    if phone is None:
        raise click.UsageError(_("--phone: a phone of 9 digits is needed."))
    return phone


def _operate(
    session: Session, machine: str, wish: Mapping[str, object], currency: str
) -> MachineAnswer:
    country = session.country()
    owner = country.participant(machine)
    if owner.kind != "acquirer":
        raise Misused(
            _("--machine: {code} {name} has no machines.").format(code=owner.code, name=owner.name),
            _("See who has, with: chasqui participants"),
        )
    try:
        return country.hook(owner).post("/control/cash", wish, MachineAnswer)
    except Failure as failure:
        raise failure.said_in(currency).about(_FLAGS) from failure


def _print(
    answer: MachineAnswer, wish: Mapping[str, object], currency: str, *, in_json: bool
) -> None:
    if in_json:
        as_json(answer)
        return
    if answer.state == "approved":
        kind = str(wish["kind"])
        asked = wish["amount"]
        assert isinstance(asked, int)
        given = answer.dispensed if kind == "withdrawal" else asked
        text = _(_DONE[kind]).format(amount=amount_text(given, currency))
        click.secho(text, fg="green", bold=True)
    elif answer.state == "reversed":
        text = _("The machine gave out {amount}; the rest was taken back.")
        text = text.format(amount=amount_text(answer.dispensed, currency))
        click.secho(text, fg="yellow", bold=True)
    else:
        _print_ending(answer, currency)
    if answer.transfer_id:
        step = _("Details: chasqui show {subject}").format(subject=answer.transfer_id)
        click.echo(as_called(step))


def _print_ending(answer: MachineAnswer, currency: str) -> None:
    """Say why nothing came of it, or that nobody knows yet."""
    if answer.state == "declined":
        text = _("Refused: DE39 {code}.").format(code=answer.response_code or "?")
        click.secho(text, fg="red", bold=True)
        for line in reason_lines(answer.reason or None, answer.rule, currency):
            paragraph(line)
        if step := advice(answer.reason, answer.rule):
            paragraph(_("What to do: {step}").format(step=step))
        return
    text = _("No answer came: the machine gives nothing out, and takes it back until it is told.")
    click.secho(text, fg="yellow", bold=True)
    if answer.rule:
        paragraph(told(answer.rule, currency=currency))


def _exit_code(answer: MachineAnswer) -> ExitCode:
    return _EXIT_BY_STATE.get(answer.state, ExitCode.UNKNOWN)
