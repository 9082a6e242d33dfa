"""The day's own recount: which windows and participants each kind of order counts for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from loadtests.day.reckoning import Order, Recount, compare, recount
from scheme.batch import Batch, BatchRow, Counted, Outcome

SPONSORS = {"0970": "0987", "0971": "0987", "0972": "0011"}
NATIONAL, DALE = "national-PEN-20260115-1", "dale-PEN-20260115-1"


def order(debtor: str, creditor: str, rail: str = "tin", **changes: object) -> Order:
    return replace(
        Order(
            order_id="x",
            rail=rail,
            is_paid=True,
            reason="",
            debtor=debtor,
            creditor=creditor,
            settles=1_080,
            window=NATIONAL,
            network_window=DALE,
        ),
        **changes,
    )


def nets(*orders: Order) -> dict[str, dict[str, int]]:
    found = recount(orders, SPONSORS)
    return {window: {code: row.net for code, row in rows.items()} for window, rows in found.items()}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (order("0002", "0003"), {NATIONAL: {"0002": -1_080, "0003": 1_080}}),
        (order("0970", "0971", "network"), {DALE: {"0970": -1_080, "0971": 1_080}}),
        (
            order("0970", "0002"),
            {
                DALE: {"0970": -1_080, "0987": 1_080},
                NATIONAL: {"0987": -1_080, "0002": 1_080},
            },
        ),
        (
            order("0002", "0971"),
            {
                NATIONAL: {"0002": -1_080, "0987": 1_080},
                DALE: {"0987": -1_080, "0971": 1_080},
            },
        ),
        (order("0970", "0987"), {DALE: {"0970": -1_080, "0987": 1_080}}),
        (order("0970", "0971"), {DALE: {"0970": -1_080, "0987": 0, "0971": 1_080}}),
        (
            order("0970", "0972"),
            {
                DALE: {"0970": -1_080, "0987": 1_080, "0011": -1_080, "0972": 1_080},
                NATIONAL: {"0987": -1_080, "0011": 1_080},
            },
        ),
        (order("0970", "0002", "deferred"), {NATIONAL: {"0987": -1_080, "0002": 1_080}}),
        (order("0970", "0971", "deferred"), {}),
        (order("0002", "0003", "lbtr"), {}),
        (order("0002", "0002", "on_us"), {}),
        (order("0002", "0003", window=""), {}),
    ],
)
def test_an_order_counts_where_its_legs_are(
    made: Order, expected: dict[str, dict[str, int]]
) -> None:
    assert nets(made) == expected


def test_a_refusal_of_the_clearing_house_was_never_received() -> None:
    short = recount([order("0002", "0003", is_paid=False, reason="FF07")], SPONSORS)[NATIONAL]
    away = order("0002", "0003", is_paid=False, reason="AB05", is_unreached=True)
    assert recount([away], SPONSORS)[NATIONAL]["0003"] == Recount.empty()
    refused = recount([order("0002", "0003", is_paid=False, reason="AC01")], SPONSORS)[NATIONAL]

    assert short["0002"].sent_rejected == refused["0002"].sent_rejected == [1, 1_080]
    assert short["0003"] == Recount.empty()
    assert refused["0003"].received_rejected == [1, 1_080]


def row(code: str, sent: Counted, received: Counted) -> BatchRow:
    net = received.value - sent.value
    return BatchRow(
        participant=code,
        name="INSTITUCION SIMULADA",
        opening=5_000,
        sent=Outcome(accepted=sent),
        received=Outcome(accepted=received),
        net=net,
        funded=Counted(),
        drawn=Counted(),
        new_opening=5_000 + net,
        fees_due=0,
    )


def batch() -> Batch:
    one, none = Counted(1, 1_080), Counted()
    return Batch(
        batch=NATIONAL,
        cycle="national",
        ledger="national",
        currency="PEN",
        settlement_date="20260115",
        number=1,
        cut_off="20260115163515",
        opened_at="20260115000000",
        closed_at="20260115163515",
        next_window="national-PEN-20260116-1",
        participants=(row("0002", one, none), row("0003", none, one)),
        gross=one,
        net_sum=0,
    )


def test_a_batch_that_equals_its_recount_has_no_differences() -> None:
    again = recount([order("0002", "0003")], SPONSORS)[NATIONAL]

    assert compare(batch(), again) == []


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (replace(batch(), gross=Counted(1, 1_079)), "gross"),
        (replace(batch(), net_sum=1), "nets sum"),
        (replace(batch(), participants=batch().participants[:1]), "no row"),
        (
            replace(
                batch(),
                participants=(
                    replace(batch().participants[0], new_opening=1),
                    batch().participants[1],
                ),
            ),
            "new opening",
        ),
        (
            replace(
                batch(),
                participants=(
                    replace(batch().participants[0], net=-1_079),
                    batch().participants[1],
                ),
            ),
            "net",
        ),
    ],
)
def test_one_cent_more_or_less_is_told(changed: Batch, word: str) -> None:
    again = recount([order("0002", "0003")], SPONSORS)[NATIONAL]

    assert any(word in line for line in compare(changed, again))
