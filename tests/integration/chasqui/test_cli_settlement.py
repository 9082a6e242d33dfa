"""Windows, batches and the ledgers of money, against a fake country on a real socket."""

import json
from typing import Any

import pytest

from chasqui.exits import ExitCode
from tests.support.fake_country import Asked, Chasqui, FakeCountry, a_participant
from tests.support.fake_settlement import (
    DISPUTE,
    WINDOW,
    a_batch,
    a_batch_row,
    a_position,
    a_settlement,
    a_window,
    an_account,
    an_instruction,
)

CLOSED_MS = 1_768_512_917_000


def width(out: str) -> int:
    return max(len(line) for line in out.splitlines())


def test_windows_are_filtered_and_fit_80_columns(chasqui: Chasqui, country: FakeCountry) -> None:
    found = [
        a_window(),
        a_window(window=DISPUTE, held=12_345),
        a_window(window="dale-dispute-USD-20260116-1", state="PARTIAL", closed_ms=CLOSED_MS),
    ]
    country.on("GET", "/windows", {"windows": found})

    code, out, _err = chasqui("settle", "windows", "--cycle", "national", "--state", "open")

    assert code == ExitCode.DONE
    assert country.last("/windows").query == {"cycle": "national", "state": "OPEN"}
    assert "01-15 16:35:15" in out
    assert "12,345" in out
    assert width(out) <= 80
    assert len(json.loads(chasqui("settle", "windows", "--limit", "2", "--json")[1])) == 2


