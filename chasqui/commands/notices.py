"""``chasqui notice 971|972|981``, and the group ``chasqui notices``."""

from gettext import gettext as _

import click

from chasqui.answers import Done
from chasqui.language import N_
from chasqui.options import Group, ListedGroup, argument, json_option, option
from chasqui.output import as_json, paragraph
from chasqui.session import Session, pass_session

_981_CHARACTERS = 140
COMMANDS: dict[str, tuple[str, str]] = {
    "member": ("notices_listen", N_("Enrol a member, and say how to read its notices.")),
    "institution": ("notices_listen", N_("Say how to read the notices of an institution.")),
    "watch": ("notices_listen", N_("Print notices as they come, until Ctrl-C.")),
}
"""Name of each command of ``notices``: its module, and its line in the list."""


@click.group(
    "notices",
    cls=ListedGroup,
    listed=COMMANDS,
    help=N_("Follow what members and institutions are told over MQTT."),
)
def notices_command() -> None:
    """Group the commands of notices over MQTT."""


@click.group("notice", cls=Group, help=N_("Send notice 971, 972 or 981."))
def notice_command() -> None:
    """Group the notices."""


@notice_command.command("971", help=N_("Say that the whole system is suspended, or normal again."))
@argument("status", type=click.Choice(("NORMAL", "SUSPENDED"), case_sensitive=False))
@json_option
@pass_session
def system_status(session: Session, *, status: str, in_json: bool) -> None:
    """Send SNM971."""
    status = status.upper()
    _send(session, "971", {"status": status}, in_json=in_json)
    if in_json:
        return
    if status == "SUSPENDED":
        paragraph(_("The whole country is suspended: it takes no new payment from anybody."))
        paragraph(_("Back to normal with: chasqui notice 971 NORMAL"))
    else:
        paragraph(_("The country takes payments again."))


@notice_command.command("972", help=N_("Say that an institution is blocked, or free again."))
@argument("code")
@option("--blocked/--unblocked", default=True, help=N_("Which of the two (default: blocked)."))
@json_option
@pass_session
def participant_status(session: Session, *, code: str, blocked: bool, in_json: bool) -> None:
    """Send SNM972."""
    _send(session, "972", {"participant": code, "blocked": blocked}, in_json=in_json)


@notice_command.command("981", help=N_("Send a text to some institutions, or to all."))
@argument("text")
@option("--to", "participants", multiple=True, metavar="CODE", help=N_("To whom; repeatable."))
@json_option
@pass_session
def broadcast(session: Session, *, text: str, participants: tuple[str, ...], in_json: bool) -> None:
    """Send SNM981."""
    if len(text) > _981_CHARACTERS:
        rule = _("at most {count} characters").format(count=_981_CHARACTERS)
        raise click.BadParameter(rule, param_hint="TEXT")
    body: dict[str, object] = {"text": text}
    if participants:
        body["participants"] = list(participants)
    _send(session, "981", body, in_json=in_json)


def _send(session: Session, number: str, body: dict[str, object], *, in_json: bool) -> None:
    session.country().operator.post(f"/notices/{number}", body, Done)
    if in_json:
        as_json({"notice": number} | body)
        return
    click.echo(_("Notice {number} is on its way.").format(number=number))
