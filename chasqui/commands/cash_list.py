"""``chasqui cash list``."""

from gettext import gettext as _

import click

from chasqui.cash_answers import CashPage, WithdrawalRow
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.output import amount_text, as_json, table
from chasqui.session import Session, pass_session

STATES = (
    "AUTHORISING",
    "APPROVED",
    "DISPUTED_POSTED",
    "DECLINED",
    "EXPIRED",
    "CANCELLED",
    "DISPUTED",
    "TOMBSTONE",
)


@command("list", help=N_("List withdrawals, newest first."))
@option("--state", type=click.Choice(STATES, case_sensitive=False), help=N_("Only in this state."))
@option("--participant", metavar="CODE", help=N_("Only of this institution."))
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def list_command(
    session: Session, *, state: str | None, participant: str | None, limit: int, in_json: bool
) -> None:
    """List withdrawals."""
    found: list[WithdrawalRow] = []
    after: str | None = None
    operator = session.country().operator
    while len(found) < limit:
        page = operator.get(
            "/cash",
            CashPage,
            state=state,
            participant=participant,
            limit=limit - len(found),
            after=after,
        )
        found += page.cash
        after = page.next
        if after is None:
            break
    if in_json:
        as_json(found)
        return
    if not found:
        click.echo(_("No withdrawals."))
        return
    headings = (_("Withdrawal"), _("Issuer"), _("Amount"), _("Given out"), _("State"))
    table(headings, [_row(one) for one in found], right="llrr")


def _row(one: WithdrawalRow) -> tuple[str, ...]:
    # The id says when, in Lima, and at whose machine: an id that is whole can be copied.
    return (
        one.transfer_id,
        one.issuer or "?",
        amount_text(one.amount, one.currency),
        amount_text(one.dispensed, one.currency),
        one.state,
    )
