"""Books what the clearing house tells of payments on the slow rails, and of returns.

The clearing house has moved the money between institutions before it tells; the book follows it.
So a debit is never refused here: an account that lacks the money goes below zero, and one that is
not here leaves the payment UNAPPLIED, for a person to return (docs/wire/payments.md).
"""

import structlog

from participants.agents.institution import Institution
from participants.core import rail_payment as rules
from participants.core.book import Account, Change, RailPayment, RailState, Role, balance_of
from scheme.clock import to_ms
from scheme.messages import payment as iso

log = structlog.get_logger()


class RailPaymentsDesk:
    """One institution's side of such payments."""

    def __init__(self, institution: Institution) -> None:
        self._own = institution
        # What is on its way to the disk; anything older is read there.
        self._saving: dict[tuple[Role, str], RailPayment] = {}

    async def status(self, message: iso.FIToFIPmtStsRpt) -> None:
        """Book a pacs.002; ends once it is on disk."""
        (told,) = message.TxInfAndSts
        original = told.OrgnlTxRef
        account = self._account(original.DbtrAcct, original.Amt)
        known = self._known(Role.DEBTOR, told.OrgnlTxId)
        state = rules.after_status(
            None if known is None else known.state, told.TxSts, has_account=account is not None
        )
        ordered, settled = _minor(original.Amt), _minor_of(original.IntrBkSttlmAmt)
        reasons = [one.Rsn.Cd for one in told.StsRsnInf]
        fresh = RailPayment(
            participant=self._own.code,
            payment_id=told.OrgnlTxId,
            role=Role.DEBTOR,
            state=RailState.PENDING,
            counterparty=original.CdtrAgt.code,
            cci=original.DbtrAcct.number,
            amount=ordered,
            fee=max(settled - ordered, 0),
            currency="" if original.Amt is None else original.Amt.InstdAmt.Ccy,
            rail="" if original.PmtTpInf is None else original.PmtTpInf.LclInstrm.Prtry,
        )
        await self._book(known, fresh, state, account, "".join(reasons))

    async def transfer(self, message: iso.FIToFICstmrCdtTrf) -> None:
        """Book a pacs.008; ends once it is on disk."""
        (told,) = message.CdtTrfTxInf
        amount, settled = _minor_of(told.InstdAmt), _minor_of(told.IntrBkSttlmAmt)
        fresh = RailPayment(
            participant=self._own.code,
            payment_id=told.PmtId.TxId,
            role=Role.CREDITOR,
            state=RailState.FINAL,
            counterparty=told.DbtrAgt.code,
            cci=told.CdtrAcct.number,
            amount=amount,
            fee=max(settled - amount, 0),
            currency=told.InstdAmt.Ccy,
            rail=told.PmtTpInf.LclInstrm.Prtry,
        )
        await self._book_once(fresh)

    async def give_back(self, message: iso.PmtRtr) -> None:
        """Book a pacs.004 on our side of it, or both; ends once it is on disk."""
        (told,) = message.TxInf
        original = told.OrgnlTxRef
        parties = (
            # Of a return, the transfer's creditor gives and its debtor gets.
            (Role.DEBTOR, original.CdtrAgt, original.CdtrAcct, original.DbtrAgt),
            (Role.CREDITOR, original.DbtrAgt, original.DbtrAcct, original.CdtrAgt),
        )
        for role, agent, account, other in parties:
            if agent.code != self._own.code:
                continue
            await self._book_once(
                RailPayment(
                    participant=self._own.code,
                    payment_id=told.RtrId,
                    role=role,
                    state=RailState.FINAL,
                    counterparty=other.code,
                    cci=account.number,
                    amount=_minor_of(told.RtrdIntrBkSttlmAmt),
                    fee=0,
                    currency=told.RtrdIntrBkSttlmAmt.Ccy,
                    rail=rules.RETURN_RAIL,
                    original=told.OrgnlTxId,
                    reason=told.RtrRsnInf[0].Rsn.Cd,
                )
            )

    async def _book_once(self, fresh: RailPayment) -> None:
        account = self._own.accounts.get(fresh.cci)
        if account is not None and account.currency != fresh.currency:
            account = None
        known = self._known(fresh.role, fresh.payment_id)
        state = rules.after_transfer(
            None if known is None else known.state, has_account=account is not None
        )
        await self._book(known, fresh, state, account, fresh.reason)

    async def _book(
        self,
        known: RailPayment | None,
        fresh: RailPayment,
        state: RailState | None,
        account: Account | None,
        reason: str,
    ) -> None:
        if state is None:
            # Whoever repeats is answered only when what it repeats is on disk.
            await self._own.books.synced()
            return
        if state is RailState.UNAPPLIED:
            reason = rules.UNKNOWN_ACCOUNT
            log.warning("no such account", transfer_id=fresh.payment_id, agent=self._own.code)
        after = rules.changed(
            known or fresh,
            state,
            reason=reason,
            at_ms=to_ms(self._own.clock.now()),
            sequence=self._own.books.take_sequence(),
        )
        postings = rules.moved(None if known is None else known.state, after)
        if account is not None:
            account.balance += sum(one.minor for one in postings)
        place = (after.role, after.payment_id)
        self._saving[place] = after
        balances = (balance_of(account),) if account is not None and postings else ()
        change = Change(
            participant=self._own.code, rail_payment=after, balances=balances, postings=postings
        )
        await self._own.books.save(change)
        if self._saving.get(place) is after:
            del self._saving[place]

    def _known(self, role: Role, payment_id: str) -> RailPayment | None:
        saving = self._saving.get((role, payment_id))
        if saving is not None:
            return saving
        return self._own.books.rail_payment(self._own.code, role, payment_id)

    def _account(self, told: iso.Account, amount: iso.OriginalAmount | None) -> Account | None:
        account = self._own.accounts.get(told.number)
        if account is None or amount is None or account.currency != amount.InstdAmt.Ccy:
            return None
        return account


def _minor(amount: iso.OriginalAmount | None) -> int:
    return 0 if amount is None else _minor_of(amount.InstdAmt)


def _minor_of(amount: iso.Amount | None) -> int:
    return 0 if amount is None else int(amount.Amt.replace(".", ""))
