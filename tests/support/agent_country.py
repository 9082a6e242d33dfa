"""A switch with its broker and played cores, and a terminal whose process can be killed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from participants.agent_queue import AgentQueue, queue_path
from participants.agents.field_agent import FieldAgent
from participants.core.agent_book import Entry, Wish
from participants.core.agent_faults import Faults
from participants.core.agent_terminal import Terminal
from participants.links.agent_mqtt import AgentLink
from runtime.clock import SystemClock
from runtime.mqtt_keys import MqttKeys
from scheme.wire.agent_payload import Operations, decode_up
from tests.support.country import until
from tests.support.scripted_country import PAID, SWITCH, LoneSwitch

T = TypeVar("T")
BROKER = "runtime.mqtt_broker"
ACQUIRER = "0992"
WAIT_S = 15.0
_AGENTS = """
[[participant]]
code = "0992"
name = "RED DE AGENTES DE PRUEBA"
kind = "acquirer"
lane = "mqtt"
simulated = false

[[agents]]
institution = "0992"
agents = 30
devices = 2
"""


class AgentCountry(LoneSwitch):
    """A switch that hears field agents.

    Args:
        kind: of broker.

    Attributes:
        before: orders of agents that were paid when a test began.
    """

    before = 0

    def __init__(self, home: Path, members: Sequence[str], *, kind: str = "embedded") -> None:
        super().__init__(home, members)
        self._kind = kind
        with self.fleet_file.open("a") as file:
            file.write(_AGENTS)
        self.keys = MqttKeys.open(home)

    def start(self, *modules: str) -> None:
        """Start processes that do not run; the broker comes first."""
        if BROKER not in self._running:
            super().start(BROKER)
        super().start(*(one for one in modules if one != BROKER))

    def signed_on(self) -> None:
        """Wait until every institution is, and the switch hears terminals."""
        super().signed_on()
        until(lambda: self.get("/agents?limit=1")["broker"]["connected"], "the broker is reached")

    def freeze_broker(self) -> None:
        """Stop the broker in its tracks: what is sent to it arrives and is not read."""
        for one in self._broker():
            one.suspend()

    def thaw_broker(self) -> None:
        """Let the broker go on."""
        for one in self._broker():
            one.resume()

    def kill_broker(self) -> None:
        """End the broker with ``kill -9``, and start it anew."""
        for one in reversed(self._broker()):
            one.kill()
        self._running.pop(BROKER).stop()
        self.start(BROKER)

    def kept(self, device: str, seq: int) -> Mapping[str, Any] | None:
        """Return an operation as the switch has it on disk, running or not."""
        path = f"file:{self.home / 'agents.db'}?mode=ro"
        store = sqlite3.connect(path, uri=True)
        try:
            row = store.execute(
                "SELECT code, admitted FROM operations WHERE device = ? AND seq = ?", (device, seq)
            ).fetchone()
        finally:
            store.close()
        return None if row is None else {"code": row[0], "admitted": bool(row[1])}

    def paid(self, creditor: str) -> dict[str, int]:
        """Return what the agents' orders to an institution took from the position, by id."""
        return {
            str(one["instruction_id"]): int(one["amount"] + one["fee"])
            for one in self.transfers()
            if (one["debtor_agent"], one["creditor_agent"]) == (ACQUIRER, creditor)
            and one["state"] in PAID
        }

    def lock_agents(self) -> sqlite3.Connection:
        """Let the switch write nothing more about terminals, until the lock is closed."""
        lock = sqlite3.connect(
            self.home / "agents.db", isolation_level=None, check_same_thread=False
        )
        lock.execute("BEGIN IMMEDIATE")
        return lock

    def _broker(self) -> list[psutil.Process]:
        parent = psutil.Process(self._running[BROKER].pid)
        return [parent, *parent.children(recursive=True)]

    def _settings(self, module: str) -> str:
        if module == BROKER:
            return (
                f'home = "{self.home}"\nfleet = "{self.fleet_file}"\nlifeline = true\n'
                f'kind = "{self._kind}"\nport = {self.mqtt_port}\n'
                f'log_file = "{self.home / "broker.log"}"\n'
            )
        more = f"mqtt_port = {self.mqtt_port}\n" if module == SWITCH else ""
        return super()._settings(module) + more


class Losing(Faults):
    """Coverage that loses the payloads of some operations."""

    def __init__(self, *seqs: int) -> None:
        super().__init__(random.Random(0))
        self.seqs = set(seqs)

    def spoil(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return what comes through."""
        return [one for one in payloads if not self._is_lost(one)]

    def _is_lost(self, payload: bytes) -> bool:
        message = decode_up(payload)
        found = isinstance(message, Operations) and self.seqs & {
            one.seq for one in message.operations
        }
        return bool(found)


class Counter:
    """A terminal at work on a loop of its own, for tests that block."""

    def __init__(self, home: Path, port: int, device: str) -> None:
        keys = MqttKeys.open(home)
        self.device = device
        self.queue = AgentQueue.open(queue_path(home, device))
        facts, entries = self.queue.load()
        clock = SystemClock()
        self.terminal = Terminal(
            device,
            keys.device_key(device),
            chance=random.SystemRandom(),
            facts=facts,
            entries=entries,
        )
        self.agent = FieldAgent(self.terminal, queue=self.queue, clock=clock)
        self._clock = clock
        self._port = port
        self._password = keys.password(device)
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def connect(self) -> None:
        """Dial, and open a session."""
        self._do(self._connect())

    def disconnect(self) -> None:
        """Lose coverage."""
        self._do(self._disconnect())

    def reconnect(self) -> None:
        """Lose coverage and have it again."""
        self.disconnect()
        self.connect()

    def make(self, wish: Wish, *, offline: bool = False) -> Entry:
        """Make an operation."""
        made = self._do(self.agent.make(wish, offline=offline))
        assert isinstance(made, Entry), made
        return made

    def opened(self) -> None:
        """Wait until a session is open."""
        self._do(self.agent.until(lambda: self.terminal.phase.name == "OPEN"))

    def settled(self) -> list[Entry]:
        """Close the session; return everything there is, once both sides agree on it."""
        self._do(self.agent.push())
        facts = self.terminal.facts
        self._do(self.agent.until(lambda: self.terminal.facts.agreed == facts.next - 1))
        return list(self.terminal.entries)

    def stop(self) -> None:
        """End it."""
        self.disconnect()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.queue.close()

    async def _connect(self) -> None:
        link = AgentLink(
            host="127.0.0.1",
            port=self._port,
            device=self.device,
            password=self._password,
            clock=self._clock,
            on_payload=self.agent.on_payload,
            on_up=self.agent.on_up,
            on_down=self.agent.on_down,
        )
        self._tasks = [
            asyncio.create_task(link.run()),
            asyncio.create_task(self.agent.run(link)),
        ]

    async def _disconnect(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.terminal.disconnected()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        limited = asyncio.wait_for(work, WAIT_S)
        return asyncio.run_coroutine_threadsafe(limited, self._loop).result()
