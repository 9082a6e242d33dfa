"""An order sent: what is checked before it, its AV1 and CT1, and what an answer to it means."""

from enum import Enum, auto

from msgspec import Struct

from participants.core.book import Account, AccountStatus, DebitState
from participants.core.candidates import is_own
from participants.core.session import SessionState
from scheme import cci, fees
from scheme.codes import (
    CURRENCY_NUMBERS,
    ApplicationCriteria,
    Channel,
    MessageTypeId,
    TransactionType,
)
from scheme.messages import AV1, AV4, CT1, CT4
from scheme.network import Participant
from scheme.profile import Profile
from scheme.reasons import ReasonCode

TERMINAL = "SIM00001"
_QR_TOKEN = "O"  # noqa: S105 - the wire's proxyType for a token read from a QR


class Payee(Struct, frozen=True, kw_only=True):
    """Whom to pay, as far as it is known before the verification.

    Attributes:
        code: creditorParticipantCode of the AV1, maybe a directory's.
        cci: full, or the placeholder of an alias.
        phone: for an alias that is a phone.
        token: for an alias read from a wallet's QR.
        qr_id: for a QR of the clearing house; travels in the narrative.
    """

    code: str
    cci: str
    channel: Channel
    phone: str | None = None
    token: str | None = None
    qr_id: str | None = None

    @property
    def pays_fee(self) -> bool:
        """Whether the interbank fee of an account transfer is due."""
        return self.channel is not Channel.ALIAS and self.qr_id is None


class Terms(Struct, frozen=True, kw_only=True):
    """What is paid, in minor units.

    Attributes:
        plaza: of the two accounts, by which the fee was found.
    """

    amount: int
    fee: int
    currency: str
    description: str = ""
    plaza: str = ApplicationCriteria.SAME_PLAZA

    @property
    def total(self) -> int:
        """What the customer pays."""
        return self.amount + self.fee


class Stamp(Struct, frozen=True, kw_only=True):
    """When and as what a message leaves."""

    date: str
    time: str
    trace: str
    retrieval: str


class Spent(Struct, frozen=True):
    """What a payer has sent by alias today: minor units and orders, the pending ones included."""

    minor: int = 0
    operations: int = 0


class Objection(Struct, frozen=True):
    """Why an order is not sent, and which field of the request it is about."""

    field: str
    text: str


def terms_of(
    payer: Account,
    payee: Payee,
    *,
    amount: int,
    currency: str,
    description: str,
    network: frozenset[str],
    profile: Profile,
) -> Terms:
    """Return what a payment costs: by plaza nationally, at the network's tariff inside it.

    Args:
        network: codes of the coops that are reached without leaving the payer's network.
    """
    plaza = ApplicationCriteria.SAME_PLAZA
    if not payee.pays_fee:
        fee = fees.alias_fee(currency, profile)
    else:
        plaza = fees.plaza_between(payer.cci, payee.cci, profile.plazas)
        rail = fees.NETWORK if payee.code in network else fees.TIN
        fee = fees.rail_fee(rail, amount, currency, plaza, profile.fees)
    return Terms(amount=amount, fee=fee, currency=currency, description=description, plaza=plaza)


def objection(
    payer: Account,
    payee: Payee,
    terms: Terms,
    own: Participant,
    session: SessionState,
    *,
    directories: frozenset[str],
) -> Objection | None:
    """Return the first thing that speaks against sending, as institutions check by themselves.

    Args:
        directories: codes that stand for an entity nobody knows yet; its state is not checked.
    """
    if payer.status != AccountStatus.ACTIVE:
        return Objection("debtor", f"the account is {payer.status.lower()}")
    if terms.currency != payer.currency:
        return Objection("currency", f"the account is in {payer.currency}")
    if is_own(payee.code, own):
        return Objection("creditor", "the payee banks here: nothing goes over the network")
    if session.is_suspended:
        return Objection("creditor", "the clearing house has suspended the system")
    if not session.is_signed_on or session.is_blocked:
        return Objection("debtor", "this institution is signed off or blocked")
    if payee.code not in directories and not session.may_trade(payee.code):
        return Objection("creditor", "the payee's institution is unknown, signed off or blocked")
    if terms.total > payer.available:
        return Objection("amount", "the account has not enough money")
    return None


