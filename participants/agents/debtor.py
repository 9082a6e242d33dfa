"""The originator: finds the payee, verifies, debits, orders, and learns how it ended.

The debit and the exact CT1 are on disk before the CT1 leaves. An order without a sound answer
stays PENDING and is sent again as 0201 until the clearing house says what became of it.
"""

from collections.abc import Iterable
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from participants.agents.institution import Institution
from participants.agents.walk import NotSent, Walk
from participants.core import payment
from participants.core.book import (
    Account,
    Change,
    DebitOrder,
    DebitState,
    Posting,
    Role,
    balance_of,
)
from participants.core.lookup_quota import LookupQuota
from participants.core.payment import Meaning, Payee, Spent, Terms
from participants.core.payment_result import CreditorView, PaymentResult
from scheme.clock import to_ms, wire_date
from scheme.codes import CURRENCY_NAMES, Channel
from scheme.errors import NotConnected, PeerError
from scheme.masking import mask_cci, mask_name
from scheme.messages import AV1, AV4, CT1, CT4
from scheme.wire.tin_json import decode

log = structlog.get_logger()

_FIRST, _REPEAT = b'"messageTypeId":"0200"', b'"messageTypeId":"0201"'
_ACCEPTED: Final = "00"


class PaymentRequest(Struct, frozen=True, kw_only=True):
    """What a customer wants.

    Attributes:
        payer: the account debited.
        cci, phone, qr: the payee; one of them.
        entity: whom of a phone's entities to pay; None takes the first.
        amount: in minor units; None takes what a QR says.
        key, digest: Idempotency-Key and what the request said, or empty.
    """

    payer: Account
    cci: str | None = None
    phone: str | None = None
    qr: str | None = None
    entity: str | None = None
    amount: int | None
    currency: str
    description: str = ""
    key: str = ""
    digest: str = ""


