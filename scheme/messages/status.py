"""Cancellation and enquiry: CTC1 and CTC2 undo a hold, PSR1 and PSR2 ask what became of an order.

docs/wire/tin-messages.md#cancellation-and-enquiry.
"""

from scheme.messages import fields as f
from scheme.messages.conditions import (
    ACCEPTED,
    ENQUIRY_ANSWERS,
    answer_fault,
    moment_fault,
    settled_fault,
)


class CTC1(f.Message, kw_only=True, frozen=True, gc=False):
    """Cancellation of an order whose answer never came."""

    creditorParticipantCode: f.Participant
    creationDate: f.Date
    creationTime: f.Time
    currency: f.Currency
    transactionReference: f.Reference | None = None
    referenceInstructionId: f.Instruction
    instructionId: f.Instruction
    branchId: f.Branch


class CTC2(f.Message, kw_only=True, frozen=True, gc=False):
    """The receiver's answer to a cancellation."""

    creditorParticipantCode: f.Participant | None
    responseDate: f.Date | None
    responseTime: f.Time | None
    currency: f.Currency | None
    responseCode: f.ResponseCode
    reasonCode: f.Reason | None = None
    branchId: f.Branch | None
    instructionId: f.Instruction

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return answer_fault(self.responseCode)


class PSR1(f.Message, kw_only=True, frozen=True, gc=False):
    """The receiver asks what became of an order that was never confirmed."""

    creditorParticipantCode: f.Participant
    creationDate: f.Date
    creationTime: f.Time
    currency: f.Currency
    instructionId: f.Instruction
    originalCreationDate: f.Date
    originalCreationTime: f.Time

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return moment_fault(self.creationDate, self.creationTime)


class PSR2(f.Message, kw_only=True, frozen=True, gc=False):
    """The clearing house's answer to an enquiry; with 99 it knows little and says ``None``."""

    debtorParticipantCode: f.Participant | None
    creditorParticipantCode: f.Participant | None
    responseDate: f.Date | None
    responseTime: f.Time | None
    terminalId: f.Terminal | None
    retrievalReferenteNumber: f.Retrieval | None
    trace: f.Trace | None
    amount: f.Amount | None
    currency: f.Currency | None
    transactionReference: f.Reference | None = None
    responseCode: f.EnquiryCode
    reasonCode: f.Reason | None = None
    feeAmount: f.Fee | None
    settlementDate: f.Date | None = None
    transactionType: f.TransactionType | None = None
    debtorCCI: f.Cci | None = None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    sameCustomerFlag: f.SameCustomer | None = None
    instructionId: f.KnownInstruction
    interbankSettlementAmount: f.Settlement | None

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        if self.responseCode == ACCEPTED:
            return settled_fault(self.instructionId, self.amount)
        return answer_fault(self.responseCode, allowed=ENQUIRY_ANSWERS, rule="00, 05 or 99")
