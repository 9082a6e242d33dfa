"""Answers status enquiries: PSR1 in, PSR2 out (docs/wire/tin-messages.md#status-enquiry)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from scheme.clock import Clock, to_ms
from scheme.ids import created_at, has_our_shape
from scheme.ledger import Refuse
from scheme.messages import PSR1, PSR2
from scheme.network import Participant
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import encode
from switch.core import answers
from switch.core.records import Tombstone, pack
from switch.core.transfer import PAID, TransferState
from switch.flight import Answer
from switch.identifiers import Issuer
from switch.ports import Ledger, Store, StoredTransfer

_EXPIRED = frozenset(
    {
        TransferState.EXPIRED,
        TransferState.CANCELLED,
        TransferState.DISPUTED,
        TransferState.TOMBSTONE,
    }
)


class Enquiries:
    """Tells creditors' agents what became of an order.

    Args:
        is_in_flight: tells whether the order under an id has no outcome on disk yet.
        started: when this process started: an older order that is unknown was forgotten.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: Store,
        issuer: Issuer,
        is_in_flight: Callable[[str], bool],
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        started: datetime,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._issuer = issuer
        self._is_in_flight = is_in_flight
        self._fleet = fleet
        self._clock = clock
        self._started = started
        self._expiry = timedelta(seconds=profile.timers.ct_expiry_s)

    async def answer(self, psr1: PSR1) -> Answer:
        """Return the PSR2 to an enquiry."""
        psr2 = await self._status(psr1)
        asker = self._fleet.get(psr1.creditorParticipantCode)
        body = encode(psr2) if asker is None else encode(psr2, asker.wire)
        return Answer(body, subject=psr1.instructionId)

    async def _status(self, psr1: PSR1) -> PSR2:
        instruction = psr1.instructionId
        if self._is_in_flight(instruction):
            return self._unknown(psr1, answers.NOT_FOUND)
        stored = self._store.transfer(instruction)
        if stored is not None:
            return self._known(psr1, stored)
        is_stranger = psr1.creditorParticipantCode not in self._fleet
        if is_stranger or self._ledger.is_full or not self._is_forgotten(instruction):
            return self._unknown(psr1, answers.NOT_FOUND)
        return await self._bury(psr1)

    def _known(self, psr1: PSR1, stored: StoredTransfer) -> PSR2:
        if stored.record is None:
            # Whoever asked first: a tombstone has no creditor's agent, it never was an order.
            return self._unknown(psr1, answers.REFUSED, ReasonCode.DS24)
        if stored.creditor_agent != psr1.creditorParticipantCode:
            return self._unknown(psr1, answers.NOT_FOUND)
        state = TransferState(stored.state)
        now = self._clock.now()
        if state in PAID:
            return answers.status(stored.record, code=answers.ACCEPTED, reason=None, now=now)
        if state in _EXPIRED:
            reason: str = ReasonCode.DS24
        elif state is TransferState.REJECTED:
            reason = stored.reason
        else:
            return self._unknown(psr1, answers.NOT_FOUND)
        return answers.status(stored.record, code=answers.REFUSED, reason=reason, now=now)

    def _is_forgotten(self, instruction: str) -> bool:
        """Tell whether an unknown id could only be of an order that a crash forgot."""
        created = created_at(instruction) if has_our_shape(instruction) else None
        if created is None:
            return False
        return created < self._started or created < self._clock.now() - self._expiry

    async def _bury(self, psr1: PSR1) -> PSR2:
        """Remember that an order never was, before saying so: it is never issued or posted."""
        instruction = psr1.instructionId
        now_ms = to_ms(self._clock.now())
        tombstone = Tombstone(
            instruction_id=instruction,
            creditor_agent=psr1.creditorParticipantCode,
            created_ms=now_ms,
        )
        self._issuer.hold(instruction)
        command = Refuse(
            transfer_id=instruction,
            key=f"tombstone:{instruction}",
            state=TransferState.TOMBSTONE,
            record=pack(tombstone),
            reason=ReasonCode.DS24,
            debtor_agent="",
            creditor_agent=psr1.creditorParticipantCode,
            currency="",
            minor=0,
            created_ms=now_ms,
        )
        try:
            await self._ledger.apply((command,))
        finally:
            self._issuer.settled(instruction)
        return self._unknown(psr1, answers.REFUSED, ReasonCode.DS24)

    def _unknown(self, psr1: PSR1, code: str, reason: str | None = None) -> PSR2:
        return answers.status_unknown(
            creditor=psr1.creditorParticipantCode,
            instruction=psr1.instructionId,
            code=code,
            reason=reason,
            now=self._clock.now(),
        )
