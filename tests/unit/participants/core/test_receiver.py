from __future__ import annotations

from typing import Any

import pytest

from participants.core.book import Account, AccountStatus
from participants.core.receiver import Facts, refusal
from participants.core.session import SessionState
from scheme.messages import AV2, CT2, SNM972
from tests.support.fleet_world import (
    MEMBERS,
    PROFILE,
    a_ct2,
    an_account,
    an_av2,
    golden,
)


def facts(*, signed_on: bool = True, account: Account | None = None, **changes: Any) -> Facts:
    session = SessionState("0971", MEMBERS)
    session.sign(on=signed_on)
    said: dict[str, Any] = {"is_seen": False, "account": account or an_account()}
    return Facts(profile=PROFILE, session=session, **(said | changes))


@pytest.mark.parametrize("message", [an_av2(), a_ct2()], ids=["AV2", "CT2"])
def test_a_sound_message_passes_every_step(message: AV2 | CT2) -> None:
    assert refusal(message, facts()) is None


BOTH: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("AM05", {}, {"is_seen": True}),
    ("FF07", {"channel": "77"}, {}),
    ("AC14", {"transactionType": "321"}, {}),
    ("FF07", {}, {"signed_on": False}),
    ("DNOR", {"debtorParticipantCode": "0989"}, {}),
    ("FF02", {"creditorCCI": "971"}, {}),
    ("BE16", {"debtorIdCode": "2", "debtorId": "123"}, {}),
    ("AC06", {}, {"account": an_account(status=AccountStatus.BLOCKED)}),
    ("AC07", {}, {"account": an_account(status=AccountStatus.CLOSED)}),
    ("AC11", {}, {"account": an_account(currency="USD")}),
]


@pytest.mark.parametrize(("reason", "changes", "known"), BOTH)
def test_query_and_order_are_refused_alike(
    reason: str, changes: dict[str, Any], known: dict[str, Any]
) -> None:
    assert refusal(an_av2(**changes), facts(**known)) == reason
    assert refusal(a_ct2(**changes), facts(**known)) == reason


def test_an_unknown_account_is_refused() -> None:
    nobody = Facts(profile=PROFILE, session=facts().session, is_seen=False, account=None)

    assert refusal(an_av2(), nobody) == "AC01"
    assert refusal(a_ct2(), nobody) == "AC01"


def test_an_alias_is_looked_at_before_the_account_and_only_in_the_query() -> None:
    moved = facts(account=an_account(affiliated=False))

    assert refusal(an_av2(channel="52"), moved) == "CH11"
    assert refusal(a_ct2(channel="52"), moved) is None


ORDER_ONLY: list[tuple[str, dict[str, Any], int]] = [
    ("FF02", {"debtorCCI": "9700011002003004014X"}, 0),
    ("AM01", {"amount": 0}, 0),
    ("FF07", {"amount": PROFILE.limits.tin_max["PEN"] + 1}, 0),
    ("BE08", {"debtorName": ""}, 0),
    ("BE15", {"referenceTransactionId": ""}, 0),
    ("FF07", {"channel": "52", "amount": PROFILE.limits.alias_receive_max["PEN"] + 1}, 0),
    ("FF07", {"channel": "52"}, PROFILE.limits.alias_receive_day_max["PEN"] - 12_499),
]


@pytest.mark.parametrize(("reason", "changes", "credited"), ORDER_ONLY)
def test_an_order_is_refused(reason: str, changes: dict[str, Any], credited: int) -> None:
    assert refusal(a_ct2(**changes), facts(credited_today=credited)) == reason


def test_limits_hold_at_their_very_amount() -> None:
    most = PROFILE.limits
    at_most = a_ct2(amount=most.tin_max["PEN"])
    by_alias = a_ct2(channel="52", amount=most.alias_receive_max["PEN"])
    day = most.alias_receive_day_max["PEN"] - by_alias.amount

    assert refusal(at_most, facts()) is None
    assert refusal(by_alias, facts(credited_today=day)) is None


def test_the_first_failing_step_answers() -> None:
    wrong_in_all = a_ct2(
        channel="77", transactionType="321", debtorParticipantCode="0989", amount=0
    )

    assert refusal(wrong_in_all, facts(is_seen=True)) == "AM05"
    assert refusal(wrong_in_all, facts()) == "FF07"


def test_a_blocked_originator_is_refused() -> None:
    known = facts()
    known.session.hear(golden("SNM972", SNM972, memberIdentification="0970", status="BLOCKED"))

    assert refusal(a_ct2(), known) == "DNOR"
