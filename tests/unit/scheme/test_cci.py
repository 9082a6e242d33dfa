"""Check digits, placeholders and the three ways of looking at a CCI."""

import random

import pytest

from scheme.cci import (
    CciCheck,
    check_digits,
    clean,
    compose,
    fault,
    has_valid_check_digits,
    is_placeholder,
    is_well_formed,
    participant_of,
    placeholder,
)

SOUND = [
    "97000110020030040142",
    "97100220030040050213",
    "97200130040050060325",
    "98700099988877766670",
    "98912300000000000050",
    "81300121110200937057",
    "05830000010125300256",
]
# As printed in documentation, with the digits that would be right.
PRINTED_WRONG = [
    ("00219313693128502612", "14"),
    ("01181400020887813712", "18"),
    ("05460912345678901212", "38"),
    ("00219310123456714713", "17"),
    ("81300121110200936970", "59"),
    ("81300121110200938070", "56"),
]


def some_ccis(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    return [
        compose(
            f"{rng.randrange(1000):03}", f"{rng.randrange(1000):03}", f"{rng.randrange(10**12):012}"
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("cci", SOUND)
def test_sound_numbers_pass(cci: str) -> None:
    assert check_digits(cci[:18]) == cci[18:]
    assert compose(cci[:3], cci[3:6], cci[6:18]) == cci
    assert all(fault(cci, mode) is None for mode in CciCheck)


@pytest.mark.parametrize(("cci", "right"), PRINTED_WRONG)
def test_documentation_examples_fail_strictly_and_pass_leniently(cci: str, right: str) -> None:
    assert check_digits(cci[:18]) == right
    assert fault(cci, CciCheck.STRICT) is not None
    assert fault(cci, CciCheck.LENIENT) is None
    assert fault(cci, CciCheck.OFF) is None


@pytest.mark.parametrize(
    "cci", ["", "9" * 19, "9" * 21, "9700011002003004014x", "٩" * 20, " " * 20]
)
def test_what_is_not_20_digits_is_no_cci(cci: str) -> None:
    assert not is_well_formed(cci)
    assert not has_valid_check_digits(cci)
    assert not is_placeholder(cci)
    assert fault(cci, CciCheck.STRICT) == fault(cci, CciCheck.LENIENT) == "20 digits"
    assert fault(cci, CciCheck.OFF) is None


def test_every_composed_number_passes() -> None:
    assert all(has_valid_check_digits(cci) for cci in some_ccis(1, 2000))


def test_changing_any_digit_breaks_a_check_digit() -> None:
    for cci in some_ccis(2, 20):
        for at in range(20):
            for digit in set("0123456789") - {cci[at]}:
                assert not has_valid_check_digits(cci[:at] + digit + cci[at + 1 :])


def test_swapping_neighbours_breaks_it_unless_they_are_0_and_9() -> None:
    for cci in some_ccis(3, 200):
        for at in (*range(5), *range(6, 17)):
            one, two = cci[at], cci[at + 1]
            if one == two:
                continue
            swapped = cci[:at] + two + one + cci[at + 2 :]
            assert has_valid_check_digits(swapped) == ({one, two} == {"0", "9"})


@pytest.mark.parametrize("entity", ["971", "0971"])
def test_a_placeholder_is_the_entity_and_seventeen_nines(entity: str) -> None:
    assert placeholder(entity) == "97199999999999999999"


def test_a_placeholder_is_known_and_never_has_valid_check_digits() -> None:
    for code in range(1000):
        cci = placeholder(f"{code:03}")
        assert is_placeholder(cci)
        assert fault(cci, CciCheck.STRICT) is not None
        assert fault(cci, CciCheck.LENIENT) is None


def test_an_account_is_no_placeholder() -> None:
    assert not any(is_placeholder(cci) for cci in SOUND)


@pytest.mark.parametrize("entity", ["97", "1971", "97a", "09710", "٩٧١"])
def test_a_placeholder_needs_an_entity_code(entity: str) -> None:
    with pytest.raises(AssertionError):
        placeholder(entity)


def test_the_participant_is_the_entity_behind_a_zero() -> None:
    assert participant_of("97000110020030040142") == "0970"
    assert participant_of("00219313693128502614") == "0002"


def test_leading_zeros_survive() -> None:
    assert compose("002", "193", "136931285026").startswith("002193")


@pytest.mark.parametrize("typed", ["970-001-100200300401-42", " 970 001 1002 0030 0401\t42 "])
def test_what_people_type_is_cleaned(typed: str) -> None:
    assert clean(typed) == "97000110020030040142"


def test_blanks_are_not_cleaned_on_the_wire() -> None:
    assert fault("970 001 100200300401 42", CciCheck.STRICT) == "20 digits"
