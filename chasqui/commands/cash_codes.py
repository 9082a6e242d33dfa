"""``chasqui cash code`` and ``chasqui cash codes``."""

import secrets
from gettext import gettext as _

import click

from chasqui.calling import as_called
from chasqui.cash_answers import CodeAnswer, CodeRow, CodesPage
from chasqui.exits import Failure
from chasqui.language import N_
from chasqui.options import command, json_option, option
from chasqui.output import CURRENCIES, Amount, amount_text, as_json, local_second, table
from chasqui.payer import find_account, phone_of
from chasqui.session import Session, pass_session

_LANE = "iso8583"
_FLAGS = {"amount": "--amount", "phone": "--from", "Idempotency-Key": "--idempotency-key"}


@command(
    "code",
    help=N_(
        "Issue a one-time code for cash without a card.\n\n"
        "It is good once, for exactly this amount, and replaces an earlier code of the phone. "
        "It is told this one time only."
    ),
)
@option("--from", "debtor", required=True, metavar="PHONE", help=N_("Whose account pays."))
@option("--amount", type=Amount(), required=True, help=N_("How much, e.g. 200."))
@option("--from-entity", metavar="CODE", help=N_("Where the payer's account is kept."))
@option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
@option("--idempotency-key", metavar="KEY", help=N_("Repeats with this key issue one code."))
@json_option
@pass_session
def code_command(
    session: Session,
    *,
    debtor: str,
    amount: int,
    from_entity: str | None,
    currency: str,
    idempotency_key: str | None,
    in_json: bool,
) -> None:
    """Have the issuer issue a code."""
    phone = phone_of(debtor)
    if phone is None:
        raise click.UsageError(_("--from: a phone of 9 digits is needed."))
    country = session.country()
    # Only a core of this lane can be asked for cash.
    asked = {one.code for one in country.participants() if one.lane == _LANE}
    agent, _account, cci = find_account(
        country, debtor, agent=from_entity, currency=currency, label="--from", preferred=asked
    )
    body = {
        "participant": agent.code,
        "phone": phone,
        "account": cci,
        "amount": amount,
        "currency": currency,
    }
    headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
    try:
        answer = country.operator.post("/cash/codes", body, CodeAnswer, headers)
    except Failure as failure:
        raise failure.said_in(currency).about(_FLAGS) from failure
    if in_json:
        as_json(answer)
        return
    text = _("Code {code}: {amount} for the phone {phone}, until {time}.")
    click.secho(
        text.format(
            code=answer.code,
            amount=amount_text(answer.amount, answer.currency),
            phone=answer.phone,
            time=local_second(answer.expires_at),
        ),
        bold=True,
    )
    step = _("Use it with: chasqui cash withdraw --phone {phone} --code {code} --amount {amount}")
    plain = f"{answer.amount / 100:.2f}"
    click.echo(as_called(step.format(phone=answer.phone, code=answer.code, amount=plain)))


@command("codes", help=N_("List one-time codes, all but the code."))
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def codes_command(session: Session, *, limit: int, in_json: bool) -> None:
    """List codes by phone."""
    page = session.country().operator.get("/cash/codes", CodesPage, limit=limit)
    if in_json:
        as_json(page.codes)
        return
    if not page.codes:
        click.echo(_("No codes."))
        return
    headings = (_("Phone"), _("At"), _("Amount"), _("Expires"), _("Attempts left"), _("Used by"))
    table(headings, [_row(one) for one in page.codes], right="llrlr")


def _row(one: CodeRow) -> tuple[str, ...]:
    return (
        one.phone,
        one.participant,
        amount_text(one.amount, one.currency),
        local_second(one.expires_at),
        str(one.attempts_left),
        one.used_by or "",
    )
