"""What a receiver answers to AV2 and CT2: the steps of ``scheme.validation``, each decided here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from participants.core.book import Account, AccountStatus
from participants.core.session import SessionState
from scheme import cci
from scheme.codes import CURRENCY_NAMES, Channel, TransactionType, document_fault
from scheme.messages import AV2, CT2
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from scheme.validation import RECEIVER_ORDER, Check

_CHANNELS: Final = frozenset(str(channel) for channel in Channel)


class Facts(Struct, kw_only=True, frozen=True, gc=False):
    """What a receiver knows when a message comes.

    Attributes:
        is_seen: its instructionId has come before in a message of the same kind.
        account: the creditor's, if there is one.
        credited_today: minor units credited by alias to that account today.
    """

    profile: Profile
    session: SessionState
    is_seen: bool
    account: Account | None
    credited_today: int = 0


Decision = Callable[[AV2 | CT2, Facts], ReasonCode | None]


def refusal(message: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    """Return the code of the first step that fails, or None."""
    steps = _QUERY_STEPS if isinstance(message, AV2) else _ORDER_STEPS
    for step in steps:
        reason = step(message, facts)
        if reason is not None:
            return reason
    return None


def _unseen(_: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    return ReasonCode.AM05 if facts.is_seen else None


def _channel(message: AV2 | CT2, _: Facts) -> ReasonCode | None:
    return None if message.channel in _CHANNELS else ReasonCode.FF07


def _transaction_type(message: AV2 | CT2, _: Facts) -> ReasonCode | None:
    return None if message.transactionType == TransactionType.ORDINARY else ReasonCode.AC14


def _receiver_open(_: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    session = facts.session
    return None if session.is_signed_on and not session.is_blocked else ReasonCode.FF07


def _originator_open(message: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    return None if facts.session.may_trade(message.debtorParticipantCode) else ReasonCode.DNOR


def _creditor_cci(message: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    mode = cci.CciCheck(facts.profile.cci.receiver)
    return ReasonCode.FF02 if cci.fault(message.creditorCCI or "", mode) else None


def _affiliated(message: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    if message.channel != Channel.ALIAS:
        return None
    account = facts.account
    return None if account is not None and account.affiliated else ReasonCode.CH11


def _document(message: AV2 | CT2, _: Facts) -> ReasonCode | None:
    return document_fault(message.debtorIdCode, message.debtorId)


def _account_exists(_: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    return ReasonCode.AC01 if facts.account is None else None


def _account_usable(_: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    assert facts.account is not None
    match facts.account.status:
        case AccountStatus.BLOCKED:
            return ReasonCode.AC06
        case AccountStatus.CLOSED:
            return ReasonCode.AC07
        case _:
            return None


def _account_currency(message: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    assert facts.account is not None
    same = CURRENCY_NAMES.get(message.currency) == facts.account.currency
    return None if same else ReasonCode.AC11


def _debtor_cci(message: AV2 | CT2, _: Facts) -> ReasonCode | None:
    assert isinstance(message, CT2)
    return None if cci.is_well_formed(message.debtorCCI) else ReasonCode.FF02


def _amount(message: AV2 | CT2, _: Facts) -> ReasonCode | None:
    assert isinstance(message, CT2)
    return None if message.amount > 0 else ReasonCode.AM01


def _product_limits(message: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    assert isinstance(message, CT2)
    most = facts.profile.limits.tin_max.get(CURRENCY_NAMES.get(message.currency, ""), 0)
    return None if message.amount <= most else ReasonCode.FF07


def _debtor_name(message: AV2 | CT2, _: Facts) -> ReasonCode | None:
    return None if message.debtorName else ReasonCode.BE08


def _reference(message: AV2 | CT2, _: Facts) -> ReasonCode | None:
    assert isinstance(message, CT2)
    return None if message.referenceTransactionId else ReasonCode.BE15


def _alias_limits(message: AV2 | CT2, facts: Facts) -> ReasonCode | None:
    assert isinstance(message, CT2)
    if message.channel != Channel.ALIAS:
        return None
    limits = facts.profile.limits
    currency = CURRENCY_NAMES.get(message.currency, "")
    if message.amount > limits.alias_receive_max.get(currency, 0):
        return ReasonCode.FF07
    today = facts.credited_today + message.amount
    return None if today <= limits.alias_receive_day_max.get(currency, 0) else ReasonCode.FF07


# The signature is checked before a message is read at all, by the wire.
_DECISIONS: Final[Mapping[Check, Decision]] = MappingProxyType(
    {
        Check.INSTRUCTION_UNSEEN: _unseen,
        Check.CHANNEL_ACTIVE: _channel,
        Check.TRANSACTION_TYPE: _transaction_type,
        Check.RECEIVER_OPEN: _receiver_open,
        Check.ORIGINATOR_OPEN: _originator_open,
        Check.CREDITOR_CCI: _creditor_cci,
        Check.ALIAS_AFFILIATED: _affiliated,
        Check.DOCUMENT: _document,
        Check.ACCOUNT_EXISTS: _account_exists,
        Check.ACCOUNT_USABLE: _account_usable,
        Check.ACCOUNT_CURRENCY: _account_currency,
        Check.DEBTOR_CCI: _debtor_cci,
        Check.AMOUNT: _amount,
        Check.PRODUCT_LIMITS: _product_limits,
        Check.DEBTOR_NAME: _debtor_name,
        Check.REFERENCE: _reference,
        Check.ALIAS_LIMITS: _alias_limits,
    }
)
_DECIDED: Final = tuple(step for step in RECEIVER_ORDER if step.check is not Check.SIGNATURE)
_QUERY_STEPS: Final = tuple(_DECISIONS[step.check] for step in _DECIDED if step.in_query)
_ORDER_STEPS: Final = tuple(_DECISIONS[step.check] for step in _DECIDED if step.in_order)
