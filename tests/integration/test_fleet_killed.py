"""``kill -9`` of the fleet: what was promised is on the disk, and nothing happens twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheme.messages import CT3
from scheme.wire import tin_json
from tests.support.clearing_house import ClearingHouse, accepted, result
from tests.support.fleet_process import Killable, settings
from tests.support.fleet_world import CREDITOR_CCI, DEBTOR_CCI, a_ct2, a_ct5, a_psr2

OPENING = 2_500_000


@pytest.fixture
async def house() -> AsyncIterator[ClearingHouse]:
    house = ClearingHouse()
    house.answers["AV1"] = lambda asked: accepted(asked, cci=CREDITOR_CCI, code="0971")
    house.answers["CT1"] = lambda _: None
    house.answers["PSR1"] = lambda _: a_psr2("99")
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def fleet(house: ClearingHouse, tmp_path: Path) -> AsyncIterator[Killable]:
    fleet = Killable(settings(tmp_path, house, hurried=True))
    yield fleet
    await fleet.stop()


async def test_a_killed_fleet_credits_once_and_asks_and_repeats_what_was_open(
    house: ClearingHouse, fleet: Killable
) -> None:
    async with await fleet.start() as hook:
        await house.until("SignOn1", 3)
        await asyncio.sleep(0.1)
        port = hook.ports["0971"]
        for number in ("one", "two"):
            answer = await house.post(port, a_ct2(instructionId=number))
            assert tin_json.decode(answer.body, CT3).responseCode == "00"
        assert (await house.post(port, a_ct5(instructionId="one"))).status == 200
        paying = asyncio.create_task(
            hook.call(
                "POST", "0970", "payments",
                {"debtor": DEBTOR_CCI, "creditor": {"cci": CREDITOR_CCI}, "amount": 12_500},
            )
        )  # fmt: skip
        await house.until("CT1")
        await fleet.kill()
        await asyncio.gather(paying, return_exceptions=True)

    asked = house.names().count("PSR1")
    house.answers["CT1"] = result
    house.answers["PSR1"] = lambda question: a_psr2("00", instructionId=question.instructionId)
    async with await fleet.start() as hook:
        port = hook.ports["0971"]
        # The confirmation of the first was acknowledged; its repeat credits nothing.
        assert (await house.post(port, a_ct5(instructionId="one"))).status == 200
        # The hold of the second was promised; it is asked about.
        await house.until("PSR1", asked + 1)
        await house.until("CT1", 2)
        assert (await house.post(port, a_ct5(instructionId="two"))).status == 200
        assert await hook.balance("0971", CREDITOR_CCI) == OPENING + 2 * 12_500
        # The order that was on its way is repeated, and its outcome booked once.
        async with asyncio.timeout(5):
            while (await hook.get("0970", "movements"))["movements"][-1]["state"] != "FINAL":
                pass
        assert await hook.balance("0970", DEBTOR_CCI) == OPENING - 12_580
        orders = [body for body in house.bodies if b'"CT1"' in body]
        assert orders[-1] == orders[0].replace(b"0200", b"0201", 1)
    assert await fleet.stop() == 0
