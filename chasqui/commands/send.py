"""``chasqui send``."""

from collections.abc import Mapping
from gettext import gettext as _

import click
from msgspec import structs

from chasqui.answers import Lookup, Participant, Payment
from chasqui.calling import as_called
from chasqui.country import Api
from chasqui.exits import ExitCode, Failure, Misused
from chasqui.language import N_
from chasqui.legs import all_legs
from chasqui.names import WALLETS, candidate_text
from chasqui.options import command, option
from chasqui.output import CURRENCIES, Amount, as_json, is_interactive
from chasqui.payer import cci_of, find_account, phone_of
from chasqui.receipt import FLAGS, print_payment
from chasqui.session import Session, pass_session

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
        "a CCI or the text of a QR code."
    ),
)
@option("--from", "debtor", required=True, metavar="PHONE|CCI", help=N_("Who pays."))
@option("--to", "creditor", required=True, metavar="PHONE|CCI|QR", help=N_("Who is paid."))
@option("--amount", type=Amount(), help=N_("How much, e.g. 25.50; a QR may say it itself."))
@option("--entity", metavar="CODE", help=N_("Where the phone is paid, e.g. 0971 or 0901 (Yape)."))
@option("--from-entity", metavar="CODE", help=N_("Where the payer's account is kept."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
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
    description: str,
    idempotency_key: str | None,
    in_json: bool,
) -> None:
    """Pay, and print each leg."""
    country = session.country()
    payee = payee_of(creditor)
    if amount is None and "qr" not in payee:
        raise click.UsageError(_("--amount is missing; only a QR may do without."))
    agent, _account, cci = find_account(
        country, debtor, agent=_keeper(session, from_entity), currency=currency, label="--from"
    )
    hook = country.hook(agent)
    everyone = {} if in_json else {one.code: one for one in country.participants()}
    if "phone" in payee and entity is None and is_interactive() and not in_json:
        entity = _ask_entity(hook, agent, cci, payee["phone"], everyone)
    order: dict[str, object] = {
        "debtor": cci,
        "creditor": payee,
        "currency": currency,
        "description": description,
    }
    order |= {} if amount is None else {"amount": amount}
    order |= {} if entity is None else {"entity": entity}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    try:
        payment = hook.post("/control/payments", order, Payment, headers)
    except KeyboardInterrupt:
        note = _("The payment may go on without you: look with chasqui transfers")
        click.echo(as_called(note), err=True)
        raise
    except Failure as failure:
        raise failure.about(FLAGS) from failure
    legs, detail = all_legs(country, payment)
    payment = structs.replace(payment, legs=legs)
    if in_json:
        as_json(payment)
    else:
        print_payment(payment, detail, everyone)
    ctx.exit(exit_code(payment))


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
