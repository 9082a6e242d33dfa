"""The comparison of ledger and books: every pairing that matters, and what it is called."""

from typing import Any

import pytest
from msgspec.structs import replace

from chasqui.answers import Difference, Movement, Recount, ReturnRow, Transfer
from chasqui.books import Book, Kind, compare, doubted, recounted

ID = "2601151018300970410000000128"


def a_transfer(state: str, **others: Any) -> Transfer:
    facts: dict[str, Any] = {
        "instruction_id": ID,
        "state": state,
        "debtor_agent": "0970",
        "creditor_agent": "0971",
        "amount": 2550,
    }
    return Transfer(**facts | others)


def a_book(code: str, role: str, *states: str, **others: Any) -> Book:
    facts: dict[str, Any] = {"instruction_id": ID, "amount": 2550} | others
    rows = [
        Movement(sequence=number, role=role, state=state, **facts)
        for number, state in enumerate(states)
    ]
    return Book.of(code, rows)


def kinds(state: str, debtor: Book, creditor: Book) -> list[Kind]:
    comparison = compare([a_transfer(state)], {"0970": debtor, "0971": creditor})
    return [one.kind for one in comparison.findings]


@pytest.mark.parametrize(
    ("state", "debtor", "creditor", "expected"),
    [
        ("CONFIRMED", ["PENDING", "FINAL"], ["HELD", "FINAL"], []),
        ("POSTED", ["FINAL"], ["FINAL"], []),
        ("REJECTED", ["PENDING", "REJECTED"], ["REFUSED"], []),
        ("REJECTED", ["REJECTED"], [], []),
        ("REJECTED", [], [], []),
        ("CANCELLED", ["REJECTED"], ["HELD", "REJECTED"], []),
        ("EXPIRED", ["REJECTED"], [], []),
        ("TOMBSTONE", ["REJECTED"], ["REJECTED"], []),
        ("DISPUTED", ["REJECTED"], [], []),
        ("DISPUTED", ["REJECTED"], ["FINAL"], [Kind.DIFFERENT]),
        # What still travels.
        ("POSTED", ["FINAL"], ["HELD"], [Kind.NOT_YET]),
        ("POSTED", ["PENDING"], ["FINAL"], [Kind.NOT_YET]),
        ("CONFIRMED", [], ["FINAL"], [Kind.NOT_YET]),
        ("EXPIRED", ["REJECTED"], ["HELD"], [Kind.NOT_YET]),
        ("RESERVED", ["PENDING"], ["HELD"], [Kind.NOT_YET, Kind.NOT_YET]),
        ("RESERVED", [], [], [Kind.NOT_YET]),
        # What differs.
        ("CONFIRMED", ["FINAL"], ["FINAL", "FINAL"], [Kind.DIFFERENT]),
        ("CONFIRMED", ["FINAL"], [], [Kind.DIFFERENT]),
        ("CONFIRMED", ["FINAL"], ["HELD"], [Kind.DIFFERENT]),
        ("POSTED", ["FINAL"], ["REJECTED"], [Kind.DIFFERENT]),
        ("POSTED", ["REJECTED"], ["FINAL"], [Kind.DIFFERENT]),
        ("REJECTED", ["REJECTED"], ["FINAL"], [Kind.DIFFERENT]),
        ("EXPIRED", ["REJECTED"], ["FINAL"], [Kind.DIFFERENT]),
        ("CANCELLED", ["REJECTED"], ["HELD"], [Kind.DIFFERENT]),
        ("REJECTED", ["FINAL"], [], [Kind.DIFFERENT]),
    ],
)
def test_every_pairing_has_its_verdict(
    state: str, debtor: list[str], creditor: list[str], expected: list[Kind]
) -> None:
    books = a_book("0970", "debtor", *debtor), a_book("0971", "creditor", *creditor)
    assert kinds(state, *books) == expected


@pytest.mark.parametrize(("role", "code"), [("debtor", "0970"), ("creditor", "0971")])
@pytest.mark.parametrize("wrong", [{"amount": 2551}, {"currency": "USD"}])
def test_another_amount_or_currency_differs(role: str, code: str, wrong: dict[str, Any]) -> None:
    books = {
        "0970": a_book("0970", "debtor", "FINAL"),
        "0971": a_book("0971", "creditor", "FINAL"),
    }
    books[code] = a_book(code, role, "FINAL", **wrong)

    findings = compare([a_transfer("CONFIRMED")], books).findings

    assert [(one.kind, one.participant) for one in findings] == [(Kind.DIFFERENT, code)]


