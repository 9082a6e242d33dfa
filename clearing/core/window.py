"""Settlement windows: one per ledger, currency and business day.

The window of a day closes at the cut-off, Lima time, and the next business day's is open at
once. Saturdays and Sundays are no business days; holidays are not known yet.
"""

from datetime import UTC, date, datetime, time, timedelta

from msgspec import Struct

from scheme.clock import LIMA
from scheme.errors import ConfigError

_SATURDAY = 5


class Window(Struct, frozen=True, kw_only=True, gc=False):
    """The window open at some moment.

    Attributes:
        id: e.g. ``national-PEN-20261123``; entries carry it.
        settlement_date: ``yyyyMMdd``, the business day at whose cut-off it closes.
        closes_at: the instant of that cut-off, in UTC.
    """

    id: str
    settlement_date: str
    closes_at: datetime


def window_at(now: datetime, cut_off: time, *, ledger: str, currency: str) -> Window:
    """Return the window that is open at ``now``; at the cut-off itself it is the next one."""
    local = now.astimezone(LIMA)
    day = local.date() if local.time() < cut_off else local.date() + timedelta(days=1)
    return _window_of(_business_day(day), cut_off, ledger, currency)


def _window_of(day: date, cut_off: time, ledger: str, currency: str) -> Window:
    settlement_date = f"{day:%Y%m%d}"
    return Window(
        id=f"{ledger}-{currency}-{settlement_date}",
        settlement_date=settlement_date,
        closes_at=datetime.combine(day, cut_off, LIMA).astimezone(UTC),
    )


def parse_cut_off(text: str) -> time:
    """Read the ``HH:mm:ss`` of a profile.

    Raises:
        ConfigError: it is no time of day.
    """
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"windows.cut_off: {text!r} is no HH:mm:ss") from error


def _business_day(day: date) -> date:
    while day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    return day
