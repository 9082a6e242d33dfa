"""A country of real processes on free ports, in a home of its own; always ended by pid."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from loadtests.bench.child import Child
from loadtests.bench.operations import Operations
from loadtests.bench.settings_files import write_toml

ROOT = Path(__file__).resolve().parents[2]
PERU = ROOT / "scheme" / "profiles" / "peru.toml"
WAIT_S_MAX = 50.0
_LOOK_S = 0.02
# Below the range the system takes for outgoing connections: a process that was killed finds its
# port free when it comes back.
_PORTS = range(12_000, 30_000)

# Whoever waits for a peer waits for moments only; the orders themselves keep time to be answered.
HURRIED: Mapping[str, object] = {
    "ct_expiry_s": 4.0,
    "originator_ct_timeout_s": 5.0,
    "originator_retry_wait_s": 0.2,
    "pending_resend_s": [0.2, 0.5],
    "enquiry_first_s": 1.0,
    "enquiry_waits_s": [0.5],
    "enquiry_wait_max_s": 1.0,
    "owed_backoff_s": [0.1, 0.2, 0.5],
    "owed_answer_s": 3.0,
}

INSTITUTIONS: Mapping[str, str] = {
    "0002": 'kind = "bank"\nissues = "0901"\ndirectories = ["0901"]',
    "0003": 'kind = "bank"\ndirectories = ["0902"]',
    "0970": 'kind = "coop"',
    "0971": 'kind = "coop"',
    "0988": 'kind = "emoney"\ncurrencies = ["PEN"]',
}
# The same with Dale: two coops of the network, and the sponsor that settles for them.
TIERED: Mapping[str, str] = {
    **INSTITUTIONS,
    "0970": 'kind = "coop"\nledger = "dale"\nsponsor = "0987"',
    "0971": 'kind = "coop"\nledger = "dale"\nsponsor = "0987"',
    "0987": 'kind = "sponsor"',
}
_LOAD_CODES = ("0980", "0981", "0982", "0983", "0984")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses at this moment, and no outgoing connection will take."""
    rng = random.Random(os.getpid() ^ time.monotonic_ns())
    found: list[int] = []
    while len(found) < count:
        port = rng.choice(_PORTS)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def write_profile(
    path: Path, timers: Mapping[str, object], rules: Mapping[str, Any] | None = None
) -> None:
    """Write the usual rules with some of their timers, and other sections' rules, changed."""
    usual: dict[str, Any] = tomllib.loads(PERU.read_text(encoding="utf-8"))
    merge(usual, {"timers": timers, **(rules or {})})
    write_toml(path, usual)


def merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Change some values of a tree of tables."""
    for name, value in changes.items():
        if isinstance(value, Mapping) and name in into:
            merge(into[name], value)
        else:
            into[name] = value


def write_fleet(
    path: Path,
    ports: Mapping[str, int],
    *,
    customers: int,
    institutions: Mapping[str, str] = INSTITUTIONS,
) -> None:
    """Write a small fleet: institutions on these ports, and the load agents."""
    entries = [
        f'code = "{code}"\nname = "INSTITUCION SIMULADA {code}"\nport = {port}\n'
        f"customers = {customers}\n{institutions[code]}\n"
        for code, port in ports.items()
    ] + [
        f'code = "{code}"\nname = "AGENTE DE CARGA SIMULADO {code}"\nkind = "load"\n'
        'simulated = false\ncurrencies = ["PEN"]\n'
        for code in _LOAD_CODES
    ]
    path.write_text("".join(f"[[participant]]\n{entry}\n" for entry in entries), encoding="utf-8")


def until(claim: Callable[[], object], what: str, *, seconds: float = WAIT_S_MAX) -> None:
    """Wait for what other processes do."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(_LOOK_S)