@pytest.mark.parametrize(("role", "code"), [("debtor", "0970"), ("creditor", "0971")])
@pytest.mark.parametrize("wrong", [{"fee": 80}, {"settlement": 2630}, {"counterparty": "0002"}])
def test_a_final_order_is_compared_field_by_field(
    role: str, code: str, wrong: dict[str, Any]
) -> None:
    same = {"fee": 0, "settlement": 2550}
    books = {
        "0970": a_book("0970", "debtor", "FINAL", counterparty="0971", **same),
        "0971": a_book("0971", "creditor", "FINAL", counterparty="0970", **same),
    }
    assert compare([a_transfer("CONFIRMED")], books).findings == ()
    books[code] = a_book(code, role, "FINAL", **wrong)

    findings = compare([a_transfer("CONFIRMED")], books).findings

    assert [(one.kind, one.participant) for one in findings] == [(Kind.DIFFERENT, code)]


@pytest.mark.parametrize("what", ["balance", "held", "posting", "something else"])
def test_what_a_recount_does_not_confirm_is_different(what: str) -> None:
    wrong = Difference(what=what, subject="971", recorded=1000, recounted=500)

    (found,) = recounted("0971", Recount(clean=False, differences=(wrong,)))

    assert (found.kind, found.participant, found.instruction_id) == (Kind.DIFFERENT, "0971", "971")
    assert (found.recorded, found.recounted) == (1000, 500)


def test_a_recount_that_is_clean_or_says_no_more_than_that_it_is_not() -> None:
    assert recounted("0971", Recount(clean=True)) == ()
    assert [one.kind for one in recounted("0971", Recount(clean=False))] == [Kind.DIFFERENT]


def test_a_currency_may_be_written_in_digits() -> None:
    debtor = a_book("0970", "debtor", "FINAL", currency="604")
    assert kinds("CONFIRMED", debtor, a_book("0971", "creditor", "FINAL")) == []


def test_the_latest_movement_counts_in_whatever_order_they_come() -> None:
    rows = [
        Movement(sequence=2, role="creditor", state="FINAL", instruction_id=ID, amount=2550),
        Movement(sequence=1, role="creditor", state="HELD", instruction_id=ID, amount=2550),
    ]
    assert kinds("POSTED", a_book("0970", "debtor", "FINAL"), Book.of("0971", rows)) == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [("FINAL", [Kind.DIFFERENT]), ("HELD", [Kind.NOT_YET]), ("REFUSED", [])],
)
def test_an_order_that_the_ledger_does_not_know(state: str, expected: list[Kind]) -> None:
    comparison = compare([], {"0971": a_book("0971", "creditor", state)})
    assert [one.kind for one in comparison.findings] == expected


def test_an_order_without_an_id_never_left_its_institution() -> None:
    rows = [Movement(sequence=1, role="debtor", state="NOT_SENT", instruction_id=None)]
    assert compare([], {"0970": Book.of("0970", rows)}).findings == ()


def test_an_order_without_an_id_whose_payer_waits_is_not_equal_yet() -> None:
    waiting = Movement(sequence=1, role="debtor", state="PENDING", verification_id="V1")
    answered = Movement(
        sequence=2, role="debtor", state="REJECTED", instruction_id=ID, verification_id="V1"
    )

    found = compare([], {"0970": Book.of("0970", [waiting])}).findings
    assert [(one.kind, one.instruction_id) for one in found] == [(Kind.NOT_YET, "V1")]
    assert compare([], {"0970": Book.of("0970", [answered, waiting])}).findings == ()


def test_a_participant_without_a_book_is_named_only_if_it_took_part() -> None:
    creditor = a_book("0971", "creditor", "FINAL")
    comparison = compare([a_transfer("CONFIRMED", debtor_agent="0985")], {"0971": creditor})

    assert comparison.without_book == {"0985"}
    assert comparison.findings == ()
    assert comparison.compared == 1


@pytest.mark.parametrize(
    ("state", "quoted", "expected"),
    [
        ("CONFIRMED", "another", [Kind.DIFFERENT]),
        ("RESERVED", "another", [Kind.DIFFERENT]),
        ("CONFIRMED", "V1", [Kind.NOT_YET]),
        ("REJECTED", "another", []),
    ],
)
def test_an_institution_that_writes_first_knows_every_order_it_sent(
    state: str, quoted: str, expected: list[Kind]
) -> None:
    row = Movement(sequence=1, role="debtor", state="REJECTED", verification_id="V1")
    book = Book.of("0970", [row], writes_first=True)

    found = compare([a_transfer(state, verification_id=quoted)], {"0970": book}).findings

    assert [one.kind for one in found] == expected


