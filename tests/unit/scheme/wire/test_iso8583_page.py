"""docs/wire/iso8583.md says what the tables say: a client can be written from it alone."""

import re
from pathlib import Path

import pytest

from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_framing import Framing
from scheme.wire.iso8583_mac import key_check_value, mac_of
from scheme.wire.iso8583_spec import ELEMENTS, MANDATORY, SPECS

PAGE = (Path(__file__).parents[4] / "docs" / "wire" / "iso8583.md").read_text(encoding="utf-8")
ECHO = {"t": "0800", "7": "0115130000", "11": "000001", "32": "0975", "70": "301"}


def _rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_every_element_with_its_format() -> None:
    told = {row[0]: row[2] for row in _rows("Elements") if row[0].isdigit()}
    assert told == {
        one.key: f"{one.kind} {one.length}"
        if one.prefix == "fixed"
        else f"{one.kind} ..{one.length} {one.prefix}"
        for one in ELEMENTS
    }


def test_the_page_has_what_every_message_must_have() -> None:
    told: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    types: list[str] = []
    for first, about, wanted, besides in (row[:4] for row in _rows("Messages")[1:]):
        types = re.findall(r"`(\d{4})`", first) or types
        for kind in types:
            subjects = re.findall(r"`(\d+)`", about) or list(MANDATORY[kind])
            elements = re.findall(r"\d+", wanted.partition(";")[0])
            for subject in subjects:
                told[kind, subject] = elements, re.findall(r"\d+", besides)
    assert told == {
        (kind, subject): (sorted(one.all_of, key=int), list(one.one_of))
        for kind, by_subject in MANDATORY.items()
        for subject, one in by_subject.items()
    }


@pytest.mark.parametrize("spec", SPECS)
def test_the_example_is_the_message_it_says(spec: str) -> None:
    shown = PAGE.split(f"\n    {spec}\n")[1].split("\n\n")[0]
    frame = Framing("binary-2").wrap(codec(spec).encode(ECHO))
    assert bytes.fromhex("".join(shown.split())) == frame


def test_the_codes_to_check_by_are_right() -> None:
    rows = {row[0].strip("`"): row for row in _rows("MAC") if len(row) == 5 and row[0]}
    for algorithm, data in (
        ("x9.19", b"Now is the time for all "),
        ("aes-cmac", bytes.fromhex("6BC1BEE22E409F96E93D7E117393172A")),
    ):
        _, key_text, _, code, check_value = rows[algorithm]
        key = bytes.fromhex(key_text.strip("`"))
        assert code.strip("`") == mac_of(algorithm, key, data).hex().upper()
        assert check_value.strip("`") == key_check_value(algorithm, key)
