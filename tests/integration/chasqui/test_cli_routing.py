"""Routes, orders, returns, breakers and preferences, against a fake country on a real socket."""

import json
from typing import Any

import pytest

from chasqui.exits import ExitCode
from tests.support.fake_country import (
    INSTRUCTION,
    PAYEE_CCI,
    PAYER_CCI,
    Asked,
    Chasqui,
    FakeCountry,
    a_payment,
    a_row,
    a_transfer,
    serve_payment,
)
from tests.support.fake_settlement import (
    DISPUTE,
    PAYMENT,
    a_route,
    an_entry,
    an_order,
    considered,
)

PAIR = ("--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "50000")


def test_route_says_of_each_rail_why_and_what_it_costs(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", "/routes", a_route())

    code, out, _err = chasqui("route", "--from", PAYER_CCI, "--to", PAYEE_CCI, "--amount", "25.50")

    assert code == ExitCode.DONE
    asked = dict(country.last("/routes").query)
    assert asked == {
        "from": PAYER_CCI,
        "to": PAYEE_CCI,
        "amount": "2550",
        "currency": "PEN",
        "rail": "auto",
    }
    lines = out.splitlines()
    assert [name for name in ("on us", "network", "TIN", "deferred", "LBTR") if name in out] != []
    taken = next(line for line in lines if line.startswith("\N{HEAVY CHECK MARK}"))
    assert "TIN" in taken
    assert "S/ 0.80" in taken
    assert "It would take the rail TIN; the payer pays S/ 0.80 (same plaza)." in lines
    assert lines[-1].endswith("--amount 25.50 --rail auto")
    assert max(map(len, lines[:-1])) <= 80


def test_a_route_between_codes_offers_nothing_to_send(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", "/routes", a_route("network", fee=0))

    code, out, _err = chasqui("route", "--from", "0970", "--to", "0971", "--amount", "1")

    assert code == ExitCode.DONE
    assert country.last("/routes").query["from"] == "0970"
    assert "It would take the rail network, free for the payer." in out
    assert "Send it" not in out


def test_the_payer_of_a_route_may_be_a_phone(chasqui: Chasqui, country: FakeCountry) -> None:
    account = {"name": "SOCIA", "phone": "900000101", "cci": PAYER_CCI, "participant": "0970"}

    def accounts(asked: Asked) -> dict[str, Any]:
        return {"accounts": [account] if asked.query.get("phone") else [], "next": None}

    country.on("GET", "/control/accounts", accounts)
    country.on("GET", "/routes", a_route())

    chasqui("route", "--from", "900000101", "--to", "0971", "--amount", "1")

    assert country.last("/routes").query["from"] == PAYER_CCI


def test_no_route_is_a_refusal_with_its_reason(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/routes", a_route(None))

    code, out, _err = chasqui("route", *PAIR)

    assert code == ExitCode.REFUSED
    assert "It would be refused at once, before the payer is debited." in out
    assert "Reason FF07: " in out
    assert "In detail: amount: above its limit" in out


def test_route_in_json_is_what_the_country_answered(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/routes", a_route(None))

    code, out, _err = chasqui("route", *PAIR, "--json")

    assert code == ExitCode.REFUSED
    document = json.loads(out)
    assert document["rail"] is None
    assert document["refused"]["reason"] == "FF07"
    assert next(one["rail"] for one in document["considered"]) == "on_us"


@pytest.mark.parametrize(
    ("payer", "payee", "word"),
    [("nobody", PAYEE_CCI, "--from"), (PAYER_CCI, "900000202", "--to")],
)
def test_a_route_between_anything_else_is_misuse(
    chasqui: Chasqui, payer: str, payee: str, word: str
) -> None:
    code, _out, err = chasqui("route", "--from", payer, "--to", payee, "--amount", "1")

    assert code == ExitCode.USAGE
    assert f"{word}: " in err


def place(country: FakeCountry, rail: str = "deferred", **others: Any) -> None:
    country.on("GET", "/routes", a_route(rail))
    placed = {
        "payment_id": PAYMENT,
        "status": "ACSP",
        "rail": rail,
        "window": "deferred-PEN-20260115-2" if rail == "deferred" else None,
        "settlement_date": "20260115",
        "fee": 40,
        "considered": considered(rail, deferred=40),
    }
    country.on("POST", "/payments", (202, placed | others))


@pytest.mark.parametrize("rail", ["auto", "deferred"])
def test_an_order_is_placed_and_says_what_it_waits_for(
    chasqui: Chasqui, country: FakeCountry, rail: str
) -> None:
    place(country)

    code, out, _err = chasqui("send", *PAIR, "--rail", rail)

    asked = country.last("/payments")
    assert code == ExitCode.DONE
    assert asked.body == {
        "debtor_agent": "0970",
        "debtor_cci": PAYER_CCI,
        "creditor_cci": PAYEE_CCI,
        "amount": 5_000_000,
        "currency": "PEN",
        "rail": rail,
        "description": "",
    }
    assert asked.headers["idempotency-key"]
    assert "Accepted, not settled yet (ACSP): S/ 50,000.00 on the rail deferred." in out
    assert "It settles with window deferred-PEN-20260115-2; settlement date 2026-01-15." in out
    assert f"show {PAYMENT}" in out


def test_an_lbtr_order_waits_in_the_queue(chasqui: Chasqui, country: FakeCountry) -> None:
    place(country, "lbtr")

    _code, out, _err = chasqui("send", *PAIR, "--rail", "lbtr", "--idempotency-key", "k1")

    assert country.last("/payments").headers["idempotency-key"] == "k1"
    assert "It waits in the queue of the central bank" in out


def test_auto_pays_at_once_where_that_is_the_route(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/routes", a_route("tin"))
    serve_payment(country, a_payment())

    code, out, _err = chasqui("send", *PAIR, "--rail", "auto")

    assert code == ExitCode.DONE
    assert "Paid: " in out
    assert not [one for one in country.asked if one.path == "/payments"]


def test_without_a_rail_nobody_asks_for_the_route(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_payment(country, a_payment())

    assert chasqui("send", *PAIR)[0] == ExitCode.DONE
    assert not [one for one in country.asked if one.path == "/routes"]


def test_an_order_without_a_route_is_not_placed(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/routes", a_route(None))

    code, out, _err = chasqui("send", *PAIR, "--rail", "lbtr")

    assert code == ExitCode.REFUSED
    assert "FF07" in out
    assert not [one for one in country.asked if one.path == "/payments"]


def test_a_refused_order_names_the_flag(chasqui: Chasqui, country: FakeCountry) -> None:
    place(country)
    problem = {"error": "the line of 0970 in the network is short", "field": "amount"}
    country.on("POST", "/payments", (409, problem | {"hint": "at most 12345 now"}))

    code, _out, err = chasqui("send", *PAIR, "--rail", "deferred")

    assert code == ExitCode.REFUSED
    assert "--amount: the line of 0970" in err
    assert "at most S/ 123.45 now" in err


@pytest.mark.parametrize("payee", ["900000202", "00020101021126"])
def test_an_order_needs_the_creditors_cci(chasqui: Chasqui, payee: str) -> None:
    code, _out, err = chasqui(
        "send", "--from", PAYER_CCI, "--to", payee, "--amount", "9", "--rail", "deferred"
    )

    assert code == ExitCode.USAGE
    assert "--to: an order on the rail deferred needs the creditor's CCI." in err


def test_orders_are_listed_by_status_and_window(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/payments", {"payments": [an_order()], "next": None})

    code, out, _err = chasqui("payments", "--status", "acsp", "--window", "w", "--limit", "7")

    assert code == ExitCode.DONE
    assert country.last("/payments").query == {"status": "ACSP", "window": "w", "limit": "7"}
    assert PAYMENT in out
    assert max(len(line) for line in out.splitlines()) <= 80
    country.on("GET", "/payments", {"payments": [], "next": None})
    assert chasqui("payments")[1] == "No orders.\n"
    assert chasqui("payments", "--json")[1] == "[]\n"


def test_show_of_an_order_has_rails_entries_and_the_end(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    entries = [
        an_entry(ledger="sponsor", debit="0970", credit="0987", window=""),
        an_entry(ledger="deferred", window="deferred-PEN-20260115-2"),
    ]
    why = "its exchange cycle was settled without it"
    detail = {
        "payment": an_order(status="RJCT", why=why),
        "considered": considered("deferred"),
        "entries": entries,
        "owed": [{"participant": "0970", "message": "pacs.002"}],
        "returns": [{"return_id": "r", "amount": 100, "reason": "FOCR"}],
    }
    country.on("GET", f"/payments/{PAYMENT}", detail)

    code, out, _err = chasqui("show", PAYMENT)

    assert code == ExitCode.DONE
    assert "sponsor   principal  0970 -> 0987" in out
    assert "Rejected (RJCT): S/ 50,000.00 on the rail deferred; the payer has it back." in out
    assert f"In detail: {why}" in out
    assert "Still owed: pacs.002 to 0970" in out
    assert "Returned: S/ 1.00" in out
    assert json.loads(chasqui("show", PAYMENT, "--json")[1])["payment"]["status"] == "RJCT"


def test_show_of_a_transfer_has_its_rail_and_the_entries_of_each_ledger(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    said = [{name: one[name] for name in one if name != "fee"} for one in considered("tin")]
    detail = {
        "transfer": a_transfer(settlement_date="20260115"),
        "timeline": [a_row("CT1", "0970", "0998")],
        "decision": {"rule": "", "decided_by": "creditor", "rail": "tin", "considered": said},
        "entries": [
            an_entry(ledger="dale", debit="0970", credit="0987", window="dale-PEN-20260115-1"),
            an_entry(kind="interbank_fee", minor=80),
        ],
    }
    country.on("GET", f"/transfers/{INSTRUCTION}", detail)

    _code, out, _err = chasqui("show", INSTRUCTION)

    assert "Rail             TIN" in out
    assert "Settlement date  2026-01-15" in out
    assert "not both are coops of one network" in out
    assert "dale      principal  0970 -> 0987  S/ 25.50  dale-PEN-20260115-1" in out
    assert "national  fee        0987 -> 0002   S/ 0.80" in out
    assert "S/ 0.00" not in out, "nobody said what the other rails would have cost"


def serve_return(country: FakeCountry) -> None:
    country.on("GET", f"/transfers/{INSTRUCTION}", {"transfer": a_transfer()})
    answer = {
        "return_id": "R1",
        "transfer_id": INSTRUCTION,
        "amount": 1000,
        "currency": "PEN",
        "reason": "DUPL",
        "left": 1550,
        "windows": {"national": DISPUTE},
    }
    country.on("POST", f"/transfers/{INSTRUCTION}/returns", (201, answer))


def test_return_gives_part_of_a_transfer_back(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_return(country)

    code, out, _err = chasqui("return", INSTRUCTION, "--amount", "10", "--reason", "dupl")

    asked = country.last(f"/transfers/{INSTRUCTION}/returns")
    assert code == ExitCode.DONE
    assert asked.body == {"amount": 1000, "reason": "DUPL"}
    assert asked.headers["idempotency-key"]
    assert "Returned: S/ 10.00 from 0971 to 0970." in out
    assert "Left of the transfer: S/ 15.50" in out
    assert f"It settles with: {DISPUTE}" in out


def test_return_without_an_amount_is_of_the_whole(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_return(country)

    code, out, _err = chasqui("return", INSTRUCTION, "--json")

    assert code == ExitCode.DONE
    asked = country.last(f"/transfers/{INSTRUCTION}/returns")
    assert asked.body == {"amount": 2550, "reason": "FOCR"}
    assert json.loads(out)["return_id"] == "R1"


def test_an_order_can_be_returned_too(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", f"/payments/{PAYMENT}", {"payment": an_order(status="ACSC")})
    problem = {"error": "only a settled transfer can be returned", "field": "id", "hint": "GET /x"}
    country.on("POST", f"/transfers/{PAYMENT}/returns", (409, problem))

    code, _out, err = chasqui("return", PAYMENT)

    assert code == ExitCode.REFUSED
    assert country.last(f"/transfers/{PAYMENT}/returns").body["amount"] == 5_000_000
    assert "only a settled transfer can be returned" in err


def test_what_was_never_a_transfer_cannot_be_returned(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", f"/transfers/{INSTRUCTION}", {"transfer": None})

    code, _out, err = chasqui("return", INSTRUCTION)

    assert code == ExitCode.USAGE
    assert "is no transfer" in err


def a_breaker(**others: Any) -> dict[str, Any]:
    return {
        "participant": "0971",
        "rail": "tin",
        "state": "CLOSED",
        "requests": 1200,
        "failed": 3,
        "rule": "at least 80 % of the requests failed for more than 36 s, of 5 or more",
        "since": None,
    } | others


def test_breakers_say_their_state_and_what_comes_next(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    at = "2026-01-15T15:18:30+00:00"
    found = [
        a_breaker(),
        a_breaker(participant="0972", opens_at=at),
        a_breaker(participant="0973", state="OPEN", since=at, half_opens_at=at, requests=0),
        a_breaker(participant="0974", state="HALF_OPEN", since=at),
        a_breaker(participant="0002", state="OPEN", since=at, forced=True),
    ]
    country.on("GET", "/breakers", {"breakers": found})

    code, out, _err = chasqui("breakers")

    assert code == ExitCode.DONE
    by_code = {line[:4]: line for line in out.splitlines()}
    assert "closed" in by_code["0971"]
    assert "3 of 1,200" in by_code["0971"]
    assert by_code["0972"].endswith("opens 01-15 10:18:30")
    assert by_code["0973"].endswith("tried again 01-15 10:18:30")
    assert "half-open" in by_code["0974"]
    assert "until an operator closes it" in out
    assert "opens when at least 80 % of the requests failed" in out
    assert [one["participant"] for one in json.loads(chasqui("breakers", "--json")[1])] == [
        one["participant"] for one in found
    ]


def test_breakers_of_one_institution_may_be_none(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/breakers", {"breakers": [a_breaker()]})

    assert "all breakers are closed" in chasqui("breakers", "--participant", "0002")[1]


@pytest.mark.parametrize(("action", "state"), [("open", "open"), ("close", "closed")])
def test_a_breaker_is_set_by_hand(
    chasqui: Chasqui, country: FakeCountry, action: str, state: str
) -> None:
    country.on("POST", "/breakers/0971/tin", {})

    code, out, _err = chasqui("breakers", action, "0971", "tin")

    assert code == ExitCode.DONE
    assert country.last("/breakers/0971/tin").body == {"state": state}
    assert out == f"The breaker of 0971 on the rail TIN is {state}.\n"
    document = json.loads(chasqui("breakers", action, "0971", "tin", "--json")[1])
    assert document == {"participant": "0971", "rail": "tin", "state": state}


def test_a_breaker_without_its_rail_is_misuse(chasqui: Chasqui) -> None:
    code, _out, err = chasqui("breakers", "open", "0971")

    assert code == ExitCode.USAGE
    assert "breakers open 0002 tin" in err


def test_preferences_are_listed_set_and_removed(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("PUT", "/preferences", {})
    country.on("GET", "/preferences", {"preferences": []})

    assert "the profile's order holds" in chasqui("prefer")[1]
    code, out, _err = chasqui("prefer", "0970", "0971", "deferred", "tin")
    assert code == ExitCode.DONE
    pair = {"debtor": "0970", "creditor": "0971"}
    assert country.last("/preferences").body == pair | {"rails": ["deferred", "tin"]}
    assert "in this order: deferred, TIN." in out
    assert "all rails" in chasqui("prefer", "0970", "0971", "--remove")[1]
    assert country.last("/preferences").body == pair | {"rails": []}
    country.on("GET", "/preferences", {"preferences": [pair | {"rails": ["lbtr"]}]})
    assert "0970  0971  LBTR" in chasqui("prefer")[1]
    assert json.loads(chasqui("prefer", "--json")[1]) == [pair | {"rails": ["lbtr"]}]


@pytest.mark.parametrize(
    "words",
    [("0970",), ("0970", "0971"), ("--remove",), ("0970", "0971", "tin", "--remove")],
)
def test_half_a_preference_is_misuse(chasqui: Chasqui, words: tuple[str, ...]) -> None:
    assert chasqui("prefer", *words)[0] == ExitCode.USAGE


def test_show_of_a_posted_transfer_has_what_went_back(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", f"/transfers/{INSTRUCTION}", {"transfer": a_transfer()})
    back = {"return_id": "R1", "amount": 500, "reason": "DUPL", "at": "2026-01-15T15:18:30+00:00"}
    country.on("GET", f"/transfers/{INSTRUCTION}/returns", {"returns": [back]})

    assert "Returned: S/ 5.00, 01-15 10:18:30, DUPL" in chasqui("show", INSTRUCTION)[1]
    assert json.loads(chasqui("show", INSTRUCTION, "--json")[1])["returns"][0]["amount"] == 500


def test_spanish_has_its_own_words_for_all_of_it(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/routes", a_route())

    out = chasqui("route", *PAIR, "--lang", "es")[1]

    assert "diferida" in out
    assert "ordenante y beneficiario están en instituciones distintas" in out
    assert "sobre el límite de una transferencia inmediata" not in out, "TIN was taken"
    assert "la vía lbtr admite órdenes de 07:45:00 a 18:00:00" in out
    assert "Iría por la vía TIN; el ordenante paga S/ 0.80 (misma plaza)." in out
