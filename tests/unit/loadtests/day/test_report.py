"""What a day's report says, and when it says that all is well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.day.book import DayBook, Line
from loadtests.day.report import Claim, Report, Settled, soles, write
from scheme.batch import Batch, BatchRow, Bearer, Counted, Outcome


def line(**changes: object) -> Line:
    members: dict[str, object] = {
        "way": "wire",
        "outcome": "accepted",
        "order_id": "x",
        "debtor": "0980",
        "creditor": "0002",
        "creditor_cci": "00299900000000000112",
        "amount": 2_500,
        "fee": 80,
    }
    return Line(**{**members, **changes})  # type: ignore[arg-type]


def report(*claims: Claim) -> Report:
    sent, none = Counted(1, 2_580), Counted()
    row = BatchRow(
        participant="0980",
        name="AGENTE DE CARGA SIMULADO 0",
        opening=100_000,
        sent=Outcome(accepted=sent),
        received=Outcome(),
        net=-2_580,
        funded=none,
        drawn=none,
        new_opening=97_420,
        fees_due=0,
    )
    batch = Batch(
        batch="national-PEN-20260115-1",
        cycle="national",
        ledger="national",
        currency="PEN",
        settlement_date="20260115",
        number=1,
        cut_off="20260115163515",
        opened_at="20260115000000",
        closed_at="20260115163515",
        next_window="national-PEN-20260116-1",
        participants=(row,),
        gross=sent,
        net_sum=0,
    )
    settled = Settled(
        batch=batch,
        state="PARTIAL",
        rules_applied=("queue",),
        bearers=(Bearer(participant="0980", by="unwound", failing="0980", minor=2_580),),
        unwound=1,
    )
    return Report(
        transfers=1,
        seed=7,
        kills=0,
        traffic_s=1.0,
        total_s=2.0,
        orders={"wire": {"accepted": 1}},
        batches=(settled,),
        claims=claims,
    )


GOOD = Claim(name="all is well", checked=1)


@pytest.mark.parametrize(
    ("claims", "holds"),
    [
        ((GOOD,), True),
        ((), False),
        ((GOOD, Claim(name="nothing was looked at", checked=0)), False),
        ((GOOD, Claim(name="a cent", checked=1, differences=("1 cent",))), False),
    ],
)
def test_all_is_well_only_if_something_was_checked_and_nothing_differs(
    claims: tuple[Claim, ...], holds: bool
) -> None:
    assert report(*claims).holds is holds


def test_a_report_is_written_for_people_and_for_programs(tmp_path: Path) -> None:
    write(report(GOOD, Claim(name="a cent", checked=1, differences=("1 cent",))), tmp_path)

    text = (tmp_path / "day.txt").read_text(encoding="utf-8")
    for words in ("national-PEN-20260115-1: PARTIAL", "-25.80", "974.20", "1 cent", "given back"):
        assert words in text
    said = json.loads((tmp_path / "day.json").read_text(encoding="utf-8"))
    assert said["batches"][0]["bearers"][0]["for"] == "0980"


def test_a_book_counts_by_way_and_outcome_and_is_kept_line_by_line(tmp_path: Path) -> None:
    book = DayBook()
    for one in (
        line(),
        line(outcome="refused", reason="AC01", order_id="y"),
        line(way="hook", outcome="unsent", order_id=""),
    ):
        book.note(one)

    assert book.counts() == {"wire": {"accepted": 1, "refused AC01": 1}, "hook": {"unsent": 1}}
    assert [one.order_id for one in book.of_way("wire", "hook")] == ["x", "y"]
    book.write(tmp_path / "book.jsonl")
    assert len((tmp_path / "book.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.00"), (-5, "-0.05"), (123_456_789, "1,234,567.89")]
)
def test_amounts_are_written_as_people_write_them(cents: int, text: str) -> None:
    assert soles(cents) == text
