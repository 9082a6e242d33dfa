"""The credit transfer: CT1 orders, CT2 relays, CT3 authorises, CT4 and CT5 tell the outcome.

docs/wire/tin-messages.md#credit-transfer. The receiver posts on CT5, never on CT2.
"""

from typing import Final

from scheme.messages import fields as f
from scheme.messages.conditions import (
    ACCEPTED,
    answer_fault,
    moment_fault,
    order_fault,
    payee_fault,
    payer_fault,
    real_account_fault,
    reason_fault,
    settled_fault,
)
from scheme.reasons import ReasonCode

_MESSAGE_TYPES: Final = frozenset({"0200", "0201"})


class CT1(f.Message, kw_only=True, frozen=True, gc=False):
    """Credit transfer order of the originator."""

    debtorParticipantCode: f.Participant
    creditorParticipantCode: f.Participant
    creationDate: f.Date
    creationTime: f.Time
    messageTypeId: f.MessageType
    terminalId: f.Terminal
    retrievalReferenteNumber: f.Retrieval
    trace: f.Trace
    channel: f.Channel
    amount: f.Amount
    currency: f.Currency
    transactionReference: f.Reference | None = None
    referenceTransactionId: f.Instruction
    transactionType: f.TransactionType
    feeAmount: f.Fee
    feeCode: f.FeeCode
    applicationCriteria: f.Criteria
    debtorTypeOfPerson: f.Person
    debtorName: f.Name
    debtorAddressLine: f.Address | None = None
    debtorIdCode: f.DocumentType
    debtorId: f.DocumentNumber
    debtorPhoneNumber: f.Landline | None = None
    debtorMobileNumber: f.Mobile | None = None
    debtorCCI: f.Cci
    creditorName: f.Name | None = None
    creditorAddressLine: f.Address | None = None
    creditorPhoneNumber: f.Landline | None = None
    creditorMobileNumber: f.Mobile | None = None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    sameCustomerFlag: f.SameCustomer | None = None
    purposeCode: f.Purpose | None = None
    unstructuredInformation: f.Narrative | None = None
    grossSalaryAmount: f.Salary | None = None
    salaryPaymentIndicator: f.SalaryIndicator | None = None
    monthOfThePayment: f.Month | None = None
    yearOfThePayment: f.Year | None = None

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken.

        A zero amount comes after what is malformed and before a placeholder, as the clearing
        house's order of checks has it.
        """
        if self.messageTypeId not in _MESSAGE_TYPES:
            return f.Fault("messageTypeId", "0200 or 0201")
        return (
            moment_fault(self.creationDate, self.creationTime)
            or payer_fault(self.debtorTypeOfPerson, self.currency, self.channel)
            or order_fault(self.applicationCriteria, self.sameCustomerFlag)
            or payee_fault(self.transactionType, self.creditorCCI, self.creditorCreditCard)
            or (f.Fault("amount", "above zero", ReasonCode.AM01) if self.amount == 0 else None)
            or real_account_fault(self.creditorCCI)
        )


class CT2(f.Message, kw_only=True, frozen=True, gc=False):
    """The order as the clearing house relays it, with its settlement data.

    A zero amount is left to the receiver's own order of validation.
    """

    debtorParticipantCode: f.Participant
    creditorParticipantCode: f.Participant
    creationDate: f.Date
    creationTime: f.Time
    terminalId: f.Terminal
    retrievalReferenteNumber: f.Retrieval
    trace: f.Trace
    channel: f.Channel
    amount: f.Amount
    currency: f.Currency
    transactionReference: f.Reference | None = None
    referenceTransactionId: f.Instruction
    transactionType: f.TransactionType
    feeAmount: f.Fee
    feeCode: f.FeeCode
    applicationCriteria: f.Criteria
    debtorTypeOfPerson: f.Person
    debtorName: f.Name
    debtorAddressLine: f.Address | None = None
    debtorIdCode: f.DocumentType
    debtorId: f.DocumentNumber
    debtorPhoneNumber: f.Landline | None = None
    debtorMobileNumber: f.Mobile | None = None
    debtorCCI: f.Cci
    creditorName: f.Name | None = None
    creditorAddressLine: f.Address | None = None
    creditorPhoneNumber: f.Landline | None = None
    creditorMobileNumber: f.Mobile | None = None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    sameCustomerFlag: f.SameCustomer | None = None
    purposeCode: f.Purpose | None = None
    unstructuredInformation: f.Narrative | None = None
    grossSalaryAmount: f.Salary | None = None
    salaryPaymentIndicator: f.SalaryIndicator | None = None
    monthOfThePayment: f.Month | None = None
    yearOfThePayment: f.Year | None = None
    branchId: f.Branch
    settlementDate: f.Date
    instructionId: f.Instruction
    interbankSettlementAmount: f.Settlement

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return (
            payer_fault(self.debtorTypeOfPerson, self.currency, self.channel)
            or order_fault(self.applicationCriteria, self.sameCustomerFlag)
            or payee_fault(self.transactionType, self.creditorCCI, self.creditorCreditCard)
            or real_account_fault(self.creditorCCI)
        )


class CT3(f.Message, kw_only=True, frozen=True, gc=False):
    """The receiver authorises or refuses; nothing is posted yet.

    An echoed field may be ``None``: what decides is the code, the id and the amount.
    """

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
    responseCode: f.ResponseCode
    reasonCode: f.Reason | None = None
    feeAmount: f.Fee | None
    settlementDate: f.Date | None
    transactionType: f.TransactionType | None
    debtorCCI: f.Cci | None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    sameCustomerFlag: f.SameCustomer | None = None
    branchId: f.Branch | None
    instructionId: f.Instruction

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return _order_answer_fault(self)


class CT4(f.Message, kw_only=True, frozen=True, gc=False):
    """The final result, told to the originator. Echoes of a broken order may be ``None``."""

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
    responseCode: f.ResponseCode
    reasonCode: f.Reason | None = None
    feeAmount: f.Fee | None
    settlementDate: f.Date | None
    transactionType: f.TransactionType | None
    debtorCCI: f.Cci | None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    sameCustomerFlag: f.SameCustomer | None = None
    instructionId: f.KnownInstruction
    creationDate: f.Date | None
    creationTime: f.Time | None
    channel: f.Channel | None
    interbankSettlementAmount: f.Settlement | None

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return _order_answer_fault(self)


class CT5(f.Message, kw_only=True, frozen=True, gc=False):
    """The confirmation: the transfer is final and the receiver posts the credit now."""

    debtorParticipantCode: f.Participant
    creditorParticipantCode: f.Participant
    responseDate: f.Date
    responseTime: f.Time
    terminalId: f.Terminal
    retrievalReferenteNumber: f.Retrieval
    trace: f.Trace
    amount: f.Amount
    currency: f.Currency
    transactionReference: f.Reference | None = None
    responseCode: f.ResponseCode
    feeAmount: f.Fee
    settlementDate: f.Date
    transactionType: f.TransactionType
    debtorCCI: f.Cci
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    sameCustomerFlag: f.SameCustomer | None = None
    instructionId: f.Instruction
    creationDate: f.Date
    creationTime: f.Time
    channel: f.Channel
    interbankSettlementAmount: f.Settlement

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return answer_fault(self.responseCode, allowed=(ACCEPTED,), rule="00") or payee_fault(
            self.transactionType, self.creditorCCI, self.creditorCreditCard
        )


def _order_answer_fault(answer: CT3 | CT4) -> f.Fault | None:
    if answer.responseCode == ACCEPTED:
        return settled_fault(answer.instructionId, answer.amount)
    return answer_fault(answer.responseCode) or reason_fault(answer.responseCode, answer.reasonCode)
