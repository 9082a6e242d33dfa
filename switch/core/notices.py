"""The notices (SNM) of the clearing house (docs/wire/tin-messages.md#notices)."""

from datetime import datetime
from typing import Final

from scheme.batch import Batch, BatchRow
from scheme.clock import to_ms, wire_date_time
from scheme.ids import notice_id
from scheme.ledger import Owed, Position
from scheme.messages import SNM971, SNM972, SNM981, SNM982, SNM993, SNM998, SNM999, Message
from scheme.money import CODE_BY_CURRENCY
from scheme.network import Participant
from scheme.wire.tin_json import encode

NORMAL: Final = "NORMAL"
SUSPENDED: Final = "SUSPENDED"
LOW: Final = "LOW"
BLOCKED: Final = "BLOCKED"
SIGNED_ON: Final = "SIGNON"
SIGNED_OFF: Final = "SIGNOFF"
_BROADCAST: Final = "Broadcast"
_NOTIFICATION: Final = "Notification"
_COMPLETE: Final = "COMPLETE"
_IN_PROGRESS: Final = "INPROGRESS"


class NoticeHead:
    """What every notice of one moment carries first.

    Args:
        participant: four digits; the participant concerned.
        sequence: number of the notice.
    """

    def __init__(self, now: datetime, participant: str, sequence: int) -> None:
        self.date, self.time = wire_date_time(now)
        self.identification = notice_id(now, participant, sequence)


def system_status(head: NoticeHead, *, suspended: bool) -> SNM971:
    """Return the notice that the system stops or goes on."""
    return SNM971(
        eventCode="971",
        eventDate=head.date,
        eventTime=head.time,
        messageIdentification=head.identification,
        messageClass=_BROADCAST,
        newServiceStatus=SUSPENDED if suspended else NORMAL,
    )


def block_status(head: NoticeHead, member: Participant, currency: str, *, blocked: bool) -> SNM972:
    """Return the notice that a participant is blocked in a currency, or no longer."""
    return SNM972(
        eventCode="972",
        eventDate=head.date,
        eventTime=head.time,
        messageIdentification=head.identification,
        messageClass=_BROADCAST,
        currency=CODE_BY_CURRENCY[currency],
        memberIdentification=member.code,
        name=member.name,
        status=BLOCKED if blocked else NORMAL,
    )


def announcement(head: NoticeHead, text: str) -> SNM981:
    """Return a notice in free text."""
    return SNM981(
        eventCode="981",
        eventDate=head.date,
        eventTime=head.time,
        messageIdentification=head.identification,
        messageClass=_NOTIFICATION,
        eventDescription=text,
    )


def session_status(head: NoticeHead, member: Participant, *, signed_on: bool) -> SNM982:
    """Return the notice that a participant signed on or off."""
    return SNM982(
        eventCode="982",
        eventDate=head.date,
        eventTime=head.time,
        messageIdentification=head.identification,
        messageClass=_BROADCAST,
        participantIdentification=member.code,
        participantName=member.name,
        participantStatus=SIGNED_ON if signed_on else SIGNED_OFF,
    )


def watermark(
    head: NoticeHead, member: Participant, position: Position, *, opening_minor: int, low: bool
) -> SNM993:
    """Return the notice that a position fell below its low watermark, or is above the high one.

    Args:
        opening_minor: the balance with which the present window opened.
    """
    return SNM993(
        eventCode="993",
        eventDate=head.date,
        eventTime=head.time,
        messageIdentification=head.identification,
        messageClass=_NOTIFICATION,
        bankName=member.name,
        currency=CODE_BY_CURRENCY[position.account.currency],
        availablePrefundBalanceStatus=LOW if low else NORMAL,
        openingPrefundedBalance=opening_minor,
        lowWatermarkValue=position.low_minor,
        highWatermarkValue=position.high_minor,
        availablePrefundedBalance=position.available_minor,
    )


def balance_changed(
    head: NoticeHead, member: Participant, currency: str, *, before_minor: int, after_minor: int
) -> SNM998:
    """Return the notice that a prefund was raised or lowered."""
    return SNM998(
        eventCode="998",
        eventDate=head.date,
        eventTime=head.time,
        messageIdentification=head.identification,
        messageClass=_NOTIFICATION,
        memberIdentification=member.code,
        bankName=member.name,
        currency=CODE_BY_CURRENCY[currency],
        prefundedBalanceChangeStatus="SUCCESS",
        newPrefundedBalance=after_minor,
        previousPrefundedBalance=before_minor,
    )


def window_closed(
    head: NoticeHead,
    member: Participant,
    batch: Batch,
    row: BatchRow,
    *,
    next_date: str,
    line_minor: int,
) -> SNM999:
    """Return the notice that sums a closed window up for one participant.

    Args:
        next_date: settlement date of the window now open.
        line_minor: what its sponsor grants a coop beyond its own money; it counts as prefund.
    """
    sent, received = row.sent, row.received
    return SNM999(
        eventCode="999",
        eventDate=head.date,
        eventTime=head.time,
        messageIdentification=head.identification,
        messageClass=_NOTIFICATION,
        previousSettlementWindowDate=batch.settlement_date,
        previousSettlementCycleStatus=_COMPLETE,
        reconciliationCheckpointCutOffDateAndTime=batch.cut_off,
        newSettlementWindowDate=next_date,
        newSettlementWindowStatus=_IN_PROGRESS,
        currency=CODE_BY_CURRENCY[batch.currency],
        memberIdentification=member.code,
        bankName=member.name,
        previousOpeningPrefundedBalance=row.opening + line_minor,
        newOpeningPrefundedBalance=row.new_opening + line_minor,
        numberOfCreditTransferReceivedAndAccepted=str(received.accepted.count),
        valueOfCreditTransferReceivedAndAccepted=received.accepted.value,
        numberOfCreditTransferReceivedAndRejected=str(received.rejected.count),
        valueOfCreditTransferReceivedAndRejected=received.rejected.value,
        numberOfCreditTransferSentAndAccepted=str(sent.accepted.count),
        valueOfCreditTransferSentAndAccepted=sent.accepted.value,
        numberCreditTransferSentAndRejected=str(sent.rejected.count),
        valueOfCreditTransferSentAndRejected=sent.rejected.value,
        netPosition=row.net,
        countOfSupplementalFunding=str(row.funded.count),
        grossValueOfSupplementalFunding=row.funded.value,
        countOfDrawdowns=str(row.drawn.count),
        grossValueOfDrawdowns=row.drawn.value,
    )


def as_owed(message: Message, head: NoticeHead, receiver: Participant, now: datetime) -> Owed:
    """Return a notice as a message owed to one participant."""
    kind = type(message).__name__
    return Owed(
        owed_id=f"{head.identification}:{kind}:{receiver.code}",
        participant=receiver.code,
        message=kind,
        body=encode(message, receiver.wire),
        subject="",
        due_ms=to_ms(now),
    )
