"""Cash of an institution's members at others' machines and agents: debits and what comes back.

A withdrawal is one row of the book, and what was not dispensed another, in the opposite direction
and under the same id: each can be there once.
"""

from typing import Final

import structlog
from msgspec.structs import replace

from participants.agents.institution import Institution
from participants.core import iso8583_creditor as incoming
from participants.core import iso8583_wording as iso
from participants.core.book import (
    Account,
    Change,
    Posting,
    RailPayment,
    RailState,
    Role,
    balance_of,
)
from participants.core.iso8583_statement import CASH, CASH_RETURN, row_of
from scheme.clock import to_ms
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_statement import ROWS_MAX, STATEMENT_TAG, encode_statement

log = structlog.get_logger()

_PHONE_TAG: Final = "31"


def booked(own: Institution, payment: RailPayment, account: Account) -> Change:
    """Move an account's balance by a payment; return what has to be saved."""
    numbered = replace(payment, sequence=own.books.take_sequence(), at_ms=to_ms(own.clock.now()))
    minor = payment.amount if payment.role is Role.CREDITOR else -payment.total
    account.balance += minor
    return Change(
        participant=own.code,
        rail_payment=numbered,
        balances=(balance_of(account),),
        postings=(Posting(payment.role, payment.payment_id, account.cci, minor),),
    )


class Withdrawals:
    """The withdrawals of one institution's members."""

    def __init__(self, institution: Institution) -> None:
        self._own = institution
        self._cards = {
            incoming.card_of(account, institution.entry.iso8583.bins): cci
            for cci, account in institution.accounts.items()
        }
        # On their way to the disk.
        self._saving: dict[tuple[Role, str], RailPayment] = {}

    def pay(self, fields: Fields) -> tuple[Fields, Change]:
        """Debit a member, or refuse; return the answer and what has to be on disk before it."""
        own, minor = self._own, iso.cents(fields)
        subject = incoming.subject_of(fields)
        account = self._member(fields)
        reason = incoming.cash_refusal(account, fields.get("49", ""), minor)
        if reason is not None:
            return iso.refusal_of(fields, reason, subject=subject), Change(participant=own.code)
        assert account is not None
        if self._known(subject) is not None:
            rule = "DE62.01: it was paid under another key"
            answer = iso.refusal_of(fields, ReasonCode.AM05, subject=subject, rule=rule)
            return answer, Change(participant=own.code)
        if account.available < minor:
            rule = "DE4: more than the account has"
            answer = iso.answer_to(fields, iso.NO_FUNDS, subject=subject, rule=rule)
            return answer, Change(participant=own.code)
        payment = RailPayment(
            participant=own.code,
            payment_id=subject,
            role=Role.DEBTOR,
            state=RailState.FINAL,
            counterparty=fields["32"],
            cci=account.cci,
            amount=minor,
            fee=0,
            currency=account.currency,
            rail=CASH,
        )
        return iso.answer_to(fields, iso.APPROVED, subject=subject), self._book(payment, account)

    def give_back(self, reversal: Fields, subject: str) -> tuple[Fields, Change]:
        """Credit what was not dispensed of a withdrawal; return the answer and what is saved."""
        own = self._own
        paid = self._known(subject)
        assert paid is not None, "an approval is on disk with its payment"
        answer = iso.answer_to(reversal, iso.APPROVED, subject=subject)
        minor = paid.amount - iso.dispensed_of(reversal)
        if minor < 0:
            rule = "DE95: more than was withdrawn"
            refused = iso.refusal_of(reversal, ReasonCode.AM09, subject=subject, rule=rule)
            return refused, Change(participant=own.code)
        if minor == 0:
            return answer, Change(participant=own.code)
        payment = RailPayment(
            participant=own.code,
            payment_id=subject,
            role=Role.CREDITOR,
            state=RailState.FINAL,
            counterparty=paid.counterparty,
            cci=paid.cci,
            amount=minor,
            fee=0,
            currency=paid.currency,
            rail=CASH_RETURN,
            original=subject,
        )
        return answer, self._book(payment, own.accounts[paid.cci])

    def balance(self, fields: Fields) -> Fields:
        """Answer what a member may spend."""
        account = self._member(fields)
        reason = incoming.cash_refusal(account, fields.get("49", ""), 1)
        if reason is not None:
            return iso.refusal_of(fields, reason)
        assert account is not None
        told = iso.account_amount(fields["49"], account.available)
        return iso.answer_to(fields, iso.APPROVED, more={"54": told})

    async def statement(self, fields: Fields) -> Fields:
        """Answer what moved a member's balance last."""
        own, account = self._own, self._member(fields)
        reason = incoming.cash_refusal(account, fields.get("49", ""), 1)
        if reason is not None:
            return iso.refusal_of(fields, reason)
        assert account is not None
        # What is decided is told, so it has to be there to be read.
        await own.books.synced()
        found = await own.books.account_movements(own.code, account.cci, ROWS_MAX)
        told = encode_statement(map(row_of, found))
        return iso.answer_to(
            fields, iso.APPROVED, more={"62": iso.tagged({STATEMENT_TAG: told})} if told else {}
        )

    def stored(self, payment: RailPayment | None) -> None:
        """Forget a payment that is on disk: it is read there."""
        if payment is not None:
            self._saving.pop((payment.role, payment.payment_id), None)

    def is_given_back(self, subject: str) -> bool:
        """Tell whether nothing of a withdrawal was dispensed, and the member has it all again."""
        paid, back = self._known(subject), self._known(subject, Role.CREDITOR)
        return paid is not None and back is not None and back.amount == paid.amount

    def _known(self, subject: str, role: Role = Role.DEBTOR) -> RailPayment | None:
        own, place = self._own, (role, subject)
        return self._saving.get(place) or own.books.rail_payment(own.code, *place)

    def _book(self, payment: RailPayment, account: Account) -> Change:
        change = booked(self._own, payment, account)
        self._saving[payment.role, payment.payment_id] = payment
        return change

    def _member(self, fields: Fields) -> Account | None:
        """Return the account that a request is about: by number, card, or the member's phone."""
        own = self._own
        named = fields.get("102", "").strip()
        if named:
            return own.accounts.get(named)
        if "2" in fields:
            return own.accounts.get(self._cards.get(fields["2"], ""))
        return own.account(iso.tags(fields, "48").get(_PHONE_TAG, ""))