def test_a_finding_that_is_doubted_is_not_a_difference_yet() -> None:
    seen = compare([a_transfer("CONFIRMED")], {"0971": a_book("0971", "creditor")})

    assert not doubted(seen, seen.findings).of_kind(Kind.DIFFERENT)


@pytest.mark.parametrize(
    ("state", "debtor", "creditor", "expected"),
    [
        ("ACSP", ["PENDING"], [], []),
        ("ACSC", ["PENDING", "FINAL"], ["FINAL"], []),
        ("RJCT", ["PENDING", "REJECTED"], [], []),
        ("RJCT", ["REFUSED"], [], []),
        ("RJCT", [], [], []),
        # What still travels.
        ("ACSP", [], [], [Kind.NOT_YET]),
        ("ACSC", ["PENDING"], ["FINAL"], [Kind.NOT_YET]),
        ("ACSC", ["FINAL"], [], [Kind.NOT_YET]),
        ("ACSC", ["FINAL"], ["UNAPPLIED"], [Kind.NOT_YET]),
        ("ACSP", ["UNAPPLIED"], [], [Kind.NOT_YET]),
        ("RJCT", ["PENDING"], [], [Kind.NOT_YET]),
        # What differs.
        ("ACSP", ["FINAL"], [], [Kind.DIFFERENT]),
        ("ACSP", ["REJECTED"], [], [Kind.DIFFERENT]),
        ("ACSP", ["PENDING"], ["FINAL"], [Kind.DIFFERENT]),
        ("ACSC", ["REJECTED"], ["FINAL"], [Kind.DIFFERENT]),
        ("ACSC", ["FINAL"], ["REFUSED"], [Kind.DIFFERENT]),
        ("ACSC", ["FINAL"], ["FINAL", "FINAL"], [Kind.DIFFERENT]),
        ("RJCT", ["FINAL"], [], [Kind.DIFFERENT]),
        ("RJCT", ["REJECTED"], ["FINAL"], [Kind.DIFFERENT]),
    ],
)
def test_payments_of_the_slow_rails_have_their_verdicts(
    state: str, debtor: list[str], creditor: list[str], expected: list[Kind]
) -> None:
    books = a_book("0970", "debtor", *debtor), a_book("0971", "creditor", *creditor)
    assert kinds(state, *books) == expected


def a_return(amount: int) -> ReturnRow:
    return ReturnRow(
        return_id="R1",
        transfer_id=ID,
        debtor_agent="0970",
        creditor_agent="0971",
        amount=amount,
    )


def the_books(giver: str, getter: str, original: str = "FINAL") -> dict[str, Book]:
    """Return both books of a settled payment and of its return R1."""

    def row(number: int, role: str, state: str, **facts: Any) -> Movement:
        return Movement(sequence=number, role=role, state=state, **facts)

    back = {"instruction_id": "R1", "amount": 100}
    first = {"instruction_id": ID, "amount": 2550}
    debtor = [row(1, "debtor", "FINAL", **first), row(2, "creditor", getter, **back)]
    creditor = [row(1, "creditor", original, **first), row(2, "debtor", giver, **back)]
    return {"0970": Book.of("0970", debtor), "0971": Book.of("0971", creditor)}


def test_a_return_is_compared_on_both_sides() -> None:
    settled = [a_transfer("ACSC")]
    assert compare(settled, the_books("FINAL", "FINAL"), [a_return(100)]).findings == ()
    (wrong,) = compare(settled, the_books("FINAL", "REFUSED"), [a_return(100)]).findings
    assert (wrong.kind, wrong.participant) == (Kind.DIFFERENT, "0970")
    other = compare(settled, the_books("FINAL", "FINAL"), [a_return(99)]).findings
    assert [one.kind for one in other] == [Kind.DIFFERENT] * 2
    unknown = compare(settled, the_books("FINAL", "FINAL")).findings
    assert [one.kind for one in unknown] == [Kind.DIFFERENT] * 2


def test_what_could_not_be_applied_is_settled_by_returning_all_of_it() -> None:
    books = the_books("UNAPPLIED", "FINAL", "UNAPPLIED")
    part = [a_transfer("ACSC")]
    (left,) = compare(part, books, [a_return(100)]).findings
    assert (left.kind, left.instruction_id) == (Kind.NOT_YET, ID)
    whole = {"amount": 100}
    books = {code: _all_of(book, 100) for code, book in books.items()}
    assert compare([a_transfer("ACSC", **whole)], books, [a_return(100)]).findings == ()


def _all_of(book: Book, amount: int) -> Book:
    return Book.of(book.code, [replace(one, amount=amount) for one in book.last.values()])
