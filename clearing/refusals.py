"""A lawful "no" to an operator."""

from enum import StrEnum

from msgspec import Struct


class Fault(StrEnum):
    """Whose fault a refusal is."""

    INVALID = "invalid"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"


class Refusal(Struct, frozen=True, kw_only=True):
    """A lawful "no" to an operator.

    Attributes:
        error: what happened; field: where; hint: what to do next.
    """

    fault: Fault
    error: str
    field: str
    hint: str


def invalid(error: str, field: str, hint: str) -> Refusal:
    """Return a refusal of what was sent."""
    return Refusal(fault=Fault.INVALID, error=error, field=field, hint=hint)


def unknown(error: str, field: str, hint: str) -> Refusal:
    """Return a refusal of what is not there."""
    return Refusal(fault=Fault.UNKNOWN, error=error, field=field, hint=hint)


def conflict(error: str, field: str, hint: str) -> Refusal:
    """Return a refusal of what cannot be done as things stand."""
    return Refusal(fault=Fault.CONFLICT, error=error, field=field, hint=hint)
