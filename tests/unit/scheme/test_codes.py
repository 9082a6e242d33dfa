import pytest

from scheme import codes
from scheme.codes import document_fault
from scheme.reasons import ReasonCode


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("2", "00000101"),
        ("3", "123456789012"),
        ("4", "AB123456"),
        ("4", "ab1234567890"),
        ("5", "000123456"),
        ("5", "A00012345678"),
        ("6", "20123456789"),
    ],
)
def test_a_document_of_its_length_passes(code: str, number: str) -> None:
    assert document_fault(code, number) is None


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("1", "1"),
        ("1", "123456789012"),
        ("2", "1234567"),
        ("2", "123456789"),
        ("2", "1234567A"),
        ("2", "1234567٣"),
        ("2", None),
        ("3", "12345678901"),
        ("4", "AB12345"),
        ("4", "AB-12345"),
        ("4", "AB12345678901"),
        ("4", "ÑB123456"),
        ("5", "00012345"),
        ("6", "2012345678"),
        ("6", "201234567890"),
        ("7", "00000101"),
        ("0", "00000101"),
    ],
)
def test_a_document_beside_its_length_or_characters_is_invalid(
    code: str, number: str | None
) -> None:
    assert document_fault(code, number) is ReasonCode.BE16


@pytest.mark.parametrize("code", ["", None])
def test_a_document_without_a_type_is_a_format_error(code: str | None) -> None:
    assert document_fault(code, "00000101") is ReasonCode.FF02


def test_codes_compare_as_the_text_on_the_wire() -> None:
    assert "0901" in codes.ALIAS_DIRECTORIES
    assert codes.Channel("52") is codes.Channel.ALIAS
    assert codes.CURRENCY_NAMES[codes.Currency.PEN] == "PEN"
    assert codes.CURRENCY_NUMBERS["USD"] == codes.Currency.USD


def test_every_channel_and_document_has_a_meaning() -> None:
    assert set(codes.CHANNEL_MEANINGS) == set(codes.Channel)
    assert set(codes.DOCUMENT_MEANINGS) == set(codes.DocumentType)
