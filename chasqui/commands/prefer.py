"""``chasqui prefer``: which rails a pair of institutions is to use."""

from gettext import gettext as _

import click

from chasqui.answers import Done
from chasqui.exits import Misused
from chasqui.language import N_
from chasqui.options import argument, command, option
from chasqui.output import as_json, table
from chasqui.rails import RAILS, rail_name
from chasqui.routing_answers import PreferencesAnswer
from chasqui.session import Session, pass_session


@command(
    "prefer",
    help=N_(
        "List the preferred rails, or set those of a pair.\n\n"
        "The rails are tried in the order given; one that is not named is not used. Without "
        "arguments: the list."
    ),
)
@argument("debtor", required=False)
@argument("creditor", required=False)
@argument("rails", metavar="[RAIL]...", type=click.Choice(RAILS), nargs=-1)
@option("--remove", is_flag=True, help=N_("Let the pair use all rails again."))
@option("--json", "in_json", is_flag=True, help=N_("Print JSON."))
@pass_session
def prefer_command(
    session: Session,
    *,
    debtor: str | None,
    creditor: str | None,
    rails: tuple[str, ...],
    remove: bool,
    in_json: bool,
) -> None:
    """List preferences, or set one."""
    if debtor is None and not remove:
        _list(session, in_json=in_json)
        return
    if debtor is None or creditor is None or remove == bool(rails):
        raise Misused(
            _("Name the debtor's and the creditor's institution, and rails or --remove."),
            _("For example: chasqui prefer 0970 0002 deferred tin"),
        )
    body = {"debtor": debtor, "creditor": creditor, "rails": rails}
    session.country().operator.put("/preferences", body, Done)
    if in_json:
        as_json(body)
    elif remove:
        text = _("From {debtor} to {creditor} all rails are used again.")
        click.echo(text.format(debtor=debtor, creditor=creditor))
    else:
        names = ", ".join(map(rail_name, rails))
        text = _("From {debtor} to {creditor} only these are used, in this order: {rails}.")
        click.echo(text.format(debtor=debtor, creditor=creditor, rails=names))


def _list(session: Session, *, in_json: bool) -> None:
    found = session.country().operator.get("/preferences", PreferencesAnswer).preferences
    if in_json:
        as_json(found)
        return
    if not found:
        click.echo(_("No pair of institutions prefers anything: the profile's order holds."))
        return
    rows = [(one.debtor, one.creditor, ", ".join(map(rail_name, one.rails))) for one in found]
    table((_("From"), _("To"), _("Rails, in order")), rows)
