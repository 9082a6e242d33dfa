"""The queries and orders of the clearing house that a debtor's core asks for over ISO 8583."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from scheme import cci, fees
from scheme.clock import to_ms
from scheme.codes import Channel, DocumentType, MessageTypeId, Person, ProxyType, TransactionType
from scheme.errors import MalformedMessage
from scheme.messages import AV1, AV4, CT1, Fault
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from switch.core.entries import is_internal
from switch.core.iso8583_codes import ELEMENTS
from switch.core.iso8583_messages import DEPOSIT_PURPOSE
from switch.core.iso8583_requests import (
    CURRENCY_DEFAULT,
    DEPOSIT,
    TransferRequest,
    created,
)
from switch.core.rails import Rail
from switch.core.records import Binding

_REPEATED: Final = "0201"
# Rules of the other wire that speak of its own spelling.
_SPELT: Final[Mapping[str, str]] = {"creationDate": "a date MMDD", "creationTime": "a time hhmmss"}


def _checked(fault: Fault | None) -> None:
    """Raise what the rules of the other wire say, in the names of this one."""
    if fault is not None:
        rule = _SPELT.get(fault.field, fault.rule)
        field = ELEMENTS.get(fault.field, fault.field)
        raise MalformedMessage(rule, field=field, reason=fault.reason)


class _Payer(Struct, frozen=True, gc=False):
    """Who pays: the member that the core names, or for a deposit the institution itself."""

    name: str
    document_code: str
    document: str
    person: str


def _payer(request: TransferRequest) -> _Payer:
    parties, debtor = request.parties, request.debtor
    if "05" in parties and "06" in parties:
        name = parties.get("04", debtor.name)
        return _Payer(name, parties["05"], parties["06"], parties.get("09", Person.NATURAL))
    # Invented, as its name is: nobody whose document could be asked for stands behind cash.
    return _Payer(
        parties.get("04", debtor.name), DocumentType.RUC, f"2000000{debtor.code}", Person.LEGAL
    )


def _account_of(request: TransferRequest) -> str:
    """Return the account that pays; behind cash it is the institution's own."""
    given = request.fields.get("102", "").rstrip()
    return given or cci.compose(request.debtor.code[1:], "001", "0" * 12)


def _terminal(request: TransferRequest) -> str:
    return request.fields.get("41", "").rstrip() or request.debtor.code


def check_payee(request: TransferRequest, found: str | None) -> None:
    """Check that the account that is named agrees with the one that was found.

    Raises:
        MalformedMessage: two payees are named.
    """
    given = request.creditor_cci
    if given is not None and given != found:
        rule = "not the account that was verified"
        raise MalformedMessage(rule, field="DE103", reason=ReasonCode.FF02)


def _check_quoted(request: TransferRequest, binding: Binding) -> None:
    """Check that the alias, if one is named beside a verification, is the one verified."""
    if request.alias and request.alias != binding.alias:
        rule = "not the alias that was verified"
        raise MalformedMessage(rule, field="DE48.03", reason=ReasonCode.FF02)


def query_of(request: TransferRequest, now: datetime) -> AV1:
    """Return the account query that a request asks for, or has to begin with.

    Raises:
        MalformedMessage: it breaks a rule between its fields.
    """
    fields, payer = request.fields, _payer(request)
    account = request.creditor_cci
    if request.is_by_alias or account is None:
        account = cci.placeholder(request.creditor)
    av1 = AV1(
        debtorParticipantCode=request.debtor.code,
        creditorParticipantCode=request.creditor,
        creationDate=created(fields, now),
        creationTime=fields["12"],
        terminalId=_terminal(request),
        retrievalReferenteNumber=fields["37"],
        trace=fields["11"],
        debtorName=payer.name,
        debtorId=payer.document,
        debtorIdCode=payer.document_code,
        debtorMobileNumber=request.parties.get("07"),
        transactionType=TransactionType.ORDINARY,
        channel=request.channel,
        creditorMobileNumber=request.phone,
        creditorCCI=account,
        debtorTypeOfPerson=payer.person,
        currency=fields.get("49", CURRENCY_DEFAULT),
        proxyValue=request.token,
        proxyType=None if request.token is None else ProxyType.QR_TOKEN,
    )
    _checked(av1.fault())
    return av1


