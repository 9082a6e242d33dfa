"""What ``up`` is about to start: checked settings, the files of the children, their commands."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chasqui.child import Program
from scheme.network import Fleet, Participant

BROKER = "broker"
NOTIFIER = "notifier"
SWITCH = "switch"
FLEET = "fleet"
NO_BROKER = "none"
RUN_FOLDER = "run"
LOG_FOLDER = "logs"
_OWNER_ONLY = 0o600
_DRAIN_MARGIN_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that ``up`` was told, checked.

    Attributes:
        fleet_path, profile: as the children are told.
        drain_s: longest life of an order in flight.
        broker: kind of the MQTT broker, or ``none``.
        mqtt_json: say everything of the terminals once more as JSON.
        network_tls: serve the coops' port over https, as the profile or ``tls`` wants.
        latency_ms: median answering time of all institutions, or None for each one's own.
    """

    home: Path
    fleet_path: Path
    fleet: Fleet
    profile: str
    drain_s: float
    bind: str
    token: str
    tin_port: int
    operator_port: int
    network_port: int
    iso8583_port: int
    broker: str
    mqtt_port: int
    mqtt_tls_port: int
    mqtt_json: bool
    network_tls: bool
    wire_log: bool
    tls: bool
    client_certificates: bool
    log_level: str
    latency_ms: float | None

    @property
    def local_host(self) -> str:
        """Where this machine reaches the ports."""
        return "127.0.0.1" if self.bind in {"0.0.0.0", "::", ""} else self.bind  # noqa: S104

    @property
    def operator_url(self) -> str:
        """Address of the operator API."""
        return f"http://127.0.0.1:{self.operator_port}"

    @property
    def tin_url(self) -> str:
        """Address of the wire."""
        return f"{'https' if self.tls else 'http'}://{self.local_host}:{self.tin_port}"

    @property
    def network_url(self) -> str:
        """Address of the coops' network; empty where nobody is a member."""
        if not any(one.is_tiered for one in self.fleet.participant):
            return ""
        # Without TLS it is on loopback only, wherever the wire is.
        host = self.local_host if self.network_tls else "127.0.0.1"
        return f"{'https' if self.network_tls else 'http'}://{host}:{self.network_port}"

    @property
    def iso8583_address(self) -> str:
        """Host and port of the ISO 8583 lane; empty where nobody speaks it."""
        if not any(one.lane == "iso8583" for one in self.fleet.participant):
            return ""
        return f"{self.local_host}:{self.iso8583_port}"

    @property
    def has_broker(self) -> bool:
        """Whether a broker runs: for field agents, and for notices."""
        return self.broker != NO_BROKER

    @property
    def mqtt_address(self) -> str:
        """Host and port of the broker for this machine; empty if there is none."""
        return f"127.0.0.1:{self.mqtt_port}" if self.has_broker else ""

    @property
    def mqtt_tls_address(self) -> str:
        """Host and port of the broker for all others; empty if there is none."""
        return f"{self.local_host}:{self.mqtt_tls_port}" if self.has_broker else ""

    @property
    def simulated(self) -> list[Participant]:
        """Participants that the fleet plays."""
        return [one for one in self.fleet.participant if one.simulated and one.port]

    def log_path(self, name: str) -> Path:
        """Log of a child."""
        return self.home / LOG_FOLDER / f"{name}.log"

    def errors_path(self, name: str) -> Path:
        """What a child writes beside its log: where it says why it did not start."""
        return self.home / LOG_FOLDER / f"{name}.err"

    def ports(self) -> dict[int, str]:
        """Return every port to be listened on, with the setting that changes it."""
        return {
            self.tin_port: "--tin-port",
            self.operator_port: "--operator-port",
            **({self.network_port: "--network-port"} if self.network_url else {}),
            **({self.iso8583_port: "--iso8583-port"} if self.iso8583_address else {}),
            **({self.mqtt_port: "--mqtt-port"} if self.has_broker else {}),
            **({self.mqtt_tls_port: "--mqtt-tls-port"} if self.has_broker else {}),
            **{one.port: f"{self.fleet_path}: {one.code}: port" for one in self.simulated},
        }

    def programs(self) -> list[Program]:
        """Write the children's settings and return how to run them, in the order of stopping.

        The switch stops before the fleet: while it drains, the fleet still answers it. The broker
        stops last, so that what the others say at their end is still taken.
        """
        broker = [
            self._program(NOTIFIER, "switch.notifier", self._notifier(), _DRAIN_MARGIN_S),
            self._program(BROKER, "runtime.mqtt_broker", self._broker(), _DRAIN_MARGIN_S),
        ]
        return [
            self._program(SWITCH, "switch", self._switch(), self.drain_s + _DRAIN_MARGIN_S),
            self._program(FLEET, "participants", self._participants(), _DRAIN_MARGIN_S),
            *(broker if self.has_broker else []),
        ]

    def _program(
        self, name: str, module: str, settings: Mapping[str, object], stop_s: float
    ) -> Program:
        path = self.home / RUN_FOLDER / f"{name}.toml"
        write_private(path, to_toml(settings))
        command = (sys.executable, "-m", module, "--config", str(path))
        return Program(name, command, self.errors_path(name), stop_s)

    def _common(self, name: str) -> dict[str, object]:
        return {
            "home": str(self.home.resolve()),
            "fleet": str(self.fleet_path.resolve()),
            "lifeline": True,
            "log_level": self.log_level,
            "log_file": str(self.log_path(name).resolve()),
        }

    def _switch(self) -> dict[str, object]:
        return self._common(SWITCH) | {
            "profile": self.profile,
            "host": self.bind,
            "tin_port": self.tin_port,
            "operator_port": self.operator_port,
            "network_port": self.network_port,
            "iso8583_port": self.iso8583_port,
            "mqtt_port": self.mqtt_port if self.has_broker else 0,
            "mqtt_json_mirror": self.mqtt_json,
            "token": self.token,
            "tls": self.tls,
            "client_certificates": self.client_certificates,
            "wire_log": self.wire_log,
        }

    def _participants(self) -> dict[str, object]:
        settings = self._common(FLEET) | {
            "profile": self.profile,
            "switch_url": self.tin_url,
            "network_url": self.network_url,
            "iso8583_address": self.iso8583_address,
            "token": self.token,
        }
        if self.latency_ms is not None:
            settings["latency_ms"] = self.latency_ms
        return settings

    def _broker(self) -> dict[str, object]:
        return self._common(BROKER) | {
            "kind": self.broker,
            "port": self.mqtt_port,
            "tls_host": self.bind,
            "tls_port": self.mqtt_tls_port,
        }

    def _notifier(self) -> dict[str, object]:
        return self._common(NOTIFIER) | {"mqtt_host": "127.0.0.1", "mqtt_port": self.mqtt_port}


def to_toml(settings: Mapping[str, object]) -> str:
    """Return flat settings as TOML; its texts, numbers and truths are written as JSON's are."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items()
    )


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only: it may hold the token."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.touch(mode=_OWNER_ONLY)
    part.write_text(text, encoding="utf-8")
    part.replace(path)
