"""``chasqui notice 971|972|981``."""

from gettext import gettext as _

import click

from chasqui.answers import Done
from chasqui.language import N_
from chasqui.options import Group, argument, option
from chasqui.session import Session, pass_session

_981_CHARACTERS = 140


@click.group("notice", cls=Group, help=N_("Send notice 971, 972 or 981."))
def notice_command() -> None:
    """Group the notices."""


@notice_command.command("971", help=N_("Say that the whole system is suspended, or normal again."))
@argument("status", type=click.Choice(("NORMAL", "SUSPENDED"), case_sensitive=False))
@pass_session
def system_status(session: Session, *, status: str) -> None:
    """Send SNM971."""
    _send(session, "971", {"status": status.upper()})


@notice_command.command("972", help=N_("Say that an institution is blocked, or free again."))
@argument("code")
@option("--blocked/--unblocked", default=True, help=N_("Which of the two (default: blocked)."))
@pass_session
def participant_status(session: Session, *, code: str, blocked: bool) -> None:
    """Send SNM972."""
    _send(session, "972", {"participant": code, "blocked": blocked})


@notice_command.command("981", help=N_("Send a text to some institutions, or to all."))
@argument("text")
@option("--to", "participants", multiple=True, metavar="CODE", help=N_("To whom; repeatable."))
@pass_session
def broadcast(session: Session, *, text: str, participants: tuple[str, ...]) -> None:
    """Send SNM981."""
    if len(text) > _981_CHARACTERS:
        rule = _("at most {count} characters").format(count=_981_CHARACTERS)
        raise click.BadParameter(rule, param_hint="TEXT")
    body: dict[str, object] = {"text": text}
    if participants:
        body["participants"] = list(participants)
    _send(session, "981", body)


def _send(session: Session, number: str, body: dict[str, object]) -> None:
    session.country().operator.post(f"/notices/{number}", body, Done)
    click.echo(_("Notice {number} is on its way.").format(number=number))
