from __future__ import annotations

import re
from pathlib import Path

import pytest

from participants.core.magic import MAGIC, Act, Magic, at_order, at_verification
from scheme.people import MAGIC_NUMBERS, magic_people
from scheme.reasons import ReasonCode

PAGE = Path(__file__).resolve().parents[4] / "docs/howto/magic-values.md"
DIRECTORY_ONLY = {ReasonCode.IREG, ReasonCode.UREG}


def test_every_reason_that_a_receiver_may_give_has_a_number() -> None:
    assert {magic.reason for magic in MAGIC.values()} - {None} == (set(ReasonCode) - DIRECTORY_ONLY)


@pytest.mark.parametrize("number", sorted(MAGIC))
def test_amount_and_phone_of_a_number_mean_the_same_at_the_order(number: int) -> None:
    expected = MAGIC[number]

    assert at_order("900000202", 6600 + number, "604") is expected
    assert at_order(f"9000991{number:02}", 100, "604") is expected
    assert at_verification(f"9000990{number:02}") is (expected if expected.at_query else None)


@pytest.mark.parametrize(
    ("phone", "amount", "currency"),
    [
        ("900000202", 6600, "604"),
        ("900000202", 6661, "604"),
        ("900000202", 6601, "840"),
        ("900099001", 100, "604"),
    ],
)
def test_anything_else_means_nothing_at_the_order(phone: str, amount: int, currency: str) -> None:
    assert at_order(phone, amount, currency) is None


def test_each_number_has_its_two_persons() -> None:
    phones = {person.phone for person in magic_people()}

    assert phones == {f"900099{rail}{number:02}" for rail in (0, 1) for number in MAGIC_NUMBERS}


def test_every_act_can_be_asked_for() -> None:
    assert {magic.act for magic in MAGIC.values()} == set(Act)


def row(number: int, magic: Magic) -> str:
    phone = f"9000990{number:02}" if magic.at_query else "-"
    return f"| {number:02} | 66.{number:02} | {phone} | 9000991{number:02} | {magic.text} |"


def test_the_page_is_in_step_with_the_table() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d\d \| 66", line)]

    assert rows == [row(number, magic) for number, magic in sorted(MAGIC.items())]
