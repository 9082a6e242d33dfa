"""What the clearing house tells without being asked: Reject and the SNM notices.

docs/wire/tin-messages.md#notices. Their answer is an empty 2xx.
"""

from scheme.messages import fields as f


class Reject(f.Message, kw_only=True, frozen=True, gc=False):
    """A message was refused as such; quotes it."""

    originalMessage: f.LongText
    responseDate: f.Date
    responseTime: f.Time
    status: f.ResponseCode
    reasonCode: f.Reason
    instructionId: f.Instruction | None = None
    trace: f.Trace | None = None
    transactionReference: f.Reference | None = None
    creationDate: f.Date | None = None
    creationTime: f.Time | None = None
    debtorParticipantCode: f.Participant | None = None
    originalMessageDefinitionIdentifier: f.Definition | None = None
    terminalId: f.Terminal | None = None


class Notice(f.Message, kw_only=True, frozen=True, gc=False):
    """What every SNM carries first."""

    eventCode: f.Event
    eventDate: f.Date
    eventTime: f.Time
    messageIdentification: f.NoticeId
    messageClass: f.Text


class SNM971(Notice, kw_only=True, frozen=True, gc=False):
    """The system's status changed; anything but NORMAL means suspended."""

    newServiceStatus: f.Text


class SNM972(Notice, kw_only=True, frozen=True, gc=False):
    """A participant was blocked or unblocked; anything but NORMAL means blocked."""

    currency: f.Currency
    memberIdentification: f.Participant
    name: f.Text
    status: f.Text


class SNM981(Notice, kw_only=True, frozen=True, gc=False):
    """An announcement in free text."""

    eventDescription: f.LongText


class SNM982(Notice, kw_only=True, frozen=True, gc=False):
    """A participant signed on or off; anything but SIGNON means off."""

    participantIdentification: f.Participant
    participantName: f.Text
    participantStatus: f.Text


class SNM993(Notice, kw_only=True, frozen=True, gc=False):
    """The prefund crossed a watermark; the participant is only named, not coded."""

    bankName: f.Text
    currency: f.Currency
    availablePrefundBalanceStatus: f.Text
    openingPrefundedBalance: f.Balance
    lowWatermarkValue: f.Balance
    highWatermarkValue: f.Balance
    availablePrefundedBalance: f.Balance


class SNM998(Notice, kw_only=True, frozen=True, gc=False):
    """The prefund was raised or lowered."""

    memberIdentification: f.Participant
    bankName: f.Text
    currency: f.Currency
    prefundedBalanceChangeStatus: f.Text
    newPrefundedBalance: f.Balance
    previousPrefundedBalance: f.Balance


class SNM999(Notice, kw_only=True, frozen=True, gc=False):
    """Summary of a settlement window; one count lacks its ``Of``, as on the wire."""

    previousSettlementWindowDate: f.Date
    previousSettlementCycleStatus: f.Text
    reconciliationCheckpointCutOffDateAndTime: f.DateTime
    newSettlementWindowDate: f.Date
    newSettlementWindowStatus: f.Text
    currency: f.Currency
    memberIdentification: f.Participant
    bankName: f.Text
    previousOpeningPrefundedBalance: f.Balance
    newOpeningPrefundedBalance: f.Balance
    numberOfCreditTransferReceivedAndAccepted: f.Count
    valueOfCreditTransferReceivedAndAccepted: f.Balance
    numberOfCreditTransferReceivedAndRejected: f.Count
    valueOfCreditTransferReceivedAndRejected: f.Balance
    numberOfCreditTransferSentAndAccepted: f.Count
    valueOfCreditTransferSentAndAccepted: f.Balance
    numberCreditTransferSentAndRejected: f.Count
    valueOfCreditTransferSentAndRejected: f.Balance
    netPosition: f.Balance
    countOfSupplementalFunding: f.Count
    grossValueOfSupplementalFunding: f.Balance
    countOfDrawdowns: f.Count
    grossValueOfDrawdowns: f.Balance
