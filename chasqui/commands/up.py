"""``chasqui up``: the whole country in the foreground."""

import asyncio
import contextlib
import os
from collections import deque
from gettext import gettext as _
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource

from chasqui import home, ports
from chasqui.calling import as_called, shortest
from chasqui.exits import ExitCode, FailedCommit, Failure, Misused, Unknown
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.plan import NO_BROKER, Plan, write_private
from chasqui.session import Session, pass_session
from chasqui.settings import (
    COUNTRY_FILE,
    ISO8583_PORT,
    MQTT_PORT,
    MQTT_TLS_PORT,
    NETWORK_PORT,
    OPERATOR_PORT,
    TIN_PORT,
    Whereabouts,
)
from chasqui.supervisor import StartFailed, Supervisor, how_it_ended
from runtime.files import load_country
from runtime.folder_lock import FolderLock

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOG_LEVELS = ("debug", "info", "warning", "error")
_PORT = click.IntRange(1, 65_535)
_BROKERS = click.Choice(("embedded", "mosquitto", NO_BROKER))
_TAIL_LINES = 8
_READY_S = 1.0
_PAYER, _PAYEE, _WALLET = "900000101", "900000202", "0901"


@command(
    "up",
    help=N_(
        "Start the country and supervise it, in the foreground.\n\n"
        "Ctrl-C takes no more orders, lets those in flight end, and stops everything; once more "
        "hurries. A process that dies is started again."
    ),
)
@option("--profile", default="peru", metavar="NAME|FILE", help=N_("Rules of the scheme."))
@option("--fleet", metavar="FILE", help=N_("Institutions (default: fleet.toml in the home)."))
@option("--tin-port", type=_PORT, default=TIN_PORT, help=N_("Port of the wire (7080)."))
@option("--operator-port", type=_PORT, default=OPERATOR_PORT, help=N_("Operator API (7081)."))
@option("--network-port", type=_PORT, default=NETWORK_PORT, help=N_("Coops' network (7082)."))
@option("--iso8583-port", type=_PORT, default=ISO8583_PORT, help=N_("ISO 8583 links (7083)."))
@option("--broker", type=_BROKERS, default="embedded", help=N_("MQTT broker to run."))
@option("--mqtt-port", type=_PORT, default=MQTT_PORT, help=N_("MQTT, this machine (7084)."))
@option("--mqtt-tls-port", type=_PORT, default=MQTT_TLS_PORT, help=N_("MQTT over TLS (7085)."))
@option("--mqtt-json", is_flag=True, help=N_("Say the terminals' messages as JSON too."))
@option("--bind", default="127.0.0.1", help=N_("Address of the wire; others need a token."))
@option("--token", default="", help=N_("Secret that unsigned callers must show."))
@option("--wire-log/--no-wire-log", default=True, help=N_("Keep the bytes of every message."))
@option("--tls", is_flag=True, help=N_("Serve the wire over https."))
@option("--client-certificates", is_flag=True, help=N_("Demand a certificate of callers."))
@option("--log-level", type=click.Choice(_LOG_LEVELS), default="info", help=N_("Least logged."))
@option("--latency-ms", type=click.FloatRange(min=0), help=N_("Median answering time of all."))
@pass_session
@click.pass_context
def up_command(ctx: click.Context, session: Session, /, **told: object) -> None:
    """Start everything, print where it is, and stay."""
    with FolderLock(session.home, "up"):
        plan = _plan(ctx, session, **told)
        home.check_together(plan.home)
        _check_ports(plan)
        is_first = not home.present(plan.home)
        _say(_("Starting the country in {home} ...").format(home=plan.home))
        try:
            code = asyncio.run(_run(session, plan))
        finally:
            (plan.home / COUNTRY_FILE).unlink(missing_ok=True)
            if is_first:
                home.forget_unfinished(plan.home)
    if code == ExitCode.DONE:
        _say(_("Stopped. The data stay in {home}.").format(home=plan.home))
    ctx.exit(code)


def _plan(ctx: click.Context, session: Session, **told: object) -> Plan:
    """Check all settings before anything is opened."""
    if told["bind"] not in _LOOPBACK and not told["token"]:
        raise Misused(
            _("--bind {address}: not loopback, so a --token is needed too.").format(
                address=told["bind"]
            ),
            _("Without one, everyone on that network could act as any institution."),
        )
    fleet_path = (
        _beside_settings(ctx, session, "fleet", told.pop("fleet")) or session.own_fleet_path()
    )
    named = told.pop("profile")
    profile = _beside_settings(ctx, session, "profile", named) if _is_file(named) else None
    name = str(profile or named)
    rules, fleet = load_country(name, fleet_path)
    return msgspec.convert(
        told
        | {
            "home": session.home,
            "fleet_path": fleet_path,
            "fleet": fleet,
            "profile": name,
            "drain_s": rules.timers.ct_expiry_s,
            "network_tls": bool(told["tls"]) or not rules.network.plain_http,
        },
        Plan,
    )


def _is_file(profile: object) -> bool:
    return str(profile).endswith(".toml")


def _beside_settings(ctx: click.Context, session: Session, name: str, value: object) -> Path | None:
    """Return a path; one of the settings file is meant from that file's folder."""
    if not value:
        return None
    if ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP:
        return session.settings.path.parent / str(value)
    return Path(str(value))


