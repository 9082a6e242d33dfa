"""A debtor's agent takes an order back: irrevocable, undone once, or refused before it comes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheme.errors import NotConnected
from scheme.messages import Message
from scheme.network import Participant
from switch.flight import NotAccepting, ReversalOutcome
from switch.ports import Delivery
from tests.support.single_message import (
    CONTENT,
    KEY,
    ORDER,
    Books,
    a_reference,
    enter,
    entering,
    iso_fleet,
    never,
    reversing,
    told,
)
from tests.support.switch_world import (
    PREFUND,
    START,
    World,
    accept_order,
    accept_query,
    fleet,
    refuse_order,
    world,
)

R = ReversalOutcome
LATER = START + timedelta(minutes=2)
LANES: Mapping[str, Mapping[str, Participant]] = {"iso8583": iso_fleet(), "tin": fleet()}
OWED = {"iso8583": "0420", "tin": "CTC1"}


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def one(tmp_path: Path, lane: str) -> AsyncIterator[World]:
    async with world(tmp_path, members=LANES[lane], peers=Books()) as made:
        yield made


def whole(one: World) -> bool:
    """Tell that no money moved and none is held."""
    return one.balance("0970") == one.available("0970") == one.balance("0971") == PREFUND


async def test_what_is_posted_is_irrevocable_and_the_reversal_hears_the_result(one: World) -> None:
    first = await enter(one, one.ct1(await a_reference(one)))
    for _ in range(2):
        reversal = await reversing(one)
        assert (reversal.outcome, reversal.transfer_id) == (R.POSTED, ORDER)
        assert reversal.answer.body == first.body
    await one.settle()
    assert one.peers.posted == {ORDER}
    assert one.peers.undone == set()


async def test_what_is_being_posted_is_irrevocable_once_it_is_on_disk(one: World) -> None:
    answer = never()
    one.peers.on_ct2.append(answer)
    order = entering(one, one.ct1(await a_reference(one)))
    await one.settle()
    one.disk.shut()
    answer.set_result(accept_order)
    await one.settle()
    reversal = reversing(one)
    await one.settle()
    assert not reversal.done()
    one.disk.release()
    await one.settle()
    assert (await reversal).outcome is R.POSTED
    assert told(await order) == ("00", None)


async def test_what_is_open_is_undone_and_its_creditor_is_told(one: World, lane: str) -> None:
    late = never()
    one.peers.on_ct2.append(asyncio.shield(late))
    order = entering(one, one.ct1(await a_reference(one)))
    await one.settle()
    one.peers.acknowledge = lambda _: Delivery(acknowledged=False)
    reversal = await reversing(one)
    assert (reversal.outcome, reversal.transfer_id) == (R.UNDONE, ORDER)
    assert told(await order) == told(reversal.answer) == ("05", "DS24")
    assert one.state(ORDER) == "EXPIRED"
    assert one.owed() == [f"{OWED[lane]}>0971"]
    late.set_result(accept_order)
    one.peers.acknowledge = lambda _: Delivery(acknowledged=True)
    await one.advance(60)
    assert (await reversing(one)).outcome is R.UNDONE
    assert one.state(ORDER) == "CANCELLED"
    assert one.peers.posted == set()
    assert len(one.peers.delivered) == len({owed.owed_id for owed in one.peers.delivered}) + 1
    assert whole(one)
    await one.audited()


async def test_an_undoing_is_on_disk_before_anyone_hears_of_it(one: World) -> None:
    one.peers.on_ct2.append(never())
    order = entering(one, one.ct1(await a_reference(one)))
    await one.settle()
    one.disk.shut()
    reversals = [reversing(one), reversing(one)]
    await one.settle()
    assert not any(task.done() for task in (order, *reversals))
    assert one.peers.delivered == []
    one.disk.release()
    await one.settle()
    assert {(await one).outcome for one in reversals} == {R.UNDONE}
    assert len(one.peers.delivered) == 1


async def test_whoever_takes_it_back_may_go_away(one: World) -> None:
    one.peers.on_ct2.append(never())
    order = entering(one, one.ct1(await a_reference(one)))
    await one.settle()
    going = reversing(one)
    await asyncio.sleep(0)
    going.cancel()
    await one.settle()
    assert told(await order) == ("05", "DS24")
    assert (await reversing(one)).outcome is R.UNDONE


async def test_an_answer_of_the_same_moment_comes_too_late(one: World) -> None:
    answer = never()
    one.peers.on_ct2.append(answer)
    order = entering(one, one.ct1(await a_reference(one)))
    await one.settle()
    answer.set_result(accept_order)
    reversal = await reversing(one)
    await one.settle()
    # Whichever was first decided it, and everybody hears the same.
    assert (reversal.outcome is R.POSTED) == (told(await order)[0] == "00")
    assert (reversal.outcome is R.POSTED) == (one.peers.posted == {ORDER})


class Stubborn(Books):
    """Hands an answer on although it was told to stop asking."""

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Answer all the same."""
        try:
            return await super().ask(participant, message, subject, prepared)
        except asyncio.CancelledError:
            return accept_order(message)


