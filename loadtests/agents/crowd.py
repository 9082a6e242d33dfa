"""All terminals of a storm in one process: those that come back, those in use, and the silent."""

import asyncio
import random
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from msgspec import Struct

from loadtests.agents.customers import Customers
from loadtests.agents.lean_mqtt import LeanClient, User
from loadtests.agents.terminal import Counts, Terminal
from runtime.mqtt_keys import MqttKeys
from scheme.clock import Clock, to_ms
from scheme.wire import mqtt_topics
from scheme.wire.agent_payload import encode_presence

_ALONE_S: Final = 7200
"""For so long the terminals that come back were alone."""
_LOOK_S: Final = 0.05


class Asked(Struct, frozen=True, gc=False):
    """One operation of somebody who stood at a counter: when it was made, and for how long."""

    begun: float
    seconds: float
    code: str


class Place:
    """A terminal with its connection.

    Args:
        counts: shared by those that are counted together.
    """

    def __init__(
        self,
        device: str,
        port: int,
        keys: MqttKeys,
        clock: Clock,
        *,
        chance: random.Random,
        counts: Counts,
    ) -> None:
        self._topic = mqtt_topics.up(device).encode()
        self._state = mqtt_topics.state(device).encode()
        self._clock = clock
        state = (mqtt_topics.state(device), self._presence(online=False))
        user = User(device, keys.password(device), topic=mqtt_topics.down(device), will=state)
        self.terminal = Terminal(
            device,
            keys.device_key(device),
            say=self._say,
            now=self._now,
            chance=chance,
            counts=counts,
        )
        self.client = LeanClient(
            port,
            user,
            chance=chance,
            on_up=self._up,
            on_down=self.terminal.down,
            on_message=self.terminal.heard,
        )

    def _up(self) -> None:
        self.client.publish(self._state, self._presence(online=True), retain=True)
        self.terminal.up()

    def _say(self, payload: bytes) -> None:
        self.client.publish(self._topic, payload)

    def _now(self) -> int:
        return to_ms(self._clock.now()) // 1000

    def _presence(self, *, online: bool) -> bytes:
        return encode_presence(online=online, at=self._now())


class Crowd:
    """Terminals that are connected and counted together.

    Attributes:
        counts: what they said and heard.
        asked: what people stood and waited for.
    """

    def __init__(
        self, devices: Sequence[str], port: int, keys: MqttKeys, clock: Clock, *, seed: int
    ) -> None:
        self.counts = Counts()
        self.asked: list[Asked] = []
        self._clock = clock
        self._is_over = False
        self._chances = [random.Random(f"{seed}:{device}") for device in devices]
        self.places = [
            Place(device, port, keys, clock, chance=chance, counts=self.counts)
            for device, chance in zip(devices, self._chances, strict=True)
        ]

    @property
    def terminals(self) -> list[Terminal]:
        """The terminals."""
        return [one.terminal for one in self.places]

    @property
    def settled(self) -> int:
        """How many operations have their verdict."""
        return sum(len(one.verdicts) for one in self.terminals)

    @property
    def wire_bytes(self) -> int:
        """Bytes of all connections, both ways, everything counted."""
        return sum(one.client.sent + one.client.received for one in self.places)

    def queue_up(self, operations: int, customers: Customers) -> None:
        """Have each terminal make operations that it made alone, over two hours."""
        now = to_ms(self._clock.now()) // 1000
        for terminal, chance in zip(self.terminals, self._chances, strict=True):
            for number in range(operations):
                wish = customers.wish(chance)
                at = now - _ALONE_S + number * _ALONE_S // operations
                terminal.make(
                    kind=wish.kind, minor=wish.minor, account=wish.account, at=at, offline=True
                )

    async def connect(self) -> None:
        """Connect all at once, and wait until they are there."""
        await asyncio.gather(*(one.client.start() for one in self.places))
        while not all(one.client.is_up for one in self.places):  # noqa: ASYNC110 - of thousands
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Wait until all sides agree on everything."""
        for terminal in self.terminals:
            terminal.close()
        for terminal in self.terminals:
            if not terminal.is_closed:
                await terminal.closed.wait()

    async def serve(self, customers: Customers, pause_s: float) -> None:
        """Have people stand at every terminal, one after the other, until ``dismiss``."""
        async with asyncio.TaskGroup() as group:
            for terminal, chance in zip(self.terminals, self._chances, strict=True):
                group.create_task(self._counter(terminal, customers, chance, pause_s))

    def dismiss(self) -> None:
        """Let those who stand there have their verdict, and nobody else come."""
        self._is_over = True

    def leave(self) -> None:
        """Say goodbye."""
        for one in self.places:
            one.client.stop()

    async def _counter(
        self, terminal: Terminal, customers: Customers, chance: random.Random, pause_s: float
    ) -> None:
        while not self._is_over:
            await asyncio.sleep(chance.uniform(0, 2 * pause_s))
            wish = customers.wish(chance)
            begun = perf_counter()
            verdict = await terminal.ask(kind=wish.kind, minor=wish.minor, account=wish.account)
            self.asked.append(Asked(begun, perf_counter() - begun, verdict.code))
