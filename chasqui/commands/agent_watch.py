"""``chasqui agent watch``: what terminals and the clearing house say, as it is said."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from gettext import gettext as _
from typing import Any

import click
import msgspec

from chasqui.agent_counter import broker_address, known_device
from chasqui.agent_rivals import Rivals
from chasqui.agent_words import kind_name
from chasqui.exits import Misused, Unknown
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.output import local_ms, quiet, visible
from chasqui.session import Session, pass_session
from chasqui.told import told
from runtime.clock import SystemClock
from runtime.mqtt_client import MqttClient
from runtime.mqtt_keys import MqttKeys
from scheme.clock import to_ms
from scheme.errors import ConfigError, MalformedMessage
from scheme.wire import mqtt_topics
from scheme.wire.agent_payload import decode_presence
from scheme.wire.agent_view import masked_payload

_CLIENT = "watch"
_CHANCE_BYTES = 4
_ALL = "+"


@command(
    "watch",
    help=N_(
        "Print what terminals and the clearing house say.\n\n"
        "Decoded and masked, as it comes, until Ctrl-C."
    ),
)
@option("--device", metavar="DEVICE", help=N_("Only of this terminal."))
@option("--count", type=click.IntRange(min=1), metavar="NUMBER", help=N_("End after so many."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object a line."))
@pass_session
def watch_command(
    session: Session, *, device: str | None, count: int | None, in_json: bool
) -> None:
    """Subscribe and print."""
    name = _ALL if device is None else known_device(session, device)
    host, port = broker_address(session)
    try:
        password = MqttKeys.open(session.home).password(mqtt_topics.WATCH)
    except ConfigError as error:
        raise Misused(str(error)) from error
    with suppress(KeyboardInterrupt), quiet():
        asyncio.run(_watch(host, port, password, name, count, _raw if in_json else show_worded))


async def _watch(
    host: str,
    port: int,
    password: str,
    name: str,
    count: int | None,
    show: Callable[[dict[str, Any]], None],
) -> None:
    ended = asyncio.Event()
    downs: list[str] = []
    rivals = Rivals(mqtt_topics.WATCH)
    was_up = is_pushed_out = False
    shown = 0

    def take(topic: str, payload: bytes) -> None:
        nonlocal shown
        if not ended.is_set():
            show(_read(topic, payload))
            shown += 1
        if shown == count:
            ended.set()

    def up() -> None:
        nonlocal was_up
        was_up = True
        rivals.up()
        click.echo(_("Connected. Ctrl-C ends it."), err=True)

    def down(reason: str) -> None:
        nonlocal is_pushed_out
        if rivals.down():
            is_pushed_out = True
            ended.set()
        downs.append(reason)
        if not was_up and len(downs) > 1:
            ended.set()

    client = MqttClient(
        host=host,
        port=port,
        username=mqtt_topics.WATCH,
        password=password,
        client_id=f"{_CLIENT}-{secrets.token_hex(_CHANCE_BYTES)}",
        on_message=take,
        on_up=up,
        on_down=down,
        subscriptions=(
            mqtt_topics.up(name),
            mqtt_topics.down(name),
            mqtt_topics.state(name),
        ),
    )
    running = asyncio.create_task(client.run())
    await ended.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    if is_pushed_out:
        raise rivals.failure()
    if not was_up and not shown:
        raise Unknown(
            _("The broker at {host}:{port} was not reached: {cause}").format(
                host=host, port=port, cause=told(downs[-1])
            ),
            _("Is the country running? Start it with: chasqui up"),
        )


def _read(topic: str, payload: bytes) -> dict[str, Any]:
    device = mqtt_topics.device_of(topic)
    kind = topic.rpartition("/")[2]
    if kind == mqtt_topics.STATE:
        said = _presence(payload)
    else:
        said = masked_payload(payload, is_up=kind == mqtt_topics.UP)
    at_ms = to_ms(SystemClock().now())
    return {"at_ms": at_ms, "device": device, "topic": kind, "bytes": len(payload), "said": said}


def _presence(payload: bytes) -> dict[str, Any]:
    try:
        told = decode_presence(payload)
    except MalformedMessage as error:
        return {"fault": str(error)}
    return {"message": "Presence", "online": bool(told.online)}


def _raw(row: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(row).decode())


def show_worded(row: dict[str, Any]) -> None:
    """Print one payload for people."""
    said = dict(row["said"])
    name = said.pop("message", "?")
    said.pop("version", None)
    arrow = {mqtt_topics.UP: "->", mqtt_topics.DOWN: "<-"}.get(row["topic"], "--")
    head = f"{local_ms(row['at_ms'])}  {row['device']} {arrow} {name}, {row['bytes']} B"
    click.secho(head, bold=True)
    lists = {key: said.pop(key) for key in list(said) if _is_rows(said[key])}
    if said:
        click.echo("  " + visible(", ".join(f"{key} {value}" for key, value in said.items())))
    for rows in lists.values():
        for one in rows:
            click.echo("  " + visible(_line(one)))


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict | list) for one in value)


def _line(one: Any) -> str:
    if isinstance(one, dict):
        named = one | ({"kind": kind_name(one["kind"])} if "kind" in one else {})
        return ", ".join(f"{key} {value}" for key, value in named.items() if value not in ("", []))
    return str(one)
