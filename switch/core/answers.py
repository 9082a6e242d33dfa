"""The messages of the clearing house, built from what it received and decided."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from scheme.clock import wire_date_time
from scheme.messages import (
    AV1,
    AV2,
    AV3,
    AV4,
    CT1,
    CT2,
    CT4,
    CT5,
    CTC1,
    ET2,
    PSR2,
    Message,
    Reject,
    SignOff2,
    SignOn2,
)
from scheme.messages.session import SessionAnswer
from switch.core.records import TransferRecord

V = TypeVar("V")

ACCEPTED: Final = "00"
REFUSED: Final = "05"
NOT_FOUND: Final = "99"
_QUOTE_CHARACTERS_MAX: Final = 4000


def account_query(
    av1: AV1, *, debtor: str, creditor: str, cci: str | None, instruction: str, branch: str
) -> AV2:
    """Return the AV2 for an AV1 whose alias, if any, is resolved.

    Args:
        debtor: what its debtor's agent is called to the creditor's.
    """
    return AV2(
        debtorParticipantCode=debtor,
        creditorParticipantCode=creditor,
        creationDate=av1.creationDate,
        creationTime=av1.creationTime,
        terminalId=av1.terminalId,
        retrievalReferenteNumber=av1.retrievalReferenteNumber,
        trace=av1.trace,
        debtorName=av1.debtorName,
        debtorId=av1.debtorId,
        debtorIdCode=av1.debtorIdCode,
        debtorPhoneNumber=av1.debtorPhoneNumber,
        debtorAddressLine=av1.debtorAddressLine,
        debtorMobileNumber=av1.debtorMobileNumber,
        transactionType=av1.transactionType,
        channel=av1.channel,
        creditorAddressLine=av1.creditorAddressLine,
        creditorPhoneNumber=av1.creditorPhoneNumber,
        creditorMobileNumber=av1.creditorMobileNumber,
        creditorCCI=cci,
        creditorCreditCard=av1.creditorCreditCard,
        debtorTypeOfPerson=av1.debtorTypeOfPerson,
        currency=av1.currency,
        proxyValue=av1.proxyValue,
        proxyType=av1.proxyType,
        instructionId=instruction,
        branchId=branch,
    )


def account_found(av2: AV2, av3: AV3, *, debtor: str) -> AV4:
    """Return the AV4 00 for an AV3 00: what O sent is echoed from the query, never from R.

    Args:
        debtor: the debtor's agent by its own code.
    """
    return AV4(
        debtorParticipantCode=debtor,
        creditorParticipantCode=av2.creditorParticipantCode,
        creationDate=av2.creationDate,
        creationTime=av2.creationTime,
        terminalId=av2.terminalId,
        retrievalReferenteNumber=av2.retrievalReferenteNumber,
        trace=av2.trace,
        debtorName=av2.debtorName,
        debtorId=av2.debtorId,
        debtorIdCode=av2.debtorIdCode,
        debtorPhoneNumber=av2.debtorPhoneNumber,
        debtorAddressLine=av2.debtorAddressLine,
        debtorMobileNumber=av2.debtorMobileNumber,
        transactionType=av2.transactionType,
        channel=av2.channel,
        creditorAddressLine=av3.creditorAddressLine,
        creditorPhoneNumber=av3.creditorPhoneNumber,
        creditorMobileNumber=av3.creditorMobileNumber,
        # The account asked about is the one that gets the money, whatever R calls it.
        # Of a card the account behind it stays with its institution: CT1 may not name one.
        creditorCCI=av2.creditorCCI,
        creditorCreditCard=av2.creditorCreditCard,
        currency=av2.currency,
        proxyValue=av2.proxyValue,
        proxyType=av2.proxyType,
        instructionId=av2.instructionId,
        responseCode=ACCEPTED,
        creditorName=av3.creditorName,
        creditorId=av3.creditorId,
        creditorIdCode=av3.creditorIdCode,
        sameCustomerFlag=av3.sameCustomerFlag,
    )


_AV4_ECHOES: Final = tuple(
    name
    for name in AV4.__struct_fields__
    if name in AV1.__struct_fields__ and name != "instructionId"
)
_CT4_ECHOES: Final = tuple(name for name in CT4.__struct_fields__ if name in CT1.__struct_fields__)


def account_refused(echo: Mapping[str, Any], *, reason: str, instruction: str) -> AV4:
    """Return an AV4 05.

    Args:
        echo: fields of the AV1 as far as they could be read.
    """
    fields = {name: _text(echo.get(name)) for name in _AV4_ECHOES}
    return AV4(**fields, instructionId=instruction, responseCode=REFUSED, reasonCode=reason)


def order(record: TransferRecord, branch: str) -> CT2:
    """Return the CT2 of a reserved order."""
    ct1 = record.ct1
    return CT2(
        debtorParticipantCode=record.debtor_outside,
        creditorParticipantCode=record.creditor_agent,
        creationDate=ct1.creationDate,
        creationTime=ct1.creationTime,
        terminalId=ct1.terminalId,
        retrievalReferenteNumber=ct1.retrievalReferenteNumber,
        trace=ct1.trace,
        channel=ct1.channel,
        amount=ct1.amount,
        currency=ct1.currency,
        transactionReference=ct1.transactionReference,
        referenceTransactionId=ct1.referenceTransactionId,
        transactionType=ct1.transactionType,
        feeAmount=ct1.feeAmount,
        feeCode=ct1.feeCode,
        applicationCriteria=ct1.applicationCriteria,
        debtorTypeOfPerson=ct1.debtorTypeOfPerson,
        debtorName=ct1.debtorName,
        debtorAddressLine=ct1.debtorAddressLine,
        debtorIdCode=ct1.debtorIdCode,
        debtorId=ct1.debtorId,
        debtorPhoneNumber=ct1.debtorPhoneNumber,
        debtorMobileNumber=ct1.debtorMobileNumber,
        debtorCCI=ct1.debtorCCI,
        creditorName=ct1.creditorName,
        creditorAddressLine=ct1.creditorAddressLine,
        creditorPhoneNumber=ct1.creditorPhoneNumber,
        creditorMobileNumber=ct1.creditorMobileNumber,
        creditorCCI=ct1.creditorCCI,
        creditorCreditCard=ct1.creditorCreditCard,
        sameCustomerFlag=ct1.sameCustomerFlag,
        purposeCode=ct1.purposeCode,
        unstructuredInformation=ct1.unstructuredInformation,
        grossSalaryAmount=ct1.grossSalaryAmount,
        salaryPaymentIndicator=ct1.salaryPaymentIndicator,
        monthOfThePayment=ct1.monthOfThePayment,
        yearOfThePayment=ct1.yearOfThePayment,
        branchId=branch,
        settlementDate=record.settlement_date,
        instructionId=record.instruction_id,
        interbankSettlementAmount=ct1.amount + ct1.feeAmount,
    )


def result(record: TransferRecord, *, code: str, reason: str | None, now: datetime) -> CT4:
    """Return the CT4 of a decided order."""
    ct1 = record.ct1
    date, time = wire_date_time(now)
    return CT4(
        debtorParticipantCode=ct1.debtorParticipantCode,
        creditorParticipantCode=record.creditor_agent,
        responseDate=date,
        responseTime=time,
        terminalId=ct1.terminalId,
        retrievalReferenteNumber=ct1.retrievalReferenteNumber,
        trace=ct1.trace,
        amount=ct1.amount,
        currency=ct1.currency,
        transactionReference=ct1.transactionReference,
        responseCode=code,
        reasonCode=reason,
        feeAmount=ct1.feeAmount,
        settlementDate=record.settlement_date,
        transactionType=ct1.transactionType,
        debtorCCI=ct1.debtorCCI,
        creditorCCI=ct1.creditorCCI,
        creditorCreditCard=ct1.creditorCreditCard,
        sameCustomerFlag=ct1.sameCustomerFlag,
        instructionId=record.instruction_id,
        creationDate=ct1.creationDate,
        creationTime=ct1.creationTime,
        channel=ct1.channel,
        interbankSettlementAmount=ct1.amount + ct1.feeAmount,
    )


def order_refused(echo: Mapping[str, Any], *, reason: str, instruction: str, now: datetime) -> CT4:
    """Return a CT4 05 for an order that never became a transfer."""
    fields: dict[str, Any] = {name: _text(echo.get(name)) for name in _CT4_ECHOES}
    amount, fee = _cents(echo.get("amount")), _cents(echo.get("feeAmount"))
    date, time = wire_date_time(now)
    fields |= {"amount": amount, "feeAmount": fee, "responseDate": date, "responseTime": time}
    return CT4(
        **fields,
        settlementDate=None,
        responseCode=REFUSED,
        reasonCode=reason,
        instructionId=instruction,
        interbankSettlementAmount=None if amount is None or fee is None else amount + fee,
    )


def confirmation(record: TransferRecord, ct4: CT4) -> CT5:
    """Return the CT5 that goes with an order's CT4 00."""
    assert ct4.responseCode == ACCEPTED
    return CT5(
        debtorParticipantCode=record.debtor_outside,
        creditorParticipantCode=_known(ct4.creditorParticipantCode),
        responseDate=_known(ct4.responseDate),
        responseTime=_known(ct4.responseTime),
        terminalId=_known(ct4.terminalId),
        retrievalReferenteNumber=_known(ct4.retrievalReferenteNumber),
        trace=_known(ct4.trace),
        amount=_known(ct4.amount),
        currency=_known(ct4.currency),
        transactionReference=ct4.transactionReference,
        responseCode=ct4.responseCode,
        feeAmount=_known(ct4.feeAmount),
        settlementDate=_known(ct4.settlementDate),
        transactionType=_known(ct4.transactionType),
        debtorCCI=_known(ct4.debtorCCI),
        creditorCCI=ct4.creditorCCI,
        creditorCreditCard=ct4.creditorCreditCard,
        sameCustomerFlag=ct4.sameCustomerFlag,
        instructionId=ct4.instructionId,
        creationDate=_known(ct4.creationDate),
        creationTime=_known(ct4.creationTime),
        channel=_known(ct4.channel),
        interbankSettlementAmount=_known(ct4.interbankSettlementAmount),
    )


