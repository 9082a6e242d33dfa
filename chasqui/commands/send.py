"""``chasqui send``."""

from collections.abc import Mapping
from gettext import gettext as _

import click
from msgspec import structs

from chasqui.answers import Lookup, Participant, Payment, TransferDetail
from chasqui.calling import as_called
from chasqui.country import Api, Country
from chasqui.exits import ExitCode, Failure, Misused
from chasqui.language import N_
from chasqui.legs import all_legs
from chasqui.names import WALLETS, candidate_text
from chasqui.options import command, option
from chasqui.orders import REJECTED, Order, needs_cci, place, print_placed, print_refused_route
from chasqui.output import CURRENCIES, Amount, as_json, is_interactive
from chasqui.payer import cci_of, find_account, phone_of
from chasqui.rails import ORDERS, ask_route
from chasqui.receipt import FLAGS, print_payment
from chasqui.session import Session, pass_session

_TIN = "tin"
_AUTO = "auto"
_EXIT_BY_STATE = {
    "FINAL": ExitCode.DONE,
    "REJECTED": ExitCode.REFUSED,
    "NOT_SENT": ExitCode.REFUSED,
}


@command(
    "send",
    help=N_(
        "Pay: look up, verify and transfer, leg by leg.\n\n"
        "The debtor is a phone or a CCI at a simulated institution; the creditor is a phone, "
        "a CCI or the text of a QR code.\n\n"
        "With --rail deferred or lbtr an order is placed that its cycle or queue settles later; "
        "auto takes the first rail that can carry it."
    ),
)
@option("--from", "debtor", required=True, metavar="PHONE|CCI", help=N_("Who pays."))
@option("--to", "creditor", required=True, metavar="PHONE|CCI|QR", help=N_("Who is paid."))
@option("--amount", type=Amount(), help=N_("How much, e.g. 25.50; a QR may say it itself."))
@option("--entity", metavar="CODE", help=N_("Where the phone is paid, e.g. 0971 or 0901 (Yape)."))
@option("--from-entity", metavar="CODE", help=N_("Where the payer's account is kept."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@option(
    "--rail",
    type=click.Choice((_TIN, _AUTO, *ORDERS)),
    default=_TIN,
    help=N_("By which rail (default: tin, at once)."),
)
@option("--description", default="", help=N_("Text for the payee."))
@option("--idempotency-key", metavar="KEY", help=N_("Repeats with this key pay once."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
@click.pass_context
def send_command(
    ctx: click.Context,
    session: Session,
    *,
    debtor: str,
    creditor: str,
    amount: int | None,
    entity: str | None,
    from_entity: str | None,
    currency: str,
    rail: str,
    description: str,
    idempotency_key: str | None,
    in_json: bool,
) -> None:
    """Pay, and print each leg; or place an order."""
    country = session.country()
    payee = payee_of(creditor)
    if amount is None and "qr" not in payee:
        raise click.UsageError(_("--amount is missing; only a QR may do without."))
    agent, _account, cci = find_account(
        country, debtor, agent=_keeper(session, from_entity), currency=currency, label="--from"
    )
    if rail != _TIN and (rail in ORDERS or "cci" in payee):
        order = Order(
            debtor_agent=agent.code,
            debtor_cci=cci,
            creditor_cci=_creditor_cci(payee, rail),
            amount=amount or 0,  # Missing only with a QR, which is refused in the line above.
            currency=currency,
            rail=rail,
            description=description,
        )
        if (ended := _order(country, order, idempotency_key, in_json=in_json)) is not None:
            ctx.exit(ended)
    hook = country.hook(agent)
    everyone = {} if in_json else {one.code: one for one in country.participants()}
    if "phone" in payee and entity is None and is_interactive() and not in_json:
        entity = _ask_entity(hook, agent, cci, payee["phone"], everyone)
    wish: dict[str, object] = {
        "debtor": cci,
        "creditor": payee,
        "currency": currency,
        "description": description,
    }
    wish |= {} if amount is None else {"amount": amount}
    wish |= {} if entity is None else {"entity": entity}
    payment, detail = _pay_at_once(country, hook, wish, idempotency_key, agent.lane)
    if in_json:
        as_json(payment)
    else:
        print_payment(payment, detail, everyone)
    ctx.exit(exit_code(payment))


def _pay_at_once(
    country: Country, hook: Api, wish: Mapping[str, object], key: str | None, lane: str
) -> tuple[Payment, TransferDetail | None]:
    """Have the debtor's institution pay, and gather the legs."""
    headers = {"Idempotency-Key": key} if key else {}
    try:
        payment = hook.post("/control/payments", wish, Payment, headers)
    except KeyboardInterrupt:
        note = _("The payment may go on without you: look with chasqui transfers")
        click.echo(as_called(note), err=True)
        raise
    except Failure as failure:
        raise failure.about(FLAGS) from failure
    legs, detail = all_legs(country, payment, lane)
    return structs.replace(payment, legs=legs), detail


def _order(country: Country, order: Order, key: str | None, *, in_json: bool) -> ExitCode | None:
    """Place an order if its route is deferred or LBTR; None if it is to be paid at once."""
    route = ask_route(
        country,
        order.debtor_cci,
        order.creditor_cci,
        amount=order.amount,
        currency=order.currency,
        rail=order.rail,
    )
    if route.rail is None:
        if in_json:
            as_json(route)
        else:
            print_refused_route(route, order.currency)
        return ExitCode.REFUSED
    if route.rail not in ORDERS:
        return None
    placed = place(country, order, key)
    if in_json:
        as_json(placed)
    else:
        print_placed(placed, order)
    return ExitCode.REFUSED if placed.status == REJECTED else ExitCode.DONE


def _creditor_cci(payee: Mapping[str, str], rail: str) -> str:
    if "cci" not in payee:
        raise needs_cci(rail)
    return payee["cci"]


def _keeper(session: Session, code: str | None) -> str | None:
    """Return the institution behind a wallet's directory; any other code as it is."""
    if code not in WALLETS:
        return code
    issuers = [one.code for one in session.fleet().participant if one.issues == code]
    return issuers[0] if issuers else code


def exit_code(payment: Payment) -> ExitCode:
    """Return how a payment ended; what got no answer is not known, even if nothing was sent."""
    if payment.not_sent_because == "no_answer":
        return ExitCode.UNKNOWN
    return _EXIT_BY_STATE.get(payment.state, ExitCode.UNKNOWN)


def payee_of(text: str) -> dict[str, str]:
    """Return what the control API calls a payee: a CCI, a phone, or the text of a QR code."""
    cci, phone = cci_of(text), phone_of(text)
    if cci is not None:
        return {"cci": cci}
    if phone is not None:
        return {"phone": phone}
    # Every EMV string starts with tag 00, two characters long, value 01.
    if text.startswith("000201"):
        return {"qr": text}
    raise Misused(
        _("--to: {text!r} is neither a phone, nor a CCI, nor the text of a QR code.").format(
            text=text
        ),
        _("Find people to pay with: chasqui customers"),
    )


def _ask_entity(
    hook: Api, agent: Participant, payer: str, phone: str, everyone: Mapping[str, Participant]
) -> str | None:
    looked_up = hook.post("/control/lookups", {"payer": payer, "phone": phone}, Lookup)
    choices = [one for one in looked_up.candidates if one.code != agent.code]
    if len(choices) < 2:
        return None  # Nothing to choose: the payment itself says what the directory answers.
    for number, one in enumerate(choices, 1):
        click.echo(f"  {number}  {candidate_text(one, everyone)}")
    answer: int = click.prompt(
        _("Where shall {phone} be paid?").format(phone=phone),
        type=click.IntRange(1, len(choices)),
        default=1,
    )
    return choices[answer - 1].code
