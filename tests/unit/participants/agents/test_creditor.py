from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from participants.agents.creditor import SILENCE_S
from participants.core.book import CreditState, Posting, Role
from participants.core.magic import Act
from participants.core.replies import Reply
from scheme.errors import NoAnswer
from scheme.messages import AV2, AV3, CT3, CTC2
from tests.support.fleet_world import (
    CREDITOR_CCI,
    GOLDEN,
    PROFILE,
    World,
    a_ct2,
    a_ct5,
    a_ctc1,
    a_psr2,
    an_account,
    an_av2,
    golden,
    started,
)

AMOUNT = 12_500


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World("0971", [an_account()])
    yield world
    await world.close()


def said(reply: Reply) -> tuple[str, str | None]:
    answer = reply.message
    assert isinstance(answer, AV3 | CT3 | CTC2)
    return answer.responseCode, answer.reasonCode


def credited(world: World) -> int:
    return world.account(CREDITOR_CCI).balance - 100_000


async def hold(world: World) -> None:
    assert said(await world.office.creditor.answer_order(a_ct2())) == ("00", None)


async def test_the_example_query_gets_the_example_answer(world: World) -> None:
    reply = await world.office.creditor.answer_query(an_av2())

    assert reply.message == golden("AV3-accepted", AV3)
    assert (GOLDEN / "AV3-accepted.json").exists()


async def test_the_same_customer_is_told_so(world: World) -> None:
    reply = await world.office.creditor.answer_query(an_av2(debtorId="00000202"))

    assert isinstance(reply.message, AV3)
    assert reply.message.sameCustomerFlag == "M"


async def test_a_query_that_comes_twice_is_refused(world: World) -> None:
    await world.office.creditor.answer_query(an_av2())

    assert said(await world.office.creditor.answer_query(an_av2())) == ("05", "AM05")


async def test_a_query_and_an_order_may_share_an_id(world: World) -> None:
    await world.office.creditor.answer_query(an_av2(instructionId="same"))

    reply = await world.office.creditor.answer_order(a_ct2(instructionId="same"))

    assert said(reply) == ("00", None)


async def test_an_order_is_answered_only_once_its_hold_is_on_disk(world: World) -> None:
    world.books.is_slow = True
    answering = await started(world.office.creditor.answer_order(a_ct2()))
    assert not answering.done()

    world.books.flush()

    assert said(await answering) == ("00", None)
    assert credited(world) == 0


async def test_an_order_cancelled_while_its_hold_is_written_is_not_asked_about(
    world: World,
) -> None:
    world.books.is_slow = True
    answering = await started(world.office.creditor.answer_order(a_ct2()))
    cancelling = await started(world.office.creditor.cancel(a_ctc1()))

    world.books.flush()
    await asyncio.gather(answering, cancelling)

    assert world.office.creditor._enquiries._timers == {}


async def test_a_credit_is_posted_once_beside_the_balance(world: World) -> None:
    await hold(world)
    await asyncio.gather(*(world.office.creditor.confirm(a_ct5()) for _ in range(3)))

    posted = [one for change in world.books.changes for one in change.postings]
    assert posted == [Posting(Role.CREDITOR, a_ct2().instructionId, CREDITOR_CCI, AMOUNT)]


async def test_a_confirmation_is_acknowledged_only_once_the_credit_is_on_disk(
    world: World,
) -> None:
    await hold(world)
    world.books.is_slow = True
    confirming = await started(world.office.creditor.confirm(a_ct5()))
    repeated = await started(world.office.creditor.confirm(a_ct5()))
    assert not confirming.done()
    assert not repeated.done()

    world.books.flush()
    await asyncio.gather(confirming, repeated)

    assert credited(world) == AMOUNT


async def test_an_order_is_credited_exactly_once(world: World) -> None:
    await hold(world)
    for _ in range(3):
        reply = await world.office.creditor.confirm(a_ct5())
        assert reply.status is None

    assert credited(world) == AMOUNT


