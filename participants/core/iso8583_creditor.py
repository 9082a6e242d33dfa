"""Requests of the ISO 8583 lane to an institution, as the messages that they stand for."""

from datetime import datetime

from participants.core.book import Account, AccountStatus
from participants.core.iso8583_wording import cents, key_of, tags, year_of
from scheme.codes import CURRENCY_NAMES, Channel, TransactionType
from scheme.messages import AV2, CT2
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import printable

_ACCOUNT = slice(8, 18)
"""Last ten digits of the account inside a CCI: what follows the BIN on its card."""


def query_of(fields: Fields, now: datetime) -> AV2:
    """Return an account query as AV2, to be judged as one."""
    parties = tags(fields, "48")
    return AV2(
        debtorParticipantCode=_debtor(fields),
        creditorParticipantCode=parties.get("01", ""),
        creationDate=year_of(fields["13"], now),
        creationTime=fields["12"],
        terminalId=fields.get("41", ""),
        retrievalReferenteNumber=fields["37"],
        trace=fields["11"],
        debtorName=parties.get("04"),
        debtorId=parties.get("06", ""),
        debtorIdCode=parties.get("05", ""),
        debtorMobileNumber=parties.get("07"),
        transactionType=TransactionType.ORDINARY,
        channel=_channel(parties),
        creditorCCI=fields.get("103"),
        debtorTypeOfPerson=parties.get("09", "N"),
        currency=fields.get("49", ""),
        instructionId=subject_of(fields),
        branchId="",
    )


def order_of(fields: Fields, now: datetime) -> CT2:
    """Return a transfer or a deposit as CT2, to be judged and booked as one."""
    parties = tags(fields, "48")
    fee = parties.get("11", "0")
    amount, fee_minor = cents(fields), int(fee) if fee.isascii() and fee.isdigit() else 0
    subject = subject_of(fields)
    return CT2(
        debtorParticipantCode=_debtor(fields),
        creditorParticipantCode=parties.get("01", ""),
        creationDate=year_of(fields["13"], now),
        creationTime=fields["12"],
        terminalId=fields.get("41", ""),
        retrievalReferenteNumber=fields["37"],
        trace=fields["11"],
        channel=_channel(parties),
        amount=amount,
        currency=fields.get("49", ""),
        # A single message: the query that went before is the clearing house's matter.
        referenceTransactionId=parties.get("10") or subject,
        transactionType=TransactionType.ORDINARY,
        feeAmount=fee_minor,
        feeCode="",
        applicationCriteria=parties.get("12", ""),
        debtorTypeOfPerson=parties.get("09", "N"),
        debtorName=parties.get("04", ""),
        debtorIdCode=parties.get("05", ""),
        debtorId=parties.get("06", ""),
        debtorCCI=fields.get("102", ""),
        creditorName=parties.get("08"),
        creditorCCI=fields.get("103"),
        branchId="",
        settlementDate=year_of(fields.get("15") or fields["13"], now),
        instructionId=subject,
        interbankSettlementAmount=amount + fee_minor,
    )


def holder_of(account: Account, query: AV2) -> dict[str, str | None]:
    """Return DE48 of an answer that names the holder of an account."""
    same = (query.debtorIdCode, query.debtorId) == (account.document_code, account.document)
    return {
        "08": printable(account.name),
        "13": "M" if same else "O",
        "15": account.document_code,
        "16": account.document,
    }


def subject_of(fields: Fields) -> str:
    """Return the clearing house's id of what is asked; where it gives none, the request's key."""
    return tags(fields, "62").get("01") or key_of(fields)


def card_of(account: Account, bins: tuple[str, ...]) -> str:
    """Return the number of the card that an institution issues for an account, or empty."""
    return bins[0] + account.cci[_ACCOUNT] if bins else ""


def cash_refusal(account: Account | None, currency: str, minor: int) -> ReasonCode | None:
    """Return why a member's withdrawal or balance is refused, funds apart."""
    if account is None:
        return ReasonCode.AC01
    if account.status == AccountStatus.BLOCKED:
        return ReasonCode.AC06
    if account.status == AccountStatus.CLOSED:
        return ReasonCode.AC07
    if CURRENCY_NAMES.get(currency) != account.currency:
        return ReasonCode.AC11
    return ReasonCode.AM01 if minor <= 0 else None


def _debtor(fields: Fields) -> str:
    return tags(fields, "62").get("06") or fields["32"]


def _channel(parties: dict[str, str]) -> str:
    return Channel.ALIAS if parties.get("02") else Channel.MOBILE
