import pytest

from directory.core.alias import asked_phone, registered_phone


@pytest.mark.parametrize(
    ("written", "phone"),
    [
        ("+51900000202", "900000202"),
        ("+51900000299", "900000299"),
        ("+51999999999", "999999999"),
        ("+51 900 000 299", "900000299"),
        ("900000299", "900000299"),
        ("900 000 299", "900000299"),
        ("9-0000-0299", "900000299"),
        ("0051900000299", "900000299"),
    ],
)
def test_a_lookup_reads_phones_as_people_write_them(written: str, phone: str) -> None:
    assert asked_phone(written) == phone


@pytest.mark.parametrize(
    "written",
    ["", "+51", "+51800000202", "+5190000020", "+519000002022", "+519000002a2", "+5190000020²",
     "+1900000202", "900000202\n", "\uff1900000202"],
)  # fmt: skip
def test_what_is_no_mobile_of_peru_is_no_phone(written: str) -> None:
    assert asked_phone(written) is None
    assert registered_phone(written) is None


@pytest.mark.parametrize("written", ["900000202", "+51 900000202", "0051900000202"])
def test_a_registration_takes_the_wire_s_own_spelling_only(written: str) -> None:
    assert registered_phone(written) is None
    assert registered_phone("+51900000202") == "900000202"
