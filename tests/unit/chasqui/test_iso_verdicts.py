"""What is said of a transfer with a creditor on ISO 8583, and of cash at machines."""

from typing import Any

import pytest
from msgspec import structs

from chasqui.answers import Decision, TimelineRow, Transfer, TransferDetail
from chasqui.iso_lines import frame_answer, frame_title
from chasqui.iso_verdicts import CASH, is_of_lane
from chasqui.verdicts import verdict

REQUEST = {"t": "0200", "3": "400000", "4": "000000002550", "11": "000123", "37": "632813000123"}


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")


def a_row(message: str, body: Any = None, *, to: str = "0975") -> TimelineRow:
    return TimelineRow(message=message, sender="CCE", receiver=to, body=body)


def a_detail(state: str, *rows: TimelineRow, by: str = "", identity: str = "i1") -> TransferDetail:
    line = Transfer(
        instruction_id=identity, state=state, debtor_agent="0002", creditor_agent="0975"
    )
    return TransferDetail(transfer=line, timeline=rows, decision=Decision("", by))


def test_a_creditor_that_posts_on_the_order_got_no_confirmation() -> None:
    told = verdict(a_detail("CONFIRMED", a_row("CT1", to="CCE"), a_row("0200", REQUEST)))

    assert "0210" in told[0]
    assert "CT5" not in told[0]


def test_a_creditor_on_the_other_wire_keeps_its_sentence() -> None:
    detail = a_detail("CONFIRMED", a_row("0200", REQUEST, to="0002"), a_row("CT5"))

    assert not is_of_lane(detail)
    assert "CT5" in verdict(detail)[0]


def test_a_dispute_names_the_answer_and_what_to_ask_for() -> None:
    rows = (
        a_row("0200", REQUEST),
        a_row("0420", REQUEST | {"t": "0420"}),
        TimelineRow(message="0430", sender="0975", receiver="CCE", body={"39": "96"}),
    )

    told = verdict(a_detail("DISPUTED", *rows))

    assert "refused (96 wrong MAC, or a fault of the system)" in told[0]
    assert "STAN 000123, RRN 632813000123" in told[-1]
    assert "reconcile --books" in told[-1]


def test_a_dispute_without_a_wire_log_names_the_transfer() -> None:
    detail = a_detail("DISPUTED", a_row("0420"))

    assert "under i1" in verdict(detail)[-1]


def test_an_order_taken_back_is_laid_upon_its_debtor() -> None:
    told = verdict(a_detail("CANCELLED", a_row("0200", REQUEST), by="debtor"))

    assert told[0].startswith("Taken back: 0002")


@pytest.mark.parametrize("state", sorted(CASH))
def test_every_state_of_cash_has_a_sentence(state: str) -> None:
    told = verdict(a_detail(state, identity="W20261123"))

    assert told[0].endswith(".")
    assert "CT5" not in told[0]
    assert ("DISPUTED" in state) == told[-1].startswith("What to do: ask 0002")


@pytest.mark.parametrize(
    ("message", "body", "title"),
    [
        ("0200", REQUEST | {"49": "840"}, "0200 transfer US$ 25.50"),
        ("0420", {"0420": {"DE3": "010000", "DE4": "000000010000"}}, "0420 withdrawal S/ 100.00"),
        ("0800", {"70": "101"}, "0800 key change"),
        ("0810", None, "0810"),
        ("0210", {"3": "990000", "4": "many"}, "0210"),
    ],
)
def test_a_frame_is_told_in_a_line(message: str, body: Any, title: str) -> None:
    assert frame_title(message, body) == title


def test_an_answer_is_told_with_its_meaning() -> None:
    assert frame_answer({"39": "51"}) == "51 not enough funds"
    assert frame_answer({"39": "Z9"}) == "Z9"
    assert frame_answer(None) == ""


def test_a_reversal_that_came_first_is_told_with_its_request_and_its_time() -> None:
    detail = a_detail("TOMBSTONE", identity="iso:0975:20261123:000123:632813000123")
    assert detail.transfer is not None
    line = structs.replace(
        detail.transfer,
        debtor_agent="0975",
        created_at="2026-01-15T15:18:30+00:00",
        reason_code="DS24",
    )

    told = verdict(structs.replace(detail, transfer=line, decision=Decision("tombstone", "")))

    assert "at 01-15 10:18:30, 0975 took back (0420) a request that had not come" in told[0]
    assert "STAN 000123, RRN 632813000123" in told[0]
    assert "it is refused" in told[0]
    assert not any("DS24" in line for line in told), "that time ran out is not what happened"


def test_an_order_that_was_only_asked_about_keeps_its_sentence() -> None:
    detail = structs.replace(a_detail("TOMBSTONE"), decision=Decision("tombstone", ""))

    assert "somebody asked about it" in verdict(detail)[0]