async def test_a_repeated_order_is_refused_and_the_first_stands(world: World) -> None:
    await hold(world)
    assert said(await world.office.creditor.answer_order(a_ct2())) == ("05", "AM05")
    other = a_ct2(amount=1)
    assert said(await world.office.creditor.answer_order(other)) == ("05", "AM05")

    await world.office.creditor.confirm(a_ct5())

    assert credited(world) == AMOUNT
    assert said(await world.office.creditor.answer_order(a_ct2())) == ("05", "AM05")


async def test_a_confirmation_that_differs_is_acknowledged_and_changes_nothing(
    world: World,
) -> None:
    await hold(world)

    reply = await world.office.creditor.confirm(a_ct5(amount=12_501))

    assert reply.status is None
    assert credited(world) == 0


async def test_a_confirmation_of_an_unknown_order_is_not_acknowledged(world: World) -> None:
    reply = await world.office.creditor.confirm(a_ct5())

    assert reply.status == 404


async def test_a_cancellation_undoes_a_hold_as_often_as_it_comes(world: World) -> None:
    await hold(world)

    for _ in range(2):
        assert said(await world.office.creditor.cancel(a_ctc1())) == ("00", None)

    assert (await world.office.creditor.confirm(a_ct5())).status == 409
    assert credited(world) == 0


async def test_a_cancellation_after_the_credit_is_refused(world: World) -> None:
    await hold(world)
    await world.office.creditor.confirm(a_ct5())

    assert said(await world.office.creditor.cancel(a_ctc1())) == ("05", "FF07")
    assert credited(world) == AMOUNT


async def test_an_order_that_comes_after_its_cancellation_is_refused(world: World) -> None:
    assert said(await world.office.creditor.cancel(a_ctc1())) == ("00", None)

    assert said(await world.office.creditor.answer_order(a_ct2())) == ("05", "AM05")


async def test_a_cancellation_for_somebody_else_is_refused(world: World) -> None:
    reply = await world.office.creditor.cancel(a_ctc1(creditorParticipantCode="0972"))

    assert said(reply) == ("05", "FF02")


async def test_a_held_order_is_asked_about_until_its_outcome_is_known(world: World) -> None:
    world.house.will("PSR1", NoAnswer("away"), a_psr2("99"), a_psr2("00"))
    await hold(world)

    await world.clock.advance(timedelta(seconds=14))
    assert world.house.names() == []
    await world.clock.advance(timedelta(seconds=1))
    assert world.house.names() == ["PSR1"]
    await world.clock.advance(timedelta(seconds=15))
    await world.clock.advance(timedelta(seconds=15))

    assert world.house.names() == ["PSR1"] * 3
    assert credited(world) == AMOUNT
    # The confirmation comes all the same, and credits nothing more.
    assert (await world.office.creditor.confirm(a_ct5())).status is None
    assert credited(world) == AMOUNT


async def test_an_enquiry_answered_05_ends_the_order(world: World) -> None:
    world.house.will("PSR1", a_psr2("05"))
    await hold(world)

    await world.clock.advance(timedelta(seconds=15))
    await world.clock.advance(timedelta(hours=1))

    assert world.house.names() == ["PSR1"]
    order = world.office.creditor.known(a_ct2().instructionId)
    assert order is not None
    assert (order.state, order.reason) == (CreditState.REJECTED, "DS24")


async def test_a_confirmed_order_is_not_asked_about(world: World) -> None:
    await hold(world)
    await world.office.creditor.confirm(a_ct5())

    await world.clock.advance(timedelta(hours=1))

    assert world.house.names() == []


async def test_a_confirmation_during_an_enquiry_credits_once(world: World) -> None:
    world.house.will("PSR1", a_psr2("00"))
    await hold(world)
    world.books.is_slow = True
    confirming = await started(world.office.creditor.confirm(a_ct5()))
    await world.clock.advance(timedelta(seconds=15))
    world.books.flush()
    await confirming

    assert credited(world) == AMOUNT


async def test_an_enquiry_that_says_another_amount_is_not_believed(world: World) -> None:
    world.house.will("PSR1", a_psr2("00", amount=1))
    await hold(world)

    await world.clock.advance(timedelta(seconds=15))

    assert credited(world) == 0