class DebtorDesk:
    """The sending side of one institution.

    Args:
        institution: whose desk it is.
        pending: orders whose outcome was not known when the process ended.
        spent_today: what each payer has sent by alias today, by CCI.
    """

    def __init__(
        self,
        institution: Institution,
        *,
        pending: Iterable[DebitOrder] = (),
        spent_today: dict[str, Spent] | None = None,
    ) -> None:
        self._own = institution
        self._pending = {order.order_id: order for order in pending}
        self._quota = LookupQuota(institution.profile.directory)
        self._spent = spent_today or {}
        self._day = wire_date(institution.clock.now())

    @property
    def quota(self) -> LookupQuota:
        """The payers' lookups."""
        return self._quota

    def resume(self) -> None:
        """Go on asking about every pending order."""
        for order in self._pending.values():
            self._own.spawn(self._chase(order))

    async def pay(self, request: PaymentRequest) -> PaymentResult:
        """Walk a payment from the payee's name to the outcome."""
        walk = Walk(self._own, self._quota, request.payer)
        try:
            payee, terms = await self._agreed(walk, request)
            asked, found = await self._verify(walk, request.payer, payee, terms)
            order = await self._debit(request, payee, terms, asked, found)
        except NotSent as end:
            return walk.unsent(end, amount=request.amount, currency=request.currency)
        ended = await self._send(order, walk)
        described = self.described(ended)
        return walk.finish(described, described.creditor)

    async def _agreed(self, walk: Walk, request: PaymentRequest) -> tuple[Payee, Terms]:
        payee, amount = await self._payee(walk, request)
        terms = payment.terms_of(
            request.payer,
            payee,
            amount=amount,
            currency=request.currency,
            description=request.description,
            network=self._own.network,
            profile=self._own.profile,
        )
        self._check(request.payer, payee, terms)
        return payee, terms

    async def _payee(self, walk: Walk, request: PaymentRequest) -> tuple[Payee, int]:
        if request.qr is not None:
            return await walk.by_qr(request.qr, request.amount, request.currency)
        assert request.amount is not None
        if request.phone is not None:
            return await walk.by_phone(request.phone, request.entity), request.amount
        assert request.cci is not None
        return await walk.by_cci(request.cci), request.amount

    def _check(self, payer: Account, payee: Payee, terms: Terms) -> None:
        own = self._own
        wrong = payment.objection(
            payer, payee, terms, own.entry, own.session, directories=own.directories
        ) or payment.limit_objection(terms, payee, self._spent_today(payer.cci), own.profile)
        if wrong is not None:
            raise NotSent(wrong.text, field=wrong.field)
        if own.books.is_full:
            raise NotSent("this institution is overloaded: try again")

    async def _verify(
        self, walk: Walk, payer: Account, payee: Payee, terms: Terms
    ) -> tuple[AV1, AV4]:
        stamp = self._own.stamp(self._own.clock.now())
        asked = payment.verification(payer, payee, terms, stamp)
        # A query moves nothing and is not repeated: without an answer the payment has not begun.
        found = await walk.verify(asked)
        if found.responseCode != _ACCEPTED:
            raise NotSent(
                "the verification was refused",
                verification_id=found.instructionId,
                response_code=found.responseCode,
                reason=found.reasonCode,
            )
        return asked, found

    async def _debit(
        self, request: PaymentRequest, payee: Payee, terms: Terms, asked: AV1, found: AV4
    ) -> DebitOrder:
        """Set the money aside and keep the order; ends once both are on disk."""
        payer = request.payer
        # Looked at again: since the first check other payments may have taken the money.
        self._check(payer, payee, terms)
        own = self._own
        now = own.clock.now()
        sequence = own.books.take_sequence()
        order_id = f"{own.code}-{sequence}"
        stamp = own.stamp(now)
        message = payment.order(asked, found, payer, payee, terms, stamp, order_id, own.profile)
        order = DebitOrder(
            participant=own.code,
            order_id=order_id,
            state=DebitState.PENDING,
            ct1=own.house.encode(message),
            cci=payer.cci,
            creditor_agent=message.creditorParticipantCode,
            creditor_cci=message.creditorCCI or "",
            creditor_name=message.creditorName or "",
            amount=terms.amount,
            fee=terms.fee,
            currency=message.currency,
            channel=message.channel,
            trace=stamp.trace,
            verification_id=found.instructionId,
            day=wire_date(now),
            key=request.key,
            digest=request.digest,
            created_ms=to_ms(now),
            at_ms=to_ms(now),
            sequence=sequence,
        )
        payer.held += order.total
        self._spend(order, 1)
        await self._save(order, payer)
        return order

    async def _send(self, order: DebitOrder, walk: Walk) -> DebitOrder:
        timers = self._own.profile.timers
        may_have_arrived = False
        for attempt in range(1 + timers.originator_retries):
            if attempt:
                await self._own.wait_s(timers.originator_retry_wait_s)
            started = walk.question("CT1")
            try:
                answer = await self._ask(order, is_repeat=attempt > 0)
            except NotConnected:
                continue
            except (PeerError, TimeoutError):
                may_have_arrived = True
                continue
            walk.answer("CT4", started, answer.responseCode, answer.reasonCode)
            said = self._meaning(order, answer, is_repeat=may_have_arrived)
            if said is not Meaning.UNKNOWN:
                return await self._settle(order, payment.ended_as(said), answer)
            may_have_arrived = True
        if not may_have_arrived:
            return await self._settle(order, DebitState.NOT_SENT, None)
        self._own.spawn(self._chase(order))
        return order

    async def _ask(self, order: DebitOrder, *, is_repeat: bool) -> CT4:
        body = order.ct1.replace(_FIRST, _REPEAT, 1) if is_repeat else order.ct1
        async with self._own.within(self._own.profile.timers.originator_ct_timeout_s):
            return await self._own.house.send("CT1", body, order.trace, CT4)

    def _meaning(self, order: DebitOrder, answer: CT4, *, is_repeat: bool) -> Meaning:
        said = payment.meaning(answer, is_repeat=is_repeat)
        if said is Meaning.EXECUTED and (
            answer.amount != order.amount or answer.debtorCCI not in {None, order.cci}
        ):
            log.warning("result of another order", transfer_id=answer.instructionId)
            return Meaning.UNKNOWN
        return said

    async def _chase(self, order: DebitOrder) -> None:
        """Send a pending order again and again until its outcome is known."""
        waits = self._own.profile.timers.pending_resend_s
        attempt = 0
        while True:
            await self._own.wait_s(waits[min(attempt, len(waits) - 1)])
            attempt += 1
            try:
                answer = await self._ask(order, is_repeat=True)
            except (PeerError, TimeoutError) as error:
                log.info("order pending", agent=self._own.code, cause=type(error).__name__)
                continue
            said = self._meaning(order, answer, is_repeat=True)
            if said is not Meaning.UNKNOWN:
                await self._settle(order, payment.ended_as(said), answer)
                return

    async def _settle(self, order: DebitOrder, state: DebitState, answer: CT4 | None) -> DebitOrder:
        """Book an order's outcome; ends once it is on disk."""
        payer = self._own.accounts[order.cci]
        payer.held -= order.total
        if state is DebitState.FINAL:
            payer.balance -= order.total
            self._quota.forgive(payer.cci)
        else:
            self._spend(order, -1)
        ended = replace(
            order,
            state=state,
            instruction_id=answer.instructionId if answer else "",
            response_code=answer.responseCode if answer else "",
            reason=(answer.reasonCode or "") if answer else "",
            at_ms=to_ms(self._own.clock.now()),
            sequence=self._own.books.take_sequence(),
        )
        self._pending.pop(order.order_id, None)
        await self._save(ended, payer)
        return ended

    async def _save(self, order: DebitOrder, payer: Account) -> None:
        debited = order.state is DebitState.FINAL
        posting = Posting(Role.DEBTOR, order.order_id, payer.cci, -order.total)
        await self._own.books.save(
            Change(
                participant=self._own.code,
                debit=order,
                balances=(balance_of(payer),),
                postings=(posting,) if debited else (),
            )
        )

    def described(self, order: DebitOrder) -> PaymentResult:
        """Return an order as the control API tells of it, without the way it went."""
        message = decode(order.ct1, CT1)
        return PaymentResult(
            state=order.state,
            instruction_id=order.instruction_id or None,
            verification_id=order.verification_id,
            response_code=order.response_code or None,
            reason_code=order.reason or None,
            explanation=_EXPLANATIONS[order.state],
            not_sent_because="no_answer" if order.state is DebitState.NOT_SENT else None,
            chosen=message.creditorParticipantCode,
            creditor=CreditorView(
                mask_name(order.creditor_name), mask_cci(order.creditor_cci), order.creditor_agent
            ),
            amount=order.amount,
            fee=order.fee,
            currency=CURRENCY_NAMES[order.currency],
        )

    # --- today's orders by alias

    def _spent_today(self, cci: str) -> Spent:
        today = wire_date(self._own.clock.now())
        if today != self._day:
            self._day = today
            self._spent.clear()
        return self._spent.get(cci, Spent())

    def _spend(self, order: DebitOrder, sign: int) -> None:
        if order.channel != Channel.ALIAS:
            return
        spent = self._spent_today(order.cci)
        if order.day == self._day:
            self._spent[order.cci] = Spent(
                spent.minor + sign * order.amount, spent.operations + sign
            )


_EXPLANATIONS: Final = {
    DebitState.FINAL: "the clearing house has executed it",
    DebitState.REJECTED: "the clearing house has refused it; the money is back",
    DebitState.PENDING: "no answer yet; it is asked about until there is one",
    DebitState.NOT_SENT: "the clearing house could not be reached; the money is back",
}
