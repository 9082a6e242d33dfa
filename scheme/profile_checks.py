"""What a profile may not say: values that are possible each, but not here or not together."""

from collections.abc import Iterator
from datetime import date, time
from typing import Final

from scheme.cci import CciCheck
from scheme.profile import (
    ADDRESSING,
    ALIAS_CURRENCY,
    CHOOSE,
    CURRENCIES,
    CYCLES,
    FAILURE_RULES,
    OFFSETTING,
    PLAZAS,
    PRESENT_AS,
    RAILS,
    TIMESTAMPS,
    Profile,
)

_OFFICE_DIGITS: Final = 6
_WIRE_CODE_CHARACTERS: Final = 4
_BRANCH_CHARACTERS_MAX: Final = 35
_Fault = tuple[str, str]


def faults(profile: Profile) -> Iterator[_Fault]:
    """Return what is wrong with a profile: key and reason."""
    yield from _wrong_tables(profile)
    yield from _wrong_choices(profile)
    yield from _wrong_texts(profile)
    yield from _wrong_order(profile)


def _wrong_tables(profile: Profile) -> Iterator[_Fault]:
    for key, table in profile.amounts().items():
        for currency in table:
            if currency not in CURRENCIES:
                yield f"{key}.{currency}", f"one of {', '.join(CURRENCIES)}"
    lacking = profile.without(ALIAS_CURRENCY)
    if lacking is not None:
        yield lacking, f"no value for {ALIAS_CURRENCY}"


def _wrong_choices(profile: Profile) -> Iterator[_Fault]:
    cci, directory = profile.cci, profile.directory
    modes = tuple(CciCheck)
    chosen: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("cci.originator", cci.originator, modes),
        ("cci.clearing_house", cci.clearing_house, modes),
        ("cci.receiver", cci.receiver, modes),
        ("directory.timestamps", directory.timestamps, TIMESTAMPS),
        ("directory.present_as", directory.present_as, PRESENT_AS),
    )
    chosen += (
        ("rails.choose", profile.rails.choose, CHOOSE),
        ("lbtr.offsetting", profile.lbtr.offsetting, OFFSETTING),
        ("network.addressing", profile.network.addressing, ADDRESSING),
        *(("rails.order", rail, RAILS) for rail in profile.rails.order),
        *(("rails.hours", rail, RAILS) for rail in profile.rails.hours),
        *(("fees.plaza", plaza, PLAZAS) for plaza in profile.fees.plaza),
        *(("fees.rail", rail, RAILS) for rail in profile.fees.rail),
        *(("windows.cut_offs", cycle, CYCLES) for cycle in profile.windows.cut_offs),
        *(("settlement.on_failure", cycle, CYCLES) for cycle in profile.settlement.on_failure),
    )
    for cycle, rules in profile.settlement.on_failure.items():
        known = FAILURE_RULES[cycle.removesuffix("-dispute")] if cycle in CYCLES else rules
        chosen += tuple((f"settlement.on_failure.{cycle}", rule, known) for rule in rules)
    for key, value, choices in chosen:
        if value not in choices:
            yield key, f"one of {', '.join(choices)}"
    for plaza in PLAZAS:
        if plaza not in profile.fees.plaza:
            yield f"fees.plaza.{plaza}", "missing"
    for rail in RAILS:
        if profile.rails.order.count(rail) != 1:
            yield "rails.order", f"{rail} must stand in it once"


def _wrong_texts(profile: Profile) -> Iterator[_Fault]:
    codes = (("fees.code", profile.fees.code), ("fees.purpose", profile.fees.purpose))
    for key, value in codes:
        if len(value) != _WIRE_CODE_CHARACTERS or not _is_plain(value):
            yield key, f"{_WIRE_CODE_CHARACTERS} letters or digits"
    branch = profile.switch.branch_id
    if len(branch) > _BRANCH_CHARACTERS_MAX or not _is_plain(branch):
        yield "switch.branch_id", f"1 to {_BRANCH_CHARACTERS_MAX} letters or digits"
    if not profile.name:
        yield "name", "must not be empty"
    yield from _wrong_windows(profile)
    for rail, hours in profile.rails.hours.items():
        for name, text in (("opens", hours.opens), ("closes", hours.closes)):
            if not _is_time(text):
                yield f"rails.hours.{rail}.{name}", f"{text!r} is no HH:mm:ss"
    for office in profile.plazas.offices:
        if len(office) != _OFFICE_DIGITS or not (office.isascii() and office.isdigit()):
            yield f"plazas.offices.{office}", f"{_OFFICE_DIGITS} digits: entity and office"


def _wrong_windows(profile: Profile) -> Iterator[_Fault]:
    for cycle in CYCLES:
        by_currency = profile.windows.cut_offs.get(cycle, {})
        for currency in profile.prefund.minor:
            if not by_currency.get(currency):
                yield f"windows.cut_offs.{cycle}.{currency}", "at least one time of day is needed"
        for currency, times in by_currency.items():
            key = f"windows.cut_offs.{cycle}.{currency}"
            for text in times:
                if not _is_time(text):
                    yield key, f"{text!r} is no HH:mm:ss"
            if list(times) != sorted(set(times)):
                yield key, "the times must rise"
    for text in profile.windows.extra_holidays:
        try:
            date.fromisoformat(text)
        except ValueError:
            yield "windows.extra_holidays", f"{text!r} is no yyyy-MM-dd"


def _wrong_order(profile: Profile) -> Iterator[_Fault]:
    limits, prefund = profile.limits, profile.prefund
    pairs = (("tin", limits.tin_min, limits.tin_max), ("alias", limits.alias_min, limits.alias_max))
    for name, least, most in pairs:
        for currency, minor in least.items():
            if minor > most.get(currency, minor):
                yield f"limits.{name}_min.{currency}", f"above limits.{name}_max"
    if prefund.low_percent > prefund.high_percent:
        yield "prefund.low_percent", "above prefund.high_percent"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isalnum()


def _is_time(text: str) -> bool:
    try:
        time.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("HH:mm:ss") and text.isascii()
