"""The storm's own country: a broker, a switch and a fleet on free ports, killed when asked."""

import os
import signal
import time
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from msgspec.structs import replace

from loadtests.agents.plan import INSTITUTION, Plan
from loadtests.bench.child import READY_S_MAX, Child, NotReady
from loadtests.bench.local_country import FLEET, free_ports
from loadtests.bench.operations import Operations
from loadtests.bench.settings_files import write_participants, write_toml
from loadtests.day.calls import Api
from loadtests.day.settings import PERU
from runtime.files import load_fleet
from runtime.mqtt_keys import MqttKeys
from scheme.network import AgentGroup, Behaviour, Fleet, Participant

BROKER, SWITCH, FLEET_PROGRAM = "runtime.mqtt_broker", "switch", "participants"
_PROGRAMS = (BROKER, SWITCH, FLEET_PROGRAM)
_PORTS = 40
_CUSTOMERS = 150
_DEVICES = 2
_PREFUND = {"PEN": 50_000_000_000, "USD": 10_000_000}
_AT_ONCE = Behaviour(latency_ms_median=0.0, latency_sigma=0.0)
_WITHOUT_END = {"PEN": 10**11, "USD": 10**11}


class StormCountry:
    """Starts all processes and ends them.

    Args:
        home: empty folder; everything they keep goes there.
    """

    def __init__(self, plan: Plan, home: Path) -> None:
        self.home = home
        self._plan = plan
        ports = free_ports(_PORTS)
        self.tin_port, self.operator_port, self._network_port, self._iso8583_port = ports[:4]
        self.mqtt_port, *fleet_ports = ports[4:]
        home.mkdir(parents=True, exist_ok=True)
        fleet = _fleet(plan, fleet_ports)
        write_participants(home / "fleet.toml", fleet)
        _write_profile(home / "storm.toml", plan)
        self.fleet: Mapping[str, Participant] = fleet.by_code()
        self.devices = tuple(fleet.devices())
        self.keys = MqttKeys.open(home)
        self.api = Api(self.operator_port)
        self.operations = Operations(f"http://127.0.0.1:{self.operator_port}")
        self.kills: list[str] = []
        self._running: dict[str, Child] = {}

    def __enter__(self) -> Self:
        """Start them and wait until orders can flow."""
        try:
            for program in _PROGRAMS:
                self._start(program)
            for program in _PROGRAMS:
                self._running[program].ready()
            self.wait_until_open()
            self.operations.wait_until_quiet(READY_S_MAX)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def wait_until_open(self) -> None:
        """Wait until orders can flow between all simulated institutions, and agents are heard."""
        self.operations.wait_until_ready(READY_S_MAX)
        self.operations.wait_until_signed_on(READY_S_MAX)
        ends_at = time.monotonic() + READY_S_MAX
        while not self.api.get("/agents?limit=1")["broker"]["connected"]:
            if time.monotonic() > ends_at:
                raise NotReady("the switch does not reach the broker")
            time.sleep(0.05)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the processes of each program, with their children."""
        found = {}
        for program, child in list(self._running.items()):
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(child.pid)
                found[program] = [parent, *parent.children(recursive=True)]
        return found

    def kill(self, program: str) -> float:
        """End a program with ``kill -9`` and start it again; return the seconds it was away."""
        begun = time.monotonic()
        child = self._running[program]
        for one in psutil.Process(child.pid).children(recursive=True):
            os.kill(one.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        self._running.pop(program).stop()
        self._start(program)
        self._running[program].ready()
        self.wait_until_open()
        self.kills.append(program)
        return time.monotonic() - begun

    def _start(self, program: str) -> None:
        path = self.home / f"{program}.toml"
        write_toml(path, self._settings()[program])
        command = ("-m", program, "--config", str(path))
        log = self.home / f"{program}.err"
        self._running[program] = Child(program, command, core=None, log=log)

    def _stop(self) -> None:
        for program in reversed(_PROGRAMS):  # The broker last: what is said stays to be heard.
            if program in self._running:
                self._running.pop(program).stop()

    def _settings(self) -> dict[str, dict[str, Any]]:
        common: dict[str, Any] = {
            "home": str(self.home),
            "fleet": str(self.home / "fleet.toml"),
            "lifeline": True,
            "log_level": "warning",
        }
        served = common | {"profile": str(self.home / "storm.toml")}
        return {
            BROKER: common | {
                "kind": self._plan.broker,
                "port": self.mqtt_port,
                "log_file": str(self.home / "broker.log"),
            },
            SWITCH: served | {
                "tin_port": self.tin_port,
                "operator_port": self.operator_port,
                "network_port": self._network_port,
                "iso8583_port": self._iso8583_port,
                "mqtt_port": self.mqtt_port,
                "log_file": str(self.home / "switch.log"),
            },
            FLEET_PROGRAM: served | {
                "switch_url": f"http://127.0.0.1:{self.tin_port}",
                "network_url": f"http://127.0.0.1:{self._network_port}",
                "iso8583_address": f"127.0.0.1:{self._iso8583_port}",
                "latency_ms": 0.0,
                "log_file": str(self.home / "participants.log"),
            },
        }  # fmt: skip


def _fleet(plan: Plan, ports: list[int]) -> Fleet:
    """Return the usual participants on ports of their own, and as many terminals as are needed."""
    free = iter(ports)
    source = load_fleet(FLEET)
    changed = tuple(
        replace(
            one,
            port=next(free) if one.simulated else 0,
            behaviour=_AT_ONCE,
            customers=min(one.customers, _CUSTOMERS),
            prefund=_PREFUND if one.code == INSTITUTION else one.prefund,
        )
        for one in source.participant
    )
    agents = AgentGroup(INSTITUTION, -(-plan.terminals // _DEVICES), _DEVICES)
    return replace(source, participant=changed, agents=(agents,))


def _write_profile(path: Path, plan: Plan) -> None:
    """Write the usual rules, with limits of agents that a storm does not touch."""
    rules: dict[str, Any] = tomllib.loads(PERU.read_text(encoding="utf-8"))
    rules["agents"] |= {
        "offline_count": 2 * _DEVICES * plan.operations,
        "offline_minor": _WITHOUT_END,
        "float_minor": _WITHOUT_END,
    }
    write_toml(path, rules)
