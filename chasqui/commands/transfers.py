"""``chasqui transfers``."""

from gettext import gettext as _

import click

from chasqui.answers import Transfer
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.output import as_json, local_second, moved_text, table
from chasqui.session import Session, pass_session

_FILTERS = ("state", "participant", "debtor", "creditor", "reason", "since", "until")


@command(
    "transfers",
    help=N_("List transfers.\n\nThe newest come first; the filters can be combined."),
)
@option("--state", default="", help=N_("Only in this state, e.g. CONFIRMED or EXPIRED."))
@option("--participant", default="", metavar="CODE", help=N_("Only of this institution."))
@option("--debtor", default="", metavar="CODE", help=N_("Only from this institution."))
@option("--creditor", default="", metavar="CODE", help=N_("Only to this institution."))
@option("--reason", default="", metavar="CODE", help=N_("Only with this reason code."))
@option("--since", default="", metavar="TIME", help=N_("Only from this instant on (ISO 8601)."))
@option("--until", default="", metavar="TIME", help=N_("Only before this instant (ISO 8601)."))
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def transfers_command(session: Session, /, *, limit: int, in_json: bool, **filters: str) -> None:
    """List transfers, newest first."""
    assert set(filters) == set(_FILTERS)
    found = list(session.country().transfers(limit=limit, **filters))
    if in_json:
        as_json(found)
        return
    if not found:
        click.echo(_("No transfers."))
        return
    days = {local_second(one.created_at).partition(" ")[0] for one in found}
    rows = [_row(one, with_day=len(days) > 1) for one in found]
    headings = (_("Created"), _("Instruction"), _("From"), _("To"), _("Amount"), _("State"))
    table(headings, rows, right="llllr")


def _row(one: Transfer, *, with_day: bool) -> tuple[str, ...]:
    created = local_second(one.created_at)
    return (
        created if with_day else created.rpartition(" ")[2],
        one.instruction_id,
        one.debtor_agent or "-",
        one.creditor_agent or "-",
        moved_text(one.amount, one.currency),
        f"{one.state} {one.reason_code or ''}".rstrip(),
    )
