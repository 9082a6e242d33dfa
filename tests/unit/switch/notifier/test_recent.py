"""What is told again when the broker was lost."""

from __future__ import annotations

from datetime import timedelta

from runtime.clock import ManualClock
from switch.notifier.recent import AFTER, BEFORE, Recent
from switch.notifier.wording import Message
from tests.support.settlement_world import NOON

FIRST, SECOND, THIRD = (Message("t", payload) for payload in (b"1", b"2", b"3"))
SECOND_LONG = timedelta(seconds=1)


async def test_what_was_told_around_a_loss_is_told_again_when_subscribers_are_back() -> None:
    clock = ManualClock(NOON)
    recent = Recent(clock)
    recent.back()
    recent.told(FIRST)
    await clock.advance(BEFORE + SECOND_LONG)
    recent.told(SECOND)
    await clock.advance(SECOND_LONG)
    recent.lost()
    await clock.advance(2 * BEFORE)
    recent.lost()
    assert recent.due() == []
    recent.back()
    recent.told(THIRD)
    assert recent.due() == []
    await clock.advance(AFTER)

    assert recent.due() == [SECOND, THIRD]
    assert recent.due() == []


async def test_a_broker_that_is_lost_again_is_waited_for_again() -> None:
    clock = ManualClock(NOON)
    recent = Recent(clock)
    recent.told(FIRST)
    recent.lost()
    recent.back()
    recent.lost()
    await clock.advance(AFTER)
    assert recent.due() == []

    recent.back()
    await clock.advance(AFTER)

    assert recent.due() == [FIRST]


async def test_nothing_is_told_again_while_the_broker_stays() -> None:
    clock = ManualClock(NOON)
    recent = Recent(clock)
    recent.back()
    recent.told(FIRST)
    await clock.advance(AFTER)

    assert recent.due() == []
