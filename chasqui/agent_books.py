"""The comparison of the ledger with the tills of field agents: pure, operation by operation.

Their institution has no core, so no book but what its agents' terminals said and were told:

    operation                      ledger
    applied, and it moves money    one order under its reference, posted, of the same cents
    anything else with a verdict   no posted order under its reference
    none                           no posted order, unless an operation has no verdict yet

Besides, each till is counted again from its operations, the tills of an institution hold what its
position moved by the orders, and a terminal's own queue has the verdicts that the switch has.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from chasqui.agent_answers import OperationRow, TillAnswerRow
from chasqui.answers import Transfer
from chasqui.books import ENDED_UNPAID, NO_OPERATION, OTHER_CASH, Finding, Kind
from chasqui.language import N_
from participants.core.agent_book import Entry
from scheme.wire.agent_digest import APPLIED
from scheme.wire.agent_payload import CASH_TAKEN, CURRENCIES, MOVES_MONEY
from scheme.wire.agent_payload import Kind as Does

_POSTED = frozenset({"POSTED", "CONFIRMED", "ACSC", "APPROVED", "DISPUTED_POSTED"})
_UNPAID = ENDED_UNPAID | {"DISPUTED", "DECLINED", "RJCT"}
_MOVING = frozenset(one.name for one in MOVES_MONEY)
_TAKEN = frozenset(one.name for one in CASH_TAKEN)
_OUT = Does.CASH_OUT.name
_Cash = tuple[bool, int, str]
"""Whether it came into the till, the minor units and the currency."""


@dataclass(frozen=True, slots=True)
class AgentBook:
    """What the terminals of one institution say.

    Attributes:
        operations: by terminal; read after the queues and between the tills.
        before, after: the tills, as they were read before and after the operations.
        queues: what the terminals of this home remember themselves.
        busy: terminals whose queue somebody plays just now, so that it cannot be read.
    """

    code: str
    operations: Mapping[str, Sequence[OperationRow]]
    before: Sequence[TillAnswerRow] = ()
    after: Sequence[TillAnswerRow] = ()
    queues: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    busy: tuple[str, ...] = ()

    def applied(self) -> Iterator[tuple[str, OperationRow]]:
        """Yield the operations that moved money, with their names."""
        for key, row in self.rows():
            if row.code == APPLIED and row.kind in _MOVING:
                yield key, row

    def rows(self) -> Iterator[tuple[str, OperationRow]]:
        """Yield all operations with their names, ``terminal/number``."""
        for device, rows in self.operations.items():
            for row in rows:
                yield f"{device}/{row.seq}", row


@dataclass(frozen=True, slots=True)
class CashRow:
    """What an institution's agents took and paid out in one currency, in minor units.

    Attributes:
        moved: by how much the orders behind it moved the position, without fees.
        fees: what the position paid besides.
        returned: what came back to the position later; no till knows of it.
    """

    currency: str
    taken: int
    paid: int
    moved: int
    fees: int
    returned: int


@dataclass(frozen=True, slots=True)
class AgentComparison:
    """What the comparison of an institution's tills found.

    Attributes:
        operations: with a verdict; open: without one yet.
        terminals: that made any; queues: compared of these; waiting: operations in them whose
            verdict the terminal does not have.
    """

    code: str
    findings: tuple[Finding, ...]
    cash: tuple[CashRow, ...]
    operations: int
    open: int
    terminals: int
    queues: int
    waiting: int
    busy: tuple[str, ...]


def compare_agents(
    book: AgentBook, orders: Iterable[Transfer], returned: Mapping[str, int]
) -> AgentComparison:
    """Compare an institution's tills with its orders in the ledger, both ways.

    Args:
        orders: of the ledger, read after the book; those of other institutions are passed over.
        returned: minor units that went back, by order.
    """
    own = {
        one.instruction_id: one
        for one in orders
        if book.code in {one.debtor_agent, one.creditor_agent}
    }
    findings = [*_operations(book, own, returned), *_strangers(book, own), *_recount(book)]
    cash = tuple(_cash(book, own, returned))
    findings += _position(book, cash, findings)
    findings += _queues(book)
    rows = [row for _, row in book.rows()]
    return AgentComparison(
        code=book.code,
        findings=tuple(findings),
        cash=cash,
        operations=sum(bool(row.code) for row in rows),
        open=sum(not row.code for row in rows),
        terminals=sum(bool(some) for some in book.operations.values()),
        queues=len(book.queues),
        waiting=sum(not one.is_settled for some in book.queues.values() for one in some),
        busy=book.busy,
    )


def _operations(
    book: AgentBook, own: Mapping[str, Transfer], returned: Mapping[str, int]
) -> Iterator[Finding]:
    claimed: set[str] = set()
    for key, row in book.rows():
        if not row.code:
            continue
        one = own.get(row.reference) if row.reference else None
        if row.code == APPLIED and row.kind in _MOVING:
            found = _applied(book.code, row, one, returned, is_second=row.reference in claimed)
            claimed.add(row.reference)
        else:
            found = _without_effect(one)
        if found is not None:
            kind, text = found
            yield Finding(kind, row.reference or key, book.code, text, operation=key)


def _applied(
    code: str,
    row: OperationRow,
    one: Transfer | None,
    returned: Mapping[str, int],
    *,
    is_second: bool,
) -> tuple[Kind, str] | None:
    if not row.reference:
        return Kind.DIFFERENT, N_("applied, but it names no order of the ledger")
    if is_second:
        return Kind.DIFFERENT, N_("applied, but another operation has the same order")
    if one is None:
        return Kind.DIFFERENT, N_("applied, but the ledger does not know its order")
    if one.state in _UNPAID:
        return Kind.DIFFERENT, N_("applied, but the ledger did not post its order")
    if one.state not in _POSTED:
        return Kind.NOT_YET, N_("not decided yet")
    is_in = row.kind in _TAKEN
    if _is_in(code, one) != is_in:
        return Kind.DIFFERENT, N_("applied, but its order moved the money the other way")
    due = one.amount if is_in else one.amount - returned.get(one.instruction_id, 0)
    if (row.minor, row.currency) != (due, one.currency):
        return Kind.DIFFERENT, N_("applied with another amount than its order has")
    return None


def _without_effect(one: Transfer | None) -> tuple[Kind, str] | None:
    if one is None or one.state in _UNPAID:
        return None
    if one.state in _POSTED:
        return Kind.DIFFERENT, N_("it moved no cash, but the ledger posted its order")
    return Kind.NOT_YET, N_("not decided yet")


def _strangers(book: AgentBook, own: Mapping[str, Transfer]) -> Iterator[Finding]:
    """Find orders that no operation names; what has no verdict yet may be one of them."""
    named = {row.reference for _, row in book.rows() if row.code}
    open_ones = Counter(_cash_of(row) for _, row in book.rows() if not row.code)
    for identity, one in own.items():
        if identity in named or one.state in _UNPAID:
            continue
        cash: _Cash = (_is_in(book.code, one), one.amount, one.currency)
        kind = Kind.NOT_YET
        if open_ones[cash]:
            open_ones[cash] -= 1
            text = N_("its terminal's operation has no verdict yet")
        elif one.state not in _POSTED:
            text = N_("not decided yet")
        else:
            kind, text = Kind.DIFFERENT, NO_OPERATION
        yield Finding(kind, identity, book.code, text)


def _recount(book: AgentBook) -> Iterator[Finding]:
    """Count each till again from its operations."""
    taken, paid = _counted(book)
    before = {(one.agent, one.currency): (one.taken, one.paid) for one in book.before}
    for one in book.after:
        key = one.agent, one.currency
        counted = (
            (N_("its till does not hold what was taken in"), one.taken, taken[key]),
            (N_("its till does not hold what was paid out"), one.paid, paid[key]),
        )
        # A till that moved while its operations were read tells nothing of either.
        is_moving = before.get(key) != (one.taken, one.paid)
        for text, recorded, recounted in counted:
            if recorded != recounted:
                kind = Kind.NOT_YET if is_moving else Kind.DIFFERENT
                subject = f"{one.agent} {one.currency}"
                yield Finding(kind, subject, book.code, text, recorded, recounted)
    known = {(one.agent, one.currency) for one in book.after}
    for agent, currency in sorted((taken.keys() | paid.keys()) - known):
        text = N_("its operations moved cash, but it has no till")
        yield Finding(Kind.DIFFERENT, f"{agent} {currency}", book.code, text)


def _counted(book: AgentBook) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    taken: Counter[tuple[str, str]] = Counter()
    paid: Counter[tuple[str, str]] = Counter()
    for key, row in book.applied():
        agent = key.rpartition("-")[0]
        (paid if row.kind == _OUT else taken)[agent, row.currency] += row.minor
    return taken, paid


def _cash(
    book: AgentBook, own: Mapping[str, Transfer], returned: Mapping[str, int]
) -> Iterator[CashRow]:
    posted = [one for one in own.values() if one.state in _POSTED]
    for currency in CURRENCIES:
        tills = [one for one in book.after if one.currency == currency]
        some = [one for one in posted if one.currency == currency]
        into = [one for one in some if _is_in(book.code, one)]
        out = [one for one in some if not _is_in(book.code, one)]
        given = sum(one.amount - returned.get(one.instruction_id, 0) for one in out)
        row = CashRow(
            currency=currency,
            taken=sum(one.taken for one in tills),
            paid=sum(one.paid for one in tills),
            moved=given - sum(one.amount for one in into),
            fees=sum(one.fee for one in into) - sum(one.fee for one in out),
            returned=sum(returned.get(one.instruction_id, 0) for one in into),
        )
        if some or row.taken or row.paid:
            yield row


def _position(
    book: AgentBook, cash: Iterable[CashRow], findings: Sequence[Finding]
) -> Iterator[Finding]:
    """Compare what the tills hold with what the position gave for it, in each currency."""
    travels = any(one.kind is Kind.NOT_YET for one in findings)
    kind = Kind.NOT_YET if travels else Kind.DIFFERENT
    for row in cash:
        if row.taken - row.paid != -row.moved:
            subject, held = f"{book.code} {row.currency}", row.taken - row.paid
            yield Finding(kind, subject, book.code, OTHER_CASH, held, -row.moved)


def _queues(book: AgentBook) -> Iterator[Finding]:
    for device, entries in book.queues.items():
        rows = {row.seq: row for row in book.operations.get(device, ())}
        for one in entries:
            text = _unlike(one, rows.get(one.seq))
            if text is not None:
                key = f"{device}/{one.seq}"
                yield Finding(Kind.DIFFERENT, key, book.code, text, operation=key)


def _unlike(one: Entry, row: OperationRow | None) -> str | None:
    verdict, operation = one.verdict, one.operation
    if verdict is None:
        return None  # The terminal will be told in its next session.
    if row is None:
        return N_("its terminal has a verdict on it, but the clearing house does not know it")
    said = (operation.op_id.hex(), operation.minor, CURRENCIES[operation.currency])
    if said != (row.op_id, row.minor, row.currency):
        return N_("its terminal has another operation under this number")
    if not row.code:
        return N_("its terminal has a verdict on it, but the clearing house has none")
    if (verdict.code, verdict.reason, verdict.reference) != (row.code, row.reason, row.reference):
        return N_("its terminal has another verdict than the clearing house")
    return None


def _is_in(code: str, one: Transfer) -> bool:
    """Tell whether an order is paid from the position for cash that came into a till."""
    return one.debtor_agent == code


def _cash_of(row: OperationRow) -> _Cash:
    return (row.kind in _TAKEN, row.minor if row.kind in _MOVING else 0, row.currency)
