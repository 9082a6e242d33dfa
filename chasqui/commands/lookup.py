"""``chasqui lookup``."""

from gettext import gettext as _

import click

from chasqui.answers import Lookup
from chasqui.commands.send import candidate_text
from chasqui.exits import ExitCode, Misused
from chasqui.language import N_
from chasqui.meanings import advice, meaning
from chasqui.options import command, option
from chasqui.output import as_json, milliseconds
from chasqui.payer import find_account, phone_of
from chasqui.session import Session, pass_session


@command(
    "lookup",
    help=N_(
        "Show where a phone can be paid.\n\n"
        "The directory is asked in the name of a payer's institution, and its quotas count."
    ),
)
@click.argument("phone")
@option(
    "--from",
    "payer",
    default="97000110020030040142",
    metavar="PHONE|CCI",
    help=N_("Who asks (default: the first member of the coop 0970)."),
)
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
@click.pass_context
def lookup_command(
    ctx: click.Context, session: Session, *, phone: str, payer: str, in_json: bool
) -> None:
    """Ask the directory through an institution."""
    digits = phone_of(phone)
    if digits is None:
        raise Misused(_("{text!r} is not a phone of 9 digits.").format(text=phone))
    country = session.country()
    agent, _account, cci = find_account(country, payer, agent=None, currency=None, label="--from")
    hook = country.hook(agent)
    answer = hook.post("/control/lookups", {"payer": cci, "phone": digits}, Lookup)
    if in_json:
        as_json(answer)
    elif answer.state == "found":
        for one in answer.candidates:
            click.echo(candidate_text(one))
        click.echo(_("Answered in {elapsed}.").format(elapsed=milliseconds(answer.ms)))
    else:
        refused = answer.state != "not_found"
        click.echo(_("The directory refused.") if refused else _("Nowhere: it is not registered."))
        if answer.reason_code:
            click.echo(f"{answer.reason_code}: {meaning(answer.reason_code)}")
            click.echo(advice(answer.reason_code))
    ctx.exit(ExitCode.DONE if answer.state == "found" else ExitCode.REFUSED)
