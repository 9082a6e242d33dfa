"""Rules between fields."""

import json
from pathlib import Path
from typing import Any

import pytest

from scheme.errors import MalformedMessage
from scheme.messages import Message
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import MESSAGES, decode

GOLDEN = Path(__file__).parents[3] / "golden"


def body(golden: str, **changes: Any) -> tuple[bytes, type[Message]]:
    document = json.loads((GOLDEN / f"{golden}.json").read_bytes())
    root = next(iter(document))
    document[root] |= changes
    return json.dumps(document).encode(), MESSAGES[root]


BROKEN = [
    ("AV1-by-phone", {"creditorMobileNumber": None}, "creditorMobileNumber", "mandatory when"),
    ("AV1-by-qr", {"proxyValue": ""}, "creditorMobileNumber", "mandatory when"),
    ("AV1-by-phone", {"currency": "840"}, "currency", "604 when channel is 52"),
    ("AV1-by-cci", {"currency": "978"}, "currency", "604 or 840"),
    ("AV1-by-cci", {"creditorCCI": "971" + "9" * 17}, "creditorCCI", "an account"),
    ("AV1-by-cci", {"creditorCCI": None}, "creditorCCI", "mandatory unless"),
    ("AV1-by-cci", {"transactionType": "325"}, "creditorCCI", "absent when"),
    (
        "AV1-by-cci",
        {"transactionType": "325", "creditorCCI": None},
        "creditorCreditCard",
        "mandatory when",
    ),
    ("AV1-by-cci", {"debtorTypeOfPerson": "X"}, "debtorTypeOfPerson", "N or J"),
    ("AV1-by-cci", {"creationDate": "20261301"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "20260132"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "00000115"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "20260231"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "20260431"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "20260229"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "21000229"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "20260100"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationDate": "20260001"}, "creationDate", "a date"),
    ("AV1-by-cci", {"creationTime": "240000"}, "creationTime", "a time"),
    ("AV1-by-cci", {"creationTime": "106000"}, "creationTime", "a time"),
    ("AV1-by-cci", {"creationTime": "100060"}, "creationTime", "a time"),
    ("AV2", {"creditorCCI": "971" + "9" * 17}, "creditorCCI", "an account"),
    ("AV3-accepted", {"creditorName": None}, "creditorName", "mandatory when"),
    ("AV3-accepted", {"creditorName": "X" * 141}, "creditorName", "at most 140 characters"),
    ("AV3-accepted", {"creditorId": ""}, "creditorId", "mandatory when"),
    ("AV3-accepted", {"creditorIdCode": None}, "creditorIdCode", "mandatory when"),
    ("AV3-accepted", {"sameCustomerFlag": None}, "sameCustomerFlag", "mandatory when"),
    ("AV3-accepted", {"sameCustomerFlag": "X"}, "sameCustomerFlag", "M or O"),
    ("AV3-accepted", {"creditorCCI": "1"}, "creditorCCI", "20 digits"),
    ("AV3-accepted", {"responseCode": "99"}, "responseCode", "00 or 05"),
    (
        "AV3-accepted",
        {"transactionType": "325", "creditorCCI": None},
        "creditorCreditCard",
        "mandatory when",
    ),
    ("AV4-by-cci", {"creditorName": None}, "creditorName", "mandatory when"),
    ("CT1-by-cci", {"creditorCCI": "971" + "9" * 17}, "creditorCCI", "an account"),
    ("CT1-by-phone", {"creditorCCI": "971" + "9" * 17}, "creditorCCI", "an account"),
    ("CT1-by-cci", {"messageTypeId": "0210"}, "messageTypeId", "0200 or 0201"),
    ("CT1-by-cci", {"applicationCriteria": "X"}, "applicationCriteria", "M, O or E"),
    ("CT1-by-cci", {"sameCustomerFlag": "X"}, "sameCustomerFlag", "M or O"),
    ("CT1-by-cci", {"channel": "52", "currency": "840"}, "currency", "604 when channel is 52"),
    ("CT1-by-cci", {"amount": -1}, "amount", "not negative"),
    ("CT2", {"applicationCriteria": "m"}, "applicationCriteria", "M, O or E"),
    ("CT3", {"responseCode": "05"}, "reasonCode", "mandatory when responseCode is 05"),
    ("CT3", {"responseCode": "01"}, "responseCode", "00 or 05"),
    ("CT3", {"amount": "12x"}, "amount", "whole number of cents"),
    ("CT3", {"instructionId": None}, "instructionId", "mandatory"),
    ("CT4", {"responseCode": "05"}, "reasonCode", "mandatory when responseCode is 05"),
    ("CT5", {"responseCode": "05"}, "responseCode", "00"),
    ("AV4-by-cci", {"instructionId": None}, "instructionId", "mandatory when"),
    ("CT4", {"instructionId": ""}, "instructionId", "mandatory when"),
    ("PSR2", {"responseCode": "00", "instructionId": ""}, "instructionId", "mandatory when"),
    ("CTC2", {"responseCode": "99"}, "responseCode", "00 or 05"),
    ("PSR2", {"responseCode": "01"}, "responseCode", "00, 05 or 99"),
    ("PSR2", {"responseCode": "00", "amount": None}, "amount", "mandatory when"),
    ("ET2", {"status": "99"}, "status", "00 or 05"),
    ("SignOn1", {"creationTime": "999999"}, "creationTime", "a time"),
]


@pytest.mark.parametrize(("golden", "changes", "field", "rule"), BROKEN)
def test_a_broken_condition_names_field_and_rule(
    golden: str, changes: dict[str, Any], field: str, rule: str
) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(*body(golden, **changes))

    assert caught.value.field == field
    assert caught.value.rule.startswith(rule)
    assert caught.value.reason is ReasonCode.FF02


@pytest.mark.parametrize(
    ("golden", "changes"),
    [
        ("AV1-by-cci", {"transactionType": "325", "creditorCCI": None, "creditorCreditCard": "4"}),
        ("AV1-by-qr", {"proxyType": None}),
        ("AV1-by-phone", {"creditorCCI": "97100220030040050213"}),
        ("AV2", {"proxyType": "MSISDN", "proxyValue": "900000202"}),
        ("AV3-refused", {"reasonCode": None, "creditorCCI": None}),
        ("CT1-by-cci", {"purposeCode": None}),
        ("CT1-by-cci", {"terminalId": "SIM000"}),
        ("CT1-by-cci", {"creationDate": "20280229"}),
        ("CT1-by-cci", {"creationDate": "20000229"}),
        ("CT1-by-cci", {"creationDate": "20261231"}),
        ("CT1-by-cci", {"currency": "840", "messageTypeId": "0201"}),
        ("CT2", {"amount": 0}),
        ("CT4", {"responseCode": "05", "reasonCode": "FF02", "instructionId": "", "trace": None}),
        ("AV4-by-cci", {"responseCode": "05", "instructionId": "", "creditorName": None}),
        ("CT3", {"responseCode": "05", "reasonCode": "AC01", "amount": None}),
        ("CT5", {"settlementDate": "20250115", "interbankSettlementAmount": 501000}),
        ("CTC2", {"responseCode": "05", "reasonCode": None}),
        ("ET2", {"status": "05", "reasonCode": "FF02"}),
    ],
)
def test_what_connectors_lawfully_send_is_taken(golden: str, changes: dict[str, Any]) -> None:
    raw, expected = body(golden, **changes)

    message = decode(raw, expected)

    assert {name: getattr(message, name) for name in changes} == changes


def test_a_zero_amount_is_refused_as_such_and_only_after_format_faults() -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(*body("CT1-by-cci", amount=0))
    assert (caught.value.field, caught.value.reason) == ("amount", ReasonCode.AM01)

    with pytest.raises(MalformedMessage) as caught:
        decode(*body("CT1-by-cci", amount=0, currency="978"))
    assert (caught.value.field, caught.value.reason) == ("currency", ReasonCode.FF02)


def test_a_zero_amount_is_refused_as_such_before_a_placeholder() -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(*body("CT1-by-cci", amount=0, creditorCCI="971" + "9" * 17))
    assert (caught.value.field, caught.value.reason) == ("amount", ReasonCode.AM01)


def test_an_enquiry_answered_with_not_found_may_know_nothing_else() -> None:
    raw, expected = body("PSR2")
    known = {"responseCode": "99", "instructionId": "2026011510200509704191000131"}
    nothing = dict.fromkeys(json.loads(raw)["PSR2"]) | known

    message = decode(json.dumps({"PSR2": nothing}).encode(), expected)

    assert (message.responseCode, message.amount) == ("99", None)  # type: ignore[attr-defined]


def test_a_card_query_may_be_accepted_without_an_account() -> None:
    card = {"transactionType": "325", "creditorCCI": None, "creditorCreditCard": "4000"}

    message = decode(*body("AV3-accepted", **card))

    assert (message.creditorCCI, message.creditorCreditCard) == (None, "4000")  # type: ignore[attr-defined]
