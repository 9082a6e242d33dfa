"""The recount of a book on a real disk: what moved the money against what the accounts say."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from participants.core import credit
from participants.core.book import (
    Balance,
    Change,
    CreditOrder,
    DebitOrder,
    DebitState,
    Difference,
    Posting,
    Role,
)
from participants.recount import DIFFERENCES_MAX
from participants.store import SqliteBooks
from scheme.errors import StoreError
from tests.support.fleet_world import CREDITOR_CCI, PROFILE, START, a_ct2, an_account

OPENING = 100_000
AMOUNT = 12_500


def failed(error: BaseException) -> None:
    raise AssertionError from error


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[SqliteBooks]:
    books = SqliteBooks.open(tmp_path / "fleet.db", on_failure=failed)
    books.seed(["0971"], [an_account(opening=OPENING)])
    yield books
    await books.close()


def a_credit(books: SqliteBooks, instruction_id: str = "one") -> CreditOrder:
    message = a_ct2(instructionId=instruction_id)
    order = credit.received(message, "0971", None, START, PROFILE.timers)
    return credit.numbered(order, books.take_sequence())


async def post(books: SqliteBooks, order: CreditOrder, balance: int) -> None:
    """Credit an order as the creditor's desk does."""
    final = credit.numbered(credit.posted(order, START, "20260115"), books.take_sequence())
    await books.save(
        Change(
            participant="0971",
            credit=final,
            balances=(Balance(CREDITOR_CCI, balance, 0),),
            postings=(Posting(Role.CREDITOR, order.instruction_id, CREDITOR_CCI, AMOUNT),),
        )
    )


def a_debit(state: DebitState) -> DebitOrder:
    return DebitOrder(
        participant="0971", order_id="d", state=state, ct1=b"{}", cci=CREDITOR_CCI,
        creditor_agent="0970", creditor_cci="", creditor_name="", amount=100, fee=80,
        currency="604", channel="52", trace="000001", verification_id="v", sequence=9,
    )  # fmt: skip


async def differences(books: SqliteBooks) -> set[Difference]:
    found = await books.recount("0971")
    assert found.clean is (not found.differences)
    assert found.accounts == 1
    return {
        Difference(*(one.what, one.subject, one.recorded, one.recounted))
        for one in found.differences
    }


async def test_a_book_that_was_only_opened_is_clean(books: SqliteBooks) -> None:
    assert await differences(books) == set()


async def test_a_book_of_holds_credits_and_debits_is_clean(books: SqliteBooks) -> None:
    await books.save(Change(participant="0971", credit=a_credit(books, "held")))
    await post(books, a_credit(books), OPENING + AMOUNT)
    pending = a_debit(DebitState.PENDING)
    balance = Balance(CREDITOR_CCI, OPENING + AMOUNT, 180)
    await books.save(Change(participant="0971", debit=pending, balances=(balance,)))
    assert await differences(books) == set()

    await books.save(
        Change(
            participant="0971",
            debit=replace(pending, state=DebitState.FINAL),
            balances=(Balance(CREDITOR_CCI, OPENING + AMOUNT - 180, 0),),
            postings=(Posting(Role.DEBTOR, "d", CREDITOR_CCI, -180),),
        )
    )
    assert await differences(books) == set()
    assert (await books.recount("0971")).postings == 2


async def test_a_credit_that_was_given_back_is_clean_with_both_postings_only(
    books: SqliteBooks,
) -> None:
    order = a_credit(books)
    await post(books, order, OPENING + AMOUNT)
    undone = credit.undone(credit.posted(order, START, "20260115"), START)
    await books.save(Change(participant="0971", credit=undone))
    assert await differences(books) == {
        Difference("posting", "one", 0, -AMOUNT),
    }

    back = Posting(Role.UNDO, "one", CREDITOR_CCI, -AMOUNT)
    balance = Balance(CREDITOR_CCI, OPENING, 0)
    await books.save(Change(participant="0971", balances=(balance,), postings=(back,)))
    assert await differences(books) == set()


async def test_an_order_credited_twice_shows_on_its_account(books: SqliteBooks) -> None:
    order = a_credit(books)
    await post(books, order, OPENING + AMOUNT)
    await post(books, order, OPENING + 2 * AMOUNT)

    found = Difference("balance", CREDITOR_CCI, OPENING + 2 * AMOUNT, OPENING + AMOUNT)
    assert await differences(books) == {found}


async def test_an_order_called_final_without_its_credit_shows(books: SqliteBooks) -> None:
    final = credit.posted(a_credit(books), START, "20260115")
    await books.save(Change(participant="0971", credit=final))

    assert await differences(books) == {Difference("posting", "one", 0, AMOUNT)}


async def test_a_credit_of_an_order_that_is_only_held_shows(books: SqliteBooks) -> None:
    order = a_credit(books)
    await post(books, order, OPENING + AMOUNT)
    await books.save(Change(participant="0971", credit=order))

    assert await differences(books) == {Difference("posting", "one", AMOUNT, 0)}


@pytest.mark.parametrize("role", list(Role))
async def test_a_posting_of_no_order_shows(books: SqliteBooks, role: Role) -> None:
    posting = Posting(role, "none", CREDITOR_CCI, 5)
    balance = Balance(CREDITOR_CCI, OPENING + 5, 0)
    await books.save(Change(participant="0971", balances=(balance,), postings=(posting,)))

    assert await differences(books) == {Difference("posting", "none", 5, 0)}


async def test_money_held_for_nothing_shows(books: SqliteBooks) -> None:
    await books.save(Change(participant="0971", balances=(Balance(CREDITOR_CCI, OPENING, 7),)))

    assert await differences(books) == {Difference("held", CREDITOR_CCI, 7, 0)}


async def test_one_institutions_differences_are_no_other_ones(books: SqliteBooks) -> None:
    await books.save(Change(participant="0971", balances=(Balance(CREDITOR_CCI, 0, 0),)))

    assert (await books.recount("0970")).clean


async def test_only_the_first_differences_are_told(books: SqliteBooks) -> None:
    for number in range(DIFFERENCES_MAX + 5):
        posting = Posting(Role.CREDITOR, f"stray-{number}", CREDITOR_CCI, 0)
        books.submit(Change(participant="0971", postings=(posting,)))
    await books.synced()

    assert len((await books.recount("0971")).differences) == DIFFERENCES_MAX


async def test_a_book_that_cannot_be_read_is_no_clean_book(
    books: SqliteBooks, tmp_path: Path
) -> None:
    books._path = tmp_path / "elsewhere.db"
    with pytest.raises(StoreError, match="elsewhere"):
        await books.recount("0971")


async def test_a_book_of_another_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE accounts (cci TEXT)")
    with pytest.raises(StoreError, match="made by another version"):
        SqliteBooks.open(path, on_failure=failed)
