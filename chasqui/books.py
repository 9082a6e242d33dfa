"""The comparison of the ledger with the institutions' own books: pure, one verdict an order.

    ledger                         creditor's book          debtor's book
    POSTED, CONFIRMED              credited exactly once    final
    REJECTED, EXPIRED, CANCELLED,  never credited           given back
    TOMBSTONE
    RESERVED                       held at most             pending
    ACSP                           never credited           debited once, pending
    ACSC                           credited exactly once    final
    RJCT                           never credited           given back, or never debited

Cash at a machine has a table of its own (``chasqui.cash_books``), and so have the tills of field
agents (``chasqui.agent_books``).

A return is a payment the other way: whoever was credited gives, and both books say so.

What both say of an order must be the same, field by field. Whether an institution's accounts hold
what its orders moved is its own recount's matter; what that finds counts as a difference here.

What still travels (a CT5 or CTC1 owed, an order that asks again) is told apart from what differs.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from chasqui.answers import Movement, Recount, ReturnRow, Transfer
from chasqui.cash_books import UNHEARD, is_cash
from chasqui.cash_books import judge as judge_cash
from chasqui.language import N_
from scheme.money import CURRENCY_BY_CODE

PAID = frozenset({"POSTED", "CONFIRMED"})
ENDED_UNPAID = frozenset({"REJECTED", "EXPIRED", "CANCELLED", "TOMBSTONE"})
PAYMENTS = frozenset({"ACSP", "ACSC", "RJCT"})
"""States of the deferred and LBTR rails, and of returns."""
NEVER_SENT = N_("it never sent this order: somebody sent it in its name over the raw wire?")
NO_OPERATION = N_("posted, but no terminal's operation names it")
OTHER_CASH = N_("what its tills hold is not what its position gave")
_FINAL = "FINAL"
_HELD = "HELD"
_PENDING = "PENDING"
_UNAPPLIED = "UNAPPLIED"
_SETTLED = "ACSC"
_REJECTED = "RJCT"
_DISPUTED = "DISPUTED"
_DEBTOR = "debtor"
_CREDITOR = "creditor"


class Kind(StrEnum):
    """How grave a finding is."""

    DIFFERENT = "different"
    NOT_YET = "not_yet"


@dataclass(frozen=True, slots=True)
class Finding:
    """One order, or account, on which two books do not agree.

    Attributes:
        instruction_id: of the order; the account's CCI where an account does not add up.
        text: message id of what is the matter.
        recorded, recounted: the two figures that differ, in minor units.
        operation: of a field agent's terminal, where it is about one.
    """

    kind: Kind
    instruction_id: str
    participant: str
    text: str
    recorded: int | None = None
    recounted: int | None = None
    operation: str = ""


_Make = Callable[[str], Finding]


@dataclass(slots=True)
class Book:
    """What one participant's own book says, by order and role.

    Attributes:
        last: the latest movement.
        credits: how often an order was credited.
        nameless: latest movements of the payers' orders that have not heard of an id, by the
            verification they quote.
        verifications: those that its payers' orders quote.
        writes_first: an order is in the book before it is sent, as simulated institutions do.
        has_machines: its orders are made at machines, which book what they are told of.
    """

    code: str
    last: dict[tuple[str, str], Movement] = field(default_factory=dict)
    nameless: dict[str, Movement] = field(default_factory=dict)
    verifications: set[str] = field(default_factory=set)
    writes_first: bool = False
    has_machines: bool = False
    credits: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(
        cls,
        code: str,
        movements: Iterable[Movement],
        *,
        writes_first: bool = False,
        has_machines: bool = False,
    ) -> "Book":
        """Read a book from its movements, in any order."""
        book = cls(code, writes_first=writes_first, has_machines=has_machines)
        for one in sorted(movements, key=lambda one: one.sequence):
            if one.role == _DEBTOR and one.verification_id:
                book.verifications.add(one.verification_id)
            if not one.instruction_id:
                # On its way, or it never left its institution, or was refused before it had an id.
                if one.role == _DEBTOR:
                    book.nameless[one.verification_id or ""] = one
                continue
            if one.role == _DEBTOR:
                book.nameless.pop(one.verification_id or "", None)
            book.last[one.role, one.instruction_id] = one
            if one.role == _CREDITOR and one.state == _FINAL:
                book.credits[one.instruction_id] += 1
        return book


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the comparison of all books found.

    Attributes:
        compared: orders on whose two sides there was a book to look at, at least on one.
        without_book: participants that took part and have no book to look at.
    """

    findings: tuple[Finding, ...]
    compared: int
    without_book: frozenset[str]

    def of_kind(self, kind: Kind) -> list[Finding]:
        """Return the findings of one kind."""
        return [one for one in self.findings if one.kind is kind]


