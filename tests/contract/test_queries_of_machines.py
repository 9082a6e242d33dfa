"""Queries of machines that number for themselves: moment and trace are no key of one of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from scheme import cci
from scheme.messages import AV1, AV4
from scheme.wire.tin_json import decode
from tests.support.switch_world import World, golden, quiet, world

FIRST, SECOND = ":000100000000", ":000200000000"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    with quiet():
        async with world(tmp_path) as made:
            yield made


async def asked(one: World, av1: AV1, also: str) -> AV4:
    return decode((await one.house.verifier.query(av1, also)).body, AV4)


async def test_two_machines_with_one_trace_in_one_second_are_both_answered(one: World) -> None:
    av1 = decode(golden("AV1-by-cci"), AV1)
    other = replace(av1, creditorCCI=cci.compose("971", "001", "000000000042"))

    first, second = await asked(one, av1, FIRST), await asked(one, other, SECOND)

    assert (first.responseCode, second.responseCode) == ("00", "00")
    assert first.instructionId != second.instructionId
    assert (await asked(one, av1, FIRST)).instructionId == first.instructionId
    assert (await asked(one, other, FIRST)).reasonCode == "AM05"
