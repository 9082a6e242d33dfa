"""``chasqui agent list|show|findings|revoke|restore|tills|voucher``: what an operator sees."""

from collections.abc import Iterable
from gettext import gettext as _

import click

from chasqui.agent_answers import (
    AgentFindings,
    BrokerRow,
    DeviceRow,
    DevicesPage,
    OperationRow,
    OperationsPage,
    RevokedAnswer,
    TillsAnswer,
)
from chasqui.agent_counter import known_device
from chasqui.agent_lane import lane
from chasqui.agent_words import code_meaning, kind_name
from chasqui.exits import ExitCode
from chasqui.language import N_
from chasqui.options import argument, command, json_option, option
from chasqui.output import amount_text, as_json, local_ms, paragraph, span, table
from chasqui.session import Session, pass_session
from chasqui.told import told
from chasqui.verdicts import reason_lines
from scheme.limits import PAGE_ROWS_MAX
from scheme.wire.agent_payload import Kind

_LOOK_ALIKES = str.maketrans("OIL", "011")
_HALF = 4


@command("list", help=N_("List the terminals."))
@option("--online", is_flag=True, help=N_("Only those that are there."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def list_command(session: Session, *, online: bool, in_json: bool) -> None:
    """List the terminals."""
    broker, devices = _devices(session)
    rows = [one for one in devices if one.is_online or not online]
    if in_json:
        as_json(rows)
        return
    if not broker.connected:
        click.secho(
            _("The clearing house is not connected to the broker."),
            fg="yellow",
            bold=True,
            err=True,
        )
    if not rows:
        click.echo(_("No terminals."))
        return
    headings = (
        *(_("Terminal"), _("State"), _("Session"), _("Operations"), _("Waiting"), _("Held")),
        *(_("Last heard"), _("Clock")),
    )
    table(headings, [_device_cells(one) for one in rows], right="llrrrrlr")


@command("show", help=N_("Show one terminal and its last operations."))
@argument("device")
@option("--limit", type=click.IntRange(min=1), default=20, help=N_("How many (default: 20)."))
@json_option
@pass_session
def show_command(session: Session, *, device: str, limit: int, in_json: bool) -> None:
    """Show a terminal."""
    known_device(session, device, field="DEVICE")
    with lane(session) as country:
        one = country.operator.get(f"/agents/{device}", DeviceRow)
        after = max(one.expected - 1 - limit, 0)
        path = f"/agents/{device}/operations"
        asked = {"after": after, "limit": min(limit, PAGE_ROWS_MAX)}
        page = country.operator.get(path, OperationsPage, **asked)
    if in_json:
        as_json({"device": one, "operations": page.operations})
        return
    _print_device(one)
    if not page.operations:
        click.echo(_("No operations."))
        return
    headings = (
        *(_("Number"), _("Made"), _("Kind"), _("Amount"), _("Verdict")),
        _("Reference"),
    )
    table(headings, [_operation_cells(row) for row in page.operations], right="rllr", whole=5)


@command("findings", help=N_("List what did not fit: reused numbers, wrong codes, clocks."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def findings_command(session: Session, *, in_json: bool) -> None:
    """List findings, the newest last."""
    with lane(session) as country:
        found = country.operator.get("/agents/findings", AgentFindings).findings
    if in_json:
        as_json(found)
        return
    if not found:
        click.echo(_("No findings about terminals."))
    for one in found:
        number = _("operation {seq}").format(seq=one.seq) if one.seq else ""
        head = (local_ms(one.at_ms), one.device, number, one.code)
        click.secho("  ".join(part for part in head if part), bold=True)
        paragraph(f"  {told(one.rule)}")


@command("revoke", help=N_("Refuse a terminal from now on."))
@argument("device")
@json_option
@pass_session
def revoke_command(session: Session, *, device: str, in_json: bool) -> None:
    """Revoke a terminal."""
    text = _("{device} is revoked: nothing of it is taken any more.")
    _set(session, device, "revoke", text, in_json=in_json)


@command("restore", help=N_("Let a terminal in again."))
@argument("device")
@json_option
@pass_session
def restore_command(session: Session, *, device: str, in_json: bool) -> None:
    """Restore a terminal."""
    _set(session, device, "restore", _("{device} is let in again."), in_json=in_json)


@command("tills", help=N_("List the cash and the float of the agents."))
@option("--json", "in_json", is_flag=True, help=N_("Print a JSON list."))
@pass_session
def tills_command(session: Session, *, in_json: bool) -> None:
    """List the tills."""
    with lane(session) as country:
        rows = country.operator.get("/agents/tills", TillsAnswer).tills
    if in_json:
        as_json(rows)
        return
    headings = (
        _("Agent"),
        _("Opening"),
        _("Taken"),
        _("Paid out"),
        _("Under way"),
        _("Float left"),
    )
    cells = [
        (
            row.agent,
            *(
                amount_text(minor, row.currency)
                for minor in (row.opening, row.taken, row.paid, row.reserved, row.float_minor)
            ),
        )
        for row in rows
    ]
    table(headings, cells, right="lrrrrr")


@command(
    "voucher",
    help=N_(
        "Check the code on a receipt.\n\n"
        "Compares it with the operation that the clearing house has, and tells its verdict."
    ),
)
@argument("code", metavar="VALUE")
@option("--device", required=True, metavar="DEVICE", help=N_("The terminal on the receipt."))
@option("--seq", type=click.IntRange(min=1), required=True, help=N_("The number on the receipt."))
@json_option
@pass_session
@click.pass_context
def voucher_command(
    ctx: click.Context, session: Session, *, code: str, device: str, seq: int, in_json: bool
) -> None:
    """Check a voucher."""
    known_device(session, device)
    path = f"/agents/{device}/operations"
    with lane(session) as country:
        page = country.operator.get(path, OperationsPage, after=seq - 1, limit=1)
    row = next((one for one in page.operations if one.seq == seq), None)
    is_genuine = row is not None and row.voucher == _spelt(code)
    if in_json:
        as_json({"known": row is not None, "genuine": is_genuine, "operation": row})
    else:
        _print_voucher(row, is_genuine=is_genuine)
    if row is None:
        ctx.exit(ExitCode.UNKNOWN)
    ctx.exit(ExitCode.DONE if is_genuine else ExitCode.REFUSED)


def _devices(session: Session) -> tuple[BrokerRow, list[DeviceRow]]:
    found: list[DeviceRow] = []
    after: str | None = None
    with lane(session) as country:
        while True:
            page = country.operator.get("/agents", DevicesPage, after=after, limit=PAGE_ROWS_MAX)
            found += page.devices
            after = page.next
            if after is None or not page.devices:
                return page.broker, found


def _device_cells(one: DeviceRow) -> tuple[str, ...]:
    return (
        one.device,
        _state(one),
        str(one.session) if one.session >= 0 else "-",
        str(one.expected - 1),
        str(one.under_way),
        str(one.held),
        local_ms(one.heard_ms),
        _clock(one.skew_s),
    )


def _state(one: DeviceRow) -> str:
    if one.revoked_ms:
        return _("revoked")
    return _("there") if one.is_online else _("away")


def _clock(skew_s: int) -> str:
    sign = "-" if skew_s < 0 else "+" if skew_s else ""
    return sign + span(abs(skew_s))


def _print_device(one: DeviceRow) -> None:
    gaps = ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in one.gaps)
    floats = ", ".join(amount_text(minor, name) for name, minor in one.float_minor.items())
    rows: Iterable[tuple[str, str]] = (
        (_("Terminal"), f"{one.device}  {_state(one)}"),
        (_("Session"), str(one.session) if one.session >= 0 else "-"),
        (_("Operations"), str(one.expected - 1)),
        (_("Without a verdict"), str(one.under_way)),
        (_("Held behind a gap"), f"{one.held}  {gaps}".rstrip()),
        (_("Agreed up to"), str(one.agreed)),
        (_("Last heard"), local_ms(one.heard_ms)),
        (_("Its clock is ahead by"), _clock(one.skew_s)),
        (_("Float of the agent"), floats or "-"),
    )
    table((_("What"), _("Value")), list(rows))
    click.echo()


def _operation_cells(row: OperationRow) -> tuple[str, ...]:
    return (
        str(row.seq),
        local_ms(row.at * 1000),
        _kind(row),
        amount_text(row.minor, row.currency) if row.minor else "-",
        f"{row.code} {row.reason}".strip() or "-",
        row.reference or "-",
    )


def _kind(row: OperationRow) -> str:
    return kind_name(Kind[row.kind]) if row.kind in Kind.__members__ else row.kind


def _set(session: Session, device: str, action: str, text: str, *, in_json: bool) -> None:
    known_device(session, device, field="DEVICE")
    with lane(session) as country:
        answer = country.operator.post(f"/agents/{device}/{action}", {}, RevokedAnswer)
    if in_json:
        as_json(answer)
    else:
        click.echo(text.format(device=answer.device))


def _spelt(code: str) -> str:
    """Return a voucher as it is printed, however somebody typed it."""
    plain = code.upper().replace("-", "").replace(" ", "").translate(_LOOK_ALIKES)
    return f"{plain[:_HALF]}-{plain[_HALF:]}"


def _print_voucher(row: OperationRow | None, *, is_genuine: bool) -> None:
    if row is None:
        text = _("The clearing house does not have this operation: its terminal may still hold it.")
        click.secho(text, fg="yellow", bold=True)
        return
    if not is_genuine:
        text = _("Not genuine: the operation of that number has another code.")
        click.secho(text, fg="red", bold=True)
        return
    amount = amount_text(row.minor, row.currency)
    text = _("Genuine: {kind}, {amount}, {account}.")
    click.secho(
        text.format(kind=_kind(row), amount=amount, account=row.account), fg="green", bold=True
    )
    if not row.code:
        click.echo(_("It has no verdict yet."))
        return
    text = _("Verdict {code}: {meaning}.")
    click.echo(text.format(code=row.code, meaning=code_meaning(row.code) or "-"))
    for line in reason_lines(row.reason or None, row.note, row.currency):
        paragraph(line)
