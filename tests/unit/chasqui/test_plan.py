"""Where a country's ports are told to be, and which processes it has."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from chasqui.plan import Plan
from runtime.mqtt_broker.config import Config as BrokerConfig
from scheme.network import Fleet, Participant
from switch.notifier.config import NotifierConfig

NAMES = ("switch", "notifier", "broker")
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
        "broker": "embedded",
        "mqtt_port": 7084,
        "mqtt_tls_port": 7085,
        "mqtt_json": False,
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


def test_the_broker_stops_last_and_its_clients_know_it(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, SPONSOR, broker="mosquitto", bind="192.0.2.7", mqtt_json=True)

    programs = plan.programs()

    assert [one.name for one in programs] == ["switch", "fleet", "notifier", "broker"]
    assert {7084: "--mqtt-port", 7085: "--mqtt-tls-port"}.items() <= plan.ports().items()
    assert (plan.mqtt_address, plan.mqtt_tls_address) == ("127.0.0.1:7084", "192.0.2.7:7085")
    told = {name: tomllib.loads((tmp_path / f"run/{name}.toml").read_text()) for name in NAMES}
    assert (told["switch"]["mqtt_port"], told["switch"]["mqtt_json_mirror"]) == (7084, True)
    assert told["notifier"]["mqtt_port"] == 7084
    broker = told["broker"]
    assert (broker["kind"], broker["port"], broker["tls_port"]) == ("mosquitto", 7084, 7085)
    assert broker["tls_host"] == "192.0.2.7"
    assert "host" not in broker  # Without TLS it stays on loopback.


def test_without_a_broker_there_are_neither_terminals_nor_notices(tmp_path: Path) -> None:
    plan = a_plan(tmp_path, SPONSOR, broker="none")

    assert [one.name for one in plan.programs()] == ["switch", "fleet"]
    assert plan.mqtt_address == plan.mqtt_tls_address == ""
    assert not {7084, 7085} & plan.ports().keys()
    assert "mqtt_port = 0" in (tmp_path / "run/switch.toml").read_text()


def test_each_program_reads_its_settings(tmp_path: Path) -> None:
    a_plan(tmp_path, SPONSOR).programs()

    broker = BrokerConfig.read(tmp_path / "run/broker.toml")
    notifier = NotifierConfig.read(tmp_path / "run/notifier.toml")

    assert broker.kind == "embedded"
    assert notifier.mqtt_port == broker.port
