"""``reconcile``: equal, not yet, different, or not to be compared."""

import json
from datetime import timedelta
from typing import Any

import pytest

from chasqui.exits import ExitCode
from runtime.clock import SystemClock
from tests.support.fake_country import (
    INSTRUCTION,
    VERIFICATION,
    Asked,
    Chasqui,
    FakeCountry,
    a_participant,
    a_transfer,
)


def serve_books(country: FakeCountry, state: str, creditor: str | None) -> None:
    country.on("GET", "/audit", {"clean": True, "differences": []})
    country.on("GET", "/transfers", {"transfers": [a_transfer(state=state)], "next": None})
    whole = a_transfer(state=state, verification_id=VERIFICATION)
    country.on("GET", f"/transfers/{INSTRUCTION}", {"transfer": whole, "timeline": []})
    everyone = [a_participant(code, f"{country.url}/{code}") for code in ("0970", "0971")]
    everyone.append(a_participant("0985", simulated=False, kind="test"))
    country.on("GET", "/participants", {"participants": everyone})
    serve_book(country, "0970", "debtor", "FINAL")
    serve_book(country, "0971", "creditor", creditor)


def serve_book(country: FakeCountry, code: str, role: str, state: str | None) -> None:
    rows = [a_movement(role, state)] if state else []
    country.on("GET", f"/{code}/control/movements", {"movements": rows, "next": None})


def a_movement(role: str, state: str) -> dict[str, Any]:
    movement = {"instruction_id": INSTRUCTION, "amount": 2550, "fee": 0, "currency": "PEN"}
    return movement | {"sequence": 1, "role": role, "state": state}


@pytest.mark.parametrize(
    ("state", "creditor", "expected", "words"),
    [
        ("CONFIRMED", "FINAL", ExitCode.DONE, "All books are equal."),
        ("POSTED", "HELD", ExitCode.UNKNOWN, "Not yet: 1"),
        ("CONFIRMED", None, ExitCode.REFUSED, "Different: 1"),
    ],
)
def test_reconcile_says_equal_not_yet_or_different(
    chasqui: Chasqui,
    country: FakeCountry,
    state: str,
    creditor: str | None,
    expected: ExitCode,
    words: str,
) -> None:
    serve_books(country, state, creditor)

    code, out, _err = chasqui("reconcile", "--books", "--wait", "0")

    assert code == expected
    assert words in out


