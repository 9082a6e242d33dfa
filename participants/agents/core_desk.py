"""A core on ISO 8583: it posts on the 0200 itself, and undoes on the 0420, each exactly once.

What is decided is decided in memory when a request is handled, and answered once it is on disk,
the answer with it: a repeat gets what the first one got, unless that was undone meanwhile
(docs/wire/iso8583.md#the-creditors-core).
"""

from typing import Final

import msgspec
import structlog

from participants.agents.creditor import HOLDS_SILENT, WITHOUT_HOLD, CreditorDesk
from participants.agents.institution import Institution
from participants.agents.withdrawals import Withdrawals
from participants.core import credit, magic
from participants.core import iso8583_creditor as incoming
from participants.core import iso8583_wording as iso
from participants.core.book import (
    Account,
    Change,
    CreditOrder,
    CreditState,
    LaneRequest,
    Posting,
    Role,
    balance_of,
)
from participants.core.magic import Act, Magic
from participants.core.receiver import Facts, refusal
from participants.core.replies import SILENCE, LaneReply
from scheme.clock import to_ms, wire_date
from scheme.messages import CT2
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_codec import check_mandatory
from scheme.wire.iso8583_spec import Fields

log = structlog.get_logger()

_LATE_BY_S: Final = 1.0
_NO_CODE: Final = frozenset({Act.ERROR_500, Act.ERROR_400})
"""Acts whose answer, on this wire, comes without DE39."""
_SPOILED: Final = frozenset({Act.GARBAGE, Act.HALF, Act.DROP, Act.BAD_SIGNATURE})

_json = msgspec.json.Encoder().encode


