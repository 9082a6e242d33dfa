"""``chasqui qr``: a QR code in the terminal, as PNG or as SVG."""

import io
import random
from gettext import gettext as _
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from chasqui.answers import Account
from chasqui.country import Api, Country
from chasqui.exits import Misused, Refused
from chasqui.language import N_
from chasqui.meanings import explained
from chasqui.options import argument, command, option
from chasqui.output import Amount, as_json
from chasqui.payer import cci_of, find_account, phone_of
from chasqui.session import Session, pass_session
from chasqui.settings import whereabouts
from chasqui.told import told
from scheme.errors import MalformedMessage
from scheme.money import CODE_BY_CURRENCY

if TYPE_CHECKING:
    import segno

_DIRECTORIES = {"yape": "0901", "plin": "0902"}
_EMV_START = "000201"
_DONE = "0"
_STATIC = "11"
_DYNAMIC = "12"


class _Header(Struct, frozen=True):
    codReturn: str  # noqa: N815 - as on the wire
    txtReturn: str | None = None  # noqa: N815


class _Token(Struct, frozen=True):
    header: _Header
    token: str | None = None


class _Generated(Struct, frozen=True):
    header: _Header
    hash: str | None = None
    idQr: str | None = None  # noqa: N815


@command(
    "qr",
    help=N_(
        "Print a QR code, and save it as PNG or SVG.\n\n"
        "Of the account of a phone or CCI, made by the QR module of the clearing house; with "
        "--wallet of a phone's wallet; or of a QR text that is given."
    ),
)
@argument("subject", metavar="PHONE|CCI|TEXT")
@option("--amount", type=Amount(), help=N_("Ask for this amount: a dynamic QR."))
@option(
    "--wallet",
    type=click.Choice(tuple(_DIRECTORIES)),
    help=N_("The QR of the phone's wallet instead."),
)
@option("--entity", metavar="CODE", help=N_("Where the account of the phone is kept."))
@option("--png", type=click.Path(path_type=Path, dir_okay=False), help=N_("Save a PNG here."))
@option("--svg", type=click.Path(path_type=Path, dir_okay=False), help=N_("Save an SVG here."))
@option("--password", default="demo", help=N_("Of the institution, at the QR module."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object, and no picture."))
@pass_session
def qr_command(
    session: Session,
    *,
    subject: str,
    amount: int | None,
    wallet: str | None,
    entity: str | None,
    png: Path | None,
    svg: Path | None,
    password: str,
    in_json: bool,
) -> None:
    """Make or take a QR text, and draw it."""
    id_qr: str | None = None
    if subject.startswith(_EMV_START):
        text = _checked(subject)
    elif wallet:
        text = _wallet_text(session, subject, wallet)
    else:
        account = _account(session.country(), subject, entity)
        text, id_qr = _generate(session.qr_module(), account, amount, password)
    saved = _draw(text, png=png, svg=svg, in_terminal=not in_json)
    if in_json:
        as_json({"text": text, "id_qr": id_qr, "saved": saved})
        return
    click.echo(text)
    for path in saved:
        click.echo(_("Saved: {path}").format(path=path))


def _checked(text: str) -> str:
    from scheme.wire import emv_qr  # Late: only this way of three needs it.

    try:
        emv_qr.parse(text)
    except MalformedMessage as error:
        raise Misused(
            _("This is no QR of the network: tag {tag}: {rule}").format(
                tag=error.field, rule=told(error.rule)
            )
        ) from error
    return text


def _account(country: Country, subject: str, entity: str | None) -> Account:
    one, account, cci = find_account(
        country, subject, agent=entity, currency="PEN", label=_("account")
    )
    # Given by its CCI it was not fetched, and the QR carries the holder's name.
    return account or country.hook(one).get(f"/control/accounts/{cci}", Account)


def _wallet_text(session: Session, subject: str, wallet: str) -> str:
    """Return the QR of an invented person's wallet.

    No message and no hook tells a wallet's token: in the field only its own app shows it. So it
    is taken from where the simulation invents its people.
    """
    from runtime.files import load_fleet  # Late: only this way of three needs them.
    from scheme.people import people
    from scheme.wire import emv_qr

    told = whereabouts(session.home)
    if told is None:
        raise Misused(
            _("No country runs from {home}.").format(home=session.home),
            _("Is the country running? Start it with: chasqui up"),
        )
    fleet = load_fleet(Path(told.fleet))
    wanted = {phone_of(subject), cci_of(subject)}
    for person in people(fleet, random.Random(fleet.seed)):
        for one in person.holdings:
            if not one.wallet_token or not wanted & {person.phone, one.cci}:
                continue
            if _DIRECTORIES[wallet] in one.directories:
                build = emv_qr.build_yape if wallet == "yape" else emv_qr.build_plin
                return build(one.wallet_token)
    raise Misused(
        _("{subject} has no such wallet.").format(subject=subject),
        _("Find people to pay with: chasqui customers"),
    )


def _generate(
    module: Api, account: Account, amount: int | None, password: str
) -> tuple[str, str | None]:
    code = account.participant
    # A token serves one call, as connectors use it.
    credentials = {"user": code, "password": password}
    token = module.post("/qr/token", {"code": code}, _Token, credentials)
    _check(token.header)
    data = {
        "qrTipo": _STATIC if amount is None else _DYNAMIC,
        "idCuenta": account.cci,
        "moneda": CODE_BY_CURRENCY[account.currency],
        "nombreComerciante": account.name,
    }
    if amount is not None:
        data["importe"] = str(amount)
    body = {"header": {"user": code}, "data": data, "type": "TEXT"}
    headers = {"Authorization": f"Token {token.token}"}
    made = module.post("/qr/generate", body, _Generated, headers)
    _check(made.header)
    return made.hash or "", made.idQr


def _check(header: _Header) -> None:
    if header.codReturn != _DONE:
        answer = explained(f"{header.codReturn}: {header.txtReturn or ''}")
        raise Refused(_("The QR module refused: {answer}").format(answer=answer))


def _draw(text: str, *, png: Path | None, svg: Path | None, in_terminal: bool) -> list[str]:
    import segno  # Late: slow to import, and most commands draw nothing

    symbol = segno.make(text, error="m", micro=False)
    if in_terminal:
        drawn = io.StringIO()
        symbol.terminal(drawn, compact=True)
        click.echo(drawn.getvalue())
    return [str(path) for path in (png, svg) if path is not None and _save(symbol, path)]


def _save(symbol: "segno.QRCode", path: Path) -> bool:
    try:
        symbol.save(str(path), kind=path.suffix.lstrip(".") or "png", scale=8)
    except (OSError, ValueError) as error:
        raise Misused(
            _("{path} cannot be written: {cause}").format(path=path, cause=error)
        ) from error
    return True
