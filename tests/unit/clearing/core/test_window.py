"""Which settlement window is open, and which one follows."""

from datetime import UTC, date, datetime, timedelta

import pytest

from clearing.core.business_days import Calendar
from clearing.core.window import Window, cut_offs, ledger_of, window_after, window_at, window_of
from clearing.holiday_table import calendar
from scheme.clock import to_ms
from scheme.errors import ConfigError
from scheme.profile import Windows
from scheme.standing import WindowStand

ONE = cut_offs(("16:35:15",))
THREE = cut_offs(("09:00:00", "12:00:00", "15:00:00"))
WEEKDAYS = Calendar()
PERU = calendar(Windows(cut_offs={}, holidays="PE", extra_holidays=("2026-11-25",)), 2026)


def at(text: str) -> datetime:
    """Return an instant given in Lima local time."""
    return datetime.fromisoformat(f"{text}-05:00").astimezone(UTC)


def opened(now: str, times: tuple[object, ...] = ONE, days: Calendar = WEEKDAYS) -> Window:
    return window_at(at(now), times, days, cycle="national", currency="PEN")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "window"),
    [
        ("2026-11-23T00:00:00", "20261123-1"),
        ("2026-11-23T16:35:14.999999", "20261123-1"),
        ("2026-11-23T16:35:15", "20261124-1"),
        ("2026-11-27T16:35:15", "20261130-1"),
        ("2026-11-28T09:00:00", "20261130-1"),
        ("2026-11-29T23:00:00", "20261130-1"),
        ("2026-12-31T20:00:00", "20270101-1"),
    ],
)
def test_it_is_that_of_the_business_day_whose_cut_off_comes_next(now: str, window: str) -> None:
    assert opened(now).id == f"national-PEN-{window}"


@pytest.mark.parametrize(
    ("now", "window", "closes"),
    [
        ("2026-11-23T08:59:59", "20261123-1", "2026-11-23T09:00:00"),
        ("2026-11-23T09:00:00", "20261123-2", "2026-11-23T12:00:00"),
        ("2026-11-23T14:00:00", "20261123-3", "2026-11-23T15:00:00"),
        ("2026-11-27T15:00:00", "20261130-1", "2026-11-30T09:00:00"),
    ],
)
def test_a_day_of_several_cut_offs_numbers_its_windows(now: str, window: str, closes: str) -> None:
    found = opened(now, THREE)

    assert found.id == f"national-PEN-{window}"
    assert found.closes_at == at(closes)


@pytest.mark.parametrize(
    ("now", "settles"),
    [
        ("2026-07-27T17:00:00", "20260730"),  # 28 and 29 July: Independence.
        ("2026-12-07T17:00:00", "20261210"),  # 8 and 9 December.
        ("2026-11-24T17:00:00", "20261126"),  # The profile's own holiday.
        ("2026-04-01T17:00:00", "20260406"),  # Easter's Thursday and Friday, then a weekend.
    ],
)
def test_holidays_roll_the_settlement_date_on(now: str, settles: str) -> None:
    assert opened(now, days=PERU).settlement_date == settles


def test_a_holiday_is_no_business_day_but_the_next_may_be() -> None:
    assert not PERU.is_business_day(date(2026, 7, 28))
    assert PERU.business_day(date(2026, 12, 8)) == date(2026, 12, 10)
    assert PERU.following(date(2026, 11, 23)) == date(2026, 11, 24)
    assert WEEKDAYS.is_business_day(date(2026, 12, 8))


def test_an_unknown_country_of_holidays_is_said_at_the_start() -> None:
    with pytest.raises(ConfigError, match="XX"):
        calendar(Windows(cut_offs={}, holidays="XX"), 2026)


def test_closing_early_opens_another_of_the_same_day_until_the_same_cut_off() -> None:
    first = opened("2026-11-23T08:00:00", THREE)

    second = window_after(first, at("2026-11-23T08:10:00"), THREE, WEEKDAYS)
    third = window_after(second, at("2026-11-23T09:00:00"), THREE, WEEKDAYS)

    assert (second.id, second.closes_at) == ("national-PEN-20261123-2", first.closes_at)
    assert (third.id, third.closes_at) == ("national-PEN-20261123-3", at("2026-11-23T12:00:00"))


def test_closing_at_the_last_cut_off_opens_the_next_days_first() -> None:
    only = opened("2026-11-27T12:00:00")

    following = window_after(only, at("2026-11-27T16:35:15"), ONE, WEEKDAYS)

    assert following.id == "national-PEN-20261130-1"


def test_a_window_of_monday_closed_on_saturday_is_followed_by_another_of_monday() -> None:
    monday = opened("2026-11-28T09:00:00")

    following = window_after(monday, at("2026-11-28T10:00:00"), ONE, WEEKDAYS)

    assert following.id == "national-PEN-20261130-2"


def test_a_process_that_slept_for_days_skips_the_windows_nobody_used() -> None:
    monday = opened("2026-11-23T09:00:00")

    following = window_after(monday, at("2026-11-25T10:00:00"), ONE, WEEKDAYS)

    assert following.id == "national-PEN-20261125-1"


def test_if_the_clock_goes_back_the_date_does_not() -> None:
    tuesday = opened("2026-11-24T08:00:00", THREE)

    following = window_after(tuesday, at("2026-11-23T08:00:00"), THREE, WEEKDAYS)

    assert following.id == "national-PEN-20261124-2"
    assert following.closes_at == tuesday.closes_at


def test_windows_come_back_as_the_ledger_keeps_them() -> None:
    window = opened("2026-11-23T08:00:00")
    stand = WindowStand(
        window=window.id,
        cycle=window.cycle,
        currency=window.currency,
        settlement_date=window.settlement_date,
        number=window.number,
        opens_ms=0,
        closes_ms=to_ms(window.closes_at),
        state="OPEN",
    )

    assert window_of(stand) == window


def test_numbers_only_rise_within_a_day() -> None:
    window = opened("2026-11-23T00:00:00", THREE)
    now = at("2026-11-23T00:00:00")
    seen = {window.id}
    for _ in range(40):
        now += timedelta(minutes=37)
        window = window_after(window, now, THREE, PERU)
        assert window.id not in seen
        assert window.closes_at > now
        seen.add(window.id)


def test_a_dispute_cycle_settles_the_same_ledger() -> None:
    assert ledger_of("national-dispute") == ledger_of("national") == "national"
    assert ledger_of("dale-dispute") == "dale"