def binding_of(request: TransferRequest, creditor: Participant, now: datetime) -> Binding:
    """Return the binding of a transfer to an account whose core posts, or refuses, at once.

    Nothing has to be verified before: the order asks the same core, and moves nothing unless it
    takes it. So a transfer between two cores is one 0200 each way.
    """
    fields, payer = request.fields, _payer(request)
    debtor = request.debtor.code
    return Binding(
        instruction_id=f"ISO{debtor}{fields['13']}{fields['11']}{fields['37']}",
        debtor_agent=debtor,
        debtor_id_code=payer.document_code,
        debtor_id=payer.document,
        requested_creditor=creditor.code,
        creditor_agent=creditor.code,
        creditor_cci=request.creditor_cci,
        creditor_card=None,
        currency=fields["49"],
        transaction_type=TransactionType.ORDINARY,
        channel=request.channel,
        created_ms=to_ms(now),
    )


def order_of(
    request: TransferRequest,
    binding: Binding,
    *,
    found: AV4 | None = None,
    creditor: Participant | None,
    profile: Profile,
    now: datetime,
) -> CT1:
    """Return the order that a request is.

    Args:
        binding: what it was verified to be.
        found: the answer to its own query; None if it had none, or an earlier one.
        creditor: the entity found.

    Raises:
        MalformedMessage: it breaks a rule between its fields, or names two payees.
    """
    fields, parties, payer = request.fields, request.parties, _payer(request)
    account = binding.creditor_cci
    check_payee(request, account)
    if request.reference:
        _check_quoted(request, binding)
    is_alias = binding.channel == Channel.ALIAS
    minor, plaza, fee = _terms(request, account, creditor, profile, is_alias=is_alias)
    name, same_customer = parties.get("08"), parties.get("13")
    if found is not None:
        name, same_customer = found.creditorName or name, found.sameCustomerFlag or same_customer
    is_repeat, is_deposit = fields["t"] == _REPEATED, request.kind == DEPOSIT
    ct1 = CT1(
        debtorParticipantCode=request.debtor.code,
        creditorParticipantCode=parties.get("01") or binding.creditor_agent,
        creationDate=created(fields, now),
        creationTime=fields["12"],
        messageTypeId=MessageTypeId.RESEND if is_repeat else MessageTypeId.FIRST,
        terminalId=_terminal(request),
        retrievalReferenteNumber=fields["37"],
        trace=fields["11"],
        channel=binding.channel,
        amount=minor,
        currency=fields["49"],
        transactionReference=f"{fields['11']}{fields['37']}",
        referenceTransactionId=binding.instruction_id,
        transactionType=binding.transaction_type,
        feeAmount=fee,
        feeCode=profile.fees.code,
        applicationCriteria=plaza,
        debtorTypeOfPerson=payer.person,
        debtorName=payer.name,
        debtorIdCode=payer.document_code,
        debtorId=payer.document,
        debtorMobileNumber=parties.get("07"),
        debtorCCI=_account_of(request),
        creditorName=name,
        creditorMobileNumber=request.phone,
        creditorCCI=account,
        sameCustomerFlag=same_customer,
        purposeCode=DEPOSIT_PURPOSE if is_deposit else profile.fees.purpose,
        unstructuredInformation=parties.get("14"),
    )
    _checked(ct1.fault())
    return ct1


def _terms(
    request: TransferRequest,
    account: str | None,
    creditor: Participant | None,
    profile: Profile,
    *,
    is_alias: bool,
) -> tuple[int, str, int]:
    """Return amount, plaza and interbank fee, the last two by the tariff unless DE48 says them."""
    fields, parties = request.fields, request.parties
    minor, currency = int(fields["4"]), CURRENCY_BY_CODE[fields["49"]]
    plaza = parties.get("12")
    if plaza is None:
        plaza = fees.plaza_between(_account_of(request), account or "", profile.plazas)
    given = parties.get("11")
    if given is not None:
        return minor, plaza, int(given)
    if is_alias:
        return minor, plaza, fees.alias_fee(currency, profile)
    rail = Rail.TIN
    if creditor is not None and creditor.code == request.debtor.code:
        rail = Rail.ON_US
    elif creditor is not None and is_internal(request.debtor, creditor):
        rail = Rail.NETWORK
    return minor, plaza, fees.rail_fee(rail, minor, currency, plaza, profile.fees)
