"""What payments and returns need of the outside, and the shapes in which they answer."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from scheme.ledger import Account, Command, Position, Result
from scheme.standing import Instruction, WindowStand
from switch.core.payment import PaymentRecord, PaymentState
from switch.core.routing import RouteRequest
from switch.pathfinder import ConsideredRail, Explained
from switch.ports import EntryRow, OwedRow, TransferRow

Explain = Callable[[RouteRequest], Explained]
"""Finds the rail of a payment, with fees and reasons; ``switch.pathfinder`` has it."""


class PaymentLedger(Protocol):
    """What payments need of the ledger; ``clearing.ports.LedgerStore`` has it."""

    @property
    def is_full(self) -> bool:
        """Whether new payments should be turned away before they are reserved."""

    async def apply(self, batch: Sequence[Command]) -> Sequence[Result]:
        """Decide a batch at once, in order; answered once it is on disk."""

    def position(self, account: Account) -> Position | None:
        """Return one position as decided."""

    def window(self, window: str) -> WindowStand | None:
        """Return a window, an ended one too."""

    def instruction(self, instruction_id: str) -> Instruction | None:
        """Return an instruction, an ended one too."""


class StoredPayment(Struct, frozen=True, gc=False):
    """A payment as read from the disk."""

    state: PaymentState
    record: PaymentRecord


class PaymentFilter(Struct, frozen=True, kw_only=True):
    """What a list of payments is narrowed to; empty does not narrow.

    Attributes:
        after: id of the last row of the page before.
    """

    status: str = ""
    participant: str = ""
    window: str = ""
    after: str = ""


class OppositionRow(Struct, frozen=True, gc=False):
    """One return as the ledger has it, with what the switch remembers of it, if anything."""

    return_id: str
    transfer_id: str
    amount: int
    at_ms: int
    record: bytes | None


class PaymentStore(Protocol):
    """Reads of what the ledger has written."""

    def payment(self, payment_id: str) -> StoredPayment | None:
        """Return a payment."""

    def payment_by_key(self, key: str) -> StoredPayment | None:
        """Return the payment under an idempotency key of the ledger."""

    def open_payments(self, after: tuple[int, str], *, limit: int) -> Sequence[PaymentRecord]:
        """Return payments that are ACSP, oldest first, from behind a creation time and id."""

    def payments(
        self, wanted: PaymentFilter, *, limit: int
    ) -> tuple[Sequence[StoredPayment], str | None]:
        """Return a page of payments, youngest first, and where the next one begins."""

    def row(self, transfer_id: str) -> TransferRow | None:
        """Return any transfer as a list shows it."""

    def entries(self, transfer_id: str) -> Sequence[EntryRow]:
        """Return the entries posted for a transfer."""

    def fact(self, name: str) -> bytes | None:
        """Return one fact by name."""

    def owed(self, *, subject: str) -> Sequence[OwedRow]:
        """Return what is owed about one transfer, oldest first."""

    def opposed_minor(self, transfer_id: str) -> int:
        """Return how much of a transfer was returned."""

    def returns_of(self, transfer_id: str) -> Sequence[OppositionRow]:
        """Return the returns of one transfer, oldest first."""

    def returns(self, after: tuple[int, str], *, limit: int) -> Sequence[OppositionRow]:
        """Return returns, oldest first, from behind a time and id."""


class Fault(StrEnum):
    """Whose fault a refusal is."""

    INVALID = "invalid"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    BUSY = "busy"


class Refused(Struct, frozen=True, kw_only=True):
    """A lawful "no": nothing was held or posted.

    Attributes:
        error: what is the matter; field: where; hint: what to do next.
        reason: as the TIN wire codes it, if it does.
        considered: the rails that were looked at, if it came that far.
    """

    fault: Fault = Fault.CONFLICT
    error: str
    field: str
    hint: str
    reason: str = ""
    considered: Sequence[ConsideredRail] | None = None


def invalid(error: str, field: str, hint: str) -> Refused:
    """Return the refusal of a request that cannot be right."""
    return Refused(fault=Fault.INVALID, error=error, field=field, hint=hint)


def shortage(account: Account, sponsor: str, available: int) -> Refused:
    """Return the refusal that names the position which lacks the money.

    Args:
        sponsor: of the account's owner, if it has one.
    """
    hint = f"at most {max(available, 0)} now"
    return Refused(error=_lacks(account, sponsor), field="amount", hint=hint)


def _lacks(account: Account, sponsor: str) -> str:
    owner = account.owner
    match account.ledger:
        case "sponsor":
            return f"the account of {owner} in the books of its sponsor {sponsor} is short"
        case "dale":
            return f"the line of {owner} in the network is short"
        case "deferred":
            return f"{owner} has sent as much as one exchange cycle lets it owe"
        case _:
            return f"the position of {owner} is short"
