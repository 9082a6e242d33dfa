"""What a terminal tells the person at the counter, and what it asks its shell to do."""

from enum import StrEnum

from msgspec import Struct

from participants.core.agent_book import Change, Entry
from scheme.wire.agent_payload import Agreement, Closing, Verdict


class Welcomed(Struct, frozen=True):
    """The clearing house knows everything below ``expected``.

    Attributes:
        skew: seconds by which the terminal's clock is ahead.
    """

    expected: int
    skew: int


class Settled(Struct, frozen=True):
    """An operation has its verdict."""

    entry: Entry


class Adopted(Struct, frozen=True):
    """The clearing house's verdict replaced the terminal's."""

    entry: Entry
    before: Verdict


class Asked(Struct, frozen=True):
    """The clearing house lacked these numbers; ``lost`` of them the terminal has lost too."""

    ranges: tuple[tuple[int, int], ...]
    lost: int


class Renumbered(Struct, frozen=True):
    """The clearing house knows numbers that this terminal does not: its disk is an older one."""

    next: int


class Closed(Struct, frozen=True):
    """Both sides have told their digests of a range; unequal ones are for an operator."""

    ours: Closing
    theirs: Agreement
    agrees: bool


class Unaccounted(Struct, frozen=True):
    """The clearing house has operations under these numbers that this terminal does not have."""

    ranges: tuple[tuple[int, int], ...]


class Faulted(Struct, frozen=True):
    """The clearing house took a payload as nothing, or said something that is nothing."""

    code: str
    text: str


Told = Welcomed | Settled | Adopted | Asked | Renumbered | Closed | Unaccounted | Faulted


class Phase(StrEnum):
    """How a terminal stands to the clearing house."""

    ALONE = "ALONE"
    GREETING = "GREETING"
    """Connected; its Hello is not answered yet."""
    OPEN = "OPEN"


class Actions(Struct, frozen=True):
    """What follows from an event, in this order: to disk, then sent, then told."""

    change: Change | None = None
    payloads: tuple[bytes, ...] = ()
    told: tuple[Told, ...] = ()


class Made(Struct, frozen=True):
    """A new operation: it is one for the customer when the actions' change is on disk."""

    entry: Entry
    actions: Actions
