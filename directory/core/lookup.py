"""Lookup: from phones to lists of entities, and from the payer's choice to the account."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from directory.core.alias import CLEARING_HOUSE, DIRECTORIES, Found, Resolution


class Presence(Struct, frozen=True):
    """What one directory says about one phone.

    Attributes:
        phone: as the payer's side wrote it.
        is_present: known in this directory.
        entities: codes to choose from; None: the directory itself stands for the entity, or the
            phone is not known.
    """

    phone: str
    is_present: bool
    entities: tuple[str, ...] | None


class DirectoryAnswer(Struct, frozen=True):
    """What one directory says about every phone asked."""

    directory: str
    presences: tuple[Presence, ...]


class Swept(Struct, frozen=True):
    """The outcome of one lookup: answers of all directories, and how many phones nobody knew."""

    answers: tuple[DirectoryAnswer, ...]
    known: int
    unknown: int


class Asked(Struct, frozen=True):
    """A phone of a lookup: as written, and its nine digits."""

    written: str
    phone: str


def sweep(asked: Sequence[Asked], read: Callable[[str], Sequence[Found]]) -> Swept:
    """Ask every directory about every phone.

    Args:
        read: returns the active entries of a phone.
    """
    rows = [(one.written, read(one.phone)) for one in asked]
    answers = tuple(
        DirectoryAnswer(code, tuple(_presence(code, written, found) for written, found in rows))
        for code in DIRECTORIES
    )
    known = sum(1 for _, found in rows if found)
    return Swept(answers, known, len(rows) - known)


def _presence(directory: str, written: str, found: Sequence[Found]) -> Presence:
    entities = tuple(sorted(one.participant for one in found if one.directory == directory))
    # A wallet's directory names no entity: it stands for the one behind it.
    named = entities if entities and directory == CLEARING_HOUSE else None
    return Presence(written, bool(entities), named)


def resolve(found: Sequence[Found], code: str) -> Resolution | None:
    """Return the account behind a phone at the entity or wallet the payer chose, or None.

    Only what a lookup names can be chosen: an entity that the clearing house's directory lists,
    or a wallet's directory.
    """
    by_directory = code in DIRECTORIES and code != CLEARING_HOUSE
    for one in found:
        if by_directory:
            matches = one.directory == code
        else:
            matches = one.directory == CLEARING_HOUSE and one.participant == code
        if matches:
            return Resolution(one.participant, one.cci)
    return None