class CoreDesk:
    """The requests of the lane at one institution.

    Args:
        institution: whose core it is.
        creditor: its book of orders received.
    """

    def __init__(self, institution: Institution, creditor: CreditorDesk) -> None:
        self._own = institution
        self._creditor = creditor
        self._withdrawals = Withdrawals(institution)
        # What is on its way to the disk; anything older is read there.
        self._saving: dict[str, LaneRequest] = {}
        self._orders: dict[str, CreditOrder] = {}
        self._spoilt: dict[str, int] = {}

    async def handle(self, fields: Fields) -> LaneReply:
        """Answer a request."""
        fault = check_mandatory(fields)
        if fault is not None:
            return LaneReply(iso.refusal_of(fields, ReasonCode.FF02, rule=str(fault)))
        if fields["t"] in iso.REVERSALS:
            return await self._undo(fields)
        if fields["t"] not in iso.REQUESTS:
            return LaneReply(self._noticed(fields))
        match iso.transaction(fields):
            case iso.VERIFICATION:
                return await self._verify(fields)
            case iso.TRANSFER | iso.DEPOSIT:
                return await self._credit(fields)
            case iso.WITHDRAWAL:
                return await self._withdraw(fields)
            case iso.STATEMENT:
                await self._own.pause()
                return LaneReply(await self._withdrawals.statement(fields))
            case _:
                # The table of what is mandatory lets nothing else through: a balance.
                await self._own.pause()
                return LaneReply(self._withdrawals.balance(fields))

    def _noticed(self, fields: Fields) -> Fields:
        told = iso.tags(fields, "62")
        log.info("notice", agent=self._own.code, message=told.get("07", fields.get("70", "")))
        return iso.answer_to(fields, iso.APPROVED)

    # --- verifications

    async def _verify(self, fields: Fields) -> LaneReply:
        query = incoming.query_of(fields, self._own.clock.now())
        account = self._own.accounts.get(query.creditorCCI or "")
        reason = refusal(query, self._facts(account))
        spell = None
        if self._own.has_magic and account is not None and reason is None:
            spell = magic.at_verification(account.phone)
        subject = incoming.subject_of(fields)
        if spell is not None and spell.act is Act.REFUSE:
            reason = spell.reason
        if reason is not None or account is None:
            answer = iso.refusal_of(fields, reason or ReasonCode.AC01, subject=subject)
        else:
            holder = incoming.holder_of(account, query)
            answer = iso.answer_to(fields, iso.APPROVED, subject=subject, parties=holder)
        return await self._spoken(answer, spell, self._own.profile.timers.av_expiry_s)

    def _facts(self, account: Account | None) -> Facts:
        return Facts(
            profile=self._own.profile,
            session=self._own.session,
            is_seen=False,
            account=account,
            credited_today=0 if account is None else self._creditor.credited_today(account.cci),
        )

    # --- credits

    async def _credit(self, fields: Fields) -> LaneReply:
        repeated = await self._repeated(fields)
        if repeated is not None:
            return LaneReply(repeated)
        now = self._own.clock.now()
        message = incoming.order_of(fields, now)
        earlier = self._order(message.instructionId)
        if earlier is not None:
            return LaneReply(await self._under_other_key(fields, earlier))
        account = self._own.accounts.get(message.creditorCCI or "")
        reason = refusal(message, self._facts(account))
        if reason is None and self._own.books.is_full:
            reason = ReasonCode.FF07
        spell = None
        if self._own.has_magic and account is not None and reason is None:
            spell = magic.at_order(account.phone, message.amount, message.currency)
        if spell is not None and spell.act is Act.SILENT:
            return SILENCE
        if spell is not None and spell.act in WITHOUT_HOLD:
            reason = spell.reason or ReasonCode.FF07
        answer = await self._book(fields, message, account, reason)
        return await self._spoken(answer, spell, self._own.profile.timers.ct_expiry_s)

    async def _book(
        self, fields: Fields, message: CT2, account: Account | None, reason: ReasonCode | None
    ) -> Fields:
        """Credit an order or refuse it; ends once it is on disk with its answer."""
        own, now = self._own, self._own.clock.now()
        order = credit.received(message, own.code, reason, now, own.profile.timers)
        subject = message.instructionId
        change = Change(participant=own.code)
        if reason is None:
            assert account is not None
            order = credit.posted(order, now, wire_date(now))
            account.balance += order.amount
            self._creditor.count(order, order.amount)
            answer = iso.answer_to(fields, iso.APPROVED, subject=subject)
            posting = Posting(Role.CREDITOR, subject, account.cci, order.amount)
            change = msgspec.structs.replace(
                change, balances=(balance_of(account),), postings=(posting,)
            )
        else:
            answer = iso.refusal_of(fields, reason, subject=subject)
        order = credit.numbered(order, own.books.take_sequence())
        await self._save(
            msgspec.structs.replace(change, credit=order), self._kept(fields, subject, answer)
        )
        return answer

    async def _under_other_key(self, fields: Fields, order: CreditOrder) -> Fields:
        """Answer a request for what another request has ordered already: it moves nothing."""
        await self._own.books.synced()
        if order.state is CreditState.FINAL:
            answer = iso.answer_to(fields, iso.APPROVED, subject=order.instruction_id)
        else:
            known = {str(one): one for one in ReasonCode}
            reason = known.get(order.reason, ReasonCode.DS24)
            answer = iso.refusal_of(fields, reason, subject=order.instruction_id)
        kept = self._kept(fields, order.instruction_id, answer)
        await self._save(Change(participant=self._own.code), kept)
        return answer

    # --- cash

    async def _withdraw(self, fields: Fields) -> LaneReply:
        repeated = await self._repeated(fields)
        if repeated is not None:
            return LaneReply(repeated)
        answer, change = self._withdrawals.pay(fields)
        await self._save(change, self._kept(fields, incoming.subject_of(fields), answer))
        await self._own.pause()
        return LaneReply(answer)

    # --- reversals

    async def _undo(self, fields: Fields) -> LaneReply:
        key = iso.original_key(fields)
        known = self._known(key)
        if known is not None and known.undo:
            await self._own.books.synced()
            return LaneReply(_fields(known.undo))
        if known is not None and self._withheld(known):
            return SILENCE
        if known is None:
            known = LaneRequest(participant=self._own.code, key=key)
            answer, change = iso.answer_to(fields, iso.UNKNOWN), Change(participant=self._own.code)
        elif _fields(known.answer).get("39") != iso.APPROVED:
            answer = iso.answer_to(fields, iso.APPROVED, subject=known.subject)
            change = Change(participant=self._own.code)
        elif known.content.startswith(iso.WITHDRAWAL):
            answer, change = self._withdrawals.give_back(fields, known.subject)
        else:
            answer, change = self._uncredit(fields, known)
        undone = msgspec.structs.replace(
            known, undo=_json(answer).decode(), at_ms=to_ms(self._own.clock.now())
        )
        await self._save(change, undone)
        log.info("reversal", agent=self._own.code, transfer_id=known.subject, code=answer["39"])
        return LaneReply(answer)

    def _uncredit(self, fields: Fields, known: LaneRequest) -> tuple[Fields, Change]:
        own, now = self._own, self._own.clock.now()
        nothing = Change(participant=own.code)
        order = self._order(known.subject)
        if order is None or order.state is not CreditState.FINAL:
            return iso.answer_to(fields, iso.APPROVED, subject=known.subject), nothing
        account = own.accounts[order.cci]
        spell = self._spell(order)
        if spell is not None and spell.act is Act.UNDO_REFUSED:
            rule = "DE4: this core gives nothing back"
            return iso.answer_to(fields, iso.OTHER_REFUSAL, subject=known.subject, rule=rule), (
                nothing
            )
        if account.available < order.amount:
            rule = "DE4: spent already"
            return iso.answer_to(fields, iso.NO_FUNDS, subject=known.subject, rule=rule), nothing
        account.balance -= order.amount
        if order.day == wire_date(now):
            self._creditor.count(order, -order.amount)
        order = credit.numbered(credit.undone(order, now), own.books.take_sequence())
        posting = Posting(Role.UNDO, order.instruction_id, account.cci, -order.amount)
        change = Change(
            participant=own.code,
            credit=order,
            balances=(balance_of(account),),
            postings=(posting,),
        )
        return iso.answer_to(fields, iso.APPROVED, subject=known.subject), change

    def _withheld(self, known: LaneRequest) -> bool:
        """Tell whether magic leaves this reversal unanswered, as it does a few times."""
        order = self._order(known.subject)
        spell = None if order is None else self._spell(order)
        if spell is None or spell.act is not Act.CTC1_ERROR:
            return False
        done = self._spoilt.get(known.key, 0)
        self._spoilt[known.key] = done + 1
        return done < spell.times

    def _spell(self, order: CreditOrder) -> Magic | None:
        account = self._own.accounts.get(order.cci)
        if account is None or not self._own.has_magic:
            return None
        return magic.at_order(account.phone, order.amount, order.currency)

    # --- answers

    async def _spoken(self, answer: Fields, spell: Magic | None, expiry_s: float) -> LaneReply:
        """Return an answer after the institution's own time, or as magic has it."""
        act = None if spell is None else spell.act
        if act is Act.SILENT or act in HOLDS_SILENT:
            return SILENCE
        if act is Act.LATE:
            await self._own.wait_s(expiry_s + _LATE_BY_S)
        else:
            await self._own.pause()
        if act is Act.OTHER_ID:
            return LaneReply(answer | {"37": answer["37"][::-1]})
        if act in _NO_CODE:
            return LaneReply({key: value for key, value in answer.items() if key != "39"})
        if act is Act.NO_REASON:
            private = iso.tagged({"01": iso.tags(answer, "62").get("01")})
            return LaneReply(answer | {"39": "05", "62": private})
        return LaneReply(answer, act if act in _SPOILED else None)

    async def _repeated(self, fields: Fields) -> Fields | None:
        """Return what a known request gets; None if it is new."""
        known = self._known(iso.key_of(fields))
        if known is None:
            return None
        # What is said here must be on disk, and may have been decided a moment ago.
        await self._own.books.synced()
        if not known.answer:
            rule = "DE11: its reversal came first; it is never executed"
            return iso.refusal_of(fields, ReasonCode.DS24, subject=known.subject, rule=rule)
        if known.content != iso.content_of(fields):
            rule = "DE11: known key with other content; the first stands"
            return iso.refusal_of(fields, ReasonCode.AM05, rule=rule)
        answer = _fields(known.answer)
        if answer.get("39") == iso.APPROVED and self._is_undone(known):
            rule = "DE11: it was undone by its reversal; it is not posted again"
            return iso.refusal_of(fields, ReasonCode.DS24, subject=known.subject, rule=rule)
        return answer

    def _is_undone(self, known: LaneRequest) -> bool:
        """Tell whether nothing is left of what an approved request posted."""
        if known.content.startswith(iso.WITHDRAWAL):
            return self._withdrawals.is_given_back(known.subject)
        order = self._order(known.subject)
        return order is not None and order.state is CreditState.UNDONE

    def _known(self, key: str) -> LaneRequest | None:
        return self._saving.get(key) or self._own.books.lane_request(self._own.code, key)

    def _kept(self, fields: Fields, subject: str, answer: Fields) -> LaneRequest:
        return LaneRequest(
            participant=self._own.code,
            key=iso.key_of(fields),
            subject=subject,
            content=iso.content_of(fields),
            answer=_json(answer).decode(),
            at_ms=to_ms(self._own.clock.now()),
        )

    def _order(self, subject: str) -> CreditOrder | None:
        return self._orders.get(subject) or self._creditor.known(subject)

    async def _save(self, change: Change, kept: LaneRequest) -> None:
        order = change.credit
        self._saving[kept.key] = kept
        if order is not None:
            self._orders[order.instruction_id] = order
        # Whoever is cut off here leaves them: what may not be on disk yet is answered from memory.
        await self._own.books.save(msgspec.structs.replace(change, lane=kept))
        if self._saving.get(kept.key) is kept:
            del self._saving[kept.key]
        if order is not None and self._orders.get(order.instruction_id) is order:
            del self._orders[order.instruction_id]
        self._withdrawals.stored(change.rail_payment)


def _fields(text: str) -> Fields:
    return msgspec.json.decode(text, type=dict[str, str])
