"""Any frame of ISO 8583, explained: what each byte is, and where and why it breaks."""

from collections.abc import Iterator
from gettext import gettext as _
from typing import Final

import click
from msgspec import Struct, structs

from chasqui.iso_meanings import response_meaning
from chasqui.iso_rows import (
    BITMAP,
    LEFT_OVER,
    RULE,
    SECOND_BITMAP,
    TYPES,
    Row,
    hex_text,
    rows_of,
)
from chasqui.output import paragraph, table
from chasqui.told import told
from scheme.network import ISO8583_SPECS, Participant
from scheme.wire.iso8583_codec import IsoFault, Part, codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv

NO_HEADER: Final = "none"
_BINARY, _ASCII = "binary-2", "ascii-4"
_HEADER_BYTES: Final = {_BINARY: 2, _ASCII: 4, NO_HEADER: 0}
_TPDU_BYTES: Final = 5
_NO_ELEMENTS: Final = frozenset({BITMAP, SECOND_BITMAP, LEFT_OVER})


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
    """A frame, explained and masked.

    Attributes:
        spec, header: as told or guessed; ``guessed`` names what was.
        tpdu: in hex, or empty.
        message: the message type, as far as it could be read.
        response_code: DE39; instruction_id: tag 01 of DE62; both empty if they are not there.
        rows: every part of bytes, up to the fault.
        field, rule, at: what is wrong, by name, rule and offset; empty of a sound frame.
        hints: what is probably wrong.
    """

    spec: str
    header: str
    tpdu: str
    guessed: tuple[str, ...]
    message: str
    response_code: str
    instruction_id: str
    rows: tuple[Row, ...]
    is_broken: bool = False
    field: str = ""
    rule: str = ""
    at: int | None = None
    hints: tuple[str, ...] = ()


class _Opened(Struct, frozen=True, kw_only=True):
    """A frame taken apart as one way of writing it says; unmasked."""

    spec: str
    header: str
    has_tpdu: bool
    raw: bytes
    parts: tuple[Part, ...]
    header_rule: str = ""

    @property
    def start(self) -> int:
        return _HEADER_BYTES[self.header] + (_TPDU_BYTES if self.has_tpdu else 0)

    @property
    def tpdu(self) -> str:
        return (
            self.raw[self.start - _TPDU_BYTES : self.start].hex().upper() if self.has_tpdu else ""
        )

    @property
    def form(self) -> tuple[str, str, bool]:
        return (self.spec, self.header, self.has_tpdu)

    @property
    def fault(self) -> Part | None:
        return next((one for one in self.parts if one.rule), None)

    @property
    def fields(self) -> Fields:
        return {
            one.key: one.value for one in self.parts if one.key not in _NO_ELEMENTS and not one.rule
        }

    @property
    def is_sound(self) -> bool:
        return not self.header_rule and self.fault is None

    @property
    def likelihood(self) -> tuple[bool, bool, int, int]:
        """Order of guesses: a whole one, then one whose header fits, then the one that reads on."""
        # The walk goes on behind a fault: what was misread from there on speaks for nothing.
        read = next((n for n, one in enumerate(self.parts) if one.rule), len(self.parts))
        at = self.fault.at if self.fault else len(self.raw)
        return (self.is_sound, not self.header_rule and read > 0, read, at)


def framed_as(one: Participant, *, is_framed: bool = True) -> Framed:
    """Return how a participant writes its frames, or only its messages."""
    spoken = one.iso8583
    return Framed(
        spec=spoken.spec,
        header=spoken.header if is_framed else NO_HEADER,
        has_tpdu=bool(spoken.tpdu) and is_framed,
    )


