"""Instants on the wire: Lima's dates and times, whatever the zone and the fraction of a second."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheme.clock import LIMA, parse_wire, wire_date_time

INSTANTS = st.datetimes(
    min_value=datetime(1950, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_a_date_and_time_are_of_lima_whatever_the_zone() -> None:
    instant = datetime(2026, 1, 16, 3, 59, 59, 999_999, tzinfo=UTC)
    assert wire_date_time(instant) == ("20260115", "225959")
    assert wire_date_time(instant.astimezone(LIMA)) == ("20260115", "225959")
    assert wire_date_time(instant + timedelta(microseconds=1)) == ("20260115", "230000")


@given(INSTANTS)
def test_what_is_written_is_the_second_begun(instant: datetime) -> None:
    local = instant.astimezone(LIMA)
    assert wire_date_time(instant) == (f"{local:%Y%m%d}", f"{local:%H%M%S}")
    assert parse_wire(*wire_date_time(instant)) == instant.replace(microsecond=0)
