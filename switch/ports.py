"""What the router and its helpers need from the outside, as small Protocols."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from scheme.ledger import Account, Command, Owed, Position, Result
from scheme.messages import Message
from switch.core.records import TransferRecord, VerificationRecord


class Ledger(Protocol):
    """Money, transfers and owed messages: one writer, group commit."""

    @property
    def is_full(self) -> bool:
        """Whether new orders should be turned away before they are reserved."""

    async def apply(self, batch: Sequence[Command]) -> Sequence[Result]:
        """Write the commands, all in one group, each with its record and owed rows.

        Decided in memory at once; answered when it is on disk, except that a Reserve without
        ``write_ahead`` is answered as soon as it is decided. There is no failed write: the
        process ends rather than go on beside its disk.
        """

    def position(self, account: Account) -> Position | None:
        """Return a position as it stands."""


class StoredTransfer(Struct, frozen=True, gc=False):
    """A transfer as read from the disk."""

    transfer_id: str
    state: str
    reason: str
    creditor_agent: str
    record: TransferRecord | None


class Store(Protocol):
    """Reads of what the ledger has written."""

    def transfer(self, transfer_id: str) -> StoredTransfer | None:
        """Return a transfer, or a tombstone (without record), by its instructionId."""

    def transfer_by_key(self, key: str) -> StoredTransfer | None:
        """Return the transfer under an idempotency key."""

    def verification(self, instruction_id: str) -> VerificationRecord | None:
        """Return a verification by the id it was issued."""

    def latest_verification(self, key: str) -> VerificationRecord | None:
        """Return the youngest verification under an idempotency key."""

    def is_issued(self, instruction_id: str) -> bool:
        """Tell whether an id is on record, as a verification or as a transfer."""


class Resolution(Protocol):
    """Where an alias leads."""

    @property
    def participant(self) -> str:
        """The entity's participant code."""

    @property
    def cci(self) -> str:
        """The account."""


class Directory(Protocol):
    """The alias directory, read without leaving the loop."""

    def resolve_phone(self, phone: str, code: str) -> Resolution | None:
        """Return the account behind a phone at an entity, or in a directory."""

    def resolve_token(self, token: str, code: str) -> Resolution | None:
        """Return the account behind a wallet's QR token."""


class Peers(Protocol):
    """Messages to participants, and their answers."""

    async def ask(self, participant: str, message: Message, subject: str) -> Message:
        """Send a message and return its decoded answer; the caller guards the wait.

        Raises:
            NotConnected: the participant cannot have seen it.
            NoAnswer: it may have, and no sound answer came.
        """

    async def deliver(self, owed: Owed) -> "Delivery":
        """Send an owed message's exact bytes, signed anew; never raises a PeerError."""


class Delivery(Struct, frozen=True, gc=False):
    """What became of one attempt to deliver an owed message.

    Attributes:
        acknowledged: a 2xx came.
        refused: the peer's own answer says 05 (CTC2); it acknowledges all the same.
        detail: for people and logs.
    """

    acknowledged: bool
    refused: bool = False
    detail: str = ""


class Outbox(Protocol):
    """Takes messages that are owed and on disk, and sees to it that they arrive."""

    def take(self, owed: Sequence[Owed]) -> None:
        """Deliver these from now on."""
