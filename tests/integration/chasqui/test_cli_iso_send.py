"""``iso send`` against a clearing house of a few lines, which answers as each test wishes."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

import pytest

from runtime.iso8583_speech import KEY_CHANGE, Speech, brief_answer
from runtime.kek import kek_of
from scheme.wire.iso8583_framing import Deframer, Framing
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import encode_tlv
from tests.support.fake_country import Chasqui

CODE = "0975"
SESSION_KEY = bytes(range(16))
PAYEE = "00299900000000020212"
VERIFY = ("iso", "send", "--as", CODE, "--kind", "verify", "--to", PAYEE, "--wait", "0.5")

Answers = Callable[[Fields], list[Fields]]
"""What is said after a request that is none of the session's, in order."""


def approve(request: Fields) -> list[Fields]:
    return [brief_answer(request, "00")]


class House(threading.Thread):
    """Serves one link: a key, a sign-on, then whatever the test says."""

    def __init__(self, kek: bytes, answers: Answers, refusal: str) -> None:
        super().__init__()
        self._refusal = refusal
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._speech = Speech("ascii-1987", "aes-cmac", kek)
        self._answers = answers
        self.heard: list[Fields] = []

    def run(self) -> None:
        with closing(self._listener), self._listener.accept()[0] as link:
            framing = Framing("binary-2")
            deframer = Deframer(framing)
            while data := link.recv(4096):
                for body in deframer.feed(data):
                    for answer in self._said(self._speech.codec.decode(body)):
                        link.sendall(framing.wrap(self._speech.write(answer)))
                        if answer.get("70") == KEY_CHANGE:
                            self._speech.adopt(SESSION_KEY)

    def _said(self, request: Fields) -> list[Fields]:
        self.heard.append(request)
        if request["t"].endswith("10"):
            return []
        if request.get("70") == KEY_CHANGE:
            tags = encode_tlv(dict(self._speech.wrapped(SESSION_KEY)))
            return [{**brief_answer(request, "00"), "48": tags}]
        if request["t"] != "0800":
            return self._answers(request)
        refused = self._refusal and [brief_answer(request, "58", self._refusal)]
        return refused or approve(request)


@contextmanager
def running(
    home: Path, answers: Answers, *, kek: bytes | None = None, refusal: str = ""
) -> Iterator[House]:
    (home / "run").mkdir(parents=True, exist_ok=True)
    house = House(kek or kek_of(home, CODE, 16), answers, refusal)
    where = {
        "operator_url": "http://127.0.0.1:9",
        "tin_url": "http://127.0.0.1:9",
        "fleet": str(resources.files("participants") / "fleet.toml"),
        "pid": 1,
        "iso8583_address": f"127.0.0.1:{house.port}",
    }
    (home / "run" / "country.json").write_text(json.dumps(where))
    house.start()
    yield house
    house.join(10)
    assert not house.is_alive()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_request_is_sent_signed_on_and_its_answer_explained(chasqui: Chasqui, home: Path) -> None:
    with running(home, approve) as house:
        code, out, _ = chasqui(*VERIFY)

    assert code == 0
    assert [one.get("70") or one["t"] for one in house.heard] == ["101", "001", "0200"]
    assert "00 approved, after" in out
    assert "DE128" in out


def test_a_sign_on_that_is_refused_says_why_and_what_to_do(chasqui: Chasqui, home: Path) -> None:
    with running(home, approve, refusal="DE32: 4 links are signed on already"):
        code, _out, err = chasqui(*VERIFY)

    assert code == 1
    assert "0800 001 was answered with DE39 58: DE32: 4 links are signed on already" in err
    assert "links_max" in err


def test_a_refusal_ends_with_its_rule(chasqui: Chasqui, home: Path) -> None:
    def refuse(request: Fields) -> list[Fields]:
        return [brief_answer(request, "30", "DE13: a date MMDD")]

    with running(home, refuse):
        code, out, _ = chasqui(*VERIFY)

    assert code == 1
    assert "In detail: DE13: a date MMDD" in out.partition("30 format error, after")[2]


def test_a_key_is_no_transfer_to_look_at(chasqui: Chasqui, home: Path) -> None:
    def unknown(request: Fields) -> list[Fields]:
        return [{**brief_answer(request, "25"), "62": encode_tlv({"01": "iso:0975:1123:1:2"})}]

    with running(home, unknown):
        out = chasqui(*VERIFY)[1]

    assert "25 the original is not known" in out
    assert "Details" not in out


def test_an_answer_to_something_else_is_told_with_what_differs(
    chasqui: Chasqui, home: Path
) -> None:
    def stray_first(request: Fields) -> list[Fields]:
        return [brief_answer({**request, "11": "999999"}, "00"), *approve(request)]

    with running(home, stray_first):
        code, out, _ = chasqui(*VERIFY, "--stan", "000123")

    assert code == 0
    assert "DE11 is 999999, and 000123 in the request" in out


def test_without_an_answer_the_outcome_is_not_known(chasqui: Chasqui, home: Path) -> None:
    with running(home, lambda _: []):
        code, out, err = chasqui(*VERIFY)

    assert code == 3
    assert "Sent" in out
    assert "No answer within" in err


def test_an_order_that_comes_meanwhile_is_turned_down(chasqui: Chasqui, home: Path) -> None:
    order = {"t": "0200", "3": "400000", "11": "000001", "32": "0002", "37": "R" * 12}

    with running(home, lambda request: [order, *approve(request)]) as house:
        code, out, _ = chasqui(*VERIFY)

    assert code == 0
    assert "Turned down meanwhile" in out
    refusals = [one for one in house.heard if one["t"] == "0210"]
    assert [(one["11"], one["39"]) for one in refusals] == [("000001", "91")]


def test_a_refusal_ends_with_1_and_is_json_too(chasqui: Chasqui, home: Path) -> None:
    with running(home, lambda request: [brief_answer(request, "51", "DE4: too much")]):
        code, out, _ = chasqui(*VERIFY, "--json")

    told = json.loads(out)
    assert (code, told["response_code"]) == (1, "51")
    assert told["sent"]["message"] == "0200"
    assert told["others"] == []


def test_another_key_encrypting_key_is_named(chasqui: Chasqui, home: Path) -> None:
    with running(home, approve, kek=bytes(16)):
        code, _, err = chasqui(*VERIFY)

    assert code == 1
    assert "key check value" in err
    assert "CHASQUI_KEK_0975" in err


def test_what_is_not_waited_for_is_only_sent(chasqui: Chasqui, home: Path) -> None:
    with running(home, lambda _: []) as house:
        code, out, _ = chasqui(*VERIFY, "--no-answer", "--bad-mac")

    assert code == 0
    assert "Not waited for" in out
    assert house.heard[-1]["t"] == "0200"


def test_nobody_listens(chasqui: Chasqui, home: Path) -> None:
    with running(home, approve) as house:
        socket.create_connection(("127.0.0.1", house.port)).close()
    code, _, err = chasqui(*VERIFY)

    assert code == 3
    assert "was not reached" in err