def is_running(pid: int) -> bool:
    """Tell whether a process lives; one that has ended and waits to be collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Country:
    """The files of a country, and what one asks of it while it runs.

    Args:
        home: its folder, made here.
        timers: changes to the profile's timers; rules: to its other sections.
        institutions: lines of the fleet file, by code.
        broker: kind of the MQTT broker that ``up`` starts.
    """

    def __init__(
        self,
        home: Path,
        *,
        timers: Mapping[str, object] = HURRIED,
        rules: Mapping[str, Any] | None = None,
        institutions: Mapping[str, str] = INSTITUTIONS,
        customers: int = 20,
        broker: str = "none",
    ) -> None:
        self.home = home
        home.mkdir(parents=True)
        ports = free_ports(6 + len(institutions))
        self.tin_port, self.operator_port, self.network_port, self.iso8583_port, *fleet = ports
        self.mqtt_port, self.mqtt_tls_port, *fleet = fleet
        self.ports = dict(zip(institutions, fleet, strict=True))
        self.profile = home / "hurried.toml"
        self.fleet_file = home / "fleet.toml"
        write_profile(self.profile, timers, rules)
        write_fleet(self.fleet_file, self.ports, customers=customers, institutions=institutions)
        (home / "chasqui.toml").write_text(
            f'[up]\nprofile = "hurried.toml"\ntin_port = {self.tin_port}\n'
            f"operator_port = {self.operator_port}\nnetwork_port = {self.network_port}\n"
            f"iso8583_port = {self.iso8583_port}\n"
            f'broker = "{broker}"\nmqtt_port = {self.mqtt_port}\n'
            f"mqtt_tls_port = {self.mqtt_tls_port}\n"
            "latency_ms = 0.0\n"
        )
        self.operations = Operations(f"http://127.0.0.1:{self.operator_port}")

    def wait_until_open(self) -> None:
        """Wait until transfers can flow between all simulated institutions."""
        self.operations.wait_until_ready(WAIT_S_MAX)
        self.operations.wait_until_signed_on(WAIT_S_MAX)

    def words(self, *words: str) -> list[str]:
        """Return a command line of Chasqui about this country."""
        return [sys.executable, "-m", "chasqui", "--home", str(self.home), "--lang", "en", *words]

    def call(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; its exit code must be as expected, unless None is."""
        done = subprocess.run(
            self.words("--operator-url", f"http://127.0.0.1:{self.operator_port}", *words),
            check=False, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S_MAX,
        )  # fmt: skip
        assert code is None or done.returncode == code, (words, done.stdout, done.stderr)
        return done

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a command with ``--json`` and return what it says."""
        return json.loads(self.call(*words, "--json", code=code).stdout)

    def get(self, path: str) -> Any:
        """Ask the operator API."""
        return ask(self.operator_port, "GET", path)[1]

    def hook(self, code: str, path: str) -> Any:
        """Ask an institution's control API."""
        return ask(self.ports[code], "GET", f"/control/{path}")[1]

    def pay(self, code: str, order: Mapping[str, object], key: str = "") -> Any:
        """Let an institution's customer pay; return how it ended."""
        status, answer = ask(self.ports[code], "POST", "/control/payments", order, key)
        assert status == 200, answer
        return answer

    def transfers(self) -> list[Mapping[str, Any]]:
        """Return all transfers the ledger knows."""
        found: list[Mapping[str, Any]] = []
        after = ""
        while True:
            page = self.get(f"/transfers?limit=500{after}")
            found += page["transfers"]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def movements(self, code: str) -> list[Mapping[str, Any]]:
        """Return an institution's whole book of orders."""
        found: list[Mapping[str, Any]] = []
        after = 0
        while True:
            page = self.hook(code, f"movements?limit=500&after={after}")
            found += page["movements"]
            if page["next"] is None or not page["movements"]:
                return found
            after = page["next"]

    def balance(self, code: str, cci: str) -> int:
        """Return an account's booked balance in cents."""
        return int(self.hook(code, f"accounts/{cci}")["balance"])


class SupervisedCountry(Country):
    """A country under ``chasqui up``."""

    process: subprocess.Popen[str] | None = None
    screen: list[str]

    def up(self) -> Self:
        """Start it, keep what its one screen says, and wait until transfers can flow."""
        self.process = subprocess.Popen(
            self.words("up"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.screen = []
        for line in self.process.stdout:
            self.screen.append(line.rstrip())
            if line.startswith("Ctrl-C"):
                break
        assert self.screen[-1].startswith("Ctrl-C"), self.screen
        self.wait_until_open()
        return self

    @property
    def children(self) -> dict[str, int]:
        """The pids of the processes below ``up``, by module."""
        assert self.process is not None
        found = {}
        for child in psutil.Process(self.process.pid).children():
            try:
                line = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if "-m" in line:
                found[line[line.index("-m") + 1]] = child.pid
        return found

    def kill(self, module: str) -> int:
        """End a child with ``kill -9``; return the pid it had."""
        pid = self.children[module]
        os.kill(pid, signal.SIGKILL)
        return pid

    def until_back(self, module: str, former: int) -> None:
        """Wait until a killed child has a successor and transfers can flow."""
        until(lambda: self.children.get(module, former) != former, f"a new {module}")
        self.wait_until_open()

    def down(self) -> tuple[int, str]:
        """Press Ctrl-C; return the exit code and what was said since the start."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was said since the start."""
        assert self.process is not None
        rest, _ = self.process.communicate(timeout=WAIT_S_MAX)
        return self.process.returncode, rest

    def kill_up(self) -> None:
        """End ``up`` itself with ``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=WAIT_S_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is None or self.process.returncode is not None:
            return
        children = list(self.children.values()) if self.process.poll() is None else []
        self.kill_up()
        until(lambda: not any(map(is_running, children)), "no child is left")


class HandStartedCountry(Country):
    """A country whose switch and fleet are started by hand, one by one."""

    _running: dict[str, Child]

    def __enter__(self) -> Self:
        self._running = {}
        return self

    def start(self, *modules: str) -> None:
        """Start processes that do not run."""
        for module in modules:
            path = self.home / f"{module}.toml"
            path.write_text(self._settings(module))
            log = self.home / f"{module}.err"
            command = ("-m", module, "--config", str(path))
            self._running[module] = Child(module, command, core=None, log=log)
        for module in modules:
            self._running[module].ready()

    def kill(self, module: str) -> None:
        """End a process with ``kill -9``."""
        os.kill(self._running[module].pid, signal.SIGKILL)
        self._running.pop(module).stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._running.values():
            child.stop()

    def _settings(self, module: str) -> str:
        own: Mapping[str, dict[str, object]] = {
            "switch": {
                "tin_port": self.tin_port,
                "operator_port": self.operator_port,
                "network_port": self.network_port,
                "iso8583_port": self.iso8583_port,
            },
            "participants": {
                "switch_url": f"http://127.0.0.1:{self.tin_port}",
                "iso8583_address": f"127.0.0.1:{self.iso8583_port}",
                "latency_ms": 0.0,
            },
        }
        common: dict[str, object] = {
            "home": str(self.home),
            "fleet": str(self.fleet_file),
            "profile": str(self.profile),
            "lifeline": True,
            "log_file": str(self.home / f"{module}.log"),
        }
        return "".join(
            f"{name} = {json.dumps(value)}\n" for name, value in (common | own[module]).items()
        )


def ask(
    port: int, method: str, path: str, content: object = None, key: str = ""
) -> tuple[int, Any]:
    """Make one JSON call; return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S_MAX)
    try:
        body = None if content is None else json.dumps(content)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body, headers | ({"Idempotency-Key": key} if key else {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()
