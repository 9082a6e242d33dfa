"""The desk of field agents over its real store: order, repeats, refusals, digests."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from scheme.errors import StoreError
from scheme.limits import AGENT_BATCH_MAX, AGENT_FINDINGS_KEPT_MAX, AGENT_HELD_MAX
from scheme.wire.agent_digest import verdict_mac
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Fault,
    Hello,
    Items,
    Kind,
    Missing,
    Verdicts,
    Welcome,
    encode,
    encode_presence,
)
from switch.agent_terminal import RETRY_S
from switch.flight import NotAccepting, UnknownOutcome
from tests.support.agent_world import (
    AT_BANK,
    DEVICE,
    LONGEST_WAIT_S,
    NOW_S,
    OTHERS,
    SECOND,
    agent_world,
    an_operation,
    key_of,
)

DAY_S = 86_400


async def test_a_live_operation_is_applied_and_its_verdict_told_without_any_clock(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(1))
        assert await world.answered([1]) == ["00"]
        assert world.house.asked == ["0992:0115:000001:000101000000"]
        assert world.verdicts[DEVICE][1].reference.startswith("T0992")


async def test_a_repeat_gets_the_same_verdict_and_moves_nothing(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        operation = an_operation(1)
        await world.sends(operation, operation)
        await world.answered([1])
        await world.quiet()
        told = len(world.messages(Verdicts))
        await world.sends(operation)
        assert len(world.messages(Verdicts)) == told + 1
        first, *others = world.messages(Verdicts)
        assert all(one == first for one in others)
        assert len(world.house.asked) == 1


async def test_operations_out_of_order_are_held_and_carried_out_in_order(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(3), an_operation(2))
        await world.quiet()
        assert world.house.asked == []
        assert world.messages(Missing) == [Missing(1, ((1, 1),))]
        await world.sends(an_operation(1))
        assert await world.answered([1, 2, 3]) == ["00"] * 3
        assert [key.split(":")[2] for key in world.house.asked] == ["000001", "000002", "000003"]


async def test_gaps_are_asked_for_again_but_not_more_often_than_every_two_seconds(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path) as world:
        for _ in range(3):
            await world.sends(an_operation(5))
        assert len(world.messages(Missing)) == 1
        await world.clock.advance(timedelta(seconds=2))
        await world.sends(an_operation(3))
        assert world.messages(Missing)[1:] == [Missing(1, ((1, 2), (4, 4)))]


async def test_a_number_that_a_terminal_has_lost_is_given_up_as_a_void(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(2))
        await world.sends(an_operation(1, kind=Kind.VOID, minor=0, account=""))
        assert await world.answered([1, 2]) == ["00", "00"]
        assert len(world.house.asked) == 1
        assert world.desk.tills()[0].taken == 1000


async def test_what_comes_behind_a_gap_has_it_asked_for(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(1), an_operation(6))
        await world.hello(session=2, first=2, next=7)
        await world.quiet()
        assert world.messages(Missing) == [Missing(1, ((2, 5),))]


async def test_a_terminal_that_would_use_numbers_again_is_found(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(1), an_operation(2))
        await world.answered([1, 2])
        await world.hello(session=2, first=2, next=2)
        assert [one.rule.split(":")[0] for one in world.desk.findings()] == ["next"]


async def test_while_the_disk_cannot_be_read_nothing_is_guessed(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(1))
        await world.answered([1])
        count, tomorrow = len(world.told[DEVICE]), NOW_S + DAY_S
        await world.clock.advance(timedelta(days=1))
        with world.unreadable():
            await world.sends(an_operation(1))
            await world.says(Hello(2, 1, 3, tomorrow))
            await world.says(Closing(1, 1, 1, 1, 1, bytes(8)))
            # What its agent did on the new day is on the disk too.
            await world.sends(an_operation(2, offline=True, at=tomorrow), session=2)
            await world.quiet()
            assert len(world.told[DEVICE]) == count
            await world.clock.advance(timedelta(seconds=1))
        await world.clock.advance(timedelta(seconds=1))
        assert await world.answered([2]) == ["00"]
        world.check_books()


async def test_while_the_disk_is_behind_nothing_new_is_taken(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        with world.overloaded():
            await world.sends(an_operation(1))
            await world.says(Hello(2, 1, 2, NOW_S))
            assert [one.code for one in world.messages(Fault)] == ["busy", "busy"]
            assert world.desk.devices("", 1)[0].session == 1
        await world.sends(an_operation(1))
        assert await world.answered([1]) == ["00"]


async def test_a_number_used_again_with_other_content_is_refused_and_the_first_stands(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(1))
        await world.answered([1])
        await world.sends(an_operation(1, minor=9999))
        other = world.messages(Verdicts)[-1].verdicts[0]
        assert (other.code, other.reason) == ("94", "AM05")
        await world.sends(an_operation(1))
        assert world.messages(Verdicts)[-1].verdicts[0].code == "00"
        assert list(world.house.moved.values()) == [1000]
        assert [(one.device, one.seq, one.code) for one in world.desk.findings()] == [
            (DEVICE, 1, "94")
        ]


async def test_a_number_under_way_is_not_answered_twice_but_its_reuse_is_refused(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path) as world:
        gate = world.house.gates["0970"] = asyncio.Event()
        await world.sends(an_operation(1))
        await world.until(lambda: bool(world.house.asked))
        await world.sends(an_operation(1))
        assert world.messages(Verdicts) == []
        await world.sends(an_operation(1, minor=5))
        assert world.messages(Verdicts)[-1].verdicts[0].code == "94"
        gate.set()
        await world.until(lambda: world.verdicts[DEVICE][1].code == "00")
        assert len(world.house.asked) == 1


async def test_a_wrong_mac_is_refused_and_leaves_no_trace_but_a_finding(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(replace(an_operation(1), minor=5))
        assert await world.answered([1]) == ["63"]
        assert world.store.operation(DEVICE, 1) is None
        await world.sends(an_operation(1))
        await world.until(lambda: world.verdicts[DEVICE][1].code == "00")
        # Of a number that is known the true verdict counts: a forged one must not seem to.
        await world.sends(replace(an_operation(1), minor=7))
        assert world.verdicts[DEVICE][1].code == "00"
        assert [one.code for one in world.desk.findings()] == ["63"]
        assert "mac" in world.desk.findings()[0].rule


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "payload"),
        (b"\x92\x02\x91\x00", "version"),
        (encode(Hello(2, 1, 1, 1))[:-1], "payload"),
    ],
)
async def test_what_cannot_be_read_is_a_fault_and_a_finding(
    tmp_path: Path, payload: bytes, code: str
) -> None:
    async with agent_world(tmp_path) as world:
        await world.desk.receive(DEVICE, payload)
        (fault,) = world.messages(Fault)
        assert fault.code == code
        assert [one.code for one in world.desk.findings()] == [code]


async def test_a_terminal_that_is_not_in_the_fleet_is_unknown(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        for name in (
            "0992-0003-1",
            "0992-1-1",
            "0992-0001-3",
            "0970-0001-1",
            "x",
            "0992-\u0660001-1",
        ):
            await world.says(Hello(1, 1, 1, 1), name)
            assert [one.code for one in world.messages(Fault, name)] == ["unknown"]
            assert world.desk.device(name) is None


async def test_a_session_number_that_was_used_before_is_an_old_copy(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=()) as world:
        await world.hello(session=7)
        await world.hello(session=7)
        assert len(world.messages(Welcome)) == 2
        await world.again()
        await world.hello(session=6)
        assert [one.code for one in world.messages(Fault)] == ["session"]


async def test_before_its_hello_a_session_is_asked_to_say_it(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=()) as world:
        await world.sends(an_operation(1))
        assert [one.code for one in world.messages(Fault)] == ["busy"]
        await world.hello()
        await world.sends(an_operation(1))
        assert await world.answered([1]) == ["00"]


async def test_a_clock_that_is_days_off_changes_no_verdict_and_is_found(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=()) as world:
        for device, off in ((DEVICE, -9 * DAY_S), (SECOND, 30 * DAY_S)):
            await world.hello(device, now=NOW_S + off)
            assert world.messages(Welcome, device)[0].skew == off
            made = NOW_S + off - 3600
            await world.sends(an_operation(1, device, at=made, offline=True), device=device)
            assert await world.answered([1], device) == ["00"]
        assert [one.device for one in world.desk.findings()] == [DEVICE, SECOND]


async def test_what_is_too_old_or_made_after_it_was_sent_is_refused(tmp_path: Path) -> None:
    async with agent_world(tmp_path, offline_s=3600.0, skew_s=60.0) as world:
        await world.sends(
            an_operation(1, at=NOW_S - 3601, offline=True),
            an_operation(2, at=NOW_S - 3600, offline=True),
            an_operation(3, at=NOW_S - 3601),
            an_operation(4, at=NOW_S + 61),
            an_operation(5, at=NOW_S + 60),
        )
        assert await world.answered(range(1, 6)) == ["68", "00", "68", "12", "00"]
        # Those that nobody had to be asked about left together with what came after them.
        assert sum(len(one.verdicts) for one in world.messages(Verdicts)) == 5


async def test_the_age_of_what_waits_behind_a_gap_is_that_of_its_arrival(tmp_path: Path) -> None:
    async with agent_world(tmp_path, offline_s=3600.0) as world:
        await world.sends(an_operation(2, offline=True))
        await world.clock.advance(timedelta(hours=5))
        await world.hello(session=2)
        await world.sends(an_operation(1, at=NOW_S + 5 * 3600), session=2)
        assert await world.answered([1, 2]) == ["00", "00"]


async def test_verdicts_that_are_ready_together_leave_in_one_payload(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        voids = [an_operation(seq, kind=Kind.VOID) for seq in range(1, AGENT_BATCH_MAX + 1)]
        await world.sends(*voids)
        await world.answered(range(1, AGENT_BATCH_MAX + 1))
        assert [len(one.verdicts) for one in world.messages(Verdicts)] == [AGENT_BATCH_MAX]


async def test_no_outcome_is_tried_again_and_holds_up_only_its_own_terminal(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND)) as world:
        faults = [None, UnknownOutcome("?"), NotAccepting(), StoreError("?"), KeyError("a bug")]
        world.house.faults = list(faults)
        await world.sends(an_operation(1), an_operation(2))
        await world.until(lambda: len(world.house.faults) == len(faults) - 1)
        world.house.faults, left = [], world.house.faults
        await world.sends(an_operation(1, SECOND), device=SECOND)
        assert await world.answered([1], SECOND) == ["00"]
        world.house.faults = left
        assert world.messages(Verdicts) == []
        await world.clock.advance(timedelta(seconds=len(faults) * LONGEST_WAIT_S))
        assert await world.answered([1, 2]) == ["00", "00"]
        mine = [key for key in world.house.asked if key.endswith(":000101000000")]
        assert mine[:6] == [mine[0]] * 6
        assert mine[6] != mine[0]
        assert len(world.house.moved) == 3


async def test_what_was_made_offline_waits_a_while_for_an_institution_without_a_link(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND)) as world:
        world.away.add("0970")
        await world.sends(an_operation(1, offline=True))
        await world.sends(an_operation(1, SECOND), device=SECOND)
        assert await world.answered([1], SECOND) == ["00"]
        assert not world.verdicts[DEVICE]
        world.away.clear()
        await world.clock.advance(timedelta(seconds=1))
        assert await world.answered([1]) == ["00"]
        world.away.add("0970")
        await world.sends(an_operation(2, offline=True))
        await world.quiet()
        assert 2 not in world.verdicts[DEVICE]
        # It asks all the same in the end: the others behind it have waited too.
        await world.clock.advance(timedelta(seconds=sum(RETRY_S)))
        assert await world.answered([2]) == ["00"]


async def test_a_slow_institution_does_not_stop_terminals_that_wait_for_another(
    tmp_path: Path,
) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND, OTHERS)) as world:
        world.house.gates["0970"] = asyncio.Event()
        await world.sends(an_operation(1))
        await world.sends(an_operation(1, SECOND), device=SECOND)
        await world.sends(an_operation(1, OTHERS, account=AT_BANK), device=OTHERS)
        assert await world.answered([1], OTHERS) == ["00"]
        assert not world.verdicts[DEVICE]
        world.house.gates["0970"].set()
        await world.answered([1])


async def test_a_revoked_terminal_is_refused_what_it_made_before_too(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND)) as world:
        gate = world.house.gates["0970"] = asyncio.Event()
        await world.sends(an_operation(1), an_operation(2))
        await world.until(lambda: bool(world.house.asked))
        await world.desk.revoke(DEVICE)
        gate.set()
        # The first one was under way: its money may have moved, so its outcome counts.
        assert await world.answered([1, 2]) == ["00", "62"]
        await world.again()
        await world.sends(an_operation(3), an_operation(4, kind=Kind.VOID))
        assert await world.answered([3, 4]) == ["62", "62"]
        await world.sends(an_operation(1, SECOND), device=SECOND)
        assert await world.answered([1], SECOND) == ["00"]
        await world.desk.restore(DEVICE)
        await world.sends(an_operation(2), an_operation(5))
        assert await world.answered([2, 5]) == ["62", "00"]
        with pytest.raises(KeyError):
            await world.desk.revoke("0992-9999-1")


async def test_what_is_refused_has_no_effect_and_says_why(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        world.house.refuse["0970"] = "14"
        await world.sends(an_operation(1), an_operation(2, minor=0), an_operation(3, account="1"))
        assert await world.answered([1, 2, 3]) == ["14", "13", "30"]
        assert world.verdicts[DEVICE][1].note == "DE102: no"
        assert world.verdicts[DEVICE][3].note.startswith("account: ")
        assert world.desk.tills()[0].float_minor == world.desk.tills()[0].opening


async def test_a_balance_comes_with_its_verdict(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.sends(an_operation(1, kind=Kind.BALANCE, minor=0))
        assert await world.answered([1]) == ["00"]
        assert world.verdicts[DEVICE][1].data == (12345, 12345)
        assert world.house.moved == {}


async def test_digests_agree_and_a_difference_is_settled_item_by_item(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        operations = [an_operation(seq) for seq in range(1, 9)]
        world.house.refuse["000004"] = "14"
        await world.sends(*operations)
        await world.answered(range(1, 9))
        agreement = await world.closes(operations)
        assert isinstance(agreement, Agreement)
        assert agreement.agrees
        assert (agreement.count, agreement.total) == (8, 7000)
        assert world.desk.devices("", 1)[0].agreed == 8
        # A till corrected by hand: the switch's word counts.
        wrong = world.verdicts[DEVICE]
        wrong[4] = replace(wrong[4], code="00")
        assert not (await world.closes(operations)).agrees
        key, before = key_of(DEVICE), len(world.messages(Verdicts))
        items = [(one.seq, verdict_mac(key, DEVICE, one, wrong[one.seq])) for one in operations]
        del items[5]
        await world.says(Items(1, tuple(items)))
        await world.until(lambda: len(world.messages(Verdicts)) > before)
        (adopted,) = world.messages(Verdicts)[before:]
        assert [one.seq for one in adopted.verdicts] == [4, 6]
        assert (await world.closes(operations)).agrees
        assert [one.rule.split(":")[0] for one in world.desk.findings()] == ["digest"]


async def test_a_digest_of_more_than_is_known_does_not_agree(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        await world.says(Closing(1, 1, 5, 0, 0, bytes(8)))
        await world.until(lambda: bool(world.messages(Agreement)))
        assert not world.messages(Agreement)[0].agrees
        await world.says(Closing(1, 1, 0, 0, 0, bytes(8)))
        await world.until(lambda: len(world.messages(Agreement)) > 1)
        assert world.messages(Agreement)[1].agrees


async def test_a_hello_brings_all_verdicts_again_from_the_number_it_names(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        count = AGENT_BATCH_MAX + 5
        voids = [an_operation(seq, kind=Kind.VOID) for seq in range(1, count + 1)]
        world.is_deaf = True
        await world.sends(*voids[:AGENT_BATCH_MAX])
        await world.sends(*voids[AGENT_BATCH_MAX:])
        await world.until(lambda: world.desk.devices("", 1)[0].settled == count + 1)
        world.is_deaf = False
        await world.hello(session=2, first=3, next=count + 1)
        await world.answered(range(3, count + 1))
        assert sorted(world.verdicts[DEVICE]) == list(range(3, count + 1))
        assert world.messages(Welcome)[-1].expected == count + 1


async def test_no_more_is_held_than_there_is_room_for(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        for start in range(2, AGENT_HELD_MAX + 20, AGENT_BATCH_MAX):
            some = range(start, start + AGENT_BATCH_MAX)
            await world.sends(*(an_operation(seq, kind=Kind.VOID) for seq in some))
        assert world.desk.devices("", 1)[0].held == AGENT_HELD_MAX
        await world.sends(an_operation(1, kind=Kind.VOID))
        await world.answered(range(1, AGENT_HELD_MAX + 2))
        assert world.desk.devices("", 1)[0].held == 0
        last = AGENT_HELD_MAX + 2
        assert last not in world.verdicts[DEVICE]
        await world.sends(an_operation(last, kind=Kind.VOID))
        assert await world.answered([last]) == ["00"]


async def test_findings_are_bounded(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        for seq in range(1, AGENT_FINDINGS_KEPT_MAX + 10):
            await world.sends(replace(an_operation(seq), mac=b"x" * 8))
        assert len(world.desk.findings()) == AGENT_FINDINGS_KEPT_MAX
        assert world.desk.findings()[-1].seq == AGENT_FINDINGS_KEPT_MAX + 9


async def test_operators_see_terminals_tills_and_operations(tmp_path: Path) -> None:
    async with agent_world(tmp_path) as world:
        world.desk.presence(DEVICE, encode_presence(online=True, at=NOW_S))
        await world.sends(an_operation(1), an_operation(3))
        await world.answered([1])
        shown = world.desk.device(DEVICE)
        assert shown is not None
        assert (shown.is_online, shown.session, shown.expected, shown.held) == (True, 1, 2, 1)
        assert shown.gaps == ((2, 2),)
        assert [one.device for one in world.desk.devices(DEVICE, 2)] == [SECOND, OTHERS]
        world.desk.presence(DEVICE, b"")
        world.desk.presence(DEVICE, b"\x93\x01\x05\x05")
        world.desk.presence("nobody", b"")
        assert not world.desk.devices("", 1)[0].is_online
        first, held = await world.desk.operations(DEVICE, 0, 5)
        assert (first.code, held.code, first.kind) == ("00", "", "CASH_IN")
        assert "0001000000" not in first.account
        till = world.desk.tills()[0]
        assert (till.agent, till.currency, till.taken) == ("0992-0001", "PEN", 1000)
        assert till.float_minor == till.opening - 1000
        assert world.mirrored[0][:2] == (DEVICE, "u")


async def test_a_stop_finishes_what_is_under_way_and_leaves_the_rest(tmp_path: Path) -> None:
    async with agent_world(tmp_path, hello=(DEVICE, SECOND)) as world:
        gate = world.house.gates["0970"] = asyncio.Event()
        await world.sends(an_operation(1), an_operation(2))
        await world.until(lambda: bool(world.house.asked))
        world.house.faults = [None]
        stopping = asyncio.create_task(world.desk.stop())
        await asyncio.sleep(0)
        await world.sends(an_operation(3))
        gate.set()
        await stopping
        assert not world.verdicts[DEVICE], "no outcome came, and none is made up"
        world.house.faults = []
        assert await world.again() == 2
        assert await world.answered([1, 2]) == ["00", "00"]
        await world.desk.stop()
        world.check_books()
