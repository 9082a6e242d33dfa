"""Fees: the plaza of two accounts, and what a rail costs."""

import pytest
from msgspec.structs import replace

from runtime.files import load_profile
from scheme.fees import alias_fee, plaza_between, rail_fee, tariff_fee
from scheme.profile import Tariff

PERU = load_profile("peru")
LIMA, ALSO_LIMA = "00200110020030040142", "97000110020030040142"
COAST, JUNGLE = "00200210020030040142", "81300210020030040142"


@pytest.mark.parametrize(
    ("debtor", "creditor", "plaza"),
    [
        (LIMA, ALSO_LIMA, "M"),
        (LIMA, COAST, "O"),
        (COAST, "80600210020030040142", "M"),
        (COAST, JUNGLE, "E"),
        (JUNGLE, LIMA, "E"),
        (JUNGLE, JUNGLE, "M"),
        ("", LIMA, "M"),
    ],
)
def test_the_plaza_comes_from_the_offices(debtor: str, creditor: str, plaza: str) -> None:
    assert plaza_between(debtor, creditor, PERU.plazas) == plaza


@pytest.mark.parametrize(
    ("minor", "fee"),
    [
        (0, 700),
        (140_000, 700),
        (140_100, 701),
        (140_099, 700),
        (1_999_900, 10_000),
        (10**9, 10_000),
    ],
)
def test_a_share_is_rounded_half_up_and_kept_in_its_bounds(minor: int, fee: int) -> None:
    assert tariff_fee(PERU.fees.plaza["O"], minor, "PEN") == fee


def test_a_flat_part_comes_on_top_and_a_missing_bound_does_not_bind() -> None:
    tariff = Tariff(flat={"PEN": 3}, basis_points=150)
    assert tariff_fee(tariff, 100, "PEN") == 3 + 2
    assert tariff_fee(tariff, 99, "PEN") == 3 + 1
    assert tariff_fee(tariff, 10**9, "USD") == 15_000_000


@pytest.mark.parametrize(
    ("rail", "plaza", "fee"),
    [
        ("tin", "M", 80),
        ("tin", "O", 700),
        ("network", "O", 0),
        ("deferred", "O", 40),
        ("lbtr", "E", 1500),
        ("on_us", "M", 0),
    ],
)
def test_each_rail_has_its_tariff(rail: str, plaza: str, fee: int) -> None:
    assert rail_fee(rail, 100_000, "PEN", plaza, PERU.fees) == fee


def test_an_alias_is_paid_at_a_flat_fee() -> None:
    profile = replace(PERU, fees=replace(PERU.fees, alias={"PEN": 5}))
    assert alias_fee("PEN", profile) == 5
    assert alias_fee("USD", profile) == 0
