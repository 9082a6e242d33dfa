"""Identifiers of the wire: how they are composed and told apart.

Shapes are in docs/wire/tin-messages.md#identifiers. Sequences are pure counters: whoever owns
one keeps it on disk if it must survive a restart.
"""

from datetime import datetime
from enum import StrEnum
from typing import NewType

from scheme.clock import parse_wire, wire_date_time

ParticipantCode = NewType("ParticipantCode", str)
"""Four digits on the wire: ``0`` and the three of the entity."""
InstructionId = NewType("InstructionId", str)
"""Assigned by the clearing house; at most 35 characters, opaque to everyone else."""

_INSTRUCTION_CHARACTERS = 28
_KIND_AT = 18

OWN_TRACES = (800_000, 899_999)
"""Traces the clearing house puts in place of a sender's that would repeat an id."""
CANCELLATION_TRACES = (900_000, 999_999)
"""Traces of the ids of cancellations."""


class Kind(StrEnum):
    """What an instructionId was issued for: its 19th digit."""

    VERIFICATION = "8"
    TRANSFER = "4"


def instruction_id(
    *, date: str, time: str, originator: str, kind: Kind, channel: str, trace: str
) -> InstructionId:
    """Compose the 28 digits of an instructionId from the fields of an AV1 or CT1."""
    return InstructionId(f"{date}{time}{originator}{kind}1{channel}{trace}")


def has_our_shape(value: str) -> bool:
    """Tell whether the clearing house could have issued this id for a transfer."""
    return (
        len(value) == _INSTRUCTION_CHARACTERS
        and value.isascii()
        and value.isdigit()
        and value[_KIND_AT : _KIND_AT + 2] == Kind.TRANSFER + "1"
        and created_at(value) is not None
    )


def created_at(value: str) -> datetime | None:
    """Return the instant written in an id of our shape, or None if it is no moment."""
    return parse_wire(value[:8], value[8:14])


def retrieval_reference(now: datetime, suffix: int) -> str:
    """Compose a retrievalReferenteNumber: ``MMddHHmmss`` and two digits. Not a key."""
    assert 0 <= suffix < 100
    date, time = wire_date_time(now)
    return f"{date[4:]}{time}{suffix:02}"


def notice_id(now: datetime, participant: str, sequence: int) -> str:
    """Compose the messageIdentification of an SNM (27 characters)."""
    date, time = wire_date_time(now)
    return f"M{date}{time}{participant:0>4}H1{sequence % 1_000_000:06}"


class Sequence:
    """A counter that goes round between two numbers, both included.

    Args:
        first: lowest value.
        last: highest value, after which ``first`` comes again.
        start: value returned first.
    """

    def __init__(self, first: int, last: int, start: int | None = None) -> None:
        assert first <= last
        self._first = first
        self._last = last
        self._next = first if start is None else start
        assert first <= self._next <= last

    def take(self) -> int:
        """Return the next number."""
        value = self._next
        self._next = self._first if value == self._last else value + 1
        return value
