"""What a start does with what the last process left: reservations without an outcome end.

A two-message creditor posts only on CT5, so a reservation that survived without an outcome is
expired: nobody was told anything, and the creditor is told to give its hold up. The same holds
for a single-message creditor, which may have posted: the cancellation finds out.
"""

from collections.abc import Mapping, Sequence

import structlog
from msgspec.structs import replace

from scheme.clock import Clock, to_ms
from scheme.ledger import Command, Release
from scheme.network import Participant
from scheme.profile import Profile
from scheme.wire.tin_json import encode
from switch.core import answers, rules
from switch.core.records import TransferRecord, pack
from switch.core.transfer import (
    AnswerDebtor,
    AnswerOverdue,
    TransferState,
    advance,
    stored_state,
)
from switch.identifiers import Issuer
from switch.router import cancel, owed_message

log = structlog.get_logger()


def expire(
    records: Sequence[TransferRecord],
    *,
    issuer: Issuer,
    fleet: Mapping[str, Participant],
    profile: Profile,
    clock: Clock,
) -> tuple[Command, ...]:
    """Return the commands that end reservations of a former process."""
    return tuple(_expiry(record, issuer, fleet, profile, clock) for record in records)


def _expiry(
    record: TransferRecord,
    issuer: Issuer,
    fleet: Mapping[str, Participant],
    profile: Profile,
    clock: Clock,
) -> Command:
    _, effects = advance(TransferState.RESERVED, AnswerOverdue())
    told = next(effect for effect in effects if isinstance(effect, AnswerDebtor))
    now = clock.now()
    ct4 = answers.result(record, code=told.response_code, reason=told.reason, now=now)
    debtor = fleet.get(record.ct1.debtorParticipantCode)
    record = replace(
        record,
        response_code=told.response_code,
        reason=told.reason or "",
        answer=encode(ct4) if debtor is None else encode(ct4, debtor.wire),
        decided_by="clearing_house",
        rule=rules.FORGOTTEN.header,
        decided_ms=to_ms(now),
    )
    record, message = cancel(record, issuer, profile, clock)
    owed = owed_message(record, message, fleet.get(record.creditor_agent))
    log.info("reservation of a former process expired", transfer_id=record.instruction_id)
    return Release(
        transfer_id=record.instruction_id,
        state=stored_state(effects),
        record=pack(record),
        reason=record.reason,
        at_ms=record.decided_ms,
        owed=(owed,),
    )
