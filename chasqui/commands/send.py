"""``chasqui send`` and what it prints."""

import time
from collections.abc import Iterable
from gettext import gettext as _

import click
from msgspec import structs

from chasqui.answers import Candidate, Leg, Lookup, Participant, Payment, TimelineRow
from chasqui.country import Api, Country
from chasqui.exits import ExitCode, Misused
from chasqui.language import N_
from chasqui.meanings import advice, meaning
from chasqui.options import command, option
from chasqui.output import (
    CURRENCIES,
    Amount,
    amount_text,
    as_json,
    is_interactive,
    milliseconds,
    passed_ms,
    table,
)
from chasqui.payer import cci_of, find_account, phone_of
from chasqui.session import Session, pass_session

_CT5_LOOKS = 5
_CT5_LOOK_S = 0.1
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
        country, debtor, agent=from_entity, currency=currency, label="--from"
    )
    hook = country.hook(agent)
    if "phone" in payee and entity is None and is_interactive() and not in_json:
        entity = _ask_entity(hook, agent, cci, payee["phone"])
    order: dict[str, object] = {
        "debtor": cci,
        "creditor": payee,
        "currency": currency,
        "description": description,
    }
    order |= {} if amount is None else {"amount": amount}
    order |= {} if entity is None else {"entity": entity}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    payment = hook.post("/control/payments", order, Payment, headers)
    payment = structs.replace(payment, legs=_all_legs(country, payment))
    if in_json:
        as_json(payment)
    else:
        print_payment(payment)
    ctx.exit(exit_code(payment))


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


def _ask_entity(hook: Api, agent: Participant, payer: str, phone: str) -> str | None:
    looked_up = hook.post("/control/lookups", {"payer": payer, "phone": phone}, Lookup)
    choices = [one for one in looked_up.candidates if one.code != agent.code]
    if len(choices) < 2:
        return None  # Nothing to choose: the payment itself says what the directory answers.
    for number, one in enumerate(choices, 1):
        click.echo(f"  {number}  {candidate_text(one)}")
    answer: int = click.prompt(
        _("Where shall {phone} be paid?").format(phone=phone),
        type=click.IntRange(1, len(choices)),
        default=1,
    )
    return choices[answer - 1].code


def candidate_text(one: Candidate) -> str:
    """Return an entity and, if it is another, the directory that names it."""
    if one.directory and one.directory != one.code:
        return _("{code} (directory {directory})").format(code=one.code, directory=one.directory)
    return one.code


def _all_legs(country: Country, payment: Payment) -> tuple[Leg, ...]:
    """Return the legs as the payer and the clearing house saw them, in order."""
    seen: list[Leg] = []
    for subject in (payment.verification_id, payment.instruction_id):
        if subject:
            seen += _switch_legs(country, subject, is_final=payment.state == "FINAL")
    known = {leg.message for leg in seen}
    own = [leg for leg in payment.legs if leg.message not in known]
    by_name = {leg.message: leg for leg in payment.legs}
    merged = [_with_codes(leg, by_name.get(leg.message)) for leg in seen]
    # What only the payer saw are the calls of the directory and the QR module: they come first.
    unique = {(leg.message, leg.sender, leg.receiver): leg for leg in reversed([*own, *merged])}
    return tuple(reversed(unique.values()))


def _switch_legs(country: Country, subject: str, *, is_final: bool) -> list[Leg]:
    """Return the clearing house's legs; of a posted transfer, with CT5 if it comes at once."""
    legs: list[Leg] = []
    for _look in range(_CT5_LOOKS):
        try:
            detail = country.detail(subject)
        except click.ClickException:
            return legs  # The payment is what was asked for; its details are an extra.
        legs = timed_legs(detail.timeline)
        names = {leg.message for leg in legs}
        if not is_final or "CT5" in names or not names & {"CT1", "CT2"}:
            break
        time.sleep(_CT5_LOOK_S)
    return legs


def timed_legs(timeline: Iterable[TimelineRow]) -> list[Leg]:
    """Return the messages of a timeline, each with its time.

    An answer's time is the wait for it, as measured; any other's is what passed since the
    message before it.
    """
    legs: list[Leg] = []
    before: str | None = None
    for row in timeline:
        if not (row.message and row.sender and row.receiver):
            continue
        ms = passed_ms(before, row.at) if row.ms is None else row.ms
        legs.append(Leg(message=row.message, sender=row.sender, receiver=row.receiver, ms=ms))
        before = row.at
    return legs


def _with_codes(leg: Leg, own: Leg | None) -> Leg:
    if own is None:
        return leg
    return structs.replace(leg, response_code=own.response_code, reason_code=own.reason_code)


def print_payment(payment: Payment) -> None:
    """Print the legs and the verdict, with what to do next."""
    if payment.chosen and len(payment.candidates) > 1:
        entities = ", ".join(candidate_text(one) for one in payment.candidates)
        click.echo(_("Can be paid at: {entities}").format(entities=entities))
    if payment.creditor and payment.creditor.name:
        line = _("Payee: {name}, account {cci} at {code}")
        one = payment.creditor
        click.echo(line.format(name=one.name, cci=one.cci or "-", code=one.participant or "-"))
    rows = [
        (
            leg.message,
            f"{leg.sender or '?'} -> {leg.receiver or '?'}",
            milliseconds(leg.ms),
            " ".join(code for code in (leg.response_code, leg.reason_code) if code),
        )
        for leg in payment.legs
    ]
    if rows:
        table((_("Leg"), _("From -> to"), _("Time"), _("Answer")), rows, right="llr")
    _print_verdict(payment)


def _print_verdict(payment: Payment) -> None:
    amount = amount_text(payment.amount, payment.currency)
    elapsed = milliseconds(payment.elapsed_ms)
    match payment.state:
        case "FINAL":
            text = _("Paid: {amount}, final after {elapsed}.")
            style = "green"
        case "REJECTED":
            text = _("Refused after {elapsed}; {amount} stays with the payer.")
            style = "red"
        case "NOT_SENT":
            text = _("Not sent: the payer's own institution or the verification refused.")
            style = "red"
        case _:
            text = _("Not known yet after {elapsed}: {amount} is held until the answer comes.")
            style = "yellow"
    click.secho(text.format(amount=amount, elapsed=elapsed), fg=style, bold=True)
    if payment.fee:
        click.echo(_("Fee: {fee}").format(fee=amount_text(payment.fee, payment.currency)))
    if payment.reason_code:
        click.echo(f"{payment.reason_code}: {meaning(payment.reason_code)}")
    if payment.explanation and payment.state != "FINAL":
        field = f"{payment.field}: " if payment.field else ""
        click.echo(field + payment.explanation)
    if payment.state != "FINAL" and (next_step := advice(payment.reason_code)):
        click.echo(next_step)
    subject = payment.instruction_id or payment.verification_id
    if subject:
        click.echo(_("Details: chasqui show {subject}").format(subject=subject))
