"""What-if: questions read from a query, answers read and replayed, and the picture of them."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from clearing.core.what_if import Payment, Rules, replay
from clearing.refusals import Refusal
from clearing.what_if import Answer, Question, WhatIf
from clearing.what_if_picture import picture
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.network import Participant

DAY_MS = 86_400_000
MIDNIGHT_MS = 1_795_410_000_000  # 2026-11-23 in Lima.


class Rows:
    """Pages of payments, as a reader gives them."""

    def __init__(self, some: Sequence[Payment]) -> None:
        self.some = some
        self.asked: tuple[object, ...] = ()
        self.is_closed = False

    def payments(
        self, ledger: str, currency: str, from_ms: int, until_ms: int
    ) -> Iterator[Sequence[Payment]]:
        self.asked = (ledger, currency, from_ms, until_ms)
        yield self.some

    def close(self) -> None:
        self.is_closed = True


def a_what_if(rows: Rows | None = None) -> WhatIf:
    found = rows or Rows(())
    members = {
        "0002": Participant(code="0002", name="BANCO <SIMULADO> & CIA", kind="bank"),
        "0003": Participant(code="0003", name="OTRO BANCO SIMULADO DE NOMBRE LARGO", kind="bank"),
        "0970": Participant(code="0970", name="COOP", kind="coop", ledger="dale", sponsor="0003"),
    }
    return WhatIf(
        lambda: found,
        clock=ManualClock(datetime(2026, 11, 24, 3, tzinfo=UTC)),
        profile=load_profile("peru"),
        members=members,
    )


def asked(**query: str) -> Question:
    found = a_what_if().question(query)
    assert isinstance(found, Question), found
    return found


def test_a_question_has_defaults_and_todays_date_in_lima() -> None:
    found = asked()

    assert (found.day, found.ledger, found.currency) == ("20261123", "national", "PEN")
    assert (found.windows, found.offsetting) == ((1, 3, 10), "multilateral")
    assert (found.cap_minor, found.failing) == (None, "")


def test_a_question_says_what_it_is_given() -> None:
    found = asked(
        date="2026-11-20", ledger="dale", currency="USD", windows="2, 2,5", cap="0", fail="0970"
    )

    assert (found.day, found.ledger, found.currency) == ("20261120", "dale", "USD")
    assert (found.windows, found.cap_minor, found.failing) == ((2, 5), 0, "0970")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("date", "2026-02-30"),
        ("date", "yesterday"),
        ("date", "0001-01-01"),
        ("date", "9999-12-31"),
        ("ledger", "lbtr"),
        ("currency", "EUR"),
        ("windows", "0"),
        ("windows", "97"),
        ("windows", "1,,2"),
        ("windows", "one"),
        ("windows", ",".join(map(str, range(1, 10)))),
        ("offsetting", "bilateral"),
        ("cap", "-1"),
        ("cap", "1.5"),
        ("cap", "9" * 19),
        ("fail", "0999"),
    ],
)
def test_a_wrong_question_names_its_field(field: str, value: str) -> None:
    found = a_what_if().question({field: value})

    assert isinstance(found, Refusal)
    assert found.field == field
    assert found.hint


def test_an_answer_replays_the_day_asked_for_and_closes_its_reader() -> None:
    rows = Rows([(MIDNIGHT_MS, "0002", "0003", 500)])

    answer = a_what_if(rows).answer(asked(fail="0002"))

    assert rows.asked == ("national", "PEN", MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS)
    assert rows.is_closed
    assert [one.rules.windows for one in answer.outlooks] == [1, 3, 10, 1]
    assert set(answer.names) == {"0002", "0003"}
    # By the profile: the guarantee fund has more than this.
    assert [one.by for one in answer.outlooks[0].bearers] == ["guarantee_fund"]


def test_a_coops_sponsor_is_known_to_the_replay() -> None:
    rows = Rows([(MIDNIGHT_MS, "0970", "0002", 500)])

    answer = a_what_if(rows).answer(asked(fail="0970", ledger="dale"))

    assert [one.participant for one in answer.outlooks[0].bearers] == ["0003"]


def drawn(some: Sequence[Payment], **query: str) -> str:
    return picture(a_what_if(Rows(some)).answer(asked(**query))).decode()


def test_a_picture_needs_nothing_from_elsewhere() -> None:
    svg = drawn([(MIDNIGHT_MS, "0002", "0003", 123_456_700)], cap="200000000")

    assert "<script" not in svg
    assert set(re.findall(r"https?://[^\"' )<]+", svg)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in svg
    assert "url(" not in svg


def test_a_picture_reads_on_light_and_dark_and_names_what_it_shows() -> None:
    svg = drawn([(MIDNIGHT_MS, "0002", "0003", 123_456_700)])

    assert "prefers-color-scheme:dark" in svg
    assert "Liquidity needed, national PEN, 2026-11-23" in svg
    assert "0002 BANCO &lt;SIMULADO&gt; &amp; CIA" in svg
    assert "3 windows: S/ 1.2 M in all" in svg
    assert "no netting: S/ 1.2 M in all" in svg


def test_a_picture_of_no_payments_says_so() -> None:
    assert "no payments on this day" in drawn(())


def test_a_picture_shows_those_that_need_most() -> None:
    codes = [f"{number:04}" for number in range(1000, 1040)]
    some = [(0, code, "0999", int(code)) for code in codes]
    outlooks = replay([some], [Rules()], 0)

    svg = picture(Answer(question=asked(), names={}, outlooks=outlooks)).decode()

    assert ">1039<" in svg
    assert ">1000<" not in svg
