"""``chasqui wire``: the last messages, whatever they belong to."""

from gettext import gettext as _

import click

from chasqui.answers import WireAnswer, WireRow
from chasqui.language import N_
from chasqui.names import message_name
from chasqui.options import command, option
from chasqui.output import as_json, local_time, paragraph
from chasqui.session import Session, pass_session
from chasqui.timeline import print_bodies, print_messages
from chasqui.told import told
from chasqui.verdicts import own_rule
from scheme.limits import PAGE_ROWS_MAX


@command(
    "wire",
    help=N_(
        "List the last messages on the wire.\n\n"
        "The newest come last, with what was wrong with them below. Also those of no transfer: "
        "malformed, badly signed or unreadable. What could not be read names no institution: "
        "to see it, leave --participant out."
    ),
)
@option("--participant", default="", metavar="CODE", help=N_("Only of this institution."))
@option(
    "--limit",
    type=click.IntRange(min=1, max=PAGE_ROWS_MAX),
    default=20,
    help=N_("How many (default: 20)."),
)
@option("-v", "--verbose", is_flag=True, help=N_("Print the messages, masked."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def wire_command(
    session: Session, *, participant: str, limit: int, verbose: bool, in_json: bool
) -> None:
    """List the last messages, the newest last."""
    operator = session.country().operator
    rows = operator.get("/wire", WireAnswer, participant=participant, limit=limit).messages
    if in_json:
        as_json(rows)
        return
    if not rows:
        click.echo(_("No messages: none came, or the wire log is off."))
        return
    print_messages(rows)
    for row in rows:
        _print_note(row)
    if verbose:
        print_bodies(rows)


def _print_note(row: WireRow) -> None:
    note = own_rule(row.note or "")
    if note:
        # With its time: several messages of one name stand in the table.
        about = f" {row.subject}" if row.subject else ""
        paragraph(f"{local_time(row.at)} {message_name(row.message)}{about}: {told(note)}")
