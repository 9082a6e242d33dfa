"""``chasqui signon``, ``signoff``, ``block`` and ``unblock``."""

from gettext import gettext as _

import click

from chasqui.answers import Done, SessionAnswer
from chasqui.exits import Refused, Unknown
from chasqui.language import N_
from chasqui.meanings import advice, meaning
from chasqui.options import argument, command
from chasqui.session import Session, pass_session

_ACCEPTED = "00"


@command(
    "signon",
    help=N_("Sign an institution on.\n\nIt is asked, through its test hook, to send SignOn1."),
)
@argument("code")
@pass_session
def signon_command(session: Session, *, code: str) -> None:
    """Have a participant sign on."""
    _tell(session, code, "signon")
    click.echo(_("{code} is signed on.").format(code=code))


@command(
    "signoff",
    help=N_("Sign an institution off.\n\nIt is asked, through its test hook, to send SignOff1."),
)
@argument("code")
@pass_session
def signoff_command(session: Session, *, code: str) -> None:
    """Have a participant sign off."""
    _tell(session, code, "signoff")
    click.echo(_("{code} is signed off.").format(code=code))


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
@pass_session
def block_command(session: Session, *, code: str) -> None:
    """Block a participant."""
    _block(session, code, blocked=True)
    click.echo(_("{code} is blocked.").format(code=code))


@command("unblock", help=N_("Unblock an institution (notice 972)."))
@argument("code")
@pass_session
def unblock_command(session: Session, *, code: str) -> None:
    """Unblock a participant."""
    _block(session, code, blocked=False)
    click.echo(_("{code} is not blocked any more.").format(code=code))


def _block(session: Session, code: str, *, blocked: bool) -> None:
    operator = session.country().operator
    operator.post(f"/participants/{code}/block", {"blocked": blocked}, Done)
