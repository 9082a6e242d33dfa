"""What an event makes of an order: its record, the answers it owes, and the ledger's command.

The router decides with this while a creditor's agent is waited for, and a start decides with it
what became of reservations that a former process left.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scheme.clock import to_ms
from scheme.ledger import Entry, Owed, Post, Refuse, Release, Reserve
from scheme.messages import CT4, Message
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from scheme.wire.tin_json import DEFAULT_VARIANT, encode
from switch.core import answers
from switch.core.records import TransferRecord, pack
from switch.core.reversal import REVERSAL, reversal_request
from switch.core.rules import Refusal
from switch.core.transfer import (
    CANCELLATION,
    CONFIRMATION,
    AnswerDebtor,
    AnswerOverdue,
    CreditorAccepted,
    CreditorPosted,
    CreditorRefused,
    CreditorUnreachable,
    DebtorReversed,
    Effect,
    Event,
    Owe,
    PostMoney,
    ReleaseMoney,
    StoredEvent,
    TransferState,
    advance,
    stored_state,
)

CLEARING_HOUSE: Final = "clearing_house"
DEBTOR: Final = "debtor"

_DECIDED_BY: Final[Mapping[type, str]] = {
    CreditorAccepted: "creditor",
    CreditorPosted: "creditor",
    CreditorRefused: "creditor",
    CreditorUnreachable: CLEARING_HOUSE,
    AnswerOverdue: "timer",
    DebtorReversed: DEBTOR,
}


class Parties(Struct, frozen=True, gc=False):
    """Who is told, and what only the shell can give.

    Attributes:
        debtor, creditor: the two agents; None for one that has left the fleet.
        branch: the clearing house's branchId.
        cancellation_id: issues the id of a cancellation, if one is owed.
    """

    debtor: Participant | None
    creditor: Participant | None
    branch: str
    cancellation_id: Callable[[TransferRecord], str]


class Outcome(Struct, frozen=True, gc=False):
    """A decided order.

    Attributes:
        state: in memory from now on; only the disk's answer leads out of it.
        then: the event of that answer.
        command: what is written; nobody is told anything before.
    """

    state: TransferState
    then: StoredEvent
    record: TransferRecord
    command: Post | Release


def decide(
    record: TransferRecord,
    state: TransferState,
    event: Event,
    *,
    rule: str,
    now: datetime,
    parties: Parties,
    decided_by: str = "",
) -> Outcome:
    """Apply an event that decides an order.

    Args:
        rule: why, as ``field: rule``; empty for an acceptance.
        decided_by: instead of the one the event stands for.

    Raises:
        IllegalEvent: it is decided already, so nothing has changed.
    """
    target, effects = advance(state, event)
    told = next(effect for effect in effects if isinstance(effect, AnswerDebtor))
    ct4 = answers.result(record, code=told.response_code, reason=told.reason, now=now)
    record = replace(
        record,
        response_code=told.response_code,
        reason=told.reason or "",
        answer=_encoded(ct4, parties.debtor),
        decided_by=decided_by or _DECIDED_BY[type(event)],
        rule=rule,
        decided_ms=to_ms(now),
    )
    record, owed = _owed(record, effects, ct4, parties, now)
    money = effects[0]
    command: Post | Release
    if isinstance(money, PostMoney):
        command = Post(
            transfer_id=record.instruction_id,
            state=stored_state(effects),
            record=pack(record),
            at_ms=record.decided_ms,
            owed=owed,
        )
    else:
        assert isinstance(money, ReleaseMoney)
        command = Release(
            transfer_id=record.instruction_id,
            state=stored_state(effects),
            record=pack(record),
            reason=record.reason,
            at_ms=record.decided_ms,
            owed=owed,
            was_received=not isinstance(event, CreditorUnreachable),
        )
    return Outcome(target, money.then, record, command)


def _owed(
    record: TransferRecord,
    effects: tuple[Effect, ...],
    ct4: CT4,
    parties: Parties,
    now: datetime,
) -> tuple[TransferRecord, tuple[Owed, ...]]:
    message: Message
    match next((effect.what for effect in effects if isinstance(effect, Owe)), None):
        case None:
            return record, ()
        case what if what == CONFIRMATION:
            message = answers.confirmation(record, ct4)
        case what if record.sent:
            assert what == CANCELLATION
            # By what it was sent, not by its lane of today, which may be another after a restart.
            body = reversal_request(record.sent, parties.creditor, now)
            return record, (_message(record, REVERSAL, body),)
        case what:
            assert what == CANCELLATION
            instruction = parties.cancellation_id(record)
            record = replace(record, cancellation_id=instruction)
            message = answers.cancellation(
                record, instruction=instruction, branch=parties.branch, now=now
            )
    kind = type(message).__name__
    return record, (_message(record, kind, _encoded(message, parties.creditor)),)


def _message(record: TransferRecord, kind: str, body: bytes) -> Owed:
    return Owed(
        owed_id=f"{record.instruction_id}:{kind}",
        participant=record.creditor_agent,
        message=kind,
        body=body,
        subject=record.instruction_id,
        due_ms=record.decided_ms,
    )


def reservation(
    record: TransferRecord, key: str, entries: tuple[Entry, ...], *, write_ahead: bool
) -> Reserve:
    """Return the command that holds an order's money in every ledger it touches."""
    ct1 = record.ct1
    return Reserve(
        transfer_id=record.instruction_id,
        key=key,
        entries=entries,
        rail=record.rail,
        write_ahead=write_ahead,
        state=TransferState.RESERVED,
        record=pack(record),
        debtor_agent=ct1.debtorParticipantCode,
        creditor_agent=record.creditor_agent,
        currency=CURRENCY_BY_CODE[ct1.currency],
        minor=ct1.amount,
        created_ms=record.created_ms,
    )


def refuse(
    record: TransferRecord,
    key: str,
    refusal: Refusal,
    *,
    entries: tuple[Entry, ...],
    now: datetime,
    debtor: Participant | None,
) -> tuple[TransferRecord, Refuse]:
    """Return the outcome of an order that holds no money, as sticky as a posting.

    Args:
        entries: what it would have held; its windows count it as refused.
    """
    ct4 = answers.result(record, code=answers.REFUSED, reason=refusal.reason, now=now)
    record = replace(
        record,
        response_code=answers.REFUSED,
        reason=refusal.reason,
        answer=_encoded(ct4, debtor),
        decided_by=CLEARING_HOUSE,
        rule=refusal.header,
        decided_ms=to_ms(now),
    )
    command = Refuse(
        transfer_id=record.instruction_id,
        key=key,
        entries=entries,
        rail=record.rail,
        state=TransferState.REJECTED,
        record=pack(record),
        reason=refusal.reason,
        debtor_agent=record.ct1.debtorParticipantCode,
        creditor_agent=record.creditor_agent,
        currency=CURRENCY_BY_CODE[record.ct1.currency],
        minor=record.ct1.amount,
        created_ms=record.created_ms,
    )
    return record, command


def _encoded(message: Message, receiver: Participant | None) -> bytes:
    return encode(message, DEFAULT_VARIANT if receiver is None else receiver.wire)
