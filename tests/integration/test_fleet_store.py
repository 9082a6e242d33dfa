"""The fleet's book on a real disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from participants.core import credit
from participants.core.book import (
    Balance,
    CashOrder,
    CashState,
    Change,
    CreditOrder,
    DebitOrder,
    DebitState,
    LaneRequest,
    RailPayment,
    RailState,
    Role,
)
from participants.core.payment import Spent
from participants.store import SqliteBooks
from scheme.errors import StoreError
from tests.support.fleet_world import CREDITOR_CCI, PROFILE, START, a_ct2, an_account


def failed(error: BaseException) -> None:
    raise AssertionError from error


def opened(folder: Path) -> SqliteBooks:
    return SqliteBooks.open(folder / "fleet.db", on_failure=failed)


def an_order(books: SqliteBooks, instruction_id: str = "one") -> CreditOrder:
    message = a_ct2(instructionId=instruction_id, channel="52")
    order = credit.received(message, "0971", None, START, PROFILE.timers)
    return credit.numbered(order, books.take_sequence())


def a_debit(books: SqliteBooks, **changes: object) -> DebitOrder:
    sequence = books.take_sequence()
    said: dict[str, object] = {
        "participant": "0971",
        "order_id": f"0971-{sequence}",
        "state": DebitState.PENDING,
        "ct1": b"{}",
        "cci": CREDITOR_CCI,
        "creditor_agent": "0970",
        "creditor_cci": "97000110020030040142",
        "creditor_name": "X",
        "amount": 100,
        "fee": 80,
        "currency": "604",
        "channel": "52",
        "trace": "000001",
        "verification_id": "v",
        "day": "20260115",
        "sequence": sequence,
    }
    return DebitOrder(**(said | changes))  # type: ignore[arg-type]


async def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    books = opened(tmp_path)
    books.seed(["0971"], [an_account()])
    held = an_order(books)
    final = credit.posted(an_order(books, "two"), START, "20260115")
    debit = a_debit(books, key="k", digest="d")
    await books.save(
        Change(
            participant="0971",
            credit=held,
            debit=debit,
            balances=(Balance(CREDITOR_CCI, 7, 3),),
            facts=(("self", "- SIGNON"),),
        )
    )
    await books.save(Change(participant="0971", credit=final))
    await books.close()

    again = opened(tmp_path)
    account = again.accounts()["0971"][0]

    assert again.is_seeded("0971")
    assert not again.is_seeded("0970")
    assert account == an_account(balance=7, held=3)
    assert again.held("0971") == [held]
    assert again.pending("0971") == [debit]
    assert again.credit("0971", "two") == final
    assert again.credit("0970", "two") is None
    assert again.debit_by_key("0971", "k") == debit
    assert again.debit_by_key("0971", "") is None
    assert again.facts("0971") == [("self", "- SIGNON")]
    assert again.credited_on("0971", "20260115") == {CREDITOR_CCI: 12_500}
    assert again.spent_on("0971", "20260115") == {CREDITOR_CCI: Spent(100, 1)}
    assert again.take_sequence() > final.sequence
    await again.close()


async def test_what_the_iso_8583_lane_needs_is_there_again_after_a_restart(tmp_path: Path) -> None:
    books = opened(tmp_path)
    asked = LaneRequest(participant="0971", key="0970:000123:1:0115", subject="one", answer="{}")
    orders = [
        CashOrder(
            participant="0991", cash_id=state, kind="withdrawal", state=state, cci=CREDITOR_CCI,
            amount=100, currency="PEN", reversal="{}",
        )
        for state in CashState
    ]  # fmt: skip
    await books.save(Change(participant="0971", lane=asked))
    await books.save(Change(participant="0971", lane=replace(asked, undo="{}")))
    for order in orders:
        books.submit(Change(participant="0991", cash=order))
    await books.synced()
    await books.close()

    again = opened(tmp_path)
    assert again.lane_request("0971", asked.key) == replace(asked, undo="{}")
    assert again.lane_request("0970", asked.key) is None
    assert {one.state for one in again.open_cash("0991")} == {
        CashState.ASKED, CashState.REVERSING,
    }  # fmt: skip
    assert again.open_cash("0971") == []
    await again.close()


async def test_movements_tell_each_order_once_by_its_last_change(tmp_path: Path) -> None:
    books = opened(tmp_path)
    first, second = an_order(books, "first"), an_order(books, "second")
    never = credit.numbered(credit.never_received("0971", "never", START), books.take_sequence())
    for order in (first, second, never):
        books.submit(Change(participant="0971", credit=order))
    posted = credit.posted(first, START, "20260115")
    posted = credit.numbered(posted, books.take_sequence())
    books.submit(Change(participant="0971", credit=posted))
    debit = a_debit(books)
    await books.save(Change(participant="0971", debit=debit))

    all_of_them = books.movements("0971", 0, 10)
    rest = books.movements("0971", second.sequence, 10)

    told = [(one.instruction_id, one.role, one.state) for one in all_of_them]
    assert told == [
        ("second", "creditor", "HELD"),
        ("first", "creditor", "FINAL"),
        (None, "debtor", "PENDING"),
    ]
    assert rest == all_of_them[1:]
    assert books.movements("0971", 0, 1) == all_of_them[:1]
    assert books.movements("0970", 0, 10) == []
    await books.close()


def a_payment(books: SqliteBooks, identity: str, **changes: object) -> RailPayment:
    said: dict[str, object] = {
        "participant": "0971",
        "payment_id": identity,
        "role": Role.DEBTOR,
        "state": RailState.FINAL,
        "counterparty": "0992",
        "cci": CREDITOR_CCI,
        "amount": 100,
        "fee": 0,
        "currency": "604",
        "rail": "cash",
        "sequence": books.take_sequence(),
    }
    return RailPayment(**(said | changes))  # type: ignore[arg-type]


async def test_the_movements_of_an_account_are_those_that_moved_its_balance(
    tmp_path: Path,
) -> None:
    books = opened(tmp_path)
    posted = credit.posted(an_order(books, "posted"), START, "20260115")
    changes = [
        Change(participant="0971", credit=posted),
        Change(participant="0971", credit=an_order(books, "held")),
        Change(
            participant="0971", credit=credit.undone(replace(posted, instruction_id="x"), START)
        ),
        Change(participant="0971", debit=a_debit(books)),
        Change(participant="0971", debit=a_debit(books, state=DebitState.FINAL)),
        Change(participant="0971", debit=a_debit(books, state=DebitState.FINAL, cci="1" * 20)),
    ]
    rails = (
        a_payment(books, "cash"),
        a_payment(books, "cash", role=Role.CREDITOR, rail="cash-return", amount=40),
        a_payment(books, "slow", rail="deferred", state=RailState.PENDING),
        a_payment(books, "rejected", rail="deferred", state=RailState.REJECTED),
        a_payment(books, "unapplied", role=Role.CREDITOR, state=RailState.UNAPPLIED),
        a_payment(books, "theirs", participant="0972"),
    )
    changes += [Change(participant="0971", rail_payment=one) for one in rails]
    for change in changes:
        books.submit(change)
    await books.synced()

    found = await books.account_movements("0971", CREDITOR_CCI, 10)
    youngest = await books.account_movements("0971", CREDITOR_CCI, 2)
    await books.close()

    told = [(one.role, one.state, one.rail, one.amount) for one in found]
    assert told == [
        ("debtor", "PENDING", "deferred", 100),
        ("creditor", "FINAL", "cash-return", 40),
        ("debtor", "FINAL", "cash", 100),
        ("debtor", "FINAL", "tin", 100),
        ("creditor", "FINAL", "tin", posted.amount),
    ]
    assert youngest == found[:2]


async def test_of_the_changes_of_a_group_the_last_one_stands(tmp_path: Path) -> None:
    books = opened(tmp_path)
    books.seed(["0971"], [an_account()])
    order = an_order(books)
    for balance in (1, 2, 3):
        order = replace(order, enquiries=balance)
        books.submit(
            Change(participant="0971", credit=order, balances=(Balance(CREDITOR_CCI, balance, 0),))
        )
    await books.synced()

    assert books.credit("0971", "one") == order
    assert books.accounts()["0971"][0].balance == 3
    await books.close()


def test_a_book_that_cannot_be_opened_says_which(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        opened(tmp_path / "nowhere")
