"""What crosses from the ledger's decisions to its shell: writes, and what is read back."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from clearing.core.tally import Counted, WindowBook
from scheme.ledger import Account, Command, Duplicate, Entry, Position
from scheme.standing import Instruction, WindowStand


class Write(Struct, frozen=True, gc=False):
    """What one decided command writes.

    Attributes:
        entries: those it holds, posts, gives back or counts as refused.
        changes: the positions it moved, as they stand after it.
        number: of the transfer, above zero; of any other posting, below; 0 if it has neither.
            Of several payments settled together the first one's, each next one less. Of a window
            that opens or closes the last transfer's.
        counted: the counters it changed, as they stand after it.
        stand: the window it opened, moved on or closed.
        instructions: the payments it queued, settled or dropped.
    """

    command: Command
    entries: tuple[Entry, ...]
    changes: Mapping[Account, Position]
    number: int = 0
    counted: Counted = ()
    stand: WindowStand | None = None
    instructions: tuple[Instruction, ...] = ()


class Held(Struct, frozen=True, kw_only=True, gc=False):
    """A transfer that holds money: as read back from disk, or as the port shows it."""

    transfer_id: str
    key: str
    record: bytes
    entries: tuple[Entry, ...]
    number: int = 0


class Recorded(Struct, frozen=True, kw_only=True):
    """A ledger as it stands on disk.

    Attributes:
        last_number: highest number of a transfer.
        first_number: lowest number of any other posting, 0 or below.
        windows: those not at an end; instructions: those queued, in their order.
        last_sequence: highest sequence of an instruction.
    """

    positions: Sequence[Position] = ()
    held: Sequence[Held] = ()
    last_number: int = 0
    first_number: int = 0
    windows: Sequence[WindowStand] = ()
    instructions: Sequence[Instruction] = ()
    last_sequence: int = 0


class Archive(Protocol):
    """What is on disk and no longer in memory."""

    def transfer(self, key: str, transfer_id: str) -> Duplicate | None:
        """Return the transfer that has this key or this id."""

    def lacks(self, key: str) -> bool:
        """Tell whether no transfer has this key for certain."""

    def movement(self, movement_id: str) -> str | None:
        """Return the digest of a movement."""

    def opposition(self, transfer_id: str) -> bytes | None:
        """Return what an opposite posting of this id was asked for."""

    def postings(self, transfer_id: str) -> tuple[Entry, ...]:
        """Return the entries posted for a transfer."""

    def opposed(self, transfer_id: str) -> Mapping[str, int]:
        """Return the amounts that were taken back of a transfer, by opposite posting."""

    def window(self, window: str) -> WindowStand | None:
        """Return a window."""

    def past_windows(self, limit: int) -> tuple[WindowStand, ...]:
        """Return windows at an end, newest first."""

    def book(self, window: str) -> WindowBook:
        """Return what a window has counted, empty if it is not known."""

    def batch(self, window: str) -> bytes | None:
        """Return a window's batch."""

    def batch_digest(self, window: str) -> str | None:
        """Return the digest that a window's batch was written with."""

    def instruction(self, instruction_id: str) -> Instruction | None:
        """Return a payment in a ledger of money."""

    def instructions_of(self, subject: str) -> tuple[Instruction, ...]:
        """Return the payments of one window or order, by sequence."""
