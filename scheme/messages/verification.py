"""The account query: AV1 to the clearing house, AV2 to the receiver, AV3 and AV4 back.

docs/wire/tin-messages.md#account-query. In the two answers an echoed field may be ``None``: real
receivers spoil them, and only what decides has to be sound.
"""

from scheme.messages import fields as f
from scheme.messages.conditions import (
    ACCEPTED,
    ALIAS_CHANNEL,
    CARD_PAYMENT,
    answer_fault,
    found_fault,
    moment_fault,
    payee_fault,
    payer_fault,
    real_account_fault,
)


class AV1(f.Message, kw_only=True, frozen=True, gc=False):
    """Account query of the originator."""

    debtorParticipantCode: f.Participant
    creditorParticipantCode: f.Participant
    creationDate: f.Date
    creationTime: f.Time
    terminalId: f.Terminal
    retrievalReferenteNumber: f.Retrieval
    trace: f.Trace
    debtorName: f.Name | None = None
    debtorId: f.DocumentNumber
    debtorIdCode: f.DocumentType
    debtorPhoneNumber: f.Landline | None = None
    debtorAddressLine: f.Address | None = None
    debtorMobileNumber: f.Mobile | None = None
    transactionType: f.TransactionType
    channel: f.Channel
    creditorAddressLine: f.Address | None = None
    creditorPhoneNumber: f.Landline | None = None
    creditorMobileNumber: f.Mobile | None = None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    debtorTypeOfPerson: f.Person
    currency: f.Currency
    proxyValue: f.ProxyValue | None = None
    proxyType: f.ProxyType | None = None

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return (
            moment_fault(self.creationDate, self.creationTime)
            or payer_fault(self.debtorTypeOfPerson, self.currency, self.channel)
            or payee_fault(self.transactionType, self.creditorCCI, self.creditorCreditCard)
            or self._alias_fault()
        )

    def _alias_fault(self) -> f.Fault | None:
        if self.channel != ALIAS_CHANNEL:
            return real_account_fault(self.creditorCCI)
        if self.proxyValue is None and self.creditorMobileNumber is None:
            rule = "mandatory when channel is 52 and there is no proxyValue"
            return f.Fault("creditorMobileNumber", rule)
        return None


class AV2(f.Message, kw_only=True, frozen=True, gc=False):
    """Account query as the clearing house relays it."""

    debtorParticipantCode: f.Participant
    creditorParticipantCode: f.Participant
    creationDate: f.Date
    creationTime: f.Time
    terminalId: f.Terminal
    retrievalReferenteNumber: f.Retrieval
    trace: f.Trace
    debtorName: f.Name | None = None
    debtorId: f.DocumentNumber
    debtorIdCode: f.DocumentType
    debtorPhoneNumber: f.Landline | None = None
    debtorAddressLine: f.Address | None = None
    debtorMobileNumber: f.Mobile | None = None
    transactionType: f.TransactionType
    channel: f.Channel
    creditorAddressLine: f.Address | None = None
    creditorPhoneNumber: f.Landline | None = None
    creditorMobileNumber: f.Mobile | None = None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    debtorTypeOfPerson: f.Person
    currency: f.Currency
    proxyValue: f.ProxyValue | None = None
    proxyType: f.ProxyType | None = None
    instructionId: f.Instruction
    branchId: f.Branch

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return (
            payer_fault(self.debtorTypeOfPerson, self.currency, self.channel)
            or payee_fault(self.transactionType, self.creditorCCI, self.creditorCreditCard)
            or real_account_fault(self.creditorCCI)
        )


class AV3(f.Message, kw_only=True, frozen=True, gc=False):
    """The receiver's answer to an account query."""

    debtorParticipantCode: f.Participant | None
    creditorParticipantCode: f.Participant | None
    creationDate: f.Date | None
    creationTime: f.Time | None
    terminalId: f.Terminal | None
    retrievalReferenteNumber: f.Retrieval | None
    trace: f.Trace | None
    debtorName: f.Name | None = None
    debtorId: f.DocumentNumber | None
    debtorIdCode: f.DocumentType | None
    debtorPhoneNumber: f.Landline | None = None
    debtorAddressLine: f.Address | None = None
    debtorMobileNumber: f.Mobile | None = None
    transactionType: f.TransactionType | None
    channel: f.Channel | None
    creditorAddressLine: f.Address | None = None
    creditorPhoneNumber: f.Landline | None = None
    creditorMobileNumber: f.Mobile | None = None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    currency: f.Currency | None
    proxyValue: f.ProxyValue | None = None
    proxyType: f.ProxyType | None = None
    branchId: f.Branch | None
    instructionId: f.Instruction
    responseCode: f.ResponseCode
    reasonCode: f.Reason | None = None
    creditorName: f.Name | None = None
    creditorId: f.DocumentNumber | None = None
    creditorIdCode: f.DocumentType | None = None
    sameCustomerFlag: f.SameCustomer | None = None

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return _account_answer_fault(self)


class AV4(f.Message, kw_only=True, frozen=True, gc=False):
    """The answer as the clearing house returns it to the originator."""

    debtorParticipantCode: f.Participant | None
    creditorParticipantCode: f.Participant | None
    creationDate: f.Date | None
    creationTime: f.Time | None
    terminalId: f.Terminal | None
    retrievalReferenteNumber: f.Retrieval | None
    trace: f.Trace | None
    debtorName: f.Name | None = None
    debtorId: f.DocumentNumber | None
    debtorIdCode: f.DocumentType | None
    debtorPhoneNumber: f.Landline | None = None
    debtorAddressLine: f.Address | None = None
    debtorMobileNumber: f.Mobile | None = None
    transactionType: f.TransactionType | None
    channel: f.Channel | None
    creditorAddressLine: f.Address | None = None
    creditorPhoneNumber: f.Landline | None = None
    creditorMobileNumber: f.Mobile | None = None
    creditorCCI: f.Cci | None = None
    creditorCreditCard: f.Card | None = None
    currency: f.Currency | None
    proxyValue: f.ProxyValue | None = None
    proxyType: f.ProxyType | None = None
    instructionId: f.KnownInstruction
    responseCode: f.ResponseCode
    reasonCode: f.Reason | None = None
    creditorName: f.Name | None = None
    creditorId: f.DocumentNumber | None = None
    creditorIdCode: f.DocumentType | None = None
    sameCustomerFlag: f.SameCustomer | None = None

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return _account_answer_fault(self)


def _account_answer_fault(answer: AV3 | AV4) -> f.Fault | None:
    # A refusal may leave everything out, even its reason: published connectors do.
    if answer.responseCode != ACCEPTED:
        return answer_fault(answer.responseCode)
    if not answer.instructionId:
        return f.Fault("instructionId", "mandatory when responseCode is 00")
    if answer.transactionType == CARD_PAYMENT:
        if answer.creditorCreditCard is None:
            return f.Fault("creditorCreditCard", "mandatory when transactionType is 325")
    elif answer.creditorCCI is None:
        return f.Fault("creditorCCI", "mandatory unless transactionType is 325")
    return found_fault(
        answer.creditorName, answer.creditorId, answer.creditorIdCode, answer.sameCustomerFlag
    )
