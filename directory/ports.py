"""What the directory's services need of a store."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from directory.core.alias import Entry, Found, Refusal, Resolution
from directory.core.dale import IndexEntry, Mismatch
from directory.core.lookup import DirectoryAnswer
from directory.core.qr import QrRecord
from directory.core.registry import Order
from directory.core.seed import TokenEntry


class AliasStore(Protocol):
    """Entries and wallet tokens. Reads see only what is on disk, and never leave the loop."""

    def find(self, phone: str) -> Sequence[Found]:
        """Return the active entries of a phone, in a fixed order.

        Raises:
            StoreError: the disk could not be read.
        """

    def entries(self, phone: str) -> Sequence[Entry]:
        """Return all entries of a phone, deactivated ones too.

        Raises:
            StoreError: the disk could not be read.
        """

    def entry_to_change(self, phone: str, participant: str) -> Entry | None:
        """Return an entity's entry in the clearing house's directory, as last written.

        Unlike the other reads it sees writes that are still on their way to the disk, so that
        two instructions at once do not both find nothing.

        Raises:
            StoreError: the disk could not be read.
        """

    async def put_entry(self, entry: Entry) -> None:
        """Write an entry; return once it is on disk.

        Raises:
            StoreError: it could not be written, now or ever after.
        """

    def find_token(self, token: str, directory: str) -> Resolution | None:
        """Return the account behind a wallet's token.

        Raises:
            StoreError: the disk could not be read.
        """

    @property
    def is_seeded(self) -> bool:
        """Whether ``seed`` has been done."""

    async def seed(
        self, entries: Iterable[Entry], tokens: Iterable[TokenEntry], qrs: Iterable[QrRecord]
    ) -> bool:
        """Write the first content in one transaction, if there is none; tell whether it did.

        Raises:
            StoreError: it could not be written.
        """


class QrStore(Protocol):
    """Registered QRs and how often they were paid."""

    @property
    def key(self) -> bytes:
        """The secret of this store, for authentication codes."""

    def qr(self, id_qr: str) -> QrRecord | None:
        """Return a registered QR.

        Raises:
            StoreError: the disk could not be read.
        """

    def static_qr(self, cci: str, currency: str, name: str) -> QrRecord | None:
        """Return the newest static QR of an account in that currency and name.

        Raises:
            StoreError: the disk could not be read.
        """

    def payments(self, id_qr: str) -> int:
        """Return how often a dynamic QR was paid.

        Raises:
            StoreError: the disk could not be read.
        """

    def next_qr_number(self) -> int:
        """Return a number that no idQr of this store has had."""

    async def put_qr(self, record: QrRecord) -> None:
        """Register a QR; return once it is on disk.

        Raises:
            StoreError: it could not be written.
        """

    async def put_payment(self, id_qr: str, transfer_id: str) -> None:
        """Count a payment of a dynamic QR, once per transfer.

        Raises:
            StoreError: it could not be written.
        """


class AliasIndex(Protocol):
    """The access network's own aliases, apart from the national directory's entries."""

    def find(self, phone: str) -> Sequence[IndexEntry]:
        """Return what is on disk about a phone, by coop.

        Raises:
            StoreError: the disk could not be read.
        """

    def current(self, phone: str, participant: str) -> IndexEntry | None:
        """Return an entry as last written, on disk or on its way there.

        Raises:
            StoreError: the disk could not be read.
        """

    async def put(self, entry: IndexEntry) -> None:
        """Write an entry; return once it is on disk.

        Raises:
            StoreError: it could not be written, now or ever after.
        """

    def mismatches(self, before_ms: int) -> Sequence[Mismatch]:
        """Return aliases not changed since, that the national directory does not have.

        Raises:
            StoreError: the disk could not be read.
        """


class NationalDirectory(Protocol):
    """The national directory as the access network reaches it, in a coop's name."""

    async def register(self, order: Order) -> Entry | Refusal:
        """Forward an instruction.

        Raises:
            PeerError: no answer came: it may have been carried out.
            StoreError: it could not be written; nothing changed.
        """

    async def look_up(
        self, participant: str, phones: Sequence[str]
    ) -> Sequence[DirectoryAnswer] | Refusal:
        """Ask about phones that are written as they must be.

        Raises:
            PeerError: no answer came.
            StoreError: the disk could not be read.
        """

    async def entry(self, phone: str, participant: str) -> Entry | None:
        """Return what it has of a phone at an entity.

        Raises:
            PeerError: no answer came.
            StoreError: the disk could not be read.
        """
