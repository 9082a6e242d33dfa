from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from participants.core import payment
from participants.core.book import AccountStatus
from participants.core.payment import Meaning, Payee, Spent, Terms
from participants.core.session import SessionState
from scheme.codes import Channel
from scheme.messages import CT4, SNM972, SNM982
from scheme.network import Participant
from tests.support.fleet_world import CREDITOR_CCI, MEMBERS, PROFILE, an_account, golden

OWN = Participant(code="0970", name="C", kind="coop")
PAYEE = Payee(code="0971", cci=CREDITOR_CCI, channel=Channel.MOBILE)
ALIAS = Payee(code="0971", cci="971" + "9" * 17, channel=Channel.ALIAS, phone="900000202")
TERMS = Terms(amount=100, fee=80, currency="PEN")


def open_session() -> SessionState:
    session = SessionState("0970", MEMBERS)
    session.sign(on=True)
    return session


def objection(session: SessionState | None = None, **changes: Any) -> str | None:
    payee = changes.pop("payee", PAYEE)
    found = payment.objection(
        an_account(**changes), payee, TERMS, OWN, session or open_session(),
        directories=frozenset({"0901"}),
    )  # fmt: skip
    return None if found is None else found.field


def test_a_sound_payment_meets_no_objection() -> None:
    assert objection() is None
    assert objection(balance=180) is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status": AccountStatus.BLOCKED}, "debtor"),
        ({"currency": "USD"}, "currency"),
        ({"balance": 179}, "amount"),
        ({"balance": 1_000, "held": 821}, "amount"),
    ],
)
def test_the_payers_account_may_object(changes: dict[str, Any], field: str) -> None:
    assert objection(**changes) == field


def test_both_institutions_have_to_be_signed_on_and_free() -> None:
    closed = SessionState("0970", MEMBERS)
    blocked = open_session()
    blocked.hear(golden("SNM972", SNM972, memberIdentification="0970", status="BLOCKED"))
    off = open_session()
    off.hear(golden("SNM982", SNM982, participantIdentification="0971", participantStatus="OFF"))

    assert objection(closed) == objection(blocked) == "debtor"
    assert objection(off) == "creditor"


def test_a_directory_is_not_asked_for_its_session() -> None:
    directory = Payee(code="0901", cci="901" + "9" * 17, channel=Channel.ALIAS)

    assert objection(payee=directory) is None


def limit(amount: int, spent: Spent = Spent(), currency: str = "PEN") -> str | None:  # noqa: B008
    terms = Terms(amount=amount, fee=0, currency=currency)
    found = payment.limit_objection(terms, ALIAS, spent, PROFILE)
    return None if found is None else found.field


def test_limits_of_aliases_hold_at_their_very_numbers() -> None:
    limits = PROFILE.limits
    least, most = limits.alias_min["PEN"], limits.alias_max["PEN"]
    day, operations = limits.alias_day_max["PEN"], limits.alias_day_operations

    assert limit(least) is limit(most) is None
    assert limit(least - 1) == limit(most + 1) == "amount"
    assert limit(most, Spent(day - most, 1)) is None
    assert limit(most, Spent(day - most + 1, 1)) == "amount"
    assert limit(least, Spent(0, operations - 1)) is None
    assert limit(least, Spent(0, operations)) == "amount"
    assert limit(least, currency="USD") == "currency"


def test_the_limit_of_a_transfer_to_an_account_holds_at_its_very_number() -> None:
    most = PROFILE.limits.tin_max["PEN"]
    for amount, field in ((most, None), (most + 1, "amount")):
        terms = Terms(amount=amount, fee=0, currency="PEN")
        found = payment.limit_objection(terms, PAYEE, Spent(), PROFILE)
        assert (found and found.field) == field


@pytest.mark.parametrize(
    ("code", "reason", "transfer", "is_repeat", "expected"),
    [
        ("00", None, "T1", False, Meaning.EXECUTED),
        ("00", None, "T1", True, Meaning.EXECUTED),
        ("05", "AC01", "T1", True, Meaning.REFUSED),
        ("05", "BE15", "", True, Meaning.REFUSED),
        ("05", "DS0A", "", False, Meaning.REFUSED),
        ("05", "DS0A", "", True, Meaning.UNKNOWN),
        ("05", "AM05", "", False, Meaning.UNKNOWN),
        # The creditor's own reasons, under the transfer's id.
        ("05", "AM05", "T1", False, Meaning.REFUSED),
        ("05", "AM05", "T1", True, Meaning.REFUSED),
        ("05", "DS0A", "T1", True, Meaning.REFUSED),
    ],
)
def test_what_an_answer_says_about_the_money(
    code: str, reason: str | None, transfer: str, is_repeat: bool, expected: Meaning
) -> None:
    answer = golden("CT4", CT4, responseCode=code, reasonCode=reason, instructionId=transfer)

    assert payment.meaning(answer, is_repeat=is_repeat) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (80, "M")),
        ({"cci": "81300210020030040142"}, (1_500, "E")),
        ({"cci": "00200210020030040142"}, (700, "O")),
        ({"code": "0972"}, (0, "M")),
        ({"channel": Channel.ALIAS}, (0, "M")),
        ({"qr_id": "00000000000000000001"}, (0, "M")),
    ],
)
def test_a_payment_costs_what_its_rail_and_plaza_do(
    changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    terms = payment.terms_of(
        an_account(),
        replace(PAYEE, **changes),
        amount=100_000,
        currency="PEN",
        description="",
        network=frozenset({"0972"}),
        profile=PROFILE,
    )
    assert (terms.fee, str(terms.plaza)) == expected
