"""A broker's process in a home of its own, and raw clients of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiomqtt

from runtime.mqtt_keys import MqttKeys
from tests.support.country import free_ports

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 5.0
FLEET = """
[[participant]]
code = "0002"
name = "BANCO SIMULADO"
kind = "bank"

[[participant]]
code = "0992"
name = "RED SIMULADA DE AGENTES"
kind = "acquirer"
lane = "mqtt"
simulated = false

[[agents]]
institution = "0992"
agents = 4
devices = 2
"""


class BrokerProcess:
    """One broker, started; ended by ``stop``.

    Args:
        kind: ``embedded`` or ``mosquitto``.
    """

    def __init__(self, home: Path, kind: str, *, port: int = 0, tls: bool = False) -> None:
        self.home = home
        self.kind = kind
        self.keys = MqttKeys.open(home)
        fleet, config = home / "fleet.toml", home / "broker.toml"
        fleet.write_text(FLEET)
        settings = {"home": str(home), "fleet": str(fleet), "kind": kind, "port": port}
        settings |= {"tls_port": free_ports(1)[0] if tls else 0}
        settings |= {"log_file": str(home / "broker.log"), "lifeline": True}
        config.write_text("".join(f"{key} = {json.dumps(settings[key])}\n" for key in settings))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.mqtt_broker", "--config", str(config)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")

    @property
    def port(self) -> int:
        return int(self.told["port"])

    @property
    def tls_port(self) -> int:
        return int(self.told["tls_port"])

    def client(self, username: str, **changes: Any) -> Client:
        """Return a client that is not connected yet."""
        settings: dict[str, Any] = {
            "port": self.port,
            "username": username or None,
            "password": self.keys.password(username),
            "identifier": username or "nobody",
        }
        return Client(**(settings | changes))

    def kill(self) -> None:
        self.process.kill()
        self.ended()

    def stop(self) -> int:
        self.process.terminate()
        return self.ended()

    def orphan(self) -> None:
        """Let it see its parent gone."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def ended(self) -> int:
        """Return the exit code."""
        code = self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.said = self.process.stdout.read()
        self.process.stdout.close()
        self.orphan()
        return code


def list_users(home: Path, file: str, names: Sequence[str]) -> None:
    """Write one of the lists that the switch writes."""
    (home / "mqtt").mkdir(exist_ok=True)
    part = home / "mqtt" / f"{file}.new"
    part.write_text("".join(f"{name}\n" for name in names))
    part.replace(home / "mqtt" / file)


class Client:
    """A raw client that keeps what it receives."""

    def __init__(self, **settings: Any) -> None:
        self.raw = aiomqtt.Client("127.0.0.1", timeout=WAIT_S, **settings)

    async def __aenter__(self) -> Self:
        await self.raw.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(aiomqtt.MqttError):  # Cut off meanwhile, as some tests want it.
            await self.raw.__aexit__(kind, error, trace)

    async def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self.raw.publish(topic, payload, qos=1, retain=retain)

    async def hear(self, topic: str) -> bool:
        """Subscribe; False if the broker says no."""
        codes = await self.raw.subscribe(topic, qos=1)
        return all((code if isinstance(code, int) else code.value) < 0x80 for code in codes)

    async def next(self) -> tuple[str, bytes]:
        """Return the next message received."""
        async with asyncio.timeout(WAIT_S):
            message = await anext(aiter(self.raw.messages))
        assert isinstance(message.payload, bytes)
        return str(message.topic), message.payload

    async def until(self, payload: bytes) -> list[tuple[str, bytes]]:
        """Return everything received before a payload."""
        got = []
        while (one := await self.next())[1] != payload:
            got.append(one)
        return got

    async def lost(self) -> float:
        """Return the seconds until the broker has cut this client off."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.timeout(WAIT_S):
            try:
                async for _ in self.raw.messages:
                    pass
            except aiomqtt.MqttError:
                return loop.time() - start
        raise AssertionError("it left by itself")
