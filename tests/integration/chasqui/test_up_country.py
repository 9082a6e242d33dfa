"""``chasqui up`` with the real switch and a small fleet: from the first start to Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chasqui.exits import ExitCode
from runtime.mqtt_keys import MqttKeys

ROOT = Path(__file__).resolve().parents[3]
PAYER, PAYEE = "900000101", "97100220030040050213"
START_S = 40.0


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Country:
    """A country in a folder of its own, started and asked as a user does."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.tin, self.operator, self.mqtt, self.mqtt_tls, *self.fleet = free_ports(6)
        home.mkdir()
        (home / "fleet.toml").write_text(
            "".join(
                f'[[participant]]\ncode = "{code}"\nname = "COOPAC {code}"\nkind = "coop"\n'
                f"port = {port}\ncustomers = 20\n"
                for code, port in zip(("0970", "0971"), self.fleet, strict=True)
            )
            + '[[participant]]\ncode = "0985"\nname = "UNO"\nkind = "test"\nsimulated = false\n'
        )
        (home / "chasqui.toml").write_text(
            f"[up]\ntin_port = {self.tin}\noperator_port = {self.operator}\nlatency_ms = 0.0\n"
            f"mqtt_port = {self.mqtt}\nmqtt_tls_port = {self.mqtt_tls}\n"
        )
        self.process: subprocess.Popen[str] | None = None

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "chasqui", "--home", str(self.home), "--lang", "en", *words]

    def up(self) -> list[str]:
        """Start it and return what the one screen says."""
        self.process = subprocess.Popen(
            self.words("up"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip())
            if line.startswith("Ctrl-C"):
                break
        assert lines[-1].startswith("Ctrl-C"), lines
        return lines

    def down(self) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=START_S)
        return self.process.returncode, rest

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words),
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=START_S,
        )


@pytest.fixture
def country(tmp_path: Path) -> Iterator[Country]:
    country = Country(tmp_path / "home")
    yield country
    if country.process is not None:
        country.process.kill()
        country.process.communicate(timeout=10)


def test_a_country_starts_pays_survives_killed_processes_and_stops_in_order(
    country: Country,
) -> None:
    screen = country.up()
    assert f"http://127.0.0.1:{country.operator}/openapi.json" in "\n".join(screen)
    assert [line.split()[-1] for line in screen if "Listen nowhere" in line] == ["0985"]
    assert any(f"127.0.0.1:{country.mqtt}; TLS" in line for line in screen)

    paid = country.call("send", "--from", PAYER, "--to", PAYEE, "--amount", "25.50", "--json")
    document = json.loads(paid.stdout)
    assert paid.returncode == ExitCode.DONE, paid.stderr
    assert [leg["message"] for leg in document["legs"]][:4] == ["AV1", "AV2", "AV3", "AV4"]
    assert document["response_code"] == "00"

    told = json.loads((country.home / "run" / "country.json").read_text())
    assert told["pid"] == country.process.pid if country.process else False
    assert told["mqtt_address"] == f"127.0.0.1:{country.mqtt}"
    _kill_child(country, "participants")
    _kill_child(country, "runtime.mqtt_broker")
    deadline = time.monotonic() + START_S
    while country.call("reconcile", "--books").returncode != ExitCode.DONE:
        assert time.monotonic() < deadline

    while not _is_let_in("watch", country):
        assert time.monotonic() < deadline

    second = country.call("up")
    assert second.returncode == ExitCode.USAGE
    assert "in use" in second.stderr

    code, rest = country.down()
    assert code == ExitCode.DONE
    assert "fleet died (killed by SIGKILL)" in rest
    assert "broker died (killed by SIGKILL)" in rest
    assert "Stopped." in rest


def test_a_taken_port_is_named_with_its_holder_and_its_setting(country: Country) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", country.tin))
        taken.listen(1)

        result = country.call("up")

    assert result.returncode == ExitCode.USAGE
    assert f"Port {country.tin} is taken by" in result.stderr
    assert f"({os.getpid()})" in result.stderr
    assert "--tin-port" in result.stderr


def test_the_wire_is_not_opened_to_others_without_a_token(country: Country) -> None:
    result = country.call("up", "--bind", "0.0.0.0")

    assert result.returncode == ExitCode.USAGE
    assert "--token" in result.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("[up]\ntin_prot = 1\n", "tin_prot"), ('[up]\nprofile = "narnia"\n', "narnia")],
)
def test_a_wrong_setting_stops_the_start_with_file_or_key(
    country: Country, text: str, complaint: str
) -> None:
    (country.home / "chasqui.toml").write_text(text)

    result = country.call("up")

    assert result.returncode == ExitCode.USAGE
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def _is_let_in(username: str, country: Country) -> bool:
    """Tell whether the broker takes a client with its first packet."""
    secret = MqttKeys.open(country.home).password(username)
    texts = b"".join(len(one).to_bytes(2, "big") + one.encode() for one in ("x", username, secret))
    body = b"\x00\x04MQTT\x04\xc2\x00\x00" + texts
    try:
        with socket.create_connection(("127.0.0.1", country.mqtt), timeout=1.0) as client:
            client.sendall(bytes([0x10, len(body)]) + body)
            return client.recv(4) == b"\x20\x02\x00\x00"
    except OSError:
        return False


def _kill_child(country: Country, module: str) -> None:
    assert country.process is not None
    children = Path(f"/proc/{country.process.pid}/task/{country.process.pid}/children")
    for word in children.read_text().split():
        if f"-m\0{module}\0" in Path(f"/proc/{word}/cmdline").read_text():
            os.kill(int(word), signal.SIGKILL)
            return
    raise AssertionError(f"no child runs {module}")
