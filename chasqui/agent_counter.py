"""A terminal of the running country, played by this command: its queue, its keys, its link."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from gettext import gettext as _
from typing import Final, TypeVar

import structlog
from structlog.typing import WrappedLogger

from chasqui.exits import Failure, Misused, Refused, Unknown
from chasqui.session import Session
from chasqui.settings import MQTT_PORT, whereabouts
from chasqui.told import told
from participants.agent_queue import AgentQueue, QueueTaken, queue_path
from participants.agents.field_agent import FieldAgent
from participants.core.agent_terminal import Terminal
from participants.core.agent_told import Phase, Told
from participants.links.agent_mqtt import AgentLink
from runtime.clock import SystemClock
from runtime.mqtt_keys import MqttKeys
from scheme.errors import ConfigError, StoreError
from scheme.limits import AGENT_BATCH_MAX

T = TypeVar("T")
_ATTEMPTS: Final = 2
"""Failed attempts at the broker after which a command does not wait for it any longer."""
_LEAVE_S: Final = 1.0
_LOOK_S: Final = 0.01
_REFUSES: Final = "the broker refuses"


def broker_address(session: Session) -> tuple[str, int]:
    """Return where the running country's broker listens on this machine.

    Raises:
        Misused: it was started without one.
    """
    found = whereabouts(session.home)
    if found is not None and not found.mqtt_address:
        raise Misused(
            _("The running country has no broker."),
            _("Start it with one: chasqui up --broker embedded"),
        )
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
        self._address = broker_address(session)
        keys = MqttKeys.open(session.home)
        self._password = keys.password(device)
        facts, entries = queue.load()
        self.terminal = Terminal(
            device,
            keys.device_key(device),
            chance=random.SystemRandom(),
            facts=facts,
            entries=entries,
            batch_max=batch_max,
        )
        self.agent = FieldAgent(
            self.terminal,
            queue=queue,
            clock=self.clock,
            on_told=on_told,
            on_wire=on_wire,
        )
        self._link: AgentLink | None = None
        self._running: list[asyncio.Task[None]] = []
        self._downs: list[str] = []

    async def connect(self) -> None:
        """Open a session.

        Raises:
            Failure: says whether the broker or the clearing house is not there, or who refuses.
        """
        host, port = self._address
        self._downs.clear()
        self._link = AgentLink(
            host=host,
            port=port,
            device=self.device,
            password=self._password,
            clock=self.clock,
            on_payload=self.agent.on_payload,
            on_up=self.agent.on_up,
            on_down=self._on_down,
        )
        self._running = [
            asyncio.create_task(self._link.run()),
            asyncio.create_task(self.agent.run(self._link)),
        ]
        if not await self.wait(self.agent.until(self._is_decided), self.within_s):
            raise self._unanswered()
        if self.terminal.phase is not Phase.OPEN:
            raise self._unreached()

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
        """Wait for something for a while; tell whether it came. What breaks meanwhile is raised."""
        waited: asyncio.Future[object] = asyncio.ensure_future(awaited)
        either: list[asyncio.Future[object]] = [waited, *self._running]  # type: ignore[list-item]
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in self._running:
                if task.done():
                    task.result()
            return waited.done()
        finally:
            waited.cancel()

    async def settle(self, seconds: float) -> bool:
        """Send what waits and close the session; tell whether all of it ended in time."""
        await self.agent.push()
        return await self.wait(self.agent.until(lambda: self.terminal.is_idle), seconds)

    def _on_down(self, reason: str) -> None:
        self._downs.append(reason)
        self.agent.on_down(reason)

    def _is_decided(self) -> bool:
        is_refused = any(one.startswith(_REFUSES) for one in self._downs)
        is_down = is_refused or len(self._downs) >= _ATTEMPTS
        return is_down or self.terminal.phase is Phase.OPEN

    def _unanswered(self) -> Failure:
        if self.terminal.phase is Phase.ALONE:
            return self._unreached()
        return Unknown(
            _("The broker took the terminal's Hello, but the clearing house did not answer it."),
            _("Is the clearing house running? See: chasqui agent list"),
        )

    def _unreached(self) -> Failure:
        cause = self._downs[-1] if self._downs else "-"
        if cause.startswith(_REFUSES):
            return Refused(
                _("The broker does not let {device} in: {cause}").format(
                    device=self.device, cause=told(cause)
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


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log of the parts that processes share out of what the command prints."""
    before = structlog.get_config()
    structlog.configure(logger_factory=_nobody, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def _nobody(*_names: object) -> WrappedLogger:
    return structlog.ReturnLogger()
