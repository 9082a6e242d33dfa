"""DE62 tag 20: the last movements of an account."""

import re
from pathlib import Path

from scheme.wire.iso8583_statement import StatementRow, encode_statement, sound_rows

PAGE = (Path(__file__).parents[4] / "docs" / "wire" / "iso8583.md").read_text(encoding="utf-8")


def a_row(minor: int = -20_000, text: str = "RETIRO EN 0992") -> StatementRow:
    return StatementRow("2601150759", minor, text)


def test_rows_are_read_as_they_were_written() -> None:
    rows = [a_row(), a_row(5_000_000, "ABONO DE 0002"), a_row(0, "")]
    assert sound_rows(encode_statement(rows)) == rows
    assert encode_statement([]) == ""
    assert sound_rows("") == []


def test_the_example_of_the_page_is_one() -> None:
    (shown,) = re.findall(r"\n    (2601150759,.+)\n", PAGE)
    assert encode_statement(sound_rows(shown)) == shown
    assert [one.minor for one in sound_rows(shown)] == [-20_000, 150_000, -5_080]


def test_there_are_ten_rows_at_most_and_they_always_fit() -> None:
    longest = a_row(-(10**15), "X" * 50)
    told = encode_statement([longest] * 12)
    assert len(told) == 459
    assert [one.minor for one in sound_rows(told)] == [-(10**12 - 1)] * 10
    assert "at most 459 of the 994" in PAGE


def test_a_text_has_no_number_of_a_person_and_nothing_that_ends_a_row() -> None:
    told = encode_statement([a_row(text="A,B;C 97500100000000000101"), a_row(text="ABONO ÑAÑO")])
    assert [one.text for one in sound_rows(told)] == ["A B C 97************", "ABONO NANO"]


def test_what_has_not_the_form_of_a_row_is_left_out() -> None:
    text = "x;260115075,1,A;2601150759,+1,A;2601150759,1;2601150759,1,A,B;2601150759,7,YES;"
    assert sound_rows(text) == [a_row(7, "YES")]