def limit_objection(terms: Terms, payee: Payee, spent: Spent, profile: Profile) -> Objection | None:
    """Return the limit that an order would break, if any."""
    limits = profile.limits
    if payee.channel is not Channel.ALIAS:
        if terms.amount > limits.tin_max.get(terms.currency, 0):
            return Objection("amount", "above the limit of an immediate transfer")
        return None
    if terms.currency not in limits.alias_max:
        return Objection("currency", "aliases are paid in soles only")
    if terms.amount < limits.alias_min[terms.currency]:
        return Objection("amount", "below the least amount payable to an alias")
    if terms.amount > limits.alias_max[terms.currency]:
        return Objection("amount", "above the limit of a transfer to an alias")
    if spent.minor + terms.amount > limits.alias_day_max[terms.currency]:
        return Objection("amount", "above today's limit of transfers to aliases")
    if spent.operations >= limits.alias_day_operations:
        return Objection("amount", "today's number of transfers to aliases is used up")
    return None


def cci_fault(text: str, profile: Profile) -> str | None:
    """Return the rule that a payee's CCI breaks, or None."""
    return cci.fault(text, cci.CciCheck(profile.cci.originator))


def verification(payer: Account, payee: Payee, terms: Terms, stamp: Stamp) -> AV1:
    """Compose the AV1."""
    return AV1(
        debtorParticipantCode=payer.participant,
        creditorParticipantCode=payee.code,
        creationDate=stamp.date,
        creationTime=stamp.time,
        terminalId=TERMINAL,
        retrievalReferenteNumber=stamp.retrieval,
        trace=stamp.trace,
        debtorName=payer.name,
        debtorId=payer.document,
        debtorIdCode=payer.document_code,
        debtorMobileNumber=payer.phone,
        transactionType=TransactionType.ORDINARY,
        channel=payee.channel,
        creditorMobileNumber=payee.phone,
        creditorCCI=payee.cci,
        debtorTypeOfPerson="N",
        currency=CURRENCY_NUMBERS[terms.currency],
        proxyValue=payee.token,
        proxyType=_QR_TOKEN if payee.token is not None else None,
    )


def order(
    asked: AV1, found: AV4, payer: Account, payee: Payee, terms: Terms, stamp: Stamp,
    order_id: str, profile: Profile,
) -> CT1:  # fmt: skip
    """Compose the CT1 that follows an accepted verification.

    Args:
        stamp: of this order; only the retrieval reference repeats the verification's.
    """
    return CT1(
        debtorParticipantCode=payer.participant,
        creditorParticipantCode=found.creditorParticipantCode or asked.creditorParticipantCode,
        creationDate=stamp.date,
        creationTime=stamp.time,
        messageTypeId=MessageTypeId.FIRST,
        terminalId=TERMINAL,
        retrievalReferenteNumber=asked.retrievalReferenteNumber,
        trace=stamp.trace,
        channel=payee.channel,
        amount=terms.amount,
        currency=asked.currency,
        transactionReference=order_id,
        referenceTransactionId=found.instructionId,
        transactionType=asked.transactionType,
        feeAmount=terms.fee,
        feeCode=profile.fees.code,
        applicationCriteria=terms.plaza,
        debtorTypeOfPerson=asked.debtorTypeOfPerson,
        debtorName=payer.name,
        debtorIdCode=payer.document_code,
        debtorId=payer.document,
        debtorMobileNumber=payer.phone,
        debtorCCI=payer.cci,
        creditorName=found.creditorName,
        creditorMobileNumber=found.creditorMobileNumber,
        creditorCCI=found.creditorCCI,
        sameCustomerFlag=found.sameCustomerFlag,
        purposeCode=profile.fees.purpose,
        unstructuredInformation=payee.qr_id or terms.description or None,
    )


class Meaning(Enum):
    """What an answer to a CT1 says about the money."""

    EXECUTED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


_SIGNATURE_REASONS = frozenset({"DS0A", "DS0B", "DS0D", "DS16"})


def meaning(answer: CT4, *, is_repeat: bool) -> Meaning:
    """Tell what a sound CT4 means.

    AM05 says that another order stands under our key, and a refusal of the signature of a repeat
    says nothing about the order that went before: in both cases the outcome stays unknown. Not so
    where the refusal names its transfer: then the creditor gave that reason. Any other refusal is
    final, BE15 to a repeat included: the clearing house never executed it.
    """
    if answer.responseCode == "00":
        return Meaning.EXECUTED
    reason = answer.reasonCode
    is_about_message = reason == ReasonCode.AM05 or (is_repeat and reason in _SIGNATURE_REASONS)
    if is_about_message and not answer.instructionId:
        return Meaning.UNKNOWN
    return Meaning.REFUSED


def ended_as(said: Meaning) -> DebitState:
    """Return the state that a known outcome leads to."""
    assert said is not Meaning.UNKNOWN
    return DebitState.FINAL if said is Meaning.EXECUTED else DebitState.REJECTED
