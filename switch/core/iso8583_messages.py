"""What a creditor's core is asked over ISO 8583, and what its answers mean (docs/wire/iso8583.md).

Pure: AV2 and CT2 become a 0200, its 0210 becomes AV3 or CT3, and a 0200 that may have been posted
becomes the 0420 that undoes it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, overload

from msgspec import Struct

from scheme.errors import NoAnswer
from scheme.messages import AV2, AV3, CT2, CT3
from scheme.messages.conditions import ACCEPTED, ALIAS_CHANNEL, REFUSED
from scheme.messages.rules import FieldRule, rules_of
from scheme.network import Participant
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_reversal import replacement
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv, printable
from switch.core.iso8583_codes import APPROVED, ELEMENTS, UNDECIDED, reason_of

HOUSE: Final = "9999"
"""The clearing house in DE33."""
DEPOSIT_PURPOSE: Final = "DEPT"
"""Purpose of a transfer that was handed in as cash."""
TRANSFER_CODE: Final = "400000"
DEPOSIT_CODE: Final = "210000"
VERIFICATION_CODE: Final = "330000"
PHONE: Final = "P"
QR_TOKEN: Final = "Q"  # noqa: S105 - the code of a kind of alias, not a secret

_TERMINAL = 8
_INSTITUTION = 11
_ALIAS_CHARACTERS_MAX: Final = 128
# A core that keeps its members' documents to itself; the other wire insists on one.
_NO_DOCUMENT: Final = ("2", "00000000")

_RULES: Final[Mapping[str, FieldRule]] = {rule.name: rule for rule in rules_of(AV3)}
_HOLDER_RULES: Final[Mapping[str, FieldRule]] = {
    "08": _RULES["creditorName"],
    "13": _RULES["sameCustomerFlag"],
    "15": _RULES["creditorIdCode"],
    "16": _RULES["creditorId"],
}

_REVERSED: Final = (
    "2", "3", "4", "11", "12", "13", "15", "18", "22", "25", "32", "33", "37", "41", "42", "43",
    "49", "62", "102", "103",
)  # fmt: skip


def transmission_time(now: datetime) -> str:
    """Return DE7, ``MMDDhhmmss`` in UTC."""
    at = now if now.tzinfo is UTC else now.astimezone(UTC)
    # A third of the time of strftime, which every transfer would pay.
    return "%02d%02d%02d%02d%02d" % (at.month, at.day, at.hour, at.minute, at.second)  # noqa: UP031


def request_for(message: AV2 | CT2, *, stan: int, now: datetime, creditor: Participant) -> Fields:
    """Return the 0200 that asks a creditor's core what an AV2 or CT2 asks.

    Args:
        stan: ours, unlike any other under way to it.
    """
    fields = {
        "t": "0200",
        "3": VERIFICATION_CODE,
        "7": transmission_time(now),
        "11": f"{stan:06}",
        "12": message.creationTime,
        "13": message.creationDate[4:],
        "32": message.debtorParticipantCode,
        "33": HOUSE,
        "37": _reference(message.retrievalReferenteNumber),
        "41": printable(message.terminalId).ljust(_TERMINAL),
        "49": message.currency,
    }
    account = message.creditorCCI or message.creditorCreditCard
    if account is not None:
        fields["103"] = account
    parties = {
        "01": creditor.code,
        "05": message.debtorIdCode,
        "06": printable(message.debtorId),
        "09": message.debtorTypeOfPerson,
    }
    if message.debtorName is not None:
        parties["04"] = printable(message.debtorName)
    if message.debtorMobileNumber is not None:
        parties["07"] = message.debtorMobileNumber
    if isinstance(message, CT2):
        _add_order(fields, parties, message)
    elif message.channel == ALIAS_CHANNEL:
        _add_alias(parties, message)
    fields["48"] = encode_tlv(parties)
    fields["62"] = encode_tlv({"01": message.instructionId, "06": message.debtorParticipantCode})
    return fields


def _add_order(fields: Fields, parties: dict[str, str], ct2: CT2) -> None:
    is_deposit = ct2.purposeCode == DEPOSIT_PURPOSE
    fields["3"] = DEPOSIT_CODE if is_deposit else TRANSFER_CODE
    fields["4"] = f"{ct2.amount:012}"
    fields["15"] = ct2.settlementDate[4:]
    fields["102"] = ct2.debtorCCI
    parties["11"] = str(ct2.feeAmount)
    parties["12"] = ct2.applicationCriteria
    if ct2.creditorName is not None:
        parties["08"] = printable(ct2.creditorName)
    if ct2.sameCustomerFlag is not None:
        parties["13"] = ct2.sameCustomerFlag
    if ct2.unstructuredInformation is not None:
        parties["14"] = printable(ct2.unstructuredInformation)


def _add_alias(parties: dict[str, str], av2: AV2) -> None:
    """Name the alias it was found by; the account stands in DE103 all the same."""
    if av2.proxyValue is not None:
        # It may be longer than the whole element; then it stays away.
        if len(av2.proxyValue) <= _ALIAS_CHARACTERS_MAX:
            parties |= {"02": QR_TOKEN, "03": printable(av2.proxyValue)}
    elif av2.creditorMobileNumber is not None:
        parties |= {"02": PHONE, "03": av2.creditorMobileNumber}


def _reference(text: str) -> str:
    """Return DE37: letters and digits, where the other wire takes any text. It is no key."""
    if text.isalnum() and text.isascii():
        return text
    return "".join(one if one.isalnum() and one.isascii() else "0" for one in text)


@overload
def reply_of(request: AV2, fields: Fields) -> AV3: ...
@overload
def reply_of(request: CT2, fields: Fields) -> CT3: ...
def reply_of(request: AV2 | CT2, fields: Fields) -> AV3 | CT3:
    """Return what a core's 0210 says to the question it was asked.

    Raises:
        NoAnswer: it speaks of another order, or leaves open what became of this one.
    """
    code = fields.get("39", "")
    if fields["t"] != "0210":
        raise NoAnswer("MTI: not a 0210")
    if not code or code in UNDECIDED:
        raise NoAnswer(f"DE39: {code or 'absent'} does not say whether it was posted")
    said = _private(fields, "62")
    account = request.creditorCCI or request.creditorCreditCard
    # What it does not echo it does not contradict.
    if fields.get("49", request.currency) != request.currency:
        raise NoAnswer("DE49: another currency")
    if fields.get("103", account) != account:
        raise NoAnswer("DE103: another account")
    if said.get("01", request.instructionId) != request.instructionId:
        raise NoAnswer("DE62.01: another order")
    reason = None if code == APPROVED else str(reason_of(code, said.get("03", "")))
    if isinstance(request, AV2):
        return _account_reply(request, reason, _private(fields, "48"))
    amount = f"{request.amount:012}"
    if fields.get("4", amount) != amount:
        raise NoAnswer("DE4: another amount")
    return _order_reply(request, reason, fields)


def _private(fields: Fields, element: str) -> dict[str, str]:
    text = fields.get(element)
    if not text:
        return {}
    try:
        return decode_tlv(text, element)
    except IsoFault as fault:
        raise NoAnswer(str(fault)) from fault


class _Holder(Struct, frozen=True, gc=False):
    """Whose account was found; nobody in a refusal."""

    name: str | None = None
    document: str | None = None
    document_code: str | None = None
    same_customer: str | None = None


def _holder(told: dict[str, str]) -> _Holder:
    for tag, rule in _HOLDER_RULES.items():
        fault = rule.fault(told[tag]) if told.get(tag) else None
        if fault is not None:
            raise NoAnswer(f"DE48.{tag}: {fault.rule}")
    if not told.get("08", "").strip():
        raise NoAnswer("DE48.08: an approval names the holder of the account")
    kind, number = told.get("15"), told.get("16")
    if not kind or not number:
        kind, number = _NO_DOCUMENT
    return _Holder(told["08"].rstrip(), number, kind, told.get("13") or "O")


def _account_reply(av2: AV2, reason: str | None, told: dict[str, str]) -> AV3:
    found = _holder(told) if reason is None else _Holder()
    av3 = AV3(
        debtorParticipantCode=av2.debtorParticipantCode,
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
        creditorAddressLine=av2.creditorAddressLine,
        creditorPhoneNumber=av2.creditorPhoneNumber,
        creditorMobileNumber=av2.creditorMobileNumber,
        creditorCCI=av2.creditorCCI,
        creditorCreditCard=av2.creditorCreditCard,
        currency=av2.currency,
        proxyValue=av2.proxyValue,
        proxyType=av2.proxyType,
        branchId=av2.branchId,
        instructionId=av2.instructionId,
        responseCode=ACCEPTED if reason is None else REFUSED,
        reasonCode=reason,
        creditorName=found.name,
        creditorId=found.document,
        creditorIdCode=found.document_code,
        sameCustomerFlag=found.same_customer,
    )
    fault = av3.fault()
    if fault is not None:
        raise NoAnswer(f"{ELEMENTS.get(fault.field, fault.field)}: {fault.rule}")
    return av3


def _order_reply(ct2: CT2, reason: str | None, fields: Fields) -> CT3:
    return CT3(
        debtorParticipantCode=ct2.debtorParticipantCode,
        creditorParticipantCode=ct2.creditorParticipantCode,
        responseDate=ct2.creationDate,
        responseTime=fields.get("12", ct2.creationTime),
        terminalId=ct2.terminalId,
        retrievalReferenteNumber=ct2.retrievalReferenteNumber,
        trace=ct2.trace,
        amount=ct2.amount,
        currency=ct2.currency,
        transactionReference=ct2.transactionReference,
        responseCode=ACCEPTED if reason is None else REFUSED,
        reasonCode=reason,
        feeAmount=ct2.feeAmount,
        settlementDate=ct2.settlementDate,
        transactionType=ct2.transactionType,
        debtorCCI=ct2.debtorCCI,
        creditorCCI=ct2.creditorCCI,
        creditorCreditCard=ct2.creditorCreditCard,
        sameCustomerFlag=ct2.sameCustomerFlag,
        branchId=ct2.branchId,
        instructionId=ct2.instructionId,
    )


def original_data(fields: Fields) -> str:
    """Return DE90, which names a request: its type, STAN, DE7 and both institutions."""
    acquirer, forwarder = fields["32"], fields.get("33", "")
    return f"0200{fields['11']}{fields['7']}{acquirer:0>{_INSTITUTION}}{forwarder:0>{_INSTITUTION}}"


def reversal_of(
    sent: Fields, *, now: datetime, repeated: bool = False, dispensed: int | None = None
) -> Fields:
    """Return the 0420 that undoes a request, or its 0421.

    It has the STAN, reference, date and time of the request, and none of its secrets.

    Args:
        sent: the exact 0200.
        dispensed: what stays paid, in cents, where only the rest is undone.
    """
    fields = {"t": "0421" if repeated else "0420"}
    fields |= {key: sent[key] for key in _REVERSED if key in sent}
    fields["7"] = transmission_time(now)
    fields["90"] = original_data(sent)
    if dispensed is not None:
        fields["95"] = replacement(dispensed)
    return fields
