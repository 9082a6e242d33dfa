"""Frames as ``iso decode`` explains them: forms guessed, values masked, faults named."""

import json
from pathlib import Path

import iso8583
import msgspec
import pytest

from chasqui.exits import Misused
from chasqui.iso_frames import Framed, explained, framed_as, near_miss, print_frame
from chasqui.iso_input import bytes_of
from chasqui.iso_meanings import network_name, operation_name, response_meaning
from chasqui.iso_rows import NAMES, TYPES
from scheme.network import ISO8583_HEADERS, ISO8583_SPECS, Iso8583, Participant
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import (
    ELEMENTS,
    MESSAGE_TYPES,
    NETWORK_FUNCTIONS,
    TRANSACTIONS,
    pyiso8583_spec,
)
from scheme.wire.iso8583_tlv import encode_tlv
from switch.core.iso8583_codes import REASONS, UNDECIDED, response_code_of

CARD, PHONE, CODE, PIN = "9709750000000101", "900000202", "48151623", "0412AC4DE1F00A97"
ACCOUNT, NAME = "97500100000000010197", "SOCIA PRUEBA DEMO"
FIELDS = {
    "t": "0200",
    "2": CARD,
    "3": "010000",
    "4": "000000010000",
    "7": "1123150405",
    "11": "000123",
    "12": "100405",
    "13": "1123",
    "32": "0991",
    "37": "632710000123",
    "41": "ATM00001",
    "48": encode_tlv({"01": "0975", "04": NAME, "30": CODE, "31": PHONE}),
    "49": "604",
    "52": PIN,
    "102": ACCOUNT,
    "128": "0011223344556677",
}
TPDU = bytes.fromhex("6000000000")
SECRETS = (CODE, PIN)
PERSONAL = (CARD, PHONE, ACCOUNT, "PRUEBA", *SECRETS)


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")


def a_message(spec: str = "ascii-1987", fields: dict[str, str] | None = None) -> bytes:
    raw, _parts = iso8583.encode(dict(fields or FIELDS), pyiso8583_spec(spec))
    return bytes(raw)


def a_frame(spec: str = "ascii-1987", header: str = "binary-2", tpdu: bytes = b"") -> bytes:
    body = tpdu + a_message(spec)
    length = len(body).to_bytes(2, "big") if header == "binary-2" else f"{len(body):04}".encode()
    return length + body


def value_of(frame: object, element: str) -> str:
    rows = msgspec.to_builtins(frame)["rows"]
    return str(next(row["value"] for row in rows if row["element"] == element))


@pytest.mark.parametrize("tpdu", [b"", TPDU], ids=["bare", "tpdu"])
@pytest.mark.parametrize("header", ISO8583_HEADERS)
@pytest.mark.parametrize("spec", ISO8583_SPECS)
def test_the_form_of_a_sound_frame_is_found(spec: str, header: str, tpdu: bytes) -> None:
    frame = explained(a_frame(spec, header, tpdu), Framed())

    assert not frame.is_broken
    assert (frame.spec, frame.header, frame.tpdu) == (spec, header, tpdu.hex().upper())
    assert frame.guessed == ("spec", "header", "tpdu")
    assert value_of(frame, "DE11") == "000123"


@pytest.mark.parametrize("spec", ISO8583_SPECS)
def test_a_message_alone_is_explained_too(spec: str) -> None:
    frame = explained(a_message(spec), Framed())

    assert (frame.header, frame.message, frame.is_broken) == ("none", "0200", False)


@pytest.mark.parametrize("spec", ISO8583_SPECS)
def test_nothing_that_identifies_a_person_or_is_secret_is_shown(spec: str) -> None:
    raw = a_message(spec)
    shown = json.dumps(msgspec.to_builtins(explained(raw, Framed())))

    for text in PERSONAL:
        assert text not in shown
        assert text.encode().hex().upper() not in shown
    assert value_of(explained(raw, Framed()), "DE48.30") == "****"
    assert value_of(explained(raw, Framed()), "DE52") == "****"


@pytest.mark.parametrize("spec", ISO8583_SPECS)
def test_no_truncation_shows_what_a_whole_frame_hides(spec: str) -> None:
    raw = a_message(spec)
    for length in range(1, len(raw)):
        frame = explained(raw[:length], Framed(spec=spec, header="none", has_tpdu=False))
        assert frame.is_broken
        assert frame.rule
        shown = json.dumps(msgspec.to_builtins(frame))
        assert not any(text in shown for text in PERSONAL), length


def test_a_broken_frame_is_shown_up_to_the_fault() -> None:
    raw = a_message()
    at = raw.index(b"604")
    frame = explained(raw[:at] + b"6x4" + raw[at + 3 :], Framed())

    assert (frame.field, frame.at) == ("DE49", at)
    elements = [row.element for row in frame.rows]
    assert elements.index("DE41") < elements.index("DE49")


