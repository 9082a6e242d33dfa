"""``chasqui agent in|out|pay|contribute|transfer|balance|statement|sync``: one thing at a time."""

import asyncio
from collections.abc import Callable
from gettext import gettext as _
from typing import Any

import click

from chasqui.agent_counter import Counter, known_device, opened
from chasqui.agent_receipts import print_receipt, receipt_row
from chasqui.agent_sync import Journal, print_session
from chasqui.agent_words import stop_failure
from chasqui.exits import ExitCode, Misused
from chasqui.language import N_
from chasqui.options import Command, command, json_option, option
from chasqui.output import CURRENCIES, Amount, as_json
from chasqui.payer import cci_of, find_account, phone_of
from chasqui.session import Session, pass_session
from participants.core.agent_book import Entry, Wish
from participants.core.agent_limits import Stop
from scheme.wire.agent_payload import MOVES_MONEY, Kind

_TO_PHONES = (Kind.CASH_IN, Kind.TRANSFER)
_DEVICE = N_("Which terminal, e.g. 0992-0001-1 (default: the first one).")
_HELP = {
    "in": (Kind.CASH_IN, N_("Take cash in for an account anywhere.")),
    "out": (
        Kind.CASH_OUT,
        N_("Pay cash out of a member's account.\n\nThe account is kept by a core on ISO 8583."),
    ),
    "pay": (Kind.CREDIT_PAYMENT, N_("Take cash towards a credit of a cooperative.")),
    "contribute": (Kind.CONTRIBUTION, N_("Take cash towards a member's share (aporte).")),
    "transfer": (Kind.TRANSFER, N_("Take cash and send it to anybody's account or phone.")),
    "balance": (Kind.BALANCE, N_("Ask for an account's balance.")),
    "statement": (Kind.STATEMENT, N_("Ask for an account's last movements.")),
}


def _counter_command(name: str) -> Command:
    kind, text = _HELP[name]

    def run(ctx: click.Context, session: Session, /, **told: Any) -> None:
        _operate(ctx, session, kind, **told)

    made: Callable[..., Any] = click.pass_context(pass_session_after(run))
    made = json_option(made)
    made = option("--device", metavar="DEVICE", help=_DEVICE)(made)
    made = option("--currency", type=click.Choice(CURRENCIES), default="PEN", help=N_("Currency."))(
        made
    )
    if kind in MOVES_MONEY:
        offline = N_("Do not ask: queue it, and print a voucher.")
        made = option("--offline", is_flag=True, help=offline)(made)
        made = option("--amount", type=Amount(), required=True, help=N_("How much, e.g. 25.50."))(
            made
        )
    if kind in _TO_PHONES:
        entity = N_("Where the phone is paid, e.g. 0971 or 0901 (Yape).")
        made = option("--entity", metavar="CODE", help=entity)(made)
    flag = "--account" if kind in {Kind.CASH_OUT, Kind.BALANCE, Kind.STATEMENT} else "--to"
    told = N_("Whose account.")
    made = option(flag, "account", metavar="CCI|PHONE", required=True, help=told)(made)
    return command(name, help=text)(made)


def pass_session_after(function: Callable[..., None]) -> Callable[..., None]:
    """Hand a command its session behind its context."""

    def run(ctx: click.Context, **told: Any) -> None:
        found = ctx.find_object(Session)
        assert found is not None, "the root makes one"
        function(ctx, found, **told)

    return run


in_command = _counter_command("in")
out_command = _counter_command("out")
pay_command = _counter_command("pay")
contribute_command = _counter_command("contribute")
transfer_command = _counter_command("transfer")
balance_command = _counter_command("balance")
statement_command = _counter_command("statement")


@command(
    "sync",
    help=N_(
        "Send what waits, and close the session.\n\n"
        "Exit code 0 once both sides agree, 1 if their digests differ, 3 while verdicts lack."
    ),
)
@option("--device", metavar="DEVICE", help=_DEVICE)
@option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=1),
    default=120.0,
    metavar="SECONDS",
    help=N_("How long to wait for all verdicts (default: 120)."),
)
@json_option
@pass_session
@click.pass_context
def sync_command(
    ctx: click.Context, session: Session, *, device: str | None, wait_s: float, in_json: bool
) -> None:
    """Open a session, and close it."""
    name = known_device(session, device)
    journal = Journal(name, says=not in_json)
    with opened(session, name, on_told=journal.told, on_wire=journal.bytes.count) as counter:

        async def play() -> bool:
            await counter.connect()
            try:
                return await counter.settle(wait_s)
            finally:
                await counter.disconnect()

        journal.is_whole = asyncio.run(play())
        result = journal.result(counter.terminal)
    if in_json:
        as_json(result)
    else:
        print_session(result)
    ctx.exit(result.exit_code)


def _operate(
    ctx: click.Context,
    session: Session,
    kind: Kind,
    *,
    account: str,
    currency: str,
    device: str | None,
    in_json: bool,
    amount: int = 0,
    offline: bool = False,
    entity: str | None = None,
) -> None:
    name = known_device(session, device)
    number, code = _account(session, kind, account, entity, currency)
    wish = Wish(
        kind=kind,
        minor=amount,
        currency=CURRENCIES.index(currency),
        account=number,
        entity=code,
    )
    with opened(session, name) as counter:
        made = asyncio.run(_made(counter, wish, offline=offline))
    if isinstance(made, Stop):
        raise stop_failure(made, wish.currency, name)
    if in_json:
        as_json(receipt_row(name, made))
        ctx.exit(_EXITS[made.state.value])
    ctx.exit(print_receipt(name, made))


_EXITS = {
    "QUEUED": ExitCode.DONE,
    "SENT": ExitCode.UNKNOWN,
    "APPLIED": ExitCode.DONE,
    "REFUSED": ExitCode.REFUSED,
}


async def _made(counter: Counter, wish: Wish, *, offline: bool) -> Entry | Stop:
    if offline:
        return await counter.agent.make(wish, offline=True)
    try:
        await counter.connect()
        made = await counter.agent.make(wish, offline=False)
        if isinstance(made, Stop):
            return made
        await counter.wait(counter.agent.verdict(made.seq), counter.within_s)
        return counter.terminal.entry(made.seq) or made
    finally:
        await counter.disconnect()


def _account(
    session: Session, kind: Kind, text: str, entity: str | None, currency: str
) -> tuple[str, str]:
    """Return the account of an operation, and the entity that pays a phone."""
    phone = phone_of(text)
    if cci_of(text) is None and phone is not None and entity is not None:
        return phone, entity
    if entity is not None:
        raise Misused(_("it goes with a phone"), field="--entity")
    cci = cci_of(text)
    if cci is None:
        label = "--to" if kind in _TO_PHONES else "--account"
        country = session.country()
        cores = [one.code for one in country.participants() if one.lane == "iso8583"]
        _one, _account, cci = find_account(
            country, text, agent=None, currency=currency, label=label, preferred=cores
        )
    return cci, ""
