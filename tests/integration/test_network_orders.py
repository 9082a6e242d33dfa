"""Messages of the wire through the coops' network: the same handlers, keys and wire log."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from switch.edges.tin_http import TinEdge
from switch.envelope import Envelopes
from tests.support.network_wire import Network, Said, served
from tests.support.switch_wire import Wire, wired
from tests.support.switch_world import fleet, golden

REFERENCE = "2026011510153009708191000123"


class Both(Struct):
    """A clearing house with both doors: ``wire`` is port 7080, ``network`` port 7082."""

    wire: Wire
    network: Network


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with wired(tmp_path) as wire:
        clock = wire.world.clock
        tin = TinEdge(
            wire.world.house.handlers,
            fleet=fleet(),
            envelopes=Envelopes(fleet(), clock, keyring=None, signer=None),
            directory=_Nothing(),
            qr=_Nothing(),
            wire_log=wire.wire_log,
            clock=clock,
            token="unsigned callers of the other door show this",
        )
        async with served(tmp_path, messages=tin, clock=clock) as place:
            await place.network.open()
            yield Both(wire, place.network)
        await wire.world.settle()
        await wire.world.audited()


class _Nothing:
    """The directory's and the QR module's wire, which no message here is for."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def ct1(**changes: Any) -> bytes:
    return json.dumps({"CT1": json.loads(golden("CT1-by-cci"))["CT1"] | changes}).encode()


def code(said: Said) -> tuple[str, str | None]:
    ((_, fields),) = said.document.items()
    return fields["responseCode"], fields["reasonCode"]


async def test_an_order_sent_by_both_doors_is_executed_once(both: Both) -> None:
    asked = await both.network.message("AV1", golden("AV1-by-cci"))
    assert asked.document["AV4"]["responseCode"] == "00"
    first = await both.network.message("CT1", ct1())
    assert first.document["CT4"]["responseCode"] == "00"
    again = await both.wire.post("CT1", ct1(messageTypeId="0201"))
    assert again.content["responseCode"] == "00"
    assert again.content["instructionId"] == first.document["CT4"]["instructionId"]
    assert both.wire.creditor.count("CT2") == 1


async def test_an_order_of_the_other_door_is_a_repeat_here(both: Both) -> None:
    await both.wire.post("AV1", golden("AV1-by-cci"))
    first = await both.wire.post("CT1", ct1())
    again = await both.network.message("CT1", ct1(messageTypeId="0201"))
    assert again.document["CT4"]["instructionId"] == first.content["instructionId"]
    assert both.wire.creditor.count("CT2") == 1


async def test_a_blocked_coop_is_refused_as_on_the_other_door(both: Both) -> None:
    await both.wire.world.house.sessions.block("0970", blocked=True)
    here = await both.network.message("AV1", golden("AV1-by-cci"))
    there = await both.wire.post("AV1", golden("AV1-by-cci"))
    assert here.document["AV4"]["reasonCode"] == there.content["reasonCode"] == "DNOR"


async def test_a_message_in_another_s_name_is_refused_and_nothing_moves(both: Both) -> None:
    await both.network.open("0971")
    said = await both.network.message("CT1", ct1())
    assert said.fault == (403, "debtorParticipantCode")
    assert both.wire.creditor.count("CT2") == 0


async def test_only_messages_a_participant_sends_are_served(both: Both) -> None:
    assert (await both.network.message("CT2", b"{}")).fault == (404, "path")
    assert (await both.network.message("CT1", b"nonsense")).status == 400
    assert (await both.network.message("ct1", b'{"CT1":{}}')).fault[0] == 403


async def test_what_comes_this_way_is_in_the_wire_log(both: Both) -> None:
    await both.network.message("ET1", golden("ET1"))
    await asyncio.sleep(0)
    logged = await both.wire.wire_log.recent(participant="0970", limit=10)
    assert sorted(one.name for one in logged) == ["ET1", "ET2"]
