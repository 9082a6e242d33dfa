"""A country for the benchmark alone: a switch and a fleet, each on a core of its own."""

import random
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from loadtests.bench.child import READY_S_MAX, Child
from loadtests.bench.operations import Operations
from loadtests.bench.orders import Debtor, Envelope, Payee, Plain, Signed
from loadtests.bench.settings_files import write_fleet, write_toml
from runtime.mqtt_keys import MqttKeys
from runtime.pki import open_pki
from scheme.clock import Clock
from scheme.wire.jws import TrustedCertificate, thumbprint

FLEET = Path(__file__).resolve().parents[2] / "participants" / "fleet.toml"
PROFILE = "peru"
TIN, ISO8583 = "tin", "iso8583"


class Mode(Struct, frozen=True):
    """What is switched on while it is measured.

    Attributes:
        lane: on which debtors and creditors speak.
        mac: algorithm of the MACs on the lane of ISO 8583.
        notices: a broker and the notifier run beside, and some payees want to be told.
    """

    name: str
    wire_log: bool
    jws: bool = False
    lane: str = TIN
    mac: str = "none"
    notices: bool = False


MODES = (
    Mode("tin", wire_log=True),
    Mode("tin_notices", wire_log=True, notices=True),
    Mode("tin_nolog", wire_log=False),
    Mode("tin_jws", wire_log=True, jws=True),
    Mode("iso8583", wire_log=True, lane=ISO8583),
    Mode("iso8583_nolog", wire_log=False, lane=ISO8583),
    Mode("iso8583_mac", wire_log=True, lane=ISO8583, mac="aes-cmac"),
)


class LocalCountry:
    """Starts a switch and a fleet, with a broker and a notifier if asked for, and stops them.

    Args:
        home: empty folder; everything they keep goes there.
        cores: processors of the switch and of the fleet, where they can be pinned.
    """

    def __init__(self, mode: Mode, home: Path, cores: tuple[int, int] | None, clock: Clock) -> None:
        self._mode = mode
        self._home = home
        self._cores = cores
        self._clock = clock
        self._stack = ExitStack()
        ports = free_ports(40)
        self.tin_port, self.operator_port, self._network_port, self.iso8583_port = ports[:4]
        self._mqtt_port, *self._fleet_ports = ports[4:]
        self.operations = Operations(f"http://127.0.0.1:{self.operator_port}")
        self.switch: Child
        self.fleet: Child

    def __enter__(self) -> Self:
        """Start them and wait until transfers can flow."""
        self._home.mkdir(parents=True, exist_ok=True)
        fleet_file = self._home / "fleet.toml"
        self._write_fleet(fleet_file)
        try:
            self._start_all(fleet_file)
            self.operations.wait_until_ready(READY_S_MAX)
            self.operations.wait_until_signed_on(READY_S_MAX)
            self.operations.wait_until_quiet(READY_S_MAX)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop them."""
        self._stack.close()

    def envelopes(self) -> Callable[[str], Envelope]:
        """Return how an agent's documents travel, by its code."""
        if not self._mode.jws:
            return lambda _: Plain()
        now = self._clock.now()
        codes = self.operations.senders()
        pki = open_pki(self._home / "pki", [*codes, "switch"], now)
        peer = TrustedCertificate.of(pki.identities["switch"].certificate, pki.ca)
        signers = {}
        for code in codes:
            identity = pki.identities[code]
            signers[code] = Signed(identity.key, thumbprint(identity.certificate), peer, now)
        return signers.__getitem__

    def enrol(self, payees: Sequence[Payee]) -> None:
        """Have some payees told of what they receive."""
        keys = MqttKeys.open(self._home)
        folder = self._home / "mqtt"
        folder.mkdir(exist_ok=True)
        part = folder / "members.part"
        part.write_text("".join(f"{keys.member_of(one.cci)}\n" for one in payees))
        part.replace(folder / "members")

    def _write_fleet(self, path: Path) -> None:
        write_fleet(path, FLEET, self._fleet_ports, jws=self._mode.jws, lanes=(TIN,))

    def _start_all(self, fleet_file: Path) -> None:
        on_switch, on_fleet = self._cores or (None, None)
        self.switch = self._start("switch", self._switch_settings(fleet_file), on_switch)
        self.fleet = self._start("participants", self._fleet_settings(fleet_file), on_fleet)
        self.switch.ready()
        self.fleet.ready()
        if self._mode.notices:
            # Never on the switch's core: what they cost it is what is measured.
            for package, settings in self._notice_settings(fleet_file).items():
                self._start(package, settings, on_fleet).ready()

    def _start(self, package: str, settings: dict[str, object], core: int | None) -> Child:
        path = self._home / f"{package}.toml"
        write_toml(path, settings)
        command = ("-m", package, "--config", str(path))
        log = self._home / f"{package}.log"
        return self._stack.enter_context(Child(package, command, core=core, log=log))

    def _switch_settings(self, fleet_file: Path) -> dict[str, object]:
        return {
            "home": str(self._home),
            "fleet": str(fleet_file),
            "profile": PROFILE,
            "tin_port": self.tin_port,
            "operator_port": self.operator_port,
            "network_port": self._network_port,
            "iso8583_port": self.iso8583_port,
            "wire_log": self._mode.wire_log,
            "lifeline": True,
            "log_level": "info",
            "log_file": str(self._home / "switch.log"),
        }

    def _notice_settings(self, fleet_file: Path) -> dict[str, dict[str, object]]:
        common = {
            "home": str(self._home),
            "fleet": str(fleet_file),
            "lifeline": True,
            "log_level": "warning",
        }
        return {
            "runtime.mqtt_broker": common | {"port": self._mqtt_port},
            "switch.notifier": common | {"mqtt_port": self._mqtt_port},
        }

    def _fleet_settings(self, fleet_file: Path) -> dict[str, object]:
        return {
            "home": str(self._home),
            "fleet": str(fleet_file),
            "profile": PROFILE,
            "switch_url": f"http://127.0.0.1:{self.tin_port}",
            "iso8583_address": f"127.0.0.1:{self.iso8583_port}",
            "lifeline": True,
            "log_level": "warning",
        }


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses at this moment."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def debtors(
    codes: Sequence[str], payees: Sequence[Payee], seed: int, envelopes: Callable[[str], Envelope]
) -> list[Debtor]:
    """Return the agents that send, each with chance of its own from one seed."""
    return [
        Debtor(code, payees, random.Random(seed * 10_000 + int(code)), envelope=envelopes(code))
        for code in codes
    ]
