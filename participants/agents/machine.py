"""Cash machines and agents of one network: they ask, hand out, and take back what they could not.

An order is on disk before its request leaves, with the reversal that it would need: whoever
starts again after an end without notice takes back what was never handed out. A reversal, once
decided, is sent until it is answered (docs/wire/iso8583.md).
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from participants.agents.institution import Institution
from participants.agents.ports import Line
from participants.agents.withdrawals import booked
from participants.core import cash
from participants.core import iso8583_wording as iso
from participants.core.book import (
    Account,
    CashOrder,
    CashState,
    Change,
    RailPayment,
    RailState,
    Role,
)
from participants.core.cash import CashResult, CashWish
from participants.core.iso8583_statement import CASH, CASH_RETURN
from scheme import cci
from scheme.clock import to_ms
from scheme.errors import NotConnected, PeerError
from scheme.wire.iso8583_reversal import reversal_of, with_dispensed
from scheme.wire.iso8583_spec import Fields

log = structlog.get_logger()

_UNREACHABLE: Final = "91"
_NO_OUTCOME: Final = frozenset({"", iso.NOT_SIGNED_ON, iso.SYSTEM, "68", "91"})
"""Answers to a reversal after which it is sent again: they say nothing of its original."""

_json = msgspec.json.Encoder().encode


class MachineDesk:
    """The machines of one network.

    Args:
        institution: the network; its accounts are its tills, one for each currency.
        line: its links.
        open_orders: whose end was open when the process ended.
    """

    def __init__(
        self, institution: Institution, line: Line, open_orders: Iterable[CashOrder] = ()
    ) -> None:
        self._own = institution
        self._line = line
        self._open = tuple(open_orders)

    def resume(self) -> None:
        """Go on taking back what was open; nothing was handed out that is not on disk."""
        for order in self._open:
            self._own.spawn(self._resumed(order))

    def till(self, currency: str) -> Account | None:
        """Return the till of a currency."""
        found = (one for one in self._own.accounts.values() if one.currency == currency)
        return next(found, None)

    async def operate(self, wish: CashWish) -> CashResult:
        """Carry a wish out; ends when its outcome is known, or known to be open."""
        till = self.till(wish.currency)
        assert till is not None, "the control API has checked the currency"
        now = self._own.clock.now()
        tariff = cash.Tariff(0, "")
        if wish.kind == cash.DEPOSIT:
            tariff = cash.tariff_of(wish, till.cci, self._own.profile)
        stamp = self._own.stamp(now)
        asked = cash.request(wish, self._own.entry, stamp, now, till=till.cci, tariff=tariff)
        if wish.kind == cash.BALANCE:
            return await self._balance(asked)
        order = CashOrder(
            participant=self._own.code,
            cash_id=f"{self._own.code}-{iso.key_of(asked)}",
            kind=wish.kind,
            state=CashState.ASKED,
            cci=till.cci,
            amount=wish.amount,
            fee=tariff.fee,
            currency=wish.currency,
            reversal=_json(reversal_of(asked)).decode(),
            counterparty=cci.participant_of(wish.cci) if wish.cci else "",
            at_ms=to_ms(now),
        )
        # Before the request: an end without notice between the two must find something to undo.
        await self._save(order)
        # A task of its own: whoever asked may go away, the machine may not.
        outcome: asyncio.Future[CashResult] = asyncio.get_running_loop().create_future()
        self._own.spawn(self._operated(order, asked, wish, outcome))
        return await asyncio.shield(outcome)

    async def _balance(self, asked: Fields) -> CashResult:
        try:
            answer = await self._ask(asked)
        except (PeerError, TimeoutError):
            return CashResult(state="unknown")
        _, reason, rule = cash.said(answer)
        is_approved = answer.get("39") == iso.APPROVED
        return CashResult(
            state="approved" if is_approved else "declined",
            response_code=answer.get("39", ""),
            reason=reason,
            rule=rule,
            account_balance=iso.available_in(answer.get("54", "")) if is_approved else None,
        )

    async def _operated(
        self,
        order: CashOrder,
        asked: Fields,
        wish: CashWish,
        outcome: "asyncio.Future[CashResult]",
    ) -> None:
        try:
            await self._carried_out(order, asked, wish, outcome)
        finally:
            # What is not known is not answered: the connection closes.
            outcome.cancel()

    async def _carried_out(
        self,
        order: CashOrder,
        asked: Fields,
        wish: CashWish,
        outcome: "asyncio.Future[CashResult]",
    ) -> None:
        try:
            answer = await self._ask(asked)
        except NotConnected as error:
            # It cannot have been seen, so there is nothing to take back.
            ended = replace(order, state=CashState.DECLINED, response_code=_UNREACHABLE)
            await self._save(ended)
            rule = f"no link to the clearing house: {error}"
            outcome.set_result(CashResult(state="declined", response_code=_UNREACHABLE, rule=rule))
            return
        except (PeerError, TimeoutError) as error:
            log.info("cash unanswered", agent=self._own.code, cause=type(error).__name__)
            await self._take_back(order, outcome)
            return
        subject, reason, rule = cash.said(answer)
        code = answer.get("39", "")
        order = replace(
            order, transfer_id=subject or order.cash_id, response_code=code, reason=reason
        )
        if code == iso.APPROVED:
            await self._approved(order, wish, outcome)
        elif iso.is_refusal(answer):
            await self._save(replace(order, state=CashState.DECLINED))
            declined = _result(order, "declined")
            outcome.set_result(replace(declined, rule=rule))
        else:
            await self._take_back(order, outcome)

    async def _approved(
        self, order: CashOrder, wish: CashWish, outcome: "asyncio.Future[CashResult]"
    ) -> None:
        """Hand out and book; a machine that falls short decides to reverse in the same write."""
        till = self._own.accounts[order.cci]
        dispensed = wish.handed_out if order.kind == cash.WITHDRAWAL else 0
        order = replace(order, dispensed=dispensed)
        change = booked(self._own, _row(order), till)
        if order.kind == cash.DEPOSIT or dispensed == order.amount:
            await self._save(replace(order, state=CashState.APPROVED), change)
            outcome.set_result(_result(order, "approved"))
            return
        fields = with_dispensed(_fields(order), dispensed)
        owed = replace(order, state=CashState.REVERSING, reversal=_json(fields).decode())
        await self._save(owed, change)
        await self._reversed(owed, outcome, is_repeat=False)

    async def _take_back(self, order: CashOrder, outcome: "asyncio.Future[CashResult]") -> None:
        owed = replace(order, state=CashState.REVERSING)
        await self._save(owed)
        await self._reversed(owed, outcome, is_repeat=False)

    async def _resumed(self, order: CashOrder) -> None:
        outcome: asyncio.Future[CashResult] = asyncio.get_running_loop().create_future()
        await self._line.ready()
        # One that was only asked has not been reversed yet; any other may have been.
        await self._reversed(order, outcome, is_repeat=order.state is CashState.REVERSING)

    async def _reversed(
        self, order: CashOrder, outcome: "asyncio.Future[CashResult]", *, is_repeat: bool
    ) -> None:
        """Send a reversal until it is answered; whoever waits hears of it after a while."""
        waits = self._own.profile.timers.owed_backoff_s
        attempt = 0
        while True:
            answer = await self._reversal_answer(order, is_repeat=is_repeat)
            if answer is not None and answer.get("39", "") not in _NO_OUTCOME:
                ended = await self._settle(order, answer)
                if not outcome.done():
                    outcome.set_result(_reversal_result(ended))
                return
            is_repeat = True
            if not outcome.done():
                outcome.set_result(_result(order, "unknown"))
            await self._own.wait_s(waits[min(attempt, len(waits) - 1)])
            attempt += 1

    async def _reversal_answer(self, order: CashOrder, *, is_repeat: bool) -> Fields | None:
        asked = cash.sent_now(_fields(order), self._own.clock.now(), is_repeat=is_repeat)
        try:
            return await self._ask(asked)
        except (PeerError, TimeoutError) as error:
            log.info("reversal unanswered", agent=self._own.code, cause=type(error).__name__)
            return None

    async def _settle(self, order: CashOrder, answer: Fields) -> CashOrder:
        """Book what a reversal came to; ends once it is on disk."""
        code = answer["39"]
        was_approved = order.response_code == iso.APPROVED
        subject = order.transfer_id or cash.said(answer)[0] or order.cash_id
        order = replace(order, transfer_id=subject)
        till = self._own.accounts[order.cci]
        change = None
        if code in {iso.APPROVED, iso.UNKNOWN}:
            order = replace(order, state=CashState.REVERSED)
            if was_approved:
                change = booked(self._own, _give_back(order), till)
        elif code == iso.IRREVOCABLE and order.kind == cash.DEPOSIT:
            # It was posted, and is irrevocable: the note in the drawer is the payee's money.
            order = replace(order, state=CashState.APPROVED, response_code=iso.APPROVED)
            change = booked(self._own, _row(order), till)
        else:
            order = replace(order, state=CashState.DISPUTED, response_code=code)
        await self._save(order, change)
        log.info("reversal settled", agent=self._own.code, transfer_id=subject, state=order.state)
        return order

    async def _ask(self, fields: Fields) -> Fields:
        async with self._own.within(self._own.profile.iso8583.answer_s):
            return await self._line.ask(fields)

    async def _save(self, order: CashOrder, change: Change | None = None) -> None:
        order = replace(order, at_ms=to_ms(self._own.clock.now()))
        whole = change or Change(participant=self._own.code)
        await self._own.books.save(replace(whole, cash=order))


def _fields(order: CashOrder) -> Fields:
    return msgspec.json.decode(order.reversal, type=dict[str, str])


def _row(order: CashOrder) -> RailPayment:
    """Return what an approval is in the book: cash out is paid by the issuer, cash in by us."""
    is_deposit = order.kind == cash.DEPOSIT
    return RailPayment(
        participant=order.participant,
        payment_id=order.transfer_id,
        role=Role.DEBTOR if is_deposit else Role.CREDITOR,
        state=RailState.FINAL,
        counterparty=order.counterparty,
        cci=order.cci,
        amount=order.amount,
        fee=order.fee if is_deposit else 0,
        currency=order.currency,
        rail=CASH,
    )


def _give_back(order: CashOrder) -> RailPayment:
    """Return what of a withdrawal went back to its issuer."""
    return RailPayment(
        participant=order.participant,
        payment_id=order.transfer_id,
        role=Role.DEBTOR,
        state=RailState.FINAL,
        counterparty=order.counterparty,
        cci=order.cci,
        amount=order.amount - order.dispensed,
        fee=0,
        currency=order.currency,
        rail=CASH_RETURN,
        original=order.transfer_id,
    )


def _result(order: CashOrder, state: str) -> CashResult:
    return CashResult(
        state=state,
        response_code=order.response_code,
        reason=order.reason,
        transfer_id=order.transfer_id,
        dispensed=order.dispensed,
    )


def _reversal_result(order: CashOrder) -> CashResult:
    match order.state:
        case CashState.APPROVED:
            return _result(order, "approved")
        case CashState.REVERSED:
            return _result(order, "reversed")
        case _:
            return _result(order, "unknown")
