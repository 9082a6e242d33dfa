"""A field agent's terminal: its queue, and its side of the protocol."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from participants.core import agent_records
from participants.core.agent_book import (
    EntryState,
    TillRow,
    Wish,
)
from participants.core.agent_faults import Faults
from participants.core.agent_told import (
    Actions,
    Adopted,
    Closed,
    Faulted,
    Phase,
    Welcomed,
)
from scheme.limits import AGENT_RETRY_S
from scheme.wire.agent_digest import voucher_of
from scheme.wire.agent_payload import (
    SESSION_MAX,
    Closing,
    Fault,
    Hello,
    Items,
    Kind,
    Operations,
    Verdict,
    Verdicts,
    Welcome,
    decode_down,
    decode_up,
    encode,
)
from tests.support.terminal_world import IN, OUT, World, an_answer

LONGEST_S = 1.5 * AGENT_RETRY_S[-1]


@pytest.fixture
def world() -> World:
    """A terminal that had its first session, and is alone now."""
    world = World()
    world.connect()
    world.alone()
    return world


# --- alone, and together again


def test_what_is_made_alone_is_queued_with_a_voucher_and_sent_at_the_next_session(
    world: World,
) -> None:
    made = [world.make() for _ in range(60)]
    assert [one.state for one in world.disk.values()] == [EntryState.QUEUED] * 60
    assert all(len(voucher_of(one.operation)) == 9 for one in made)
    world.sent.clear()
    world.connect()
    kinds = [type(decode_up(one)) for one in world.sent]
    assert kinds == [Hello, Operations, Operations, Closing, Hello]
    assert {one.state for one in world.disk.values()} == {EntryState.APPLIED}
    assert world.facts.agreed == 60
    closed = world.of(Closed)[-1]
    assert isinstance(closed, Closed)
    assert closed.agrees
    assert (closed.ours.count, closed.ours.total) == (60, 120_000)
    assert world.terminal.is_idle
    assert world.facts.lease is not None
    assert world.facts.lease.used_count == 0


def test_what_is_sent_is_on_disk_as_sent_before_it_leaves(world: World) -> None:
    world.make()
    hello = world.terminal.connected(world.now)
    (welcome, *_) = world.switch.receive(hello.payloads[0])
    actions = world.terminal.receive(welcome, world.now)
    assert actions.change is not None
    assert [one.state for one in actions.change.entries] == [EntryState.SENT]
    assert isinstance(decode_up(actions.payloads[0]), Operations)


def test_live_operations_go_out_alone_and_close_when_asked_to(world: World) -> None:
    world.connect()
    world.make(offline=False)
    world.make(Wish(kind=Kind.BALANCE, account=IN.account), offline=False)
    assert [one.state for one in world.terminal.entries] == [EntryState.APPLIED] * 2
    assert world.terminal.is_idle
    assert not world.switch.closings
    assert world.terminal.facts.lease is not None
    assert world.terminal.facts.lease.float_minor[0] == world.switch.room[0] - IN.minor
    world.do(world.terminal.push(world.now))
    assert world.facts.agreed == 2
    world.do(world.terminal.push(world.now))
    assert len(world.switch.closings) == 1


def test_a_session_counts_on_whatever_happens(world: World) -> None:
    before = world.facts.session
    world.connect()
    world.restarted()
    world.connect()
    assert world.facts.session == before + 2


@given(seed=st.integers(0, 2**32), kills=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_whatever_the_wire_does_each_operation_is_done_once_and_the_books_agree(
    seed: int, kills: int
) -> None:
    world = World(batch_max=3)
    world.connect()
    world.alone()
    chance = random.Random(seed)
    world.switch.judge = lambda one: Verdict(one.seq, chance.choice(("00", "51")))
    made = [world.make(chance.choice((IN, OUT))) for _ in range(40)]
    world.faults = Faults(chance, duplicates=0.3, lose=0.3, shuffle=True)
    for _ in range(kills):
        world.connect()
        world.restarted()
    world.connect()
    for _ in range(200):
        if world.terminal.is_idle:
            break
        world.tick(LONGEST_S)
    assert world.terminal.is_idle
    assert world.facts.agreed == 40
    assert world.switch.done == {one.operation.op_id: 1 for one in made}
    ours = [one.verdict for one in world.terminal.entries]
    assert ours == [world.switch.verdicts[seq] for seq in range(1, 41)]


# --- silence


def test_what_is_not_answered_is_said_again_at_growing_intervals(world: World) -> None:
    world.make()
    world.connect()
    world.alone()
    world.make()
    world.faults = Faults(random.Random(0), lose=1.0)
    world.connect()
    waits = []
    for _ in range(7):
        assert world.terminal.due is not None
        waits.append(world.terminal.due - world.now)
        world.tick(waits[-1])
    least = [*AGENT_RETRY_S, AGENT_RETRY_S[-1], AGENT_RETRY_S[-1]]
    assert all(one <= wait <= 1.5 * one for one, wait in zip(least, waits, strict=True))
    world.do(world.terminal.tick(world.now))
    world.faults = Faults(random.Random(0))
    world.tick(LONGEST_S)
    assert world.codes() == ["00", "00"]
    assert world.terminal.due is None


def test_a_closing_without_an_answer_is_said_again(world: World) -> None:
    world.connect()
    world.make(offline=False)
    world.faults = Faults(random.Random(0), lose=1.0)
    world.do(world.terminal.push(world.now))
    assert world.facts.agreed == 0
    world.faults = Faults(random.Random(0))
    world.tick(1.5 * AGENT_RETRY_S[0])
    assert world.facts.agreed == 1


def test_two_terminals_that_lost_their_broker_together_do_not_come_back_together() -> None:
    first, second, same = World(), World(), World()
    second.chance.seed(8)
    for world in (first, second, same):
        world.terminal.connected(world.now)
    assert first.terminal.due == same.terminal.due != second.terminal.due


def test_verdicts_that_come_slowly_are_not_asked_for_more_and_more_often(world: World) -> None:
    for _ in range(40):
        world.make()
    world.now += 60
    hello = world.terminal.connected(world.now)
    (welcome,) = world.switch.receive(hello.payloads[0])
    world.write(world.terminal.receive(welcome, world.now).change)
    session, hellos = world.facts.session, 0
    told = decode_down(welcome)
    assert isinstance(told, Welcome)
    for seq in range(1, 40):
        for _ in range(10):
            world.now += 0.5
            said = world.terminal.tick(world.now).payloads
            if said:
                hellos += 1
                session += 1
                known = replace(told, session=session, expected=41)
                world.terminal.receive(encode(known), world.now)
        world.terminal.receive(encode(Verdicts(1, (Verdict(seq, "00"),))), world.now)
    # One verdict every 5 s: asked for after 2 and 4 s, and then no more.
    assert hellos <= 3


def test_what_the_clearing_house_knows_is_waited_for_and_not_sent_again(world: World) -> None:
    world.make()
    world.faults = Faults(random.Random(0))
    hello = world.terminal.connected(world.now)
    (welcome,) = world.switch.receive(hello.payloads[0])
    sent = world.terminal.receive(welcome, world.now)
    world.write(sent.change)
    world.switch.receive(sent.payloads[0])
    world.restarted()
    hello = world.terminal.connected(world.now)
    welcome, verdicts = world.switch.receive(hello.payloads[0])
    actions = world.terminal.receive(welcome, world.now)
    assert actions.payloads == ()
    assert world.terminal.due is not None
    closing = world.terminal.receive(verdicts, world.now)
    assert isinstance(decode_up(closing.payloads[0]), Closing)


# --- closing


def test_a_differing_digest_is_compared_item_by_item_and_the_clearing_houses_word_counts(
    world: World,
) -> None:
    world.make(OUT)
    world.make()
    hello = world.terminal.connected(world.now)
    (welcome,) = world.switch.receive(hello.payloads[0])
    sent = world.terminal.receive(welcome, world.now)
    world.write(sent.change)
    (verdicts,) = world.switch.receive(sent.payloads[0])
    # Its own word, turned on the way.
    world.switch.verdicts[1] = Verdict(1, "51", "AM04")
    world.do(world.terminal.receive(verdicts, world.now))
    assert [type(decode_up(one)) for one in world.sent[-4:]] == [Closing, Items, Closing, Hello]
    (adopted,) = world.of(Adopted)
    assert isinstance(adopted, Adopted)
    assert (adopted.entry.adopted, adopted.before.code) == (True, "00")
    assert world.codes() == ["51", "00"]
    assert world.facts.agreed == 2
    assert world.terminal.till()[0] == TillRow(taken=2_000, paid=5_000, loss=5_000)
    assert world.terminal.till()[0].cash == -3_000


def a_closing(world: World) -> Closing:
    world.connect()
    world.make(offline=False)
    actions = world.terminal.push(world.now)
    closing = decode_up(actions.payloads[0])
    assert isinstance(closing, Closing)
    return closing


def test_what_stays_different_ends_and_is_told(world: World) -> None:
    closing = a_closing(world)
    wrong = an_answer(closing, count=closing.count + 1)
    for _ in range(3):
        items = world.terminal.receive(wrong, world.now)
        assert isinstance(decode_up(items.payloads[0]), Items)
        assert world.terminal.receive(wrong, world.now) == Actions()
        nothing = encode(Verdicts(closing.session, ()))
        again = world.terminal.receive(nothing, world.now)
        assert isinstance(decode_up(again.payloads[0]), Closing)
    (closed,) = world.terminal.receive(wrong, world.now).told
    assert isinstance(closed, Closed)
    assert not closed.agrees
    assert world.terminal.is_idle
    assert world.terminal.due is None


def test_an_answer_to_another_closing_is_passed_over(world: World) -> None:
    closing = a_closing(world)
    other = an_answer(closing, count=closing.count, last=closing.last + 1)
    assert world.terminal.receive(other, world.now) == Actions()
    right = world.terminal.receive(an_answer(closing, count=closing.count), world.now)
    assert [type(one) for one in right.told] == [Closed]
    assert world.terminal.receive(other, world.now) == Actions()


def test_a_verdict_that_comes_again_changes_nothing(world: World) -> None:
    closing = a_closing(world)
    again = encode(Verdicts(closing.session, (Verdict(1, "51"),)))
    assert world.terminal.receive(again, world.now).change is None
    assert world.codes() == ["00"]


def test_old_operations_are_forgotten_and_their_cash_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_records, "_KEPT", 2)
    for _ in range(5):
        world.make()
    world.connect()
    assert sorted(world.disk) == [4, 5]
    assert world.facts.till[0].taken == 6_000
    assert world.terminal.till()[0].cash == 10_000
    assert world.restarted().till()[0].cash == 10_000


# --- what is said to it


def test_what_is_no_message_and_what_is_a_fault_reach_the_user(world: World) -> None:
    world.connect()
    broken = world.terminal.receive(b"\x00", world.now).told
    assert [type(one) for one in broken] == [Faulted]
    fault = encode(Fault(1, "version", "version: 1, not 2"))
    told = world.terminal.receive(fault, world.now).told
    assert told == (Faulted("version", "version: 1, not 2"),)
    assert world.terminal.due is None
    items = encode(Items(1, ()))
    assert world.terminal.receive(items, world.now) == Actions()
    busy = encode(Fault(1, "busy", "later"))
    assert world.terminal.receive(busy, world.now).payloads == ()
    world.alone()
    assert world.terminal.receive(fault, world.now).told == told


def test_a_new_disk_finds_the_session_that_its_clearing_house_is_at(world: World) -> None:
    world.terminal.connected(world.now)
    fault = encode(Fault(1_764_000_000, "session", "newer"))
    again = world.terminal.receive(fault, world.now)
    hello = decode_up(again.payloads[0])
    assert isinstance(hello, Hello)
    assert hello.session == 1_764_000_001
    assert again.change is not None
    assert again.change.facts.session == hello.session
    # What it says of an earlier Hello is not answered by a larger number.
    assert world.terminal.receive(fault, world.now).payloads == ()


def test_a_session_never_goes_beyond_what_the_wire_has(world: World) -> None:
    world.switch.session = SESSION_MAX
    for _attempt in range(2):
        world.connect()
        assert world.facts.session == SESSION_MAX
        assert world.terminal.phase is Phase.OPEN
    world.facts = replace(world.facts, session=2 * SESSION_MAX)  # As an older version left it.
    world.restarted()
    world.connect()
    assert world.terminal.phase is Phase.OPEN


def test_a_closing_of_what_is_unknown_there_begins_again_with_hello(world: World) -> None:
    closing = a_closing(world)
    fault = encode(Fault(closing.session, "unknown", "last: no verdict"))
    assert world.terminal.receive(fault, world.now).payloads == ()
    world.tick(1.5 * AGENT_RETRY_S[0])
    kinds = [type(decode_up(one)) for one in world.sent[-2:]]
    assert kinds == [Hello, Closing]
    assert world.facts.agreed == 1


def test_a_welcome_to_an_earlier_hello_is_passed_over(world: World) -> None:
    hello = world.terminal.connected(world.now)
    (old,) = world.switch.receive(hello.payloads[0])
    again = world.terminal.connected(world.now)
    assert world.terminal.receive(old, world.now) == Actions()
    assert world.terminal.phase is Phase.GREETING
    (new,) = world.switch.receive(again.payloads[0])
    assert world.terminal.receive(new, world.now).told == (Welcomed(1, 0),)
    assert world.terminal.entry(1) is None


def test_verdicts_before_the_welcome_leave_the_hello_waiting(world: World) -> None:
    world.terminal.connected(world.now)
    due = world.terminal.due
    world.terminal.receive(encode(Verdicts(1, ())), world.now)
    assert world.terminal.due == due


def test_what_goes_out_after_a_push_while_alone_waits(world: World) -> None:
    world.make()
    assert world.terminal.push(world.now) == Actions()
    assert world.terminal.tick(world.now) == Actions()
