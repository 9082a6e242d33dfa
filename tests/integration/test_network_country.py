"""The whole way: a switch's process with the network's port, a fleet whose coops go through it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.country import ask

FLEET = """
[[participant]]
code = "0970"
name = "COOPAC SIMULADA UNO"
kind = "coop"
ledger = "dale"
sponsor = "0987"
customers = 5

[[participant]]
code = "0971"
name = "COOPAC SIMULADA DOS"
kind = "coop"
ledger = "dale"
sponsor = "0987"
customers = 5

[[participant]]
code = "0987"
name = "SPONSOR SIMULADO"
kind = "sponsor"
simulated = false
"""
BULK = (
    "L05,H03,L03,L08\n"
    "NEWR,B202601152300000970151,97000110020030040142,+51900000888\n"
    "DEAC,B202601152300000970152,97000110020030041944,+51900000889\n"
    "REGISTROS = 2\n"
)

Start = Callable[..., dict[str, Any]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def started(module: str, **settings: object) -> dict[str, Any]:
        """Start a process of the country and return what it announces."""
        config = tmp_path / f"{module}.toml"
        common: dict[str, object] = {
            "home": str(tmp_path),
            "fleet": str(tmp_path / "fleet.toml"),
            "log_file": str(tmp_path / f"{module}.log"),
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in (common | settings).items()]
        config.write_text("\n".join(lines))
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--config", str(config)],
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        assert said["event"] == "ready", said
        return said

    yield started
    for process in reversed(running):
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "tls"])
def test_coops_look_up_and_register_through_their_network(
    tmp_path: Path, start: Start, plain: bool
) -> None:
    (tmp_path / "fleet.toml").write_text(FLEET)
    bulk = tmp_path / "network" / "bulk"
    bulk.mkdir(parents=True)
    (bulk / "0970DIRECTORIO202601152300.csv").write_text(BULK)
    tls = {} if plain else {"tls": True}
    switch = start("switch", tin_port=0, operator_port=0, network_port=0, **tls)
    scheme = "http" if plain else "https"
    fleet = start(
        "participants",
        switch_url=f"{scheme}://127.0.0.1:{switch['tin_port']}",
        network_url=f"{scheme}://127.0.0.1:{switch['network_port']}",
    )
    hook = {one["code"]: one["port"] for one in fleet["participants"]}["0970"]

    asked = {"payer": "900000101", "phone": "900000202"}
    status, found = ask(hook, "POST", "/control/lookups", asked)
    assert (status, found["state"]) == (200, "found")
    assert found["candidates"][0] == {"code": "0971", "directory": "0903"}

    outcomes = [("NEWR", ("ACTC", None)), ("NEWR", ("RJCT", "IREG")), ("DEAC", ("ACTC", None))]
    for action, outcome in outcomes:
        order = {"account": "900000101", "action": action}
        status, done = ask(hook, "POST", "/control/aliases", order)
        assert (status, (done["status"], done["reason_code"])) == (200, outcome)

    control = bulk / "0970DIRECTORIO202601152300.ctl"
    deadline = time.monotonic() + 10
    while not control.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert control.read_text().splitlines() == [
        "B202601152300000970151,ACTC",
        "B202601152300000970152,RJCT,UREG",
        "REGISTROS = 2",
    ]
    assert "network session opened" in (tmp_path / "switch.log").read_text()
