"""A terminal of the running country, played by this command: its queue, its keys, its link."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from gettext import gettext as _
from typing import Any, Final, TypeVar

import click

from chasqui.agent_lane import no_broker
from chasqui.agent_words import fault_text
from chasqui.exits import Failure, Misused, Refused, Unknown
from chasqui.output import quiet
from chasqui.session import Session
from chasqui.settings import MQTT_PORT, whereabouts
from chasqui.told import told
from participants.agent_queue import AgentQueue, QueueTaken, queue_path
from participants.agents.field_agent import FieldAgent
from participants.core.agent_terminal import Terminal
from participants.core.agent_told import Faulted, Phase, Told
from participants.links.agent_mqtt import AgentLink
from runtime.clock import SystemClock
from runtime.mqtt_keys import MqttKeys
from scheme.errors import ConfigError, StoreError
from scheme.limits import AGENT_BATCH_MAX

T = TypeVar("T")
_ATTEMPTS: Final = 2
"""Failed attempts at the broker after which a command does not wait for it any longer."""
_BEHIND: Final = "behind"
_UNKNOWN: Final = "unknown"
_VERSION: Final = "version"
"""Faults after which there is no session until people have done something."""
_LEAVE_S: Final = 1.0
_LOOK_S: Final = 0.01
_REFUSES: Final = "the broker refuses "
_UNAVAILABLE: Final = "the broker refuses Server unavailable"
"""The one refusal that is not of this terminal: it passes."""
_SILENT_US: Final = 3_000_000
"""Without a word for so long, a person is told what is waited for."""


def broker_address(session: Session) -> tuple[str, int]:
    """Return where the running country's broker listens on this machine.

    Raises:
        Misused: it was started without one.
    """
    found = whereabouts(session.home)
    if found is not None and not found.mqtt_address:
        raise no_broker()
    host, _colon, port = (found.mqtt_address if found else "").rpartition(":")
    return (host, int(port)) if host and port.isdigit() else ("127.0.0.1", MQTT_PORT)


def known_device(session: Session, device: str | None, *, field: str = "--device") -> str:
    """Return a terminal of the fleet; without a name, the first one.

    Args:
        field: what was typed, for messages.

    Raises:
        Misused: there is none of that name.
    """
    devices = list(session.fleet().devices())
    if device is None and devices:
        return devices[0]
    if device not in devices:
        raise Misused(
            _("There is no terminal {device}.").format(device=device or "-"),
            _("There are: {codes}").format(codes=", ".join(devices) or "-"),
            field=field,
        )
    assert device is not None, "None is in no list"
    return device


class Counter:
    """One terminal, its queue open.

    Args:
        session: whose country it is of.
        within_s: wait for the broker, and for the clearing house.
        on_told: told what the person at the counter should hear.
        on_wire: told of each payload, first whether it went up.
    """

    def __init__(
        self,
        session: Session,
        device: str,
        queue: AgentQueue,
        *,
        batch_max: int,
        on_told: Callable[[Told], None],
        on_wire: Callable[[bool, bytes], None],
    ) -> None:
        self.device = device
        self.within_s = session.settings.config.timeout_s
        self.clock = SystemClock()
        self._chance = random.SystemRandom()
        self._address = broker_address(session)
        keys = MqttKeys.open(session.home)
        self._password = keys.password(device)
        facts, entries = queue.load()
        self.terminal = Terminal(
            device,
            keys.device_key(device),
            chance=self._chance,
            facts=facts,
            entries=entries,
            batch_max=batch_max,
        )
        self.agent = FieldAgent(
            self.terminal,
            queue=queue,
            clock=self.clock,
            on_told=self._on_told,
            on_wire=self._on_wire,
        )
        self._counted = on_wire
        self._heard = on_told
        self._shut_out: Faulted | None = None
        self._link: AgentLink | None = None
        self._running: list[asyncio.Task[None]] = []
        self._downs: list[str] = []
        self._refused = asyncio.Event()
        self._heard_us = 0

    async def connect(self) -> None:
        """Open a session.

        Raises:
            Failure: says whether the broker or the clearing house is not there, or who refuses.
        """
        host, port = self._address
        self._downs.clear()
        self._refused.clear()
        self._shut_out = None
        self._link = AgentLink(
            host=host,
            port=port,
            device=self.device,
            password=self._password,
            clock=self.clock,
            on_payload=self.agent.on_payload,
            on_up=self.agent.on_up,
            on_down=self._on_down,
            chance=self._chance,
        )
        self._running = [
            asyncio.create_task(self._link.run()),
            asyncio.create_task(self.agent.run(self._link)),
        ]
        if not await self.wait(self.agent.until(self._is_decided), self.within_s):
            raise self._unanswered()
        if self.terminal.phase is not Phase.OPEN:
            raise self._unanswered()

    async def disconnect(self) -> None:
        """Say goodbye and close the connection."""
        link, self._link = self._link, None
        if link is not None and link.is_up:
            link.leave()
            for _look in range(round(_LEAVE_S / _LOOK_S)):
                if not link.client.queued:
                    break
                await asyncio.sleep(_LOOK_S)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = []
        self.terminal.disconnected()

    async def wait(self, awaited: Awaitable[object], seconds: float) -> bool:
        """Wait for something for a while; tell whether it came. What breaks meanwhile is raised.

        Raises:
            Refused: the broker does not let the terminal in any longer.
        """
        waited: asyncio.Future[object] = asyncio.ensure_future(awaited)
        refused = asyncio.ensure_future(self._refused.wait())
        saying = asyncio.ensure_future(self._say_silence())
        either: list[asyncio.Future[Any]] = [waited, refused, *self._running]
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in self._running:
                if task.done():
                    task.result()
            if refused.done() and not waited.done():
                raise self._unreached()
            return waited.done()
        finally:
            for one in (waited, refused, saying):
                one.cancel()

    async def in_session(self, seconds: float) -> bool:
        """Wait until a session is open; tell whether it is."""
        return await self.wait(self.agent.until(lambda: self.terminal.phase is Phase.OPEN), seconds)

    async def _say_silence(self) -> None:
        """Say once what is waited for, if nothing is heard for a few seconds."""
        self._heard_us = self.clock.now_us()
        while (left_us := self._heard_us + _SILENT_US - self.clock.now_us()) > 0:  # noqa: ASYNC110 - to a moment
            await asyncio.sleep(left_us / 1_000_000)
        is_up = self._link is not None and self._link.is_up
        text = _("Waiting for the clearing house.") if is_up else _("Waiting for the broker.")
        click.echo(text, err=True)

    def _on_told(self, one: Told) -> None:
        if isinstance(one, Faulted) and one.code in {_BEHIND, _UNKNOWN, _VERSION}:
            self._shut_out = one
        self._heard(one)

    def _on_wire(self, is_up: bool, payload: bytes) -> None:
        if not is_up:
            self._heard_us = self.clock.now_us()
        self._counted(is_up, payload)

    async def settle(self, seconds: float) -> bool:
        """Send what waits and close the session; tell whether all of it ended in time."""
        await self.agent.push()
        return await self.wait(self.agent.until(lambda: self.terminal.is_idle), seconds)

    def _on_down(self, reason: str) -> None:
        self._downs.append(reason)
        self.agent.on_down(reason)
        if _is_refusal(reason):
            self._refused.set()

    def _is_decided(self) -> bool:
        is_down = self._refused.is_set() or len(self._downs) >= _ATTEMPTS or self._shut_out
        return bool(is_down) or self.terminal.phase is Phase.OPEN

    def _unanswered(self) -> Failure:
        if self.terminal.phase is Phase.ALONE:
            return self._unreached()
        if self._shut_out is not None:
            return self._not_let_in(self._shut_out)
        return Unknown(
            _("The broker took the terminal's Hello, but the clearing house did not answer it."),
            _("Is the clearing house running? See: chasqui agent list"),
        )

    def _not_let_in(self, fault: Faulted) -> Failure:
        steps = {
            _BEHIND: _("An operator lets it in again: chasqui agent restore {device}"),
            _UNKNOWN: _("See which ones there are: chasqui agent list"),
        }
        hint = steps.get(fault.code, _("This program and the clearing house's do not fit."))
        return Refused(
            _("{device} gets no session: {cause}.").format(
                device=self.device, cause=fault_text(fault.code, fault.text)
            ),
            hint.format(device=self.device),
        )

    def _unreached(self) -> Failure:
        cause = self._downs[-1] if self._downs else "-"
        if _is_refusal(cause):
            return Refused(
                _("The broker does not let {device} in: {cause}").format(
                    device=self.device, cause=told(cause.removeprefix(_REFUSES))
                ),
                _(
                    "Was it revoked? See chasqui agent list, and chasqui agent restore {device}"
                ).format(device=self.device),
            )
        return Unknown(
            _("The broker at {host}:{port} was not reached: {cause}").format(
                host=self._address[0], port=self._address[1], cause=told(cause)
            ),
            _("Is the country running? Start it with: chasqui up"),
        )


def _is_refusal(reason: str) -> bool:
    return reason.startswith(_REFUSES) and reason != _UNAVAILABLE


@contextmanager
def opened(
    session: Session,
    device: str,
    *,
    batch_max: int = AGENT_BATCH_MAX,
    on_told: Callable[[Told], None] = lambda _told: None,
    on_wire: Callable[[bool, bytes], None] = lambda _is_up, _payload: None,
) -> Iterator[Counter]:
    """Open a terminal of the running country; its queue is nobody else's meanwhile.

    Raises:
        Misused: another command plays it, or its queue cannot be read.
    """
    try:
        queue = AgentQueue.open(queue_path(session.home, device))
    except QueueTaken as error:
        raise Misused(
            _("Another command plays the terminal {device}.").format(device=device),
            _("Wait until it ends, or choose another one: --device"),
        ) from error
    except StoreError as error:
        raise Misused(str(error)) from error
    try:
        with quiet():
            yield Counter(
                session,
                device,
                queue,
                batch_max=batch_max,
                on_told=on_told,
                on_wire=on_wire,
            )
    except ConfigError as error:
        raise Misused(str(error)) from error
    except StoreError as error:
        raise Unknown(
            str(error), _("What has a receipt is safe; make room and try again.")
        ) from error
    finally:
        queue.close()