def _check_ports(plan: Plan) -> None:
    settings = plan.ports()
    bound = (plan.tin_port, plan.iso8583_port, plan.mqtt_tls_port)
    served = [port for port in bound if port in settings]
    wire = ports.taken(plan.bind, served)
    busy = wire + ports.taken("127.0.0.1", [port for port in settings if port not in served])
    own = 2 + bool(plan.network_url) + bool(plan.iso8583_address) + 2 * plan.has_broker
    if len(settings) < len(plan.simulated) + own:
        raise Misused(_("Two of the ports are the same: {ports}").format(ports=sorted(settings)))
    if not busy:
        return
    lines = []
    for port in busy:
        by = ports.holder(port) or _("another process")
        line = _("Port {port} is taken by {holder}; to change it: {setting}")
        lines.append(line.format(port=port, holder=by, setting=settings[port]))
    raise Misused("\n  ".join(lines), _("Nothing was started."))


async def _run(session: Session, plan: Plan) -> int:
    supervisor = Supervisor(plan.programs(), say=_say)
    supervisor.listen_to_signals()
    address = f"127.0.0.1:{plan.operator_port}"

    async def is_ready() -> bool:
        return await _answers_ready("127.0.0.1", plan.operator_port, address)

    def on_ready() -> None:
        told = Whereabouts(
            operator_url=plan.operator_url,
            tin_url=plan.tin_url,
            fleet=str(plan.fleet_path.resolve()),
            pid=os.getpid(),
            iso8583_address=plan.iso8583_address,
            mqtt_address=plan.mqtt_address,
            mqtt_tls_address=plan.mqtt_tls_address,
        )
        write_private(plan.home / COUNTRY_FILE, msgspec.json.encode(told).decode())
        for line in screen(session, plan):
            _say(line)

    try:
        return await supervisor.run(is_ready, on_ready)
    except StartFailed as failed:
        raise _start_failure(plan, failed) from failed


async def _answers_ready(host: str, port: int, address: str) -> bool:
    """Ask /readyz once. By hand: an HTTP client would double what this process weighs."""
    request = f"GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_READY_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request.encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


def _start_failure(plan: Plan, failed: StartFailed) -> Failure:
    path = plan.errors_path(failed.name)
    if failed.code is None:
        text = _("{name} was not ready in time.").format(name=failed.name)
    else:
        how = how_it_ended(failed.code)
        text = _("{name} did not start ({how}).").format(name=failed.name, how=how)
    if failed.complaint:
        text += f"\n  {failed.complaint}"
    else:
        text += _tail(path) or _tail(plan.log_path(failed.name))
    kinds: dict[int | None, type[Failure]] = {
        ExitCode.USAGE: Misused,
        ExitCode.FAILED_COMMIT: FailedCommit,
    }
    hint = _("See {path}; everything was stopped again.").format(path=path)
    return kinds.get(failed.code, Unknown)(text, hint)


def _tail(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = deque(file, _TAIL_LINES)
    except OSError:
        return ""
    return "".join(f"\n    {line.rstrip()}" for line in lines)


def screen(session: Session, plan: Plan) -> list[str]:
    """Return what is printed once everything runs: what, where, and what to try."""
    fleet_ports = [one.port for one in plan.simulated]
    own_settings = session.settings.path.exists()
    rows = [
        (_("Wire, directory, QR"), f"{plan.tin_url}/ssv2/payment-api/v3.5.0/"),
        (_("Operator API"), f"{plan.operator_url}/openapi.json"),
        *([(_("Coops' network"), f"{plan.network_url}/network/v1/")] if plan.network_url else []),
        *([("ISO 8583", plan.iso8583_address)] if plan.iso8583_address else []),
        *([("MQTT", _mqtt_addresses(plan))] if plan.has_broker else []),
        (
            _("Institutions"),
            f"127.0.0.1:{min(fleet_ports)}-{max(fleet_ports)}" if fleet_ports else "-",
        ),
        *_listening_nowhere(plan),
        (_("Declared in"), shortest(plan.fleet_path)),
        (_("Settings"), shortest(session.settings.path) if own_settings else _("built-in")),
        (_("Data"), shortest(plan.home)),
        (_("Logs"), shortest(plan.log_path("switch").parent)),
    ]
    width = max(len(name) for name, _value in rows)
    title = _("The country is up: {simulated} simulated institutions, {all} in all.")
    return [
        "",
        title.format(simulated=len(plan.simulated), all=len(plan.fleet.participant)),
        "",
        *(f"  {name:<{width}}  {value}" for name, value in rows),
        "",
        _("To try next, in a second terminal:"),
        "",
        *(f"  {line}" for line in to_try(plan)),
        "",
        _("Ctrl-C stops it."),
    ]


def _mqtt_addresses(plan: Plan) -> str:
    return f"{plan.mqtt_address}; TLS {plan.mqtt_tls_address}"


def _listening_nowhere(plan: Plan) -> list[tuple[str, str]]:
    """Return the line of those whom nothing can reach; a load's agents serve themselves."""
    silent = [
        one.code
        for one in plan.fleet.participant
        if not one.simulated and not one.url and one.kind != "load"
    ]
    return [(_("Listen nowhere"), ", ".join(silent))] if silent else []


def to_try(plan: Plan) -> list[str]:
    """Return three commands that run as printed from the present folder."""
    played = {one.code for one in plan.simulated}
    if {"0970", "0002"} <= played:
        first = f"send --from {_PAYER} --to {_PAYEE} --entity {_WALLET} --amount 25.50"
    else:
        first = "customers"
    return [as_called(f"chasqui {words}") for words in (first, "show", "positions")]


def _say(line: str) -> None:
    # A terminal that is gone takes no more; the country is stopped in order all the same.
    with contextlib.suppress(OSError):
        click.echo(line)
