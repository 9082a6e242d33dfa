"""What happened, as read off the rows of the ledger, whichever rail carried it."""

from enum import Enum, auto
from typing import Final

from msgspec import Struct

from scheme.cci import is_well_formed
from scheme.ledger import HOLDING
from switch.core.cash import CashState, unpack_cash
from switch.core.payment import PaymentState, unpack_payment
from switch.core.records import is_cash, is_other_kind, unpack_transfer
from switch.core.transfer import TransferState


class Outcome(Enum):
    """What became of a transfer, to those whose accounts it concerns."""

    OPEN = auto()
    PAID = auto()
    FAILED = auto()
    NOTHING = auto()
    """There never was an order with accounts."""


class TransferRow(Struct, frozen=True, gc=False):
    """A row of ``transfers``; ``at_ms`` is when it was decided, or else made."""

    number: int
    transfer_id: str
    state: str
    reason: str
    debtor_agent: str
    creditor_agent: str
    currency: str
    minor: int
    at_ms: int
    record: bytes


class ReturnRow(Struct, frozen=True, gc=False):
    """Part of a posted transfer that went back; ``number`` falls from one to the next."""

    number: int
    return_id: str
    minor: int
    at_ms: int
    original: TransferRow


class AlertRow(Struct, frozen=True, gc=False):
    """A position; ``alerted`` is 1 when its low watermark was announced, else 0."""

    ledger: str
    currency: str
    owner: str
    balance_minor: int
    low_minor: int
    alerted: int


class Parties(Struct, frozen=True, gc=False):
    """Who paid whom.

    Attributes:
        debtor_account, creditor_account: CCIs; empty where there is none.
        debtor_name, creditor_name: in full; empty where the order did not say.
        is_cash: at a machine or agent.
    """

    debtor_account: str
    creditor_account: str
    debtor_name: str = ""
    creditor_name: str = ""
    is_cash: bool = False


_T, _P, _C = TransferState, PaymentState, CashState
_PAID: Final = frozenset({_T.POSTED, _T.CONFIRMED, _P.ACSC, _C.APPROVED, _C.DISPUTED_POSTED})
_FAILED: Final = frozenset(
    {_T.REJECTED, _T.EXPIRED, _T.CANCELLED, _T.DISPUTED, _P.RJCT, _C.DECLINED}
)
UNDECIDED: Final = tuple(sorted(HOLDING))
"""States of a row that may be looked at again."""


def outcome_of(state: str) -> Outcome:
    """Return what a stored state means to members."""
    if state in _PAID:
        return Outcome.PAID
    if state in _FAILED:
        return Outcome.FAILED
    return Outcome.OPEN if state in HOLDING else Outcome.NOTHING


def parties_of(row: TransferRow) -> Parties:
    """Return whose accounts a transfer that is no tombstone concerns.

    Raises:
        msgspec.DecodeError: the record is of another version.
    """
    if is_cash(row.transfer_id):
        account = unpack_cash(row.record).account
        # Of a withdrawal by card only the masked number is kept: nobody can be told.
        return Parties(account if is_well_formed(account) else "", "", is_cash=True)
    if is_other_kind(row.transfer_id):
        payment = unpack_payment(row.record)
        return Parties(payment.debtor_cci, payment.creditor_cci)
    ct1 = unpack_transfer(row.record).ct1
    return Parties(
        ct1.debtorCCI, ct1.creditorCCI or "", ct1.debtorName or "", ct1.creditorName or ""
    )
