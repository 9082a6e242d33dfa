"""``chasqui jws sign|verify``: signed messages by hand, for curl and for finding faults."""

from datetime import UTC, datetime
from gettext import gettext as _
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from chasqui.exits import Misused, Refused
from chasqui.language import N_
from chasqui.meanings import meaning
from chasqui.options import Group, argument, json_option, option
from chasqui.output import as_json
from chasqui.session import Session, pass_session
from chasqui.told import told
from scheme.errors import BadSignature

if TYPE_CHECKING:
    from runtime.pki import Pki

_PKI_FOLDER = "pki"
SWITCH = "switch"


@click.group("jws", cls=Group, help=N_("Sign or verify a message with the demo keys."))
def jws_command() -> None:
    """Group the two."""


@jws_command.command(
    "sign",
    help=N_(
        "Sign a message as an institution.\n\n"
        "Reads the JSON from a file, or from standard input with -, and prints the signed "
        "message: what curl --data-binary @- sends."
    ),
)
@argument("file", type=click.File("rb"), default="-")
@option("--as", "code", required=True, metavar="CODE", help=N_("Who signs, e.g. 0970."))
@pass_session
def sign(session: Session, *, file: IO[bytes], code: str) -> None:
    """Sign with a participant's key."""
    from scheme.wire import jws  # Late: it brings in cryptography.

    identity = _pki(session, code).identities[code]
    payload = file.read().strip()
    click.echo(jws.sign(payload, identity.key, jws.thumbprint(identity.certificate)).decode())


@jws_command.command(
    "verify",
    help=N_(
        "Verify a signed message, and print what it says.\n\n"
        "Says which of the three codes a wrong one would be answered with: DS0B its form, "
        "DS0D its certificate, DS0A its signature."
    ),
)
@argument("file", type=click.File("rb"), default="-")
@option(
    "--from",
    "code",
    default=SWITCH,
    metavar="CODE",
    help=N_("Who must have signed it (default: switch)."),
)
@option(
    "--certificate",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help=N_("PEM file of the signer's certificate, if it is not one of the demo keys."),
)
@json_option
@pass_session
def verify(
    session: Session, *, file: IO[bytes], code: str, certificate: Path | None, in_json: bool
) -> None:
    """Verify against a participant's certificate."""
    from runtime.pki import load_certificate  # Late: it brings in cryptography.
    from scheme.wire import jws

    try:
        signed = jws.split(file.read().strip())
        if certificate is not None:
            trusted = jws.TrustedCertificate.of(load_certificate(certificate))
        else:
            pki = _pki(session, code)
            trusted = jws.TrustedCertificate.of(pki.identities[code].certificate, pki.ca)
        jws.verify(signed, trusted, _now())
    except BadSignature as error:
        if in_json:
            as_json({"holds": False, "reason_code": error.reason, "detail": error.detail})
        code, why = error.reason, meaning(error.reason)
        raise Refused(f"{code}: {why}: {told(error.detail)}") from error
    text = signed.payload.decode(errors="replace")
    if in_json:
        as_json({"holds": True, "payload": text})
        return
    click.echo(text)
    click.secho(_("The signature holds."), fg="green", err=True)


def _pki(session: Session, code: str) -> "Pki":
    from runtime.pki import open_pki  # Late: it brings in cryptography.

    if code != SWITCH and not (len(code) == 4 and code.isdigit()):
        raise Misused(_("{code!r} is no participant code of four digits.").format(code=code))
    if code != SWITCH:
        _check_declared(session, code)
    return open_pki(session.home / _PKI_FOLDER, [code], _now())


def _check_declared(session: Session, code: str) -> None:
    """Refuse a code that nobody has: a key would be made for it."""
    declared = [one.code for one in session.fleet().participant]
    if code not in declared:
        raise Misused(
            _("There is no participant {code}.").format(code=code),
            _("There are: {codes}").format(codes=", ".join(declared)),
        )


def _now() -> datetime:
    from runtime.clock import SystemClock  # Late: it brings in asyncio.

    return SystemClock().now().astimezone(UTC)
