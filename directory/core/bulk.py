"""The bulk file: a day's registrations whose answer was lost (docs/wire/directory.md#bulk-file)."""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from directory.core.alias import Refusal, registered_phone
from directory.core.registry import Instruction, Order
from scheme.reasons import ReasonCode

NAME = re.compile(r"(\d{4})DIRECTORIO(\d{12})\.csv", re.ASCII)
"""Participant and minute."""
HEADER = "L05,H03,L03,L08"
_TOTAL = re.compile(rb"REGISTROS *= *(\d{1,9})\s*", re.ASCII)
_COLUMNS = len(HEADER.split(","))
_ID_CHARACTERS_MAX = 64
_ID = re.compile(r"[0-9A-Za-z_-]+", re.ASCII)


class Record(Struct, frozen=True):
    """One line of a bulk file.

    Attributes:
        id: H03, or ``LINEA n`` where none could be read.
        order: what it asks for, or why it cannot be.
    """

    id: str
    order: Order | Refusal


class Fault(Struct, frozen=True):
    """A file of which nothing is applied, and the rule it breaks."""

    reason: ReasonCode
    rule: str


def is_complete(data: bytes) -> bool:
    """Tell whether a file ends with its line of the total, so that nobody writes it any more."""
    return _TOTAL.fullmatch(data.rstrip().rpartition(b"\n")[2].strip()) is not None


def participant_of(name: str) -> str | None:
    """Return the participant whose file this is, or None if it is named otherwise."""
    found = NAME.fullmatch(name)
    return found[1] if found else None


def read(participant: str, data: bytes) -> list[Record] | Fault:
    """Return the records of a file, or why none is taken.

    A line that cannot be read is a record that is refused; the others count all the same.
    """
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError:
        return _fault("UTF-8 is needed")
    lines = [line for line in lines if line]
    total = _TOTAL.fullmatch(lines[-1].encode()) if lines else None
    if total is None:
        return _fault("the last line is REGISTROS = n")
    if lines[0] != HEADER:
        return _fault(f"the first line is {HEADER}")
    rows = lines[1:-1]
    if len(rows) != int(total[1]):
        return _fault("REGISTROS is the number of the records")
    return [_record(participant, number, row) for number, row in enumerate(rows, start=2)]


def chunks(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    """Yield the records in groups that may be applied at once: no phone twice in one."""
    group: list[Record] = []
    phones: set[str] = set()
    for record in records:
        phone = "" if isinstance(record.order, Refusal) else record.order.phone
        if len(group) == size or phone in phones:
            yield group
            group, phones = [], set()
        group.append(record)
        if phone:
            phones.add(phone)
    if group:
        yield group


def control_file(outcomes: Sequence[tuple[str, Refusal | None]]) -> bytes:
    """Return the answer: a line for each record, and their number."""
    lines = [
        f"{record},ACTC" if refusal is None else f"{record},RJCT,{refusal.reason}"
        for record, refusal in outcomes
    ]
    return _text([*lines, f"REGISTROS = {len(lines)}"])


def control_file_of(fault: Fault) -> bytes:
    """Return the answer to a file of which nothing was applied."""
    return _text([f"ARCHIVO,RJCT,{fault.reason},{fault.rule}", "REGISTROS = 0"])


def _text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _fault(rule: str) -> Fault:
    return Fault(ReasonCode.FF02, rule)


def _record(participant: str, number: int, row: str) -> Record:
    fields = [field.strip() for field in row.split(",")]
    identifier = fields[1] if len(fields) > 1 else ""
    is_id = _ID.fullmatch(identifier) and len(identifier) <= _ID_CHARACTERS_MAX
    name = identifier if is_id else f"LINEA {number}"
    return Record(name, _order(participant, fields, is_id=bool(is_id)))


def _order(participant: str, fields: Sequence[str], *, is_id: bool) -> Order | Refusal:
    def no(field: str, rule: str) -> Refusal:
        return Refusal(ReasonCode.FF02, field, rule)

    if len(fields) != _COLUMNS:
        return no("L05", f"{_COLUMNS} columns")
    action, identifier, cci, written = fields
    if not is_id:
        return no("H03", "letters and digits")
    if action not in Instruction.__members__:
        return no("L05", "NEWR, AMND or DEAC")
    phone = registered_phone(written)
    if phone is None:
        return no("L08", "+51 and nine digits, the first a 9")
    # A deactivation names its account too, and may not name another entity's.
    if cci and cci[:3] != participant[1:]:
        return no("L03", "an account of the sender")
    return Order(
        instruction=Instruction(action),
        phone=phone,
        participant=participant,
        cci=cci or None,
        registration_id="R" + identifier.removeprefix("B"),
    )
