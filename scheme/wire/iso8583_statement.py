"""The last movements of an account, as DE62 tag 20 has them (docs/wire/iso8583.md).

    2601151016,-12500,RETIRO EN 0992;2601150900,50000,ABONO DE 0002

Youngest first: local minute, signed cents, and a text without any name or number of a person.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from scheme.masking import mask_text
from scheme.wire.iso8583_tlv import VALUE_CHARACTERS_MAX, printable

STATEMENT_TAG: Final = "20"
ROWS_MAX: Final = 10
TEXT_CHARACTERS_MAX: Final = 20
_MINOR_MAX: Final = 10**12 - 1
_BETWEEN: Final = ";"
_ROW: Final = re.compile(r"(\d{10}),(-?\d{1,12}),([^,;]*)", re.ASCII)
_RESERVED: Final = str.maketrans(",;", "  ")


class StatementRow(Struct, frozen=True, gc=False):
    """One movement.

    Attributes:
        at: ``YYMMDDhhmm`` in Lima.
        minor: below zero for a debit.
    """

    at: str
    minor: int
    text: str


def encode_statement(rows: Iterable[StatementRow]) -> str:
    """Return rows, youngest first, as the tag's value: as many of them as there may be."""
    told = ""
    for count, row in enumerate(rows):
        longer = f"{told}{_BETWEEN if told else ''}{_written(row)}"
        if count == ROWS_MAX or len(longer) > VALUE_CHARACTERS_MAX:
            break
        told = longer
    return told


def sound_rows(text: str) -> list[StatementRow]:
    """Return those rows of a value that have the form of one."""
    found = map(_ROW.fullmatch, text.split(_BETWEEN))
    return [StatementRow(one[1], int(one[2]), one[3].strip()) for one in found if one is not None]


def _written(row: StatementRow) -> str:
    minor = max(-_MINOR_MAX, min(row.minor, _MINOR_MAX))
    plain = mask_text(printable(row.text)).translate(_RESERVED)
    return f"{row.at},{minor},{plain[:TEXT_CHARACTERS_MAX].strip()}"
