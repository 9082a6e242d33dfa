"""The clock as an input: every deadline of the scheme goes through one that is handed in."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Protocol

LIMA = timezone(timedelta(hours=-5), "PET")
"""Dates and times on the wire are Lima local time; Peru keeps UTC-5 all year."""
_MOMENTS_KEPT = 256
"""Wire dates and times kept, parsed and written: the transfers of one second share theirs."""


class Timer(Protocol):
    """A callback that waits for its instant."""

    def cancel(self) -> None:
        """Give the callback up; nothing happens if it has run."""


class Clock(Protocol):
    """Time as the scheme sees it: real, or frozen and advanced by hand."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""

    def now_us(self) -> int:
        """Return the present instant as microseconds since the epoch: cheap, for stamps."""

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until the clock shows ``instant``; return at once if it has passed."""

    def deadline(self, instant: datetime) -> AbstractAsyncContextManager[object]:
        """Return a context whose body is cancelled at ``instant``, as TimeoutError."""

    def call_at(self, instant: datetime, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` on the loop when the clock shows ``instant``."""


def lima(instant: datetime) -> datetime:
    """Return the instant as Lima local time."""
    return instant.astimezone(LIMA)


def wire_date(instant: datetime) -> str:
    """Return ``yyyyMMdd``, Lima local."""
    return lima(instant).strftime("%Y%m%d")


def wire_date_time(instant: datetime) -> tuple[str, str]:
    """Return ``(yyyyMMdd, HHmmss)``, Lima local."""
    # Every message of ours has them, and all of one second the same.
    return _wire_texts(instant.timestamp() // 1)


@lru_cache(maxsize=_MOMENTS_KEPT)
def _wire_texts(second: float) -> tuple[str, str]:
    text = lima(datetime.fromtimestamp(second, UTC)).isoformat()
    date = f"{text[:4]}{text[5:7]}{text[8:10]}"
    return date, f"{text[11:13]}{text[14:16]}{text[17:19]}"


@lru_cache(maxsize=_MOMENTS_KEPT)
def parse_wire(date: str, time: str) -> datetime | None:
    """Return the instant of a wire date and time, or None if there is no such moment."""
    # Slices, not strptime: that would be a twentieth of a transfer's CPU.
    try:
        return datetime(
            int(date[:4]),
            int(date[4:6]),
            int(date[6:8]),
            int(time[:2]),
            int(time[2:4]),
            int(time[4:6]),
            tzinfo=LIMA,
        ).astimezone(UTC)
    except ValueError:
        return None


def to_ms(instant: datetime) -> int:
    """Return milliseconds since the epoch."""
    return int(instant.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """Return the instant of milliseconds since the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
