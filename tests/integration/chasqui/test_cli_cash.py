"""Cash on the command line, against a fake country on a real socket."""

import json
from typing import Any

import pytest

from chasqui.exits import ExitCode
from tests.support.fake_country import Chasqui, FakeCountry, a_participant

PHONE = "999000111"
CARD = "9709751234567890"
ID = "W20260115120000-0991-0123456789ab"


@pytest.fixture(autouse=True)
def _machines(country: FakeCountry) -> None:
    everyone = [
        a_participant("0975", country.url, lane="iso8583"),
        a_participant("0991", country.url, lane="iso8583", kind="acquirer"),
    ]
    country.on("GET", "/participants", {"participants": everyone})


def at_the_machine(state: str, **more: Any) -> dict[str, Any]:
    return {
        "state": state,
        "response_code": "00",
        "reason": "",
        "rule": "",
        "transfer_id": ID,
        "dispensed": 20_000,
        "account_balance": None,
    } | more


def test_a_code_is_told_with_what_to_do_with_it(chasqui: Chasqui, country: FakeCountry) -> None:
    account = {"name": "SOCIA", "cci": "97500100000000000101", "participant": "0975"}
    accounts = {"accounts": [account | {"phone": PHONE, "currency": "PEN"}], "next": None}
    country.on("GET", "/control/accounts", accounts)
    told = {
        "code": "01234567",
        "phone": PHONE,
        "participant": "0975",
        "amount": 20_000,
        "currency": "PEN",
        "expires_at": "2026-01-15T17:30:00+00:00",
    }
    country.on("POST", "/cash/codes", (201, told))

    code, out, _err = chasqui(
        "cash", "code", "--from", PHONE, "--amount", "200", "--from-entity", "0975"
    )

    assert code == ExitCode.DONE
    assert "Code 01234567: S/ 200.00 for the phone 999000111, until" in out
    assert f"cash withdraw --phone {PHONE} --code 01234567 --amount 200.00" in out
    asked = country.last("/cash/codes")
    assert asked.body == {
        "participant": "0975",
        "phone": PHONE,
        "account": "97500100000000000101",
        "amount": 20_000,
        "currency": "PEN",
    }
    assert asked.headers["idempotency-key"]


