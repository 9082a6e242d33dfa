"""Two clocks: the machine's, and one that stands still until it is advanced."""

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType

from scheme.clock import Timer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)

    def now_us(self) -> int:
        """Return microseconds since the epoch."""
        return time.time_ns() // 1000

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until ``instant``."""
        # Once more if the machine's clock was set back meanwhile.
        while (wait := (instant - self.now()).total_seconds()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait)

    def deadline(self, instant: datetime) -> AbstractAsyncContextManager[object]:
        """Return a context that is cancelled at ``instant``, as TimeoutError."""
        return _Deadline((instant - self.now()).total_seconds())

    def call_at(self, instant: datetime, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` at ``instant``."""
        wait = (instant - self.now()).total_seconds()
        return asyncio.get_running_loop().call_later(max(wait, 0.0), callback)


class _Deadline:
    """What ``asyncio.timeout`` does, without its bookkeeping: a transfer enters three of them.

    Args:
        after_s: seconds until the body is cancelled.
    """

    __slots__ = ("_after_s", "_cancelling", "_is_over", "_task", "_timer")

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._is_over = False

    async def __aenter__(self) -> "_Deadline":
        task = asyncio.current_task()
        assert task is not None, "a deadline cancels its task"
        self._task = task
        self._cancelling = task.cancelling()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(self._after_s, 0.0), self._expire)
        return self

    def _expire(self) -> None:
        self._is_over = True
        self._task.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if not self._is_over:
            return
        # Somebody else may have cancelled the task as well: then it is not ours to swallow.
        is_ours = self._task.uncancel() <= self._cancelling
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error


class _ManualTimer:
    """An entry of a manual clock's agenda."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Give it up."""
        self.callback = None


class ManualClock:
    """A clock that shows ``start`` until it is advanced.

    Args:
        start: the instant shown first, aware.
    """

    def __init__(self, start: datetime) -> None:
        assert start.tzinfo is not None
        self._now = start.astimezone(UTC)
        self._agenda: list[tuple[datetime, int, _ManualTimer]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """Return the instant shown."""
        return self._now

    def now_us(self) -> int:
        """Return the instant shown as microseconds since the epoch."""
        return (self._now - _EPOCH) // timedelta(microseconds=1)

    def call_at(self, instant: datetime, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` when the clock is advanced to ``instant``."""
        timer = _ManualTimer(callback)
        heapq.heappush(self._agenda, (instant, next(self._order), timer))
        return timer

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until the clock is advanced to ``instant``."""
        if instant <= self._now:
            return
        reached = asyncio.get_running_loop().create_future()
        timer = self.call_at(instant, partial(_settle, reached))
        try:
            await reached
        finally:
            timer.cancel()

    @asynccontextmanager
    async def deadline(self, instant: datetime) -> AsyncIterator[object]:
        """Cancel the body when the clock is advanced to ``instant``, as TimeoutError."""
        async with asyncio.timeout(None) as guard:
            timer = self.call_at(instant, lambda: guard.reschedule(0))
            try:
                yield guard
            finally:
                timer.cancel()

    async def advance(self, span: timedelta, *, turns: int = 20) -> None:
        """Move on by ``span``, running what falls due in order.

        Args:
            turns: how often the loop is let run after each instant, for what was woken.
        """
        target = self._now + span
        while self._agenda and self._agenda[0][0] <= target:
            instant, _, timer = heapq.heappop(self._agenda)
            self._now = max(self._now, instant)
            if timer.callback is not None:
                timer.callback()
                await _let_run(turns)
        self._now = target
        await _let_run(turns)


def _settle(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)


async def _let_run(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