@pytest.mark.parametrize(
    ("spoilt", "hint"),
    [
        (lambda frame: (len(frame)).to_bytes(2, "big") + frame[2:], "counts itself"),
        (lambda frame: (len(frame) - 7).to_bytes(2, "big") + frame[2:], "does not count the TPDU"),
        (lambda frame: frame[:60], "is missing"),
        (lambda frame: frame + frame, "More than one frame"),
    ],
)
def test_a_wrong_length_header_is_explained(spoilt: object, hint: str) -> None:
    assert callable(spoilt)
    told = Framed(spec="ascii-1987", header="binary-2", has_tpdu=True)

    frame = explained(spoilt(a_frame(tpdu=TPDU)), told)

    assert (frame.field, frame.is_broken) == ("length", True)
    assert any(hint in one for one in frame.hints)


def test_the_wrong_variant_is_named() -> None:
    frame = explained(a_frame("packed-1987"), Framed(spec="ascii-1987", header="binary-2"))

    assert frame.is_broken
    assert any("packed-1987" in hint for hint in frame.hints)


def test_a_tag_that_is_cut_short_breaks_the_frame() -> None:
    raw = a_message(fields=FIELDS | {"48": "0100"})

    frame = explained(raw, Framed())

    assert frame.is_broken
    assert frame.field.startswith("DE48")


def test_a_participants_form_is_taken_from_the_fleet() -> None:
    spoken = Iso8583(spec="packed-1987", header="ascii-4", tpdu="6000000000")
    one = Participant(code="0976", name="COOPAC", kind="coop", lane="iso8583", iso8583=spoken)

    assert framed_as(one) == Framed(spec="packed-1987", header="ascii-4", has_tpdu=True)
    assert framed_as(one).but(Framed(header="none")).header == "none"
    assert explained(a_frame("packed-1987", "ascii-4", TPDU), framed_as(one)).guessed == ()


def test_what_keeps_an_answer_from_its_request_is_named() -> None:
    answer = a_message(fields={"t": "0210", "3": "010000", "11": "000124", "32": "0991"})

    line = near_miss(answer, FIELDS, Framed())

    assert "DE11 is 000124, and 000123 in the request" in line
    assert "DE37 is -" in line
    assert "DE32" not in line


def test_any_bytes_are_explained_without_an_exception() -> None:
    raw = a_frame()
    for at in range(len(raw)):
        for other in (0x00, 0x39, 0xFF):
            frame = explained(raw[:at] + bytes([other]) + raw[at + 1 :], Framed())
            assert frame.rows


def test_a_frame_is_printed_with_its_fault(capsys: pytest.CaptureFixture[str]) -> None:
    print_frame("Frame", explained(a_message()[:40], Framed(header="none")))

    out = capsys.readouterr().out
    assert out.startswith("Frame  0200  request")
    assert "guessed: spec, tpdu" in out


@pytest.mark.parametrize(
    "text", ["30 32 30 30", "0x30:32:30:30", "30323030\n", "30-32-30-30", "30,32;30 30"]
)
def test_hex_is_read_as_people_copy_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "frame"
    file.write_text(text)

    assert bytes_of(text) == bytes_of(str(file)) == b"0200"


def test_a_file_may_hold_the_bytes_themselves(tmp_path: Path) -> None:
    file = tmp_path / "frame.bin"
    file.write_bytes(b"\x00\xe80200")

    assert bytes_of(str(file)) == b"\x00\xe80200"


@pytest.mark.parametrize("text", ["", "303", "nothing-here", "00" * 5000, "a\0b"])
def test_what_is_no_frame_is_refused(text: str) -> None:
    with pytest.raises(Misused):
        bytes_of(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3032303", "7 hex digits: one is missing"),
        ("30 32 3O 30", "'O' at character 8 is no hex digit"),
        ("00" * 5000, "5000 bytes: a frame has at most"),
    ],
)
def test_what_keeps_hex_from_being_read_is_told(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "frame.hex"
    file.write_text(text)

    for given in (text, str(file)):
        with pytest.raises(Misused) as refused:
            bytes_of(given)
        assert said in refused.value.message


def test_text_that_is_a_sound_frame_is_one(tmp_path: Path) -> None:
    file = tmp_path / "frame.txt"
    body = a_message(fields={"t": "0200", "3": "400000", "37": "RRNTEST00001"})
    file.write_bytes(body)

    assert bytes_of(str(file)) == body


def test_amounts_in_the_rule_of_an_answer_are_shown_as_money(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rule = encode_tlv({"04": "DE4: the code is for exactly 20000"})
    raw = a_message(fields={"t": "0210", "3": "010000", "39": "61", "49": "604", "62": rule})

    print_frame("Answer", explained(raw, Framed(header="none", has_tpdu=False)))

    assert "exactly S/ 200.00" in " ".join(capsys.readouterr().out.split())


def test_every_element_and_every_code_has_its_words() -> None:
    assert [one.key for one in ELEMENTS if one.key not in NAMES] == []
    assert [one for one in MESSAGE_TYPES if one not in TYPES] == []
    assert [one for one in TRANSACTIONS if not operation_name(one)] == []
    assert [one for one in NETWORK_FUNCTIONS if not network_name(one)] == []
    codes = {response_code_of(reason) for reason in ReasonCode} | UNDECIDED | set(REASONS)
    assert [one for one in sorted(codes) if not response_meaning(one)] == []
