"""Reconciliation files: what is written is read back, and a wrong file is told where and why."""

import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheme.movement import Movement
from scheme.wire.settlement_csv import (
    COLUMNS,
    LINE_CHARACTERS_MAX,
    WrongFile,
    amount,
    encode_rows,
    movement_row,
    read_reconciliation,
)

DOCS = Path(__file__).resolve().parents[4] / "docs" / "wire" / "settlement-files.md"


def a_movement(**others: object) -> Movement:
    values: dict[str, object] = {
        "instruction_id": "2611231200000002410000000001",
        "debtor_account": "00200110000000000142",
        "creditor_account": "00300110000000000243",
        "debtor_agent": "0002",
        "creditor_agent": "0003",
        "amount": 102_550,
        "fee": 80,
        "transfer_type": "320",
        "at": "20261123120000",
        "channel": "91",
        "trace": "000123",
        "process_code": "00",
    }
    return Movement(**(values | others))  # type: ignore[arg-type]


def a_row(**others: str) -> list[str]:
    row = dict(zip(COLUMNS, movement_row(a_movement(), sent=True, accepted=True), strict=True))
    return list((row | others).values())


def read(data: bytes) -> list[tuple[int, tuple[str, ...]]]:
    return list(read_reconciliation(io.BytesIO(data)))


def fault(data: bytes) -> WrongFile:
    with pytest.raises(WrongFile) as caught:
        read(data)
    return caught.value


def test_what_is_written_is_read_back() -> None:
    rows = [a_row(), a_row(fee_sign="+", state="rejected", receiver_account="", trace='a;"b"')]

    assert read(encode_rows([COLUMNS, *rows])) == [(2, tuple(rows[0])), (3, tuple(rows[1]))]


def test_columns_may_be_shuffled_marked_and_end_as_on_windows() -> None:
    row = a_row()
    text = encode_rows([COLUMNS[::-1], row[::-1]]).decode().replace("\n", "\r\n")

    assert read(b"\xef\xbb\xbf" + text.encode()) == [(2, tuple(row))]


def test_an_empty_file_is_refused_and_a_header_alone_is_none() -> None:
    assert fault(b"").rule == "it is empty: a header line is expected"
    assert read(encode_rows([COLUMNS])) == []


@pytest.mark.parametrize(
    ("header", "column", "rule"),
    [
        (",".join(COLUMNS), "", "semicolons"),
        ("\t".join(COLUMNS), "", "semicolons"),
        (";".join(COLUMNS[:-1]), "state", "missing"),
        (";".join((*COLUMNS, "colour")), "colour", "unknown"),
        (";".join((*COLUMNS, "state")), "state", "twice"),
        (";".join((*COLUMNS, "")), "(empty)", "unknown"),
    ],
)
def test_a_wrong_header_names_the_column(header: str, column: str, rule: str) -> None:
    found = fault(f"{header}\n".encode())

    assert (found.line, found.column) == (1, column)
    assert rule in found.rule


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("amount", "1025,50", "point"),
        ("amount", "1,025.50", "thousands"),
        ("amount", "25.5", "two digits"),
        ("amount", "-25.50", "digits, a point"),
        ("amount", "", "digits, a point"),
        ("amount", "99999999999999.00", "too large"),
        ("fee", "0.8", "two digits"),
        ("fee_sign", "D", "- or + expected"),
        ("state", "ok", "approved or rejected"),
        ("date_time", "2026-11-23", "yyyyMMddHHmmss"),
        ("origin_cci", "002-0011", "digits"),
        ("instruction_id", "", "empty"),
    ],
)
def test_a_wrong_value_names_line_column_and_rule(column: str, value: str, rule: str) -> None:
    found = fault(encode_rows([COLUMNS, a_row(), a_row(**{column: value})]))

    assert (found.line, found.column) == (3, column)
    assert rule in found.rule
    assert str(found).startswith(f"line 3: {column}: ")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"a;b\n", "13 values expected, 2 found"),
        (b"a" * (LINE_CHARACTERS_MAX + 1), "longer than"),
        ("Espa\u00f1a\n".encode("latin-1"), "not UTF-8: byte 5 is 0xf1"),
        (b"a\0b\n", "zero byte"),
        (b'"a;b\n', "not CSV"),
    ],
)
def test_a_wrong_line_is_named(line: bytes, rule: str) -> None:
    found = fault(encode_rows([COLUMNS]) + line)

    assert found.line == 2
    assert rule in found.rule


def test_utf_16_is_told_by_its_mark() -> None:
    assert "UTF-16" in fault(";".join(COLUMNS).encode("utf-16")).rule


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(WrongFile):
        read(encode_rows([COLUMNS]) + data)


@given(st.integers(min_value=-(10**17), max_value=10**17))
def test_an_amount_says_its_cents(minor: int) -> None:
    assert int(amount(minor).replace(".", "")) == minor
    assert amount(minor)[-3] == "."


def test_the_page_names_every_column() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []
