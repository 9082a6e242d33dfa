"""The clearing house checks in the order of its table: the first failure answers."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.files import load_profile
from scheme.messages import CT4
from scheme.wire.tin_json import decode
from tests.support.switch_world import PREFUND, World, world

Breaks = Callable[[World, dict[str, Any]], Awaitable[object]]


async def suspended(one: World, _: dict[str, Any]) -> None:
    await one.house.sessions.suspend(suspended=True)


async def debtor_off(one: World, _: dict[str, Any]) -> None:
    await one.house.sessions.sign("0970", on=False)


async def unknown_reference(_: World, changes: dict[str, Any]) -> None:
    changes["referenceTransactionId"] = "2026011510153009708191999999"


async def other_debtor(_: World, changes: dict[str, Any]) -> None:
    changes["debtorId"] = "00000999"


async def creditor_off(one: World, _: dict[str, Any]) -> None:
    await one.house.sessions.sign("0971", on=False)


async def above_limit(_: World, changes: dict[str, Any]) -> None:
    changes["amount"] = 3_000_001


async def down(one: World, _: dict[str, Any]) -> None:
    one.house.breakers.force("0971", "tin", is_open=True)


async def overloaded(one: World, _: dict[str, Any]) -> None:
    one.house.router._in_flight_max = 0


async def short(_: World, changes: dict[str, Any]) -> None:
    changes.setdefault("amount", 2_999_999)


ROWS: list[tuple[Breaks, str, str]] = [
    (suspended, "FF07", "root: the system is suspended"),
    (debtor_off, "DNOR", "debtorParticipantCode: "),
    (unknown_reference, "BE15", "referenceTransactionId: "),
    (other_debtor, "FF02", "debtorId: "),
    (creditor_off, "FF07", "creditorParticipantCode: "),
    (above_limit, "FF07", "amount: above"),
    (down, "AB05", "creditorParticipantCode: 0971 counts as down on the rail tin"),
    (overloaded, "FF07", "root: the clearing house is overloaded"),
    (short, "FF07", "amount: the prefund"),
]


@pytest.mark.parametrize("first", range(len(ROWS)), ids=lambda n: ROWS[n][0].__name__)
async def test_the_first_failure_answers(tmp_path: Path, first: int) -> None:
    async with world(tmp_path, prefund=1_000) as one:
        av4 = await one.verify()
        changes: dict[str, Any] = {}
        for breaks, _, _ in ROWS[first:]:
            await breaks(one, changes)
        order = replace(one.ct1(av4.instructionId), **changes)
        answer = await one.send(order)
        _, reason, explain = ROWS[first]
        assert decode(answer.body, CT4).reasonCode == reason
        assert answer.explain.startswith(explain)
        assert one.available("0970") == 1_000
        assert not one.peers.orders()


@pytest.mark.parametrize("is_strict", [False, True])
async def test_a_profile_may_want_repeats_to_say_so(tmp_path: Path, is_strict: bool) -> None:
    profile = load_profile("peru")
    profile = replace(profile, switch=replace(profile.switch, strict_resend=is_strict))
    async with world(tmp_path, profile=profile) as one:
        quoted = (await one.verify()).instructionId
        first = await one.send(one.ct1(quoted))
        unmarked = await one.order(one.ct1(quoted))
        assert (unmarked.reasonCode == "AM05") is is_strict
        assert (await one.send(one.ct1(quoted, messageTypeId="0201"))).body == first.body


@pytest.mark.parametrize("is_allowed", [False, True])
async def test_a_profile_may_allow_transfers_inside_one_institution(
    tmp_path: Path, is_allowed: bool
) -> None:
    profile = load_profile("peru")
    profile = replace(profile, switch=replace(profile.switch, on_us_allowed=is_allowed))
    async with world(tmp_path, profile=profile) as one:
        av4 = await one.verify(creditorParticipantCode="0970")
        assert (av4.responseCode == "00") is is_allowed
        if not is_allowed:
            return
        ct4 = await one.order(one.ct1(av4.instructionId, creditorParticipantCode="0970"))
        assert ct4.responseCode == "00"
        await one.settle()
        # It books that itself: no interbank money moves.
        assert not one.store.entries(ct4.instructionId)
        assert one.balance("0970") == PREFUND
        await one.audited()


async def test_a_cci_is_checked_as_strictly_as_the_profile_wants(tmp_path: Path) -> None:
    profile = load_profile("peru")
    profile = replace(profile, cci=replace(profile.cci, clearing_house="strict"))
    async with world(tmp_path, profile=profile) as one:
        refused = await one.verify(creditorCCI="97100220030040050214")
        assert refused.reasonCode == "FF02"
        by_phone = await one.verify("AV1-by-phone")
        assert by_phone.responseCode == "00"
        assert by_phone.creditorCCI == "97100220030040050213"
