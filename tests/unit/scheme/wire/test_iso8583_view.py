"""What is shown of an ISO 8583 message: enough to find a fault, and nobody's data."""

import json

import pytest

from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import SPECS
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv
from scheme.wire.iso8583_view import HIDDEN, masked_fields, masked_frame, masked_message

FIELDS = {
    "t": "0200",
    "2": "9709750000000101",
    "3": "010000",
    "4": "000000010000",
    "11": "000123",
    "41": "ATM00001",
    "43": "JR LOS ENSAYOS 900000101                ",
    "48": encode_tlv(
        {
            "01": "0975",
            "03": "900000202",
            "04": "SOCIA PRUEBA DEMO",
            "06": "00000101",
            "14": "PARA 900000303",
            "30": "48151623",
        }
    ),
    "52": "0412AC4DE1F00A97",
    "62": encode_tlv({"01": "2026112309090701904512345678", "04": "DE48.06: 8 digits"}),
    "102": "97500100000000010197",
}
PERSONAL = (
    *("9709750000000101", "900000101", "900000202", "900000303", "PRUEBA", "00000101"),
    *("48151623", "0412AC4DE1F00A97", "97500100000000010197"),
)


@pytest.mark.parametrize("spec", sorted(SPECS))
def test_a_message_of_any_variant_is_shown_without_personal_data(spec: str) -> None:
    body = codec(spec).encode(FIELDS)

    shown = masked_message(body)

    assert shown == masked_fields(FIELDS)
    text = json.dumps(shown)
    assert [one for one in PERSONAL if one in text] == []


def test_what_finds_a_fault_stays_readable() -> None:
    shown = masked_fields(FIELDS)

    assert (shown["t"], shown["3"], shown["4"], shown["11"]) == (
        "0200", "010000", "000000010000", "000123",
    )  # fmt: skip
    assert shown["48"]["01"] == "0975"
    assert shown["62"]["01"] == "2026112309090701904512345678"
    assert shown["62"]["04"] == "DE48.06: 8 digits"
    assert (shown["48"]["30"], shown["52"]) == (HIDDEN, HIDDEN)


@pytest.mark.parametrize("spec", sorted(SPECS))
def test_no_truncation_shows_more_than_the_whole(spec: str) -> None:
    body = codec(spec).encode(FIELDS)
    for length in range(len(body)):
        text = json.dumps(masked_message(body[:length]))
        assert not any(one in text for one in PERSONAL), length


def test_tags_that_cannot_be_told_apart_are_hidden_together() -> None:
    assert masked_fields({"t": "0200", "48": "SOCIA PRUEBA"})["48"] == HIDDEN


@pytest.mark.parametrize("body", [b"", b"SOCIA PRUEBA 900000101", b"\xff" * 40])
def test_of_what_is_no_message_nothing_is_shown(body: bytes) -> None:
    assert masked_message(body) is None


@pytest.mark.parametrize("spec", sorted(SPECS))
def test_a_frame_that_is_shown_is_as_long_and_reads_as_before_without_personal_data(
    spec: str,
) -> None:
    body = codec(spec).encode(FIELDS)

    shown = masked_frame(body)

    assert len(shown) == len(body)
    read = codec(spec).decode(shown)
    assert not _tells(shown)
    hidden = {key for key in FIELDS if read[key] != FIELDS[key]}
    assert hidden == {"2", "43", "48", "52", "102"}
    tags = decode_tlv(read["48"], 48)
    assert tags == decode_tlv(FIELDS["48"], 48) | {
        "03": "0" * 9,
        "04": "0" * 17,
        "06": "0" * 8,
        "14": "0" * 14,
        "30": "0" * 8,
    }


@pytest.mark.parametrize("spec", sorted(SPECS))
def test_no_cut_frame_is_shown_with_more_than_the_whole(spec: str) -> None:
    body = codec(spec).encode(FIELDS)
    for length in range(len(body)):
        shown = masked_frame(body[:length])
        assert len(shown) == length
        assert not _tells(shown), length


def test_of_what_cannot_be_told_apart_only_the_length_is_shown() -> None:
    assert masked_frame(b"SOCIA PRUEBA 900000101") == b"0" * 22
    body = codec("ascii-1987").encode({"t": "0200", "48": "SOCIA PRUEBA"})
    assert codec("ascii-1987").decode(masked_frame(body))["48"] == "0" * 12


def _tells(shown: bytes) -> bool:
    told = (shown, shown.hex().encode())
    return any(one.encode() in text for one in PERSONAL for text in told)
