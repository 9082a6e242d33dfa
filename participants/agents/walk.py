"""One payment's way: each message with its time, and the payee as lookup or QR tell."""

from datetime import datetime

from msgspec.structs import replace

from participants.agents.institution import Institution
from participants.core import candidates as found_at
from participants.core import payment
from participants.core.book import Account, DebitState
from participants.core.candidates import COUNTRY, Candidate
from participants.core.lookup_quota import LookupQuota
from participants.core.payment import Payee
from participants.core.payment_result import CreditorView, Leg, LookupResult, PaymentResult
from participants.core.qr_reading import QrRefused
from scheme import cci as ccis
from scheme.codes import CURRENCY_NAMES, Channel
from scheme.errors import ChasquiError, PeerError
from scheme.ids import Kind, instruction_id
from scheme.messages import AV1, AV4
from scheme.messages.proxy import DIRECTORY, Alias, ProxyLookup, ProxyLookupResponse
from scheme.wire.proxy_json import format_timestamp

CLEARING_HOUSE = "CCE"
"""How legs name the clearing house, which has no code among the participants."""
_WALLETS = {"901": "0901", "902": "0902"}
_REFUSED = "RJCT"


class NotSent(ChasquiError):
    """A payment ends before its order: lawfully, or because nobody answered.

    Args:
        field: of the request, if one is concerned.
        is_silence: nobody answered.
    """

    def __init__(
        self,
        text: str,
        *,
        field: str | None = None,
        is_silence: bool = False,
        verification_id: str | None = None,
        response_code: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.field = field
        self.is_silence = is_silence
        self.verification_id = verification_id
        self.response_code = response_code
        self.reason = reason


class Walk:
    """Collects the legs of one payment.

    Args:
        institution: the payer's.
        quota: of the payers' lookups.
        payer: who pays.
    """

    def __init__(self, institution: Institution, quota: LookupQuota, payer: Account) -> None:
        self._own = institution
        self._quota = quota
        self._payer = payer
        self._started = institution.clock.now()
        self._legs: list[Leg] = []
        self._candidates: tuple[Candidate, ...] = ()
        self._chosen: str | None = None

    # --- legs

    def question(self, message: str, target: str = CLEARING_HOUSE) -> datetime:
        """Note a message that leaves; return when."""
        self._legs.append(Leg(message=message, source=self._own.code, target=target))
        return self._own.clock.now()

    def answer(
        self,
        message: str,
        started: datetime,
        code: str | None = None,
        reason: str | None = None,
        source: str = CLEARING_HOUSE,
    ) -> None:
        """Note the answer to a question."""
        leg = Leg(
            message=message,
            source=source,
            target=self._own.code,
            ms=_ms(started, self._own.clock.now()),
            response_code=code,
            reason_code=reason,
        )
        self._legs.append(leg)

    def finish(self, result: PaymentResult, creditor: CreditorView | None) -> PaymentResult:
        """Return a result with the way that led to it."""
        return replace(
            result,
            legs=tuple(self._legs),
            candidates=self._candidates,
            chosen=self._chosen or result.chosen,
            creditor=creditor,
            elapsed_ms=_ms(self._started, self._own.clock.now()),
        )

    def unsent(self, end: NotSent, *, amount: int | None, currency: str) -> PaymentResult:
        """Return the result of a payment that ended before its order."""
        refused = end.response_code is not None
        because = None if refused else ("no_answer" if end.is_silence else "refused_here")
        result = PaymentResult(
            state=DebitState.REJECTED if refused else DebitState.NOT_SENT,
            verification_id=end.verification_id,
            response_code=end.response_code,
            reason_code=end.reason,
            explanation=end.text,
            not_sent_because=because,
            field=end.field,
            amount=amount or 0,
            currency=currency,
        )
        return self.finish(result, None)

    # --- the payee

    async def by_cci(self, cci: str) -> Payee:
        """Return the payee of a full CCI."""
        fault = payment.cci_fault(cci, self._own.profile)
        if fault is not None:
            raise NotSent(f"CCI: {fault}", field="creditor")
        return self._chose(ccis.participant_of(cci), Payee(
            code=ccis.participant_of(cci), cci=cci, channel=Channel.MOBILE
        ))  # fmt: skip

    async def by_phone(self, phone: str, entity: str | None) -> Payee:
        """Look a phone up and return the payee at the entity wanted, or at the first."""
        looked_up = await self.look_up(phone)
        if looked_up.state != "found":
            raise NotSent(looked_up.explanation, field="creditor", reason=looked_up.reason_code)
        self._candidates = looked_up.candidates
        chosen = found_at.choice(self._candidates, entity, self._own.entry)
        if chosen is None:
            text = "the phone is known, but not there" if entity else "the payee banks here"
            raise NotSent(text, field="entity" if entity else "creditor")
        return self._chose(chosen.code, Payee(
            code=chosen.code,
            cci=ccis.placeholder(chosen.code),
            channel=Channel.ALIAS,
            phone=phone,
        ))  # fmt: skip

    async def by_qr(self, text: str, amount: int | None, currency: str) -> tuple[Payee, int]:
        """Have a QR read; return the payee and the amount, the QR's own if it has one."""
        started = self.question("qr/read")
        try:
            async with self._own.within(self._own.profile.timers.owed_answer_s):
                reading = await self._own.house.read_qr(text)
        except (PeerError, TimeoutError) as error:
            raise NotSent("the QR module did not answer", is_silence=True) from error
        if isinstance(reading, QrRefused):
            self.answer("qr/read", started, reading.code)
            raise NotSent(f"{reading.code}: {reading.text}", field="creditor")
        self.answer("qr/read", started, "0")
        if CURRENCY_NAMES.get(reading.currency) != currency:
            raise NotSent("the QR is in another currency", field="currency")
        if reading.amount is not None and amount not in {None, reading.amount}:
            raise NotSent("the QR fixes another amount", field="amount")
        asked = reading.amount if reading.amount is not None else amount
        if asked is None:
            raise NotSent("the QR leaves the amount to the payer", field="amount")
        wallet = _WALLETS.get(reading.issuer)
        if wallet is not None:
            payee = Payee(
                code=wallet,
                cci=ccis.placeholder(wallet),
                channel=Channel.ALIAS,
                token=reading.account,
            )
            return self._chose(wallet, payee), asked
        by_account = await self.by_cci(reading.account)
        return replace(by_account, qr_id=reading.qr_id), asked

    async def look_up(self, phone: str) -> LookupResult:
        """Ask the directory who can be paid at a phone, within the payer's quota."""
        now = self._own.clock.now()
        if not self._payer.affiliated:
            return _refused("only customers who can be paid by alias may look phones up")
        if not self._quota.take(self._payer.cci, now):
            minutes = self._own.profile.directory.payer_block_minutes
            return _refused(f"too many lookups: blocked for {minutes} minutes; only waiting helps")
        started = self.question("prxy.003", DIRECTORY)
        try:
            async with self._own.within(self._own.profile.timers.owed_answer_s):
                answer = await self._own.house.look_up(self._lookup(phone, now))
        except (PeerError, TimeoutError) as error:
            raise NotSent("the directory did not answer", is_silence=True) from error
        reason = _reason(answer)
        self.answer("prxy.004", started, answer.status, reason, DIRECTORY)
        ms = _ms(started, self._own.clock.now())
        if answer.status == _REFUSED or answer.reject is not None:
            return _refused("the directory refused the lookup", reason, ms)
        people = found_at.candidates(answer, phone)
        if not people:
            text = "nobody can be paid at this phone"
            return LookupResult(state="not_found", explanation=text, ms=ms)
        return LookupResult(state="found", candidates=people, ms=ms)

    def _lookup(self, phone: str, now: datetime) -> ProxyLookup:
        stamp = self._own.stamp(now)
        return ProxyLookup(
            sender=self._own.code,
            created=format_timestamp(now),
            lookup_id=instruction_id(
                date=stamp.date,
                time=stamp.time,
                originator=self._own.code,
                kind=Kind.VERIFICATION,
                channel=Channel.ALIAS,
                trace=stamp.trace,
            ),
            aliases=(Alias(value=COUNTRY + phone),),
        )

    def _chose(self, code: str, payee: Payee) -> Payee:
        self._chosen = code
        return payee

    # --- the verification

    async def verify(self, asked: AV1) -> AV4:
        """Send an AV1 and return its answer."""
        timers = self._own.profile.timers
        started = self.question("AV1")
        try:
            async with self._own.within(timers.originator_ct_timeout_s):
                found = await self._own.house.ask(asked, AV4)
        except (PeerError, TimeoutError) as error:
            raise NotSent("the verification was not answered", is_silence=True) from error
        self.answer("AV4", started, found.responseCode, found.reasonCode)
        return found


def _refused(text: str, reason: str | None = None, ms: float = 0.0) -> LookupResult:
    return LookupResult(state="refused", reason_code=reason, explanation=text, ms=ms)


def _reason(answer: ProxyLookupResponse) -> str | None:
    return answer.reject.party_reason if answer.reject is not None else answer.reason


def _ms(started: datetime, ended: datetime) -> float:
    return round((ended - started).total_seconds() * 1000, 3)
