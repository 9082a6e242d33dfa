"""Check, then change: what is refused has touched nothing."""

import pytest

from clearing.core.audit import Recount, compare
from clearing.core.position import can_hold, changed, drawable_minor, funded, opened
from clearing.core.posting import holds, left_minor, move, oppose, opposites, post, reserve
from scheme.ledger import LBTR as MONEY
from scheme.ledger import NATIONAL, Account, Entry, Position, Short
from scheme.limits import LEDGER_AMOUNT_MINOR_MAX, LEDGER_SUM_MINOR_MAX
from tests.support.ledger_fakes import a_move, an_account, an_entry

COOP, BANK, LBTR = an_account("0970"), an_account("0002"), an_account("lbtr")
WINDOWS = {NATIONAL: "today"}


def positions(**balances: int) -> dict[Account, Position]:
    owners = {"coop": COOP, "bank": BANK, "lbtr": LBTR}
    return {owners[k]: opened(owners[k], balance_minor=minor) for k, minor in balances.items()}


def test_what_is_given_stays_untouched() -> None:
    before = positions(coop=100, bank=0)
    kept = dict(before)

    changes = reserve(before, (an_entry("0970", "0002", 60),))

    assert not isinstance(changes, Short)
    assert changes[COOP].reserved_minor == 60
    assert before == kept


def test_holds_add_up_by_debit_account() -> None:
    entries = (an_entry("0970", "0002", 60), an_entry("0970", "0002", 8, kind="interbank_fee"))

    assert holds(entries) == {COOP: 68}


def test_money_that_passes_through_an_account_is_counted_there_twice() -> None:
    legs = (an_entry("0970", "0002", 60), an_entry("0002", "0003", 60))
    start = {**positions(coop=60, bank=60), an_account("0003"): opened(an_account("0003"))}
    held = reserve(start, legs)
    assert not isinstance(held, Short)

    after = post({**start, **held}, legs, held=True)

    assert {one.owner: p.balance_minor for one, p in after.items()} == {
        "0970": 0,
        "0002": 60,
        "0003": 60,
    }
    assert all(p.reserved_minor == 0 for p in after.values())


def test_an_entry_stays_in_one_ledger_and_currency() -> None:
    crossing = an_entry("0970", "0002", 1)
    dollars = an_entry("0970", "0002", 1, currency="USD")
    mixed = type(crossing)(
        kind="principal",
        debit=crossing.debit,
        credit=dollars.credit,
        minor=1,
        window="w",
    )

    with pytest.raises(AssertionError):
        holds((mixed,))


def test_a_hold_may_use_the_cap_and_a_drawdown_may_not() -> None:
    position = opened(COOP, balance_minor=10, cap_minor=5)

    assert can_hold(position, 15)
    assert not can_hold(position, 16)
    assert drawable_minor(position) == 10


def test_more_is_never_released_than_was_held() -> None:
    with pytest.raises(AssertionError):
        changed(opened(COOP), reserved=-1)


@pytest.mark.parametrize(("minor", "alerted"), [(50, True), (51, False)])
def test_a_funding_above_the_high_watermark_ends_the_alert(minor: int, *, alerted: bool) -> None:
    position = changed(opened(COOP, low_minor=30, high_minor=50), alerted=True)

    assert funded(position, minor).alerted is alerted


def test_a_drawdown_that_is_too_much_names_what_there_is() -> None:
    entries = a_move("m", "0970", "lbtr", 11).entries

    assert move(positions(coop=10, lbtr=0), entries) == Short(COOP, 10)


def test_a_movement_is_all_of_its_entries_or_none() -> None:
    account, prefund = an_account("0970", MONEY), an_account("0970:prefund", MONEY)
    start = {
        **positions(coop=10, lbtr=-10),
        account: opened(account, balance_minor=4, cap_minor=2),
        prefund: opened(prefund, balance_minor=10),
    }
    funding = an_entry("lbtr", "0970", 7, kind="funding")
    paid = an_entry("0970", "0970:prefund", 7, kind="funding", ledger=MONEY)

    assert move(start, (funding, paid)) == Short(account, 6), "the credit granted counts"

    within = an_entry("0970", "0970:prefund", 6, kind="funding", ledger=MONEY)
    changes = move(start, (funding, within))
    assert not isinstance(changes, Short)
    assert (changes[account].balance_minor, changes[prefund].balance_minor) == (-2, 16)


@pytest.mark.parametrize(
    "entry",
    [
        an_entry("0970", "0970:prefund", 1, kind="funding"),
        an_entry("0970", "0002:prefund", 1, kind="funding", ledger=MONEY),
        an_entry("lbtr", "lbtr", 1, kind="funding"),
        an_entry("lbtr", "0970", LEDGER_AMOUNT_MINOR_MAX + 1, kind="funding"),
    ],
)
def test_a_movement_goes_nowhere_else(entry: Entry) -> None:
    every = {one: opened(one, balance_minor=10) for one in (entry.debit, entry.credit)}

    with pytest.raises(AssertionError):
        move(every, (entry,))


def test_sums_stay_inside_the_ledgers_range() -> None:
    entry = an_entry("lbtr", "0970", 1, kind="funding")

    with pytest.raises(AssertionError, match="LEDGER_SUM_MINOR_MAX"):
        move(positions(coop=LEDGER_SUM_MINOR_MAX, lbtr=0), (entry,))


def test_what_goes_back_is_given_by_those_who_have_it() -> None:
    legs = (an_entry("0970", "0002", 60), an_entry("0002", "0003", 60))
    start = {**positions(coop=0, bank=5), an_account("0003"): opened(an_account("0003"))}

    assert oppose(start, opposites(legs, 1, WINDOWS)) == Short(an_account("0003"), 0)

    start[an_account("0003")] = opened(an_account("0003"), cap_minor=10)
    changes = oppose(start, opposites(legs, 10, WINDOWS))
    assert not isinstance(changes, Short)
    balances = {one.owner: after.balance_minor for one, after in changes.items()}
    assert balances == {"0970": 10, "0002": 5, "0003": -10}


def test_what_is_left_is_the_principal_less_what_went_back() -> None:
    entries = (an_entry("0970", "0002", 60), an_entry("0970", "0002", 8, kind="interbank_fee"))

    assert left_minor(entries, 25) == 35
    (back,) = opposites(entries, 10, WINDOWS)
    assert (back.debit, back.credit, back.minor, back.window) == (BANK, COOP, 10, "today")


def test_an_audit_names_accounts_that_are_on_one_side_only() -> None:
    recount = Recount(balances={BANK: 5}, reserved={}, postings={}, entries=1, transfers=0)

    audit = compare([opened(COOP, balance_minor=0)], recount)

    assert [(one.what, one.subject, one.recorded, one.recounted) for one in audit.differences] == [
        ("balance", "national/PEN/0002", 0, 5)
    ]
