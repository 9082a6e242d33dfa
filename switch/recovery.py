"""What a start does with what the last process left: reservations without an outcome end.

A two-message creditor posts only on CT5, so a reservation that survived without an outcome is
expired: nobody was told anything, and the creditor is told to give its hold up. The same holds
for a single-message creditor, which may have posted: the cancellation finds out.
"""

from collections.abc import Mapping, Sequence

import structlog

from scheme.clock import Clock
from scheme.ledger import Command
from scheme.network import Participant
from scheme.profile import Profile
from switch.core import rules
from switch.core.outcome import CLEARING_HOUSE, Parties, decide
from switch.core.records import TransferRecord
from switch.core.transfer import AnswerOverdue, TransferState
from switch.identifiers import Issuer

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
    now = clock.now()
    commands = []
    for record in records:
        parties = Parties(
            fleet.get(record.ct1.debtorParticipantCode),
            fleet.get(record.creditor_agent),
            profile.switch.branch_id,
            lambda expired: issuer.for_cancellation(expired, now),
        )
        outcome = decide(
            record,
            TransferState.RESERVED,
            AnswerOverdue(),
            rule=rules.FORGOTTEN.header,
            now=now,
            parties=parties,
            decided_by=CLEARING_HOUSE,
        )
        log.info("reservation of a former process expired", transfer_id=record.instruction_id)
        commands.append(outcome.command)
    return tuple(commands)
