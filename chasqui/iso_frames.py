"""Any frame of ISO 8583, explained: what each byte is, and where and why it breaks."""

from collections.abc import Iterator, Sequence
from gettext import gettext as _
from typing import Any, Final

import click
from msgspec import Struct, structs

from chasqui.iso_rows import Row, rows_of
from chasqui.iso_walk import Stretch, walk
from chasqui.output import paragraph, table
from chasqui.told import told
from scheme.network import ISO8583_SPECS, Participant
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_mac import key_check_value
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv

NO_HEADER: Final = "none"
_BINARY, _ASCII = "binary-2", "ascii-4"
_HEADER_BYTES: Final = {_BINARY: 2, _ASCII: 4, NO_HEADER: 0}
_TPDU_BYTES: Final = 5
_MAC_KEYS: Final = ("64", "128")


class Framed(Struct, frozen=True, kw_only=True):
    """How a frame is written; None is guessed.

    Attributes:
        has_tpdu: whether five bytes stand before the message.
    """

    spec: str | None = None
    header: str | None = None
    has_tpdu: bool | None = None

    def but(self, other: "Framed") -> "Framed":
        """Return this one, with what the other one says instead."""
        said = {name: value for name, value in structs.asdict(other).items() if value is not None}
        return structs.replace(self, **said)


class Frame(Struct, frozen=True, kw_only=True):
    """A frame, explained.

    Attributes:
        spec, header, tpdu: as told or guessed; ``guessed`` names what was.
        rows: every stretch of bytes up to the fault, masked.
        field, rule, at: what is wrong, by name, rule and offset; empty of a sound frame.
        hints: what is probably wrong.
        covered: bytes that a MAC in it is computed over, if it has one.
    """

    spec: str
    header: str
    tpdu: str
    guessed: tuple[str, ...]
    message: str
    rows: tuple[Row, ...]
    field: str = ""
    rule: str = ""
    at: int | None = None
    hints: tuple[str, ...] = ()
    covered: int | None = None
    is_broken: bool = False


class Opened(Struct, frozen=True, kw_only=True):
    """A frame with what is inside it, unmasked; for our own use, never shown.

    Attributes:
        start: offset of the message.
        stretches: its parts, in order.
    """

    told: Framed
    start: int
    stretches: tuple[Stretch, ...]
    header_fault: str = ""

    @property
    def fields(self) -> Fields:
        """The elements that could be read."""
        return {one.key: one.value for one in self.stretches if one.key not in {"p", "1", ""} and not one.rule}

    @property
    def fault(self) -> Stretch | None:
        """The first stretch that breaks a rule."""
        return next((one for one in self.stretches if one.rule), None)
