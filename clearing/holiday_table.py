"""Holidays of a country, by the ``holidays`` library, and those that a profile adds."""

from datetime import date

import holidays

from clearing.core.business_days import Calendar
from scheme.errors import ConfigError
from scheme.profile import Windows

YEARS_BEFORE = 1
YEARS_AFTER = 5
"""How far from the year of the start holidays are known; a process does not live that long."""


def calendar(windows: Windows, year: int) -> Calendar:
    """Return the business days of a profile, around a year.

    Raises:
        ConfigError: the country has no holidays that the library knows.
    """
    days = {date.fromisoformat(text) for text in windows.extra_holidays}
    if windows.holidays:
        years = range(year - YEARS_BEFORE, year + YEARS_AFTER + 1)
        try:
            days |= set(holidays.country_holidays(windows.holidays, years=years))
        except NotImplementedError as error:
            raise ConfigError(f"windows.holidays: {windows.holidays!r} is not known") from error
    return Calendar(days)
