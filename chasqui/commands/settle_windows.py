"""``chasqui settle windows`` and ``close``."""

from collections.abc import Mapping
from gettext import gettext as _

import click

from chasqui.calling import as_called
from chasqui.language import N_
from chasqui.options import argument, command, json_option, option
from chasqui.output import CURRENCIES, as_json, local_ms, paragraph, table
from chasqui.session import Session, pass_session
from chasqui.settling_answers import Window, WindowsAnswer
from scheme.batch import OPEN, WINDOW_STATES
from scheme.profile import CYCLES

_NOTES: Mapping[str, str] = {
    "OPEN": N_("It still takes transfers."),
    "CLOSING": N_("It takes nothing new; its batch is made once nothing is in flight any more."),
    "CLOSED": N_("Its batch is made and waits: for the recount, or for approvals."),
    "SETTLING": N_("Its batch is being settled."),
    "SETTLED": N_("Its batch is settled."),
    "PARTIAL": N_("Its batch is settled, but somebody else bore a part, or orders were unwound."),
    "FAILED": N_("Its batch could not be settled; a person must act."),
}


@command(
    "windows",
    help=N_(
        "List the settlement windows.\n\n"
        "The newest come first: without --state those that are not at an end, then the last "
        "ended ones."
    ),
)
@option("--cycle", type=click.Choice(CYCLES), help=N_("Only of this cycle."))
@option("--currency", type=click.Choice(CURRENCIES), help=N_("Only in this currency."))
@option(
    "--state",
    type=click.Choice(WINDOW_STATES, case_sensitive=False),
    help=N_("Only in this state."),
)
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def windows_command(
    session: Session,
    *,
    cycle: str | None,
    currency: str | None,
    state: str | None,
    limit: int,
    in_json: bool,
) -> None:
    """List windows."""
    operator = session.country().operator
    answer = operator.get("/windows", WindowsAnswer, cycle=cycle, currency=currency, state=state)
    print_windows(answer.windows[:limit], in_json=in_json)


def print_windows(found: tuple[Window, ...], *, in_json: bool) -> None:
    """Print windows, as a table or as a JSON list."""
    if in_json:
        as_json(found)
        return
    if not found:
        click.echo(_("No windows."))
        return
    columns = {
        _("Window"): [one.window for one in found],
        _("State"): [one.state for one in found],
        _("Closes"): [local_ms(one.closes_ms) for one in found],
        _("Closed"): [local_ms(one.closed_ms) if one.closed_ms else "" for one in found],
        _("In flight"): [f"{one.held:,}" if one.held else "" for one in found],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    table(tuple(shown), tuple(zip(*shown.values(), strict=True)), right="llllr")


@command(
    "close",
    help=N_(
        "Close a window now, before its cut-off.\n\n"
        "The next window opens at once; what is in flight ends in the one that it began in."
    ),
)
@argument("window")
@json_option
@pass_session
def close_command(session: Session, *, window: str, in_json: bool) -> None:
    """Close a window."""
    after = session.country().operator.post(f"/windows/{window}/close", {}, Window)
    if in_json:
        as_json(after)
        return
    click.secho(f"{after.window}  {after.state}", bold=True)
    if note := _NOTES.get(after.state):
        paragraph(_(note))
    if after.state != OPEN:
        click.echo(as_called(_("See it: chasqui settle batch {batch}").format(batch=after.window)))
