"""A creditor's agent that fails: its breaker opens, routes change, and it closes again."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.files import load_profile
from scheme.errors import NoAnswer, NotConnected
from scheme.messages import AV4, CT4
from scheme.profile import BreakerRule
from scheme.wire.tin_json import decode
from switch.core.rails import IMMEDIATE
from switch.core.routing import NoRoute, Route, RouteRequest
from tests.support.switch_world import World, fleet, refuse_order, tiered_fleet, world


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


class Payer:
    """Sends queries and orders, each with traces of its own."""

    def __init__(self, one: World) -> None:
        self._one = one
        self._trace = 0

    def trace(self) -> str:
        self._trace += 1
        return f"{self._trace:06}"

    async def verify(self, **changes: Any) -> AV4:
        av4 = await self._one.verify(trace=self.trace(), **changes)
        await self._one.settle(5)
        return av4

    async def order(self, av4: AV4, **changes: Any) -> CT4:
        ct1 = self._one.ct1(av4.instructionId, trace=self.trace(), **changes)
        ct4 = await self._one.order(ct1)
        await self._one.settle(5)
        return ct4


async def fail(one: World, payer: Payer, times: int, *, apart_s: float) -> None:
    for _ in range(times):
        one.peers.on_av2.append(NotConnected("refused"))
        av4 = await payer.verify()
        assert av4.reasonCode == "AB05"
        await one.advance(apart_s)


def state_of(one: World, code: str = "0971", rail: str = "tin") -> str:
    return str(one.house.breakers.row(code, rail)["state"])


def found(one: World, **changes: Any) -> Route | NoRoute:
    fields: dict[str, Any] = {"debtor": "0970", "creditor": "0971", "currency": "PEN"}
    return one.house.pathfinder.find(RouteRequest(**fields | {"minor": 12_500} | changes))


async def test_it_opens_by_the_rule_refuses_at_once_and_closes_by_a_probe(one: World) -> None:
    payer = Payer(one)
    quoted, later = await payer.verify(), await payer.verify()
    await fail(one, payer, 5, apart_s=9.0)
    assert state_of(one) == "closed"  # 36 s, and not more.
    await fail(one, payer, 1, apart_s=1.0)
    assert state_of(one) == "open"

    before = len(one.peers.sent)
    assert (await payer.verify()).reasonCode == "AB05"
    answer = await one.send(one.ct1(quoted.instructionId))
    assert decode(answer.body, CT4).reasonCode == "AB05"
    assert answer.explain == (
        "creditorParticipantCode: 0971 counts as down on the rail tin: its circuit breaker is"
        " open; the rail deferred would carry it: POST /payments"
    )
    assert len(one.peers.sent) == before
    # It is that order's outcome, and a repeat gets it again.
    again = await one.send(one.ct1(quoted.instructionId, messageTypeId="0201"))
    assert again.body == answer.body
    assert isinstance(elsewhere := found(one), Route)
    assert elsewhere.rail == "deferred"
    # Other institutions are as they were.
    assert isinstance(found(one, creditor="0988", rails=IMMEDIATE), Route)

    await one.advance(30.0)
    ct4 = await payer.order(later)
    assert (ct4.responseCode, state_of(one)) == ("00", "closed")
    await one.audited()


async def test_a_probe_that_fails_opens_it_again_and_only_one_is_on_its_way(one: World) -> None:
    payer = Payer(one)
    one.house.breakers.force("0971", "tin", is_open=True)
    await one.advance(600.0)
    assert (await payer.verify()).reasonCode == "AB05"  # An operator's word does not wear off.
    one.house.breakers.force("0971", "tin", is_open=False)
    quoted = [await payer.verify(), await payer.verify()]
    await fail(one, payer, 6, apart_s=10.0)
    await one.advance(30.0)
    one.peers.on_ct2.append(NoAnswer("garbage"))
    probe = one.start(one.ct1(quoted[0].instructionId, trace=payer.trace()))
    await one.settle()
    assert state_of(one) == "half_open"
    assert (await payer.order(quoted[1])).reasonCode == "AB05"
    await one.advance(one.expiry.total_seconds() + 1)
    assert decode((await probe).body, CT4).reasonCode == "AB05"
    assert state_of(one) == "open"


async def test_who_answers_verifications_and_no_order_is_down(one: World) -> None:
    payer = Payer(one)
    for _ in range(6):
        one.peers.on_ct2.append(NotConnected("refused"))
        ct4 = await payer.order(await payer.verify())
        assert ct4.reasonCode == "AB05"
        await one.advance(9.0)
    assert state_of(one) == "open"


async def test_a_refusal_in_due_form_is_an_answer(one: World) -> None:
    payer = Payer(one)
    for _ in range(7):
        one.peers.on_ct2.append(refuse_order("AC01"))
        ct4 = await payer.order(await payer.verify())
        assert ct4.reasonCode == "AC01"
        await one.advance(10.0)
    row = one.house.breakers.row("0971", "tin")
    assert (row["state"], row["requests"], row["failed"]) == ("closed", 7, 0)


async def test_an_order_that_was_not_sent_gives_its_probe_back(tmp_path: Path) -> None:
    async with world(tmp_path, prefund=20_000) as one:
        payer = Payer(one)
        short, covered = await payer.verify(), await payer.verify()
        await fail(one, payer, 6, apart_s=10.0)
        await one.advance(30.0)
        assert (await payer.order(short, amount=30_000)).reasonCode == "FF07"
        assert (await payer.order(covered)).responseCode == "00"


@pytest.mark.parametrize("make", [fleet, tiered_fleet])
async def test_the_rail_is_that_of_the_route(tmp_path: Path, make: Callable[[], Any]) -> None:
    async with world(tmp_path, members=make()) as one:
        await Payer(one).verify()
        rails = [row["rail"] for row in one.house.breakers.rows()]
        assert rails == ["network" if make is tiered_fleet else "tin"]


async def test_an_operator_may_be_given_another_rule(tmp_path: Path) -> None:
    profile = load_profile("peru")
    strict = BreakerRule(failed_percent=50, over_s=2.0, requests_min=2)
    breaker = replace(profile.breaker, operator={"0971": strict})
    async with world(tmp_path, profile=replace(profile, breaker=breaker)) as one:
        await fail(one, Payer(one), 2, apart_s=2.5)
        assert state_of(one) == "open"


async def test_preferences_outlive_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        await before.house.preferences.put("0970", "0971", ["deferred", "tin"])
        await before.house.preferences.put("0970", "0988", ["lbtr"])
        await before.house.preferences.put("0970", "0988", [])
    async with world(tmp_path) as after:
        assert after.house.preferences.rows() == [
            {"debtor": "0970", "creditor": "0971", "rails": ["deferred", "tin"]}
        ]
        assert isinstance(way := found(after), Route)
        assert way.rail == "deferred"
        # Its own message can still be carried by what comes second.
        assert isinstance(way := found(after, rails=IMMEDIATE), Route)
        assert way.rail == "tin"
