"""Field agents' tills in the comparison of all books."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chasqui.agent_answers import OperationRow, TillAnswerRow
from chasqui.agent_books import AgentBook, AgentComparison, compare_agents
from chasqui.answers import Transfer
from chasqui.books import NO_OPERATION, Kind, compare
from participants.core.agent_book import Entry, EntryState
from scheme.wire.agent_payload import Kind as Does
from scheme.wire.agent_payload import Operation, Verdict

CODE, DEVICE, AGENT = "0992", "0992-0001-1", "0992-0001"
IN, OUT = "T1", "W1"
HERE, LATER = Kind.DIFFERENT, Kind.NOT_YET


def an_operation(seq: int = 1, **changes: Any) -> OperationRow:
    row: dict[str, Any] = {"kind": "CASH_IN", "minor": 1000, "code": "00", "reference": IN}
    return OperationRow(seq=seq, op_id=f"{seq:016x}", **row | changes)


def paid_out(seq: int = 2, **changes: Any) -> OperationRow:
    row: dict[str, Any] = {"kind": "CASH_OUT", "minor": 300, "reference": OUT}
    return an_operation(seq, **row | changes)


def refused(seq: int = 1, **changes: Any) -> OperationRow:
    return an_operation(seq, **{"code": "51"} | changes)


def an_order(**changes: Any) -> Transfer:
    order: dict[str, Any] = {
        "instruction_id": IN,
        "state": "CONFIRMED",
        "debtor_agent": CODE,
        "creditor_agent": "0971",
        "amount": 1000,
        "fee": 80,
    }
    return Transfer(**order | changes)


def a_withdrawal(**changes: Any) -> Transfer:
    order: dict[str, Any] = {
        "instruction_id": OUT,
        "state": "APPROVED",
        "debtor_agent": "0975",
        "creditor_agent": CODE,
        "amount": 300,
        "fee": 0,
    }
    return an_order(**order | changes)


def a_till(taken: int, paid: int = 0, *, agent: str = AGENT) -> TillAnswerRow:
    return TillAnswerRow(agent=agent, currency="PEN", taken=taken, paid=paid)


def a_book(rows: Sequence[OperationRow], *tills: TillAnswerRow, **more: Any) -> AgentBook:
    """Return a book whose till is what was applied, unless another one is given."""
    done = [row for row in rows if row.code == "00"]
    taken = sum(row.minor for row in done if row.kind == "CASH_IN")
    paid = sum(row.minor for row in done if row.kind == "CASH_OUT")
    told = tills or (a_till(taken, paid),)
    book: dict[str, Any] = {"before": told, "after": told} | more
    return AgentBook(CODE, {DEVICE: rows}, **book)


def told(
    book: AgentBook, orders: Sequence[Transfer], returned: Mapping[str, int] | None = None
) -> AgentComparison:
    return compare_agents(book, orders, returned or {})


def of_orders(found: AgentComparison) -> list[tuple[Kind, str, str]]:
    """Return the findings about orders; those about sums have figures."""
    return [
        (one.kind, one.instruction_id, one.operation)
        for one in found.findings
        if one.recorded is None
    ]


def test_tills_and_ledger_that_agree_leave_nothing_to_say() -> None:
    void = an_operation(4, kind="VOID", minor=0, reference="")
    rows = [an_operation(), paid_out(), refused(3, reference="T3"), void]
    orders = [an_order(), a_withdrawal(), an_order(instruction_id="T3", state="REJECTED")]
    elsewhere = an_order(instruction_id="T9", debtor_agent="0970")

    found = told(a_book(rows), [*orders, elsewhere])

    assert found.findings == ()
    assert (found.operations, found.open, found.terminals) == (4, 0, 1)
    (cash,) = found.cash
    assert (cash.taken, cash.paid, cash.moved, cash.fees) == (1000, 300, -700, 80)


@pytest.mark.parametrize(
    ("rows", "orders", "expected"),
    [
        ([an_operation()], [], (HERE, IN, f"{DEVICE}/1")),
        ([an_operation(reference="")], [], (HERE, f"{DEVICE}/1", f"{DEVICE}/1")),
        ([an_operation()], [an_order(state="REJECTED")], (HERE, IN, f"{DEVICE}/1")),
        ([an_operation()], [an_order(state="DISPUTED")], (HERE, IN, f"{DEVICE}/1")),
        ([an_operation()], [an_order(state="RESERVED")], (LATER, IN, f"{DEVICE}/1")),
        ([an_operation()], [an_order(amount=1001)], (HERE, IN, f"{DEVICE}/1")),
        ([an_operation()], [an_order(currency="USD")], (HERE, IN, f"{DEVICE}/1")),
        (
            [an_operation()],
            [an_order(debtor_agent="0971", creditor_agent=CODE)],
            (HERE, IN, f"{DEVICE}/1"),
        ),
        ([paid_out()], [a_withdrawal(state="CANCELLED")], (HERE, OUT, f"{DEVICE}/2")),
        ([paid_out()], [a_withdrawal(state="AUTHORISING")], (LATER, OUT, f"{DEVICE}/2")),
        ([refused()], [an_order()], (HERE, IN, f"{DEVICE}/1")),
        ([refused()], [an_order(state="RESERVED")], (LATER, IN, f"{DEVICE}/1")),
        ([an_operation(kind="BALANCE", minor=0)], [an_order()], (HERE, IN, f"{DEVICE}/1")),
        ([an_operation(), an_operation(2)], [an_order()], (HERE, IN, f"{DEVICE}/2")),
        ([], [an_order()], (HERE, IN, "")),
        ([], [an_order(state="RESERVED")], (LATER, IN, "")),
        ([an_operation(code="", reference="")], [an_order()], (LATER, IN, "")),
        ([an_operation(code="", reference="", minor=999)], [an_order()], (HERE, IN, "")),
        ([paid_out(code="", reference="")], [a_withdrawal()], (LATER, OUT, "")),
    ],
)
def test_each_operation_and_each_order_has_its_counterpart(
    rows: list[OperationRow], orders: list[Transfer], expected: tuple[Kind, str, str]
) -> None:
    assert of_orders(told(a_book(rows), orders)) == [expected]


@pytest.mark.parametrize(
    ("rows", "orders"),
    [
        ([refused(reference="")], []),
        ([refused()], [an_order(state="EXPIRED")]),
        ([], [an_order(state="CANCELLED")]),
        ([an_operation(code="", reference="")], []),
    ],
)
def test_what_moved_nothing_on_either_side_is_no_difference(
    rows: list[OperationRow], orders: list[Transfer]
) -> None:
    assert told(a_book(rows), orders).findings == ()


def test_one_operation_without_a_verdict_explains_one_order_only() -> None:
    orders = [an_order(), an_order(instruction_id="T2")]
    found = told(a_book([an_operation(code="", reference="")]), orders)
    assert of_orders(found) == [(LATER, IN, ""), (HERE, "T2", "")]
    assert NO_OPERATION in {one.text for one in found.findings}


def test_cash_that_went_back_to_the_issuer_was_not_paid_out() -> None:
    book = a_book([paid_out(minor=100)])
    assert told(book, [a_withdrawal()], {OUT: 200}).findings == ()
    assert of_orders(told(a_book([paid_out()]), [a_withdrawal()], {OUT: 200}))


def test_what_was_returned_later_is_in_no_till() -> None:
    found = told(a_book([an_operation()]), [an_order()], {IN: 400})
    assert found.findings == ()
    assert [(row.moved, row.returned) for row in found.cash] == [(-1000, 400)]


@pytest.mark.parametrize(
    ("till", "figures"),
    [(a_till(999, 300), [(999, 1000), (699, 700)]), (a_till(1000, 0), [(0, 300), (1000, 700)])],
)
def test_a_till_that_does_not_hold_what_its_operations_moved_differs(
    till: TillAnswerRow, figures: list[tuple[int, int]]
) -> None:
    found = told(a_book([an_operation(), paid_out()], till), [an_order(), a_withdrawal()])
    assert [(one.recorded, one.recounted) for one in found.findings] == figures
    assert {one.kind for one in found.findings} == {HERE}


def test_a_till_that_moves_while_it_is_read_is_looked_at_again() -> None:
    book = a_book([an_operation()], a_till(2000), before=(a_till(1000),))
    assert {one.kind for one in told(book, [an_order()]).findings} == {LATER}


def test_operations_of_an_agent_without_a_till_differ() -> None:
    book = a_book([an_operation()], a_till(1000, agent="0992-0009"))
    found = told(book, [an_order()]).findings
    assert (HERE, f"{AGENT} PEN") in {(one.kind, one.instruction_id) for one in found}


# --- the terminals' own queues


def an_entry(seq: int = 1, verdict: Verdict | None = None, **changes: Any) -> Entry:
    made: dict[str, Any] = {
        "seq": seq,
        "op_id": seq.to_bytes(8, "big"),
        "kind": Does.CASH_IN,
        "minor": 1000,
        "currency": 0,
        "account": "",
        "entity": "",
        "at": 0,
        "offline": True,
    }
    return Entry(Operation(**made | changes), EntryState.APPLIED, verdict)


APPLIED = Verdict(seq=1, code="00", reference=IN)


@pytest.mark.parametrize(
    ("entry", "rows", "expected"),
    [
        (an_entry(verdict=APPLIED), [an_operation()], ""),
        (an_entry(), [an_operation()], ""),
        (an_entry(2), [an_operation()], ""),
        (an_entry(verdict=Verdict(seq=1, code="51")), [an_operation()], "another verdict"),
        (an_entry(verdict=Verdict(1, "00", "", "T2")), [an_operation()], "another verdict"),
        (an_entry(verdict=APPLIED, minor=999), [an_operation()], "another operation"),
        (an_entry(verdict=APPLIED, currency=1), [an_operation()], "another operation"),
        (an_entry(verdict=APPLIED, op_id=bytes(8)), [an_operation()], "another operation"),
        (
            an_entry(verdict=APPLIED),
            [an_operation(code="", reference="")],
            "the clearing house has none",
        ),
        (an_entry(2, verdict=APPLIED), [an_operation()], "does not know it"),
    ],
)
def test_a_terminal_has_the_verdicts_that_the_switch_has(
    entry: Entry, rows: list[OperationRow], expected: str
) -> None:
    found = told(a_book(rows, queues={DEVICE: [entry]}), [an_order()] if rows[0].code else [])
    assert [expected in one.text for one in found.findings] == ([True] if expected else [])
    assert (found.queues, found.waiting) == (1, int(entry.verdict is None))


def test_an_institution_compared_by_its_tills_does_not_lack_a_book() -> None:
    orders = [an_order(creditor_agent="0985"), a_withdrawal()]
    found = compare(orders, {}, elsewhere={CODE})
    assert found.without_book == {"0985", "0975"}
    assert found.compared == 2
