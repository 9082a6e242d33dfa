"""Profiles: every value that cannot be is refused when the file is read, and named."""

import re
from pathlib import Path

import pytest

from scheme.errors import ConfigError
from scheme.profile import Profile

PERU = (Path(__file__).resolve().parents[3] / "scheme" / "profiles" / "peru.toml").read_text()

WRONG = [
    ("timers.av_expiry_s", "5.0", "0"),
    ("timers.ct_expiry_s", "8.0", "-8.0"),
    ("timers.ct_expiry_s", "8.0", "inf"),
    ("timers.ct_expiry_s", "8.0", "nan"),
    ("timers.originator_ct_timeout_s", "12.0", "0.0"),
    ("timers.originator_retries", "2", "-1"),
    ("timers.originator_retry_wait_s", "1.0", "-1"),
    ("timers.pending_resend_s", "[2.0, 5.0, 15.0, 30.0, 60.0]", "[]"),
    ("timers.pending_resend_s", "[2.0, 5.0, 15.0, 30.0, 60.0]", "[2.0, 0.0]"),
    ("timers.av_binding_s", "900.0", "0"),
    ("timers.enquiry_first_s", "15.0", "-1"),
    ("timers.enquiry_waits_s", "[15.0, 15.0, 15.0]", "[]"),
    ("timers.enquiry_wait_max_s", "600.0", "0"),
    ("timers.owed_backoff_s", "[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]", "[]"),
    ("timers.owed_backoff_s", "[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]", "[0]"),
    ("timers.owed_parked_after_s", "86400.0", "-1"),
    ("timers.owed_answer_s", "10.0", "0"),
    ("timers.echo_interval_s", "60.0", "0"),
    ("timers.ct5_deliveries", "0", "-1"),
    ("limits.tin_min", "{ PEN = 1, USD = 1 }", "{ USD = 1 }"),
    ("limits.tin_max.EUR", "{ PEN = 3000000, USD = 1000000 }", "{ PEN = 1, EUR = 1 }"),
    ("limits.tin_max", "{ PEN = 3000000, USD = 1000000 }", "{ PEN = -1 }"),
    ("limits.tin_min.USD", "{ PEN = 1, USD = 1 }", "{ PEN = 1, USD = 1000001 }"),
    ("limits.alias_min", "{ PEN = 100 }", "{}"),
    ("limits.alias_min.PEN", "{ PEN = 100 }", "{ PEN = 50001 }"),
    ("limits.alias_max", "{ PEN = 50000 }", "{ USD = 50000 }"),
    ("limits.alias_day_operations", "50", "-1"),
    ("fees.alias", "{ PEN = 0 }", "{}"),
    ("fees.code", '"0101"', '"01010"'),
    ("fees.code", '"0101"', '""'),
    ("fees.purpose", '"OTHR"', '"OT R"'),
    ("directory.payer_lookups_max", "10", "0"),
    ("directory.payer_block_minutes", "60", "-1"),
    ("directory.bucket_size", "600", "0"),
    ("directory.unknown_cost", "20", "-20"),
    ("directory.qr_token_s", "300", "0"),
    ("directory.timestamps", '"local_z"', '"zz"'),
    ("directory.present_as", '"string"', '"text"'),
    ("switch.branch_id", '"1001"', '""'),
    ("switch.branch_id", '"1001"', f'"{"1" * 36}"'),
    ("cci.originator", '"strict"', '"bogus"'),
    ("cci.clearing_house", '"lenient"', '"bogus"'),
    ("cci.receiver", '"lenient"', '""'),
    ("prefund.minor", "{ PEN = 1000000000, USD = 200000000 }", "{ PEN = -1 }"),
    ("prefund.low_percent", "25", "31"),
    ("prefund.low_percent", "25", "-1"),
    ("prefund.cap_minor", "{ PEN = 0, USD = 0 }", "{ PEN = -1, USD = 0 }"),
]

