"""``chasqui settle lbtr``, ``deposit`` and ``withdraw``: the ledgers of money."""

import secrets
from collections.abc import Iterable, Mapping
from gettext import gettext as _

import click
from msgspec import Struct

from chasqui.answers import Done
from chasqui.batches import print_instructions
from chasqui.calling import as_called
from chasqui.exits import Failure
from chasqui.language import N_
from chasqui.options import argument, command, option
from chasqui.output import CURRENCIES, Amount, amount_text, as_json, cap_text, table
from chasqui.session import Session, pass_session
from chasqui.settling_answers import MoneyAccount, MoneyAnswer, QueueAnswer
from scheme.ledger import GUARANTEE_ACCOUNT, LBTR, SETTLEMENT_ACCOUNT, SPONSOR, prefund_owner

_LEDGERS = (LBTR, SPONSOR)
_FLAGS = {"amount": "--amount", "currency": "--currency", "Idempotency-Key": "--idempotency-key"}
_TITLES: Mapping[str, str] = {
    LBTR: N_("Central bank (lbtr), {currency}"),
    SPONSOR: N_("Sponsors' books (sponsor), {currency}"),
}
_SPECIAL: Mapping[str, str] = {
    SETTLEMENT_ACCOUNT: N_("settlement account"),
    GUARANTEE_ACCOUNT: N_("guarantee fund"),
}


class Standing(Struct, frozen=True, kw_only=True):
    """GET /lbtr and its queue in one."""

    accounts: tuple[MoneyAccount, ...]
    queue: tuple[object, ...]


@command(
    "lbtr",
    help=N_(
        "List the accounts at the central bank and the sponsors.\n\n"
        "What banks hold at the central bank's LBTR, coops hold in their sponsor's books: a "
        "current account, and the prefund behind their position. The queue is what waits."
    ),
)
@option("--participant", metavar="CODE", help=N_("Only of this institution."))
@option("--currency", type=click.Choice(CURRENCIES), help=N_("Only in this currency."))
@option("--ledger", type=click.Choice(_LEDGERS), help=N_("Only in this ledger."))
@option("--queue", "only_queue", is_flag=True, help=N_("Only what waits."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
def lbtr_command(
    session: Session,
    *,
    participant: str | None,
    currency: str | None,
    ledger: str | None,
    only_queue: bool,
    in_json: bool,
) -> None:
    """List accounts and queue."""
    operator = session.country().operator
    accounts: tuple[MoneyAccount, ...] = ()
    if not only_queue:
        accounts = tuple(
            one
            for one in operator.get("/lbtr", MoneyAnswer).accounts
            if participant in {None, _code(one.account)}
            and currency in {None, one.currency}
            and ledger in {None, one.ledger}
        )
    queue = tuple(
        one
        for one in operator.get("/lbtr/queue", QueueAnswer).queue
        if (participant is None or participant in {_code(one.debit), _code(one.credit)})
        and currency in {None, one.currency}
        and ledger in {None, one.ledger}
    )
    if in_json:
        as_json(Standing(accounts=accounts, queue=queue))
        return
    for key in sorted({(one.ledger, one.currency) for one in accounts}):
        _print_accounts(*key, [one for one in accounts if (one.ledger, one.currency) == key])
        click.echo()
    if queue:
        click.secho(_("In the queue, the first one first"), bold=True)
        print_instructions(queue)
    else:
        click.echo(_("Nothing waits in the queue."))


def _print_accounts(ledger: str, currency: str, accounts: Iterable[MoneyAccount]) -> None:
    by_name = {one.account: one for one in accounts}
    codes = sorted({_code(name) for name in by_name} - _SPECIAL.keys())
    rows = [
        (
            code,
            _balance(by_name.get(code)),
            _balance(by_name.get(prefund_owner(code))),
            cap_text(by_name[code].credit, currency) if code in by_name else "",
        )
        for code in codes
    ]
    rows += [
        (_(text), _balance(by_name[name]), "", "")
        for name, text in _SPECIAL.items()
        if name in by_name
    ]
    click.secho(_(_TITLES[ledger]).format(currency=currency), bold=True)
    headings = (_("At"), _("Current account"), _("Prefund"), _("Credit"))
    table(headings, rows, right="lrrr")


def _balance(account: MoneyAccount | None) -> str:
    return "" if account is None else amount_text(account.balance, account.currency)


def _code(owner: str) -> str:
    return owner.partition(":")[0]


def _movement(name: str, help_text: str) -> click.Command:
    """Return the command that moves money between an account and the outside."""

    @command(name, help=help_text)
    @argument("code")
    @option("--amount", type=Amount(), required=True, help=N_("How much, e.g. 1000.00."))
    @option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))
    @option(
        "--ledger",
        type=click.Choice(_LEDGERS),
        help=N_("In which books (default: where the institution has its account)."),
    )
    @option("--idempotency-key", metavar="KEY", help=N_("Repeats with this key move money once."))
    @option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
    @pass_session
    def moving(
        session: Session,
        *,
        code: str,
        amount: int,
        currency: str,
        ledger: str | None,
        idempotency_key: str | None,
        in_json: bool,
    ) -> None:
        country = session.country()
        books = ledger or (SPONSOR if country.participant(code).sponsor else LBTR)
        path = f"/lbtr/{books}/{code}/{_PATHS[name]}"
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        body = {"currency": currency, "amount": amount}
        try:
            country.operator.post(path, body, Done, headers)
        except Failure as failure:
            raise failure.said_in(currency).about(_FLAGS) from failure
        if in_json:
            as_json({"ledger": books, "participant": code, "movement": _PATHS[name]} | body)
            return
        shown = amount_text(amount, currency)
        text = _(_DONE[name])
        click.echo(text.format(amount=shown, code=code, ledger=books))
        click.echo(
            as_called(_("See it: chasqui settle lbtr --participant {code}").format(code=code))
        )

    return moving


_PATHS: Mapping[str, str] = {"deposit": "deposit", "withdraw": "withdrawal"}
_DONE: Mapping[str, str] = {
    "deposit": N_("{amount} went into the account of {code} ({ledger})."),
    "withdraw": N_("{amount} left the account of {code} ({ledger})."),
}
deposit_command = _movement(
    "deposit",
    N_(
        "Pay money into an account at the central bank.\n\n"
        "Into a coop's account it goes in its sponsor's books."
    ),
)
withdraw_command = _movement(
    "withdraw",
    N_(
        "Take money out of an account at the central bank.\n\n"
        "A coop's account is in its sponsor's books."
    ),
)
