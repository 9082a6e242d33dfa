"""``kill -9`` of the institutions under load: holds, enquiries and payers' orders are resumed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.country import SupervisedCountry
from tests.support.load import Load
from tests.support.payers import Payers

SOAK = (pytest.mark.soak, pytest.mark.timeout(600))


@pytest.mark.parametrize(
    ("transfers", "seed"), [(600, 7), pytest.param(10_000, 8, marks=SOAK)]
)
@pytest.mark.parametrize("victims", [("participants",)])
async def test_killed_institutions_credit_once_and_end_their_customers_payments(
    tmp_path: Path, transfers: int, seed: int, victims: tuple[str, ...]
) -> None:
    with SupervisedCountry(tmp_path / "home") as country:
        load = Load(country.up(), seed)
        payers = Payers(country, seed)
        paying = asyncio.create_task(payers.run())

        def strike() -> None:
            former = {victim: country.kill(victim) for victim in victims}
            for victim, pid in former.items():
                country.until_back(victim, pid)

        await load.struck(transfers, seed, strike)
        payers.stop()
        await paying

        await asyncio.to_thread(payers.assert_ended)
        await load.assert_sound()
