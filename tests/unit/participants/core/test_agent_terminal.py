"""A field agent's terminal: its queue, and its side of the protocol."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from participants.core import agent_terminal
from participants.core.agent_book import (
    Entry,
    EntryState,
    Facts,
    TillRow,
    Wish,
)
from participants.core.agent_faults import Faults
from participants.core.agent_told import (
    Actions,
    Adopted,
    Asked,
    Closed,
    Faulted,
    Phase,
    Renumbered,
    Settled,
    Welcomed,
)
from scheme.limits import AGENT_RETRY_S
from scheme.wire.agent_digest import voucher_of
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Fault,
    Hello,
    Items,
    Kind,
    Missing,
    Operations,
    Verdict,
    Verdicts,
    decode_up,
    encode,
)
from tests.support.terminal_world import IN, OUT, World


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
        world.tick(AGENT_RETRY_S[-1])
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
    assert waits == [*AGENT_RETRY_S, AGENT_RETRY_S[-1], AGENT_RETRY_S[-1]]
    world.do(world.terminal.tick(world.now))
    world.faults = Faults(random.Random(0))
    world.tick(30)
    assert world.codes() == ["00", "00"]
    assert world.terminal.due is None


def test_a_closing_without_an_answer_is_said_again(world: World) -> None:
    world.connect()
    world.make(offline=False)
    world.faults = Faults(random.Random(0), lose=1.0)
    world.do(world.terminal.push(world.now))
    assert world.facts.agreed == 0
    world.faults = Faults(random.Random(0))
    world.tick(2)
    assert world.facts.agreed == 1


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


# --- gaps, and what this disk has lost


def test_a_gap_is_filled_from_the_queue(world: World) -> None:
    world.batch_max = 1
    world.restarted()
    made = [world.make() for _ in range(3)]
    world.connect()
    assert world.terminal.facts == world.facts
    world.do(world.terminal.receive(encode(Missing(1, ((2, 3),))), world.now))
    assert world.of(Asked)[-1] == Asked(((2, 3),), 0)
    again = [decode_up(one) for one in world.sent[-2:]]
    assert [one.operations for one in again if isinstance(one, Operations)] == [
        (made[1].operation,),
        (made[2].operation,),
    ]


def test_a_gap_is_no_matter_while_nobody_is_connected(world: World) -> None:
    world.make()
    missing = encode(Missing(1, ((1, 1),)))
    assert world.terminal.receive(missing, world.now) == Actions()


def test_what_was_lost_is_told_as_void_with_one_content_for_ever(world: World) -> None:
    world.make()
    world.make()
    lost = world.disk.pop(1)
    world.restarted()
    world.connect()
    assert world.of(Asked)[-1] == Asked(((1, 1),), 1)
    void = world.disk[1].operation
    assert (void.kind, void.minor, void.offline) == (Kind.VOID, 0, False)
    assert void.op_id != lost.operation.op_id
    assert world.switch.stored[1] == void
    assert world.codes() == ["00", "00"]
    assert world.facts.agreed == 2


def test_a_new_disk_begins_where_the_clearing_house_is(world: World) -> None:
    for _ in range(3):
        world.make()
    world.connect()
    world.disk, world.facts = {}, Facts()
    world.restarted()
    world.connect()
    assert world.of(Renumbered)[-1] == Renumbered(4)
    assert world.terminal.is_idle
    assert world.make(offline=False).seq == 4
    world.do(world.terminal.push(world.now))
    assert world.facts.agreed == 4


def test_a_new_disk_fills_gaps_of_the_old_one_with_voids(world: World) -> None:
    made = [world.make() for _ in range(3)]
    world.switch.stored = {1: made[0].operation, 3: made[2].operation}
    world.disk, world.facts = {}, Facts()
    world.restarted()
    world.connect()
    assert world.facts.next == 4
    assert world.switch.stored[2].kind == Kind.VOID
    assert world.of(Renumbered)[-1] == Renumbered(4)


def test_a_number_that_an_older_disk_uses_again_is_refused_and_what_it_had_sent_is_not(
    world: World,
) -> None:
    world.make()
    older = (dict(world.disk), world.facts)
    world.make()
    world.connect()
    world.disk, world.facts = older
    world.restarted()
    reused = world.make()
    assert reused.seq == 2
    world.connect()
    assert world.codes() == ["00", "94"]
    assert world.switch.stored[2].op_id != reused.operation.op_id
    closed = world.of(Closed)[-1]
    assert isinstance(closed, Closed)
    assert not closed.agrees
    assert world.terminal.is_idle


def test_a_verdict_for_what_never_left_is_another_operations(world: World) -> None:
    made = world.make()
    stale = encode(Verdicts(1, (Verdict(made.seq, "00"),)))
    assert world.terminal.receive(stale, world.now) == Actions()
    assert world.terminal.waiting == 1


def test_what_could_not_be_taken_leaves_no_hole(world: World) -> None:
    made = world.make()
    wrong = made.operation.__class__(
        **{name: getattr(made.operation, name) for name in made.operation.__struct_fields__}
        | {"mac": b"12345678"}
    )
    world.disk[1] = Entry(wrong)
    world.restarted()
    world.make()
    world.connect()
    first, second = world.terminal.entries
    assert first.given_up == wrong
    assert first.operation.kind == Kind.VOID
    assert world.facts.agreed == 2
    (settled, *_) = world.of(Settled)
    assert isinstance(settled, Settled)
    assert settled.entry.verdict == Verdict(1, "63")
    assert second.state is EntryState.APPLIED
    # It was cash taken alone, and is to be given back.
    assert world.terminal.till()[0] == TillRow(taken=4_000, owed=2_000)
    world.do(world.terminal.receive(encode(Verdicts(1, (Verdict(1, "63"),))), world.now))
    assert world.codes() == ["00", "00"]


def test_what_was_given_up_and_had_come_whole_after_all_has_its_own_verdict(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world.make()
    whole = world.switch.receive
    damaged: list[bytes] = []

    def spoilt_once(payload: bytes) -> list[bytes]:
        message = decode_up(payload)
        if damaged or not isinstance(message, Operations):
            return whole(payload)
        others = tuple(replace(one, minor=1) for one in message.operations)
        damaged.append(encode(replace(message, operations=others)))
        return [*whole(damaged[0]), *whole(payload)]

    monkeypatch.setattr(world.switch, "receive", spoilt_once)
    world.connect()
    (entry,) = world.terminal.entries
    assert damaged
    assert (entry.operation, entry.given_up, entry.state) == (
        made.operation,
        None,
        EntryState.APPLIED,
    )
    # The payee has it: nothing is owed to who paid.
    assert world.terminal.till()[0] == TillRow(taken=2_000)
    assert world.facts.agreed == 1


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


def an_answer(closing: Closing, *, count: int, last: int | None = None) -> bytes:
    last = closing.last if last is None else last
    answer = Agreement(
        closing.session, closing.first, last, count, closing.total, closing.xor, agrees=False
    )
    return encode(answer)


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
    monkeypatch.setattr(agent_terminal, "_KEPT", 2)
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
    before = world.facts.session
    again = world.terminal.receive(encode(Fault(2, "session", "newer")), world.now)
    hello = decode_up(again.payloads[0])
    assert isinstance(hello, Hello)
    assert hello.session == 2 * (before + 1) + 1
    assert again.change is not None
    assert again.change.facts.session == hello.session


def test_a_closing_of_what_is_unknown_there_begins_again_with_hello(world: World) -> None:
    closing = a_closing(world)
    fault = encode(Fault(closing.session, "unknown", "last: no verdict"))
    assert world.terminal.receive(fault, world.now).payloads == ()
    world.tick(2)
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
