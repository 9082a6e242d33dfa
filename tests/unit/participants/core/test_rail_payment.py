"""The debtor's side of a payment, whatever the order in which statuses come."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from participants.core.book import RailPayment, RailState, Role
from participants.core.rail_payment import after_status, after_transfer, changed, moved

_S = RailState


def a_payment(role: Role = Role.DEBTOR) -> RailPayment:
    return RailPayment(
        participant="0970",
        payment_id="P1",
        role=role,
        state=_S.PENDING,
        counterparty="0971",
        cci="1",
        amount=100,
        fee=7,
        currency="PEN",
        rail="deferred",
    )


def booked(statuses: tuple[str, ...], *, has_account: bool = True) -> tuple[RailState | None, int]:
    """Return the state after some statuses, and what the account lost or got."""
    state: RailState | None = None
    total = 0
    for status in statuses:
        target = after_status(state, status, has_account=has_account)
        if target is not None:
            after = changed(a_payment(), target, reason="", at_ms=1, sequence=1)
            total += sum(one.minor for one in moved(state, after))
            state = target
    return state, total


@pytest.mark.parametrize("statuses", list(permutations(("ACSP", "ACSC"))))
def test_a_settled_payment_is_debited_once_in_any_order(statuses: tuple[str, ...]) -> None:
    assert booked(statuses) == (_S.FINAL, -107)
    assert booked(statuses + statuses) == (_S.FINAL, -107)


def test_a_rejected_payment_costs_nothing_in_any_order() -> None:
    assert booked(("ACSP", "RJCT", "RJCT")) == (_S.REJECTED, 0)
    assert booked(("RJCT", "ACSP")) == (_S.REFUSED, 0)


def test_what_waits_for_its_settlement_is_debited_already() -> None:
    assert booked(("ACSP", "ACSP")) == (_S.PENDING, -107)


@pytest.mark.parametrize("statuses", list(product(("ACSP", "ACSC", "RJCT"), repeat=3)))
def test_an_unknown_account_is_never_moved(statuses: tuple[str, ...]) -> None:
    state, total = booked(statuses, has_account=False)
    assert total == 0
    assert state in {_S.UNAPPLIED, _S.REFUSED}


def test_the_creditor_is_credited_once_with_the_amount_alone() -> None:
    first = after_transfer(None, has_account=True)
    assert first is _S.FINAL
    (posting,) = moved(
        None, changed(a_payment(Role.CREDITOR), first, reason="", at_ms=1, sequence=1)
    )
    assert (posting.role, posting.minor) == (Role.CREDITOR, 100)
    assert after_transfer(first, has_account=True) is None
    assert after_transfer(None, has_account=False) is _S.UNAPPLIED
