"""PSR1: a held order whose confirmation does not come is asked about, until its end is known."""

from datetime import datetime
from typing import Protocol

import structlog

from participants.agents.institution import Institution
from participants.core import credit
from participants.core.book import CreditOrder, CreditState
from scheme.clock import Timer, from_ms
from scheme.errors import PeerError
from scheme.messages import PSR1, PSR2
from scheme.messages.conditions import ACCEPTED, REFUSED

log = structlog.get_logger()


class Desk(Protocol):
    """What enquiries need of the desk whose orders they are about."""

    def known(self, instruction_id: str) -> CreditOrder | None:
        """Return an order as it stands."""

    async def post(self, order: CreditOrder) -> None:
        """Credit it."""

    async def reject(self, order: CreditOrder, reason: str) -> None:
        """Give it up."""

    def note(self, order: CreditOrder) -> None:
        """Keep the time of its next enquiry."""


class Enquiries:
    """The enquiries of one institution. Their times stand on the orders, on disk.

    Args:
        institution: who asks.
        desk: whose orders they are.
    """

    def __init__(self, institution: Institution, desk: Desk) -> None:
        self._own = institution
        self._desk = desk
        self._timers: dict[str, Timer] = {}

    def schedule(self, order: CreditOrder) -> None:
        """Ask about a held order at its time, or at once if that has passed."""
        instruction_id = order.instruction_id
        self._timers[instruction_id] = self._own.clock.call_at(
            from_ms(order.enquiry_ms), lambda: self._own.spawn(self._enquire(instruction_id))
        )

    def drop(self, instruction_id: str) -> None:
        """Ask no more: the order has ended."""
        timer = self._timers.pop(instruction_id, None)
        if timer is not None:
            timer.cancel()

    async def _enquire(self, instruction_id: str) -> None:
        order = self._held(instruction_id)
        if order is None:
            return
        answer = await self._answer(order)
        # A confirmation or a cancellation may have come meanwhile.
        order = self._held(instruction_id)
        if order is None:
            return
        if answer is not None and answer.responseCode == ACCEPTED and credit.agrees(order, answer):
            await self._desk.post(order)
        elif answer is not None and answer.responseCode == REFUSED:
            await self._desk.reject(order, answer.reasonCode or "")
        else:
            again = credit.enquired_again(order, self._own.clock.now(), self._own.profile.timers)
            self._desk.note(again)
            self.schedule(again)

    def _held(self, instruction_id: str) -> CreditOrder | None:
        order = self._desk.known(instruction_id)
        return order if order is not None and order.state is CreditState.HELD else None

    async def _answer(self, order: CreditOrder) -> PSR2 | None:
        question = _question(order, self._own.code, self._own.clock.now(), self._own)
        try:
            async with self._own.within(self._own.profile.timers.owed_answer_s):
                return await self._own.house.ask(question, PSR2)
        except (PeerError, TimeoutError) as error:
            cause = type(error).__name__
            log.info("enquiry unanswered", transfer_id=order.instruction_id, cause=cause)
            return None


def _question(order: CreditOrder, code: str, now: datetime, own: Institution) -> PSR1:
    stamp = own.stamp(now)
    return PSR1(
        creditorParticipantCode=code,
        creationDate=stamp.date,
        creationTime=stamp.time,
        currency=order.currency,
        instructionId=order.instruction_id,
        originalCreationDate=order.created_date,
        originalCreationTime=order.created_time,
    )