async def test_an_answer_that_is_handed_on_after_it_was_taken_back_does_not_count(
    tmp_path: Path, lane: str
) -> None:
    async with world(tmp_path, members=LANES[lane], peers=Stubborn()) as one:
        one.peers.on_ct2.append(never())
        order = entering(one, one.ct1(await a_reference(one)))
        await one.settle()
        assert (await reversing(one)).outcome is R.UNDONE
        assert told(await order) == ("05", "DS24")
        await one.settle()
        assert whole(one)
        assert one.peers.posted == set()


async def test_breakers_take_no_offence_at_an_order_that_was_taken_back(one: World) -> None:
    for number in range(30):
        quoted = await a_reference(one, trace=f"{number:06}")
        one.peers.on_ct2.append(never())
        order = entering(one, one.ct1(quoted, trace=f"{number:06}"), key=f"iso:{number}")
        await one.settle()
        assert (await reversing(one, f"iso:{number}")).outcome is R.UNDONE
        await order
    (row,) = one.house.breakers.rows()
    assert (row["state"], row["failed"]) == ("closed", 0)


@pytest.mark.parametrize(
    ("behaviour", "reason"), [(refuse_order("AC01"), "AC01"), (NotConnected("down"), "AB05")]
)
async def test_what_was_refused_stays_refused(one: World, behaviour: object, reason: str) -> None:
    one.peers.on_ct2.append(behaviour)
    first = await enter(one, one.ct1(await a_reference(one)))
    reversal = await reversing(one)
    assert reversal.outcome is R.REFUSED
    assert reversal.answer == first
    assert told(first) == ("05", reason)
    assert one.owed() == []


async def test_what_has_expired_stays_so(one: World) -> None:
    one.peers.on_ct2.append(never())
    order = entering(one, one.ct1(await a_reference(one)))
    await one.advance(9)
    reversal = await reversing(one)
    assert reversal.outcome is R.REFUSED
    assert reversal.answer == await order


async def test_what_the_clearing_house_refuses_stays_so(one: World) -> None:
    order = entering(one, one.ct1(await a_reference(one), amount=3_000_001))
    await asyncio.sleep(0)
    reversal = await reversing(one)
    assert reversal.outcome is R.REFUSED
    assert told(await order) == ("05", "FF07")


async def test_what_no_position_covers_stays_refused(tmp_path: Path, lane: str) -> None:
    async with world(tmp_path, members=LANES[lane], peers=Books(), prefund=100) as one:
        first = await enter(one, one.ct1(await a_reference(one)))
        assert told(first) == ("05", "FF07")
        reversal = await reversing(one)
        assert (reversal.outcome, reversal.answer) == (R.REFUSED, first)
        assert one.peers.orders() == []


async def test_what_never_came_is_remembered_and_refused_when_it_comes(one: World) -> None:
    quoted = await a_reference(one)
    first = await reversing(one)
    assert (first.outcome, first.transfer_id) == (R.UNKNOWN, KEY)
    assert one.state(KEY) == "TOMBSTONE"
    answers = [await enter(one, one.ct1(quoted)) for _ in range(2)]
    assert answers == [first.answer] * 2
    assert told(first.answer) == ("05", "DS24")
    assert one.peers.orders() == []
    assert await one.house.router.repeated(KEY, CONTENT) == first.answer
    assert await reversing(one) == first
    assert whole(one)
    await one.audited()


async def test_a_reversal_that_is_being_remembered_already_wins(one: World) -> None:
    quoted = await a_reference(one)
    one.disk.shut()
    reversal = reversing(one)
    await asyncio.sleep(0)
    order, repeat = entering(one, one.ct1(quoted)), reversing(one)
    asked = asyncio.create_task(one.house.router.repeated(KEY, CONTENT))
    await one.settle()
    assert not any(task.done() for task in (reversal, order, repeat, asked))
    one.disk.release()
    await one.settle()
    assert (await reversal).outcome is R.UNKNOWN
    assert await repeat == await reversal
    assert await order == await asked == (await reversal).answer
    assert one.peers.orders() == []


async def test_an_order_in_verification_is_not_known_yet_and_its_reversal_wins(
    one: World,
) -> None:
    query = never()
    one.peers.on_av2.append(query)

    async def order() -> tuple[str | None, str | None]:
        return told(await enter(one, one.ct1(await a_reference(one))))

    sending = asyncio.create_task(order())
    await one.settle()
    assert (await reversing(one)).outcome is R.UNKNOWN
    query.set_result(accept_query)
    assert await sending == ("05", "DS24")
    assert one.peers.orders() == []


async def test_an_order_that_has_not_begun_is_refused_and_nothing_leaves(one: World) -> None:
    ct1 = one.ct1(await a_reference(one))
    order, reversal = entering(one, ct1), reversing(one)
    await one.settle()
    assert (await reversal).outcome is R.REFUSED
    assert told(await order) == ("05", "DS24")
    assert one.state(ORDER) == "REJECTED"
    assert one.peers.orders() == []
    assert one.owed() == []
    assert whole(one)


