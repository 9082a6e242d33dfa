"""What ends a withdrawal: its record, what is owed about it, and the ledger's command."""

from datetime import datetime
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from scheme.clock import to_ms
from scheme.ledger import Entry, Owed, Post, Refuse, Release, Reserve
from scheme.network import Participant
from switch.core.cash import (
    CASH_RAIL,
    POSTED,
    REVERSAL_SUFFIX,
    CashAnswer,
    CashRecord,
    CashState,
    Ending,
    IssuerApproved,
    IssuerDeclined,
    IssuerSilent,
    IssuerUnreachable,
    MachineGaveUp,
    advance,
    approval_code,
    decided_by,
    pack_cash,
)
from switch.core.cash_rules import GIVEN_UP, SILENT, UNREACHABLE
from switch.core.iso8583_codes import APPROVED
from switch.core.reversal import REVERSAL, reversal_request

CLEARING_HOUSE: Final = "clearing_house"


class CashOutcome(Struct, frozen=True, gc=False):
    """A decided withdrawal; nobody is told anything before its command is on disk."""

    state: CashState
    record: CashRecord
    command: Post | Release


def reservation(record: CashRecord, entries: tuple[Entry, ...]) -> Reserve:
    """Return the command that holds the money, with the exact request, before it leaves."""
    return Reserve(
        transfer_id=record.transfer_id,
        key=record.key,
        entries=entries,
        rail=CASH_RAIL,
        write_ahead=True,
        state=CashState.AUTHORISING,
        record=pack_cash(record),
        debtor_agent=record.issuer,
        creditor_agent=record.acquirer,
        currency=record.currency,
        minor=record.amount,
        created_ms=record.created_ms,
    )


def refusal(record: CashRecord, state: CashState = CashState.DECLINED) -> Refuse:
    """Return the command that remembers a withdrawal that never held money, or a tombstone."""
    return Refuse(
        transfer_id=record.transfer_id,
        key=record.key,
        rail=CASH_RAIL,
        state=state,
        record=pack_cash(record),
        reason=record.reason,
        debtor_agent=record.issuer,
        creditor_agent=record.acquirer,
        currency=record.currency,
        minor=record.amount,
        created_ms=record.created_ms,
    )


def told(record: CashRecord, answer: CashAnswer, by: str, now: datetime) -> CashRecord:
    """Return a record with what its machine is told."""
    return replace(
        record,
        response_code=answer.response_code,
        reason=answer.reason,
        rule=answer.rule,
        auth=answer.auth,
        decided_by=by,
        decided_ms=to_ms(now),
    )


def ended(
    record: CashRecord,
    event: Ending,
    *,
    issuer: Participant | None,
    now: datetime,
    silent: CashAnswer = SILENT,
) -> CashOutcome:
    """Apply the event that ends a withdrawal whose money is held.

    Args:
        issuer: as it speaks now; None if it has left the fleet.
        silent: what the machine is told of an issuer's silence.
    """
    state = advance(CashState.AUTHORISING, event)
    record = told(record, _answer(record, event, silent), decided_by(event), now)
    if state in POSTED:
        post = Post(
            transfer_id=record.transfer_id,
            state=state,
            record=pack_cash(record),
            at_ms=record.decided_ms,
        )
        return CashOutcome(state, record, post)
    owed: tuple[Owed, ...] = ()
    if state is CashState.DECLINED:
        # Nothing will be made from it any more, and it names a card.
        record = replace(record, sent=b"")
    if state is CashState.EXPIRED:
        body = reversal_request(record.sent, issuer, now)
        owed = (_owed(record, f"{record.transfer_id}:{REVERSAL}", body, now),)
    release = Release(
        transfer_id=record.transfer_id,
        state=state,
        record=pack_cash(record),
        reason=record.reason,
        at_ms=record.decided_ms,
        was_received=state is not CashState.CANCELLED and not isinstance(event, IssuerUnreachable),
        owed=owed,
    )
    return CashOutcome(state, record, release)


def _answer(record: CashRecord, event: Ending, silent: CashAnswer) -> CashAnswer:
    match event:
        case IssuerApproved(auth):
            auth = auth or approval_code(record.transfer_id)
            return CashAnswer(response_code=APPROVED, auth=auth)
        case IssuerDeclined(code, reason):
            rule = f"DE39: refused by the issuer {record.issuer}"
            return CashAnswer(response_code=code, reason=reason, rule=rule)
        case IssuerUnreachable():
            return UNREACHABLE
        case IssuerSilent():
            return silent
        case MachineGaveUp():
            return GIVEN_UP
        case _:
            assert_never(event)


def undispensed(
    record: CashRecord, issuer: Participant | None, dispensed: int, now: datetime
) -> Owed:
    """Return the reversal owed to the issuer of a withdrawal that was approved.

    Args:
        issuer: as it speaks now; None if it has left the fleet.
        dispensed: minor units that the machine did give out.
    """
    body = reversal_request(record.sent, issuer, now, dispensed=dispensed or None)
    return _owed(record, record.transfer_id + REVERSAL_SUFFIX, body, now)


def _owed(record: CashRecord, owed_id: str, body: bytes, now: datetime) -> Owed:
    return Owed(
        owed_id=owed_id,
        participant=record.issuer,
        message=REVERSAL,
        body=body,
        subject=record.transfer_id,
        due_ms=to_ms(now),
    )
