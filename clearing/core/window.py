"""Settlement windows: of a cycle and a currency, several on a business day if it has several
cut-offs.

At a cut-off, Lima time, a window closes and the next one is open at once; after the day's last
one it is the next business day's. A window never goes back, whatever the clock does.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

from msgspec import Struct

from clearing.core.business_days import Calendar
from scheme.clock import LIMA, from_ms
from scheme.ledger import DALE, DEFERRED, NATIONAL
from scheme.standing import WindowStand

DISPUTE = "-dispute"


class Window(Struct, frozen=True, kw_only=True, gc=False):
    """The window open at some moment.

    Attributes:
        id: e.g. ``national-PEN-20261123-1``; entries carry it.
        settlement_date: ``yyyyMMdd``, the business day at whose cut-off it closes.
        closes_at: the instant of that cut-off, in UTC.
        number: of this cycle and currency on this settlement date, from 1.
    """

    id: str
    settlement_date: str
    closes_at: datetime
    cycle: str
    currency: str
    number: int


def ledger_of(cycle: str) -> str:
    """Return the ledger of obligations whose entries a cycle settles."""
    ledger = cycle.removesuffix(DISPUTE)
    assert ledger in (NATIONAL, DALE, DEFERRED)
    return ledger


def cut_offs(texts: Sequence[str]) -> tuple[time, ...]:
    """Read the times of a profile, which has checked them."""
    return tuple(time.fromisoformat(text) for text in texts)


def window_at(
    now: datetime, times: Sequence[time], calendar: Calendar, *, cycle: str, currency: str
) -> Window:
    """Return the window that is open at ``now``; at a cut-off itself it is the next one.

    Args:
        times: the cut-offs of a business day, rising.
    """
    day, index = _next_cut_off(now, times, calendar)
    return _window(day, index + 1, times[index], cycle, currency)


def window_after(
    window: Window, now: datetime, times: Sequence[time], calendar: Calendar
) -> Window:
    """Return the window that follows one that ends at ``now``, at its cut-off or before.

    One that is closed early is followed by another of the same day, up to the same cut-off. If
    the clock went back, the date does not.
    """
    following = window_at(now, times, calendar, cycle=window.cycle, currency=window.currency)
    if following.closes_at < window.closes_at:
        day = window.closes_at.astimezone(LIMA)
        date_, time_ = day.date(), day.time()
        return _window(date_, window.number + 1, time_, window.cycle, window.currency)
    if following.settlement_date != window.settlement_date:
        return following
    number = max(window.number + 1, following.number)
    local = following.closes_at.astimezone(LIMA)
    return _window(local.date(), number, local.time(), window.cycle, window.currency)


def window_of(stand: WindowStand) -> Window:
    """Return the window that the ledger keeps as ``stand``."""
    return Window(
        id=stand.window,
        settlement_date=stand.settlement_date,
        closes_at=from_ms(stand.closes_ms),
        cycle=stand.cycle,
        currency=stand.currency,
        number=stand.number,
    )


def _next_cut_off(now: datetime, times: Sequence[time], calendar: Calendar) -> tuple[date, int]:
    local = now.astimezone(LIMA)
    day = local.date()
    if calendar.is_business_day(day):
        for index, at in enumerate(times):
            if local.time() < at:
                return day, index
        return calendar.following(day), 0
    return calendar.business_day(day), 0


def _window(day: date, number: int, cut_off: time, cycle: str, currency: str) -> Window:
    settlement_date = f"{day:%Y%m%d}"
    return Window(
        id=f"{cycle}-{currency}-{settlement_date}-{number}",
        settlement_date=settlement_date,
        closes_at=datetime.combine(day, cut_off, LIMA).astimezone(UTC),
        cycle=cycle,
        currency=currency,
        number=number,
    )
