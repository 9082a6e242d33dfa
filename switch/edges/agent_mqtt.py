"""The agent lane's edge: payloads of terminals in, from the broker, and answers out to it.

Each terminal has a short queue of its own, served in order by a task that lives as long as there
is something in it. So one that floods is turned away itself, and a silent one costs nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from runtime.mqtt_client import MqttClient
from scheme.limits import AGENT_INBOX_MAX, AGENT_PAYLOAD_BYTES_MAX
from scheme.wire.agent_payload import Fault, encode
from scheme.wire.mqtt_topics import (
    ALL_STATES,
    ALL_UP,
    STATE,
    SWITCH,
    device_of,
    down,
)
from switch.agent_wire import AgentWire

log = structlog.get_logger()

INBOX_PER_DEVICE_MAX: Final = 32
"""Payloads of one terminal waiting; beyond it new ones are dropped, for it says them again."""


class Desk(Protocol):
    """What is done with what terminals say; ``switch.agent_desk.AgentDesk``."""

    async def receive(self, device: str, payload: bytes) -> None:
        """Take a payload; never raises for what is in it."""

    def presence(self, device: str, payload: bytes) -> None:
        """Take a terminal's retained state, or its will."""


class AgentMqtt:
    """Serves the terminals of field agents, over the broker.

    Args:
        is_known: tells whether there is such a terminal.
        wire: takes note of everything that is said.
        spawn: starts a task that the process owns.

    Attributes:
        client: the connection to the broker.
        dropped: payloads that found a queue full.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        password: str,
        is_known: Callable[[str], bool],
        spawn: Callable[..., object],
        per_device_max: int = INBOX_PER_DEVICE_MAX,
    ) -> None:
        self._is_known = is_known
        self._spawn = spawn
        self._per_device_max = per_device_max
        self._desk: Desk | None = None
        self._wire: AgentWire | None = None
        self._queues: dict[str, deque[bytes]] = {}
        self._told: set[str] = set()
        self._waiting = 0
        self._is_stopping = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.dropped = 0
        self.client = MqttClient(
            host=host,
            port=port,
            username=SWITCH,
            password=password,
            on_message=self._took,
            subscriptions=(ALL_UP, ALL_STATES),
        )

    @property
    def waiting(self) -> int:
        """How many payloads of terminals wait."""
        return self._waiting

    def start(self, desk: Desk, wire: AgentWire) -> None:
        """Connect, and take what terminals say."""
        self._desk = desk
        self._wire = wire
        self._spawn(self.client.run())

    def send(self, device: str, payload: bytes) -> None:
        """Tell a terminal something; lost if the queue is full, for it asks again."""
        assert self._wire is not None, "nothing is said before the start"
        self._wire.said(device, payload)
        self.client.publish(down(device), payload)

    async def stop(self) -> None:
        """Take nothing more, and end once what was taken is served."""
        self._is_stopping = True
        await self._quiet.wait()

    def _took(self, topic: str, payload: bytes) -> None:
        """Handle a message of the broker; called on the loop."""
        device = device_of(topic)
        if self._is_stopping or not self._is_known(device):
            return
        if topic.endswith(f"/{STATE}"):
            assert self._desk is not None
            self._desk.presence(device, payload)
            return
        queue = self._queues.get(device)
        is_full = queue is not None and len(queue) >= self._per_device_max
        if is_full or self._waiting >= AGENT_INBOX_MAX:
            self._turn_away(device)
            return
        self._waiting += 1
        # A longer one is refused for its length, which does not need all of it.
        payload = payload[: AGENT_PAYLOAD_BYTES_MAX + 1]
        if queue is not None:
            queue.append(payload)
            return
        self._queues[device] = deque((payload,))
        self._quiet.clear()
        self._spawn(self._serve(device))

    def _turn_away(self, device: str) -> None:
        self.dropped += 1
        if device in self._queues and device not in self._told:
            self._told.add(device)
            log.warning("payloads of a terminal dropped", device=device)
            self.send(device, encode(Fault(0, "busy", "root: too many payloads wait")))

    async def _serve(self, device: str) -> None:
        """Hand on what a terminal said, in order, until there is nothing left."""
        assert self._desk is not None
        assert self._wire is not None
        queue = self._queues[device]
        try:
            while queue:
                payload = queue.popleft()
                self._waiting -= 1
                self._wire.heard(device, payload)
                await self._desk.receive(device, payload)
                await asyncio.sleep(0)  # Whatever it waits for or not, others have their turn.
        finally:
            # After a bug nothing may be left behind: the terminal would be deaf for ever.
            self._waiting -= len(queue)
            del self._queues[device]
            self._told.discard(device)
            if not self._queues:
                self._quiet.set()