async def test_a_reservation_on_its_way_to_the_disk_is_undone_and_its_order_never_leaves(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, members=iso_fleet(), peers=Books()) as one:
        quoted = await a_reference(one)
        one.disk.shut()
        order = entering(one, one.ct1(quoted))
        await one.settle()
        reversal = reversing(one)
        await one.settle()
        one.disk.release()
        await one.settle()
        assert (await reversal).outcome is R.UNDONE
        assert told(await order) == ("05", "DS24")
        await one.settle()
        assert one.peers.orders() == []
        assert one.state(ORDER) == "CANCELLED"
        assert whole(one)


async def test_a_repeat_gets_the_answer_and_other_content_is_refused(one: World) -> None:
    assert await one.house.router.repeated(KEY, CONTENT) is None
    answer = never()
    one.peers.on_ct2.append(answer)
    quoted = await a_reference(one)
    order = entering(one, one.ct1(quoted))
    await one.settle()
    repeat = asyncio.create_task(one.house.router.repeated(KEY, CONTENT))
    again = entering(one, one.ct1(quoted))
    other = await one.house.router.repeated(KEY, "something else")
    assert other is not None
    assert told(other) == ("05", "AM05")
    assert told(await enter(one, one.ct1(quoted), content="something else")) == ("05", "AM05")
    await one.settle()
    assert not repeat.done()
    answer.set_result(accept_order)
    assert await order == await repeat == await again
    assert await one.house.router.repeated(KEY, CONTENT) == await order
    other = await one.house.router.repeated(KEY, "something else")
    assert other is not None
    assert told(other) == ("05", "AM05")
    assert len(one.peers.orders()) == 1


async def test_a_full_clearing_house_remembers_nothing_and_says_nothing(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(one.ledger), "is_full", property(lambda _: True))
    with pytest.raises(NotAccepting):
        await reversing(one)
    monkeypatch.undo()
    assert (await reversing(one)).outcome is R.UNKNOWN


# Restarts.


@pytest.mark.parametrize(
    ("story", "outcome"),
    [
        ("posted", R.POSTED),
        ("undone", R.UNDONE),
        ("refused", R.REFUSED),
        ("expired", R.REFUSED),
        ("never came", R.UNKNOWN),
        ("not begun", R.REFUSED),
    ],
)
async def test_the_same_reversal_has_the_same_outcome_after_a_restart(
    tmp_path: Path, lane: str, story: str, outcome: ReversalOutcome
) -> None:
    peers = Books()
    async with world(tmp_path, members=LANES[lane], peers=peers) as before:
        quoted = await a_reference(before)
        if story in ("undone", "expired"):
            peers.on_ct2.append(never())
        elif story == "refused":
            peers.on_ct2.append(refuse_order("AC01"))
        order = None
        if story != "never came":
            order = entering(before, before.ct1(quoted))
            if story != "not begun":
                await before.settle()
        if story == "expired":
            await before.advance(9)
        first = await reversing(before)
        before.disk.lose_power()
        assert order is None or await order == first.answer
    assert first.outcome is outcome
    async with world(tmp_path, members=LANES[lane], peers=peers, start=LATER) as after:
        assert await reversing(after) == first
        assert await enter(after, after.ct1(quoted)) == first.answer
        assert await after.house.router.repeated(KEY, CONTENT) == first.answer
        await after.advance(60)
        assert (after.balance("0971") > PREFUND) == (outcome is R.POSTED)
        assert (peers.posted == {ORDER}) == (outcome is R.POSTED)
        await after.audited()


@pytest.mark.parametrize("story", ["open", "never came"])
async def test_a_crash_before_the_disk_tells_nobody_and_the_repeat_finds_an_outcome(
    tmp_path: Path, lane: str, story: str
) -> None:
    peers = Books()
    waiting: list[asyncio.Task[Any]] = []
    async with world(tmp_path, members=LANES[lane], peers=peers) as before:
        quoted = await a_reference(before)
        if story == "open":
            peers.on_ct2.append(never())
            waiting.append(entering(before, before.ct1(quoted)))
            await before.settle()
        before.disk.shut()
        waiting.append(reversing(before))
        await before.settle()
        before.disk.lose_power()
        await before.settle()
        for task in waiting:
            assert not task.done()
            task.cancel()
    async with world(tmp_path, members=LANES[lane], peers=peers, start=LATER) as after:
        first = await reversing(after)
        assert first.outcome is (R.UNKNOWN if story == "never came" else R.REFUSED)
        await after.advance(60)
        assert (await enter(after, after.ct1(quoted))).body == first.answer.body
        assert peers.posted == set()
        assert whole(after)
        await after.audited()


async def test_an_order_and_its_reversal_outlive_the_memory_of_them(tmp_path: Path) -> None:
    peers = Books()
    async with world(tmp_path, members=iso_fleet(), peers=peers) as before:
        first = await enter(before, before.ct1(await a_reference(before)))
        gone = await reversing(before, "iso:0970:never")
    much_later = START + timedelta(days=40)
    async with world(tmp_path, members=iso_fleet(), peers=peers, start=much_later) as after:
        assert (await reversing(after)).answer == first
        assert await reversing(after, "iso:0970:never") == gone