def cancellation(record: TransferRecord, *, instruction: str, branch: str, now: datetime) -> CTC1:
    """Return the CTC1 of an expired order."""
    date, time = wire_date_time(now)
    return CTC1(
        creditorParticipantCode=record.creditor_agent,
        creationDate=date,
        creationTime=time,
        currency=record.ct1.currency,
        transactionReference=record.ct1.transactionReference,
        referenceInstructionId=record.instruction_id,
        instructionId=instruction,
        branchId=branch,
    )


def status(record: TransferRecord, *, code: str, reason: str | None, now: datetime) -> PSR2:
    """Return the PSR2 about an order on record."""
    ct1 = record.ct1
    date, time = wire_date_time(now)
    return PSR2(
        debtorParticipantCode=record.debtor_outside,
        creditorParticipantCode=record.creditor_agent,
        responseDate=date,
        responseTime=time,
        terminalId=ct1.terminalId,
        retrievalReferenteNumber=ct1.retrievalReferenteNumber,
        trace=ct1.trace,
        amount=ct1.amount,
        currency=ct1.currency,
        transactionReference=ct1.transactionReference,
        responseCode=code,
        reasonCode=reason,
        feeAmount=ct1.feeAmount,
        settlementDate=record.settlement_date or None,
        transactionType=ct1.transactionType,
        debtorCCI=ct1.debtorCCI,
        creditorCCI=ct1.creditorCCI,
        creditorCreditCard=ct1.creditorCreditCard,
        sameCustomerFlag=ct1.sameCustomerFlag,
        instructionId=record.instruction_id,
        interbankSettlementAmount=ct1.amount + ct1.feeAmount,
    )


