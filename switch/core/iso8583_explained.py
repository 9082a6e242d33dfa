"""Any ISO 8583 frame, part by part, as an operator may see it: masked, with what is wrong."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scheme.network import Iso8583
from scheme.wire.iso8583_codec import IsoFault, Part, codec
from scheme.wire.iso8583_framing import ASCII_4, BINARY_2, TPDU_BYTES
from scheme.wire.iso8583_spec import ELEMENTS, SPECS
from scheme.wire.iso8583_tlv import decode_tlv
from scheme.wire.iso8583_view import HIDDEN, TAGGED, masked_value

_HEADER_BYTES: Final[Mapping[str, int]] = {BINARY_2: 2, ASCII_4: 4, "": 0}
_NAMES: Final[Mapping[str, str]] = {
    "t": "Message type",
    "p": "Bitmap",
    "1": "Bitmap, secondary",
    "": "Left over",
    **{element.key: element.name for element in ELEMENTS},
}

Row = dict[str, Any]


def explained(frame: bytes, spoken: Iso8583 | None = None, spec: str | None = None) -> Row:
    """Return a frame's parts up to the first wrong one, and what is wrong.

    Args:
        frame: with its length header and TPDU, or the message alone.
        spoken: how its participant speaks; None: told by the bytes.
        spec: table of elements, whatever the participant's is.
    """
    header, tpdu_bytes = _framing(frame, spoken)
    start = _HEADER_BYTES[header]
    at = start + tpdu_bytes
    body = frame[at:]
    table = spec or (spoken.spec if spoken is not None else _table(body))
    rows: list[Row] = []
    if header:
        rows.append(_row("length", "Length header", 0, frame[:start], _length_rule(header, frame)))
    if tpdu_bytes:
        rows.append(_row("TPDU", "TPDU", start, frame[start:at], ""))
    for part in codec(table).walk(body):
        rows += _part_rows(part, body, at)
        if part.rule:
            break  # What stands behind it may be shifted, and then the masks would miss it.
    fault = next((f"{row['field']}: {row['rule']}" for row in rows if row["rule"]), "")
    return {
        "spec": table,
        "header": header,
        "tpdu": frame[start:at].hex().upper(),
        "fault": fault,
        "rows": rows,
    }


def _framing(frame: bytes, spoken: Iso8583 | None) -> tuple[str, int]:
    """Return the kind of header a frame has, or none, and the bytes of its TPDU."""
    tpdu_bytes = 0 if spoken is None or not spoken.tpdu else TPDU_BYTES
    told = (spoken.header,) if spoken is not None else (BINARY_2, ASCII_4)
    for header in told:
        if _announced(header, frame) == len(frame) - _HEADER_BYTES[header]:
            after = frame[_HEADER_BYTES[header] :]
            if spoken is None and after and not _begins_message(after):
                tpdu_bytes = TPDU_BYTES
            return header, tpdu_bytes
    if _begins_message(frame) or spoken is None:
        return "", 0
    return spoken.header, tpdu_bytes


def _announced(header: str, frame: bytes) -> int:
    digits = frame[: _HEADER_BYTES[header]]
    if header == BINARY_2:
        return int.from_bytes(digits, "big")
    return int(digits) if len(digits) == _HEADER_BYTES[header] and digits.isdigit() else -1


def _length_rule(header: str, frame: bytes) -> str:
    announced, follow = _announced(header, frame), len(frame) - _HEADER_BYTES[header]
    if announced == follow:
        return ""
    told = "no number" if announced < 0 else str(announced)
    return f"it says {told}, {follow} bytes follow"


def _begins_message(body: bytes) -> bool:
    return any(not codec(name).walk(body)[0].rule for name in SPECS)


def _table(body: bytes) -> str:
    """Return the table by whose rules the message type can be read; they do not overlap."""
    for name in SPECS:
        if not codec(name).walk(body)[0].rule:
            return name
    return next(iter(SPECS))


def _part_rows(part: Part, body: bytes, offset: int) -> Iterator[Row]:
    key, raw = part.key, body[part.at : part.end]
    name = _NAMES.get(key, "")
    if part.rule:
        # Nobody knows what it holds: neither its bytes nor its value are shown.
        yield _row(part.field, name, part.at + offset, b"", part.rule)
        return
    if key in TAGGED:
        yield from _tagged_rows(part, name, offset)
        return
    shown = masked_value(key, part.value) if key.isdigit() and key != "1" else part.value
    row = _row(part.field, name, part.at + offset, raw if shown == part.value else b"", "")
    yield row | {"value": shown}


def _tagged_rows(part: Part, name: str, offset: int) -> Iterator[Row]:
    at = part.at + offset
    try:
        tags = decode_tlv(part.value, part.key)
    except IsoFault as fault:
        yield _row(part.field, name, at, b"", str(fault)) | {"value": HIDDEN}
        return
    for tag, value in tags.items():
        row = _row(f"{part.field}.{tag}", name, at, b"", "")
        yield row | {"value": masked_value(f"{part.key}.{tag}", value)}


def _row(field: str, name: str, at: int, raw: bytes, rule: str) -> Row:
    shown = raw.hex().upper()
    return {"field": field, "name": name, "at": at, "hex": shown, "value": "", "rule": rule}
