"""The two CSV files of a batch: reconciliation and net report (docs/wire/settlement-files.md).

UTF-8, semicolons, a point before the cents, one header line. The clearing house writes them and a
participant's own are read back by the same rules.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from scheme.batch import Batch, BatchRow
from scheme.errors import ChasquiError
from scheme.movement import Movement

SEPARATOR: Final = ";"
COLUMNS: Final = (
    "origin_cci",
    "receiver_account",
    "receiver_entity",
    "amount",
    "fee",
    "fee_sign",
    "transfer_type",
    "date_time",
    "channel",
    "trace",
    "instruction_id",
    "process_code",
    "state",
)
"""Columns of a reconciliation file, in order."""
APPROVED: Final = "approved"
REJECTED: Final = "rejected"
SENT: Final = "-"
"""Sign of the fee of what the participant sent: it pays the fee."""
RECEIVED: Final = "+"
LINE_CHARACTERS_MAX: Final = 1000
"""Longest line read of somebody's file."""

NET_COLUMNS: Final = (
    "batch", "cycle", "ledger", "currency", "settlement_date", "participant", "name", "opening",
    "sent_accepted_count", "sent_accepted_value", "sent_rejected_count", "sent_rejected_value",
    "received_accepted_count", "received_accepted_value", "received_rejected_count",
    "received_rejected_value", "net", "funded_count", "funded_value", "drawn_count",
    "drawn_value", "returns", "new_opening", "fees_due",
)  # fmt: skip
"""Columns of a net report, in order."""

_AMOUNT: Final = re.compile(r"[0-9]{1,13}\.[0-9]{2}", re.ASCII)
_STAMP: Final = re.compile(r"[0-9]{14}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]{0,20}", re.ASCII)
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"


class WrongFile(ChasquiError):
    """A file breaks a rule of its format.

    Args:
        line: from 1; 0 for the file as a whole.
        column: name of the column, or empty.
        rule: what is expected, and what was found.
    """

    def __init__(self, line: int, column: str, rule: str) -> None:
        where = f"line {line}" if line else "the file"
        super().__init__(f"{where}: {column}: {rule}" if column else f"{where}: {rule}")
        self.line = line
        self.column = column
        self.rule = rule


def amount(minor: int) -> str:
    """Return minor units as ``-25.50``."""
    whole, cents = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}{whole}.{cents:02}"


def movement_row(movement: Movement, *, sent: bool, accepted: bool) -> tuple[str, ...]:
    """Return the line of a movement in the file of the one who sent or received it."""
    return (
        movement.debtor_account,
        movement.creditor_account,
        movement.creditor_agent,
        amount(movement.amount),
        amount(movement.fee),
        SENT if sent else RECEIVED,
        movement.transfer_type,
        movement.at,
        movement.channel,
        movement.trace,
        movement.instruction_id,
        movement.process_code,
        APPROVED if accepted else REJECTED,
    )


def net_row(batch: Batch, row: BatchRow) -> tuple[str, ...]:
    """Return a participant's line of a net report."""
    counted = (
        row.sent.accepted,
        row.sent.rejected,
        row.received.accepted,
        row.received.rejected,
    )
    return (
        batch.batch,
        batch.cycle,
        batch.ledger,
        batch.currency,
        batch.settlement_date,
        row.participant,
        row.name,
        amount(row.opening),
        *(text for one in counted for text in (str(one.count), amount(one.value))),
        amount(row.net),
        str(row.funded.count),
        amount(row.funded.value),
        str(row.drawn.count),
        amount(row.drawn.value),
        amount(row.returns),
        amount(row.new_opening),
        amount(row.fees_due),
    )


def encode_rows(rows: Iterable[Sequence[str]]) -> bytes:
    """Return lines of CSV."""
    text = io.StringIO()
    csv.writer(text, delimiter=SEPARATOR, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def read_reconciliation(file: BinaryIO) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield line number and values, in the order of ``COLUMNS``, of a reconciliation file.

    The columns may stand in any order, lines may end as on Windows, and the text may begin with a
    byte order mark.

    Raises:
        WrongFile: empty, not UTF-8, another separator, a missing or unknown column, a line with
            more or fewer values, or a value that breaks its column's rule.
    """
    reader = csv.reader(_lines(file), delimiter=SEPARATOR, strict=True)
    order: list[int] = []
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise WrongFile(reader.line_num, "", f"not CSV: {error}") from error
        if values is None:
            break
        if not order:
            order = _order(values)
        elif values:
            if len(values) != len(COLUMNS):
                rule = f"{len(COLUMNS)} values expected, {len(values)} found"
                raise WrongFile(reader.line_num, "", rule)
            row = tuple(values[index] for index in order)
            _check(reader.line_num, row)
            yield reader.line_num, row
    if not order:
        raise WrongFile(0, "", "it is empty: a header line is expected")


def _lines(file: BinaryIO) -> Iterator[str]:
    number = 0
    while raw := file.readline(LINE_CHARACTERS_MAX + 1):
        number += 1
        if number == 1 and raw.startswith(_UTF_16):
            raise WrongFile(1, "", "UTF-8 expected, this is UTF-16")
        if len(raw) > LINE_CHARACTERS_MAX:
            raise WrongFile(number, "", f"longer than {LINE_CHARACTERS_MAX} bytes")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            rule = f"not UTF-8: byte {error.start + 1} is {raw[error.start]:#04x}"
            raise WrongFile(number, "", rule) from error
        if "\0" in text:
            raise WrongFile(number, "", "it holds a zero byte: this is no text")
        yield text.removeprefix(_BOM) if number == 1 else text


def _order(header: Sequence[str]) -> list[int]:
    """Return where each of our columns stands in a file."""
    if len(header) == 1 and header[0].count(",") + header[0].count("\t") > 1:
        raise WrongFile(1, "", "values are separated by semicolons, not commas or tabs")
    names = [name.strip() for name in header]
    for name in names:
        if name not in COLUMNS:
            raise WrongFile(1, name or "(empty)", f"unknown column: {SEPARATOR.join(COLUMNS)}")
    for name in COLUMNS:
        if name not in names:
            raise WrongFile(1, name, "the column is missing")
        if names.count(name) > 1:
            raise WrongFile(1, name, "the column stands there twice")
    return [names.index(name) for name in COLUMNS]


def _check(line: int, row: Sequence[str]) -> None:
    """Check the values that decide how a line is compared."""
    for column, value in zip(COLUMNS, row, strict=True):
        match column:
            case "amount" | "fee":
                rule = _wrong_amount(value)
            case "fee_sign":
                rule = "" if value in {SENT, RECEIVED} else f"{SENT} or {RECEIVED} expected"
            case "state":
                known = value in {APPROVED, REJECTED}
                rule = "" if known else f"{APPROVED} or {REJECTED} expected"
            case "date_time":
                rule = "" if _STAMP.fullmatch(value) else "yyyyMMddHHmmss expected"
            case "origin_cci" | "receiver_account":
                rule = "" if _DIGITS.fullmatch(value) else "at most 20 digits expected"
            case "instruction_id":
                rule = "" if value else "it must not be empty"
            case _:
                rule = ""
        if rule:
            raise WrongFile(line, column, f"{value!r}: {rule}" if value else rule)


def _wrong_amount(value: str) -> str:
    if _AMOUNT.fullmatch(value):
        return ""
    if "," in value:
        return "the cents follow a point and nothing parts the thousands: 1025.50"
    if value.replace(".", "", 1).isdigit() and len(value.partition(".")[0]) > 13:
        return "too large: at most 13 digits before the point"
    return "digits, a point and two digits expected: 25.50"
