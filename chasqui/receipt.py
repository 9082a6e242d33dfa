"""What ``send`` prints: where the money went, each leg, and how it ended."""

from collections.abc import Mapping
from gettext import gettext as _

import click

from chasqui.answers import Participant, Payment, TransferDetail
from chasqui.calling import as_called
from chasqui.iso_meanings import operation_name
from chasqui.language import N_
from chasqui.legs import answer_text
from chasqui.meanings import advice, explained, step_after
from chasqui.names import candidate_text, message_name
from chasqui.output import TIED, amount_text, milliseconds, paragraph, table
from chasqui.verdicts import reason_lines, verdict

FLAGS: Mapping[str, str] = {
    "debtor": "--from",
    "creditor": "--to",
    "creditor.cci": "--to",
    "creditor.phone": "--to",
    "creditor.qr": "--to",
    "amount": "--amount",
    "currency": "--currency",
    "entity": "--entity",
    "description": "--description",
    "Idempotency-Key": "--idempotency-key",
}
"""The flag behind each field of a payment."""
_OF_NO_FLAG = frozenset(
    {
        "the clearing house has suspended the system",
        "this institution is signed off or blocked",
    }
)
"""What no other value of a flag would change."""
_TAKEN = frozenset({"FINAL", "PENDING"})
"""Where the payer pays the fee, or may."""
_PAID = N_("Paid: {amount}, final after {elapsed}.")
_REFUSED = N_("Refused after {elapsed}; {amount} stays with the payer.")
_NOT_VERIFIED = N_("Not paid: the verification was refused; {amount} never left the payer.")
_REFUSED_HERE = N_("Not sent: refused before any order left.")
_NO_ANSWER = N_("Not sent: nobody answered; {amount} stays with the payer.")
_PENDING = N_("Not known yet after {elapsed}: {amount} is held until the answer comes.")


def print_payment(
    payment: Payment, detail: TransferDetail | None, everyone: Mapping[str, Participant]
) -> None:
    """Print the legs and the verdict, with what to do next."""
    if payment.chosen and len(payment.candidates) > 1:
        names = (candidate_text(one, everyone) for one in payment.candidates)
        entities = ", ".join(name.replace(" ", TIED) for name in names)
        paragraph(_("Can be paid at: {entities}").format(entities=entities))
    if payment.creditor and payment.creditor.name:
        line = _("Payee: {name}, account {cci} at {code}")
        one = payment.creditor
        click.echo(line.format(name=one.name, cci=one.cci or "-", code=one.participant or "-"))
    rows = [
        (
            f"{message_name(leg.message)} {operation_name(leg.operation)}".rstrip(),
            f"{leg.sender or '?'} -> {leg.receiver or '?'}",
            milliseconds(leg.ms),
            answer_text(leg.response_code, leg.reason_code),
        )
        for leg in payment.legs
    ]
    if rows:
        table((_("Leg"), _("From -> to"), _("Time"), _("Answer")), rows, right="llr")
    _print_verdict(payment, detail)


def _print_verdict(payment: Payment, detail: TransferDetail | None) -> None:
    text, colour = _ending(payment)
    amount = amount_text(payment.amount, payment.currency)
    elapsed = milliseconds(payment.elapsed_ms)
    click.secho(_(text).format(amount=amount, elapsed=elapsed), fg=colour, bold=True)
    if payment.fee and payment.state in _TAKEN:
        click.echo(_("Fee: {fee}").format(fee=amount_text(payment.fee, payment.currency)))
    if payment.state != "FINAL":
        for line in _why(payment, detail):
            paragraph(line)
    subject = payment.instruction_id or payment.verification_id
    if subject:
        click.echo(as_called(_("Details: chasqui show {subject}").format(subject=subject)))


def _ending(payment: Payment) -> tuple[str, str]:
    match payment.state:
        case "FINAL":
            return _PAID, "green"
        case "REJECTED":
            return (_REFUSED if payment.instruction_id else _NOT_VERIFIED), "red"
        case "NOT_SENT":
            is_silence = payment.not_sent_because == "no_answer"
            return (_NO_ANSWER, "yellow") if is_silence else (_REFUSED_HERE, "red")
        case _:
            return _PENDING, "yellow"


def _why(payment: Payment, detail: TransferDetail | None) -> list[str]:
    """Return the clearing house's verdict where it has one, else what the payer's side knows."""
    told_by_house = detail.transfer if detail else None
    if detail and told_by_house and told_by_house.reason_code == payment.reason_code:
        return verdict(detail)
    lines = reason_lines(payment.reason_code)
    if payment.state == "NOT_SENT" and payment.explanation:
        whole = payment.explanation in _OF_NO_FLAG
        flag = "" if whole else FLAGS.get(payment.field or "", payment.field)
        lines.append((f"{flag}: " if flag else "") + explained(payment.explanation))
    if step := advice(payment.reason_code) or step_after(payment.explanation):
        lines.append(_("What to do: {step}").format(step=step))
    return lines
