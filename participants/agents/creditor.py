"""The receiver: answers AV2 and CT2, posts on CT5, undoes on CTC1, asks by PSR1.

What moves money is decided in memory when a message is handled and answered once it is on disk:
a CT3 after its hold, the 2xx of a CT5 after its credit, a CTC2 after what it undid.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import structlog
from msgspec.structs import replace

from participants.agents.enquiries import Enquiries
from participants.agents.institution import Institution
from participants.core import answers, credit, magic
from participants.core.book import (
    Account,
    Change,
    CreditOrder,
    CreditState,
    Posting,
    Role,
    balance_of,
)
from participants.core.credit import Confirmation
from participants.core.magic import Act, Magic
from participants.core.receiver import Facts, refusal
from participants.core.replies import TAKEN, Reply
from scheme.clock import wire_date
from scheme.codes import Channel
from scheme.messages import AV2, CT2, CT5, CTC1
from scheme.reasons import ReasonCode

log = structlog.get_logger()

VERIFICATIONS_REMEMBERED: Final = 5000
"""Ids of queries an institution recognises when they come twice."""
SILENCE_S: Final = 60.0
"""How long a silent creditor keeps the connection open."""
_LATE_BY_S: Final = 1.0
_SPOILED_ANSWERS: Final = frozenset(
    {Act.GARBAGE, Act.HALF, Act.ERROR_500, Act.ERROR_400, Act.DROP, Act.BAD_SIGNATURE}
)
WITHOUT_HOLD: Final = frozenset({Act.REFUSE, Act.SILENT, Act.NO_REASON})
"""Acts after which the book holds nothing."""
HOLDS_SILENT: Final = frozenset({Act.HOLD_SILENT, Act.CTC1_ERROR, Act.UNDO_REFUSED})
"""Acts that take the order and never say so."""
_CT5_ACTS: Final = {
    Act.CT5_ERROR: Reply(spoiled=Act.ERROR_500),
    Act.CT5_DROP: Reply(spoiled=Act.DROP),
    Act.CT5_FORGET: TAKEN,
}


class CreditorDesk:
    """The receiving side of one institution.

    Args:
        institution: whose desk it is.
        open_orders: held ones, as the disk has them.
        credited_today: minor units credited by alias today, by CCI.
    """

    def __init__(
        self,
        institution: Institution,
        *,
        open_orders: Iterable[CreditOrder] = (),
        credited_today: dict[str, int] | None = None,
    ) -> None:
        self._own = institution
        # Held orders, and ended ones until they are on disk; older ones are read there.
        self._orders = {order.instruction_id: order for order in open_orders}
        self._queries: OrderedDict[str, None] = OrderedDict()
        self._credited = credited_today or {}
        self._day = wire_date(institution.clock.now())
        self._spoilt: dict[str, int] = {}
        self._enquiries = Enquiries(institution, self)

    def resume(self) -> None:
        """Take up the enquiries of every held order."""
        for order in self._orders.values():
            if order.state is CreditState.HELD:
                self._enquiries.schedule(order)

    # --- AV2

    async def answer_query(self, query: AV2) -> Reply:
        """Answer an account query."""
        account = self._own.accounts.get(query.creditorCCI or "")
        facts = Facts(
            profile=self._own.profile,
            session=self._own.session,
            is_seen=self._is_seen(query.instructionId),
            account=account,
        )
        reason = refusal(query, facts)
        spell = None
        if self._own.has_magic and account is not None and reason is None:
            spell = magic.at_verification(account.phone)
        if spell is None:
            await self._own.pause()
            return Reply(answers.account_answer(query, account, reason))
        return await self._spoiled_query(query, account, spell)

    async def _spoiled_query(self, query: AV2, account: Account | None, spell: Magic) -> Reply:
        if spell.act is Act.SILENT:
            await self._own.wait_s(SILENCE_S)
            return Reply(spoiled=Act.DROP)
        if spell.act is Act.LATE:
            await self._own.wait_s(self._own.profile.timers.av_expiry_s + _LATE_BY_S)
        else:
            await self._own.pause()
        if spell.act is Act.REFUSE:
            return Reply(answers.account_answer(query, account, spell.reason))
        if spell.act is Act.NO_REASON:
            return Reply(answers.without_reason(answers.account_answer(query, account, _ANY)))
        answer = answers.account_answer(query, account, None)
        if spell.act is Act.OTHER_ID:
            return Reply(answers.under_other_id(answer))
        spoiled = spell.act if spell.act in _SPOILED_ANSWERS else None
        return Reply(answer, spoiled=spoiled, variant=spell.variant)

    def _is_seen(self, instruction_id: str) -> bool:
        if instruction_id in self._queries:
            return True
        self._queries[instruction_id] = None
        if len(self._queries) > VERIFICATIONS_REMEMBERED:
            self._queries.popitem(last=False)
        return False

    # --- CT2

    async def answer_order(self, message: CT2) -> Reply:
        """Hold an order or refuse it, and answer once that is on disk."""
        now = self._own.clock.now()
        account = self._own.accounts.get(message.creditorCCI or "")
        is_seen = self.known(message.instructionId) is not None
        facts = Facts(
            profile=self._own.profile,
            session=self._own.session,
            is_seen=is_seen,
            account=account,
            credited_today=self.credited_today(message.creditorCCI or ""),
        )
        reason = refusal(message, facts)
        if self._own.books.is_full and reason is None:
            reason = ReasonCode.FF07
        if is_seen:
            # The first one stands, whatever it says: nothing is stored over it.
            return Reply(answers.order_answer(message, reason, now))
        spell = None
        if account is not None and reason is None:
            spell = self._spell(message, account)
        if spell is not None and spell.act in WITHOUT_HOLD:
            if spell.act is Act.SILENT:
                await self._own.wait_s(SILENCE_S)
                return Reply(spoiled=Act.DROP)
            reason = spell.reason or _ANY
        order = credit.received(message, self._own.code, reason, now, self._own.profile.timers)
        await self._save(order)
        held = self._orders.get(order.instruction_id)
        # While the hold was written a cancellation may have ended it: then nothing is to be asked.
        if held is not None and held.state is CreditState.HELD:
            self._enquiries.schedule(held)
        return await self._order_reply(message, reason, spell)

    def _spell(self, message: CT2, account: Account) -> Magic | None:
        if not self._own.has_magic:
            return None
        return magic.at_order(account.phone, message.amount, message.currency)

    async def _order_reply(
        self, message: CT2, reason: ReasonCode | None, spell: Magic | None
    ) -> Reply:
        act = spell.act if spell is not None else None
        if act in HOLDS_SILENT:
            await self._own.wait_s(SILENCE_S)
            return Reply(spoiled=Act.DROP)
        if act is Act.LATE:
            await self._own.wait_s(self._own.profile.timers.ct_expiry_s + _LATE_BY_S)
        else:
            await self._own.pause()
        answer = answers.order_answer(message, reason, self._own.clock.now())
        if act is Act.OTHER_ID:
            return Reply(answers.under_other_id(answer))
        if act is Act.NO_REASON:
            return Reply(answers.without_reason(answer))
        spoiled = act if act in _SPOILED_ANSWERS else None
        return Reply(answer, spoiled=spoiled, variant=spell.variant if spell else None)

    # --- CT5

    async def confirm(self, message: CT5) -> Reply:
        """Post a held order, exactly once, and acknowledge it once that is on disk.

        A confirmation that does not agree with its order is acknowledged and changes nothing, as
        at real receivers; one of an order nobody sent is not acknowledged, so that it stays owed.
        """
        order = self.known(message.instructionId)
        match credit.confirmation(order, message, self._own.code):
            case Confirmation.POST:
                assert order is not None
                spell = self._confirmation_spell(order)
                if spell is not None and self._goes_wrong(order.instruction_id, spell):
                    return _CT5_ACTS[spell.act]
                await self.post(order)
                return _acknowledgement(spell)
            case Confirmation.ALREADY_POSTED:
                # It may have been posted a moment ago: what is said here must be on disk.
                await self._own.books.synced()
                return TAKEN
            case Confirmation.MISMATCH:
                log.warning("confirmation differs", transfer_id=message.instructionId)
                return TAKEN
            case Confirmation.UNKNOWN:
                log.warning("confirmation of no order", transfer_id=message.instructionId)
                return Reply(status=404)
            case Confirmation.CONTRADICTION:
                log.warning("confirmation of a rejected order", transfer_id=message.instructionId)
                return Reply(status=409)

    def _confirmation_spell(self, order: CreditOrder) -> Magic | None:
        account = self._own.accounts.get(order.cci)
        if account is None or not self._own.has_magic:
            return None
        return magic.at_order(account.phone, order.amount, order.currency)

    def _goes_wrong(self, instruction_id: str, spell: Magic) -> bool:
        if spell.act not in _CT5_ACTS:
            return False
        return self._fails_once_more(instruction_id, spell)

    def _fails_once_more(self, instruction_id: str, spell: Magic) -> bool:
        done = self._spoilt.get(instruction_id, 0)
        if done >= spell.times:
            return False
        self._spoilt[instruction_id] = done + 1
        return True

    async def post(self, order: CreditOrder) -> None:
        """Credit a held order's account; ends once it is on disk."""
        account = self._own.accounts[order.cci]
        now = self._own.clock.now()
        account.balance += order.amount
        self.count(order, order.amount)
        self._end(order.instruction_id)
        await self._save(credit.posted(order, now, wire_date(now)), account)

    async def reject(self, order: CreditOrder, reason: str) -> None:
        """Give a held order up; ends once it is on disk."""
        self._end(order.instruction_id)
        await self._save(credit.rejected(order, reason, self._own.clock.now()))

    # --- CTC1

    async def cancel(self, asked: CTC1) -> Reply:
        """Undo a hold. What was never received is remembered; what is credited stays credited."""
        now = self._own.clock.now()
        if asked.creditorParticipantCode != self._own.code:
            return Reply(answers.cancellation_answer(asked, ReasonCode.FF02, now))
        order = self.known(asked.referenceInstructionId)
        if order is None:
            never = credit.never_received(self._own.code, asked.referenceInstructionId, now)
            await self._save(never)
        elif order.state is CreditState.FINAL:
            return Reply(answers.cancellation_answer(asked, credit.CANCELLATION_TOO_LATE, now))
        elif order.state is CreditState.HELD:
            spell = self._confirmation_spell(order)
            if (
                spell is not None
                and spell.act is Act.CTC1_ERROR
                and self._fails_once_more(order.instruction_id, spell)
            ):
                return Reply(spoiled=Act.ERROR_500)
            await self.reject(order, "")
        else:
            await self._own.books.synced()
        return Reply(answers.cancellation_answer(asked, None, now))

    # --- the book

    def known(self, instruction_id: str) -> CreditOrder | None:
        """Return an order received, wherever it is remembered."""
        order = self._orders.get(instruction_id)
        return order or self._own.books.credit(self._own.code, instruction_id)

    async def _save(self, order: CreditOrder, credited: Account | None = None) -> None:
        order = credit.numbered(order, self._own.books.take_sequence())
        self._orders[order.instruction_id] = order
        change = Change(participant=self._own.code, credit=order)
        if credited is not None:
            posting = Posting(Role.CREDITOR, order.instruction_id, credited.cci, order.amount)
            change = replace(change, balances=(balance_of(credited),), postings=(posting,))
        await self._own.books.save(change)
        if order.state is not CreditState.HELD:
            self._orders.pop(order.instruction_id, None)

    def note(self, order: CreditOrder) -> None:
        """Keep a held order with its next enquiry; nobody waits for the disk."""
        self._orders[order.instruction_id] = order
        self._own.books.submit(Change(participant=self._own.code, credit=order))

    def _end(self, instruction_id: str) -> None:
        self._enquiries.drop(instruction_id)
        self._spoilt.pop(instruction_id, None)

    def count(self, order: CreditOrder, minor: int) -> None:
        """Count a credit of today against its account's limit, or one given back."""
        if order.channel == Channel.ALIAS:
            self._credited[order.cci] = self.credited_today(order.cci) + minor

    def credited_today(self, cci: str) -> int:
        """Return what an account was credited by alias today, in minor units."""
        today = wire_date(self._own.clock.now())
        if today != self._day:
            self._day = today
            self._credited.clear()
        return self._credited.get(cci, 0)


_ANY: Final = ReasonCode.FF07
"""The reason kept for a refusal that is sent without one."""


def _acknowledgement(spell: Magic | None) -> Reply:
    if spell is None:
        return TAKEN
    if spell.act is Act.CT5_TEXT:
        return Reply(text=b'{"CT5":{"responseCode":"00"}}')
    return Reply(variant=spell.variant)
