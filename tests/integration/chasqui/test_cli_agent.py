"""Field agents on the command line: a real broker, and a small clearing house behind it."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chasqui import agent_counter
from chasqui.commands import agent_watch
from chasqui.exits import ExitCode
from participants.agent_queue import AgentQueue, queue_path
from participants.core.agent_book import Change
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Missing,
    Operations,
    Row,
    Verdict,
    Verdicts,
)
from tests.support import agent_house
from tests.support.agent_house import CCI, House, where_is_the_broker
from tests.support.agent_switch import DEVICE, AgentSwitch
from tests.support.country import free_ports
from tests.support.fake_country import Chasqui, FakeCountry
from tests.support.mqtt import BrokerProcess, list_users

OTHER = "0992-0002-1"
REFERENCE = "2601151018300970410000000128"
house, home, switch = agent_house.house, agent_house.home, agent_house.switch


# --- at the counter


def test_a_live_operation_has_a_receipt(chasqui: Chasqui, switch: AgentSwitch) -> None:
    code, out, _err = chasqui("agent", "in", "--to", CCI, "--amount", "20")
    assert code == ExitCode.DONE
    assert f"{DEVICE}, operation 1: cash in, S/ 20.00, 975*************0101" in out
    assert "Taken: S/ 20.00." in out
    assert "show T1" in out
    assert switch.stored[1].minor == 2_000


def test_a_phone_is_paid_where_it_is_said(chasqui: Chasqui, switch: AgentSwitch) -> None:
    chasqui("agent", "transfer", "--to", "999 000 111", "--entity", "0901", "--amount", "5")
    chasqui("agent", "out", "--account", "999000111", "--amount", "5")
    kept = switch.stored
    assert (kept[1].account, kept[1].entity) == ("999000111", "0901")
    assert (kept[2].account, kept[2].entity) == (CCI, "")
    code, _out, err = chasqui("agent", "in", "--to", CCI, "--entity", "0901", "--amount", "5")
    assert code == ExitCode.USAGE
    assert "--entity: it goes with a phone" in err


def test_a_refusal_says_why(chasqui: Chasqui, switch: AgentSwitch) -> None:
    switch.judge = lambda one: Verdict(one.seq, "51", "AM09", note="minor: more than the float")
    code, out, _err = chasqui("agent", "out", "--account", CCI, "--amount", "5")
    assert code == ExitCode.REFUSED
    assert "Refused: 51 not enough funds." in out
    assert "Reason AM09" in out


def test_a_balance_and_a_statement_are_printed(chasqui: Chasqui, switch: AgentSwitch) -> None:
    data: list[tuple[Any, ...]] = [(12_345, 12_000), (Row(1_768_482_600, -500, "RETIRO"),), ()]
    switch.judge = lambda one: Verdict(one.seq, "00", data=data[one.seq - 1])
    _code, balance, _err = chasqui("agent", "balance", "--account", CCI)
    _code, statement, _err = chasqui("agent", "statement", "--account", CCI)
    _code, empty, _err = chasqui("agent", "statement", "--account", CCI)
    assert "Available: S/ 123.45; on the books: S/ 120.00." in balance
    assert "-S/ 5.00  RETIRO" in statement
    assert "No movements." in empty


def test_what_is_made_offline_is_queued_with_a_voucher_and_synced(
    chasqui: Chasqui, switch: AgentSwitch
) -> None:
    assert chasqui("agent", "sync")[0] == ExitCode.DONE
    code, out, _err = chasqui("agent", "pay", "--to", CCI, "--amount", "5", "--offline")
    assert code == ExitCode.DONE
    assert "Voucher: " in out
    assert not switch.stored
    asked = ("agent", "contribute", "--to", CCI, "--amount", "5", "--offline", "--json")
    code, out, _err = chasqui(*asked)
    row = json.loads(out)
    assert (row["state"], len(row["voucher"]), row["seq"]) == ("QUEUED", 9, 2)
    switch.judge = lambda one: Verdict(one.seq, "00" if one.seq == 1 else "14", "AC01")
    code, out, _err = chasqui("agent", "sync")
    assert code == ExitCode.DONE
    assert "The digests agree: the session is closed." in out
    assert "to be given back: S/ 5.00." in out
    assert "Bytes per operation" in out
    assert "no such account or card" in out


def test_a_terminal_stops_at_its_limits_and_says_what_to_do(
    chasqui: Chasqui, switch: AgentSwitch
) -> None:
    code, _out, err = chasqui("agent", "in", "--to", CCI, "--amount", "5", "--offline")
    assert code == ExitCode.REFUSED
    assert "never was in session" in err
    assert f"agent sync --device {DEVICE}" in err
    switch.minor = (400, 0)
    chasqui("agent", "sync")
    code, _out, err = chasqui("agent", "out", "--account", CCI, "--amount", "5", "--offline")
    assert "may still move S/ 4.00 of S/ 4.00" in err


def test_no_verdict_in_time_hands_nothing_over(chasqui: Chasqui, house: House, home: Path) -> None:
    class Slow(AgentSwitch):
        is_slow = True

        def _operations(self, message: Operations) -> list[Verdicts | Missing]:
            answers = super()._operations(message)
            return [] if self.is_slow else answers

    (home / "chasqui.toml").write_text("timeout_s = 0.4\n")
    house.switch = switch = Slow(key=house.broker.keys.device_key(DEVICE))
    code, out, _err = chasqui("agent", "out", "--account", CCI, "--amount", "5")
    assert code == ExitCode.UNKNOWN
    assert "No verdict came: hand nothing over." in out
    switch.is_slow = False
    code, out, _err = chasqui("agent", "sync", "--json")
    assert json.loads(out)["agrees"] is True
    assert list(switch.done.values()) == [1]
    house.switch = None


# --- played


def test_two_hours_alone_are_settled_whatever_the_wire_does(
    chasqui: Chasqui, switch: AgentSwitch
) -> None:
    words = ("--offline", "2h", "--ops", "60", "--duplicates", "10%", "--shuffle", "--json")
    code, out, _err = chasqui("agent", *words)
    result = json.loads(out)
    session = result["session"]
    assert code == ExitCode.DONE
    assert result["made"] == 60
    assert session["agrees"] is True
    assert session["ours"] == session["theirs"]
    assert session["bytes"]["both"]["most"] < 200
    assert set(switch.done.values()) == {1}
    spread = switch.stored[60].at - switch.stored[1].at
    assert 7_000 < spread < 7_200


def test_a_play_alone_shows_its_queue_and_where_it_stops(
    chasqui: Chasqui, switch: AgentSwitch
) -> None:
    switch.count = 4
    code, out, _err = chasqui("agent", "play", "--offline", "30m", "--ops", "9", "--kinds", "in")
    assert code == ExitCode.DONE
    assert "Made alone, and queued with a receipt each: 4." in out
    assert "as many operations as it may make alone: 4." in out
    assert "clearing house  1-4" in out


def test_live_operations_are_timed(chasqui: Chasqui, switch: AgentSwitch) -> None:
    code, out, _err = chasqui("agent", "--ops", "4", "--seed", "1", "--lose", "0.01")
    assert code == ExitCode.DONE
    assert "Live operations: 4; half of them within" in out
    assert len(switch.stored) == 4


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--offline", "soon"), "a span such as 2h"),
        (("--lose", "100%"), "a share below 100%"),
        (("--kinds", "in,gold"), "'gold': one of in, out"),
        (("--device", "0992-0009-1"), "There is no terminal 0992-0009-1."),
    ],
)
def test_a_wrong_word_is_told(
    chasqui: Chasqui, home: Path, words: tuple[str, ...], text: str
) -> None:
    code, _out, err = chasqui("agent", *words)
    assert code == ExitCode.USAGE
    assert text in err


def test_digests_that_stay_different_are_an_operators(
    chasqui: Chasqui, house: House, home: Path
) -> None:
    class Other(AgentSwitch):
        def _closing(self, closing: Closing) -> Agreement:
            return msgspec.structs.replace(super()._closing(closing), count=7, agrees=False)

    house.switch = Other(key=house.broker.keys.device_key(DEVICE))
    code, out, _err = chasqui("agent", "--ops", "2", "--kinds", "in")
    assert code == ExitCode.REFUSED
    assert "The digests differ: an operator has to look." in out
    house.switch = None


def test_what_only_the_clearing_house_has_is_not_made_alone(chasqui: Chasqui, home: Path) -> None:
    code, _out, err = chasqui("agent", "--offline", "2h", "--kinds", "balance,statement")
    assert code == ExitCode.USAGE
    assert "--kinds: Balances and statements are not made alone" in err


# --- what can be in the way


def test_a_broker_that_is_killed_at_work_is_waited_for(
    chasqui: Chasqui, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killing(AgentSwitch):
        is_killed = False

        def _operations(self, message: Operations) -> list[Verdicts | Missing]:
            if len(self.stored) == 3 and not self.is_killed:
                self.is_killed = True
                own.broker.kill()
                own.broker = BrokerProcess(tmp_path, "embedded", port=own.broker.port)
            return super()._operations(message)

    own = House(BrokerProcess(tmp_path, "embedded", port=free_ports(1)[0]))
    own.switch = Killing(key=own.broker.keys.device_key(DEVICE))
    own.start()
    assert own.is_there.wait(5)
    (tmp_path / "chasqui.toml").write_text("timeout_s = 9\n")
    monkeypatch.setenv("CHASQUI_HOME", str(tmp_path))
    where_is_the_broker(tmp_path, f"127.0.0.1:{own.broker.port}")
    try:
        code, out, _err = chasqui("agent", "--ops", "6")
    finally:
        own.stop()
        own.broker.stop()
    assert code == ExitCode.DONE
    assert "Live operations: 6;" in out
    assert set(own.switch.done.values()) == {1}


def test_a_terminal_that_is_revoked_at_work_says_so_and_ends(
    chasqui: Chasqui, house: House, home: Path
) -> None:
    class Revoking(AgentSwitch):
        def _operations(self, message: Operations) -> list[Verdicts | Missing]:
            if len(self.stored) < 3:
                return super()._operations(message)
            list_users(home, "revoked", [DEVICE])
            return []

    house.switch = Revoking(key=house.broker.keys.device_key(DEVICE))
    (home / "chasqui.toml").write_text("timeout_s = 9\n")
    try:
        code, out, err = chasqui("agent", "--ops", "9", "--kinds", "in")
    finally:
        list_users(home, "revoked", [])
        house.switch = None
    assert code == ExitCode.REFUSED, err
    assert f"The broker does not let {DEVICE} in: not authorized" in out
    assert "Was it revoked?" in out
    assert "Live operations: 3;" in out
    assert "1 operation has no verdict yet." in out


def test_the_lane_of_a_country_without_a_broker_is_told_to_be_off(
    chasqui: Chasqui, country: FakeCountry, home: Path
) -> None:
    nothing = {"error": "no such path", "field": "path", "hint": "see /openapi.json"}
    country.on("GET", "/agents", (404, nothing))
    country.on("GET", f"/agents/{DEVICE}", (404, nothing))
    country.on("POST", "/notices/members", (404, nothing))
    for words in (("agent", "list"), ("agent", "show", DEVICE), ("notices", "member", CCI)):
        code, _out, err = chasqui(*words)
        assert code == ExitCode.USAGE
        assert "runs without a broker: field agents and notices over MQTT are off" in err
        assert "up --broker embedded" in err
    country.on("GET", "/agents", (404, {"error": "no such terminal", "field": "device"}))
    assert "device: no such terminal" in chasqui("agent", "list")[2]


def test_a_broker_that_is_not_there_is_told(chasqui: Chasqui, home: Path) -> None:
    where_is_the_broker(home, f"127.0.0.1:{free_ports(1)[0]}")
    code, _out, err = chasqui("agent", "in", "--to", CCI, "--amount", "5")
    assert code == ExitCode.UNKNOWN
    assert "The broker at 127.0.0.1:" in err
    assert "up" in err
    code, _out, err = chasqui("agent", "watch")
    assert code == ExitCode.UNKNOWN
    where_is_the_broker(home, "")
    code, _out, err = chasqui("agent", "watch")
    assert code == ExitCode.USAGE
    assert "runs without a broker" in err


def test_a_clearing_house_that_does_not_answer_is_told_apart(
    chasqui: Chasqui, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_counter, "_SILENT_US", 100_000)
    (home / "chasqui.toml").write_text("timeout_s = 0.3\n")
    code, _out, err = chasqui("agent", "sync")
    assert code == ExitCode.UNKNOWN
    assert err.count("Waiting for the clearing house.") == 1
    assert "the clearing house did not answer it" in err


def test_a_revoked_terminal_is_told_what_it_is(chasqui: Chasqui, home: Path) -> None:
    list_users(home, "revoked", [OTHER])
    try:
        err = ""
        for _attempt in range(20):  # The broker looks at its files twice a second.
            code, _out, err = chasqui("agent", "sync", "--device", OTHER)
            if code == ExitCode.REFUSED:
                break
        assert f"does not let {OTHER} in" in err
        assert f"agent restore {OTHER}" in err
    finally:
        list_users(home, "revoked", [])


def test_a_terminal_that_is_played_already_is_told(chasqui: Chasqui, home: Path) -> None:
    queue = AgentQueue.open(queue_path(home, DEVICE))
    code, _out, err = chasqui("agent", "sync")
    queue.close()
    assert code == ExitCode.USAGE
    assert f"Another command plays the terminal {DEVICE}." in err


def test_a_queue_that_cannot_be_written_is_told(
    chasqui: Chasqui, switch: AgentSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: AgentQueue, change: Change) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(AgentQueue, "_save", fail)
    code, _out, err = chasqui("agent", "sync")
    assert code == ExitCode.UNKNOWN
    assert "the queue cannot be written: database or disk is full" in err
    assert not switch.session


# --- the operator


A_DEVICE = {
    "device": DEVICE,
    "is_online": True,
    "session": 3,
    "expected": 8,
    "settled": 6,
    "under_way": 2,
    "held": 1,
    "gaps": [[8, 9], [11, 11]],
    "agreed": 5,
    "heard_ms": 1_768_482_600_000,
    "skew_s": -4,
    "float_minor": {"PEN": 100_000},
}
AN_OPERATION = {
    "seq": 7,
    "kind": "CASH_OUT",
    "minor": 5_000,
    "account": "975*************0101",
    "voucher": "01AB-CDEF",
    "at": 1_768_482_600,
    "code": "61",
    "reason": "FF07",
    "reference": REFERENCE,
}


def test_the_terminals_are_listed(chasqui: Chasqui, country: FakeCountry, home: Path) -> None:
    devices = [A_DEVICE, A_DEVICE | {"device": OTHER, "is_online": False, "revoked_ms": 5}]
    pages = {"devices": devices, "broker": {"connected": False}, "next": None}
    country.on("GET", "/agents", pages)
    code, out, err = chasqui("agent", "list")
    assert code == ExitCode.DONE
    assert "not connected to the broker" in err
    assert "revoked" in out
    _code, out, _err = chasqui("agent", "list", "--online", "--json")
    assert [one["device"] for one in json.loads(out)] == [DEVICE]
    country.on("GET", "/agents", {"devices": [], "broker": {"connected": True}, "next": None})
    assert "No terminals." in chasqui("agent", "list")[1]


def test_one_terminal_is_shown(chasqui: Chasqui, country: FakeCountry, home: Path) -> None:
    country.on("GET", f"/agents/{DEVICE}", A_DEVICE)
    country.on("GET", f"/agents/{DEVICE}/operations", {"operations": [AN_OPERATION], "next": None})
    code, out, _err = chasqui("agent", "show", DEVICE)
    assert code == ExitCode.DONE
    assert "1  8-9, 11" in out
    assert "-4 s" in out
    assert REFERENCE in out
    assert "cash out" in out
    country.on("GET", f"/agents/{DEVICE}/operations", {"operations": [], "next": None})
    assert "No operations." in chasqui("agent", "show", DEVICE)[1]
    assert json.loads(chasqui("agent", "show", DEVICE, "--json")[1])["operations"] == []


def test_findings_and_tills_are_listed(chasqui: Chasqui, country: FakeCountry, home: Path) -> None:
    finding = {"at_ms": 5, "device": DEVICE, "seq": 7, "code": "94", "rule": "seq: used"}
    country.on("GET", "/agents/findings", {"findings": [finding]})
    assert f"{DEVICE}  operation 7  94" in chasqui("agent", "findings")[1]
    assert json.loads(chasqui("agent", "findings", "--json")[1])[0]["rule"] == "seq: used"
    country.on("GET", "/agents/findings", {"findings": []})
    assert "No findings" in chasqui("agent", "findings")[1]
    till = {"agent": "0992-0001", "currency": "PEN", "opening": 900, "float_minor": 800}
    country.on("GET", "/agents/tills", {"tills": [till]})
    assert "S/ 8.00" in chasqui("agent", "tills")[1]
    assert json.loads(chasqui("agent", "tills", "--json")[1])[0]["opening"] == 900


def test_a_terminal_is_revoked_and_restored(
    chasqui: Chasqui, country: FakeCountry, home: Path
) -> None:
    for action, is_revoked, text in (
        ("revoke", True, "is revoked"),
        ("restore", False, "is let in again"),
    ):
        answer = {"device": DEVICE, "revoked": is_revoked}
        country.on("POST", f"/agents/{DEVICE}/{action}", answer)
        assert text in chasqui("agent", action, DEVICE)[1]
        assert json.loads(chasqui("agent", action, DEVICE, "--json")[1]) == answer
    code, _out, err = chasqui("agent", "revoke", "0992-0009-9")
    assert code == ExitCode.USAGE
    assert "DEVICE: There is no terminal" in err


@pytest.mark.parametrize(
    ("typed", "more", "code", "text"),
    [
        ("oiab-cdef", {"code": ""}, ExitCode.DONE, "It has no verdict yet."),
        ("01ABCDEF", {"code": "00"}, ExitCode.DONE, "Verdict 00: applied."),
        ("01AB-CDE0", {}, ExitCode.REFUSED, "Not genuine"),
        ("01AB-CDEF", {"seq": 8}, ExitCode.UNKNOWN, "does not have this operation"),
    ],
)
def test_a_voucher_is_checked(
    chasqui: Chasqui,
    country: FakeCountry,
    home: Path,
    typed: str,
    more: dict[str, Any],
    code: int,
    text: str,
) -> None:
    page = {"operations": [AN_OPERATION | more], "next": None}
    country.on("GET", f"/agents/{DEVICE}/operations", page)
    words = ("agent", "voucher", typed, "--device", DEVICE, "--seq", "7")
    ended, out, _err = chasqui(*words)
    assert (ended, text in out) == (code, True)
    assert json.loads(chasqui(*words, "--json")[1])["genuine"] is (code == ExitCode.DONE)


def test_verdicts_that_were_turned_are_adopted_and_shown(
    chasqui: Chasqui, house: House, home: Path
) -> None:
    class Turning(AgentSwitch):
        def _operations(self, message: Operations) -> list[Verdicts | Missing]:
            answers = super()._operations(message)
            self.verdicts = {seq: Verdict(seq, "51") for seq in self.verdicts}
            return answers

    house.switch = Turning(key=house.broker.keys.device_key(DEVICE))
    chasqui("agent", "sync")
    chasqui("agent", "out", "--account", CCI, "--amount", "5", "--offline")
    code, out, _err = chasqui("agent", "sync")
    assert code == ExitCode.DONE
    assert "Operation 1: the clearing house says 51, not 00: adopted." in out
    assert "the agent's loss: S/ 5.00." in out
    shutil.rmtree(home / "agents")
    _code, out, _err = chasqui("agent", "sync")
    assert "it goes on with 2." in out
    assert "Nothing was left to close." in out
    house.switch = None


def test_what_is_said_is_watched(chasqui: Chasqui, switch: AgentSwitch) -> None:
    assert chasqui("agent", "sync")[0] == ExitCode.DONE
    _code, out, _err = chasqui("agent", "watch", "--device", DEVICE, "--count", "1")
    assert f"{DEVICE} -- Presence, " in out
    assert "online False" in out
    worded = {"at_ms": 5, "device": DEVICE, "topic": "u", "bytes": 9}
    agent_watch.show_worded(worded | {"said": {"message": "Closing", "count": 4}})
    operation = {"seq": 7, "kind": 2, "entity": "", "mac": "00"}
    agent_watch.show_worded(worded | {"said": {"session": 1, "operations": [operation]}})
    agent_watch.show_worded(worded | {"said": {"message": "Missing", "ranges": [[1, 2]]}})
    _code, out, _err = chasqui("agent", "watch", "--count", "1", "--json")
    assert "-> Closing, 9 B\n  count 4" in out
    assert "  session 1\n  seq 7, kind cash out, mac 00" in out
    assert "[1, 2]" in out
    out = out[out.index("{") :]
    assert json.loads(out)["said"]["message"] == "Presence"
