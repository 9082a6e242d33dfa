"""``chasqui lookup``."""

from gettext import gettext as _

import click

from chasqui.answers import Lookup
from chasqui.country import Country
from chasqui.exits import ExitCode, Misused
from chasqui.language import N_
from chasqui.meanings import advice, explained, step_after
from chasqui.names import entity_name
from chasqui.options import argument, command, option
from chasqui.output import as_json, milliseconds, paragraph, table
from chasqui.payer import find_account, phone_of
from chasqui.session import Session, pass_session
from chasqui.verdicts import reason_lines


@command(
    "lookup",
    help=N_(
        "Show where a phone can be paid.\n\n"
        "The directory is asked in the name of a payer's institution, and its quotas count."
    ),
)
@argument("phone")
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
        _print_found(country, answer)
        click.echo(_("Answered in {elapsed}.").format(elapsed=milliseconds(answer.ms)))
    else:
        _print_refused(answer)
    ctx.exit(ExitCode.DONE if answer.state == "found" else ExitCode.REFUSED)


def _print_found(country: Country, answer: Lookup) -> None:
    everyone = {one.code: one for one in country.participants()}
    rows = [(one.code, entity_name(one.code, everyone), one.directory) for one in answer.candidates]
    table((_("Code"), _("Name"), _("Directory")), rows)


def _print_refused(answer: Lookup) -> None:
    if answer.state == "not_found":
        click.echo(_("Nowhere: it is not registered."))
        return
    click.echo(_("The lookup was refused."))
    for line in reason_lines(answer.reason_code):
        paragraph(line)
    if answer.explanation:
        paragraph(explained(answer.explanation))
    if step := advice(answer.reason_code) or step_after(answer.explanation):
        paragraph(_("What to do: {step}").format(step=step))
