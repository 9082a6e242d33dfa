"""Corners that an audit of the clearing house found, each shown from the outside."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scheme.errors import NoAnswer, StoreError
from scheme.messages import AV1, AV2, AV3, AV4, CTC1, Message
from scheme.wire.tin_json import decode
from switch.flight import NotAccepting, UnknownOutcome
from switch.queries import Queries
from switch.wire_log import WireMessage
from tests.support.switch_world import (
    START,
    World,
    accept_query,
    golden,
    quiet,
    world,
)


class NoTimeline:
    """A wire log that is off."""

    async def find(self, subjects: frozenset[str], *, since_us: int) -> list[WireMessage]:
        return []

    async def recent(self, *, participant: str | None, limit: int) -> list[WireMessage]:
        return []


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    with quiet():
        async with world(tmp_path) as made:
            yield made


async def test_an_order_never_gets_the_id_of_a_cancellation(one: World) -> None:
    one.peers.on_ct2.append(NoAnswer("silence"))
    av4 = await one.verify()
    sent = one.start(one.ct1(av4.instructionId, creationTime="101508"))
    await one.settle()
    await one.advance(8)
    await sent
    await one.settle()
    cancellation = next(decode(o.body, CTC1) for o in one.peers.delivered if o.message == "CTC1")
    # Same second, same originator and channel, and the trace of the cancellation.
    seconds = {"creationTime": cancellation.creationTime, "trace": cancellation.instructionId[-6:]}
    ct4 = await one.pay(av_trace="000900", **seconds)
    assert ct4.responseCode == "00"
    assert ct4.instructionId != cancellation.instructionId


async def test_an_order_that_reserved_nothing_is_not_left_in_flight(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    av4 = await one.verify()
    ct1 = one.ct1(av4.instructionId)

    async def away(_: object) -> Any:
        raise StoreError("the disk could not be read")

    with monkeypatch.context() as broken:
        broken.setattr(one.ledger, "apply", away)
        with pytest.raises(UnknownOutcome):
            await one.send(ct1)
    assert one.house.router.in_flight == ()
    assert (await one.order(ct1)).responseCode == "00"


async def test_a_phone_in_the_proxy_is_resolved(one: World) -> None:
    av1 = decode(golden("AV1-by-phone"), AV1)
    asked = {"proxyType": "MSISDN", "proxyValue": av1.creditorMobileNumber}
    av4 = await one.verify("AV1-by-phone", creditorMobileNumber=None, **asked)
    assert av4.responseCode == "00"
    assert av4.creditorCCI == "97100220030040050213"


async def test_a_placeholder_that_nothing_resolves_is_never_relayed(one: World) -> None:
    asked = {"proxyType": "EMAIL", "proxyValue": "someone@example.invalid"}
    av4 = await one.verify("AV1-by-phone", creditorMobileNumber=None, **asked)
    assert (av4.responseCode, av4.reasonCode) == ("05", "CH11")
    assert one.peers.sent == []


async def test_a_card_payment_goes_on_although_the_receiver_names_an_account(one: World) -> None:
    def with_account(av2: Message) -> AV3:
        assert isinstance(av2, AV2)
        return replace(accept_query(av2), creditorCCI="97100220030040050213")

    one.peers.on_av2.append(with_account)
    card: dict[str, Any] = {
        "transactionType": "325",
        "creditorCCI": None,
        "creditorCreditCard": "4000000000000002",
    }
    av4: AV4 = await one.verify(**card)
    assert av4.creditorCCI is None
    ct4 = await one.order(one.ct1(av4.instructionId, **card))
    assert ct4.responseCode == "00"


async def test_a_stranger_that_asks_leaves_nothing_behind(one: World) -> None:
    instruction = "2026011410200509704191000131"
    psr2 = await one.ask(instruction, asker="7777")
    assert psr2.responseCode == "99"
    await one.settle()
    assert one.state(instruction) == ""


async def test_confirmations_are_seen_behind_any_number_of_notices(one: World) -> None:
    one.peers.acknowledge = lambda _: one.peers.refusal
    for number in range(130):
        await one.house.sessions.announce(f"AVISO {number}", [])
    await one.pay()
    await one.settle()
    shown = Queries(
        one.store,
        NoTimeline(),
        clock=one.clock,
        in_flight=lambda: (),
        attempts=one.house.outbox.attempts,
    ).stuck()
    assert len(one.store.owed(messages=("CT5",))) == 1
    assert [row["message"] for row in shown["ct5_owed"]] == ["CT5"]


async def test_a_repeat_is_answered_while_the_house_stops(one: World) -> None:
    av4 = await one.verify()
    first = await one.send(one.ct1(av4.instructionId))
    one.house.stop()
    again = await one.send(one.ct1(av4.instructionId, messageTypeId="0201"))
    assert again.body == first.body
    with pytest.raises(NotAccepting):
        await one.send(one.ct1("2" * 28))


async def test_what_was_owed_before_a_long_pause_is_delivered_after_it(tmp_path: Path) -> None:
    with quiet():
        async with world(tmp_path) as before:
            before.peers.acknowledge = lambda _: before.peers.refusal
            ct4 = await before.pay()
            await before.settle()
        later = START + timedelta(days=2)
        async with world(tmp_path, start=later, signed_on=False) as after:
            await after.advance(1)
            assert after.state(ct4.instructionId) == "CONFIRMED"
