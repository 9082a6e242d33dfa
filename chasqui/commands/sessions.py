"""``chasqui signon``, ``signoff``, ``block`` and ``unblock``."""

from gettext import gettext as _

import click

from chasqui.answers import Done, SessionAnswer
from chasqui.exits import Refused, Unknown
from chasqui.language import N_
from chasqui.meanings import advice, meaning
from chasqui.options import argument, command, json_option
from chasqui.output import as_json
from chasqui.session import Session, pass_session

_ACCEPTED = "00"


@command(
    "signon",
    help=N_("Sign an institution on.\n\nIt is asked, through its test hook, to send SignOn1."),
)
@argument("code")
@json_option
@pass_session
def signon_command(session: Session, *, code: str, in_json: bool) -> None:
    """Have a participant sign on."""
    _tell(session, code, "signon")
    done = _("{code} is signed on.")
    _say(done, code, in_json=in_json, signed_on=True)


@command(
    "signoff",
    help=N_("Sign an institution off.\n\nIt is asked, through its test hook, to send SignOff1."),
)
@argument("code")
@json_option
@pass_session
def signoff_command(session: Session, *, code: str, in_json: bool) -> None:
    """Have a participant sign off."""
    _tell(session, code, "signoff")
    done = _("{code} is signed off.")
    _say(done, code, in_json=in_json, signed_on=False)


def _say(done: str, code: str, *, in_json: bool, **state: bool) -> None:
    if in_json:
        as_json({"participant": code, **state})
        return
    click.echo(done.format(code=code))


def _tell(session: Session, code: str, action: str) -> None:
    country = session.country()
    hook = country.hook(country.participant(code))
    answer = hook.post("/control/session", {"action": action}, SessionAnswer)
    if answer.response_code is None:
        raise Unknown(_("The clearing house did not answer {code}.").format(code=code))
    if answer.response_code != _ACCEPTED:
        reason = answer.reason_code or answer.response_code
        raise Refused(f"{reason}: {meaning(answer.reason_code)}", advice(answer.reason_code))


@command(
    "block",
    help=N_(
        "Block an institution (notice 972).\n\n"
        "Nothing is accepted from it or for it; what is in flight goes on."
    ),
)
@argument("code")
@json_option
@pass_session
def block_command(session: Session, *, code: str, in_json: bool) -> None:
    """Block a participant."""
    _block(session, code, blocked=True)
    _say(_("{code} is blocked."), code, in_json=in_json, blocked=True)


@command("unblock", help=N_("Unblock an institution (notice 972)."))
@argument("code")
@json_option
@pass_session
def unblock_command(session: Session, *, code: str, in_json: bool) -> None:
    """Unblock a participant."""
    _block(session, code, blocked=False)
    _say(_("{code} is not blocked any more."), code, in_json=in_json, blocked=False)


def _block(session: Session, code: str, *, blocked: bool) -> None:
    operator = session.country().operator
    operator.post(f"/participants/{code}/block", {"blocked": blocked}, Done)
