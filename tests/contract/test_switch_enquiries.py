"""What the clearing house answers to an enquiry, row by row (docs/wire/tin-messages.md)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from scheme.messages import PSR2
from switch.ports import Delivery
from tests.support.switch_world import START, World, golden, refuse_order, world

ORDER = "2026011510161209704191000124"
FORGOTTEN = "2026011510140009704191000777"
"""Of our shape, from a minute before the start of the tests."""
YOUNG = "2026011510150109704191000777"
"""Of our shape, and younger than the start."""


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def told(psr2: PSR2) -> tuple[str, str | None]:
    return psr2.responseCode, psr2.reasonCode


def is_blank(psr2: PSR2) -> bool:
    said = {name for name in psr2.__struct_fields__ if getattr(psr2, name) is not None}
    ours = {"responseDate", "responseTime", "responseCode", "instructionId"}
    return said - {"creditorParticipantCode"} == ours


async def test_a_reserved_order_is_99(one: World) -> None:
    one.peers.on_ct2.append(asyncio.get_running_loop().create_future())
    waiting = one.start(one.ct1((await one.verify()).instructionId))
    await one.settle()
    psr2 = await one.ask(ORDER)
    assert told(psr2) == ("99", None)
    assert is_blank(psr2)
    waiting.cancel()


async def test_an_order_whose_outcome_is_on_the_way_to_the_disk_is_99(one: World) -> None:
    quoted = (await one.verify()).instructionId
    one.disk.shut()
    waiting = one.start(one.ct1(quoted))
    await one.settle()
    assert told(await one.ask(ORDER)) == ("99", None)
    one.disk.release()
    await waiting


async def test_a_posted_order_is_00_and_its_confirmation_stays_owed(one: World) -> None:
    one.peers.acknowledge = lambda _: Delivery(acknowledged=False)
    ct4 = await one.pay()
    psr2 = await one.ask(ORDER)
    assert told(psr2) == ("00", None)
    assert psr2.amount == ct4.amount
    assert psr2.interbankSettlementAmount == ct4.interbankSettlementAmount
    await one.settle()
    assert one.owed() == ["CT5>0971"]
    assert one.state(ORDER) == "POSTED"


async def test_a_confirmed_order_is_00(one: World) -> None:
    await one.pay()
    await one.settle()
    assert one.state(ORDER) == "CONFIRMED"
    assert told(await one.ask(ORDER)) == ("00", None)


async def test_a_refused_order_is_05_with_its_reason(one: World) -> None:
    one.peers.on_ct2.append(refuse_order("AC07"))
    await one.pay()
    assert told(await one.ask(ORDER)) == ("05", "AC07")


@pytest.mark.parametrize(
    ("delivery", "state"),
    [
        (Delivery(acknowledged=False), "EXPIRED"),
        (Delivery(acknowledged=True), "CANCELLED"),
        (Delivery(acknowledged=True, refused=True), "DISPUTED"),
    ],
)
async def test_an_expired_order_is_05_ds24(one: World, delivery: Delivery, state: str) -> None:
    one.peers.acknowledge = lambda _: delivery
    one.peers.on_ct2.append(asyncio.get_running_loop().create_future())
    waiting = one.start(one.ct1((await one.verify()).instructionId))
    await one.advance(8)
    await waiting
    await one.settle()
    assert one.state(ORDER) == state
    assert told(await one.ask(ORDER)) == ("05", "DS24")


async def test_an_unknown_order_from_before_this_start_is_05_ds24_and_a_tombstone(
    one: World,
) -> None:
    assert told(await one.ask(FORGOTTEN)) == ("05", "DS24")
    assert one.state(FORGOTTEN) == "TOMBSTONE"
    assert told(await one.ask(FORGOTTEN)) == ("05", "DS24")


async def test_a_tombstone_is_on_disk_before_it_is_told(one: World) -> None:
    one.disk.shut()
    asked = asyncio.create_task(one.ask(FORGOTTEN))
    twice = asyncio.create_task(one.ask(FORGOTTEN))
    await one.settle()
    assert not asked.done()
    assert not twice.done()
    one.disk.release()
    assert told(await asked) == told(await twice) == ("05", "DS24")


async def test_a_buried_id_is_never_issued(one: World) -> None:
    await one.advance(120)
    assert told(await one.ask(ORDER)) == ("05", "DS24")
    ct4 = await one.pay()
    assert ct4.responseCode == "00"
    assert ct4.instructionId != ORDER
    assert one.state(ORDER) == "TOMBSTONE"


async def test_an_id_that_is_just_being_buried_is_not_issued(one: World) -> None:
    await one.advance(120)
    quoted = (await one.verify()).instructionId
    one.disk.shut()
    asked = asyncio.create_task(one.ask(ORDER))
    await one.settle()
    paying = one.start(one.ct1(quoted))
    await one.settle()
    one.disk.release()
    assert told(await asked) == ("05", "DS24")
    await paying
    assert one.peers.orders()[0].instructionId != ORDER


async def test_whoever_asked_first_a_tombstone_tells_everyone_the_same(one: World) -> None:
    assert told(await one.ask(FORGOTTEN, asker="0988")) == ("05", "DS24")
    assert told(await one.ask(FORGOTTEN, asker="0971")) == ("05", "DS24")


async def test_an_unknown_younger_order_is_99_until_it_is_older_than_the_expiry(
    one: World,
) -> None:
    assert told(await one.ask(YOUNG)) == ("99", None)
    await one.advance(8.9)
    assert told(await one.ask(YOUNG)) == ("99", None)
    await one.advance(0.2)
    assert told(await one.ask(YOUNG)) == ("05", "DS24")


@pytest.mark.parametrize("asker", ["0970", "0988", "0999"])
async def test_anyone_but_the_creditors_agent_gets_99_and_nothing_else(
    one: World, asker: str
) -> None:
    await one.pay()
    psr2 = await one.ask(ORDER, asker=asker)
    assert told(psr2) == ("99", None)
    assert is_blank(psr2)


@pytest.mark.parametrize(
    "instruction",
    [
        "M0115101612000000123456789012345678",
        "2026011510161209708191000124",  # A verification's.
        "2026133510161209704191000124",  # No such day.
        "202601151016120970419100012",
        "x",
    ],
)
async def test_an_id_that_we_could_not_have_issued_is_99(one: World, instruction: str) -> None:
    psr2 = await one.ask(instruction)
    assert told(psr2) == ("99", None)
    assert is_blank(psr2)
    assert one.state(instruction) == ""


async def test_outcomes_and_tombstones_are_told_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        await before.pay()
        await before.ask(FORGOTTEN)
    async with world(tmp_path, start=START + timedelta(days=3)) as after:
        assert told(await after.ask(ORDER)) == ("00", None)
        assert told(await after.ask(FORGOTTEN)) == ("05", "DS24")
        await after.audited()


async def test_the_answer_is_the_document_of_the_wire(one: World) -> None:
    await one.pay()
    expected = msgspec.json.decode(golden("PSR2"))["PSR2"]
    psr2 = await one.ask(ORDER)
    assert set(expected) == set(psr2.__struct_fields__)