async def test_credits_by_alias_count_towards_the_day(world: World) -> None:
    most = PROFILE.limits.alias_receive_max["PEN"]
    day = PROFILE.limits.alias_receive_day_max["PEN"]
    for number in range(day // most):
        sent = {"instructionId": f"n{number}", "amount": most, "channel": "52"}
        assert said(await world.office.creditor.answer_order(a_ct2(**sent))) == ("00", None)
        await world.office.creditor.confirm(a_ct5(**sent))

    late = a_ct2(instructionId="last", amount=1, channel="52")
    assert said(await world.office.creditor.answer_order(late)) == ("05", "FF07")
    await world.clock.advance(timedelta(days=1))
    tomorrow = a_ct2(instructionId="next", amount=1, channel="52")
    assert said(await world.office.creditor.answer_order(tomorrow)) == ("00", None)


async def test_a_magic_amount_refuses_with_its_reason(world: World) -> None:
    reply = await world.office.creditor.answer_order(a_ct2(amount=6601))

    assert said(reply) == ("05", "AC01")


async def test_a_silent_creditor_holds_nothing_and_cuts_in_the_end(world: World) -> None:
    answering = await started(world.office.creditor.answer_order(a_ct2(amount=6630)))
    await world.clock.advance(timedelta(seconds=SILENCE_S))

    assert (await answering).spoiled is Act.DROP
    assert world.books.changes == []


async def test_a_late_creditor_answers_after_the_expiry(world: World) -> None:
    answering = await started(world.office.creditor.answer_order(a_ct2(amount=6631)))
    await world.clock.advance(timedelta(seconds=PROFILE.timers.ct_expiry_s))
    assert not answering.done()
    await world.clock.advance(timedelta(seconds=1))

    assert said(await answering) == ("00", None)


@pytest.mark.parametrize(("cents", "failures"), [(40, 1), (41, 3)])
async def test_confirmations_fail_as_often_as_asked_then_credit(
    world: World, cents: int, failures: int
) -> None:
    amount = 6600 + cents
    await world.office.creditor.answer_order(a_ct2(amount=amount))

    for _ in range(failures):
        reply = await world.office.creditor.confirm(a_ct5(amount=amount))
        assert reply.spoiled is Act.ERROR_500
    await world.office.creditor.confirm(a_ct5(amount=amount))

    assert credited(world) == amount


async def test_a_forgotten_confirmation_is_made_good_by_an_enquiry(world: World) -> None:
    world.house.will("PSR1", a_psr2("00", amount=6643))
    await world.office.creditor.answer_order(a_ct2(amount=6643))
    assert (await world.office.creditor.confirm(a_ct5(amount=6643))).spoiled is None
    assert credited(world) == 0

    await world.clock.advance(timedelta(seconds=15))

    assert credited(world) == 6643


@pytest.mark.parametrize("cents", [44, 46])
async def test_a_hold_without_an_answer_is_undone_by_its_cancellation(
    world: World, cents: int
) -> None:
    answering = await started(world.office.creditor.answer_order(a_ct2(amount=6600 + cents)))
    first = await world.office.creditor.cancel(a_ctc1())
    assert (first.spoiled is Act.ERROR_500) == (cents == 46)

    assert said(await world.office.creditor.cancel(a_ctc1())) == ("00", None)
    await world.clock.advance(timedelta(seconds=SILENCE_S))
    assert (await answering).spoiled is Act.DROP
    assert credited(world) == 0


async def test_a_confirmation_is_dropped_until_an_enquiry_has_credited(world: World) -> None:
    world.house.will("PSR1", a_psr2("00", amount=6642))
    await world.office.creditor.answer_order(a_ct2(amount=6642))
    for _ in range(2):
        assert (await world.office.creditor.confirm(a_ct5(amount=6642))).spoiled is Act.DROP

    await world.clock.advance(timedelta(seconds=15))

    assert (await world.office.creditor.confirm(a_ct5(amount=6642))).spoiled is None
    assert credited(world) == 6642


async def test_answers_go_wrong_at_the_order_as_asked(world: World) -> None:
    answer = world.office.creditor.answer_order
    other = await answer(a_ct2(instructionId="abc", amount=6638))
    mute = await answer(a_ct2(instructionId="mute", amount=6639))
    text = await answer(a_ct2(instructionId="text", amount=6645))
    spoken = await answer(a_ct2(instructionId="spoken", amount=6650))
    confirmed = await world.office.creditor.confirm(a_ct5(instructionId="text", amount=6645))

    assert isinstance(other.message, CT3)
    assert other.message.instructionId == "cba"
    assert said(mute) == ("05", None)
    assert said(text) == ("00", None)
    assert spoken.variant is not None
    assert confirmed.text == b'{"CT5":{"responseCode":"00"}}'


@pytest.fixture
async def magic_world() -> AsyncIterator[World]:
    payees = [
        an_account(cci=f"9719990000000000{number:02}00", phone=f"9000990{number:02}")
        for number in range(1, 60)
    ]
    world = World("0971", payees)
    yield world
    await world.close()


def query(number: int) -> AV2:
    return an_av2(creditorCCI=f"9719990000000000{number:02}00")


@pytest.mark.parametrize(("number", "expected"), [(3, ("05", "AC07")), (39, ("05", None))])
async def test_a_magic_phone_refuses_the_query(
    magic_world: World, number: int, expected: tuple[str, str | None]
) -> None:
    assert said(await magic_world.office.creditor.answer_query(query(number))) == expected


@pytest.mark.parametrize("number", [32, 33, 34, 35, 36, 37])
async def test_a_magic_phone_spoils_the_answer_to_the_query(
    magic_world: World, number: int
) -> None:
    reply = await magic_world.office.creditor.answer_query(query(number))

    assert reply.spoiled is not None
    assert said(reply) == ("00", None)


async def test_a_magic_phone_names_another_query_or_speaks_otherwise(
    magic_world: World,
) -> None:
    other = await magic_world.office.creditor.answer_query(query(38))
    spoken = await magic_world.office.creditor.answer_query(
        an_av2(instructionId="x", creditorCCI=query(51).creditorCCI)
    )

    assert isinstance(other.message, AV3)
    assert other.message.instructionId == an_av2().instructionId[::-1]
    assert spoken.variant is not None


@pytest.mark.parametrize(("number", "wait_s"), [(30, SILENCE_S), (31, 6.0)])
async def test_a_magic_phone_keeps_the_query_waiting(
    magic_world: World, number: int, wait_s: float
) -> None:
    answering = await started(magic_world.office.creditor.answer_query(query(number)))
    await magic_world.clock.advance(timedelta(seconds=wait_s - 0.1))
    assert not answering.done()
    await magic_world.clock.advance(timedelta(seconds=0.2))

    assert answering.done()


async def test_without_magic_the_values_are_ordinary(world: World) -> None:
    world.institution.has_magic = False

    assert said(await world.office.creditor.answer_order(a_ct2(amount=6601))) == ("00", None)
    await world.office.creditor.confirm(a_ct5(amount=6601))
    assert credited(world) == 6601


async def test_an_institution_whose_disk_is_behind_takes_no_orders(world: World) -> None:
    world.books.is_full = True

    assert said(await world.office.creditor.answer_order(a_ct2())) == ("05", "FF07")


async def test_only_the_latest_queries_are_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("participants.agents.creditor.VERIFICATIONS_REMEMBERED", 1)
    for name in ("one", "two", "one"):
        reply = await world.office.creditor.answer_query(an_av2(instructionId=name))
        assert said(reply) == ("00", None)


async def test_answers_take_as_long_as_the_institution_does(world: World) -> None:
    world.institution.latency_ms = 20.0
    answering = await started(world.office.creditor.answer_query(an_av2()))
    assert not answering.done()

    await world.clock.advance(timedelta(seconds=1))

    assert said(await answering) == ("00", None)


async def test_held_orders_are_asked_about_after_a_restart(world: World) -> None:
    await hold(world)
    held = world.books.changes[-1].credit
    assert held is not None
    again = World("0971", [an_account()], held=[held])
    again.house.will("PSR1", a_psr2("00"))
    # The session was open before; only the enquiry is of interest here.
    again.office.creditor.resume()

    await again.clock.advance(timedelta(seconds=15))

    assert credited(again) == AMOUNT
    await again.close()
