"""Payments of the deferred and LBTR rails, and returns, in an institution's book.

                 ACSP          ACSC         RJCT
    (none)       PENDING       FINAL        REFUSED       debtor's side: pacs.002
    PENDING      -             FINAL        REJECTED
    UNAPPLIED    -             -            REFUSED

The customer is debited with PENDING, or with FINAL if that comes first, and given back with
REJECTED. The creditor's side is one step: pacs.008 credits it. A return (pacs.004) is a payment
the other way: whoever was credited gives. Messages repeat and overtake each other; what is not in
the table changes nothing. UNAPPLIED: the account is not here, and nobody's balance moved.
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from participants.core.book import Posting, RailPayment, RailState, Role
from scheme.messages.payment import ACCEPTED, REJECTED, SETTLED
from scheme.reasons import ReasonCode

RETURN_RAIL: Final = "return"
UNKNOWN_ACCOUNT: Final = ReasonCode.AC01.value


_S = RailState
STATUS_TABLE: Final[Mapping[tuple[RailState | None, str], RailState]] = {
    (None, ACCEPTED): _S.PENDING,
    (None, SETTLED): _S.FINAL,
    (None, REJECTED): _S.REFUSED,
    (_S.PENDING, SETTLED): _S.FINAL,
    (_S.PENDING, REJECTED): _S.REJECTED,
    (_S.UNAPPLIED, REJECTED): _S.REFUSED,
}
_DEBITED: Final = frozenset({_S.PENDING, _S.FINAL, _S.REJECTED})


def after_status(known: RailState | None, status: str, *, has_account: bool) -> RailState | None:
    """Return the debtor's side after a pacs.002, or None if it changes nothing."""
    target = STATUS_TABLE.get((known, status))
    if target in _DEBITED and known is None and not has_account:
        return _S.UNAPPLIED
    return target


def after_transfer(known: RailState | None, *, has_account: bool) -> RailState | None:
    """Return one side of a settled transfer or return, or None if it is in the book already."""
    if known is not None:
        return None
    return _S.FINAL if has_account else _S.UNAPPLIED


def moved(before: RailState | None, after: RailPayment) -> tuple[Posting, ...]:
    """Return what a change of state does to the account's balance."""
    one = after.payment_id
    if after.role is Role.CREDITOR:
        if after.state is _S.FINAL and before is None:
            return (Posting(Role.CREDITOR, one, after.cci, after.amount),)
        return ()
    if before is None and after.state in _DEBITED:
        return (Posting(Role.DEBTOR, one, after.cci, -after.total),)
    if before is _S.PENDING and after.state is _S.REJECTED:
        return (Posting(Role.REFUND, one, after.cci, after.total),)
    return ()


def changed(
    one: RailPayment, state: RailState, *, reason: str, at_ms: int, sequence: int
) -> RailPayment:
    """Return a payment in its next state, as change number ``sequence`` of the book."""
    return replace(one, state=state, reason=reason, at_ms=at_ms, sequence=sequence)