def message_of(raw: bytes, frame: Frame) -> bytes:
    """Return the message inside a frame, without header and TPDU."""
    return raw[_HEADER_BYTES[frame.header] + len(frame.tpdu) // 2 :]


def explained(raw: bytes, framed: Framed) -> Frame:
    """Return a frame explained; what is not told of its form is guessed."""
    opened = max(_candidates(raw, framed), key=lambda one: one.likelihood)
    fields = opened.fields
    rows = [*_framing_rows(opened)]
    for part in opened.parts:
        rows += rows_of(part, raw[opened.start :], opened.start, fields)
    tags, tag_fault = _tags(fields)
    field, rule, at = _first_fault(opened, tag_fault)
    return Frame(
        spec=opened.spec,
        header=opened.header,
        tpdu=opened.tpdu,
        guessed=tuple(_guessed(framed)),
        message=fields.get("t", ""),
        response_code=fields.get("39", ""),
        instruction_id=tags.get("01", ""),
        rows=tuple(rows),
        is_broken=bool(rule),
        field=field,
        rule=rule,
        at=at,
        hints=tuple(_hints(opened, framed)) if rule else (),
    )


def _first_fault(opened: _Opened, of_tag: IsoFault | None) -> tuple[str, str, int | None]:
    """Return field, rule and offset of what is wrong; the header comes before what is behind it."""
    if opened.header_rule:
        return "length", opened.header_rule, 0
    fault = opened.fault
    if fault is not None:
        return fault.field, fault.rule, opened.start + fault.at
    return (of_tag.field, of_tag.rule, None) if of_tag is not None else ("", "", None)


def _candidates(raw: bytes, framed: Framed) -> Iterator[_Opened]:
    specs = (framed.spec,) if framed.spec else ISO8583_SPECS
    headers = (framed.header,) if framed.header else (_BINARY, _ASCII, NO_HEADER)
    tpdus = (framed.has_tpdu,) if framed.has_tpdu is not None else (False, True)
    for spec in specs:
        for header in headers:
            for has_tpdu in tpdus:
                yield _opened(raw, spec, header, has_tpdu=has_tpdu)


def _opened(raw: bytes, spec: str, header: str, *, has_tpdu: bool) -> _Opened:
    start = _HEADER_BYTES[header] + (_TPDU_BYTES if has_tpdu else 0)
    parts = tuple(codec(spec).walk(raw[start:]))
    return _Opened(
        spec=spec,
        header=header,
        has_tpdu=has_tpdu,
        raw=raw,
        parts=parts,
        header_rule=_header_rule(raw, header),
    )


def _header_rule(raw: bytes, header: str) -> str:
    """Return what is wrong with the length header, or nothing."""
    if header == NO_HEADER:
        return ""
    follows = len(raw) - _HEADER_BYTES[header]
    announced = _announced(raw, header)
    if announced is None:
        return "four ASCII digits" if header == _ASCII else "two bytes"
    if announced == follows:
        return ""
    return f"it announces {announced} bytes, and {follows} follow"


def _announced(raw: bytes, header: str) -> int | None:
    head = raw[: _HEADER_BYTES[header]]
    if len(head) < _HEADER_BYTES[header]:
        return None
    if header == _BINARY:
        return int.from_bytes(head, "big")
    return int(head) if head.isdigit() else None


def _framing_rows(opened: _Opened) -> Iterator[Row]:
    size = _HEADER_BYTES[opened.header]
    if size:
        head = opened.raw[:size]
        announced = _announced(opened.raw, opened.header)
        yield Row(
            at=0,
            element=_("header"),
            name=_("Length"),
            raw=hex_text(head),
            value="" if announced is None else str(announced),
            note=told(opened.header_rule),
        )
    if opened.has_tpdu:
        tpdu = opened.raw[size : size + _TPDU_BYTES]
        yield Row(
            at=size,
            element="TPDU",
            name=_("Addresses"),
            raw=hex_text(tpdu),
            value=tpdu.hex().upper(),
        )


def _guessed(framed: Framed) -> Iterator[str]:
    for name, value in structs.asdict(framed).items():
        if value is None:
            yield {"has_tpdu": "tpdu"}.get(name, name)


def _tags(fields: Fields) -> tuple[dict[str, str], IsoFault | None]:
    """Return DE62 by tag, and the first fault inside DE48 or DE62."""
    found: dict[str, str] = {}
    for key in ("48", "62"):
        try:
            found = decode_tlv(fields.get(key, ""), int(key))
        except IsoFault as fault:
            return {}, fault
    return found, None


def _hints(opened: _Opened, framed: Framed) -> Iterator[str]:
    """Yield what is probably wrong with a broken frame."""
    if opened.header_rule:
        yield from _header_hints(opened)
    for other in _candidates(opened.raw, Framed()):
        if other.is_sound and other.form != opened.form:
            line = _("It reads well as {form}: is that what both sides agreed on?")
            yield line.format(form=_form(*other.form))
            return
    if opened.fault is not None and not opened.header_rule:
        yield from _fault_hints(opened.fault, framed)


def _header_hints(opened: _Opened) -> Iterator[str]:
    size, length = _HEADER_BYTES[opened.header], len(opened.raw)
    announced = _announced(opened.raw, opened.header)
    if announced is None:
        return
    if announced == length:
        yield _("The header counts itself; it must count what follows it.")
    elif announced + _TPDU_BYTES + size == length:
        yield _("The header does not count the TPDU; it must.")
    elif announced + size > length:
        yield _("Part of the frame is missing: was it cut off when it was copied?")
    else:
        yield _("More than one frame, or a header that is too small.")


def _fault_hints(fault: Part, framed: Framed) -> Iterator[str]:
    if fault.key == LEFT_OVER:
        yield _("A bit is missing in the bitmap, or an element is shorter than was written.")
    elif fault.key.isdigit() and fault.key != SECOND_BITMAP:
        yield _(
            "Compare the bitmap with what was written: a bit set for an element that is not there, "
            "or a wrong length just before, shifts all that follows."
        )
    elif fault.key in {BITMAP, SECOND_BITMAP}:
        yield _("A bitmap is 16 hex digits in ascii-1987, and 8 bytes in packed-1987.")
    elif framed.spec is None:
        yield _("Neither variant begins like this: is it ISO 8583 at all?")


def _form(spec: str, header: str, has_tpdu: bool) -> str:
    tpdu = _("with TPDU") if has_tpdu else _("without TPDU")
    shown = _("no header") if header == NO_HEADER else header
    return f"{spec}, {shown}, {tpdu}"


def near_miss(answer: bytes, request: Fields, framed: Framed) -> str:
    """Return what keeps a message from being the answer to a request."""
    opened = max(_candidates(answer, framed), key=lambda one: one.likelihood)
    found = opened.fields
    keys = ("7", "11") if request["t"].startswith("08") else ("11", "32", "37")
    lines = [
        _("DE{number} is {found}, and {wanted} in the request").format(
            number=key, found=found.get(key, "-"), wanted=request.get(key, "-")
        )
        for key in keys
        if found.get(key) != request.get(key)
    ]
    return "; ".join(lines)


def rule_told(frame: Frame) -> str:
    """Return the rule that an answer names, as a person is told it; empty without one."""
    rule = next((row.value for row in frame.rows if row.element == RULE), "")
    return told(rule, currency=_currency(frame))


def _currency(frame: Frame) -> str | None:
    return next((row.note for row in frame.rows if row.element == "DE49"), None) or None


def print_frame(title: str, frame: Frame) -> None:
    """Print a frame as a table, with what is wrong below."""
    kind = _(TYPES[frame.message]) if frame.message in TYPES else ""
    answer = f"{frame.response_code} {response_meaning(frame.response_code)}".strip()
    click.secho("  ".join(part for part in (title, frame.message, kind, answer) if part), bold=True)
    form = _form(frame.spec, frame.header, bool(frame.tpdu))
    if frame.guessed:
        line = _("Read as {form}; guessed: {names}.")
        paragraph(line.format(form=form, names=", ".join(frame.guessed)))
    currency = _currency(frame)
    rows = [
        (
            "" if row.at is None else str(row.at),
            *(row.element, row.name, row.raw),
            told(row.value, currency=currency) if row.element == RULE else row.value,
            row.note,
        )
        for row in frame.rows
    ]
    if rows:
        headings = (_("Byte"), _("Element"), _("Name"), _("Raw"), _("Value"), _("Note"))
        table(headings, rows, right="r")
    if frame.is_broken:
        place = "" if frame.at is None else _(" at byte {at}").format(at=frame.at)
        click.secho(f"{frame.field}{place}: {told(frame.rule)}", fg="red", bold=True)
        for hint in frame.hints:
            paragraph(hint)
