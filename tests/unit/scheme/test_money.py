"""Money is counted in minor units and never meets another currency."""

import random

import pytest

from scheme.errors import MalformedMessage
from scheme.money import (
    CODE_BY_CURRENCY,
    CURRENCY_BY_CODE,
    MINOR_DIGITS_MAX,
    Currency,
    Money,
    format_amount,
    parse_amount,
)


def soles(minor: int) -> Money:
    return Money(minor, "PEN")


def test_sums_differences_and_signs_stay_in_the_currency() -> None:
    assert soles(250) + soles(50) == soles(300)
    assert soles(50) - soles(250) == soles(-200)
    assert -soles(50) == soles(-50)


def test_amounts_of_one_currency_have_an_order() -> None:
    assert soles(1) < soles(2)
    assert soles(2) > soles(1)
    assert soles(1) <= soles(1)
    assert soles(1) >= soles(1)
    assert not soles(2) <= soles(1)
    assert not soles(1) >= soles(2)


def test_the_same_number_of_two_currencies_differs() -> None:
    assert soles(1) != Money(1, "USD")


def test_two_currencies_never_meet() -> None:
    dollar = Money(1, "USD")
    with pytest.raises(AssertionError):
        soles(1) + dollar
    with pytest.raises(AssertionError):
        soles(1) - dollar
    with pytest.raises(AssertionError):
        assert soles(1) < dollar


@pytest.mark.parametrize("minor", [1.0, True, "1"])
def test_only_whole_numbers_are_money(minor: object) -> None:
    with pytest.raises(AssertionError):
        Money(minor, "PEN")  # type: ignore[arg-type]


def test_an_unknown_currency_is_no_money() -> None:
    with pytest.raises(AssertionError):
        Money(1, "EUR")  # type: ignore[arg-type]


def test_currency_codes_go_both_ways() -> None:
    assert {CODE_BY_CURRENCY[letters]: letters for letters in CODE_BY_CURRENCY} == CURRENCY_BY_CODE


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("25.50", 2550),
        ("25.5", 2550),
        ("25", 2500),
        ("0.01", 1),
        ("0.99", 99),
        ("1.00", 100),
        ("0", 0),
        ("007", 700),
        ("30,000.00", 3_000_000),
        ("1,005.70", 100_570),
        ("1,000,000", 100_000_000),
        ("9999999999.99", 999_999_999_999),
    ],
)
def test_amounts_are_read_as_written_in_peru(text: str, minor: int) -> None:
    assert parse_amount(text, "PEN") == soles(minor)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-1", "+1", "1.005", "1.", ".5", "1e3", "25,50", "1,00", "1,0000", ",100",
        "1 000", "S/ 1", "NaN", "Infinity", "1_000", "0x10", "1.2.3", " 1", "1\n", "٢٥",
        "10000000000.00",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage) as refused:
        parse_amount(text, "PEN")
    assert refused.value.field == "amount"


def test_leading_zeros_do_not_count_towards_the_length() -> None:
    assert parse_amount("0" * 20 + "1", "USD") == Money(100, "USD")


@pytest.mark.parametrize(
    ("minor", "text"), [(2550, "25.50"), (1, "0.01"), (0, "0.00"), (-99, "-0.99"), (100, "1.00")]
)
def test_amounts_are_printed_with_two_decimals(minor: int, text: str) -> None:
    assert format_amount(soles(minor)) == text
    assert str(soles(minor)) == f"PEN {text}"


@pytest.mark.parametrize("currency", ["PEN", "USD"])
def test_printing_and_reading_give_the_amount_back(currency: Currency) -> None:
    rng = random.Random(7)
    for _ in range(500):
        amount = Money(rng.randrange(10 ** rng.randint(1, MINOR_DIGITS_MAX)), currency)
        assert parse_amount(format_amount(amount), currency) == amount