def status_unknown(
    *, creditor: str | None, instruction: str, code: str, reason: str | None, now: datetime
) -> PSR2:
    """Return a PSR2 about an order that is not on record: what is not known is ``None``."""
    date, time = wire_date_time(now)
    return PSR2(
        debtorParticipantCode=None,
        creditorParticipantCode=creditor,
        responseDate=date,
        responseTime=time,
        terminalId=None,
        retrievalReferenteNumber=None,
        trace=None,
        amount=None,
        currency=None,
        responseCode=code,
        reasonCode=reason,
        feeAmount=None,
        instructionId=instruction,
        interbankSettlementAmount=None,
    )


def session_answer(
    kind: type[SessionAnswer],
    *,
    participant: str | None,
    trace: str | None,
    now: datetime,
    reason: str | None = None,
) -> SessionAnswer:
    """Return an ET2, SignOn2 or SignOff2: accepted, or refused with a reason."""
    date, time = wire_date_time(now)
    return kind(
        participantCode=participant,
        responseDate=date,
        responseTime=time,
        status=ACCEPTED if reason is None else REFUSED,
        reasonCode=reason,
        trace=trace,
    )


def reject(body: bytes, *, reason: str, now: datetime, definition: str | None = None) -> Reject:
    """Return a Reject that quotes what could not be read as a message."""
    date, time = wire_date_time(now)
    quoted = body[:_QUOTE_CHARACTERS_MAX].decode("utf-8", "replace")
    return Reject(
        # Blanks alone would be read as an absent field.
        originalMessage=quoted if quoted.strip() else "(empty)",
        responseDate=date,
        responseTime=time,
        status=REFUSED,
        reasonCode=reason,
        originalMessageDefinitionIdentifier=definition,
    )


def refused_answer(request: str, echo: Mapping[str, Any], *, reason: str, now: datetime) -> Message:
    """Return a request's own answer with 05, from as much of it as could be read.

    Args:
        request: root key of a request to the clearing house.
    """
    match request:
        case "AV1":
            return account_refused(echo, reason=reason, instruction="")
        case "CT1":
            return order_refused(echo, reason=reason, instruction="", now=now)
        case "PSR1":
            return status_unknown(
                creditor=_text(echo.get("creditorParticipantCode")),
                instruction=_text(echo.get("instructionId")) or "",
                code=REFUSED,
                reason=reason,
                now=now,
            )
        case "ET1" | "SignOn1" | "SignOff1":
            kinds = {"ET1": ET2, "SignOn1": SignOn2, "SignOff1": SignOff2}
            return session_answer(
                kinds[request],
                participant=_text(echo.get("participantCode")),
                trace=_text(echo.get("trace")),
                now=now,
                reason=reason,
            )
        case _:
            raise AssertionError(f"{request} is no request to the clearing house")


def _known(value: V | None) -> V:
    assert value is not None, "an accepted order has every echo"
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _cents(value: object) -> int | None:
    return value if type(value) is int else None
