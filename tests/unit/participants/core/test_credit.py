from __future__ import annotations

import pytest
from msgspec.structs import replace

from participants.core import credit
from participants.core.book import CreditOrder, CreditState
from participants.core.credit import Confirmation, confirmation
from scheme.reasons import ReasonCode
from tests.support.fleet_world import PROFILE, START, a_ct2, a_ct5, a_psr2

TIMERS = PROFILE.timers


def held() -> CreditOrder:
    return credit.received(a_ct2(), "0971", None, START, TIMERS)


def test_an_accepted_order_is_held_and_asked_about_later() -> None:
    order = held()

    assert order.state is CreditState.HELD
    assert order.enquiry_ms - order.at_ms == TIMERS.enquiry_first_s * 1000


def test_a_refused_order_is_kept_and_not_asked_about() -> None:
    order = credit.received(a_ct2(), "0971", ReasonCode.AC01, START, TIMERS)

    assert (order.state, order.reason, order.enquiry_ms) == (CreditState.REFUSED, "AC01", 0)


def test_a_confirmation_posts_a_held_order_once() -> None:
    order = held()
    final = credit.posted(order, START, "20260115")

    assert confirmation(order, a_ct5(), "0971") is Confirmation.POST
    assert confirmation(final, a_ct5(), "0971") is Confirmation.ALREADY_POSTED


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 12501},
        {"feeAmount": 81},
        {"creditorCCI": "97200130040050060325"},
        {"creditorParticipantCode": "0972"},
    ],
)
def test_a_confirmation_that_differs_is_a_mismatch(changes: dict[str, object]) -> None:
    assert confirmation(held(), a_ct5(**changes), "0971") is Confirmation.MISMATCH


def test_the_settlement_amount_of_a_confirmation_is_not_compared() -> None:
    odd = a_ct5(interbankSettlementAmount=501_000)

    assert confirmation(held(), odd, "0971") is Confirmation.POST


def test_a_confirmation_of_nothing_is_unknown() -> None:
    never = credit.never_received("0971", a_ct5().instructionId, START)

    assert confirmation(None, a_ct5(), "0971") is Confirmation.UNKNOWN
    assert confirmation(never, a_ct5(), "0971") is Confirmation.UNKNOWN


def test_a_confirmation_of_a_rejected_order_is_a_contradiction() -> None:
    gone = credit.rejected(held(), "DS24", START)

    assert confirmation(gone, a_ct5(), "0971") is Confirmation.CONTRADICTION


def test_an_enquiry_answer_agrees_only_with_its_own_order() -> None:
    assert credit.agrees(held(), a_psr2("00"))
    assert not credit.agrees(held(), a_psr2("00", amount=1))
    assert not credit.agrees(held(), a_psr2("00", instructionId="other"))


def test_enquiries_wait_as_listed_then_twice_as_long_up_to_the_most() -> None:
    waits = [credit.enquiry_wait_s(number, TIMERS) for number in range(12)]

    assert waits[:6] == [15, 15, 15, 30, 60, 120]
    assert waits[-1] == credit.enquiry_wait_s(10_000, TIMERS) == TIMERS.enquiry_wait_max_s


def test_an_enquiry_without_outcome_names_the_next_one() -> None:
    again = credit.enquired_again(held(), START, TIMERS)

    assert again.enquiries == 1
    assert again.enquiry_ms - again.at_ms == TIMERS.enquiry_waits_s[0] * 1000


def test_only_a_held_order_can_be_posted() -> None:
    with pytest.raises(AssertionError):
        credit.posted(replace(held(), state=CreditState.REFUSED), START, "20260115")