def test_reconcile_waits_for_what_still_travels(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_books(country, "POSTED", "HELD")
    path = "/0971/control/movements"
    travelling = country.answers["GET", path]
    looks = iter(range(100))

    def arrives_at_the_second_look(_asked: Asked) -> Any:
        if next(looks) >= 1:
            serve_books(country, "CONFIRMED", "FINAL")
            return country.answers["GET", path]
        return travelling

    country.on("GET", path, arrives_at_the_second_look)

    assert chasqui("reconcile", "--books", "--wait", "5")[0] == ExitCode.DONE


def test_reconcile_without_every_book_is_not_all_equal(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    rows = [a_transfer(creditor_agent="0985")]
    country.on("GET", "/transfers", {"transfers": rows, "next": None})

    code, out, _err = chasqui("reconcile", "--books", "--wait", "0", "--json")

    assert code == ExitCode.REFUSED, "0971 has a credit that the ledger gives to another"
    assert json.loads(out)["not_compared"] == ["0985"]


@pytest.mark.parametrize(
    ("creditor", "flags", "expected"),
    [
        ("0985", (), ExitCode.NOT_COMPARED),
        ("0985", ("--skip", "0985"), ExitCode.DONE),
        ("0985", ("--skip", "0980", "--skip", "0985"), ExitCode.DONE),
        ("0985", ("--skip", "0980"), ExitCode.NOT_COMPARED),
        ("0980", (), ExitCode.NOT_COMPARED),
        ("0970", (), ExitCode.DONE),
        ("0970", ("--skip", "0999"), ExitCode.USAGE),
    ],
)
def test_a_participant_without_a_book_counts_if_it_has_orders_and_is_not_left_out(
    chasqui: Chasqui,
    country: FakeCountry,
    creditor: str,
    flags: tuple[str, ...],
    expected: ExitCode,
) -> None:
    serve_books(country, "CONFIRMED", None)
    participants = [
        a_participant("0970", f"{country.url}/0970"),
        a_participant("0985", simulated=False, kind="test"),
        a_participant("0980", simulated=False, kind="load"),
    ]
    country.on("GET", "/participants", {"participants": participants})
    rows = [a_transfer(creditor_agent=creditor)]
    country.on("GET", "/transfers", {"transfers": rows, "next": None})
    if creditor == "0970":
        both = [a_movement("debtor", "FINAL"), a_movement("creditor", "FINAL")]
        country.on("GET", "/0970/control/movements", {"movements": both, "next": None})

    code, out, _err = chasqui("reconcile", "--books", "--wait", "0", *flags)

    assert code == expected
    if expected is ExitCode.NOT_COMPARED:
        assert f"{creditor} could not be compared" in out
        assert "All books are equal" not in out
    if flags and expected is ExitCode.DONE:
        assert "Left out as asked:" in out


def test_an_account_that_was_credited_twice_is_found_by_the_recount(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    country.on("GET", "/0970/control/audit", {"clean": True, "differences": []})
    twice = {"what": "balance", "subject": "971123", "recorded": 5100, "recounted": 2550}
    country.on("GET", "/0971/control/audit", {"clean": False, "differences": [twice]})

    code, out, _err = chasqui("reconcile", "--books", "--wait", "0")
    json_code, document, _err = chasqui("reconcile", "--books", "--wait", "0", "--json")

    assert code == json_code == ExitCode.REFUSED
    assert "recorded 5100, recounted 2550" in out
    (found,) = json.loads(document)["different"]
    assert (found["instruction_id"], found["participant"]) == ("971123", "0971")
    assert (found["recorded"], found["recounted"]) == (5100, 2550)


def test_a_book_that_offers_no_recount_is_compared_and_said_so(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    country.on("GET", "/0970/control/audit", {"clean": True, "differences": []})

    code, out, _err = chasqui("reconcile", "--books", "--wait", "0", "--json")

    assert code == ExitCode.DONE
    assert json.loads(out)["not_recounted"] == ["0971"]


def test_a_recount_that_fails_is_not_compared(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    problem = {"error": "the store cannot be read just now", "field": None}
    country.on("GET", "/0971/control/audit", (503, problem))

    code, out, _err = chasqui("reconcile", "--books", "--wait", "0")

    assert code == ExitCode.NOT_COMPARED
    assert "0971 could not be compared: the store cannot be read just now" in out


def test_reconcile_without_books_is_the_ledgers_own_audit(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    fault = {"what": "sum", "subject": "national/PEN", "recorded": 5, "recounted": 0}
    country.on("GET", "/audit", {"clean": False, "differences": [fault]})

    code, out, _err = chasqui("reconcile")

    assert code == ExitCode.REFUSED
    assert "sum of national/PEN: recorded 5, recounted 0" in out


def test_an_order_that_its_simulated_payer_never_sent_differs_at_once(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    serve_book(country, "0970", "debtor", None)

    code, out, _err = chasqui("reconcile", "--books", "--wait", "60")

    assert code == ExitCode.REFUSED
    assert "never sent this order" in " ".join(out.split())
    assert "stuck" not in out


def test_an_order_whose_line_names_its_verification_is_not_asked_for(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    serve_book(country, "0970", "debtor", None)
    line = a_transfer(state="CONFIRMED", verification_id=VERIFICATION)
    country.on("GET", "/transfers", {"transfers": [line], "next": None})

    _code, out, _err = chasqui("reconcile", "--books", "--wait", "0")

    assert "never sent this order" in " ".join(out.split())
    assert not [one for one in country.asked if one.path.startswith("/transfers/")]


def test_an_order_that_its_payer_wrote_down_and_waits_for_is_not_somebody_elses(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    row = a_movement("debtor", "PENDING") | {
        "instruction_id": None,
        "verification_id": VERIFICATION,
    }
    country.on("GET", "/0970/control/movements", {"movements": [row], "next": None})

    code, out, _err = chasqui("reconcile", "--books", "--wait", "0")

    assert code == ExitCode.UNKNOWN
    assert "never sent" not in " ".join(out.split())


def test_an_order_in_a_cores_name_differs_whatever_else_its_book_holds(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    paid = a_movement("debtor", "REFUSED") | {"instruction_id": "D1"}  # It quotes no verification.
    country.on("GET", "/0970/control/movements", {"movements": [paid], "next": None})

    code, out, _err = chasqui("reconcile", "--books", "--wait", "60")

    assert code == ExitCode.REFUSED
    assert "never sent this order" in " ".join(out.split())


@pytest.mark.parametrize(("age_s", "expected"), [(0, ExitCode.UNKNOWN), (60, ExitCode.REFUSED)])
def test_what_no_machine_has_heard_of_for_long_was_sent_in_its_name(
    chasqui: Chasqui, country: FakeCountry, age_s: int, expected: ExitCode
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    created = (SystemClock().now() - timedelta(seconds=age_s)).isoformat()
    deposit = a_transfer(state="CONFIRMED", debtor_agent="0991", created_at=created)
    country.on("GET", "/transfers", {"transfers": [deposit], "next": None})
    country.on("GET", f"/transfers/{INSTRUCTION}", {"transfer": deposit, "timeline": []})
    machines = a_participant("0991", f"{country.url}/0991", kind="acquirer", lane="iso8583")
    everyone = [machines, a_participant("0971", f"{country.url}/0971")]
    country.on("GET", "/participants", {"participants": everyone})
    country.on("GET", "/0991/control/movements", {"movements": [], "next": None})

    assert chasqui("reconcile", "--books", "--wait", "0")[0] == expected


def test_an_order_younger_than_the_look_at_its_book_is_not_yet_equal(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_books(country, "CONFIRMED", "FINAL")
    looks = iter(range(100))

    def unknown_once(_asked: Asked) -> Any:
        rows = [] if next(looks) == 0 else [a_movement("debtor", "FINAL")]
        return {"movements": rows, "next": None}

    country.on("GET", "/0970/control/movements", unknown_once)

    assert chasqui("reconcile", "--books", "--wait", "0")[0] == ExitCode.DONE