def _as_listed(one: Transfer) -> str | None:
    return one.verification_id or ""


def compare(
    transfers: Iterable[Transfer],
    books: Mapping[str, Book],
    returns: Iterable[ReturnRow] = (),
    quoted: Callable[[Transfer], str | None] = _as_listed,
    elsewhere: Collection[str] = (),
) -> Comparison:
    """Compare every order of the ledger with both books, and every book with the ledger.

    Args:
        returns: what went back of transfers.
        quoted: returns the verification that an order quotes, which lists do not say; asked only
            of orders that their payers' books do not know. None: that is not known.
        elsewhere: participants whose books are compared by others.
    """
    given_back = tuple(returns)
    orders = itertools.chain(transfers, map(_as_order, given_back))
    returned: Counter[str] = Counter()
    for row in given_back:
        returned[row.transfer_id] += row.amount
    findings: list[Finding] = []
    missing: set[str] = set()
    known: set[tuple[str, str, str]] = set()
    compared = 0
    seen = {*books, *elsewhere}
    for one in orders:
        if is_cash(one):
            findings.extend(_cash(one, books, returned[one.instruction_id]))
            missing |= {one.creditor_agent, one.debtor_agent} - books.keys()
            known |= {
                (code, role, one.instruction_id)
                for code in (one.creditor_agent, one.debtor_agent)
                for role in (_CREDITOR, _DEBTOR)
            }
            compared += not seen.isdisjoint((one.creditor_agent, one.debtor_agent))
            continue
        for code, role in ((one.creditor_agent, _CREDITOR), (one.debtor_agent, _DEBTOR)):
            known.add((code, role, one.instruction_id))
            if code not in books:
                missing.add(code)
                continue
            book = books[code]
            finding = _creditor(one, book) if role == _CREDITOR else _debtor(one, book, quoted)
            if finding is not None and not _is_returned(finding, one, returned):
                findings.append(finding)
        compared += not seen.isdisjoint((one.creditor_agent, one.debtor_agent))
    for book in books.values():
        findings.extend(_strangers(book, known))
        findings.extend(_waiting(book))
    return Comparison(tuple(findings), compared, frozenset(missing - {"", *elsewhere}))


def _cash(one: Transfer, books: Mapping[str, Book], returned: int) -> Iterable[Finding]:
    for code, role in ((one.creditor_agent, _CREDITOR), (one.debtor_agent, _DEBTOR)):
        book = books.get(code)
        found = None if book is None else judge_cash(one, returned, book.last, role=role)
        if book is not None and found is not None:
            kind = Kind.DIFFERENT if found.is_different else Kind.NOT_YET
            yield Finding(kind, one.instruction_id, code, found.text)


def _creditor(one: Transfer, book: Book) -> Finding | None:
    credited = book.credits[one.instruction_id]
    last = book.last.get((_CREDITOR, one.instruction_id))
    different = _maker(Kind.DIFFERENT, one, book)
    not_yet = _maker(Kind.NOT_YET, one, book)
    if credited > 1:
        return different(N_("credited more than once"))
    if one.state in PAYMENTS:
        return _payment_creditor(one, last, different, not_yet)
    if one.state in PAID:
        return _paid_creditor(one, last, different, not_yet)
    if credited and one.state == _DISPUTED:
        return different(N_("in dispute: it keeps what the ledger did not post"))
    if credited:
        return different(N_("credited, but the ledger did not post it"))
    if last is not None and last.state == _HELD:
        if one.state in {"CANCELLED", "REJECTED"}:
            return different(N_("still held, but the ledger ended it without money"))
        return not_yet(N_("held until its cancellation or its enquiry arrives"))
    return None


