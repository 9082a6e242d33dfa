from datetime import UTC, datetime

import pytest

from scheme.wire.proxy_json import TimestampStyle, format_timestamp, read_timestamp

NOON_IN_LIMA = datetime(2026, 1, 15, 17, 0, 0, 120_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (TimestampStyle.LOCAL_Z, "2026-01-15T12:00:00.120Z"),
        (TimestampStyle.UTC, "2026-01-15T17:00:00.120Z"),
        (TimestampStyle.OFFSET, "2026-01-15T12:00:00.120-05:00"),
    ],
)
def test_each_style_is_printed_and_read_back(style: TimestampStyle, text: str) -> None:
    assert format_timestamp(NOON_IN_LIMA, style) == text
    assert read_timestamp(text, now=NOON_IN_LIMA) == NOON_IN_LIMA


def test_local_time_with_a_z_is_the_default() -> None:
    assert format_timestamp(NOON_IN_LIMA) == "2026-01-15T12:00:00.120Z"


def test_the_last_evening_of_the_year_is_still_that_year_in_lima() -> None:
    evening = datetime(2026, 1, 1, 4, 59, 59, 999_000, tzinfo=UTC)

    assert format_timestamp(evening) == "2025-12-31T23:59:59.999Z"
    assert read_timestamp("2025-12-31T23:59:59.999Z", now=evening) == evening


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00:00.000Z", "9999-12-31T23:59:59-05:00"]
)
def test_what_is_no_timestamp_is_no_ground_for_refusal(text: str) -> None:
    assert read_timestamp(text, now=NOON_IN_LIMA) is None
