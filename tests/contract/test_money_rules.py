"""Rules 1 to 4 of the thirteen that keep money safe (docs/architecture.md#money).

The others are in ``test_money_rules_onward.py``.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheme.errors import NotConnected
from scheme.messages import CT4, CTC1
from scheme.wire.tin_json import decode
from switch.flight import Answer
from switch.ports import Delivery
from tests.support.switch_world import (
    PREFUND,
    START,
    World,
    accept_order,
    fleet,
    refuse_order,
    world,
)

ORDER = "2026011510161209704191000124"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def _settled(answer: Answer) -> int:
    settled = decode(answer.body, CT4).interbankSettlementAmount
    assert settled is not None
    return settled


def never() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


async def reference(one: World, **changes: str) -> str:
    return (await one.verify(**changes)).instructionId


# Rule 1: an outcome is one durable write.


@pytest.mark.parametrize("behaviour", [accept_order, refuse_order("AC01"), NotConnected("down")])
async def test_rule_1_no_outcome_is_told_before_it_is_on_disk(
    one: World, behaviour: object
) -> None:
    one.peers.on_ct2.append(behaviour)
    quoted = await reference(one)
    one.disk.shut()
    told = one.start(one.ct1(quoted))
    await one.settle()

    assert len(one.peers.orders()) == 1, "the order itself does not wait for the disk"
    assert not told.done()
    assert not one.peers.delivered
    assert (await one.ask(ORDER)).responseCode == "99"

    one.disk.release()
    await one.settle()
    ct4 = decode((await told).body, CT4)
    assert one.state(ct4.instructionId) in ("CONFIRMED", "REJECTED")


async def test_rule_1_an_expiry_is_on_disk_before_anyone_hears(one: World) -> None:
    one.peers.on_ct2.append(never())
    quoted = await reference(one)
    told = one.start(one.ct1(quoted))
    await one.settle()
    one.disk.shut()
    await one.advance(8)
    assert not told.done()
    assert not one.peers.delivered
    one.disk.release()
    await one.settle()
    assert decode((await told).body, CT4).reasonCode == "AB05"
    assert [owed.message for owed in one.peers.delivered] == ["CTC1"]


async def test_rule_1_a_refusal_that_held_no_money_is_on_disk_before_it_is_told(
    one: World,
) -> None:
    quoted = await reference(one)
    one.disk.shut()
    told = one.start(one.ct1(quoted, amount=3_000_001))
    await one.settle()
    assert not told.done()
    one.disk.release()
    await one.settle()
    assert decode((await told).body, CT4).reasonCode == "FF07"


async def test_rule_1_a_refusal_is_as_sticky_as_an_acceptance(one: World) -> None:
    one.peers.on_ct2.append(refuse_order("AC01"))
    quoted = await reference(one)
    first = await one.send(one.ct1(quoted))
    again = await one.send(one.ct1(quoted))
    assert again.body == first.body
    assert decode(again.body, CT4).reasonCode == "AC01"
    assert len(one.peers.orders()) == 1


async def test_rule_1_an_outcome_survives_a_crash_right_after_it(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        quoted = await reference(before)
        first = await before.send(before.ct1(quoted))
        before.disk.lose_power()
    async with world(tmp_path, start=START + timedelta(minutes=1)) as after:
        assert (await after.send(after.ct1(quoted))).body == first.body
        assert not after.peers.orders()
        await after.audited()


async def test_rule_1_a_posted_order_is_told_with_its_money_moved(one: World) -> None:
    ct4 = await one.pay(amount=10_000, feeAmount=80)
    assert (ct4.responseCode, ct4.interbankSettlementAmount) == ("00", 10_080)
    assert one.balance("0970") == PREFUND - 10_080
    assert one.balance("0971") == PREFUND + 10_080
    await one.settle()
    await one.audited()


# Rule 2: presumed abort for two-message peers.


async def test_rule_2_the_order_leaves_without_waiting_for_its_reservation(one: World) -> None:
    quoted = await reference(one)
    one.peers.on_ct2.append(never())
    one.disk.shut()
    waiting = one.start(one.ct1(quoted))
    await one.settle()
    assert len(one.peers.orders()) == 1
    waiting.cancel()
    one.disk.release()


async def test_rule_2_what_a_crash_lost_is_a_first_send_under_a_new_id(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        quoted = await reference(before)
        before.peers.on_ct2.append(never())
        before.disk.shut()
        waiting = before.start(before.ct1(quoted))
        await before.settle()
        (lost,) = before.peers.orders()
        before.disk.lose_power()
        waiting.cancel()
    async with world(tmp_path, start=START + timedelta(minutes=2)) as after:
        assert after.expired_at_start == 0
        ct4 = await after.order(after.ct1(quoted, messageTypeId="0201"))
        assert ct4.responseCode == "00"
        assert ct4.instructionId != lost.instructionId
        psr2 = await after.ask(lost.instructionId)
        assert (psr2.responseCode, psr2.reasonCode) == ("05", "DS24")
        assert after.state(lost.instructionId) == "TOMBSTONE"
        await after.settle()
        await after.audited()


async def test_rule_2_a_reservation_that_survived_a_crash_is_expired_and_cancelled(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as before:
        quoted = await reference(before)
        before.peers.on_ct2.append(never())
        waiting = before.start(before.ct1(quoted))
        await before.settle()
        before.disk.lose_power()
        waiting.cancel()
    async with world(tmp_path, start=START + timedelta(minutes=2), is_fresh=False) as after:
        assert after.expired_at_start == 1
        assert after.available("0970") == PREFUND
        cancelled = [owed for owed in after.peers.delivered if owed.message == "CTC1"]
        assert [decode(owed.body, CTC1).referenceInstructionId for owed in cancelled] == [ORDER]
        assert after.state(ORDER) == "CANCELLED"
        ct4 = await after.order(after.ct1(quoted, messageTypeId="0201"))
        assert (ct4.responseCode, ct4.reasonCode) == ("05", "AB05")
        await after.audited()


async def test_rule_2_a_reservation_ends_although_its_creditor_left_the_fleet(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as before:
        before.peers.on_ct2.append(never())
        waiting = before.start(before.ct1(await reference(before)))
        await before.settle()
        before.disk.lose_power()
        waiting.cancel()
    rest = {code: member for code, member in fleet().items() if code != "0971"}
    async with world(tmp_path, members=rest, start=START + timedelta(minutes=2)) as after:
        assert after.expired_at_start == 1
        assert after.available("0970") == PREFUND


# Rule 3: write-ahead for single-message peers.


async def test_rule_3_a_single_message_peer_gets_the_order_only_once_it_is_on_disk(
    tmp_path: Path,
) -> None:
    members = fleet(**{"0971": {"lane": "iso8583"}})
    async with world(tmp_path, members=members) as one:
        quoted = await reference(one)
        one.disk.shut()
        told = one.start(one.ct1(quoted))
        await one.settle()
        assert not one.peers.orders(), "it would post on it"
        one.disk.release()
        await one.settle()
        assert decode((await told).body, CT4).responseCode == "00"


async def test_rule_3_silence_of_a_single_message_peer_expires_and_a_late_answer_changes_nothing(
    tmp_path: Path,
) -> None:
    late = never()
    async with world(tmp_path, members=fleet(**{"0971": {"lane": "iso8583"}})) as one:
        one.peers.acknowledge = lambda _: Delivery(acknowledged=False)
        one.peers.on_ct2.append(late)
        told = one.start(one.ct1(await reference(one)))
        await one.advance(8)
        assert decode((await told).body, CT4).reasonCode == "AB05"
        if not late.done():
            late.set_result(accept_order)
        await one.settle()
        assert one.state(ORDER) == "EXPIRED"
        assert one.owed() == ["0420>0971"]
        assert one.balance("0970") == PREFUND


async def test_rule_3_a_peer_that_will_not_undo_leaves_the_order_disputed(tmp_path: Path) -> None:
    async with world(tmp_path, members=fleet(**{"0971": {"lane": "iso8583"}})) as one:
        one.peers.acknowledge = lambda _: Delivery(acknowledged=True, refused=True)
        one.peers.on_ct2.append(never())
        told = one.start(one.ct1(await reference(one)))
        await one.advance(8)
        await told
        await one.settle()
        assert one.state(ORDER) == "DISPUTED"
        assert (await one.ask(ORDER)).reasonCode == "DS24"


# Rule 4: every request has an idempotency key.


async def test_rule_4_a_repeat_gets_the_stored_answer_byte_for_byte(one: World) -> None:
    quoted = await reference(one)
    first = await one.send(one.ct1(quoted))
    repeat = one.ct1(
        quoted, messageTypeId="0201", trace="999999", creationTime="235959", terminalId="OTHER"
    )
    await one.advance(30)
    assert (await one.send(repeat)).body == first.body
    assert len(one.peers.orders()) == 1
    assert one.balance("0971") == PREFUND + len(one.peers.orders()) * _settled(first)


async def test_rule_4_a_repeat_in_flight_waits_for_the_same_outcome(one: World) -> None:
    answer = never()
    one.peers.on_ct2.append(answer)
    quoted = await reference(one)
    both = [one.start(one.ct1(quoted)), one.start(one.ct1(quoted, messageTypeId="0201"))]
    await one.settle()
    assert len(one.peers.orders()) == 1
    answer.set_result(accept_order)
    await one.settle()
    first, second = [(await told).body for told in both]
    assert first == second


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 1},
        {"feeAmount": 1},
        {"creditorCCI": "97100220030040050114"},
        {"debtorCCI": "97000110020030040043"},
        {"creditorParticipantCode": "0988"},
        {"currency": "840"},
        {"transactionType": "325", "creditorCCI": None, "creditorCreditCard": "4111111111111111"},
    ],
)
@pytest.mark.parametrize("is_finished", [True, False])
async def test_rule_4_other_content_under_a_key_is_refused_and_the_first_stands(
    one: World, changes: dict[str, object], is_finished: bool
) -> None:
    answer = never()
    one.peers.on_ct2.append(answer)
    quoted = await reference(one)
    first = one.start(one.ct1(quoted))
    await one.settle()
    if is_finished:
        answer.set_result(accept_order)
        await one.settle()
    other = await one.send(one.ct1(quoted, **changes))
    assert decode(other.body, CT4).reasonCode == "AM05"
    if not is_finished:
        answer.set_result(accept_order)
        await one.settle()
    assert decode((await first).body, CT4).responseCode == "00"
    assert (await one.send(one.ct1(quoted))).body == (await first).body
    assert len(one.peers.orders()) == 1


async def test_rule_4_the_directory_code_is_the_same_content_as_the_entity(one: World) -> None:
    av4 = await one.verify("AV1-by-qr")
    assert av4.creditorParticipantCode == "0002"
    order = one.ct1(
        av4.instructionId, creditorParticipantCode="0901", creditorCCI=av4.creditorCCI, channel="52"
    )
    first = await one.send(order)
    assert decode(first.body, CT4).responseCode == "00"
    assert one.peers.orders()[0].creditorParticipantCode == "0002"
    by_entity = one.ct1(
        av4.instructionId, creditorParticipantCode="0002", creditorCCI=av4.creditorCCI, channel="52"
    )
    assert (await one.send(by_entity)).body == first.body


async def test_rule_4_a_repeat_is_answered_before_any_present_state_is_looked_at(
    one: World,
) -> None:
    quoted = await reference(one)
    first = await one.send(one.ct1(quoted))
    await one.house.sessions.block("0970", blocked=True)
    await one.house.sessions.sign("0971", on=False)
    await one.house.sessions.suspend(suspended=True)
    assert (await one.send(one.ct1(quoted))).body == first.body


async def test_rule_4_keys_outlive_the_process_and_the_memory_of_it(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        quoted = await reference(before)
        first = await before.send(before.ct1(quoted))
        await before.settle()
    async with world(tmp_path, start=START + timedelta(days=400)) as after:
        assert (await after.send(after.ct1(quoted))).body == first.body
        other = await after.order(after.ct1(quoted, amount=1))
        assert other.reasonCode == "AM05"
        assert not after.peers.orders()


async def test_rule_4_a_reference_that_is_unknown_is_refused_and_nothing_is_stored(
    one: World,
) -> None:
    ct4 = await one.order(one.ct1("2026011510153009708191999999"))
    assert (ct4.responseCode, ct4.reasonCode) == ("05", "BE15")
    assert not one.peers.orders()
    assert one.store.transfer_by_key("0970:2026011510153009708191999999") is None


async def test_rule_4_a_verification_is_quoted_for_900_seconds_and_across_a_restart(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as before:
        quoted = await reference(before)
    async with world(tmp_path, start=START + timedelta(seconds=899)) as after:
        assert (await after.order(after.ct1(quoted))).responseCode == "00"


async def test_rule_4_an_older_verification_is_not_executed(one: World) -> None:
    quoted = await reference(one)
    await one.advance(901)
    assert (await one.order(one.ct1(quoted))).reasonCode == "BE15"
    assert not one.peers.orders()


async def test_rule_4_another_participant_cannot_use_the_binding(one: World) -> None:
    quoted = await reference(one)
    stolen = one.ct1(quoted, debtorParticipantCode="0988")
    assert (await one.order(stolen)).reasonCode == "BE15"


async def test_rule_4_a_refused_order_consumes_its_binding(one: World) -> None:
    quoted = await reference(one)
    assert (await one.order(one.ct1(quoted, amount=3_000_001))).reasonCode == "FF07"
    assert (await one.order(one.ct1(quoted))).reasonCode == "AM05"


async def test_rule_4_a_repeated_query_gets_the_stored_answer_until_the_binding_ends(
    one: World,
) -> None:
    first = await one.verify()
    await one.house.sessions.sign("0971", on=False)
    assert await one.verify() == first
    assert (await one.verify(creditorCCI="97100220030040050114")).reasonCode == "AM05"
    await one.house.sessions.sign("0971", on=True)
    await one.advance(901)
    assert (await one.verify()).instructionId != first.instructionId
