"""Order, gaps and repeats of one terminal's operations."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheme.limits import AGENT_HELD_MAX, AGENT_RANGES_MAX
from scheme.network import AgentGroup
from scheme.wire.agent_digest import digest_of, verdict_mac
from scheme.wire.agent_payload import Hello, Operation, Verdict
from switch.core.agent_session import (
    Digest,
    Place,
    Seen,
    Session,
    Told,
    Waiting,
    differing,
    place_of,
)

KEY, DEVICE = b"k" * 32, "0992-0001-1"
GROUPS = {"0992": AgentGroup(institution="0992", agents=12, devices=2)}


def an_operation(seq: int, mac: bytes = b"mac") -> Operation:
    return Operation(seq, seq.to_bytes(8, "big"), 1, 100 * seq, 0, "", "", 0, False, mac)


def waiting(seq: int) -> Waiting:
    return Waiting(an_operation(seq), 0, 0)


def decide_all(session: Session) -> list[int]:
    decided = []
    while (one := session.next_up()) is not None:
        decided.append(one.operation.seq)
        session.decided()
    if decided:
        session.settle(decided[-1])
    return decided


@given(st.data())
def test_in_any_order_each_number_is_decided_once_and_in_order(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    rng = random.Random(data.draw(st.integers()))
    session = Session()
    came: list[int] = []
    decided: list[int] = []
    while len(decided) < count:
        seq = rng.randrange(1, count + 1)
        seen = session.look_at(an_operation(seq))
        assert (seen is Seen.NEW) == (seq not in came)
        assert (seen is Seen.TOLD) == (seq in decided)
        if seen is Seen.NEW:
            session.take(waiting(seq))
            came.append(seq)
        missing = {n for first, last in session.missing() for n in range(first, last + 1)}
        assert missing == set(range(1, max(came))) - set(came)
        assert session.held == sum(one >= session.expected for one in came)
        if rng.random() < 0.5:
            decided += decide_all(session)
    assert decided == list(range(1, count + 1))
    assert session.under_way == session.held == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**9)), max_size=30), st.integers(1, 30))
def test_a_digest_is_the_same_in_parts_and_as_the_terminal_makes_it(
    outcomes: list[tuple[bool, int]], part: int
) -> None:
    ended = []
    for seq, (is_applied, minor) in enumerate(outcomes, 1):
        operation = Operation(seq, bytes(8), 1, minor, 0, "", "", 0, True)
        ended.append((operation, Verdict(seq, "00" if is_applied else "51")))
    rows = [Told(o.seq, v.code, o.minor, verdict_mac(KEY, DEVICE, o, v)) for o, v in ended]
    digest = Digest()
    for start in range(0, len(rows), part):
        digest = digest.plus(rows[start : start + part])
    assert (digest.count, digest.total, digest.xor) == digest_of(KEY, DEVICE, ended)


def test_verdicts_that_differ_or_lack_are_named() -> None:
    rows = [Told(seq, "00", 1, bytes([seq])) for seq in (1, 2, 3)]
    assert differing(rows, {1: b"\1", 2: b"x"}) == [2, 3]


def test_other_content_under_a_number_is_seen_while_it_is_under_way() -> None:
    session = Session()
    session.take(waiting(1))
    assert session.look_at(an_operation(1)) is Seen.UNDER_WAY
    assert session.look_at(an_operation(1, b"other")) is Seen.OTHER
    assert session.knows(1)
    assert not session.knows(2)


def test_what_is_held_is_bounded_but_what_fills_the_gap_is_taken() -> None:
    session = Session()
    for seq in range(2, AGENT_HELD_MAX + 2):
        assert session.look_at(an_operation(seq)) is Seen.NEW
        session.take(waiting(seq))
    assert session.look_at(an_operation(AGENT_HELD_MAX + 2)) is Seen.FULL
    assert session.look_at(an_operation(1)) is Seen.NEW
    session.take(waiting(1))
    assert session.look_at(an_operation(AGENT_HELD_MAX + 2)) is Seen.FULL
    decide_all(session)
    assert session.look_at(an_operation(AGENT_HELD_MAX + 2)) is Seen.NEW


def test_only_the_first_gaps_are_told_at_once() -> None:
    session = Session()
    for seq in range(2, 2 * AGENT_RANGES_MAX + 10, 2):
        session.take(waiting(seq))
    missing = session.missing()
    assert len(missing) == AGENT_RANGES_MAX
    assert missing[:2] == ((1, 1), (3, 3))


def test_numbers_that_a_hello_leaves_behind_are_missing() -> None:
    session = Session()
    session.take(waiting(3))
    session.greet(Hello(1, 6, 9, 0), 0)
    assert session.missing() == ((1, 2), (4, 5))


def test_of_repeated_hellos_the_fastest_has_the_right_time() -> None:
    session = Session()
    assert session.greet(Hello(3, 1, 1, 1000), 1040)
    assert session.skew_s == -40
    assert session.greet(Hello(3, 1, 1, 1000), 1010)
    assert not session.greet(Hello(3, 1, 1, 1000), 1500)
    assert session.skew_s == -10
    assert session.greet(Hello(4, 1, 1, 1000), 2000)
    assert (session.session, session.skew_s) == (4, -1000)


def test_age_is_by_the_terminals_own_clock() -> None:
    operation = Operation(1, bytes(8), 1, 1, 0, "", "", 5_000, True)
    assert Waiting(operation, 1_000_000_999, 4_100 - 1_000_000 + 1_000).age_s == 100


def test_a_session_goes_on_where_the_disk_says() -> None:
    session = Session(session=4, settled=8)
    assert session.look_at(an_operation(7)) is Seen.TOLD
    assert (session.expected, session.head, session.missing()) == (8, 8, ())


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0992",
        "0992-0001",
        "0992-0013-1",
        "0992-0000-1",
        "0992-0001-3",
        "0992-1-1",
        "0970-0001-1",
        "0992-0001-01",
        "0992-0001-1-1",
        "0992-000x-1",
        "0992-0001-",
    ],
)
def test_no_other_name_is_a_terminals(name: str) -> None:
    assert place_of(name, GROUPS) is None


def test_a_terminal_is_its_agents() -> None:
    assert place_of("0992-0012-2", GROUPS) == Place("0992", "0992-0012", "0992-0012-2", 2)
