"""``kill -9`` of the switch under load: what was told stands, nothing is paid twice or lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.country import HandStartedCountry, SupervisedCountry
from tests.support.load import Load

SOAK = (pytest.mark.soak, pytest.mark.timeout(600))


@pytest.mark.parametrize(
    ("transfers", "strikes", "seed"),
    [(2000, 3, 1), *(pytest.param(10_000, 5, seed, marks=SOAK) for seed in (2, 3, 4))],
)
async def test_a_supervised_switch_that_is_killed_keeps_its_word(
    tmp_path: Path, transfers: int, strikes: int, seed: int
) -> None:
    with SupervisedCountry(tmp_path / "home") as country:
        load = Load(country.up(), seed)

        await load.struck(
            transfers,
            strikes,
            lambda: country.until_back("switch", country.kill("switch")),
        )

        await load.assert_sound()


@pytest.mark.parametrize(
    ("transfers", "strikes", "seed"), [(400, 2, 5), pytest.param(10_000, 5, 6, marks=SOAK)]
)
async def test_a_switch_started_again_by_hand_keeps_its_word(
    tmp_path: Path, transfers: int, strikes: int, seed: int
) -> None:
    with HandStartedCountry(tmp_path / "home") as country:
        country.start("switch", "participants")
        country.wait_until_open()
        load = Load(country, seed)

        def strike() -> None:
            country.kill("switch")
            country.start("switch")
            country.wait_until_open()

        await load.struck(transfers, strikes, strike)

        await load.assert_sound()
