"""What a terminal refuses by itself, and the cash it counts."""

import random

import pytest

from participants.core.agent_book import (
    NO_TILL,
    Change,
    Facts,
    Lease,
    Wish,
)
from participants.core.agent_faults import Faults
from participants.core.agent_limits import Stop, StopReason
from participants.core.agent_told import (
    Made,
)
from scheme.limits import AGENT_QUEUE_MAX
from scheme.wire.agent_payload import (
    Kind,
    Verdict,
)
from tests.support.terminal_world import IN, NOW, OUT, World


@pytest.fixture
def world() -> World:
    """A terminal that had its first session, and is alone now."""
    world = World()
    world.connect()
    world.alone()
    return world


# --- limits


def test_a_terminal_that_never_was_connected_does_not_work_alone() -> None:
    world = World()
    assert world.stopped() == Stop(StopReason.NO_LEASE)
    assert world.stopped(offline=False) == Stop(StopReason.NO_LINK)


@pytest.mark.parametrize(
    ("lease", "wish", "stop"),
    [
        ({"at": NOW - 101}, IN, Stop(StopReason.HOURS, 100)),
        ({"at": NOW + 61}, IN, Stop(StopReason.CLOCK)),
        ({"used_count": 3}, IN, Stop(StopReason.COUNT, 3)),
        ({"used_minor": (8_001, 0)}, IN, Stop(StopReason.AMOUNT, 10_000, 1_999)),
        ({"float_minor": (1_999, 0)}, IN, Stop(StopReason.FLOAT, 1_999, 1_999)),
        ({}, Wish(kind=Kind.BALANCE), Stop(StopReason.NEEDS_LINK)),
    ],
)
def test_each_limit_of_the_lease_stops_it(lease: dict[str, int], wish: Wish, stop: Stop) -> None:
    world = World()
    given = {"at": NOW, "offline_s": 100, "count": 3, "minor": (10_000, 0)}
    world.facts = Facts(lease=Lease(**given | {"float_minor": (50_000, 0)} | lease))  # type: ignore[arg-type]
    world.restarted()
    assert world.stopped(wish) == stop


def test_at_its_limits_it_still_works(world: World) -> None:
    world.switch.count, world.switch.minor, world.switch.room = 2, (4_000,), (2_000,)
    world.connect()
    world.alone()
    world.make(Wish(kind=Kind.CASH_OUT, minor=2_000))
    world.make()
    assert world.stopped().reason is StopReason.COUNT
    lease = world.facts.lease
    assert lease is not None
    assert (lease.used_count, lease.used_minor, lease.float_minor) == (2, (4_000, 0), (2_000, 0))


def test_what_still_waits_is_used_of_the_next_lease(world: World) -> None:
    world.make()
    world.connect()
    world.faults = Faults(random.Random(0), lose=1.0)
    world.make(offline=False)
    world.make()
    hello = world.terminal.connected(world.now)
    (welcome,) = world.switch.receive(hello.payloads[0])
    world.write(world.terminal.receive(welcome, world.now).change)
    assert world.facts.lease is not None
    assert world.facts.lease.used_count == 1


def test_a_full_queue_takes_no_more(world: World) -> None:
    world.facts = Facts(next=AGENT_QUEUE_MAX + 1, lease=world.facts.lease)
    world.restarted()
    assert world.stopped() == Stop(StopReason.FULL, AGENT_QUEUE_MAX)


def test_a_rehearsal_of_hours_alone_uses_the_hours_up(world: World) -> None:
    world.do(world.terminal.backdate(14_401))
    assert world.stopped().reason is StopReason.HOURS
    made = world.terminal.make(IN, world.now, offline=True, at=world.now - 60)
    assert isinstance(made, Made)
    assert made.entry.operation.at == int(world.now) - 60
    world.facts = Facts()
    assert world.restarted().backdate(1).change == Change(Facts())


def test_a_till_counts_nothing_that_was_only_asked_for() -> None:
    world = World()
    world.connect()
    world.switch.judge = lambda one: Verdict(one.seq, "51")
    world.make(OUT, offline=False)
    assert world.terminal.till() == NO_TILL
