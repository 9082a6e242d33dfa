"""Business days: neither a Saturday, nor a Sunday, nor a holiday."""

from collections.abc import Set as AbstractSet
from datetime import date, timedelta

_SATURDAY = 5
_ONE_DAY = timedelta(days=1)


class Calendar:
    """Tells business days.

    Args:
        holidays: days that are none, whatever day of the week they are.
    """

    def __init__(self, holidays: AbstractSet[date] = frozenset()) -> None:
        self._holidays = frozenset(holidays)

    def is_business_day(self, day: date) -> bool:
        """Tell whether banks and the central bank work on this day."""
        return day.weekday() < _SATURDAY and day not in self._holidays

    def business_day(self, day: date) -> date:
        """Return this day, or the first business day after it."""
        while not self.is_business_day(day):
            day += _ONE_DAY
        return day

    def following(self, day: date) -> date:
        """Return the first business day after this one."""
        return self.business_day(day + _ONE_DAY)
