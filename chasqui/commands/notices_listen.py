"""``chasqui notices``: what members and institutions are told over MQTT."""

import asyncio
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from gettext import gettext as _
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from chasqui.agent_lane import lane, no_broker
from chasqui.agent_rivals import Rivals
from chasqui.calling import shortest
from chasqui.language import N_
from chasqui.options import argument, command, json_option, option
from chasqui.output import as_json, local_second, paragraph, quiet, visible
from chasqui.payer import cci_of, find_account
from chasqui.plan import write_private
from chasqui.session import Session, pass_session
from chasqui.settings import MQTT_PORT, whereabouts
from chasqui.told import told
from scheme.wire.mqtt_topics import INSTITUTION_PREFIX, institution

_FOLDER = "mqtt"
_CODE_DIGITS = 4
_ARGUMENT = "PHONE|CCI"
_UNSAID_FAILURES = 2
"""The broker looks for who was enrolled a few times a second: it may be asked too soon."""
_entity_option = option(
    "--entity", metavar="CODE", help=N_("Where the account of the phone is kept.")
)


class EnrolledAnswer(Struct, frozen=True):
    """Answer of POST /notices/members."""

    member: str
    topic: str
    username: str


class NoticeRow(Struct, frozen=True):
    """What every notice says for people, whoever it is for."""

    at: str
    es: str
    en: str


class Listener(Struct, frozen=True, kw_only=True):
    """Somebody who may read notices, and all that a client of MQTT needs for it.

    Attributes:
        password_file: readable by its owner only.
    """

    username: str
    topic: str
    host: str
    port: int
    password_file: str

    @property
    def line(self) -> str:
        """The command that prints the notices with Mosquitto's own client."""
        words = ["mosquitto_sub", "-h", self.host, "-p", str(self.port), "-u", self.username]
        told = f'"$(cat {shlex.quote(self.password_file)})"'
        rest = ["-i", self.username, "-q", "1", "-t", self.topic]
        return f"{shlex.join(words)} -P {told} {shlex.join(rest)}"


@command(
    "member",
    help=N_(
        "Enrol a member, and say how to read its notices.\n\n"
        "From then on every debit, credit and rejection of the account is published."
    ),
)
@argument("account", metavar=_ARGUMENT)
@_entity_option
@json_option
@pass_session
def member_command(session: Session, *, account: str, entity: str | None, in_json: bool) -> None:
    """Enrol and print the line to run."""
    _say(_member(session, account, entity), in_json=in_json)


@command("institution", help=N_("Say how to read the notices of an institution."))
@argument("code")
@json_option
@pass_session
def institution_command(session: Session, *, code: str, in_json: bool) -> None:
    """Print the line to run."""
    _say(_institution(session, code), in_json=in_json)


@command(
    "watch",
    help=N_(
        "Print notices as they come, until Ctrl-C.\n\n"
        "A phone or CCI is enrolled first; a code of four digits is an institution."
    ),
)
@argument("whose", metavar="PHONE|CCI|CODE")
@_entity_option
@option("--count", type=click.IntRange(min=1), metavar="NUMBER", help=N_("End after so many."))
@option("--json", "in_json", is_flag=True, help=N_("Print each notice as it came, one a line."))
@pass_session
def watch_command(
    session: Session, *, whose: str, entity: str | None, count: int | None, in_json: bool
) -> None:
    """Subscribe and print."""
    is_code = len(whose) == _CODE_DIGITS and whose.isdigit()
    listener = _institution(session, whose) if is_code else _member(session, whose, entity)
    note = _("Waiting for notices of {name}. Ctrl-C ends it.").format(name=listener.username)
    click.echo(note, err=True)
    password = Path(listener.password_file).read_text(encoding="ascii")
    with suppress(KeyboardInterrupt), quiet():
        asyncio.run(_watch(listener, password, count, _raw if in_json else _worded))


async def _watch(
    listener: Listener, password: str, count: int | None, show: Callable[[bytes], None]
) -> None:
    from runtime.mqtt_client import MqttClient  # Late: no other command needs it.

    done = asyncio.Event()
    rivals = Rivals(listener.username)
    is_pushed_out = False
    seen = failures = 0

    def take(_topic: str, payload: bytes) -> None:
        nonlocal seen
        if not done.is_set():
            show(payload)
            seen += 1
        if seen == count:
            done.set()

    def on_up() -> None:
        nonlocal failures
        failures = _UNSAID_FAILURES
        rivals.up()
        click.echo(_("Connected."), err=True)

    def on_down(reason: str) -> None:
        nonlocal failures, is_pushed_out
        if rivals.down():
            is_pushed_out = True
            done.set()
        failures += 1
        if failures == _UNSAID_FAILURES + 1:
            click.echo(_("Not connected: {cause}").format(cause=told(reason)), err=True)

    client = MqttClient(
        host=listener.host,
        port=listener.port,
        username=listener.username,
        password=password,
        client_id=f"{listener.username}-watch",
        on_message=take,
        on_up=on_up,
        on_down=on_down,
        subscriptions=(listener.topic,),
    )
    running = asyncio.create_task(client.run())
    await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    if is_pushed_out:
        raise rivals.failure()


def _raw(payload: bytes) -> None:
    click.echo(visible(payload.decode(errors="replace")))


def _worded(payload: bytes) -> None:
    try:
        notice = msgspec.json.decode(payload, type=NoticeRow)
    except msgspec.DecodeError:
        _raw(payload)
        return
    is_spanish = os.environ.get("LANGUAGE", "").startswith("es")
    click.echo(f"{local_second(notice.at)}  {visible(notice.es if is_spanish else notice.en)}")


def _member(session: Session, account: str, entity: str | None) -> Listener:
    with lane(session) as country:
        # Looked for where people are paid from and to: not everybody's phone is in a directory.
        cci = (
            cci_of(account)
            or find_account(country, account, agent=entity, currency=None, label=_ARGUMENT)[2]
        )
        enrolled = country.operator.post("/notices/members", {"cci": cci}, EnrolledAnswer)
    return _listener(session, enrolled.username, enrolled.topic)


def _institution(session: Session, code: str) -> Listener:
    one = session.country().participant(code)
    return _listener(session, INSTITUTION_PREFIX + one.code, institution(one.code))


def _listener(session: Session, username: str, topic: str) -> Listener:
    """Return who listens, with the password in a private file of the home."""
    from runtime.mqtt_keys import MqttKeys  # Late: as above.

    told = whereabouts(session.home)
    if told is not None and not told.mqtt_address:
        raise no_broker()
    host, _colon, port = (told.mqtt_address if told else "").rpartition(":")
    path = session.home / _FOLDER / f"{username}.password"
    with quiet():
        password = MqttKeys.open(session.home).password(username)
    write_private(path, password)
    return Listener(
        username=username,
        topic=topic,
        host=host or "127.0.0.1",
        port=int(port) if port.isdigit() else MQTT_PORT,
        password_file=shortest(path),
    )


def _say(listener: Listener, *, in_json: bool) -> None:
    if in_json:
        as_json({**msgspec.to_builtins(listener), "command": listener.line})
        return
    paragraph(_("Read the notices with Mosquitto's client, or any other of MQTT:"))
    click.echo(listener.line)
