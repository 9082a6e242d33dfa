"""A field agent's day without coverage on a whole country: two hours alone, then everything at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.country import ROOT, WAIT_S_MAX, SupervisedCountry, until

ACQUIRER, DEVICE = "0992", "0992-0001-1"
BROKER = "runtime.mqtt_broker"
OPERATIONS = 200
INSTITUTIONS = {
    "0002": 'kind = "bank"',
    "0970": 'kind = "coop"',
    "0975": 'kind = "coop"\nlane = "iso8583"\niso8583 = { mac = "aes-cmac", bins = ["970975"] }',
}
_AGENTS = """
[[participant]]
code = "0992"
name = "RED DE AGENTES DE PRUEBA"
kind = "acquirer"
lane = "mqtt"
simulated = false

[[agents]]
institution = "0992"
agents = 2
devices = 1
"""


@pytest.fixture(
    params=["embedded", pytest.param("mosquitto", marks=pytest.mark.needs_mosquitto)]
)
def country(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SupervisedCountry]:
    home = tmp_path / "home"
    with SupervisedCountry(home, institutions=INSTITUTIONS, broker=request.param) as country:
        with country.fleet_file.open("a") as file:
            file.write(_AGENTS)
        yield country.up()


def test_two_hours_alone_are_settled_to_the_cent_whatever_the_wire_and_the_broker_do(
    country: SupervisedCountry,
) -> None:
    opening = country.operations.balances()[ACQUIRER]
    words = ("agent", "--device", DEVICE, "--offline", "2h", "--ops", str(OPERATIONS))
    spoilt = ("--duplicates", "30%", "--shuffle", "--lose", "5%", "--json")
    with subprocess.Popen(
        country.words("--operator-url", f"http://127.0.0.1:{country.operator_port}", *words, *spoilt),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as playing:
        until(lambda: country.get(f"/agents/{DEVICE}")["settled"] > OPERATIONS // 10, "in mid-sync")
        country.kill(BROKER)
        at_the_kill = country.get(f"/agents/{DEVICE}")["settled"]
        out, _ = playing.communicate(timeout=WAIT_S_MAX)

    assert playing.returncode == 0, out
    assert at_the_kill <= OPERATIONS, "the broker went in mid-sync"
    print(out)
