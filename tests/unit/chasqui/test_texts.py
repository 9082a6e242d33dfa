"""Small things that people read or type."""

import pytest

from chasqui.cli import hoist
from chasqui.meanings import advice, meaning
from chasqui.output import amount_text, local_second, local_time, milliseconds, passed_ms, span
from chasqui.payer import cci_of, phone_of
from chasqui.plan import to_toml
from scheme.reasons import ReasonCode


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")


@pytest.mark.parametrize("reason", list(ReasonCode))
def test_every_reason_has_a_meaning_and_an_advice(reason: ReasonCode) -> None:
    assert meaning(reason) not in {"", reason}
    assert advice(reason)


def test_a_code_that_is_none_of_ours_stands_for_itself() -> None:
    assert (meaning("ZZ99"), advice("ZZ99"), meaning(None)) == ("ZZ99", "", "")


@pytest.mark.parametrize(
    ("typed", "phone"),
    [
        ("900000101", "900000101"),
        ("900 000 101", "900000101"),
        ("+51 900-000-101", "900000101"),
        ("0051900000101", "900000101"),
        ("519000001", None),
        ("800000101", None),
        ("90000010", None),
        ("9000001011", None),
        ("٩٠٠٠٠٠١٠١", None),
        ("", None),
    ],
)
def test_a_phone_is_read_as_people_type_it(typed: str, phone: str | None) -> None:
    assert phone_of(typed) == phone


def test_a_cci_is_read_as_people_type_it() -> None:
    assert cci_of("970-001-100200300401-42") == "97000110020030040142"
    assert cci_of("970") is None


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (2550, "PEN", "S/ 25.50"),
        (5, "USD", "US$ 0.05"),
        (-100_000_000, "PEN", "-S/ 1,000,000.00"),
        (None, "PEN", "-"),
    ],
)
def test_amounts_are_written_as_in_peru(minor: int | None, currency: str, text: str) -> None:
    assert amount_text(minor, currency) == text


def test_times_are_limas() -> None:
    assert local_time("2026-01-15T03:04:05.678+00:00") == "22:04:05.678"
    assert local_second("2026-01-15T03:04:05Z") == "01-14 22:04:05"
    assert (local_time(None), local_time("soon"), local_second("soon")) == ("-", "soon", "soon")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, "-"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min")),
        *((9000, "2.5 h"), (172_800, "2.0 d"), (94_000_000, "1,088.0 d")),
    ],
)
def test_ages_are_said_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_what_passed_between_two_instants_is_never_negative() -> None:
    assert passed_ms("2026-01-15T03:04:05.678+00:00", "2026-01-15T03:04:05.690+00:00") == 12.0
    assert passed_ms("2026-01-15T03:04:05.678+00:00", "2026-01-15T03:04:05+00:00") == 0.0
    assert passed_ms(None, "soon") == passed_ms("2026-01-15T03:04:05", "soon") == 0.0


def test_milliseconds_have_one_decimal() -> None:
    assert (milliseconds(1234.56), milliseconds(None)) == ("1,234.6 ms", "-")


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        (["send", "--lang", "es", "--json"], ["--lang", "es", "send", "--json"]),
        (["send", "--home=x", "a"], ["--home=x", "send", "a"]),
        (["show", "--", "--lang", "es"], ["show", "--", "--lang", "es"]),
        (["show", "--home"], ["--home", "show"]),
    ],
)
def test_global_options_may_stand_anywhere(typed: list[str], parsed: list[str]) -> None:
    assert hoist(typed) == parsed


def test_settings_of_a_child_are_toml() -> None:
    text = to_toml({"name": 'say "hola" ñ\\', "port": 7080, "wire_log": True, "latency_ms": 0.5})
    assert text == 'name = "say \\"hola\\" ñ\\\\"\nport = 7080\nwire_log = true\nlatency_ms = 0.5\n'
