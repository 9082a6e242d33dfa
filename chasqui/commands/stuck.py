"""``chasqui stuck`` and ``chasqui resend``."""

import time
from collections.abc import Mapping
from gettext import gettext as _

import click
from msgspec import structs

from chasqui.answers import OwedRow, Participant, Resent, Stuck
from chasqui.calling import as_called
from chasqui.country import Country
from chasqui.exits import Misused
from chasqui.iso_watching import LinksAnswer
from chasqui.language import N_
from chasqui.options import argument, command, json_option, option
from chasqui.output import as_json, span, table
from chasqui.session import Session, pass_session

_GROUPS: Mapping[str, str] = {
    "in_flight": N_("Transfers in flight"),
    "expired_uncancelled": N_("Expired, cancellation not acknowledged"),
    "ct5_owed": N_("Confirmations owed (CT5)"),
    "parked": N_("Parked for a person"),
    "disputed": N_("Disputed: a person decides"),
    "notices_owed": N_("Notices owed"),
}
_WITHOUT_MESSAGE = frozenset({"in_flight", "expired_uncancelled", "disputed"})
"""Groups of transfers: their states stand where what is owed names its message."""
_LANE = "iso8583"
_LOOKS, _LOOK_AFTER_S = 6, 0.1


@command(
    "stuck",
    help=N_("List what waits for somebody.\n\nWhat is owed can be sent again: chasqui resend"),
)
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
def stuck_command(session: Session, *, in_json: bool) -> None:
    """List what is stuck."""
    stuck = session.country().operator.get("/stuck", Stuck)
    if in_json:
        as_json(stuck)
        return
    groups: dict[str, tuple[OwedRow, ...]] = structs.asdict(stuck)
    if not any(groups.values()):
        click.echo(_("Nothing is stuck."))
        return
    for name, rows in groups.items():
        if rows:
            click.secho(_(_GROUPS[name]), bold=True)
            what = _("State") if name in _WITHOUT_MESSAGE else _("Message")
            headings = (_("Id"), what, _("Institution"), _("Age"), _("Attempts"))
            table(headings, [_row(one) for one in rows], right="lllrr")


def _row(one: OwedRow) -> tuple[str, ...]:
    attempts = "" if one.attempts is None else str(one.attempts)
    subject = one.owed_id or one.instruction_id or "?"
    return (subject, one.message or "", one.participant or "", span(one.age_s), attempts)


@command(
    "resend",
    help=N_(
        "Send owed messages again now.\n\n"
        "One of them by its id (see chasqui stuck), or all of one institution."
    ),
)
@argument("owed_id", required=False)
@option("--participant", metavar="CODE", help=N_("All that is owed to this institution."))
@json_option
@pass_session
def resend_command(
    session: Session, *, owed_id: str | None, participant: str | None, in_json: bool
) -> None:
    """Send owed messages now."""
    if (owed_id is None) == (participant is None):
        raise Misused(
            _("Give either the id of an owed message or --participant."),
            _("See the ids with: chasqui stuck"),
        )
    body = {"owed_id": owed_id} if owed_id else {"participant": participant}
    country = session.country()
    has_link = participant is None or _has_link(country, country.participant(participant))
    answer = country.operator.post("/stuck/resend", body, Resent)
    is_sent = has_link and answer.resent > 0
    is_over = is_sent and _is_acknowledged(country, owed_id, participant)
    if in_json:
        as_json(body | {"sent_again": is_sent, "acknowledged": is_over})
    elif not answer.resent:
        click.echo(_("Nothing is owed to {code}.").format(code=participant))
    elif not has_link:
        text = _("Not sent: {code} has no link now. What is owed goes out when it signs on.")
        click.secho(text.format(code=participant), fg="yellow")
    elif is_over:
        click.echo(_("Sent again, and acknowledged."))
    else:
        text = _("Tried again, and not acknowledged: it stays owed. See chasqui stuck.")
        click.secho(as_called(text), fg="yellow")


def _is_acknowledged(country: Country, owed_id: str | None, participant: str | None) -> bool:
    """Tell whether nothing of it is owed any more, now or in a moment.

    The clearing house says that it tries, and not what comes of it: a peer may be down.
    """
    for look in range(_LOOKS):
        if look:
            time.sleep(_LOOK_AFTER_S)
        stuck = country.operator.get("/stuck", Stuck)
        rows = (*stuck.ct5_owed, *stuck.notices_owed, *stuck.parked, *stuck.expired_uncancelled)
        if not any(_is_meant(one, owed_id, participant) for one in rows):
            return True
    return False


def _is_meant(one: OwedRow, owed_id: str | None, participant: str | None) -> bool:
    if owed_id is None:
        return one.participant == participant
    if one.owed_id is not None:
        return one.owed_id == owed_id
    # An expired transfer is listed itself; what is owed for it is named after it.
    return one.instruction_id is not None and owed_id.startswith(one.instruction_id)


def _has_link(country: Country, one: Participant) -> bool:
    """Tell whether a participant can be sent anything: one of the ISO 8583 lane dials itself."""
    if one.lane != _LANE:
        return True
    lanes = country.operator.get("/iso8583/links", LinksAnswer).participants
    return any(lane.links for lane in lanes if lane.participant == one.code)
