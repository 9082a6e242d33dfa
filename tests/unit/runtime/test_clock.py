"""The two clocks keep one promise: a deadline ends its body, and only its body."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from runtime.clock import ManualClock, SystemClock
from scheme.clock import to_ms

START = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)


async def test_a_deadline_that_passes_is_a_time_out() -> None:
    clock = SystemClock()
    with pytest.raises(TimeoutError):
        async with clock.deadline(clock.now() + timedelta(milliseconds=5)):
            await asyncio.get_running_loop().create_future()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_deadline_in_the_past_ends_its_body_at_the_first_wait() -> None:
    clock = SystemClock()
    with pytest.raises(TimeoutError):
        async with clock.deadline(clock.now() - timedelta(seconds=1)):
            await asyncio.get_running_loop().create_future()


async def test_a_body_that_ends_in_time_is_left_alone() -> None:
    clock = SystemClock()
    async with clock.deadline(clock.now() + timedelta(milliseconds=5)):
        done = 1
    await asyncio.sleep(0.01)
    assert done == 1


async def test_a_cancellation_from_elsewhere_is_not_taken_for_a_time_out() -> None:
    clock = SystemClock()
    entered = asyncio.Event()

    async def wait() -> None:
        async with clock.deadline(clock.now() + timedelta(seconds=60)):
            entered.set()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_another_error_of_the_body_comes_through() -> None:
    clock = SystemClock()
    with pytest.raises(KeyError):
        async with clock.deadline(clock.now() + timedelta(seconds=60)):
            raise KeyError


async def test_the_inner_of_two_deadlines_ends_only_the_inner_body() -> None:
    clock = SystemClock()
    async with clock.deadline(clock.now() + timedelta(seconds=60)):
        with pytest.raises(TimeoutError):
            async with clock.deadline(clock.now() + timedelta(milliseconds=5)):
                await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)


def test_both_clocks_stamp_the_instant_they_show() -> None:
    manual = ManualClock(START)
    assert manual.now_us() == to_ms(START) * 1000
    system = SystemClock()
    assert abs(system.now_us() // 1000 - to_ms(system.now())) < 1_000


async def test_a_manual_clock_runs_what_falls_due_in_order() -> None:
    clock = ManualClock(START)
    seen: list[int] = []

    def note(number: int) -> Callable[[], None]:
        return lambda: seen.append(number)

    clock.call_at(START + timedelta(seconds=2), note(2))
    clock.call_at(START + timedelta(seconds=1), note(1))
    clock.call_at(START + timedelta(seconds=3), note(3)).cancel()
    await clock.advance(timedelta(seconds=5))
    assert seen == [1, 2]
    assert clock.now() == START + timedelta(seconds=5)
