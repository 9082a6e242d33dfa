"""Asks creditors' agents for an order's fate, and says which event their answer, or silence, is."""

import asyncio
from datetime import datetime

import structlog
from msgspec.structs import replace

from scheme.clock import Clock
from scheme.errors import NoAnswer, NotConnected
from scheme.messages import CT2, CT3, Message
from switch.breakers import Breakers
from switch.core import answers, rules
from switch.core.records import TransferRecord
from switch.core.transfer import (
    AnswerOverdue,
    CreditorAccepted,
    CreditorPosted,
    CreditorRefused,
    CreditorUnreachable,
    DebtorReversed,
    Event,
)
from switch.flight import Flight
from switch.ports import Peers
from switch.reversals import TAKEN_BACK

log = structlog.get_logger()

Told = tuple[Event, str]
"""What decides an order, and the rule behind it."""


class Creditors:
    """Asks them, one order at a time.

    Args:
        breakers: told how each of them answers.
    """

    def __init__(self, *, peers: Peers, breakers: Breakers, clock: Clock) -> None:
        self._peers = peers
        self._breakers = breakers
        self._clock = clock

    def prepared(self, record: TransferRecord, ct2: CT2) -> TransferRecord:
        """Return an order with the exact request that its single-message creditor will get.

        Raises:
            NotConnected: it cannot be asked.
        """
        sent = self._peers.prepare(record.creditor_agent, ct2, record.instruction_id)
        assert sent, "a single-message creditor's request is known before it leaves"
        return replace(record, sent=sent)

    async def ask_unless_reversed(self, flight: Flight, ct2: CT2, expiry: datetime) -> Told:
        """Ask as long as the debtor's agent does not take its order back."""
        task = asyncio.current_task()
        assert task is not None
        told: Told = DebtorReversed(), TAKEN_BACK.header
        if flight.is_reversed:
            return told
        flight.asking = task
        try:
            answer = await self.ask(flight, ct2, expiry)
        except asyncio.CancelledError:
            if not flight.is_reversed or task.uncancel() > 0:
                raise  # The process ends.
            return told
        finally:
            flight.asking = None
        # It was taken back in the moment of the answer, which therefore came too late.
        return told if flight.is_reversed else answer

    async def ask(self, flight: Flight, ct2: CT2, expiry: datetime) -> Told:
        """Ask, and wait until the expiry."""
        record, leave = flight.record, flight.leave
        assert leave is not None
        flight.leave = None
        has_failed = True
        try:
            async with self._clock.deadline(expiry):
                answer = await self._answer_or_silence(record, ct2)
            has_failed = False
        except NotConnected:
            return CreditorUnreachable(), rules.UNREACHABLE.header
        except TimeoutError:
            return AnswerOverdue(), rules.SILENT.header
        finally:
            if flight.is_reversed:
                self._breakers.give_back(leave)
            else:
                self._breakers.end(leave, has_failed=has_failed)
        if answer.responseCode == answers.ACCEPTED:
            return CreditorPosted() if record.sent else CreditorAccepted(), ""
        refusal = rules.creditor_refused(answer.reasonCode or "")
        return CreditorRefused(refusal.reason), refusal.header

    async def _answer_or_silence(self, record: TransferRecord, ct2: CT2) -> CT3:
        """Return a sound CT3; anything else is silence, and the timer runs on."""
        instruction = record.instruction_id
        try:
            answer = await self._peers.ask(record.creditor_agent, ct2, instruction, record.sent)
        except NoAnswer as error:
            log.info("creditor's answer unusable", transfer_id=instruction, cause=str(error))
        else:
            if _answers(answer, ct2):
                assert isinstance(answer, CT3)
                return answer
            log.info("creditor answered another order", transfer_id=instruction)
        await asyncio.get_running_loop().create_future()
        raise AssertionError("only the deadline ends this wait")


def _answers(answer: Message, ct2: CT2) -> bool:
    """Tell whether a CT3 is about this order: its id, and its amount where it says one."""
    return (
        isinstance(answer, CT3)
        and answer.instructionId == ct2.instructionId
        and answer.amount in (None, ct2.amount)
        and answer.responseCode in (answers.ACCEPTED, answers.REFUSED)
    )
