"""A field agent without coverage on a whole country: two hours alone, then everything at once."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.country import ROOT, WAIT_S_MAX, SupervisedCountry, until
from tests.support.scripted_country import PAID

ACQUIRER, AGENT, DEVICE = "0992", "0992-0001", "0992-0001-1"
BROKER = "runtime.mqtt_broker"
OPERATIONS = 200
BYTES_MAX = 200
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


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.needs_mosquitto)])
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

    told = played_while_the_broker_is_killed(country)

    assert told["made"] == OPERATIONS
    assert min(told["duplicated"], told["moved"], told["lost"]) > 0
    session = told["session"]
    assert session["agrees"]
    assert session["ours"] == session["theirs"]
    assert session["ours"]["count"] == OPERATIONS
    assert session["bytes"]["both"]["most"] <= BYTES_MAX
    applied = {one["seq"]: one for one in operations(country) if one["code"] == "00"}
    told_by_code = Counter[str]()
    for row in session["verdicts"]:
        told_by_code[row["code"]] += row["count"]
    assert told_by_code == Counter(one["code"] for one in operations(country))
    assert session["ours"]["total"] == sum(one["minor"] for one in applied.values())
    assert_books_equal(country, applied, opening)


def played_while_the_broker_is_killed(country: SupervisedCountry) -> Any:
    """Play a terminal that was alone for two hours; end the broker when it is in mid-sync."""
    command = country.words(
        *("--operator-url", f"http://127.0.0.1:{country.operator_port}"),
        *("agent", "--device", DEVICE, "--offline", "2h", "--ops", str(OPERATIONS)),
        *("--duplicates", "30%", "--shuffle", "--lose", "5%", "--json"),
    )
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as playing:
        until(lambda: settled(country) > OPERATIONS // 10, "mid-sync")
        former = country.kill(BROKER)
        # What had come by then is carried out meanwhile; it is not all.
        assert settled(country) < OPERATIONS
        out, _ = playing.communicate(timeout=WAIT_S_MAX)
    assert playing.returncode == 0, out
    assert country.children[BROKER] != former
    return json.loads(out)


def settled(country: SupervisedCountry) -> int:
    """Return the first number without a verdict."""
    return int(country.get(f"/agents/{DEVICE}")["settled"])


def operations(country: SupervisedCountry) -> list[Any]:
    """Return a terminal's operations as the clearing house has them."""
    found: list[Any] = country.get(f"/agents/{DEVICE}/operations?limit=500")["operations"]
    return found


def assert_books_equal(
    country: SupervisedCountry, applied: Mapping[int, Any], opening: int
) -> None:
    """Each approval is one order of the ledger; position, till and all books say the same."""
    country.operations.wait_until_quiet(WAIT_S_MAX)
    paid = {
        one["instruction_id"]: (one["amount"], -one["amount"] - one["fee"])
        for one in country.transfers()
        if one["debtor_agent"] == ACQUIRER and one["state"] in PAID and one["rail"] != "cash"
    }
    given = {
        one["transfer_id"]: (one["dispensed"], one["dispensed"])
        for one in country.get("/cash?limit=500")["cash"]
        if one["acquirer"] == ACQUIRER and one["dispensed"]
    }
    moved = paid | given
    assert {one["reference"]: one["minor"] for one in applied.values()} == {
        key: minor for key, (minor, _) in moved.items()
    }
    balance = country.operations.balances()[ACQUIRER]
    assert balance - opening == sum(change for _, change in moved.values())
    (till,) = [
        one
        for one in country.get("/agents/tills")["tills"]
        if one["agent"] == AGENT and one["currency"] == "PEN"
    ]
    assert till["taken"] == sum(minor for minor, _ in paid.values())
    assert till["paid"] == sum(minor for minor, _ in given.values())
    assert country.get("/audit")["clean"]
    bookless = (*country.operations.senders(), ACQUIRER)
    skip = [word for code in bookless for word in ("--skip", code)]
    assert country.json("reconcile", "--books", "--wait", "10", *skip)["different"] == []
