"""Entries of the directory: a phone, known at an entity, in one of several directories."""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from scheme.reasons import ReasonCode

YAPE = "0901"
PLIN = "0902"
CLEARING_HOUSE = "0903"
DIRECTORIES = (CLEARING_HOUSE, YAPE, PLIN)
"""All directories, in the order in which an answer lists them."""
SERVICE = "0998"
"""Addressee of every directory message."""

_COUNTRY = "+51"
_PHONE_DIGITS = 9
_BLANKS = str.maketrans("", "", " -\u00a0")


class EntryState(StrEnum):
    """Whether an entry can be found. A deactivated one stays on file."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class Entry(Struct, frozen=True, kw_only=True):
    """One phone at one entity in one directory.

    Attributes:
        phone: nine digits, the first a 9.
        directory: 0901, 0902 or 0903.
        participant: the entity that keeps the account, four digits.
        cci: the account; one per phone, entity and directory.
        display_name: as registered, or empty.
        holder_type: N person, J company, or empty.
        registration_id: of the instruction that last changed it.
        registered_ms: when it first became active.
        changed_ms: when it last changed.
    """

    phone: str
    directory: str
    participant: str
    cci: str
    state: EntryState = EntryState.ACTIVE
    display_name: str = ""
    holder_type: str = ""
    registration_id: str = ""
    registered_ms: int = 0
    changed_ms: int = 0


class Found(NamedTuple):
    """What a lookup reads of an active entry."""

    directory: str
    participant: str
    cci: str


class Resolution(Struct, frozen=True):
    """The account behind an alias.

    Attributes:
        participant: the entity that keeps it, never a directory.
        cci: the real one.
    """

    participant: str
    cci: str


class Refusal(Struct, frozen=True):
    """A lawful no.

    Attributes:
        reason: the code on the wire.
        field: what it is about, as spelt on the wire.
        rule: the rule broken, without the value received.
    """

    reason: ReasonCode
    field: str
    rule: str


def registered_phone(text: str) -> str | None:
    """Return the nine digits of a phone written as registrations must: ``+51`` and nine digits."""
    return _mobile(text[len(_COUNTRY) :]) if text.startswith(_COUNTRY) else None


def asked_phone(text: str) -> str | None:
    """Return the nine digits of a phone as connectors send it in lookups.

    They pass on what people typed: blanks, hyphens, ``0051`` or no prefix at all.
    """
    text = text.translate(_BLANKS)
    for prefix in (_COUNTRY, "0051"):
        if text.startswith(prefix):
            return _mobile(text[len(prefix) :])
    return _mobile(text)


def _mobile(digits: str) -> str | None:
    is_mobile = (
        len(digits) == _PHONE_DIGITS
        and digits[0] == "9"
        # isdigit alone is also true of other scripts' digits.
        and digits.isascii()
        and digits.isdigit()
    )
    return digits if is_mobile else None
