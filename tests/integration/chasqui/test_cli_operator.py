"""What an operator asks and does, against a fake country on a real socket."""

import json
from typing import Any

import pytest

from chasqui.exits import ExitCode
from tests.support.fake_country import (
    INSTRUCTION,
    PAYER_CCI,
    Asked,
    Chasqui,
    FakeCountry,
    a_participant,
    a_row,
    a_transfer,
)


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
    assert "Still owed: CT5 to 0971, for 42 s, attempts: 3" in out
    assert "SOC***" in out
    assert "Its confirmation (CT5) is still owed to 0971." in out


def test_show_without_an_id_takes_the_latest_transfer(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", "/transfers", {"transfers": [a_transfer()], "next": None})
    country.on("GET", f"/transfers/{INSTRUCTION}", {"transfer": a_transfer(), "timeline": []})

    code, out, _err = chasqui("show")

    assert code == ExitCode.DONE
    assert INSTRUCTION in out


def a_refused_order(at: str = "2026-01-15T15:18:31.000+00:00") -> list[dict[str, Any]]:
    answer = a_row("CT4", "0998", "0970", 2.0) | {
        "at": at,
        "response_code": "05",
        "reason_code": "FF02",
        "note": "amount: a whole number is needed",
        "subject": INSTRUCTION,
    }
    return [a_row("CT1", "0970", "0998") | {"ms": None, "http_status": None}, answer]


def test_wire_lists_the_last_messages_with_what_was_wrong(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", "/wire", {"messages": a_refused_order()})

    code, out, _err = chasqui("wire", "--participant", "0970", "--limit", "7")

    assert code == ExitCode.DONE
    assert country.last("/wire").query == {"participant": "0970", "limit": "7"}
    assert "0998 -> 0970" in out
    assert "05 FF02" in out
    assert f"10:18:31.000 CT4 {INSTRUCTION}: amount: " in out
    assert "SOC***" not in out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "SOC***" in chasqui("wire", "-v")[1]
    assert country.last("/wire").query == {"limit": "20"}


def test_wire_shows_the_day_where_there_are_several(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/wire", {"messages": a_refused_order("2026-01-16T15:18:31.000+00:00")})

    _code, out, _err = chasqui("wire")

    assert "01-16 10:18:31" in out


def test_wire_in_json_is_a_list_with_the_id_of_each(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/wire", {"messages": a_refused_order()})

    code, out, _err = chasqui("wire", "--json")

    assert code == ExitCode.DONE
    assert [one["subject"] for one in json.loads(out)] == [None, INSTRUCTION]
    assert json.loads(out)[0]["from"] == "0970"


def test_what_a_malformed_message_says_drives_no_terminal(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    hostile = a_row("CT1", "\x1b[2J", "\x9b0m" + "x" * 90) | {
        "body": "\x1b[2J\x9b",
        "note": "\x1b[",
    }
    country.on("GET", "/wire", {"messages": [hostile]})

    code, out, _err = chasqui("wire", "-v")

    assert code == ExitCode.DONE
    assert not {"\x1b", "\x9b"} & set(out)
    assert "x" * 10 not in out


def test_no_messages_is_said(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/wire", {"messages": []})

    said = "No messages: none came, or the wire log is off.\n"
    assert chasqui("wire")[:2] == (ExitCode.DONE, said)


@pytest.mark.parametrize("limit", ["0", "501"])
def test_wire_has_a_limit_of_its_own(chasqui: Chasqui, limit: str) -> None:
    assert chasqui("wire", "--limit", limit)[0] == ExitCode.USAGE


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
    country.on("GET", "/stuck", {})

    code, _out, _err = chasqui(*words)

    assert code == ExitCode.DONE
    assert country.last(path).body == body


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


@pytest.mark.parametrize(
    ("words", "path", "document"),
    [
        (
            ("signoff", "0971"),
            "/control/session",
            {"participant": "0971", "signed_on": False},
        ),
        (("signon", "0971"), "/control/session", {"participant": "0971", "signed_on": True}),
        (
            ("block", "0971"),
            "/participants/0971/block",
            {"participant": "0971", "blocked": True},
        ),
        (
            ("unblock", "0971"),
            "/participants/0971/block",
            {"participant": "0971", "blocked": False},
        ),
        (
            ("notice", "971", "normal"),
            "/notices/971",
            {"notice": "971", "status": "NORMAL"},
        ),
        (
            ("notice", "972", "0971"),
            "/notices/972",
            {"notice": "972", "participant": "0971", "blocked": True},
        ),
        (("notice", "981", "hola"), "/notices/981", {"notice": "981", "text": "hola"}),
        (
            ("resend", "--participant", "0971"),
            "/stuck/resend",
            {"participant": "0971", "sent_again": True, "acknowledged": True},
        ),
    ],
)
def test_an_action_in_json_is_one_object(
    chasqui: Chasqui,
    country: FakeCountry,
    words: tuple[str, ...],
    path: str,
    document: dict[str, Any],
) -> None:
    country.on("POST", path, {"response_code": "00"})
    country.on("GET", "/stuck", {})

    code, out, _err = chasqui(*words, "--json")

    assert (code, json.loads(out)) == (ExitCode.DONE, document)


@pytest.mark.parametrize("words", [("--participant", "0971"), ("x:CT5",), ("y:CTC1",)])
@pytest.mark.parametrize(("looks", "said"), [(2, "Sent again, and ack"), (99, "not acknowledged")])
def test_what_a_peer_did_not_acknowledge_is_not_said_to_be_sent(
    chasqui: Chasqui, country: FakeCountry, words: tuple[str, ...], looks: int, said: str
) -> None:
    owed = {"owed_id": "x:CT5", "instruction_id": "x", "participant": "0971", "message": "CT5"}
    expired = {"instruction_id": "y", "participant": "0971", "message": "EXPIRED"}
    others = [{"owed_id": "z:CT5", "instruction_id": "z", "participant": "0972"}]
    left = iter(range(looks))

    def stuck(_: Asked) -> dict[str, Any]:
        waits = next(left, None) is not None
        mine = {"ct5_owed": [owed, *others], "expired_uncancelled": [expired]}
        return mine if waits else {"ct5_owed": others}

    country.on("GET", "/stuck", stuck)
    country.on("POST", "/stuck/resend", {"resent": 1})
    country.on("GET", "/participants", {"participants": [a_participant("0971")]})

    assert said in " ".join(chasqui("resend", *words)[1].split())


def test_a_suspension_says_what_it_did_and_how_to_go_back(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("POST", "/notices/971", {})

    _code, out, _err = chasqui("notice", "971", "SUSPENDED")

    assert "The whole country is suspended" in out
    assert out.rstrip().endswith("notice 971 NORMAL")


def test_the_state_of_what_is_in_flight_is_called_a_state(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    row = {"instruction_id": INSTRUCTION, "message": "RESERVED", "participant": "0971"}
    country.on("GET", "/stuck", {"in_flight": [row]})

    _code, out, _err = chasqui("stuck")

    assert "State" in out
    assert "Message" not in out