WRONG_TABLES = [
    ("fees.plaza.M", "flat = { PEN = 80, USD = 21 }", "flat = { PEN = -80 }", "fees.plaza"),
    ("fees.plaza.M", "flat = { PEN = 80, USD = 21 }", "basis_points = 10001", "fees.plaza"),
    ("fees.plaza.O", "basis_points = 50", "share = 50", "share"),
    ("fees.plaza.O", "least = { PEN = 700, USD = 200 }", "least = { EUR = 1 }", "O.least.EUR"),
    ("fees.plaza.E", "[fees.plaza.E]", "[fees.plaza.X]", "fees.plaza: one of M, O, E"),
    ("fees.rail.deferred", "flat = { PEN = 40, USD = 11 }", "flat = { PEN = -1 }", "fees.rail"),
    ("plazas.offices", "970002 = ", "97002 = ", "plazas.offices.97002"),
    ("rails", '["on_us", "network", ', '["on_us", ', "rails.order: network must stand in it"),
    ("rails", '["on_us", ', '["pigeon", "on_us", ', "rails.order: one of on_us"),
    ("rails.hours.lbtr", '"07:45:00"', '"7:45"', "rails.hours.lbtr.opens"),
    ("breaker", "half_open_after_s = 30.0", "half_open_after_s = 0", "half_open_after_s"),
    ("breaker", "probes = 1", "probes = 0", "probes"),
    ("breaker.rule", "failed_percent = 80", "failed_percent = 101", "failed_percent"),
    ("breaker.rule", "over_s = 36.0", "over_s = 0", "over_s"),
    ("breaker.rule", "requests_min = 5", "requests_min = 0", "requests_min"),
    ("windows", "extra_holidays = []", 'extra_holidays = ["2026-02-30"]', "extra_holidays"),
    ("windows.cut_offs.national", '["16:35:15"]', '["26:00"]', "cut_offs.national.PEN"),
    ("windows.cut_offs.national", '["16:35:15"]', "[]", "cut_offs.national.PEN"),
    ("windows.cut_offs.deferred", '["09:00:00", ', '["12:30:00", ', "the times must rise"),
    ("settlement", "approvals = 0", "approvals = 3", "approvals"),
    ("settlement.on_failure", 'national = ["queue"', 'national = ["unwind"', "national: one of"),
    ("lbtr", '"multilateral"', '"magic"', "lbtr.offsetting: one of"),
    ("network", '"own"', '"none"', "network.addressing: one of"),
]


def with_value(key: str, old: str, new: str) -> str:
    """Return Peru's rules with one value changed, in its own section."""
    section, name = key.split(".")[:2]
    head, mark, tail = PERU.partition(f"[{section}]")
    assert f"\n{name} = {old}" in tail
    return head + mark + tail.replace(f"\n{name} = {old}", f"\n{name} = {new}", 1)


@pytest.mark.parametrize(("section", "old", "new", "named"), WRONG_TABLES)
def test_so_is_one_in_a_table_of_tables(section: str, old: str, new: str, named: str) -> None:
    at = PERU.index(f"\n[{section}]")
    assert old in PERU[at:]
    with pytest.raises(ConfigError, match=rf"mine\.toml: .*{re.escape(named)}"):
        Profile.parse(PERU[:at] + PERU[at:].replace(old, new, 1), origin="mine.toml")


@pytest.mark.parametrize(("key", "old", "new"), WRONG)
def test_a_value_that_cannot_be_is_refused_with_file_and_key(key: str, old: str, new: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Profile.parse(with_value(key, old, new), origin="mine.toml")

    assert str(caught.value).startswith("mine.toml: ")
    assert key in str(caught.value)


def test_a_profile_needs_a_name() -> None:
    with pytest.raises(ConfigError, match=r"mine\.toml: name: must not be empty"):
        Profile.parse(PERU.replace('name = "peru"', 'name = ""'), origin="mine.toml")


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("timers.originator_retries", "2", "0"),
        ("timers.owed_backoff_s", "[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]", "[0.05]"),
        ("directory.bucket_per_minute", "600", "0"),
        ("limits.tin_min", "{ PEN = 1, USD = 1 }", "{ PEN = 1 }"),
        ("prefund.cap_minor", "{ PEN = 0, USD = 0 }", "{ PEN = 5, USD = 0 }"),
        ("directory.timestamps", '"local_z"', '"utc"'),
        ("cci.receiver", '"lenient"', '"off"'),
    ],
)
def test_what_may_be_changed_is_taken(key: str, old: str, new: str) -> None:
    assert Profile.parse(with_value(key, old, new)).name == "peru"
