"""Which queued payments can settle."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from clearing.core.gridlock import BILATERAL, MULTILATERAL, NONE, Payment, resolve
from tests.support.settlement_fakes import money

SETTINGS = (NONE, BILATERAL, MULTILATERAL)
CODES = "ABCD"


def queue(*payments: tuple[str, str, int]) -> tuple[Payment, ...]:
    return tuple(
        Payment(id=f"{number}", debit=money(debit), credit=money(credit), minor=minor)
        for number, (debit, credit, minor) in enumerate(payments)
    )


def settled(payments: Sequence[Payment], balances: dict[str, int], setting: str) -> list[str]:
    available = {money(code): minor for code, minor in balances.items()}
    return sorted(one for group in resolve(payments, available, setting) for one in group)


def test_a_covered_payment_settles_and_lets_the_payee_pay_on() -> None:
    payments = queue(("B", "C", 5), ("A", "B", 5))

    assert settled(payments, {"A": 5}, NONE) == ["0", "1"]


def test_a_payment_waits_behind_the_payers_own_larger_one() -> None:
    payments = queue(("A", "B", 10), ("A", "C", 1))

    assert settled(payments, {"A": 5}, MULTILATERAL) == []


def test_two_that_owe_one_another_settle_with_the_difference_only() -> None:
    payments = queue(("A", "B", 100), ("B", "A", 98))

    assert settled(payments, {"A": 2}, NONE) == []
    assert settled(payments, {"A": 1}, BILATERAL) == []
    assert settled(payments, {"A": 2}, BILATERAL) == ["0", "1"]


def test_a_circle_of_three_needs_multilateral_offsetting() -> None:
    payments = queue(("A", "B", 10), ("B", "C", 10), ("C", "A", 10))

    assert settled(payments, {}, BILATERAL) == []
    assert resolve(payments, {}, MULTILATERAL) == (("0", "1", "2"),)


def test_the_last_payment_of_who_is_short_stays_and_the_rest_settles() -> None:
    payments = queue(("A", "B", 10), ("B", "A", 10), ("A", "C", 7), ("C", "B", 3))

    assert settled(payments, {}, MULTILATERAL) == ["0", "1"]


def test_an_account_below_its_limit_keeps_its_own_payments_waiting() -> None:
    payments = queue(("A", "B", 1), ("B", "A", 1))

    assert settled(payments, {"A": -5}, MULTILATERAL) == []


_payments = st.lists(
    st.tuples(st.sampled_from(CODES), st.sampled_from(CODES), st.integers(1, 30)).filter(
        lambda one: one[0] != one[1]
    ),
    max_size=14,
)
_balances = st.fixed_dictionaries({code: st.integers(0, 25) for code in CODES})


@given(_payments, _balances)
def test_no_balance_falls_below_its_limit_and_every_queue_keeps_its_order(
    drawn: list[tuple[str, str, int]], balances: dict[str, int]
) -> None:
    payments = queue(*drawn)
    by_id = {one.id: one for one in payments}
    for setting in SETTINGS:
        left = {money(code): minor for code, minor in balances.items()}
        gone: set[str] = set()
        for group in resolve(payments, left, setting):
            for one in map(by_id.__getitem__, group):
                left[one.debit] -= one.minor
                left[one.credit] += one.minor
            gone.update(group)
            assert min(left.values()) >= 0, setting
        for payer in left:
            own = [one.id in gone for one in payments if one.debit == payer]
            assert own == sorted(own, reverse=True), "nothing overtakes"


@given(_payments, _balances)
def test_offsetting_never_settles_fewer(
    drawn: list[tuple[str, str, int]], balances: dict[str, int]
) -> None:
    payments = queue(*drawn)
    sets = [set(settled(payments, balances, setting)) for setting in SETTINGS]

    assert sets[0] <= sets[1] <= sets[2]


@given(_payments, _balances)
def test_multilateral_offsetting_finds_the_largest_set(
    drawn: list[tuple[str, str, int]], balances: dict[str, int]
) -> None:
    payments = queue(*drawn[:8])
    found = set(settled(payments, balances, MULTILATERAL))

    for chosen in range(1 << len(payments)):
        some = [one for index, one in enumerate(payments) if chosen >> index & 1]
        if _is_lawful(payments, some, balances):
            assert {one.id for one in some} <= found


def _is_lawful(
    payments: Sequence[Payment], some: Sequence[Payment], balances: dict[str, int]
) -> bool:
    left = {money(code): minor for code, minor in balances.items()}
    for one in some:
        left[one.debit] -= one.minor
        left[one.credit] += one.minor
    kept = {one.id for one in some}
    in_order = all(
        own == sorted(own, reverse=True)
        for payer in left
        for own in [[one.id in kept for one in payments if one.debit == payer]]
    )
    return in_order and min(left.values()) >= 0
