"""Rule 3: a creditor that posts on the order itself (docs/architecture.md#money).

What is sent to it is on disk before; what may have reached it is undone or in dispute, for ever.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheme.errors import NoAnswer, NotConnected
from scheme.messages import CT2, Message
from scheme.network import Iso8583, Participant
from scheme.wire.iso8583_codec import codec
from switch.ports import Delivery, StoredTransfer
from switch.queries import Queries
from switch.wire_log import WireMessage
from tests.support.single_message import (
    ORDER,
    Books,
    a_reference,
    iso_fleet,
    never,
    told,
)
from tests.support.switch_world import (
    PREFUND,
    START,
    World,
    accept_order,
    answer_order,
    fleet,
    refuse_order,
    world,
)

LATER = START + timedelta(minutes=2)
UNHEARD = Delivery(acknowledged=False, detail="no 0430")
WILL_NOT = Delivery(acknowledged=True, refused=True)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, members=iso_fleet(), peers=Books()) as made:
        yield made


def stored(one: World, instruction: str = ORDER) -> StoredTransfer:
    found = one.store.transfer(instruction)
    assert found is not None
    return found


def whole(one: World) -> bool:
    """Tell that no money moved and none is held."""
    return one.balance("0970") == one.available("0970") == one.balance("0971") == PREFUND


def reversals(one: World) -> list[dict[str, str]]:
    bodies = [owed.body for owed in one.peers.delivered if owed.message == "0420"]
    return [codec("ascii-1987").decode(body) for body in bodies]


class NoWire:
    """A wire log in which nothing stands."""

    async def find(self, subjects: frozenset[str], *, since_us: int) -> list[WireMessage]:
        raise AssertionError(subjects, since_us)

    async def recent(self, *, participant: str | None, limit: int) -> list[WireMessage]:
        raise AssertionError(participant, limit)


def stuck(one: World) -> dict[str, Any]:
    """Return what an operator is shown as not finished."""
    return Queries(
        one.store, NoWire(), clock=one.clock, in_flight=lambda: (), attempts=lambda: ()
    ).stuck()


async def test_its_acceptance_is_the_end_and_nothing_is_owed(one: World) -> None:
    ct4 = await one.pay(amount=10_000, feeAmount=80)
    await one.settle()
    assert ct4.responseCode == "00"
    assert stored(one, ct4.instructionId).state == "CONFIRMED"
    assert one.owed() == []
    assert one.peers.delivered == []
    assert one.balance("0971") == PREFUND + 10_080
    assert one.peers.posted == {ct4.instructionId}
    await one.audited()


async def test_the_exact_request_is_on_disk_before_it_leaves(one: World) -> None:
    seen: list[tuple[str, bytes]] = []

    def look(message: Message) -> Message:
        assert isinstance(message, CT2)
        row = stored(one, message.instructionId)
        assert row.record is not None
        seen.append((row.state, row.record.sent))
        return accept_order(message)

    one.peers.on_ct2.append(look)
    ct4 = await one.pay()
    assert seen == [("RESERVED", one.peers.prepared[ct4.instructionId])]


async def test_nothing_leaves_before_the_reservation_is_on_disk(one: World) -> None:
    quoted = await a_reference(one)
    one.disk.shut()
    answer = one.start(one.ct1(quoted))
    await one.settle()
    assert one.peers.orders() == []
    one.disk.release()
    await one.settle()
    assert told(await answer) == ("00", None)


async def test_its_refusal_releases_the_money_and_owes_nothing(one: World) -> None:
    one.peers.on_ct2.append(refuse_order("AC06"))
    ct4 = await one.pay()
    assert (ct4.responseCode, ct4.reasonCode) == ("05", "AC06")
    assert stored(one, ct4.instructionId).state == "REJECTED"
    assert one.owed() == []
    assert whole(one)


@pytest.mark.parametrize("when", ["before it is prepared", "before it is sent"])
async def test_who_cannot_have_seen_it_refuses_at_once_and_is_owed_nothing(
    one: World, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(*_: object) -> bytes:
        raise NotConnected("no link")

    if when == "before it is sent":
        one.peers.on_ct2.append(NotConnected("no link"))
    else:
        monkeypatch.setattr(one.peers, "prepare", prepare)
    ct4 = await one.pay()
    assert (ct4.responseCode, ct4.reasonCode) == ("05", "AB05")
    assert stored(one, ct4.instructionId).state == "REJECTED"
    assert one.owed() == []
    assert whole(one)


def another_order(message: Message) -> Message:
    return answer_order(message, "00", None, instructionId="2026011510161209704191000999")


def undecided(message: Message) -> Message:
    return answer_order(message, "99", None)


@pytest.mark.parametrize(
    "silence",
    [None, NoAnswer("link lost"), another_order, undecided],
    ids=["none", "the link is lost", "of another order", "undecided"],
)
async def test_what_is_no_sound_answer_expires_it_and_its_0420_is_owed(
    one: World, silence: object
) -> None:
    one.peers.acknowledge = lambda _: UNHEARD
    one.peers.on_ct2.append(never() if silence is None else silence)
    answer = one.start(one.ct1(await a_reference(one)))
    await one.advance(9)
    assert told(await answer) == ("05", "AB05")
    assert stored(one).state == "EXPIRED"
    assert one.owed() == ["0420>0971"]
    assert whole(one)
    sent = codec("ascii-1987").decode(one.peers.prepared[ORDER])
    (undo, *_) = reversals(one)
    assert undo["t"] == "0420"
    assert undo["90"].startswith("0200" + sent["11"] + sent["7"])
    assert [undo[key] for key in ("11", "37", "32")] == [sent[key] for key in ("11", "37", "32")]


async def test_the_0420_is_repeated_as_such_with_the_same_bytes_until_it_is_taken(
    one: World,
) -> None:
    one.peers.acknowledge = lambda _: UNHEARD
    one.peers.on_ct2.append(never())
    answer = one.start(one.ct1(await a_reference(one)))
    await one.advance(9)
    await answer
    await one.advance(4)
    one.peers.acknowledge = lambda _: Delivery(acknowledged=True)
    await one.advance(60)
    assert one.peers.repeats[:2] == [False, True]
    assert all(one.peers.repeats[1:])
    assert len({owed.body for owed in one.peers.delivered}) == 1
    assert stored(one).state == "CANCELLED"
    assert one.owed() == []
    assert one.peers.posted == set()


async def test_a_sign_on_brings_the_0420_at_once(one: World) -> None:
    one.peers.acknowledge = lambda _: UNHEARD
    one.peers.on_ct2.append(never())
    answer = one.start(one.ct1(await a_reference(one)))
    await one.advance(600)
    await answer
    tried = len(one.peers.delivered)
    one.peers.acknowledge = lambda _: Delivery(acknowledged=True)
    one.house.outbox.wake("0971")
    await one.settle()
    assert len(one.peers.delivered) == tried + 1
    assert stored(one).state == "CANCELLED"


async def test_who_will_not_undo_leaves_a_dispute_that_people_see(one: World) -> None:
    one.peers.acknowledge = lambda _: WILL_NOT
    one.peers.on_ct2.append(never())
    answer = one.start(one.ct1(await a_reference(one)))
    await one.advance(9)
    await answer
    await one.settle()
    assert stored(one).state == "DISPUTED"
    assert one.owed() == []
    assert whole(one), "the payer has its money back, whatever the creditor did"
    (shown,) = stuck(one)["disputed"]
    assert (shown["instruction_id"], shown["participant"]) == (ORDER, "0971")
    assert told(await one.send(one.ct1(stored_reference(one)))) == ("05", "AB05")


def stored_reference(one: World) -> str:
    record = stored(one).record
    assert record is not None
    return record.ct1.referenceTransactionId


async def test_while_its_0420_is_owed_people_see_it_as_expired_and_not_as_a_notice(
    one: World,
) -> None:
    one.peers.acknowledge = lambda _: UNHEARD
    one.peers.on_ct2.append(never())
    answer = one.start(one.ct1(await a_reference(one)))
    await one.advance(9)
    await answer
    found = stuck(one)
    assert [row["instruction_id"] for row in found["expired_uncancelled"]] == [ORDER]
    assert found["notices_owed"] == []


async def test_an_answer_after_the_expiry_changes_nothing(one: World) -> None:
    late = never()
    one.peers.on_ct2.append(asyncio.shield(late))
    answer = one.start(one.ct1(await a_reference(one)))
    await one.advance(9)
    first = await answer
    late.set_result(accept_order)
    await one.advance(9)
    assert stored(one).state == "CANCELLED"
    assert (await one.send(one.ct1(stored_reference(one)))).body == first.body
    assert len(one.peers.orders()) == 1
    assert whole(one)


# Restarts: the process ends without a word at each step.


async def test_a_restart_before_the_reservation_is_on_disk_has_sent_nothing(
    tmp_path: Path,
) -> None:
    peers = Books()
    async with world(tmp_path, members=iso_fleet(), peers=peers) as before:
        quoted = await a_reference(before)
        before.disk.shut()
        waiting = before.start(before.ct1(quoted))
        await before.settle()
        before.disk.lose_power()
        waiting.cancel()
    assert peers.asked == [quoted]
    async with world(tmp_path, members=iso_fleet(), peers=peers, start=LATER) as after:
        assert after.expired_at_start == 0
        ct4 = await after.order(after.ct1(quoted, messageTypeId="0201"))
        assert ct4.responseCode == "00"
        assert peers.posted == {ct4.instructionId}


@pytest.mark.parametrize("loses_0430", [False, True])
async def test_a_restart_after_it_was_sent_owes_its_0421_and_books_agree(
    tmp_path: Path, loses_0430: bool
) -> None:
    peers = Books()
    async with world(tmp_path, members=iso_fleet(), peers=peers) as before:
        quoted = await a_reference(before)
        peers.on_ct2.append(never())
        waiting = before.start(before.ct1(quoted))
        await before.settle()
        before.disk.lose_power()
        waiting.cancel()
    assert peers.posted == {ORDER}
    if loses_0430:
        peers.acknowledge = lambda _: UNHEARD
    async with world(
        tmp_path, members=iso_fleet(), peers=peers, start=LATER, is_fresh=False
    ) as after:
        assert after.expired_at_start == 1
        undone = [r for o, r in zip(peers.delivered, peers.repeats, strict=True) if o.subject]
        assert undone
        assert all(undone), "nobody knows whether it was sent before"
        peers.acknowledge = lambda _: Delivery(acknowledged=True)
        await after.advance(60)
        assert stored(after).state == "CANCELLED"
        assert peers.posted == set()
        assert whole(after)
        again = after.ct1(quoted, messageTypeId="0201")
        assert told(await after.send(again)) == ("05", "AB05")
        await after.audited()


async def test_a_restart_between_its_acceptance_and_the_disk_undoes_it_on_both_sides(
    tmp_path: Path,
) -> None:
    peers = Books()
    async with world(tmp_path, members=iso_fleet(), peers=peers) as before:
        answer = never()
        peers.on_ct2.append(answer)
        waiting = before.start(before.ct1(await a_reference(before)))
        await before.settle()
        before.disk.lose_power()
        answer.set_result(accept_order)
        await before.settle()
        assert not waiting.done(), "nobody is told what is not on disk"
        waiting.cancel()
    async with world(tmp_path, members=iso_fleet(), peers=peers, start=LATER) as after:
        await after.settle()
        assert stored(after).state == "CANCELLED"
        assert peers.posted == set()
        assert whole(after)


async def test_a_restart_after_the_posting_leaves_it_posted(tmp_path: Path) -> None:
    peers = Books()
    async with world(tmp_path, members=iso_fleet(), peers=peers) as before:
        quoted = await a_reference(before)
        first = await before.send(before.ct1(quoted))
        before.disk.lose_power()
    async with world(tmp_path, members=iso_fleet(), peers=peers, start=LATER) as after:
        assert after.expired_at_start == 0
        assert (await after.send(after.ct1(quoted))).body == first.body
        assert peers.posted == {ORDER}
        assert after.owed() == []
        await after.audited()


@pytest.mark.parametrize(
    "members",
    [
        fleet(),
        iso_fleet(iso8583=Iso8583(spec="packed-1987")),
        {code: one for code, one in fleet().items() if code != "0971"},
    ],
    ids=["another lane", "another table", "it has left"],
)
async def test_a_creditor_that_changed_meanwhile_is_owed_the_0420_all_the_same(
    tmp_path: Path, members: dict[str, Participant]
) -> None:
    peers = Books()
    async with world(tmp_path, members=iso_fleet(), peers=peers) as before:
        peers.on_ct2.append(never())
        waiting = before.start(before.ct1(await a_reference(before)))
        await before.settle()
        before.disk.lose_power()
        waiting.cancel()
    peers.acknowledge = lambda _: UNHEARD
    async with world(tmp_path, members=members, peers=peers, start=LATER) as after:
        assert after.expired_at_start == 1
        assert after.owed() == ["0420>0971"]
        (row,) = after.store.owed()
        spoken = members["0971"].iso8583.spec if "0971" in members else "ascii-1987"
        assert codec(spoken).decode(row.owed.body)["t"] == "0420"
        assert after.available("0970") == PREFUND


async def test_an_order_for_a_creditor_that_went_over_to_this_lane_keeps_its_ctc1(
    tmp_path: Path,
) -> None:
    peers = Books()
    async with world(tmp_path, peers=peers) as before:
        peers.on_ct2.append(never())
        waiting = before.start(before.ct1(await a_reference(before)))
        await before.settle()
        before.disk.lose_power()
        waiting.cancel()
    peers.acknowledge = lambda _: UNHEARD
    async with world(tmp_path, members=iso_fleet(), peers=peers, start=LATER) as after:
        assert after.owed() == ["CTC1>0971"]
