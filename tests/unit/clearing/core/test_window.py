"""Which settlement window is open."""

from datetime import UTC, datetime, time

import pytest

from clearing.core.window import parse_cut_off, window_at
from scheme.errors import ConfigError

CUT_OFF = time(16, 35, 15)


def at(text: str) -> datetime:
    """Return an instant given in Lima local time."""
    return datetime.fromisoformat(f"{text}-05:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "date"),
    [
        ("2026-11-23T00:00:00", "20261123"),
        ("2026-11-23T16:35:14.999999", "20261123"),
        ("2026-11-23T16:35:15", "20261124"),
        ("2026-11-23T23:59:59", "20261124"),
        ("2026-11-27T16:35:14", "20261127"),
        ("2026-11-27T16:35:15", "20261130"),
        ("2026-11-28T09:00:00", "20261130"),
        ("2026-11-29T23:00:00", "20261130"),
        ("2026-12-31T20:00:00", "20270101"),
    ],
)
def test_the_window_is_that_of_the_business_day_whose_cut_off_comes_next(
    now: str, date: str
) -> None:
    window = window_at(at(now), CUT_OFF, ledger="national", currency="PEN")

    assert window.settlement_date == date
    assert window.id == f"national-PEN-{date}"


def test_a_window_closes_at_the_cut_off_lima_time() -> None:
    window = window_at(at("2026-11-27T20:00:00"), CUT_OFF, ledger="dale", currency="USD")

    assert window.closes_at == at("2026-11-30T16:35:15")


def test_a_cut_off_is_a_time_of_day() -> None:
    assert parse_cut_off("16:35:15") == CUT_OFF
    with pytest.raises(ConfigError, match="cut_off"):
        parse_cut_off("25:00")
