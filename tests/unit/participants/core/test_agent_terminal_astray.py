"""A terminal whose disk is not what it was, or whose operations arrive spoilt."""

import pytest
from msgspec.structs import replace

from participants.core.agent_book import (
    Entry,
    EntryState,
    Facts,
    TillRow,
)
from participants.core.agent_told import (
    Actions,
    Adopted,
    Asked,
    Closed,
    Renumbered,
    Settled,
    Unaccounted,
)
from scheme.wire.agent_payload import (
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
from tests.support.terminal_world import World, an_answer


@pytest.fixture
def world() -> World:
    """A terminal that had its first session, and is alone now."""
    world = World()
    world.connect()
    world.alone()
    return world


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
    assert world.of(Unaccounted) == [Unaccounted(((2, 2),))]
    assert world.facts.agreed == 2
    assert world.terminal.is_idle


def test_a_disk_from_earlier_says_once_what_it_cannot_account_for_and_goes_on(
    world: World,
) -> None:
    for _ in range(3):
        world.make()
    older = (dict(world.disk), world.facts)
    for _ in range(3):
        world.make()
    world.connect()
    world.alone()
    world.disk, world.facts = older
    world.told.clear()
    world.restarted()
    world.connect()
    assert world.of(Unaccounted) == [Unaccounted(((4, 6),))]
    assert [one.agrees for one in world.told if isinstance(one, Closed)] == [False]
    assert (world.facts.agreed, world.facts.next) == (6, 7)
    assert world.terminal.is_idle
    world.told.clear()
    world.make(offline=False)
    world.do(world.terminal.push(world.now))
    assert [one.agrees for one in world.told if isinstance(one, Closed)] == [True]
    assert world.of(Unaccounted) == []


def test_a_difference_beside_what_it_cannot_account_for_stays_an_operators(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = (dict(world.disk), world.facts)
    world.make()
    world.connect()
    world.alone()
    world.disk, world.facts = older
    world.restarted()
    for _ in range(2):
        world.make()
    real = world.switch.receive

    def with_another(payload: bytes) -> list[bytes]:
        answers = real(payload)
        if isinstance(message := decode_up(payload), Items):
            return [encode(Verdicts(message.session, (Verdict(2, "00"),)))]
        if isinstance(message, Closing):
            return [an_answer(message, count=9)]
        return answers

    monkeypatch.setattr(world.switch, "receive", with_another)
    world.connect()
    assert world.codes() == ["94", "00"]
    assert world.of(Unaccounted) == []
    assert world.facts.agreed == 0
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
    settled = next(one for one in world.of(Settled) if one.entry.seq == 1)  # type: ignore[union-attr]
    assert isinstance(settled, Settled)
    assert settled.entry == Entry(wrong, EntryState.REFUSED, Verdict(1, "63"))
    assert first.outcome == settled.entry
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


def a_void_under_way(world: World) -> Entry:
    """Return what was made, of which the terminal was told that its MAC does not hold."""
    made = world.make()
    hello = world.terminal.connected(world.now)
    (welcome,) = world.switch.receive(hello.payloads[0])
    world.write(world.terminal.receive(welcome, world.now).change)
    void = world.terminal.receive(encode(Verdicts(2, (Verdict(1, "63", "DS0A"),))), world.now)
    world.write(void.change)
    assert void.told == ()
    (sent,) = void.payloads
    assert isinstance(decode_up(sent), Operations)
    assert world.disk[1].given_up == made.operation
    return made


def test_a_refusal_is_told_only_once_its_void_is_noted(world: World) -> None:
    made = a_void_under_way(world)
    assert world.disk[1].outcome == Entry(made.operation, EntryState.SENT)
    again = world.terminal.receive(encode(Verdicts(2, (Verdict(1, "63"),))), world.now)
    assert again.told == ()
    world.restarted()
    world.connect()
    (settled,) = world.of(Settled)
    cause = Verdict(1, "63", "DS0A")
    assert settled == Settled(Entry(made.operation, EntryState.REFUSED, cause))
    assert world.facts.agreed == 1


@pytest.mark.parametrize("code", ["00", "61"])
def test_a_verdict_without_reference_of_what_was_given_up_is_its_own(
    world: World, code: str
) -> None:
    made = a_void_under_way(world)
    world.switch.stored[1] = made.operation
    reference = "T1" if code == "00" else ""
    world.switch.verdicts[1] = Verdict(1, code, "", reference)
    world.do(world.terminal.receive(encode(Verdicts(2, (Verdict(1, "94"),))), world.now))
    world.do(world.terminal.receive(encode(Verdicts(2, (world.switch.verdicts[1],))), world.now))
    (entry,) = world.terminal.entries
    assert (entry.operation, entry.given_up) == (made.operation, None)
    assert world.of(Settled) == [Settled(entry)]
    assert world.codes() == [code]
    assert world.facts.agreed == 1


@pytest.mark.parametrize("stands", ["void", "operation"])
def test_a_revoked_terminal_agrees_on_what_it_gave_up(world: World, stands: str) -> None:
    made = a_void_under_way(world)
    kept = world.disk[1].operation if stands == "void" else made.operation
    world.switch.stored[1] = kept
    world.switch.verdicts[1] = Verdict(1, "62", "DNOR")
    world.do(world.terminal.receive(encode(Verdicts(2, (world.switch.verdicts[1],))), world.now))
    assert world.terminal.entries[0].operation == kept
    assert world.terminal.entries[0].outcome.state is EntryState.REFUSED
    assert world.facts.agreed == 1


def test_a_void_that_the_clearing_house_does_not_have_gives_way_to_its_word(world: World) -> None:
    made = a_void_under_way(world)
    world.do(world.terminal.receive(encode(Verdicts(2, (Verdict(1, "00"),))), world.now))
    world.switch.stored[1] = made.operation
    world.switch.verdicts[1] = Verdict(1, "61", "FF07")
    world.alone()
    world.connect()
    (adopted,) = world.of(Adopted)
    assert isinstance(adopted, Adopted)
    assert adopted.before.code == "63"
    assert adopted.entry.operation == made.operation
    assert world.codes() == ["61"]
    assert world.facts.agreed == 1


# --- payloads that are not read


class Picky:
    """A clearing house that cannot read what holds some operations."""

    def __init__(self, world: World, *op_ids: bytes) -> None:
        self.world = world
        self.op_ids = op_ids
        self.whole = world.switch.receive
        self.sizes: list[int] = []
        world.switch.receive = self.receive  # type: ignore[method-assign]

    def receive(self, payload: bytes) -> list[bytes]:
        message = decode_up(payload)
        if isinstance(message, Operations):
            self.sizes.append(len(message.operations))
            if any(one.op_id in self.op_ids for one in message.operations):
                fault = Fault(self.world.switch.session, "payload", "operations.0.kind: <= 7")
                return [encode(fault)]
        return self.whole(payload)


def test_an_operation_that_spoils_its_payload_is_found_and_told_as_void(world: World) -> None:
    made = [world.make() for _ in range(5)]
    picky = Picky(world, made[2].operation.op_id)
    world.connect()
    assert picky.sizes == [5, 1, 1, 1, 1, 1, 1, 1]
    assert world.facts.agreed == 5
    given_up = world.terminal.entries[2]
    assert given_up.operation.kind == Kind.VOID
    assert given_up.outcome.operation == made[2].operation
    assert given_up.outcome.verdict == Verdict(3, "30", "FF02", note="operations.0.kind: <= 7")
    assert len(world.switch.done) == 5
    assert world.terminal.till()[0] == TillRow(taken=10_000, owed=2_000)
    # What comes later goes out together again.
    world.alone()
    for _ in range(3):
        world.make()
    picky.sizes.clear()
    world.connect()
    assert picky.sizes == [3]


def test_a_late_fault_gives_nothing_up(world: World) -> None:
    made = world.make()
    hello = world.terminal.connected(world.now)
    (welcome,) = world.switch.receive(hello.payloads[0])
    world.terminal.receive(welcome, world.now)
    session = world.facts.session + 1
    fault = encode(Fault(session, "payload", "operations.3.kind: <= 7"))
    again = world.terminal.receive(fault, world.now)
    assert isinstance(decode_up(again.payloads[0]), Hello)
    assert world.terminal.receive(fault, world.now).payloads == ()  # Before the Welcome.
    world.do(again)
    world.make(offline=False)
    assert world.terminal.receive(fault, world.now).payloads == ()
    assert world.terminal.entries[0].operation == made.operation
    assert world.codes() == ["00", "00"]


def test_a_void_that_is_not_read_either_ends_in_waiting(world: World) -> None:
    made = world.make()
    picky = Picky(world, made.operation.op_id)
    whole = picky.receive

    def nothing_read(payload: bytes) -> list[bytes]:
        message = decode_up(payload)
        if isinstance(message, Operations):
            picky.op_ids = tuple(one.op_id for one in message.operations)
        return whole(payload)

    world.switch.receive = nothing_read  # type: ignore[method-assign]
    world.connect()
    assert picky.sizes == [1, 1, 1, 1]
    assert world.terminal.waiting == 1
    assert world.terminal.due is not None
