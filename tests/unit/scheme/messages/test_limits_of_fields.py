"""Every field of every message at its limit and one beyond, as its Struct says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scheme.errors import MalformedMessage
from scheme.messages import Message
from scheme.messages.rules import FieldRule, rules_of
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import MESSAGES, decode

GOLDEN = Path(__file__).parents[3] / "golden"
EXAMPLES = {
    name: json.loads(next(iter(sorted(GOLDEN.glob(f"{name}*.json")))).read_bytes())[name]
    for name in MESSAGES
}
ANSWERS = {"AV3", "AV4", "CT3", "CT4", "CTC2", "PSR2", "ET2", "SignOn2", "SignOff2"}
# Where a rule between fields leaves fewer values than the field's own length does.
CLOSED = {
    "applicationCriteria",
    "channel",
    "creationDate",
    "creationTime",
    "creditorCCI",
    "creditorCreditCard",
    "currency",
    "debtorTypeOfPerson",
    "messageTypeId",
    "responseCode",
    "sameCustomerFlag",
    "status",
    "transactionType",
}


def cases() -> Iterator[tuple[str, FieldRule]]:
    for name, message in MESSAGES.items():
        for rule in rules_of(message):
            yield name, rule


ALL = [pytest.param(name, rule, id=f"{name}.{rule.name}") for name, rule in cases()]
OPEN = [
    pytest.param(name, rule, id=f"{name}.{rule.name}")
    for name, rule in cases()
    if rule.name not in CLOSED
]


def read(name: str, field: str, value: object) -> Message:
    body = json.dumps({name: EXAMPLES[name] | {field: value}})
    return decode(body.encode(), MESSAGES[name])


def refused(name: str, field: str, value: object) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        read(name, field, value)
    return caught.value


def is_dropped(name: str, rule: FieldRule) -> bool:
    return name in ANSWERS and rule.may_be_none


def at_least(rule: FieldRule) -> Any:
    return rule.least if rule.kind == "num" else "1" * rule.least


def at_most(rule: FieldRule) -> Any:
    return rule.most if rule.kind == "num" else "1" * rule.most


@pytest.mark.parametrize(("name", "rule"), OPEN)
def test_a_field_at_its_limits_is_taken(name: str, rule: FieldRule) -> None:
    lowest = at_least(rule)
    if (name, rule.name) == ("CT1", "amount") or rule.name in _decisive(name):
        lowest = lowest or at_most(rule)

    for value in (lowest, at_most(rule)):
        assert getattr(read(name, rule.name, value), rule.name) == value


@pytest.mark.parametrize(("name", "rule"), ALL)
def test_a_field_one_beyond_its_limit_is_refused_or_dropped(name: str, rule: FieldRule) -> None:
    for value in _beyond(rule):
        if is_dropped(name, rule) and rule.name not in _decisive(name):
            assert getattr(read(name, rule.name, value), rule.name) is None
        else:
            assert refused(name, rule.name, value).field == rule.name


@pytest.mark.parametrize(("name", "rule"), ALL)
def test_another_json_type_is_refused_or_dropped(name: str, rule: FieldRule) -> None:
    wrong: list[Any] = [[], {}, True, 1.5 if rule.kind == "num" else 7]
    for value in wrong:
        if is_dropped(name, rule) and rule.name not in _decisive(name):
            assert getattr(read(name, rule.name, value), rule.name) is None
        else:
            error = refused(name, rule.name, value)
            assert error.field == rule.name
            assert error.rule in {"text", "whole number of cents"}


@pytest.mark.parametrize(
    ("name", "rule"),
    [case for case in ALL if case.values[1].kind == "n"],  # type: ignore[union-attr]
)
def test_digits_are_ascii_digits(name: str, rule: FieldRule) -> None:
    for character in ("A", " ", "-", "²", "٣"):
        value = character + "1" * (rule.most - 1)
        if is_dropped(name, rule) and rule.name not in _decisive(name):
            assert getattr(read(name, rule.name, value), rule.name) is None
        elif value.strip():
            assert refused(name, rule.name, value).rule in {rule.text, "mandatory"}


@pytest.mark.parametrize(("name", "rule"), ALL)
@pytest.mark.parametrize("absent", ["null", "empty", "blank", "missing"])
def test_a_missing_field_is_refused_only_where_it_is_needed(
    name: str, rule: FieldRule, absent: str
) -> None:
    content = dict(EXAMPLES[name])
    content.pop(rule.name)
    if absent != "missing":
        content[rule.name] = {"null": None, "empty": "", "blank": "  "}[absent]
    body = json.dumps({name: content}).encode()

    if (rule.may_be_none or rule.may_be_empty) and rule.name not in _decisive(name):
        assert not getattr(decode(body, MESSAGES[name]), rule.name)
        return
    with pytest.raises(MalformedMessage) as caught:
        decode(body, MESSAGES[name])
    assert caught.value.field == rule.name
    assert caught.value.rule.startswith("mandatory")
    assert caught.value.name == name
    assert caught.value.reason is _reason(rule.name)


def _beyond(rule: FieldRule) -> list[Any]:
    if rule.kind == "num":
        return [rule.most + 1, rule.least - 1, str(rule.most + 1), 10**30]
    values = ["1" * (rule.most + 1)]
    if rule.least > 1:
        values.append("1" * (rule.least - 1))
    return values


def _decisive(name: str) -> set[str]:
    """Fields the golden message cannot do without, though its Struct alone would let them go."""
    if name in {"AV3", "AV4"}:  # AV4's id, like CT4's, may be empty in a refusal only.
        payee = {"creditorCCI", "creditorName", "creditorId", "creditorIdCode"}
        return payee | {"sameCustomerFlag", "instructionId"}
    if name in {"AV1", "AV2", "CT1", "CT2", "CT5"}:
        return {"creditorCCI"}
    return {"amount", "instructionId"} if name in {"CT3", "CT4"} else set()


def _reason(field: str) -> ReasonCode:
    special = {"debtorName": ReasonCode.BE08, "referenceTransactionId": ReasonCode.BE15}
    return special.get(field, ReasonCode.FF02)
