"""What the router and its helpers need from the outside, as small Protocols."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from scheme.ledger import Account, Command, Owed, Position, Result
from scheme.messages import Message
from switch.core.records import Tombstone, TransferRecord, VerificationRecord


class Window(Protocol):
    """A settlement window that is open."""

    @property
    def id(self) -> str:
        """Entries carry it."""

    @property
    def settlement_date(self) -> str:
        """``yyyyMMdd``."""


WindowOf = Callable[[str, str], Window]
"""Returns the window open now, by cycle and currency."""


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

    def lacks(self, key: str) -> bool:
        """Tell whether nothing has this key for certain: not on disk, nor on its way there."""

    def position(self, account: Account) -> Position | None:
        """Return a position as it stands."""


class StoredTransfer(Struct, frozen=True, gc=False):
    """A transfer as read from the disk: its record, or the tombstone that stands for it."""

    transfer_id: str
    state: str
    reason: str
    creditor_agent: str
    record: TransferRecord | None
    tombstone: Tombstone | None = None


class OwedRow(Struct, frozen=True, gc=False):
    """An owed message as read from the disk."""

    owed: Owed
    parked_ms: int | None


class TransferFilter(Struct, frozen=True, kw_only=True):
    """What a list of transfers is narrowed to; None does not narrow.

    Attributes:
        participant: debtor's or creditor's agent.
        since_ms, until_ms: by creation.
        after: cursor, the last row's of the page before.
    """

    state: str | None = None
    participant: str | None = None
    debtor: str | None = None
    creditor: str | None = None
    reason: str | None = None
    minor: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    after: tuple[int, str] | None = None


class TransferRow(Struct, frozen=True, gc=False):
    """One line of a list of transfers."""

    transfer_id: str
    state: str
    reason: str
    debtor_agent: str
    creditor_agent: str
    currency: str
    minor: int
    created_ms: int
    decided_ms: int | None
    record: bytes


class EntryRow(Struct, frozen=True, gc=False):
    """One posted entry."""

    kind: str
    ledger: str
    currency: str
    debit: str
    credit: str
    minor: int
    window: str
    posted_ms: int


class Store(Protocol):
    """Reads of what the ledger has written."""

    def transfer(self, transfer_id: str) -> StoredTransfer | None:
        """Return a transfer, or a tombstone (without record), by its instructionId."""

    def transfer_by_key(self, key: str) -> StoredTransfer | None:
        """Return the transfer under an idempotency key."""

    def row_by_key(self, key: str) -> TransferRow | None:
        """Return anything under an idempotency key, cash too, as a list shows it."""

    def verification(self, instruction_id: str) -> VerificationRecord | None:
        """Return a verification by the id it was issued."""

    def latest_verification(self, key: str) -> VerificationRecord | None:
        """Return the youngest verification under an idempotency key."""

    def is_issued(self, instruction_id: str) -> bool:
        """Tell whether an id is on record, as a verification or as a transfer."""

    def greatest_issued(self) -> str:
        """Return the greatest of the ids on record that begin with a digit, or nothing."""


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

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        """Return the exact request that ``ask`` will send to a single-message creditor.

        It is kept with the reservation before it leaves. Empty for all others.
        """

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Send a message and return its decoded answer; the caller guards the wait.

        Args:
            prepared: what ``prepare`` returned for it.

        Raises:
            NotConnected: the participant cannot have seen it.
            NoAnswer: it may have, and no sound answer came.
        """

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> "Delivery":
        """Send an owed message's exact bytes, signed anew; never raises a PeerError.

        Args:
            repeated: it may have been sent before, so it says so where the wire can (0421).
        """


class Delivery(Struct, frozen=True, gc=False):
    """What became of one attempt to deliver an owed message.

    Attributes:
        acknowledged: a 2xx or an 0430 came.
        refused: the peer will not undo (CTC2 05; 0430 other than 00 and 25); it acknowledges all
            the same.
        detail: for people and logs.
    """

    acknowledged: bool
    refused: bool = False
    detail: str = ""


class Outbox(Protocol):
    """Takes messages that are owed and on disk, and sees to it that they arrive."""

    def take(self, owed: Sequence[Owed]) -> None:
        """Deliver these from now on."""
