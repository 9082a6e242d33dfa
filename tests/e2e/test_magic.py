"""Every magic value across the whole country: the documented end, and books that agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from participants.core.magic import MAGIC, MAGIC_SOLES, Act, Magic
from scheme.people import MAGIC_ORDER_PHONES, MAGIC_VERIFICATION_PHONES
from tests.support.country import HURRIED, ROOT, SupervisedCountry
from tests.support.load import assert_settled

PAYEE = "97100220030040050213"
AT_ONCE = 16
PAYMENTS_EACH = 8
"""By phone: fewer than the lookups that a payer may make in ten minutes."""
SHORT = {**HURRIED, "ct_expiry_s": 1.5, "av_expiry_s": 1.5}

Ends = dict[int, tuple[str, str | None]]

_GOOD = frozenset(
    {Act.VARIANT, Act.CT5_ERROR, Act.CT5_DROP, Act.CT5_FORGET, Act.CT5_TEXT, Act.BAD_SIGNATURE}
)
"""Paid in the end; a signature cannot be spoilt where nobody signs."""


def expected(magic: Magic) -> tuple[str, str | None]:
    """Return state and reason that a payer sees, at the verification as at the order."""
    if magic.act is Act.REFUSE:
        return "REJECTED", magic.reason
    return ("FINAL", None) if magic.act in _GOOD else ("REJECTED", "AB05")


def payers(country: SupervisedCountry) -> Iterator[tuple[str, str]]:
    """Yield institution and account of one customer after another, each some times."""
    for code in ("0970", "0003"):
        for one in country.hook(code, "accounts?limit=50")["accounts"]:
            if one["currency"] == "PEN":
                yield from [(code, one["cci"])] * PAYMENTS_EACH


def ends(
    country: SupervisedCountry,
    source: Iterator[tuple[str, str]],
    orders: dict[int, dict[str, Any]],
) -> Ends:
    """Pay all orders, some at once, each by the next payer; return how each ended."""
    made = {number: (next(source), order) for number, order in orders.items()}

    def pay(number: int) -> tuple[int, tuple[str, str | None]]:
        (code, cci), order = made[number]
        ended = country.pay(code, order | {"debtor": cci})
        return number, (ended["state"], ended["reason_code"])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return dict(threads.map(pay, orders))


def by_phone(first: int) -> dict[int, dict[str, Any]]:
    return {
        number: {"creditor": {"phone": str(first + number)}, "amount": 1000} for number in MAGIC
    }


def test_every_magic_value_ends_as_documented_and_no_money_is_lost(tmp_path: Path) -> None:
    at_order = {number: expected(magic) for number, magic in MAGIC.items()}
    at_query = {
        number: expected(magic) if magic.at_query else ("FINAL", None)
        for number, magic in MAGIC.items()
    }
    # A query moves no money, so a refusal without its reason need not be taken for silence.
    at_query |= {n: ("REJECTED", "FF07") for n, one in MAGIC.items() if one.act is Act.NO_REASON}
    with SupervisedCountry(tmp_path / "home", timers=SHORT) as country:
        country.up()
        source = payers(country)

        by_amount = {
            number: {"creditor": {"cci": PAYEE}, "amount": MAGIC_SOLES + number} for number in MAGIC
        }
        assert ends(country, source, by_amount) == at_order
        assert ends(country, source, by_phone(MAGIC_ORDER_PHONES)) == at_order
        assert ends(country, source, by_phone(MAGIC_VERIFICATION_PHONES)) == at_query

        assert_settled(country)
        states = {one["state"] for one in country.transfers()}
        assert states == {"CONFIRMED", "REJECTED", "CANCELLED"}


@pytest.mark.parametrize("page", ["magic-values.md"])
def test_the_documented_values_are_those_that_act(page: str) -> None:
    text = (ROOT / "docs" / "howto" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\d) \| 66\.\1 \| (\d{9}|-) \| (\d{9}) \|", text, re.MULTILINE)
    assert {int(number) for number, _, _ in rows} == set(MAGIC)
    for number, at_query, at_order in rows:
        assert int(at_order) == MAGIC_ORDER_PHONES + int(number)
        acts = MAGIC[int(number)].at_query
        assert at_query == (str(MAGIC_VERIFICATION_PHONES + int(number)) if acts else "-")