def _paid_creditor(
    one: Transfer, last: Movement | None, different: _Make, not_yet: _Make
) -> Finding | None:
    if last is None:
        return different(N_("posted, but its book does not know it"))
    if last.state == _FINAL:
        return _unlike(one, last, one.debtor_agent, N_("credited with another amount"), different)
    if one.state == "POSTED" and last.state == _HELD:
        return not_yet(N_("its confirmation (CT5) is still owed"))
    return different(N_("posted, but not credited"))


def _debtor(one: Transfer, book: Book, quoted: Callable[[Transfer], str | None]) -> Finding | None:
    last = book.last.get((_DEBTOR, one.instruction_id))
    different = _maker(Kind.DIFFERENT, one, book)
    not_yet = _maker(Kind.NOT_YET, one, book)
    if one.state in PAYMENTS:
        return _payment_debtor(one, last, different, not_yet)
    if last is None and _never_sent(one, book, quoted):
        return different(NEVER_SENT)
    if last is not None and last.state == _PENDING:
        return not_yet(N_("its payer is still waiting for the answer"))
    if one.state in PAID:
        if last is None and book.has_machines:
            return not_yet(UNHEARD)
        if last is None:
            # A payer learns the id with the answer: until then the order has none in its book.
            return not_yet(N_("its payer has not heard of the outcome"))
        if last.state != _FINAL:
            return different(N_("posted, but given back to the payer"))
        return _unlike(one, last, one.creditor_agent, N_("debited with another amount"), different)
    if last is not None and last.state == _FINAL:
        return different(N_("taken from the payer, but the ledger did not post it"))
    # Of a dispute between the creditor and the clearing house the payer has the money back.
    if one.state not in ENDED_UNPAID and one.state != _DISPUTED:
        return not_yet(N_("not decided yet"))
    return None


_KEPT = N_("not applied: the account is not there; give it back with chasqui return")


def _payment_creditor(
    one: Transfer, last: Movement | None, different: _Make, not_yet: _Make
) -> Finding | None:
    state = None if last is None else last.state
    if one.state != _SETTLED:
        return None if state is None else different(N_("credited, but the ledger did not post it"))
    if last is None:
        return not_yet(N_("its credit (pacs.008 or pacs.004) is still owed"))
    if state == _UNAPPLIED:
        return not_yet(_KEPT)
    if state != _FINAL:
        return different(N_("posted, but not credited"))
    return _unlike(one, last, one.debtor_agent, N_("credited with another amount"), different)


def _payment_debtor(
    one: Transfer, last: Movement | None, different: _Make, not_yet: _Make
) -> Finding | None:
    state = None if last is None else last.state
    if one.state == _REJECTED:
        if state == _FINAL:
            return different(N_("taken from the payer, but the ledger did not post it"))
        return not_yet(N_("its refund (pacs.002) is still owed")) if state == _PENDING else None
    if last is None:
        return not_yet(N_("its debit (pacs.002 or pacs.004) is still owed"))
    if state == _UNAPPLIED:
        return not_yet(_KEPT)
    if state not in {_PENDING, _FINAL}:
        return different(N_("given back to the payer, but the ledger did not reject it"))
    if one.state == _SETTLED and state == _PENDING:
        return not_yet(N_("its settlement (pacs.002) is still owed"))
    if one.state != _SETTLED and state == _FINAL:
        return different(N_("final in its book, but the ledger has not settled it"))
    return _unlike(one, last, one.creditor_agent, N_("debited with another amount"), different)


def _as_order(row: ReturnRow) -> Transfer:
    """Return a return as what it is in the books: a settled payment the other way."""
    return Transfer(
        instruction_id=row.return_id,
        state=_SETTLED,
        debtor_agent=row.creditor_agent,
        creditor_agent=row.debtor_agent,
        amount=row.amount,
        currency=row.currency,
        reference=row.transfer_id,
    )


