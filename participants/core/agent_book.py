"""What a field agent's terminal remembers: its operations, its lease, the cash in its drawer."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from scheme.wire.agent_payload import CASH_TAKEN, CURRENCIES, MOVES_MONEY, Kind, Operation, Verdict

_NOT_TAKEN: Final = "63"


class EntryState(StrEnum):
    """How far an operation has come."""

    QUEUED = "QUEUED"
    """On disk here, and it never left."""
    SENT = "SENT"
    """It may have been seen."""
    APPLIED = "APPLIED"
    REFUSED = "REFUSED"


class Wish(Struct, frozen=True, kw_only=True):
    """What somebody asks for at the counter; fields as in ``Operation``."""

    kind: Kind
    minor: int = 0
    currency: int = 0
    account: str = ""
    entity: str = ""


def operation_of(wish: Wish, *, seq: int, op_id: bytes, at: int, offline: bool) -> Operation:
    """Return the operation that a wish becomes; its MAC is still to come."""
    return Operation(
        seq=seq,
        op_id=op_id,
        kind=int(wish.kind),
        minor=wish.minor,
        currency=wish.currency,
        account=wish.account,
        entity=wish.entity,
        at=at,
        offline=offline,
    )


class Entry(Struct, frozen=True):
    """One operation in the queue.

    Attributes:
        operation: what the switch knows, or shall know, under its sequence number.
        verdict: of the switch, for good.
        given_up: the customer's operation, where the switch could not take it and the number was
            sent as a VOID instead; it counts as refused.
        cause: why it was given up, as the customer is told it.
        adopted: the verdict replaced another one that this terminal had.
    """

    operation: Operation
    state: EntryState = EntryState.QUEUED
    verdict: Verdict | None = None
    given_up: Operation | None = None
    adopted: bool = False
    cause: Verdict | None = None

    @property
    def seq(self) -> int:
        """Return its sequence number."""
        return self.operation.seq

    @property
    def is_settled(self) -> bool:
        """Tell whether it has its verdict."""
        return self.verdict is not None

    @property
    def outcome(self) -> "Entry":
        """Return it as its customer sees it, who knows nothing of a VOID."""
        if self.given_up is None:
            return self
        if self.verdict is None:
            return Entry(self.given_up, EntryState.SENT)
        cause = self.cause or Verdict(self.seq, _NOT_TAKEN)
        return Entry(self.given_up, EntryState.REFUSED, cause)


class Lease(Struct, frozen=True):
    """What the terminal may do alone, since it last heard of it.

    Attributes:
        at: when, by the terminal's clock, in seconds.
        count, minor: operations and amounts by currency number that it was given.
        used_count, used_minor: what it has used of them.
        float_minor: what the agent may still take in, by currency number.
    """

    at: int
    offline_s: int
    count: int
    minor: tuple[int, ...]
    float_minor: tuple[int, ...]
    used_count: int = 0
    used_minor: tuple[int, ...] = (0,) * len(CURRENCIES)


class TillRow(Struct, frozen=True):
    """The cash of one currency, counted by what was taken and paid out.

    Attributes:
        taken, paid: minor units.
        loss: paid out alone and refused afterwards: the agent's.
        owed: taken alone and refused afterwards: to be given back to the customer.
    """

    taken: int = 0
    paid: int = 0
    loss: int = 0
    owed: int = 0

    @property
    def cash(self) -> int:
        """Return by how much the drawer is fuller than at first."""
        return self.taken - self.paid


NO_TILL: Final = (TillRow(),) * len(CURRENCIES)


class Facts(Struct, frozen=True):
    """What the terminal remembers beside its operations.

    Attributes:
        session: the last one opened.
        next: sequence number of the next operation.
        agreed: the digests up to this number have been equal.
        till: cash of the operations that are no longer kept, by currency number.
    """

    session: int = 0
    next: int = 1
    agreed: int = 0
    lease: Lease | None = None
    till: tuple[TillRow, ...] = NO_TILL


class Change(Struct, frozen=True):
    """What goes to disk in one piece: the facts, and operations that are new or different.

    Attributes:
        forget_through: operations up to this number are deleted.
    """

    facts: Facts
    entries: tuple[Entry, ...] = ()
    forget_through: int = 0


def till_of(entries: Iterable[Entry], before: tuple[TillRow, ...] = NO_TILL) -> tuple[TillRow, ...]:
    """Return the cash after some operations, by currency number."""
    rows = list(before)
    for entry in entries:
        operation = entry.given_up or entry.operation
        rows[operation.currency] = _with(rows[operation.currency], entry, operation)
    return tuple(rows)


def _with(row: TillRow, entry: Entry, operation: Operation) -> TillRow:
    was_refused = entry.given_up is not None or entry.state is EntryState.REFUSED
    was_applied = entry.state is EntryState.APPLIED and not was_refused
    # Made alone, the cash changed hands at once; made live, only when the switch had said yes.
    if operation.kind not in MOVES_MONEY or not (operation.offline or was_applied):
        return row
    refused = operation.minor if was_refused else 0
    if operation.kind in CASH_TAKEN:
        return TillRow(row.taken + operation.minor, row.paid, row.loss, row.owed + refused)
    return TillRow(row.taken, row.paid + operation.minor, row.loss + refused, row.owed)
