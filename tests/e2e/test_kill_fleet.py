"""``kill -9`` of the institutions under load: holds, enquiries and payers' orders are resumed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.country import SupervisedCountry
from tests.support.load import Load
from tests.support.payers import Payers

SOAK = (pytest.mark.soak, pytest.mark.timeout(600))


FLEET = ("participants",)
BOTH = ("participants", "switch")


@pytest.mark.parametrize(
    ("victims", "transfers", "strikes", "seed"),
    [
        (FLEET, 600, 2, 7),
        pytest.param(FLEET, 10_000, 5, 8, marks=SOAK),
        pytest.param(BOTH, 10_000, 5, 9, marks=SOAK),
    ],
)
async def test_killed_institutions_credit_once_and_end_their_customers_payments(
    tmp_path: Path, victims: tuple[str, ...], transfers: int, strikes: int, seed: int
) -> None:
    with SupervisedCountry(tmp_path / "home") as country:
        load = Load(country.up(), seed)
        payers = Payers(country, seed)
        paying = asyncio.create_task(payers.run())

        def strike() -> None:
            former = {victim: country.kill(victim) for victim in victims}
            for victim, pid in former.items():
                country.until_back(victim, pid)

        await load.struck(transfers, strikes, strike)
        payers.stop()
        await paying

        await asyncio.to_thread(payers.assert_ended)
        await load.assert_sound()