def _is_returned(finding: Finding, one: Transfer, returned: Mapping[str, int]) -> bool:
    """Tell whether what could not be applied has gone back whole: nobody has it any more."""
    if finding.text != _KEPT:
        return False
    original = one.reference or one.instruction_id
    # Of the return itself, the side that gives never had it.
    is_giver = one.reference is not None and finding.participant == one.debtor_agent
    return is_giver or (original == one.instruction_id and returned.get(original, 0) >= one.amount)


def _never_sent(one: Transfer, book: Book, quoted: Callable[[Transfer], str | None]) -> bool:
    if not book.writes_first or one.state in ENDED_UNPAID:
        return False
    verification = quoted(one)
    return verification is not None and verification not in book.verifications


def given_up(comparison: Comparison, orders: Container[str]) -> Comparison:
    """Return a comparison in which no machine will hear of some orders any more.

    A machine that asked takes back what it hears nothing of, and is told how that stands: an
    order that its book still does not know was sent by somebody else.
    """
    told = tuple(
        replace(one, kind=Kind.DIFFERENT, text=NEVER_SENT)
        if one.text == UNHEARD and one.instruction_id in orders
        else one
        for one in comparison.findings
    )
    return replace(comparison, findings=told)


def doubted(comparison: Comparison, findings: Collection[Finding]) -> Comparison:
    """Return a comparison with some of its findings not held to be differences yet."""
    told = tuple(
        replace(one, kind=Kind.NOT_YET) if one in findings else one for one in comparison.findings
    )
    return replace(comparison, findings=told)


def _strangers(book: Book, known: set[tuple[str, str, str]]) -> Iterable[Finding]:
    for (role, instruction_id), last in book.last.items():
        if (book.code, role, instruction_id) in known:
            continue
        if last.state == _FINAL:
            text = N_("final in its book, but the ledger does not know it")
            yield Finding(Kind.DIFFERENT, instruction_id, book.code, text)
        elif last.state in {_HELD, _PENDING}:
            text = N_("unknown to the ledger, until its enquiry is answered")
            yield Finding(Kind.NOT_YET, instruction_id, book.code, text)


def _waiting(book: Book) -> Iterable[Finding]:
    for verification_id, last in book.nameless.items():
        if last.state == _PENDING:
            text = N_("its payer is still waiting for the answer")
            yield Finding(Kind.NOT_YET, verification_id, book.code, text)


def _unlike(
    one: Transfer, told: Movement, counterparty: str, amounts: str, different: _Make
) -> Finding | None:
    """Compare what a book and the ledger say of a final order, field by field."""
    # A book may keep the currency's digits, as they came on the wire.
    currency = CURRENCY_BY_CODE.get(told.currency, told.currency)
    if (told.amount, currency) != (one.amount, one.currency):
        return different(amounts)
    if told.fee not in {None, one.fee}:
        return different(N_("final with another fee"))
    if told.settlement not in {None, one.amount + one.fee}:
        return different(N_("final with another settlement amount"))
    if told.counterparty not in {None, counterparty}:
        return different(N_("final with another counterparty"))
    return None


_RECOUNTED = {
    "balance": N_("its account does not hold what its postings moved"),
    "held": N_("its account does not hold back what its pending orders need"),
    "posting": N_("its account was not moved exactly once by the order"),
}


def recounted(code: str, found: Recount) -> tuple[Finding, ...]:
    """Return what an institution's recount of its own book is called here."""
    findings = tuple(
        Finding(
            Kind.DIFFERENT,
            one.subject,
            code,
            _RECOUNTED.get(one.what, one.what),
            one.recorded,
            one.recounted,
        )
        for one in found.differences
    )
    if not findings and not found.clean:
        return (Finding(Kind.DIFFERENT, "", code, N_("its book does not agree with itself")),)
    return findings


def _maker(kind: Kind, one: Transfer, book: Book) -> _Make:
    return lambda text: Finding(kind, one.instruction_id, book.code, text)
