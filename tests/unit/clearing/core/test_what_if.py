"""Days replayed under other rules: worked by hand, and what must hold for any day."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clearing.core.what_if import (
    DAY_MS,
    MULTILATERAL,
    NONE,
    UNCOVERED,
    Outlook,
    Payment,
    Rules,
    replay,
    scenarios,
)

HOUR_MS = 3_600_000
CODES = ("0002", "0003", "0011", "0970")

payments = st.lists(
    st.tuples(
        st.integers(0, DAY_MS - 1), st.sampled_from(CODES), st.sampled_from(CODES),
        st.integers(1, 10**12),
    ).filter(lambda one: one[1] != one[2]),
    max_size=60,
).map(sorted)  # fmt: skip
numbers = st.integers(1, 24)


def day(some: Sequence[Payment], rules: Rules) -> Outlook:
    return replay([some], [rules], 0)[0]


def needs(outlook: Outlook, figure: str) -> dict[str, int]:
    return {one.participant: getattr(one, figure) for one in outlook.participants}


def borne(outlook: Outlook) -> dict[str, tuple[str, int]]:
    return {one.participant: (one.by, one.minor) for one in outlook.bearers}


BACK_AND_FORTH = [
    (1 * HOUR_MS, "0002", "0003", 100),
    (7 * HOUR_MS, "0003", "0002", 60),
    (13 * HOUR_MS, "0002", "0003", 10),
    (23 * HOUR_MS, "0003", "0002", 80),
]


def test_one_window_settles_the_nets_of_the_day() -> None:
    found = day(BACK_AND_FORTH, Rules())

    assert needs(found, "net") == {"0002": 30, "0003": -30}
    assert needs(found, "liquidity") == {"0002": 0, "0003": 30}
    assert needs(found, "peak") == {"0002": 100, "0003": 30}
    assert (found.payments, found.gross, found.liquidity, found.peak) == (4, 250, 30, 100)


def test_two_windows_settle_twice_and_what_was_paid_out_serves_again() -> None:
    found = day(BACK_AND_FORTH, Rules(windows=2))

    assert needs(found, "paid_in") == {"0002": 40, "0003": 70}
    assert needs(found, "liquidity") == {"0002": 40, "0003": 30}
    assert needs(found, "peak") == {"0002": 100, "0003": 70}


def test_without_netting_each_needs_its_deepest_point() -> None:
    found = day(BACK_AND_FORTH, Rules(offsetting=NONE))

    assert needs(found, "liquidity") == {"0002": 100, "0003": 30}
    assert (found.paid_in, found.peak) == (0, 0)


def test_a_cap_blocks_a_payment_and_the_next_one_is_tried() -> None:
    found = day(BACK_AND_FORTH, Rules(cap_minor=60))

    assert needs(found, "blocked") == {"0002": 1, "0003": 1}
    assert needs(found, "blocked_minor") == {"0002": 100, "0003": 80}
    assert needs(found, "net") == {"0002": 50, "0003": -50}
    assert found.payments == 2


def test_a_settlement_frees_the_cap() -> None:
    twice = [(HOUR_MS, "0002", "0003", 50), (13 * HOUR_MS, "0002", "0003", 50)]

    assert day(twice, Rules(cap_minor=50)).blocked == 1
    assert day(twice, Rules(cap_minor=50, windows=2)).blocked == 0


def test_windows_part_the_day_at_their_first_millisecond() -> None:
    third = DAY_MS // 3
    edge = [(third - 1, "0002", "0003", 5), (third, "0003", "0002", 5)]

    assert day(edge, Rules(windows=3)).paid_in == 10
    assert day([(0, *edge[0][1:]), (third - 1, *edge[1][1:])], Rules(windows=3)).paid_in == 0


def test_a_clock_that_went_back_moves_no_payment_to_a_window_before() -> None:
    back = [(13 * HOUR_MS, "0002", "0003", 5), (11 * HOUR_MS, "0003", "0002", 5)]

    assert day(back, Rules(windows=2)).paid_in == 0


FAILING = [
    (1, "0002", "0003", 60),
    (2, "0002", "0011", 40),
    (3, "0003", "0011", 5),
]


def test_the_guarantee_fund_pays_first_and_the_others_share_the_rest_pro_rata() -> None:
    rules = Rules(
        failing="0002", on_failure=("queue", "guarantee_fund", "loss_sharing"), guarantee_minor=10
    )

    found = day(FAILING, rules)

    assert found.unpaid == 100
    # What they received, 60 and 45, says how they share 90.
    assert borne(found) == {
        "guarantee": ("guarantee_fund", 10),
        "0003": ("loss_sharing", 51),
        "0011": ("loss_sharing", 39),
    }


def test_the_fund_is_spent_once_however_many_windows_fail() -> None:
    twice = [(HOUR_MS, "0002", "0003", 60), (13 * HOUR_MS, "0002", "0003", 60)]
    rules = Rules(
        windows=2, failing="0002", on_failure=("guarantee_fund", "loss_sharing"), guarantee_minor=70
    )

    assert borne(day(twice, rules)) == {
        "guarantee": ("guarantee_fund", 70),
        "0003": ("loss_sharing", 50),
    }


def test_a_sponsor_bears_what_its_coop_does_not_pay() -> None:
    rules = Rules(failing="0002", on_failure=("sponsor",), sponsors={"0002": "0987"})

    assert borne(day(FAILING, rules)) == {"0987": ("sponsor", 100)}


def test_unwinding_gives_the_failing_ones_own_orders_back() -> None:
    rules = Rules(failing="0002", on_failure=("queue", "unwind"))
    some = [*FAILING, (4, "0011", "0002", 7)]

    found = day(some, rules)

    assert found.unpaid == 93
    assert borne(found) == {"0002": ("unwound", 100)}
    assert needs(found, "paid_in") == {"0002": 0, "0003": 5, "0011": 2}


def test_rules_that_are_exhausted_leave_it_uncovered() -> None:
    found = day(FAILING, Rules(failing="0002", on_failure=("guarantee_fund",), guarantee_minor=99))

    assert borne(found) == {UNCOVERED: (UNCOVERED, 100)}


def test_who_pays_everything_or_is_not_there_fails_nobody() -> None:
    for code in ("0011", "0999"):
        found = day(FAILING, Rules(failing=code, on_failure=("guarantee_fund",)))
        assert (found.unpaid, found.bearers) == (0, ())


def test_a_day_without_payments_needs_nothing() -> None:
    found = day([], Rules(windows=3, failing="0002"))

    assert (found.participants, found.liquidity, found.peak, found.gross) == ((), 0, 0, 0)


def test_every_number_of_windows_is_compared_with_no_netting() -> None:
    rules = Rules(failing="0002")

    assert [(one.windows, one.offsetting) for one in scenarios((1, 10), rules)] == [
        (1, MULTILATERAL),
        (10, MULTILATERAL),
        (1, NONE),
    ]
    gross = scenarios((1, 10), replace(rules, offsetting=NONE))
    assert [(one.offsetting, one.failing) for one in gross] == [(NONE, "")]


@given(payments, numbers, st.none() | st.integers(0, 10**12), st.sampled_from((NONE, MULTILATERAL)))
def test_nets_sum_to_zero_and_no_peak_passes_its_cap(
    some: list[Payment], windows: int, cap: int | None, offsetting: str
) -> None:
    found = day(some, Rules(windows=windows, cap_minor=cap, offsetting=offsetting))

    assert sum(one.net for one in found.participants) == 0
    assert found.payments + found.blocked == len(some)
    assert found.gross + found.blocked_minor == sum(one[3] for one in some)
    if cap is None:
        assert found.blocked == 0
    else:
        reached = "peak" if offsetting == MULTILATERAL else "liquidity"
        assert max(needs(found, reached).values(), default=0) <= cap


@given(payments, numbers)
def test_one_window_never_needs_more_than_several_nor_several_more_than_no_netting(
    some: list[Payment], windows: int
) -> None:
    one, several, gross = (
        day(some, rules) for rules in (Rules(), Rules(windows=windows), Rules(offsetting=NONE))
    )

    for first, second, third in zip(
        one.participants, several.participants, gross.participants, strict=True
    ):
        assert first.liquidity <= second.liquidity <= third.liquidity <= third.sent
        assert second.liquidity <= second.paid_in
        assert first.paid_in <= second.paid_in <= second.sent
        assert first.liquidity == first.paid_in == max(0, -first.net)
        # Nobody waits for more than what was sent since a window began.
        assert second.peak <= second.sent


@given(payments, numbers, st.integers(0, 10**12))
def test_everything_unpaid_is_borne(some: list[Payment], windows: int, fund: int) -> None:
    rules = Rules(
        windows=windows,
        failing="0002",
        on_failure=("queue", "retry", "guarantee_fund", "loss_sharing"),
        guarantee_minor=fund,
    )

    found = day(some, rules)

    assert sum(one.minor for one in found.bearers) == found.unpaid
    assert needs(found, "paid_in").get("0002", 0) == found.unpaid
    spent = sum(one.minor for one in found.bearers if one.by == "guarantee_fund")
    assert spent <= fund


@given(payments, numbers, st.integers(1, 7))
def test_it_does_not_matter_how_the_payments_arrive(
    some: list[Payment], windows: int, size: int
) -> None:
    rules = [Rules(windows=windows, failing="0002", on_failure=("loss_sharing",))]
    pages = [some[at : at + size] for at in range(0, len(some), size)]

    assert replay(pages, rules, 0) == replay([some], rules, 0)


@pytest.mark.parametrize("windows", [1, 3, 7, 10, 96])
def test_windows_are_of_equal_length_and_no_moment_is_left_out(windows: int) -> None:
    moments = [number * DAY_MS // windows for number in range(windows)]
    moments += [-(-number * DAY_MS // windows) for number in range(1, windows)]
    some = [(at, "0002", "0003", 1) for at in sorted(moments)]

    found = day(some, Rules(windows=windows))

    assert found.paid_in == len(some)
    assert found.peak <= 2