def test_no_windows_is_said(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/windows", {"windows": []})

    assert chasqui("settle", "windows")[:2] == (ExitCode.DONE, "No windows.\n")


def test_batches_leave_out_columns_without_content(chasqui: Chasqui, country: FakeCountry) -> None:
    row = a_window(state="SETTLED", closed_ms=CLOSED_MS)
    country.on("GET", "/batches", {"batches": [row]})

    _code, out, _err = chasqui("settle", "batches")

    assert "SETTLED" in out
    assert "In flight" not in out


@pytest.mark.parametrize(
    ("state", "words"),
    [("CLOSING", "once nothing is in flight any more"), ("SETTLED", "Its batch is settled.")],
)
def test_closing_a_window_says_what_it_waits_for(
    chasqui: Chasqui, country: FakeCountry, state: str, words: str
) -> None:
    country.on("POST", f"/windows/{WINDOW}/close", (202, a_window(state=state)))

    code, out, _err = chasqui("settle", "close", WINDOW)

    assert code == ExitCode.DONE
    assert f"{WINDOW}  {state}" in out
    assert words in out
    assert f"settle batch {WINDOW}" in out


def test_closing_twice_is_a_refusal(chasqui: Chasqui, country: FakeCountry) -> None:
    hint = "a window closes once; GET /windows lists those that are OPEN"
    problem = {"error": "the window is CLOSED already", "field": "window", "hint": hint}
    country.on("POST", f"/windows/{WINDOW}/close", (409, problem))

    code, _out, err = chasqui("settle", "close", WINDOW)

    assert code == ExitCode.REFUSED
    assert "the window is CLOSED already" in err
    assert "settle windows --state OPEN" in err


def serve_batch(country: FakeCountry, **settlement: Any) -> None:
    answer = {"batch": a_batch(), "settlement": a_settlement(**settlement)}
    country.on("GET", f"/batches/{WINDOW}", answer)


def test_a_batch_shows_traffic_balances_and_totals(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_batch(country)

    code, out, _err = chasqui("settle", "batch", WINDOW)

    assert code == ExitCode.DONE
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "Settlement date 2026-01-15, window 1 of the day" in lines
    assert "0002 sent 41,230 9,123,456.78 7 700.00" in lines
    assert "all sent 41,233 9,123,913.56 7 700.00" in lines
    assert "0002 10,000,000.00 -9,123,000.00 5,000,000.00 5,877,000.00" in lines
    assert "0003 10,000,000.00 0.00 0.00 10,000,000.00" in lines
    assert "all 30,000,000.00 0.00 5,000,000.00 35,000,000.00" in lines
    assert "Fees due" not in out, "nobody owes one"
    assert "Recount: agreed" in lines
    assert "Settlement: SETTLED" in lines
    assert "pay-in" not in out
    assert width(out) <= 80


def test_the_widest_batch_still_fits_80_columns(chasqui: Chasqui, country: FakeCountry) -> None:
    row = a_batch_row(
        "0002",
        opening=5_000_000_000,
        net=-4_912_300_000,
        returns=-12_345,
        fees_due=123_456,
        new_opening=5_000_000_000,
        drawn={"count": 1, "value": 1_000_000_000},
    )
    answer = {"batch": a_batch(participants=[row]), "settlement": a_settlement()}
    country.on("GET", f"/batches/{WINDOW}", answer)

    _code, out, _err = chasqui("settle", "batch", WINDOW)

    assert {"Returns", "Fees"} <= set(out.split())
    assert "Nothing was sent in this window." in out
    assert width(out) <= 80


def test_a_batch_tells_who_bore_what_and_what_is_still_queued(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_batch(
        country,
        state="PARTIAL",
        round=2,
        approvals=[{"as": "ANA", "at": CLOSED_MS}],
        rules_applied=["queue", "retry", "guarantee_fund", "unwind"],
        bearers=[
            {"participant": "guarantee", "by": "guarantee_fund", "for": "0002", "minor": 12_300}
        ],
        unwound=["P1", "P2", "P3", "P4", "P5"],
        instructions=[an_instruction(), an_instruction(state="QUEUED", kind="pay_out")],
    )

    _code, out, _err = chasqui("settle", "batch", WINDOW)

    assert "Approved by ANA, 01-15 16:35:17" in out
    assert "Round 2" in out
    assert "waited for money in the queue, tried again, the guarantee fund paid" in out
    assert "0002   S/ 123.00  guarantee fund  guarantee" in out
    assert "Orders unwound: P1, P2, P3 and 2 more" in out
    assert "QUEUED" in out
    assert "pay-in" not in out
    assert "pay-in" in chasqui("settle", "batch", WINDOW, "-v")[1]


def test_a_refused_batch_says_why_nothing_settles(chasqui: Chasqui, country: FakeCountry) -> None:
    verdict = "refused: 0002 net: -5 in the batch, -7 recounted"
    serve_batch(country, state="CLOSED", audit=verdict, refused="", instructions=[])

    _code, out, _err = chasqui("settle", "batch", WINDOW)

    assert f"Recount: {verdict}" in out
    assert "approve" not in out
    assert f"settle retry {WINDOW}" in out


def test_a_batch_in_json_is_as_it_was_made(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_batch(country)

    document = json.loads(chasqui("settle", "batch", WINDOW, "--json")[1])

    assert document["batch"] == a_batch()
    assert document["settlement"]["state"] == "SETTLED"


def test_approving_takes_a_name(chasqui: Chasqui, country: FakeCountry) -> None:
    settlement = a_settlement(state="CLOSED", approvals=[{"as": "ANA", "at": CLOSED_MS}])
    country.on("POST", f"/batches/{WINDOW}/approve", {"batch": WINDOW, "settlement": settlement})

    code, out, _err = chasqui("settle", "approve", WINDOW, "--as", "ANA")

    assert code == ExitCode.DONE
    assert country.last(f"/batches/{WINDOW}/approve").body == {"as": "ANA"}
    assert f"settle approve {WINDOW} --as NAME" in out
    assert chasqui("settle", "approve", WINDOW)[0] == ExitCode.USAGE


def test_a_failed_batch_says_how_to_try_again(chasqui: Chasqui, country: FakeCountry) -> None:
    settlement = a_settlement(state="FAILED", refused="")
    country.on("POST", f"/batches/{WINDOW}/retry", {"batch": WINDOW, "settlement": settlement})

    code, out, _err = chasqui("settle", "retry", WINDOW)

    assert code == ExitCode.DONE
    assert "Settlement: FAILED" in out
    assert f"settle retry {WINDOW}" in out
    assert json.loads(chasqui("settle", "retry", WINDOW, "--json")[1])["batch"] == WINDOW


def serve_money(country: FakeCountry) -> None:
    accounts = [
        *(an_account(name) for name in ("0002", "0002:prefund", "settlement", "guarantee")),
        an_account("0970", ledger="sponsor", balance=5),
        an_account("0987", ledger="sponsor", balance=-500, credit=10**15),
    ]
    country.on("GET", "/lbtr", {"accounts": accounts})
    country.on("GET", "/lbtr/queue", {"queue": [an_instruction(state="QUEUED")]})


def test_accounts_are_listed_by_ledger_with_the_queue(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    serve_money(country)

    code, out, _err = chasqui("settle", "lbtr")

    assert code == ExitCode.DONE
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "0002 S/ 200,000,000.00 S/ 200,000,000.00 -" in lines
    assert "settlement account S/ 200,000,000.00" in lines
    assert "0987 -S/ 5.00 unlimited" in lines
    assert "0002:prefund -> settlement" in out
    assert width(out) <= 80


def test_accounts_can_be_those_of_one_institution(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_money(country)

    document = json.loads(chasqui("settle", "lbtr", "--participant", "0970", "--json")[1])

    assert [one["account"] for one in document["accounts"]] == ["0970"]
    assert document["queue"] == []
    only = json.loads(chasqui("settle", "lbtr", "--queue", "--ledger", "lbtr", "--json")[1])
    assert only["accounts"] == []
    assert len(only["queue"]) == 1
    country.on("GET", "/lbtr/queue", {"queue": []})
    assert "Nothing waits" in chasqui("settle", "lbtr", "--queue")[1]


@pytest.mark.parametrize(
    ("command", "code", "flags", "path"),
    [
        ("deposit", "0002", (), "/lbtr/lbtr/0002/deposit"),
        ("withdraw", "0970", (), "/lbtr/sponsor/0970/withdrawal"),
        ("deposit", "0970", ("--ledger", "lbtr"), "/lbtr/lbtr/0970/deposit"),
    ],
)
def test_money_goes_where_the_institution_has_its_account(
    chasqui: Chasqui,
    country: FakeCountry,
    command: str,
    code: str,
    flags: tuple[str, ...],
    path: str,
) -> None:
    everyone = [a_participant("0002"), a_participant("0970", ledger="dale", sponsor="0987")]
    country.on("GET", "/participants", {"participants": everyone})
    country.on("POST", path, {})

    ended, out, _err = chasqui("settle", command, code, "--amount", "1000", *flags)

    assert ended == ExitCode.DONE
    assert country.last(path).body == {"currency": "PEN", "amount": 100_000}
    assert country.last(path).headers["idempotency-key"]
    assert "S/ 1,000.00" in out
    document = json.loads(chasqui("settle", command, code, "--amount", "1", *flags, "--json")[1])
    assert document["participant"] == code


def test_positions_are_grouped_and_a_mirror_has_no_end(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    found = [
        a_position(participant="0002", balance=5_000_000_000, alerted=True),
        a_position(ledger="dale", balance=0, cap=1_000_000_000),
        a_position(
            ledger="dale",
            participant="0987",
            balance=-123_456_789,
            available=10**15 - 123_456_789,
            cap=10**15,
        ),
    ]

    def positions(asked: Asked) -> dict[str, Any]:
        wanted = asked.query.get("ledger")
        return {"positions": [one for one in found if wanted in {None, one["ledger"]}]}

    country.on("GET", "/positions", positions)

    _code, out, _err = chasqui("positions")

    assert "national, PEN" in out
    assert "S/ 10,000,000.00" in out
    mirror = next(line for line in out.splitlines() if line.startswith("0987"))
    assert mirror.split()[-2:] == ["-", "unlimited"]
    assert width(out) <= 80
    of_dale = json.loads(chasqui("positions", "--ledger", "dale", "--json")[1])
    assert [one["participant"] for one in of_dale] == ["0970", "0987"]


def test_the_group_lists_its_commands(chasqui: Chasqui) -> None:
    _code, out, _err = chasqui("settle", "--help")

    assert all(name in out for name in ("windows", "close", "batch", "approve", "lbtr", "what-if"))
    assert chasqui("settle", "nothing")[0] == ExitCode.USAGE