def test_a_code_is_for_the_account_at_a_core_if_there_is_one(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    everyone = [
        a_participant("0970", f"{country.url}/0970"),
        a_participant("0975", f"{country.url}/0975", lane="iso8583"),
    ]
    country.on("GET", "/participants", {"participants": everyone})
    for code in ("0970", "0975"):
        account = {"name": "SOCIA", "cci": f"{code[1:]}00100000000000101", "participant": code}
        rows = [account | {"phone": PHONE, "currency": "PEN"}]
        country.on("GET", f"/{code}/control/accounts", {"accounts": rows, "next": None})

    chasqui("cash", "code", "--from", PHONE, "--amount", "200")

    assert country.last("/cash/codes").body["participant"] == "0975"


def test_a_withdrawal_by_code_is_carried_to_the_machine(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("POST", "/control/cash", at_the_machine("approved"))

    code, out, _err = chasqui(
        "cash", "withdraw", "--phone", PHONE, "--code", "01234567", "--amount", "200"
    )

    assert code == ExitCode.DONE
    assert "The machine gave out S/ 200.00." in out
    assert f"show {ID}" in out
    assert country.last("/control/cash").body == {
        "kind": "withdrawal",
        "amount": 20_000,
        "currency": "PEN",
        "phone": PHONE,
        "code": "01234567",
    }


@pytest.mark.parametrize(("dispense", "minor"), [("0", 0), ("50", 5_000)])
def test_a_machine_that_falls_short_takes_the_rest_back(
    chasqui: Chasqui, country: FakeCountry, dispense: str, minor: int
) -> None:
    country.on("POST", "/control/cash", at_the_machine("reversed", dispensed=minor))

    code, out, _err = chasqui(
        "cash", "withdraw", "--card", CARD, "--amount", "200", "--dispense", dispense
    )

    assert code == ExitCode.REFUSED
    assert f"The machine gave out S/ {minor / 100:.2f}; the rest was taken back." in out
    asked = country.last("/control/cash").body
    assert (asked["dispense"], asked["card"]) == (minor, CARD)


def test_a_refusal_says_why(chasqui: Chasqui, country: FakeCountry) -> None:
    rule = "DE48.30: wrong; attempts left: 2"
    declined = at_the_machine("declined", response_code="55", reason="BE15", rule=rule)
    country.on("POST", "/control/cash", declined)

    code, out, _err = chasqui("cash", "withdraw", "--card", CARD, "--amount", "200")

    assert code == ExitCode.REFUSED
    assert "Refused: DE39 55." in out
    assert rule in out
    assert "issue a new one" in out


def test_an_outcome_that_is_not_known_is_told_as_such(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("POST", "/control/cash", at_the_machine("unknown", dispensed=0))

    code, out, _err = chasqui("cash", "withdraw", "--card", CARD, "--amount", "200")

    assert code == ExitCode.UNKNOWN
    assert "No answer came" in out


def test_cash_is_handed_in(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("POST", "/control/cash", at_the_machine("approved", dispensed=0))

    cci = "97100220030040050213"
    code, out, _err = chasqui("cash", "deposit", "--to", cci, "--amount", "120")

    assert code == ExitCode.DONE
    assert "Handed in: S/ 120.00." in out
    assert country.last("/control/cash").body["cci"] == cci


def test_a_balance_is_told(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("POST", "/control/cash", at_the_machine("approved", account_balance=123_45))

    code, out, _err = chasqui("cash", "balance", "--card", CARD)

    assert (code, out.strip()) == (ExitCode.DONE, "Available: S/ 123.45")


@pytest.mark.parametrize(
    "arguments",
    [
        ("withdraw", "--amount", "200"),
        ("withdraw", "--amount", "200", "--phone", PHONE),
        ("withdraw", "--amount", "200", "--phone", "12", "--code", "1"),
        ("withdraw", "--amount", "200", "--card", CARD, "--code", "1"),
        ("withdraw", "--amount", "200", "--card", CARD, "--machine", "0975"),
        ("withdraw", "--amount", "0", "--card", CARD),
        ("withdraw", "--amount", "200", "--card", CARD, "--dispense", "200.01"),
        ("deposit", "--amount", "200", "--to", "12"),
        ("code", "--amount", "200", "--from", "97500100000000000101"),
    ],
)
def test_what_makes_no_sense_is_not_sent(
    chasqui: Chasqui, country: FakeCountry, arguments: tuple[str, ...]
) -> None:
    code, _out, _err = chasqui("cash", *arguments)

    assert code == ExitCode.USAGE
    assert not [one for one in country.asked if one.method == "POST"]


def test_withdrawals_are_listed_page_by_page(chasqui: Chasqui, country: FakeCountry) -> None:
    row = {
        "transfer_id": ID,
        "state": "APPROVED",
        "issuer": "0975",
        "acquirer": "0991",
        "amount": 20_000,
        "dispensed": 5_000,
        "currency": "PEN",
        "created_at": "2026-01-15T17:00:00+00:00",
    }
    pages = {None: {"cash": [row], "next": ID}, ID: {"cash": [], "next": None}}
    country.on("GET", "/cash", lambda asked: pages[asked.query.get("after")])

    code, out, _err = chasqui("cash", "list", "--state", "approved")

    assert code == ExitCode.DONE
    assert country.last("/cash").query["state"] == "APPROVED"
    for text in (ID, "0975", "S/ 200.00", "S/ 50.00", "APPROVED"):
        assert text in " ".join(out.split())
    assert json.loads(chasqui("cash", "list", "--json")[1])[0]["dispensed"] == 5_000


def test_codes_are_listed_without_them(chasqui: Chasqui, country: FakeCountry) -> None:
    row = {
        "phone": "999****11",
        "participant": "0975",
        "amount": 20_000,
        "currency": "PEN",
        "attempts_left": 2,
        "expires_at": "2026-01-15T17:30:00+00:00",
        "used_by": ID,
    }
    country.on("GET", "/cash/codes", {"codes": [row], "next": None})

    code, out, _err = chasqui("cash", "codes")

    assert code == ExitCode.DONE
    assert "999****11" in out
    country.on("GET", "/cash/codes", {"codes": [], "next": None})
    assert chasqui("cash", "codes")[1].strip() == "No codes."
