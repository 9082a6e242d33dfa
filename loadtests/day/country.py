"""The day's own country: a switch and a fleet on free ports, the switch killed when asked."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtests.bench.child import READY_S_MAX, Child, cores
from loadtests.bench.local_country import free_ports
from loadtests.bench.operations import Operations
from loadtests.bench.settings_files import write_toml
from loadtests.day.calls import Api
from loadtests.day.plan import Plan
from loadtests.day.settings import write_fleet, write_profile
from scheme.network import Participant

_PORTS = 40
_SWITCH, _FLEET = "switch", "participants"


class DayCountry:
    """Starts both processes, each on a core of its own, and ends them.

    Args:
        home: empty folder; everything they keep goes there.
    """

    def __init__(self, plan: Plan, home: Path) -> None:
        self.home = home
        self.tin_port, self.operator_port, self.network_port, self.iso8583_port, *ports = (
            free_ports(_PORTS)
        )
        home.mkdir(parents=True, exist_ok=True)
        self.fleet: Mapping[str, Participant] = {
            one.code: one for one in write_fleet(home / "fleet.toml", plan, ports)
        }
        write_profile(home / "day.toml", plan.approvals)
        self.api = Api(self.operator_port)
        self.operations = Operations(f"http://127.0.0.1:{self.operator_port}")
        self.kills = 0
        self._running: dict[str, Child] = {}

    def __enter__(self) -> Self:
        """Start both and wait until transfers can flow."""
        try:
            self._start(_SWITCH)
            self._start(_FLEET)
            for child in self._running.values():
                child.ready()
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
        """Wait until transfers can flow between all simulated institutions."""
        self.operations.wait_until_ready(READY_S_MAX)
        self.operations.wait_until_signed_on(READY_S_MAX)

    def kill_switch(self) -> float:
        """End the switch with ``kill -9`` and start it again; return the seconds it was away."""
        begun = time.monotonic()
        os.kill(self._running[_SWITCH].pid, signal.SIGKILL)
        self._running.pop(_SWITCH).stop()
        self._start(_SWITCH)
        self._running[_SWITCH].ready()
        self.wait_until_open()
        self.kills += 1
        return time.monotonic() - begun

    def _start(self, package: str) -> None:
        path = self.home / f"{package}.toml"
        write_toml(path, self._settings()[package])
        pinned = dict(zip((_SWITCH, _FLEET), cores() or (None, None), strict=True))[package]
        self._running[package] = Child(
            package,
            ("-m", package, "--config", str(path)),
            core=pinned,
            log=self.home / f"{package}.err",
        )

    def _stop(self) -> None:
        for child in self._running.values():
            child.stop()
        self._running.clear()

    def _settings(self) -> dict[str, dict[str, Any]]:
        common: dict[str, Any] = {
            "home": str(self.home),
            "fleet": str(self.home / "fleet.toml"),
            "profile": str(self.home / "day.toml"),
            "lifeline": True,
        }
        network = f"http://127.0.0.1:{self.network_port}"
        return {
            _SWITCH: {
                **common,
                "tin_port": self.tin_port,
                "operator_port": self.operator_port,
                "network_port": self.network_port,
                "iso8583_port": self.iso8583_port,
                "log_file": str(self.home / "switch.log"),
            },
            _FLEET: {
                **common,
                "switch_url": f"http://127.0.0.1:{self.tin_port}",
                "network_url": network,
                "iso8583_address": f"127.0.0.1:{self.iso8583_port}",
                "latency_ms": 0.0,
                "log_level": "warning",
                "log_file": str(self.home / "participants.log"),
            },
        }
