"""Where a country's ports are told to be, the coops' network among them."""

from pathlib import Path
from typing import Any

import pytest

from chasqui.plan import Plan
from scheme.network import Fleet, Participant

SPONSOR = Participant(code="0987", name="SPONSOR", kind="sponsor", port=7111)
COOP = Participant(
    code="0970", name="COOPAC", kind="coop", port=7106, ledger="dale", sponsor="0987"
)


def a_plan(home: Path, *members: Participant, **changes: Any) -> Plan:
    settings: dict[str, Any] = {
        "home": home,
        "fleet_path": home / "fleet.toml",
        "fleet": Fleet(participant=members),
        "profile": "peru",
        "drain_s": 20.0,
        "bind": "127.0.0.1",
        "token": "",
        "tin_port": 7080,
        "operator_port": 7081,
        "network_port": 7082,
        "iso8583_port": 7083,
        "network_tls": False,
        "wire_log": True,
        "tls": False,
        "client_certificates": False,
        "log_level": "info",
        "latency_ms": None,
    }
    return Plan(**(settings | changes))


def test_a_country_with_a_coop_of_the_network_has_its_port(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, SPONSOR, COOP)
    assert plan.ports()[7082] == "--network-port"
    assert plan.network_url == "http://127.0.0.1:7082"
    plan.programs()
    assert 'network_url = "http://127.0.0.1:7082"' in (tmp_path / "run/fleet.toml").read_text()
    assert "network_port = 7082" in (tmp_path / "run/switch.toml").read_text()


def test_without_a_member_there_is_none(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, SPONSOR)
    assert plan.network_url == ""
    assert 7082 not in plan.ports()


@pytest.mark.parametrize(
    ("tls", "url"), [(False, "http://127.0.0.1:7082"), (True, "https://192.0.2.7:7082")]
)
def test_beyond_this_machine_it_is_reached_over_tls_only(
    tmp_path: Path, tls: bool, url: str
) -> None:
    plan = a_plan(tmp_path, SPONSOR, COOP, bind="192.0.2.7", network_tls=tls)
    assert plan.network_url == url
