"""An institution's queries and orders as requests of the ISO 8583 lane, and what comes back."""

from datetime import datetime
from typing import Final

from participants.core import iso8583_wording as iso
from scheme import cci
from scheme.clock import wire_date_time
from scheme.codes import Channel, MessageTypeId
from scheme.errors import NoAnswer
from scheme.messages import AV1, AV4, CT1, CT4
from scheme.messages.conditions import ACCEPTED, REFUSED
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import printable

VERIFICATION_CODE: Final = "330000"
TRANSFER_CODE: Final = "400000"
_PHONE, _QR_TOKEN = "P", "Q"
_TERMINAL = 8


def query(asked: AV1, now: datetime) -> Fields:
    """Return the 0200 of an account query."""
    fields = _common(asked, now) | {"t": iso.REQUEST, "3": VERIFICATION_CODE}
    if asked.creditorCCI and not cci.is_placeholder(asked.creditorCCI):
        fields["103"] = asked.creditorCCI
    fields["48"] = iso.tagged(_payer(asked) | _alias(asked.channel, asked.creditorMobileNumber,
                                                    asked.proxyValue))  # fmt: skip
    return fields


def order(asked: CT1, now: datetime) -> Fields:
    """Return the 0200 of an order, or its 0201 where the kept message says that it is a repeat.

    Only the time of transmission differs between the two: the rest is what it is told by.
    """
    is_repeat = asked.messageTypeId == MessageTypeId.RESEND
    parties = _payer(asked) | _alias(asked.channel, asked.creditorMobileNumber, None)
    parties |= {
        "08": printable(asked.creditorName or ""),
        "10": asked.referenceTransactionId,
        "11": str(asked.feeAmount),
        "12": asked.applicationCriteria,
        "13": asked.sameCustomerFlag,
        "14": printable(asked.unstructuredInformation or ""),
    }
    return _common(asked, now) | {
        "t": iso.REPEAT if is_repeat else iso.REQUEST,
        "3": TRANSFER_CODE,
        "4": f"{asked.amount:012}",
        "48": iso.tagged(parties),
        "102": asked.debtorCCI,
        "103": asked.creditorCCI or "",
    }


def found(asked: AV1, answer: Fields) -> AV4:
    """Return the AV4 that an answer stands for.

    Raises:
        NoAnswer: it says nothing of the account.
    """
    is_found = _is_accepted(answer)
    private, parties = iso.tags(answer, "62"), iso.tags(answer, "48")
    if is_found and "01" not in private:
        raise NoAnswer("DE62.01: an account was found under no id")
    account = answer.get("103") or asked.creditorCCI
    return AV4(
        debtorParticipantCode=asked.debtorParticipantCode,
        creditorParticipantCode=parties.get("01") or _participant(asked, account),
        creationDate=asked.creationDate,
        creationTime=asked.creationTime,
        terminalId=asked.terminalId,
        retrievalReferenteNumber=asked.retrievalReferenteNumber,
        trace=asked.trace,
        debtorId=asked.debtorId,
        debtorIdCode=asked.debtorIdCode,
        transactionType=asked.transactionType,
        channel=asked.channel,
        creditorMobileNumber=parties.get("07") or asked.creditorMobileNumber,
        creditorCCI=account,
        currency=asked.currency,
        instructionId=private.get("01", ""),
        responseCode=ACCEPTED if is_found else REFUSED,
        reasonCode=None if is_found else iso.reason_behind(answer),
        creditorName=parties.get("08"),
        creditorIdCode=parties.get("15"),
        creditorId=parties.get("16"),
        sameCustomerFlag=parties.get("13"),
    )


def result(asked: CT1, answer: Fields, now: datetime) -> CT4:
    """Return the CT4 that an answer stands for.

    Raises:
        NoAnswer: it leaves open what became of the order.
    """
    is_paid = _is_accepted(answer)
    date, time = wire_date_time(now)
    settled = answer.get("15")
    return CT4(
        debtorParticipantCode=asked.debtorParticipantCode,
        creditorParticipantCode=asked.creditorParticipantCode,
        responseDate=date,
        responseTime=time,
        terminalId=asked.terminalId,
        retrievalReferenteNumber=asked.retrievalReferenteNumber,
        trace=asked.trace,
        amount=iso.cents(answer) if "4" in answer else asked.amount,
        currency=asked.currency,
        transactionReference=asked.transactionReference,
        responseCode=ACCEPTED if is_paid else REFUSED,
        reasonCode=None if is_paid else iso.reason_behind(answer),
        feeAmount=asked.feeAmount,
        settlementDate=iso.year_of(settled, now) if settled else None,
        transactionType=asked.transactionType,
        debtorCCI=answer.get("102") or asked.debtorCCI,
        creditorCCI=asked.creditorCCI,
        sameCustomerFlag=asked.sameCustomerFlag,
        instructionId=iso.tags(answer, "62").get("01", ""),
        creationDate=asked.creationDate,
        creationTime=asked.creationTime,
        channel=asked.channel,
        interbankSettlementAmount=asked.amount + asked.feeAmount,
    )


def _is_accepted(answer: Fields) -> bool:
    if answer.get("t") != iso.ANSWER:
        raise NoAnswer("MTI: not a 0210")
    if answer.get("39") == iso.APPROVED:
        return True
    if not iso.is_refusal(answer):
        raise NoAnswer(f"DE39: {answer.get('39', 'absent')} leaves the outcome open")
    return False


def _common(asked: AV1 | CT1, now: datetime) -> Fields:
    return {
        "t": iso.REQUEST,
        "7": iso.transmitted(now),
        "11": asked.trace,
        "12": asked.creationTime,
        "13": asked.creationDate[4:],
        "32": asked.debtorParticipantCode,
        "37": asked.retrievalReferenteNumber,
        "41": asked.terminalId.ljust(_TERMINAL),
        "49": asked.currency,
    }


def _payer(asked: AV1 | CT1) -> dict[str, str | None]:
    return {
        "01": asked.creditorParticipantCode,
        "04": printable(asked.debtorName or ""),
        "05": asked.debtorIdCode,
        "06": asked.debtorId,
        "07": asked.debtorMobileNumber,
        "09": asked.debtorTypeOfPerson,
    }


def _alias(channel: str, phone: str | None, token: str | None) -> dict[str, str | None]:
    if channel != Channel.ALIAS:
        return {}
    if token:
        return {"02": _QR_TOKEN, "03": token}
    return {"02": _PHONE, "03": phone} if phone else {}


def _participant(asked: AV1, account: str | None) -> str:
    """Return who keeps an account that was found behind an alias."""
    if account is None or cci.is_placeholder(account):
        return asked.creditorParticipantCode
    return cci.participant_of(account)
