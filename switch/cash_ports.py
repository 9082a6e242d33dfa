"""What cash at machines needs of the outside: issuers' cores, and reads of what is on disk."""

from collections.abc import Callable, Sequence
from typing import Protocol

from scheme.wire.iso8583_spec import Fields
from switch.core.cash import CashRecord
from switch.ports import EntryRow, OwedRow, TransferRow


class Cores(Protocol):
    """Requests to institutions on the ISO 8583 lane, and their answers."""

    def prepare(self, participant: str, fields: Fields) -> bytes:
        """Return the exact request that ``ask`` will send, in the participant's own encoding.

        DE7, DE11 and DE33 are filled in; there is no MAC yet. It needs no link.

        Raises:
            NotConnected: it cannot be said in that encoding, so it will not be.
        """

    async def ask(self, participant: str, prepared: bytes, subject: str) -> Fields:
        """Send a prepared request and return its answer; the caller guards the wait.

        Raises:
            NotConnected: the participant cannot have seen it.
            NoAnswer: it may have, and no sound answer came.
        """


class CashStore(Protocol):
    """Reads of what the ledger has written."""

    def row(self, transfer_id: str) -> TransferRow | None:
        """Return any transfer as a list shows it."""

    def row_by_key(self, key: str) -> TransferRow | None:
        """Return any transfer under an idempotency key."""

    def cash_rows(self, after: str, *, limit: int) -> Sequence[TransferRow]:
        """Return withdrawals, youngest first, from before an id."""

    def cash_in_flight(self) -> Sequence[CashRecord]:
        """Return the withdrawals that a former process left without an outcome."""

    def entries(self, transfer_id: str) -> Sequence[EntryRow]:
        """Return the entries posted for a transfer."""

    def opposed_minor(self, transfer_id: str) -> int:
        """Return how much of a transfer was taken back."""

    def owed(self, *, subject: str) -> Sequence[OwedRow]:
        """Return what is owed about one transfer, oldest first."""

    def fact(self, name: str) -> bytes | None:
        """Return one fact by name."""

    def facts_named(self, prefix: str, after: str, *, limit: int) -> Sequence[tuple[str, bytes]]:
        """Return facts whose names begin so, by name, from behind one."""


AccountOf = Callable[[str, str], str | None]
"""Returns the CCI behind a phone at an institution, or None."""
