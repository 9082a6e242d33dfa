"""An order received, from CT2 to its end: every move is a pure function of what is on the book.

    (none) --CT2 accepted--> HELD --CT5 | PSR2 00--> FINAL
    (none) --CT2 refused---> REFUSED
    HELD   --CTC1 | PSR2 05--> REJECTED
    (none) --CTC1--> REJECTED     remembered, so that a CT2 which comes late is refused

FINAL stays FINAL: a cancellation that comes afterwards is refused, and a second confirmation
changes nothing. Only a core on ISO 8583, which credits on the order itself, gives a credit back:

    (none) --0200 accepted--> FINAL --0420, money still there--> UNDONE
"""

from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from msgspec.structs import replace

from participants.core.book import CreditOrder, CreditState
from scheme.clock import to_ms
from scheme.messages import CT2, CT5, PSR2
from scheme.profile import Timers
from scheme.reasons import ReasonCode

CANCELLATION_TOO_LATE: Final = ReasonCode.FF07
"""Why a cancellation of a credited order is refused."""


class Confirmation(Enum):
    """What a CT5 means for the book."""

    POST = auto()
    ALREADY_POSTED = auto()
    MISMATCH = auto()
    UNKNOWN = auto()
    CONTRADICTION = auto()


def received(
    message: CT2, participant: str, reason: ReasonCode | None, now: datetime, timers: Timers
) -> CreditOrder:
    """Return the order of a CT2 that was accepted, or refused with a reason."""
    held = reason is None
    due = now + timedelta(seconds=timers.enquiry_first_s)
    return CreditOrder(
        participant=participant,
        instruction_id=message.instructionId,
        state=CreditState.HELD if held else CreditState.REFUSED,
        debtor_agent=message.debtorParticipantCode,
        debtor_cci=message.debtorCCI,
        cci=message.creditorCCI or "",
        amount=message.amount,
        fee=message.feeAmount,
        settlement=message.interbankSettlementAmount,
        currency=message.currency,
        channel=message.channel,
        created_date=message.creationDate,
        created_time=message.creationTime,
        reference=message.referenceTransactionId,
        reason=reason or "",
        enquiry_ms=to_ms(due) if held else 0,
        at_ms=to_ms(now),
    )


def confirmation(order: CreditOrder | None, message: CT5, participant: str) -> Confirmation:
    """Decide what a CT5 does to the order it names.

    The settlement amount is not compared, as real receivers do not.
    """
    if order is None or not order.reference:
        return Confirmation.UNKNOWN
    if (
        message.creditorParticipantCode != participant
        or message.creditorCCI != order.cci
        or message.amount != order.amount
        or message.feeAmount != order.fee
    ):
        return Confirmation.MISMATCH
    match order.state:
        case CreditState.HELD:
            return Confirmation.POST
        case CreditState.FINAL:
            return Confirmation.ALREADY_POSTED
        case CreditState.REFUSED | CreditState.REJECTED | CreditState.UNDONE:
            return Confirmation.CONTRADICTION


def posted(order: CreditOrder, now: datetime, day: str) -> CreditOrder:
    """Return a held order as credited."""
    assert order.state is CreditState.HELD
    return replace(order, state=CreditState.FINAL, day=day, enquiry_ms=0, at_ms=to_ms(now))


def rejected(order: CreditOrder, reason: str, now: datetime) -> CreditOrder:
    """Return a held order as given up."""
    assert order.state is CreditState.HELD
    return replace(order, state=CreditState.REJECTED, reason=reason, enquiry_ms=0, at_ms=to_ms(now))


def undone(order: CreditOrder, now: datetime) -> CreditOrder:
    """Return a credited order as given back."""
    assert order.state is CreditState.FINAL
    return replace(order, state=CreditState.UNDONE, day="", at_ms=to_ms(now))


def never_received(participant: str, instruction_id: str, now: datetime) -> CreditOrder:
    """Return what is remembered of a cancelled order that never came."""
    return CreditOrder(
        participant=participant,
        instruction_id=instruction_id,
        state=CreditState.REJECTED,
        at_ms=to_ms(now),
    )


def agrees(order: CreditOrder, answer: PSR2) -> bool:
    """Tell whether a PSR2 00 speaks of the order as the book has it."""
    return (
        answer.instructionId == order.instruction_id
        and answer.amount == order.amount
        and answer.creditorCCI in {None, order.cci}
    )


def enquired_again(order: CreditOrder, now: datetime, timers: Timers) -> CreditOrder:
    """Return a held order after an enquiry that brought no outcome, with the next one's time."""
    wait = timedelta(seconds=enquiry_wait_s(order.enquiries, timers))
    return replace(
        order, enquiries=order.enquiries + 1, enquiry_ms=to_ms(now + wait), at_ms=to_ms(now)
    )


def enquiry_wait_s(enquiries: int, timers: Timers) -> float:
    """Return the wait after the enquiry numbered from 0: as listed, then doubling to the most."""
    listed = timers.enquiry_waits_s
    if enquiries < len(listed):
        return listed[enquiries]
    # The exponent is bounded: enquiries go on for as long as nobody knows the outcome.
    doublings = min(enquiries - len(listed) + 1, 20)
    return min(listed[-1] * float(1 << doublings), timers.enquiry_wait_max_s)


def numbered(order: CreditOrder, sequence: int) -> CreditOrder:
    """Return the order as change number ``sequence`` of the book."""
    return replace(order, sequence=sequence)
