"""Rules 5 to 13 of those that keep money safe (docs/architecture.md#money)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scheme.errors import NoAnswer, NotConnected
from scheme.ledger import NATIONAL, Oppose, Owed, Short
from scheme.messages import CT3, CT4, Message
from scheme.wire.tin_json import decode
from switch.flight import UnknownOutcome
from switch.ports import Delivery
from tests.support.switch_world import (
    PREFUND,
    START,
    WINDOW,
    FixedWindow,
    ScriptedPeers,
    World,
    accept_order,
    accept_query,
    an_open_window,
    fixed_window,
    fleet,
    refuse_order,
    world,
)

NEXT_WINDOW = "national-PEN-20260116-1"
ORDER = "2026011510161209704191000124"


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def never() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


async def reference(one: World, **changes: str) -> str:
    return (await one.verify(**changes)).instructionId


# Rule 5: decided once, in memory, when the event is handled.


@pytest.mark.parametrize("behaviour", [accept_order, refuse_order("AC06")])
async def test_rule_5_nothing_turns_a_decision_that_is_on_its_way_to_the_disk(
    one: World, behaviour: object
) -> None:
    one.peers.on_ct2.append(behaviour)
    quoted = await reference(one)
    one.disk.shut()
    told = one.start(one.ct1(quoted))
    await one.settle()
    repeat = one.start(one.ct1(quoted, messageTypeId="0201"))
    off = asyncio.create_task(one.house.sessions.sign("0971", on=False))
    await one.advance(3_600)
    assert (await one.ask(ORDER)).responseCode == "99"
    assert not told.done()
    assert not repeat.done()
    one.disk.release()
    await one.settle()
    await off
    expected = "00" if behaviour is accept_order else "05"
    assert decode((await told).body, CT4).responseCode == expected
    assert (await repeat).body == (await told).body
    assert one.state(ORDER) in ("POSTED", "CONFIRMED", "REJECTED")


async def test_rule_5_a_sign_off_does_not_touch_what_is_reserved(one: World) -> None:
    answer = never()
    one.peers.on_ct2.append(answer)
    told = one.start(one.ct1(await reference(one)))
    await one.settle()
    await one.house.sessions.sign("0970", on=False)
    await one.house.sessions.block("0971", blocked=True)
    answer.set_result(accept_order)
    await one.settle()
    assert decode((await told).body, CT4).responseCode == "00"


# Rule 6: after the reservation no exception becomes a 05.


async def test_rule_6_an_exception_of_ours_states_no_outcome(one: World) -> None:
    one.peers.on_ct2.append(RuntimeError("a bug"))
    quoted = await reference(one)
    with pytest.raises(UnknownOutcome):
        await one.send(one.ct1(quoted))
    assert (await one.ask(ORDER)).responseCode == "99"
    with pytest.raises(UnknownOutcome):
        await one.send(one.ct1(quoted, messageTypeId="0201"))
    assert one.available("0970") < PREFUND


async def test_rule_6_a_restart_gives_it_the_outcome_that_was_never_stated(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        before.peers.on_ct2.append(RuntimeError("a bug"))
        quoted = await reference(before)
        with pytest.raises(UnknownOutcome):
            await before.send(before.ct1(quoted))
        await before.settle()
    async with world(tmp_path, start=START + timedelta(minutes=1)) as after:
        assert (await after.order(after.ct1(quoted))).reasonCode == "AB05"
        await after.audited()


def another_order(ct2: Message) -> CT3:
    return _changed(ct2, instructionId="2026011510161209704191999999")


def another_amount(ct2: Message) -> CT3:
    return _changed(ct2, amount=1)


def _changed(ct2: Message, **changes: object) -> CT3:
    return replace(accept_order(ct2), **changes)


@pytest.mark.parametrize("behaviour", [NoAnswer("half a body"), another_order, another_amount])
async def test_rule_6_a_broken_answer_is_silence_until_the_expiry(
    one: World, behaviour: object
) -> None:
    one.peers.on_ct2.append(behaviour)
    told = one.start(one.ct1(await reference(one)))
    await one.advance(7.9)
    assert not told.done()
    assert one.available("0970") < PREFUND
    await one.advance(0.1)
    assert decode((await told).body, CT4).reasonCode == "AB05"
    assert [owed.message for owed in one.peers.delivered] == ["CTC1"]
    assert one.available("0970") == PREFUND


async def test_rule_6_a_connection_never_made_refuses_at_once_and_owes_nothing(one: World) -> None:
    one.peers.on_ct2.append(NotConnected("refused"))
    ct4 = await one.order(one.ct1(await reference(one)))
    await one.settle()
    assert (ct4.responseCode, ct4.reasonCode) == ("05", "AB05")
    assert one.owed() == []
    assert not one.peers.delivered
    assert one.available("0970") == PREFUND


async def test_rule_6_a_payer_without_a_position_in_the_currency_is_refused_before_money_is_held(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, members=fleet(**{"0970": {"currencies": ("USD",)}})) as one:
        av4 = await one.verify()
        assert (av4.responseCode, av4.reasonCode) == ("05", "FF07")


# Rule 7: a transfer lives in its own task.


async def test_rule_7_a_client_that_goes_away_changes_nothing(one: World) -> None:
    answer = never()
    one.peers.on_ct2.append(answer)
    quoted = await reference(one)
    client = one.start(one.ct1(quoted))
    await one.settle()
    client.cancel()
    await one.settle()
    answer.set_result(accept_order)
    await one.settle()
    assert one.state(ORDER) == "CONFIRMED"
    assert (await one.order(one.ct1(quoted, messageTypeId="0201"))).responseCode == "00"
    assert len(one.peers.orders()) == 1


async def test_rule_7_a_repeat_that_goes_away_takes_nothing_from_the_first(one: World) -> None:
    answer = never()
    one.peers.on_ct2.append(answer)
    quoted = await reference(one)
    first = one.start(one.ct1(quoted))
    await one.settle()
    repeat = one.start(one.ct1(quoted, messageTypeId="0201"))
    await one.settle()
    repeat.cancel()
    await one.settle()
    answer.set_result(accept_order)
    await one.settle()
    assert decode((await first).body, CT4).responseCode == "00"


async def test_rule_7_a_repeated_query_that_goes_away_takes_nothing_from_the_first(
    one: World,
) -> None:
    answer = never()
    one.peers.on_av2.append(answer)
    first = asyncio.create_task(one.verify())
    await one.settle()
    repeat = asyncio.create_task(one.verify())
    await one.settle()
    repeat.cancel()
    await one.settle()
    answer.set_result(accept_query)
    assert (await first).responseCode == "00"
    assert len(one.peers.sent) == 1


async def test_rule_7_a_client_of_a_query_that_goes_away_changes_nothing(one: World) -> None:
    answer = never()
    one.peers.on_av2.append(answer)
    client = asyncio.create_task(one.verify())
    await one.settle()
    client.cancel()
    await one.settle()
    answer.set_result(accept_query)
    await one.settle()
    assert (await one.verify()).responseCode == "00"
    assert len(one.peers.sent) == 1


# Rule 8: both legs or none.


async def test_rule_8_principal_and_fee_are_linked_and_sum_to_zero(one: World) -> None:
    ct4 = await one.pay(amount=12_345, feeAmount=80)
    entries = one.store.entries(ct4.instructionId)
    assert [(e.kind, e.debit, e.credit, e.minor) for e in entries] == [
        ("principal", "0970", "0971", 12_345),
        ("interbank_fee", "0970", "0971", 80),
    ]
    await one.settle()
    await one.audited()


async def test_rule_8_amount_and_fee_are_reserved_together_or_not_at_all(tmp_path: Path) -> None:
    async with world(tmp_path, prefund=1_000) as one:
        quoted = await reference(one)
        short = await one.order(one.ct1(quoted, amount=1_000, feeAmount=1))
        assert short.reasonCode == "FF07"
        assert one.available("0970") == 1_000
        assert not one.peers.orders()
        await one.verify(trace="000777")
        exact = await one.pay(av_trace="000778", trace="000779", amount=999, feeAmount=1)
        assert exact.responseCode == "00"
        assert one.available("0970") == 0


async def test_rule_8_what_is_in_flight_cannot_be_spent_twice(tmp_path: Path) -> None:
    async with world(tmp_path, prefund=1_000) as one:
        one.peers.on_ct2.append(never())
        first = await reference(one)
        second = await reference(one, trace="000124")
        waiting = one.start(one.ct1(first, amount=700, feeAmount=0))
        await one.settle()
        other = await one.order(one.ct1(second, amount=700, feeAmount=0, trace="000200"))
        assert other.reasonCode == "FF07"
        waiting.cancel()


# Rule 9: nothing posted is ever removed.


async def test_rule_9_money_goes_back_by_a_new_posting_of_at_most_what_is_left(one: World) -> None:
    ct4 = await one.pay(amount=1_000, feeAmount=0)
    await one.settle()

    def back(name: str, minor: int) -> Oppose:
        return Oppose(
            transfer_id=name,
            opposite_of=ct4.instructionId,
            minor=minor,
            windows={NATIONAL: WINDOW},
            at_ms=1,
        )

    await one.ledger.apply((back("back-1", 600),))
    (too_much,) = await one.ledger.apply((back("back-2", 401),))
    assert isinstance(too_much, Short)
    assert one.balance("0970") == PREFUND - 400
    assert len(one.store.entries(ct4.instructionId)) == 1
    assert one.state(ct4.instructionId) == "CONFIRMED"
    await one.audited()


# Rule 10: messages owed to peers are rows.


async def test_rule_10_what_is_owed_survives_a_crash_and_is_the_same_bytes(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        before.peers.acknowledge = lambda _: Delivery(acknowledged=False)
        await before.pay()
        await before.settle()
        (first,) = [owed for owed in before.peers.delivered if owed.message == "CT5"]
        assert before.owed() == ["CT5>0971"]
        before.disk.lose_power()
    async with world(tmp_path, start=START + timedelta(minutes=1), is_fresh=False) as after:
        (again,) = [owed for owed in after.peers.delivered if owed.message == "CT5"]
        assert (again.owed_id, again.body) == (first.owed_id, first.body)
        assert after.owed() == []
        assert after.state(ORDER) == "CONFIRMED"


async def test_rule_10_a_slow_peer_does_not_delay_another(one: World) -> None:
    hung: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
    peers: ScriptedPeers = one.peers
    deliver = peers.deliver

    async def slow(owed: Owed, *, repeated: bool = False) -> Delivery:
        if owed.participant == "0971":
            return await hung
        return await deliver(owed, repeated=repeated)

    peers.deliver = slow  # type: ignore[method-assign]
    await one.pay()
    await one.house.sessions.announce("AVISO DE PRUEBA", ["0988"])
    await one.settle()
    assert ("SNM981", "0988") in [(o.message, o.participant) for o in one.peers.delivered]
    assert one.owed() == ["CT5>0971"]
    hung.set_result(Delivery(acknowledged=True))
    await one.settle()
    assert one.owed() == []


async def test_rule_10_owed_messages_go_to_blocked_and_signed_off_peers_too(one: World) -> None:
    one.peers.acknowledge = lambda _: Delivery(acknowledged=False)
    await one.pay()
    await one.house.sessions.block("0971", blocked=True)
    await one.house.sessions.sign("0971", on=False)
    one.peers.acknowledge = lambda _: Delivery(acknowledged=True)
    await one.advance(5)
    assert one.state(ORDER) == "CONFIRMED"


# Rule 11: one database file, one writer; what is owed stands in the transaction of its outcome.


@pytest.mark.parametrize("behaviour", [accept_order, None])
async def test_rule_11_the_outcome_and_what_it_owes_are_written_together(
    tmp_path: Path, behaviour: object
) -> None:
    async with world(tmp_path) as before:
        before.peers.acknowledge = lambda _: Delivery(acknowledged=False)
        before.peers.on_ct2.append(behaviour or never())
        told = before.start(before.ct1(await reference(before)))
        await before.advance(8)
        await told
        before.disk.lose_power()
    peers = ScriptedPeers()
    peers.acknowledge = lambda _: Delivery(acknowledged=False)
    async with world(tmp_path, peers=peers, start=START + timedelta(minutes=1)) as after:
        owed = [row.owed for row in after.store.owed()]
        state, message = ("POSTED", "CT5") if behaviour else ("EXPIRED", "CTC1")
        assert after.state(ORDER) == state
        assert [(o.message, o.subject) for o in owed] == [(message, ORDER)]


# Rule 12: if a group's commit fails nothing in it or after it is acknowledged.


async def test_rule_12_a_failed_commit_is_never_acknowledged_and_ends_the_process(
    one: World,
) -> None:
    quoted = await reference(one)
    other = await reference(one, trace="000555")
    one.disk.shut()
    told = [one.start(one.ct1(quoted)), one.start(one.ct1(other, trace="000556"))]
    await one.settle()
    one.disk.lose_power()
    for _ in range(200):
        await asyncio.sleep(0.001)
        if one.failures:
            break
    assert len(one.failures) == 1
    later = one.start(one.ct1(quoted, messageTypeId="0201"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not any(task.done() for task in (*told, later))
    assert not one.peers.delivered
    for task in (*told, later):
        task.cancel()


# Rule 13: a window is fixed when a transfer is reserved.


async def test_rule_13_the_window_of_the_reservation_stays_that_of_the_posting(
    tmp_path: Path,
) -> None:
    windows = [fixed_window(NATIONAL, "PEN")]
    async with world(tmp_path, window_of=lambda _, __: windows[-1]) as one:
        answer = never()
        one.peers.on_ct2.append(answer)
        told = one.start(one.ct1(await reference(one)))
        await one.settle()
        await one.ledger.apply((replace(an_open_window(NATIONAL), window=NEXT_WINDOW),))
        windows.append(FixedWindow(NEXT_WINDOW, "20260116"))
        answer.set_result(accept_order)
        await one.settle()
        ct4 = decode((await told).body, CT4)
        assert one.peers.orders()[0].settlementDate == "20260115"
        assert ct4.settlementDate == "20260115"
        assert {entry.window for entry in one.store.entries(ct4.instructionId)} == {WINDOW}
        later = await one.pay(av_trace="000300", trace="000301")
        assert later.settlementDate == "20260116"
