"""Sessions, blocks and notices: who hears of what, and what a restart remembers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from scheme.ledger import Entry, Move, Owed, Position
from scheme.messages import (
    ET1,
    ET2,
    SNM971,
    SNM972,
    SNM982,
    SNM993,
    SNM998,
    SignOff1,
    SignOn1,
    SignOn2,
)
from scheme.wire.tin_json import decode
from switch.ports import Delivery
from switch.watermarks import Watermarks
from tests.support.switch_world import START, WINDOW, World, account, fleet, golden, world

OTHERS = {"0970": {"0971", "0988", "0002"}, "0971": {"0970", "0988", "0002"}}


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def sign_on(code: str = "0970") -> SignOn1:
    return replace(decode(golden("SignOn1"), SignOn1), participantCode=code)


def sign_off(code: str = "0970") -> SignOff1:
    return replace(decode(golden("SignOff1"), SignOff1), participantCode=code)


def receivers(one: World, message: str) -> set[str]:
    return {owed.participant for owed in one.peers.delivered if owed.message == message}


async def test_a_sign_off_is_told_to_all_others_and_a_sign_on_too(one: World) -> None:
    await one.house.gate.sign_off(sign_off())
    await one.settle()
    assert receivers(one, "SNM982") == OTHERS["0970"]
    assert decode(one.peers.delivered[0].body, SNM982).participantStatus == "SIGNOFF"
    one.peers.delivered.clear()
    answer = await one.house.gate.sign_on(sign_on())
    await one.settle()
    assert decode(answer.body, SignOn2).status == "00"
    assert receivers(one, "SNM982") == OTHERS["0970"]
    assert decode(one.peers.delivered[0].body, SNM982).participantStatus == "SIGNON"
    assert (await one.pay()).responseCode == "00"


async def test_a_repeated_sign_on_is_accepted_and_told_to_nobody(one: World) -> None:
    answer = await one.house.gate.sign_on(sign_on())
    await one.settle()
    assert decode(answer.body, SignOn2).status == "00"
    assert not one.peers.delivered


async def test_a_sign_on_is_answered_once_it_is_on_disk(one: World) -> None:
    await one.house.gate.sign_off(sign_off())
    one.disk.shut()
    first = one.house.gate.sign_on(sign_on())
    task = asyncio.create_task(first)
    await one.settle()
    repeat = asyncio.create_task(one.house.gate.sign_on(sign_on()))
    await one.settle()
    assert not task.done()
    assert not repeat.done()
    one.disk.release()
    assert decode((await task).body, SignOn2).status == "00"
    assert decode((await repeat).body, SignOn2).status == "00"


async def test_an_unregistered_participant_is_not_let_on(one: World) -> None:
    answer = await one.house.gate.sign_on(sign_on("0999"))
    refused = decode(answer.body, SignOn2)
    assert (refused.status, refused.reasonCode) == ("05", "DNOR")
    assert answer.explain.startswith("participantCode: ")
    assert (await one.house.gate.sign_off(sign_off("0999"))).explain


async def test_an_echo_is_answered(one: World) -> None:
    et1 = decode(golden("ET1"), ET1)
    et2 = decode((await one.house.gate.echo(et1)).body, ET2)
    assert (et2.status, et2.trace, et2.participantCode) == ("00", et1.trace, et1.participantCode)


@pytest.mark.parametrize(("debtor", "creditor"), [("DNOR", "FF07")])
async def test_signed_off_and_blocked_participants_neither_pay_nor_are_paid(
    one: World, debtor: str, creditor: str
) -> None:
    sessions = one.house.sessions
    await sessions.sign("0970", on=False)
    assert (await one.verify()).reasonCode == debtor
    await sessions.sign("0970", on=True)
    await sessions.block("0970", blocked=True)
    assert (await one.verify()).reasonCode == debtor
    await sessions.block("0970", blocked=False)
    await sessions.sign("0971", on=False)
    assert (await one.verify()).reasonCode == creditor
    await sessions.sign("0971", on=True)
    await sessions.block("0971", blocked=True)
    assert (await one.verify()).reasonCode == creditor
    await sessions.block("0971", blocked=False)
    assert (await one.pay()).responseCode == "00"


async def test_a_block_is_told_to_all_in_each_currency(one: World) -> None:
    assert await one.house.sessions.block("0971", blocked=True)
    assert not await one.house.sessions.block("0971", blocked=True)
    await one.settle()
    told = [decode(owed.body, SNM972) for owed in one.peers.delivered]
    assert receivers(one, "SNM972") == {"0970", "0971", "0988", "0002"}
    assert {(one.currency, one.status, one.memberIdentification) for one in told} == {
        ("604", "BLOCKED", "0971"),
        ("840", "BLOCKED", "0971"),
    }
    assert len({one.messageIdentification for one in told}) == 2


async def test_a_suspended_system_refuses_new_work_and_tells_all(one: World) -> None:
    quoted = (await one.verify()).instructionId
    assert await one.house.sessions.suspend(suspended=True)
    await one.settle()
    assert receivers(one, "SNM971") == {"0970", "0971", "0988", "0002"}
    assert decode(one.peers.delivered[0].body, SNM971).newServiceStatus == "SUSPENDED"
    assert (await one.verify(trace="000777")).reasonCode == "FF07"
    assert (await one.order(one.ct1(quoted))).reasonCode == "FF07"
    await one.house.sessions.suspend(suspended=False)
    assert (await one.verify(trace="000778")).responseCode == "00"


async def test_sessions_blocks_and_suspension_survive_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        await before.house.sessions.sign("0988", on=False)
        await before.house.sessions.block("0971", blocked=True)
        await before.house.sessions.suspend(suspended=True)
    async with world(tmp_path, signed_on=False, start=START + timedelta(days=1)) as after:
        state = after.house.sessions.state
        assert state.suspended
        assert state.session("0970").signed_on
        assert state.session("0971").blocked
        assert state.session("0971").signed_on
        assert not state.session("0988").signed_on


async def test_notices_are_owed_until_each_receiver_has_taken_them(tmp_path: Path) -> None:
    async with world(tmp_path) as before:
        before.peers.acknowledge = lambda owed: Delivery(owed.participant == "0988")
        await before.house.sessions.sign("0970", on=False)
        await before.settle()
        assert before.owed() == ["SNM982>0002", "SNM982>0971"]
    async with world(
        tmp_path, signed_on=False, start=START + timedelta(seconds=9), is_fresh=False
    ) as after:
        assert receivers(after, "SNM982") == {"0002", "0971"}
        assert after.owed() == []


async def test_a_participant_that_listens_nowhere_is_owed_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, members=fleet(**{"0988": {"url": ""}})) as one:
        await one.house.sessions.sign("0970", on=False)
        await one.settle()
        assert receivers(one, "SNM982") == {"0971", "0002"}


async def test_a_sign_on_brings_what_is_owed_at_once(one: World) -> None:
    await one.house.sessions.sign("0971", on=False)
    one.peers.acknowledge = lambda owed: Delivery(owed.participant != "0971")
    await one.house.sessions.announce("AVISO DE PRUEBA", ["0971"])
    await one.advance(30)
    one.peers.delivered.clear()
    one.peers.acknowledge = lambda _: Delivery(acknowledged=True)
    await one.house.gate.sign_on(sign_on("0971"))
    await one.settle()
    assert receivers(one, "SNM981") == {"0971"}
    assert one.owed() == []


# Watermarks.


def watermarks(one: World) -> Watermarks:
    made = Watermarks(
        ledger=one.ledger,
        outbox=one.house.outbox,
        fleet=fleet(),
        clock=one.clock,
        head=one.house.sessions.head,
        since_opening=lambda of: sum(
            tally.net_minor for tally in one.ledger.tallies(WINDOW) if tally.account == of
        ),
        spawn=one.house._spawn,
    )
    one.ledger.on_low = made.on_low
    one.ledger.on_high = made.on_high
    return made


async def spend(one: World, number: int, minor: int) -> None:
    ct4 = await one.pay(
        av_trace=f"{number:06}", trace=f"{number + 500:06}", amount=minor, feeAmount=0
    )
    assert ct4.responseCode == "00"
    await one.settle()


async def test_a_low_watermark_is_announced_once_until_above_the_high_one(tmp_path: Path) -> None:
    # Low is 250, high 300.
    async with world(tmp_path, prefund=1_000) as one:
        made = watermarks(one)
        await spend(one, 1, 749)
        assert receivers(one, "SNM993") == set()
        await spend(one, 2, 2)
        await spend(one, 3, 1)
        notices = [decode(o.body, SNM993) for o in one.peers.delivered if o.message == "SNM993"]
        assert [(n.availablePrefundedBalance, n.lowWatermarkValue) for n in notices] == [(249, 250)]
        assert receivers(one, "SNM993") == {"0970"}
        await fund(one, made, 40, "a")  # 288: not above the high one.
        await spend(one, 4, 100)
        assert len([o for o in one.peers.delivered if o.message == "SNM993"]) == 1
        await fund(one, made, 500, "b")
        await one.settle()
        await spend(one, 5, 450)
        notices = [decode(o.body, SNM993) for o in one.peers.delivered if o.message == "SNM993"]
        assert [n.availablePrefundBalanceStatus for n in notices] == ["LOW", "NORMAL", "LOW"]


async def test_a_low_watermark_once_announced_is_not_announced_again_after_a_restart(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, prefund=1_000) as before:
        watermarks(before)
        await spend(before, 1, 800)
    async with world(tmp_path, prefund=1_000, start=START + timedelta(minutes=5)) as after:
        watermarks(after)
        await spend(after, 7, 10)
        assert receivers(after, "SNM993") == set()


async def test_funding_is_told_to_the_participant_with_both_balances(tmp_path: Path) -> None:
    async with world(tmp_path, prefund=1_000) as one:
        made = watermarks(one)
        await fund(one, made, 234, "x")
        one.house.outbox.look("0970")
        await one.settle()
        (notice,) = [decode(o.body, SNM998) for o in one.peers.delivered if o.message == "SNM998"]
        assert (notice.previousPrefundedBalance, notice.newPrefundedBalance) == (1_000, 1_234)
        await one.audited()


async def fund(one: World, made: Watermarks, minor: int, name: str) -> None:
    before = one.ledger.position(account("0970"))
    assert isinstance(before, Position)
    after = msgspec.structs.replace(before, balance_minor=before.balance_minor + minor)
    owed: tuple[Owed, ...] = made.on_movement(before, after)
    entry = Entry(
        kind="funding",
        debit=account("lbtr"),
        credit=account("0970"),
        minor=minor,
        window=WINDOW,
    )
    move = Move(movement_id=name, entries=(entry,), digest=name, at_ms=1, owed=owed)
    await one.ledger.apply((move,))
