"""The answers of an institution: AV3, CT3, CTC2 and ET2, from what was asked."""

from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from participants.core.book import Account
from scheme.clock import wire_date_time
from scheme.messages import AV2, AV3, CT2, CT3, CTC1, CTC2, ET1, ET2
from scheme.reasons import ReasonCode

ACCEPTED = "00"
REFUSED = "05"

A = TypeVar("A", AV3, CT3)


def account_answer(query: AV2, account: Account | None, reason: ReasonCode | None) -> AV3:
    """Return the AV3 that names the account's holder, or refuses."""
    found = account if reason is None else None
    return AV3(
        debtorParticipantCode=query.debtorParticipantCode,
        creditorParticipantCode=query.creditorParticipantCode,
        creationDate=query.creationDate,
        creationTime=query.creationTime,
        terminalId=query.terminalId,
        retrievalReferenteNumber=query.retrievalReferenteNumber,
        trace=query.trace,
        debtorName=query.debtorName,
        debtorId=query.debtorId,
        debtorIdCode=query.debtorIdCode,
        debtorPhoneNumber=query.debtorPhoneNumber,
        debtorAddressLine=query.debtorAddressLine,
        debtorMobileNumber=query.debtorMobileNumber,
        transactionType=query.transactionType,
        channel=query.channel,
        creditorAddressLine=found.address if found else query.creditorAddressLine,
        creditorPhoneNumber=query.creditorPhoneNumber,
        creditorMobileNumber=found.phone if found else query.creditorMobileNumber,
        creditorCCI=query.creditorCCI,
        creditorCreditCard=query.creditorCreditCard,
        currency=query.currency,
        proxyValue=query.proxyValue,
        proxyType=query.proxyType,
        branchId=query.branchId,
        instructionId=query.instructionId,
        responseCode=ACCEPTED if reason is None else REFUSED,
        reasonCode=reason,
        creditorName=found.name if found else None,
        creditorId=found.document if found else None,
        creditorIdCode=found.document_code if found else None,
        sameCustomerFlag=_same_customer(query, found) if found else None,
    )


def _same_customer(query: AV2, account: Account) -> str:
    same = (query.debtorIdCode, query.debtorId) == (account.document_code, account.document)
    return "M" if same else "O"


def order_answer(order: CT2, reason: ReasonCode | None, now: datetime) -> CT3:
    """Return the CT3 that authorises an order, or refuses it."""
    date, time = wire_date_time(now)
    return CT3(
        debtorParticipantCode=order.debtorParticipantCode,
        creditorParticipantCode=order.creditorParticipantCode,
        responseDate=date,
        responseTime=time,
        terminalId=order.terminalId,
        retrievalReferenteNumber=order.retrievalReferenteNumber,
        trace=order.trace,
        amount=order.amount,
        currency=order.currency,
        transactionReference=order.transactionReference,
        responseCode=ACCEPTED if reason is None else REFUSED,
        reasonCode=reason,
        feeAmount=order.feeAmount,
        settlementDate=order.settlementDate,
        transactionType=order.transactionType,
        debtorCCI=order.debtorCCI,
        creditorCCI=order.creditorCCI,
        creditorCreditCard=order.creditorCreditCard,
        sameCustomerFlag=order.sameCustomerFlag,
        branchId=order.branchId,
        instructionId=order.instructionId,
    )


def cancellation_answer(asked: CTC1, reason: ReasonCode | None, now: datetime) -> CTC2:
    """Return the CTC2 to a cancellation."""
    date, time = wire_date_time(now)
    return CTC2(
        creditorParticipantCode=asked.creditorParticipantCode,
        responseDate=date,
        responseTime=time,
        currency=asked.currency,
        responseCode=ACCEPTED if reason is None else REFUSED,
        reasonCode=reason,
        branchId=asked.branchId,
        instructionId=asked.instructionId,
    )


def echo_answer(asked: ET1, reason: ReasonCode | None, now: datetime) -> ET2:
    """Return the ET2 to an echo test."""
    date, time = wire_date_time(now)
    return ET2(
        participantCode=asked.participantCode,
        responseDate=date,
        responseTime=time,
        status=ACCEPTED if reason is None else REFUSED,
        reasonCode=reason,
        trace=asked.trace,
    )


def without_reason(answer: A) -> A:
    """Return a refusal that does not say why: wrong on purpose."""
    return replace(answer, responseCode=REFUSED, reasonCode=None)


def under_other_id(answer: A) -> A:
    """Return an answer that names another message: wrong on purpose."""
    return replace(answer, instructionId=answer.instructionId[::-1])
