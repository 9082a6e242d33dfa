"""``notices``: who may read what over MQTT, and with which command."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from chasqui.exits import ExitCode
from runtime.mqtt_keys import MqttKeys
from tests.support.fake_country import Chasqui, FakeCountry

MEMBER = "0123456789ab"
CCI = "97000110020030040142"
ENROLLED = {"member": MEMBER, "topic": f"cq1/m/{MEMBER}/n", "username": f"m-{MEMBER}"}
NOTICE = {
    "v": 1,
    "id": "t-1:credit",
    "kind": "credit",
    "at": "2026-11-23T12:00:00.000-05:00",
    "es": "Recibió S/ 12.30 de BANK A.",
    "en": "You received S/ 12.30 from BANK A.",
}


def told_whereabouts(home: Path, mqtt_address: str) -> None:
    path = home / "run" / "country.json"
    path.parent.mkdir(parents=True)
    told = {"operator_url": "", "tin_url": "", "fleet": "", "pid": 1, "mqtt_address": mqtt_address}
    path.write_text(json.dumps(told))


def test_a_member_is_enrolled_and_the_line_to_run_is_printed(
    chasqui: Chasqui, country: FakeCountry, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    country.on("POST", "/notices/members", ENROLLED)
    account = {"phone": "900000101", "cci": CCI, "name": "SOCIA UNO", "participant": "0970"}
    country.on("GET", "/control/accounts", {"accounts": [account], "next": None})
    told_whereabouts(home, "127.0.0.1:17084")

    code, out, _err = chasqui("notices", "member", "900 000 101", "--entity", "0970")

    assert code == ExitCode.DONE
    assert country.last("/notices/members").body == {"cci": CCI}
    file = home / "mqtt" / f"m-{MEMBER}.password"
    assert (
        f'mosquitto_sub -h 127.0.0.1 -p 17084 -u m-{MEMBER} -P "$(cat {file})" -i m-{MEMBER}'
        f" -q 1 -t cq1/m/{MEMBER}/n\n"
    ) in out
    assert file.read_text() == MqttKeys.open(home).password(f"m-{MEMBER}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_cci_is_sent_as_one_and_json_says_everything(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("POST", "/notices/members", ENROLLED)

    code, out, _err = chasqui("notices", "member", CCI, "--json")

    assert code == ExitCode.DONE
    assert country.last("/notices/members").body == {"cci": CCI}
    told = json.loads(out)
    assert (told["topic"], told["port"]) == (f"cq1/m/{MEMBER}/n", 7084)
    assert told["command"].startswith("mosquitto_sub ")


def test_an_institution_reads_its_own_topic(chasqui: Chasqui) -> None:
    code, out, _err = chasqui("notices", "institution", "0970")
    unknown, _out, err = chasqui("notices", "institution", "0001")

    assert code == ExitCode.DONE
    assert "-u i-0970" in out
    assert "-t cq1/i/0970/n" in out
    assert (unknown, "There is no participant 0001" in err) == (ExitCode.USAGE, True)


def test_what_is_neither_phone_nor_cci_is_refused(chasqui: Chasqui) -> None:
    code, _out, err = chasqui("notices", "member", "12345")

    assert code == ExitCode.USAGE
    assert "neither a phone" in err
    assert "PHONE|CCI" in err


def test_a_country_without_a_broker_says_how_to_have_one(chasqui: Chasqui, tmp_path: Path) -> None:
    told_whereabouts(tmp_path / "home", "")

    code, _out, err = chasqui("notices", "institution", "0970")

    assert code == ExitCode.USAGE
    assert "without a broker" in err


class ClientFake:
    """Hands over two notices, and something that is none."""

    def __init__(self, **told: Any) -> None:
        assert told["subscriptions"] == ("cq1/i/0970/n",)
        self._told = told

    async def run(self) -> None:
        self._told["on_up"]()
        for payload in (b"\x1b[2J", json.dumps(NOTICE).encode(), json.dumps(NOTICE).encode()):
            self._told["on_message"]("cq1/i/0970/n", payload)
        self._told["on_down"]("gone")
        await asyncio.Event().wait()


@pytest.mark.parametrize(("lang", "text"), [("es", "Recibió S/ 12.30"), ("en", "You received")])
def test_notices_are_printed_as_they_come(
    chasqui: Chasqui, monkeypatch: pytest.MonkeyPatch, lang: str, text: str
) -> None:
    monkeypatch.setattr("runtime.mqtt_client.MqttClient", ClientFake)

    code, out, err = chasqui("--lang", lang, "notices", "watch", "0970", "--count", "2")

    assert code == ExitCode.DONE
    assert out.splitlines()[1].startswith("11-23 12:00:00  " + text)
    assert "\x1b" not in out
    assert "gone" in err


class TakenOver(ClientFake):
    """Is let in, and loses its connection to somebody else at once."""

    async def run(self) -> None:
        while True:
            self._told["on_up"]()
            self._told["on_down"]("the connection was lost")
            await asyncio.sleep(0)


def test_two_who_push_each_other_out_end_with_what_to_do(
    chasqui: Chasqui, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.mqtt_client.MqttClient", TakenOver)

    code, _out, err = chasqui("notices", "watch", "0970")

    assert code == ExitCode.REFUSED
    assert "Another client of the user i-0970 pushes this one out" in err
    assert "end the other one" in err


def test_what_is_printed_for_scripts_has_no_log_in_it(chasqui: Chasqui, tmp_path: Path) -> None:
    assert not (tmp_path / "home" / "keys").exists()

    _code, out, _err = chasqui("notices", "institution", "0970", "--json")

    assert json.loads(out)["username"] == "i-0970"


def test_notices_are_printed_as_json(chasqui: Chasqui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.mqtt_client.MqttClient", ClientFake)

    code, out, _err = chasqui("notices", "watch", "0970", "--count", "3", "--json")

    assert code == ExitCode.DONE
    assert json.loads(out.splitlines()[2]) == NOTICE
