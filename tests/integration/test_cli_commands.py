"""Every command against a fake country on a real socket."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chasqui.__main__ import run
from chasqui.exits import ExitCode
from tests.support.fake_country import Asked, FakeCountry, a_participant, running

INSTRUCTION = "2601151018300970410000000128"
VERIFICATION = "2601151018300970810000000127"
PAYER_CCI = "97000110020030040142"
PAYEE_CCI = "97100220030040050213"

Chasqui = Callable[..., tuple[int, str, str]]


@pytest.fixture
def country() -> Iterator[FakeCountry]:
    with running() as country:
        hook = {"url": country.url}
        everyone = [
            a_participant("0970", **hook),
            a_participant("0971", owed=2, signed_on=False, **hook),
            a_participant("0985", simulated=False, kind="test"),
        ]
        country.on("GET", "/participants", {"participants": everyone})
        yield country


@pytest.fixture
def chasqui(
    country: FakeCountry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Chasqui:
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.setenv("CHASQUI_LANG", "en")
    monkeypatch.setenv("CHASQUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHASQUI_OPERATOR_URL", country.url)
    monkeypatch.setenv("CHASQUI_TIN_URL", country.url)

    def call(*words: str) -> tuple[int, str, str]:
        code = run(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def a_payment(**others: Any) -> dict[str, Any]:
    return {
        "state": "FINAL",
        "instruction_id": INSTRUCTION,
        "verification_id": VERIFICATION,
        "response_code": "00",
        "reason_code": None,
        "explanation": "",
        "elapsed_ms": 12.3,
        "legs": [
            {"message": "prxy.003", "from": "0970", "to": "0998", "ms": 1.2},
            {"message": "AV1", "from": "0970", "to": "0998", "ms": 3.0},
            {"message": "AV4", "from": "0998", "to": "0970", "ms": 0.1, "response_code": "00"},
            {"message": "CT1", "from": "0970", "to": "0998", "ms": 6.0},
            {"message": "CT4", "from": "0998", "to": "0970", "ms": 0.1, "response_code": "00"},
        ],
        "candidates": [{"code": "0971", "directory": "0903"}],
        "chosen": "0971",
        "creditor": {"name": "SOC*** D***", "cci": "971*****0213", "participant": "0971"},
        "amount": 2550,
        "fee": 0,
        "currency": "PEN",
    } | others


def a_row(message: str, sender: str, receiver: str, ms: float = 1.0) -> dict[str, Any]:
    return {
        "at": "2026-01-15T15:18:30.123+00:00",
        "message": message,
        "from": sender,
        "to": receiver,
        "http_status": 200,
        "ms": ms,
        "bytes": 700,
        "body": {message: {"creditorName": "SOC***"}},
        "note": "",
    }


def a_transfer(**others: Any) -> dict[str, Any]:
    return {
        "instruction_id": INSTRUCTION,
        "state": "CONFIRMED",
        "response_code": "00",
        "reason_code": None,
        "debtor_agent": "0970",
        "creditor_agent": "0971",
        "amount": 2550,
        "fee": 0,
        "currency": "PEN",
        "created_at": "2026-01-15T15:18:30+00:00",
        "decided_at": "2026-01-15T15:18:30.010+00:00",
        "elapsed_ms": 10.0,
    } | others


def serve_payment(country: FakeCountry, payment: dict[str, Any]) -> None:
    country.on("POST", "/control/payments", payment)
    verification = [
        a_row("AV1", "0970", "0998"),
        a_row("AV2", "0998", "0971"),
        a_row("AV3", "0971", "0998"),
        a_row("AV4", "0998", "0970"),
    ]
    transfer = [
        a_row("CT1", "0970", "0998"),
        a_row("CT2", "0998", "0971"),
        a_row("CT3", "0971", "0998"),
        a_row("CT4", "0998", "0970"),
        a_row("CT5", "0998", "0971"),
    ]
    country.on("GET", f"/transfers/{VERIFICATION}", {"timeline": verification})
    country.on("GET", f"/transfers/{INSTRUCTION}", {"timeline": transfer})


def test_send_prints_every_leg_in_order_and_the_verdict(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_payment(country, a_payment())

    code, out, _err = chasqui("send", "--from", PAYER_CCI, "--to", "900000202", "--amount", "25.50")

    assert code == ExitCode.DONE
    names = ("prxy.003", "AV1", "AV2", "AV3", "AV4", "CT1", "CT2", "CT3", "CT4", "CT5")
    places = [out.index(f"{name} ") for name in names]
    assert places == sorted(places)
    assert "Paid: S/ 25.50" in out
    assert INSTRUCTION in out
    sent = country.last("/control/payments").body
    assert sent["debtor"] == PAYER_CCI
    assert sent["creditor"] == {"phone": "900000202"}
    assert (sent["amount"], sent["currency"]) == (2550, "PEN")


def test_send_in_json_is_one_object_with_the_promised_members(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_payment(country, a_payment())

    code, out, _err = chasqui(
        "send", "--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "25.50", "--json"
    )

    document = json.loads(out)
    assert code == ExitCode.DONE
    assert document["instruction_id"] == INSTRUCTION
    assert {"response_code", "reason_code", "elapsed_ms"} <= document.keys()
    assert len(document["legs"]) == 10
    assert all({"message", "from", "to", "ms"} <= leg.keys() for leg in document["legs"])


@pytest.mark.parametrize(
    ("payment", "expected", "words"),
    [
        ({"state": "REJECTED", "reason_code": "AC01"}, ExitCode.REFUSED, "AC01: the account"),
        ({"state": "NOT_SENT", "reason_code": "CH11"}, ExitCode.REFUSED, "Not sent"),
        ({"state": "PENDING", "response_code": None}, ExitCode.UNKNOWN, "Not known yet"),
        (
            {"state": "NOT_SENT", "not_sent_because": "no_answer", "explanation": "AV1: silence"},
            ExitCode.UNKNOWN,
            "AV1: silence",
        ),
    ],
)
def test_send_says_how_it_ended_by_exit_code_and_in_words(
    chasqui: Chasqui,
    country: FakeCountry,
    payment: dict[str, Any],
    expected: ExitCode,
    words: str,
) -> None:
    serve_payment(country, a_payment(**payment))

    code, out, _err = chasqui("send", "--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "1")

    assert code == expected
    assert words in out


def test_send_finds_the_payer_by_phone_among_the_institutions(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_payment(country, a_payment())
    account = {"name": "SOCIA UNO", "cci": PAYER_CCI, "participant": "0970", "phone": "900000101"}
    country.on("GET", "/control/accounts", {"accounts": [account], "next": None})

    code, _out, _err = chasqui("send", "--from", "+51 900 000 101", "--to", PAYEE_CCI, "--amount=1")

    assert code == ExitCode.DONE
    assert country.last("/control/payments").body["debtor"] == PAYER_CCI
    assert country.last("/control/accounts").query["phone"] == "900000101"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--from", "12345", "--to", PAYEE_CCI, "--amount", "1"), "neither a phone"),
        (("--from", PAYER_CCI, "--to", "somebody", "--amount", "1"), "nor the text of a QR"),
        (("--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "25,50"), "two decimals"),
        (("--from", PAYER_CCI, "--to", PAYEE_CCI), "--amount"),
        (("--from", "98900110020030040142", "--to", PAYEE_CCI, "--amount", "1"), "0989"),
        (("--from", "98500110020030040142", "--to", PAYEE_CCI, "--amount", "1"), "test hook"),
    ],
)
def test_send_refuses_wrong_arguments_before_anything_moves(
    chasqui: Chasqui, country: FakeCountry, words: tuple[str, ...], complaint: str
) -> None:
    code, _out, err = chasqui("send", *words)

    assert code == ExitCode.USAGE
    assert complaint in err
    assert not [one for one in country.asked if one.path == "/control/payments"]


def test_what_the_hook_finds_wrong_is_told_with_its_field(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    problem = {"error": "no such account", "field": "debtor"}
    country.on("POST", "/control/payments", (404, problem))

    code, _out, err = chasqui("send", "--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "1")

    assert code == ExitCode.USAGE
    assert "debtor: no such account" in err


def test_a_country_that_is_not_running_is_told_with_what_to_do(chasqui: Chasqui) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"

        code, _out, err = chasqui("positions", "--operator-url", url)

    assert code == ExitCode.UNKNOWN
    assert "nothing listens there" in err
    assert "chasqui up" in err


def test_an_answer_of_somebody_else_is_no_traceback(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/positions", b"<html>hello</html>")

    code, _out, err = chasqui("positions")

    assert code == ExitCode.UNKNOWN
    assert "something else than expected" in err


def test_lookup_lists_where_a_phone_can_be_paid(chasqui: Chasqui, country: FakeCountry) -> None:
    found = {
        "state": "found",
        "candidates": [
            {"code": "0971", "directory": "0903"},
            {"code": "0901", "directory": "0901"},
        ],
        "ms": 1.5,
    }
    country.on("POST", "/control/lookups", found)

    code, out, _err = chasqui("lookup", "900000202")

    assert code == ExitCode.DONE
    assert out.splitlines()[:2] == ["0971 (directory 0903)", "0901"]


def test_a_phone_that_is_registered_nowhere_is_a_refusal(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    answer: dict[str, Any] = {
        "state": "not_found",
        "candidates": [],
        "reason_code": None,
        "ms": 1.0,
    }
    country.on("POST", "/control/lookups", answer)

    code, out, _err = chasqui("lookup", "900099999")

    assert (code, out) == (ExitCode.REFUSED, "Nowhere: it is not registered.\n")


def test_transfers_are_fetched_page_by_page_up_to_the_limit(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    def page(asked: Asked) -> dict[str, Any]:
        first = int(asked.query.get("after", 0))
        rows = [
            a_transfer(instruction_id=f"{first + n:028}") for n in range(int(asked.query["limit"]))
        ]
        return {"transfers": rows, "next": str(first + len(rows))}

    country.on("GET", "/transfers", page)

    code, out, _err = chasqui("transfers", "--limit", "700", "--state", "CONFIRMED", "--json")

    assert code == ExitCode.DONE
    assert len(json.loads(out)) == 700
    pages = [one.query for one in country.asked if one.path == "/transfers"]
    assert [page["limit"] for page in pages] == ["500", "200"]
    assert all(page["state"] == "CONFIRMED" for page in pages)


@pytest.mark.parametrize("command", ["transfers", "participants", "customers", "positions"])
def test_tables_fit_80_columns(chasqui: Chasqui, country: FakeCountry, command: str) -> None:
    dear = a_transfer(amount=3_000_000, state="CONFIRMED", reason_code="AC01")
    country.on("GET", "/transfers", {"transfers": [dear], "next": None})
    position = {
        "ledger": "national",
        "currency": "PEN",
        "participant": "0970",
        "balance": 1_000_000_000,
        "reserved": 250_000_000,
        "available": 750_000_000,
        "alerted": True,
    }
    country.on("GET", "/positions", {"positions": [position]})
    account = {
        "name": "SOCIA UNO DEMO PRUEBA",
        "phone": "900000101",
        "cci": PAYER_CCI,
        "participant": "0970",
        "currency": "PEN",
    }
    country.on("GET", "/control/accounts", {"accounts": [account], "next": None})

    code, out, _err = chasqui(command)

    assert code == ExitCode.DONE
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "0970" in out


def test_customers_in_json_are_a_list_with_the_promised_members(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    accounts = [
        {"name": f"SOCIO {n}", "phone": f"90000{n:04}", "cci": PAYER_CCI, "participant": "0971"}
        for n in range(3)
    ]
    country.on("GET", "/control/accounts", {"accounts": accounts, "next": None})

    code, out, _err = chasqui("customers", "--participant", "0971", "--limit", "3", "--json")

    assert code == ExitCode.DONE
    document = json.loads(out)
    assert len(document) == 3
    assert {"name", "phone", "cci", "participant"} <= document[0].keys()


def test_show_tells_the_timeline_the_postings_and_what_is_owed(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    entry = {
        "kind": "principal",
        "ledger": "national",
        "currency": "PEN",
        "debit": "0970",
        "credit": "0971",
        "minor": 2550,
        "window": "national-PEN-20260115",
    }
    owed = {"participant": "0971", "message": "CT5", "age_s": 42.0, "attempts": 3}
    detail = {
        "transfer": a_transfer(state="POSTED"),
        "timeline": [a_row("CT1", "0970", "0998", 9.5), a_row("CT2", "0998", "0971", 4.0)],
        "entries": [entry],
        "owed": [owed],
        "explanation": "Posted; the creditor's institution has not acknowledged CT5.",
    }
    country.on("GET", f"/transfers/{INSTRUCTION}", detail)

    code, out, _err = chasqui("show", INSTRUCTION, "-v")

    assert code == ExitCode.DONE
    assert "10:18:30.123" in out, "Lima time"
    assert "0998 -> 0971" in out
    assert "S/ 25.50" in out
    assert "Still owed: CT5 to 0971, for 42 s, 3 attempts" in out
    assert "SOC***" in out
    assert "has not acknowledged" in out


def test_show_without_an_id_takes_the_latest_transfer(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", "/transfers", {"transfers": [a_transfer()], "next": None})
    country.on("GET", f"/transfers/{INSTRUCTION}", {"transfer": a_transfer(), "timeline": []})

    code, out, _err = chasqui("show")

    assert code == ExitCode.DONE
    assert INSTRUCTION in out


@pytest.mark.parametrize(("flags", "path"), [((), "funding"), (("--drawdown",), "drawdown")])
def test_fund_moves_cents_under_an_idempotency_key(
    chasqui: Chasqui, country: FakeCountry, flags: tuple[str, ...], path: str
) -> None:
    position = {
        "ledger": "national",
        "currency": "USD",
        "participant": "0970",
        "balance": 1,
        "reserved": 0,
        "available": 1,
    }
    country.on("POST", f"/positions/0970/{path}", {"position": position})

    code, _out, _err = chasqui("fund", "0970", "--amount", "1,000.70", "--currency", "USD", *flags)

    asked = country.last(f"/positions/0970/{path}")
    assert code == ExitCode.DONE
    assert asked.body == {"currency": "USD", "amount": 100_070}
    assert asked.headers["idempotency-key"]
    assert asked.headers["content-type"] == "application/json"


def test_a_conflict_is_a_refusal(chasqui: Chasqui, country: FakeCountry) -> None:
    problem = {"error": "more than is available", "field": "amount", "hint": "at most S/ 1.00"}
    country.on("POST", "/positions/0970/drawdown", (409, problem))

    code, _out, err = chasqui("fund", "0970", "--amount", "5", "--drawdown")

    assert code == ExitCode.REFUSED
    assert "more than is available" in err
    assert "at most S/ 1.00" in err


@pytest.mark.parametrize("action", ["signon", "signoff"])
def test_signing_on_and_off_goes_through_the_test_hook(
    chasqui: Chasqui, country: FakeCountry, action: str
) -> None:
    country.on("POST", "/control/session", {"response_code": "00", "reason_code": None})

    code, _out, _err = chasqui(action, "0971")

    assert code == ExitCode.DONE
    assert country.last("/control/session").body == {"action": action}


def test_a_refused_sign_on_is_a_refusal_with_its_meaning(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("POST", "/control/session", {"response_code": "05", "reason_code": "DNOR"})

    code, _out, err = chasqui("signon", "0971")

    assert code == ExitCode.REFUSED
    assert "DNOR: the debtor's institution" in err


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (("block", "0971"), "/participants/0971/block", {"blocked": True}),
        (("unblock", "0971"), "/participants/0971/block", {"blocked": False}),
        (("notice", "971", "suspended"), "/notices/971", {"status": "SUSPENDED"}),
        (
            ("notice", "972", "0971", "--unblocked"),
            "/notices/972",
            {"participant": "0971", "blocked": False},
        ),
        (("notice", "981", "hola"), "/notices/981", {"text": "hola"}),
        (
            ("notice", "981", "hola", "--to", "0970", "--to", "0971"),
            "/notices/981",
            {"text": "hola", "participants": ["0970", "0971"]},
        ),
        (("resend", "x:CT5"), "/stuck/resend", {"owed_id": "x:CT5"}),
        (("resend", "--participant", "0971"), "/stuck/resend", {"participant": "0971"}),
    ],
)
def test_an_operators_action_is_one_request(
    chasqui: Chasqui,
    country: FakeCountry,
    words: tuple[str, ...],
    path: str,
    body: dict[str, Any],
) -> None:
    country.on("POST", path, {})

    code, _out, _err = chasqui(*words)

    assert code == ExitCode.DONE
    assert country.last(path).body == body


def test_resend_needs_to_know_what(chasqui: Chasqui) -> None:
    code, _out, err = chasqui("resend")

    assert code == ExitCode.USAGE
    assert "chasqui stuck" in err


def test_stuck_lists_only_what_there_is(chasqui: Chasqui, country: FakeCountry) -> None:
    owed = {"owed_id": "x:CT5", "participant": "0971", "message": "CT5", "age_s": 300.0}
    country.on("GET", "/stuck", {"ct5_owed": [owed], "in_flight": []})

    code, out, _err = chasqui("stuck")

    assert code == ExitCode.DONE
    assert "Confirmations owed (CT5)" in out
    assert "5 min" in out
    assert "in flight" not in out


def test_nothing_stuck_is_said(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/stuck", {})

    assert chasqui("stuck")[:2] == (ExitCode.DONE, "Nothing is stuck.\n")


CCE_QR = (
    "000201010211263700028001039030220260115097100000123455204482953036045802PE5911SOCIO DOS D"
    "6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=6304D314"
)


def test_qr_of_an_account_comes_from_the_qr_module(
    chasqui: Chasqui, country: FakeCountry, tmp_path: Path
) -> None:
    account = {"name": "SOCIO DOS D", "cci": PAYEE_CCI, "participant": "0971"}
    country.on("GET", f"/control/accounts/{PAYEE_CCI}", account)
    fine = {"codReturn": "0", "txtReturn": "OK"}
    country.on("POST", "/qr/token", {"header": fine, "code": "0971", "token": "abc"})
    made = {"header": fine, "hash": CCE_QR, "idQr": "26011509710000012345"}
    country.on("POST", "/qr/generate", made)
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"

    code, out, _err = chasqui(
        "qr", PAYEE_CCI, "--amount", "25", "--png", str(png), "--svg", str(svg)
    )

    assert code == ExitCode.DONE
    assert CCE_QR in out
    asked = country.last("/qr/generate")
    assert asked.headers["authorization"] == "Token abc"
    assert (asked.body["data"]["qrTipo"], asked.body["data"]["importe"]) == ("12", "2500")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in svg.read_bytes()


def test_qr_of_a_wallet_carries_its_token(chasqui: Chasqui, tmp_path: Path) -> None:
    fleet = Path(__file__).parents[2] / "participants" / "fleet.toml"
    told = {"operator_url": "", "tin_url": "", "fleet": str(fleet), "pid": 1}
    path = tmp_path / "home" / "run" / "country.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(told))

    code, out, _err = chasqui("qr", "900000202", "--wallet", "yape", "--json")
    nobody, _out, err = chasqui("qr", "900000101", "--wallet", "plin")

    assert code == ExitCode.DONE
    assert "YAPERO" in json.loads(out)["text"]
    assert nobody == ExitCode.USAGE
    assert "no such wallet" in err


def test_a_qr_text_is_checked_before_it_is_drawn(chasqui: Chasqui) -> None:
    good, _out, _err = chasqui("qr", CCE_QR)
    bad, _out, err = chasqui("qr", CCE_QR[:-1] + "5")

    assert (good, bad) == (ExitCode.DONE, ExitCode.USAGE)
    assert "tag 63" in err


def test_a_message_signed_by_hand_verifies(
    chasqui: Chasqui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = tmp_path / "et1.json"
    message.write_text('{"ET1": {"participantCode": "0970"}}\n')

    code, signed, _err = chasqui("jws", "sign", str(message), "--as", "0970")
    body = tmp_path / "signed.json"
    body.write_text(signed)
    verified, payload, _err = chasqui("jws", "verify", str(body), "--from", "0970")
    stranger, _out, err = chasqui("jws", "verify", str(body), "--from", "0971")

    assert (code, verified) == (ExitCode.DONE, ExitCode.DONE)
    assert json.loads(payload) == {"ET1": {"participantCode": "0970"}}
    assert stranger == ExitCode.REFUSED
    assert "DS0D" in err
