"""Withdrawals in the comparison of all books."""

import pytest

from chasqui.answers import Movement, ReturnRow, Transfer
from chasqui.books import Book, Kind, compare

ID = "W20260115120000-0991-0123456789ab"
AMOUNT = 20_000


def a_book(code: str, *rows: tuple[str, int]) -> Book:
    movements = [
        Movement(sequence=at, role=role, state="FINAL", instruction_id=ID, amount=amount)
        for at, (role, amount) in enumerate(rows)
    ]
    return Book.of(code, movements, writes_first=True)


def findings(
    state: str, issuer: list[tuple[str, int]], machine: list[tuple[str, int]], returned: int = 0
) -> list[tuple[Kind, str]]:
    one = Transfer(
        instruction_id=ID,
        state=state,
        debtor_agent="0975",
        creditor_agent="0991",
        amount=AMOUNT,
    )
    books = {"0975": a_book("0975", *issuer), "0991": a_book("0991", *machine)}
    back = ReturnRow(return_id="R1", transfer_id=ID, amount=returned)
    found = compare([one], books, [back] if returned else [])
    return [(each.kind, each.participant) for each in found.findings]


TOOK, GOT = ("debtor", AMOUNT), ("creditor", AMOUNT)
HERE, LATER = Kind.DIFFERENT, Kind.NOT_YET


@pytest.mark.parametrize(
    ("state", "issuer", "machine", "returned", "expected"),
    [
        ("APPROVED", [TOOK], [GOT], 0, []),
        ("APPROVED", [TOOK, ("creditor", AMOUNT)], [GOT, ("debtor", AMOUNT)], AMOUNT, []),
        ("APPROVED", [TOOK, ("creditor", 15_000)], [GOT, ("debtor", 15_000)], 15_000, []),
        ("APPROVED", [TOOK], [GOT], 15_000, [(LATER, "0991"), (LATER, "0975")]),
        ("APPROVED", [TOOK], [], 0, [(LATER, "0991")]),
        ("APPROVED", [], [GOT], 0, [(HERE, "0975")]),
        ("APPROVED", [TOOK, ("creditor", 1)], [GOT], 0, [(HERE, "0975")]),
        ("DISPUTED_POSTED", [TOOK], [GOT, ("debtor", AMOUNT)], AMOUNT, [(HERE, "0975")]),
        ("DECLINED", [], [], 0, []),
        ("DECLINED", [], [GOT], 0, [(HERE, "0991")]),
        ("CANCELLED", [TOOK, ("creditor", AMOUNT)], [], 0, []),
        ("CANCELLED", [TOOK], [], 0, [(HERE, "0975")]),
        ("EXPIRED", [TOOK], [], 0, [(LATER, "0975")]),
        ("DISPUTED", [TOOK], [], 0, [(HERE, "0975")]),
        ("AUTHORISING", [TOOK], [], 0, [(LATER, "0991"), (LATER, "0975")]),
    ],
)
def test_what_remains_in_each_book_is_compared(
    state: str,
    issuer: list[tuple[str, int]],
    machine: list[tuple[str, int]],
    returned: int,
    expected: list[tuple[Kind, str]],
) -> None:
    assert findings(state, issuer, machine, returned) == expected


def test_a_withdrawal_that_the_ledger_does_not_know_is_told() -> None:
    found = compare([], {"0975": a_book("0975", TOOK)}).findings
    assert [one.kind for one in found] == [Kind.DIFFERENT]


@pytest.mark.parametrize(
    ("state", "issuer", "different"),
    [("APPROVED", [TOOK], []), ("APPROVED", [], ["0975"]), ("CANCELLED", [TOOK], ["0975"])],
)
def test_of_field_agents_without_a_book_the_issuers_side_alone_is_compared(
    state: str, issuer: list[tuple[str, int]], different: list[str]
) -> None:
    one = Transfer(
        instruction_id=ID,
        state=state,
        debtor_agent="0975",
        creditor_agent="0992",
        amount=AMOUNT,
    )
    found = compare([one], {"0975": a_book("0975", *issuer)})
    assert [each.participant for each in found.of_kind(Kind.DIFFERENT)] == different
    assert found.compared == 1
    assert found.without_book == {"0992"}


def test_a_book_that_cannot_be_seen_is_named() -> None:
    one = Transfer(instruction_id=ID, state="APPROVED", debtor_agent="0975", creditor_agent="0991")
    assert compare([one], {}).without_book == {"0975", "0991"}
