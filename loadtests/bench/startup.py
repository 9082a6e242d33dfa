"""How soon ``chasqui up`` carries a first transfer, and how much memory the idle country takes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep

import psutil
from msgspec import Struct

from loadtests.bench.child import READY_S_MAX
from loadtests.bench.local_country import FLEET, debtors, free_ports
from loadtests.bench.operations import Operations
from loadtests.bench.orders import Plain
from loadtests.bench.settings_files import write_fleet
from loadtests.bench.traffic import Book, Traffic
from scheme.clock import Clock

_IDLE_S = 2.0
_STOP_S_MAX = 30.0


class Startup(Struct, frozen=True):
    """Seconds from the command to the first completed transfer, and resident memory in MB."""

    first_s: float
    again_s: float
    rss_mb: float
    rss_mb_by_process: dict[str, float]


async def startup(home: Path, clock: Clock) -> Startup:
    """Start the country twice: on an empty folder, which it seeds, and on the seeded one."""
    tin_port, operator_port, network_port, iso8583_port, *fleet_ports = free_ports(42)
    mqtt_port, mqtt_tls_port, *fleet_ports = fleet_ports
    command = ["up", "--fleet", str(_fleet(home, fleet_ports)), "--tin-port", str(tin_port)]
    command += ["--operator-port", str(operator_port), "--network-port", str(network_port)]
    command += ["--iso8583-port", str(iso8583_port), "--mqtt-port", str(mqtt_port)]
    command += ["--mqtt-tls-port", str(mqtt_tls_port)]
    operations = Operations(f"http://127.0.0.1:{operator_port}")
    begun = perf_counter()
    with _up(home, command):
        await _first_transfer(operations, tin_port, clock)
        first_s = perf_counter() - begun
    begun = perf_counter()
    with _up(home, command) as pid:
        await _first_transfer(operations, tin_port, clock)
        again_s = perf_counter() - begun
        operations.wait_until_quiet(READY_S_MAX)
        _idle()
        memory = _memory_mb(pid)
    return Startup(first_s, again_s, sum(memory.values()), memory)


def _fleet(home: Path, ports: Sequence[int]) -> Path:
    home.mkdir(parents=True)
    path = home / "fleet.toml"
    write_fleet(path, FLEET, ports, jws=False)
    return path


async def _first_transfer(operations: Operations, tin_port: int, clock: Clock) -> None:
    operations.wait_until_ready(READY_S_MAX)
    book = Book()
    senders = debtors(operations.senders()[:1], operations.payees(1), 0, lambda _: Plain())
    traffic = Traffic(tin_port, senders, book, clock, in_flight=1)
    await traffic.sign_on()
    await traffic.run(transfers=1)
    traffic.close()
    assert book.outcomes["accepted"] == 1, book


@contextmanager
def _up(home: Path, command: list[str]) -> Iterator[int]:
    environment = {**os.environ, "CHASQUI_HOME": str(home)}
    with (home / "up.log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "chasqui", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _idle() -> None:
    sleep(_IDLE_S)


def _memory_mb(pid: int) -> dict[str, float]:
    parent = psutil.Process(pid)
    found = {"up": parent.memory_info().rss / 1e6}
    for child in parent.children(recursive=True):
        line = child.cmdline()
        name = line[line.index("-m") + 1] if "-m" in line else child.name()
        found[name] = found.get(name, 0.0) + child.memory_info().rss / 1e6
    return found
