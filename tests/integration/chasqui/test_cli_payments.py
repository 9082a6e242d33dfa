"""``send`` and ``lookup`` against a fake country on a real socket."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from chasqui.country import Api
from chasqui.exits import ExitCode
from tests.support.fake_country import (
    INSTRUCTION,
    PAYEE_CCI,
    PAYER_CCI,
    Chasqui,
    FakeCountry,
    a_participant,
    a_payment,
    serve_payment,
)


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
        (("--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "25,50"), "as in 25.50"),
        (("--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "0"), "above zero"),
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
    assert "--from: no such account" in err


def test_a_country_that_is_not_running_is_told_with_what_to_do(chasqui: Chasqui) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"

        code, _out, err = chasqui("positions", "--operator-url", url)

    assert code == ExitCode.UNKNOWN
    assert "nothing listens there" in err
    assert err.rstrip().endswith(" up")


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
    rows = [line.split() for line in out.splitlines()]
    assert ["0971", "COOPAC", "SIMULADA", "0971", "0903"] in rows
    assert ["0901", "YAPE", "0901"] in rows


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


def test_resend_needs_to_know_what(chasqui: Chasqui) -> None:
    code, _out, err = chasqui("resend")

    assert code == ExitCode.USAGE
    assert err.rstrip().endswith(" stuck")


def test_a_payer_with_several_accounts_is_told_on_one_line(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_payment(country, a_payment())
    account = {"name": "SOCIA UNO", "cci": PAYER_CCI, "participant": "0970", "phone": "900000101"}
    country.on("GET", "/control/accounts", {"accounts": [account], "next": None})

    code, _out, err = chasqui("send", "--from", "900000101", "--to", PAYEE_CCI, "--amount", "1")

    assert code == ExitCode.DONE
    assert err == "--from: the account at 0970 COOPAC SIMULADA 0970 is used; others: 0971\n"


def test_why_nothing_was_sent_is_told_in_spanish_about_the_flag(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    refused = {
        "state": "NOT_SENT",
        "not_sent_because": "refused_here",
        "field": "amount",
        "explanation": "the account has not enough money",
    }
    serve_payment(country, a_payment(**refused, instruction_id=None, verification_id=None))

    words = ("--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "1")
    code, out, _err = chasqui("send", "--lang", "es", *words)

    assert code == ExitCode.REFUSED
    assert "--amount: la cuenta no tiene saldo suficiente" in out
    assert "Qué hacer: " in out
    assert "Comisión" not in out


def test_a_drawdown_that_is_too_much_is_told_in_soles(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    problem = {
        "error": "a drawdown takes at most what is neither reserved nor credit",
        "field": "amount",
        "hint": "at most 123456 now",
    }
    country.on("POST", "/positions/0970/drawdown", (409, problem))

    code, _out, err = chasqui("fund", "0970", "--amount", "9999", "--drawdown", "--lang", "es")

    assert code == ExitCode.REFUSED
    assert "como máximo S/ 1,234.56 ahora" in err


def two_hooks(country: FakeCountry, *, second: int) -> None:
    """Serve an institution with a whole hook beside a connector whose hook lists no accounts."""
    account = {"name": "SOCIA UNO", "cci": PAYER_CCI, "participant": "0970", "phone": "900000101"}
    everyone = [
        a_participant("0985", f"{country.url}/0985", simulated=False, kind="test"),
        a_participant("0970", country.url),
    ]
    country.on("GET", "/participants", {"participants": everyone})
    country.on("GET", "/control/accounts", {"accounts": [account], "next": None})
    country.on("GET", "/0985/control/accounts", (second, {}))


@pytest.mark.parametrize("status", [404, 501])
def test_a_hook_that_lists_no_accounts_is_passed_over_unless_it_was_asked_for(
    chasqui: Chasqui, country: FakeCountry, status: int
) -> None:
    serve_payment(country, a_payment())
    two_hooks(country, second=status)
    words = ("send", "--from", "900000101", "--to", PAYEE_CCI, "--amount", "1")

    assert chasqui(*words)[0] == ExitCode.DONE
    code, out, err = chasqui("customers", "--limit", "3")
    assert (code, PAYER_CCI in out, err) == (ExitCode.DONE, True, "")
    assert f"HTTP {status}" in chasqui(*words, "--from-entity", "0985")[2]
    assert f"HTTP {status}" in chasqui("customers", "--participant", "0985")[2]


def test_the_payer_may_be_named_by_the_wallet_that_its_bank_issues(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    two_hooks(country, second=404)
    country.on("GET", "/participants", {"participants": [a_participant("0002", country.url)]})
    words = ("send", "--from", "900000101", "--to", PAYEE_CCI, "--amount", "1", "--from-entity")
    serve_payment(country, a_payment())

    assert chasqui(*words, "0901")[0] == ExitCode.DONE
    code, _out, err = chasqui(*words, "0902")
    assert code == ExitCode.USAGE
    assert "There are: 0002" in err


def test_an_interrupted_payment_may_go_on_and_that_is_said(
    chasqui: Chasqui, country: FakeCountry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Api, "post", interrupted)

    code, _out, err = chasqui("send", "--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "1")

    assert code == ExitCode.INTERRUPTED
    assert "The payment may go on" in err


def test_a_hint_is_a_command_that_runs_as_printed(
    chasqui: Chasqui, country: FakeCountry, tmp_path: Path
) -> None:
    serve_payment(country, a_payment())

    _code, out, _err = chasqui("send", "--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "1")

    assert out.rstrip().endswith(f"chasqui --home {tmp_path / 'home'} show {INSTRUCTION}")


def test_a_suspended_country_is_not_blamed_on_the_payee(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    payment = a_payment(
        state="NOT_SENT",
        instruction_id=None,
        verification_id=None,
        field="creditor",
        explanation="the clearing house has suspended the system",
    )
    serve_payment(country, payment)

    _code, out, _err = chasqui("send", "--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "1")

    assert "--to:" not in out
    assert out.rstrip().splitlines()[-1].endswith("notice 971 NORMAL")
