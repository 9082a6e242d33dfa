"""Commands to the ledger and its answers: the types that cross the ledger's port.

The ledger knows accounts, amounts and uniqueness. What a transfer *is* it does not know: each
command carries ``record`` (how the switch remembers it) and ``owed`` (messages it now owes to
peers) as opaque bytes, written in the same transaction as the money.
"""

from typing import ClassVar

from msgspec import Struct

NATIONAL = "national"
DALE = "dale"
FUNDING_ACCOUNT = "lbtr"
"""Contra account of every funding and drawdown; its balance is what was ever drawn less funded."""


class Account(Struct, frozen=True, kw_only=True, gc=False):
    """One position: an owner in one ledger and one currency.

    Attributes:
        ledger: ``national`` or ``dale``.
        currency: ``PEN`` or ``USD``.
        owner: participant code, or ``lbtr``.
    """

    ledger: str
    currency: str
    owner: str


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """One linked pair of postings: ``minor`` leaves ``debit`` and reaches ``credit``.

    Two legs in one value, so a set of entries sums to zero by construction.

    Attributes:
        kind: ``principal``, ``interbank_fee``, ``funding`` or ``drawdown``.
        minor: amount in minor units, above zero.
    """

    kind: str
    debit: Account
    credit: Account
    minor: int
    window: str


class Owed(Struct, frozen=True, kw_only=True, gc=False):
    """A message owed to a peer until the peer acknowledges it.

    Attributes:
        owed_id: unique for ever, e.g. ``<instructionId>:CT5``.
        participant: to whom.
        message: root key of the message.
        body: the exact JSON; every repeat is these bytes, signed anew.
        subject: instructionId of the transfer it belongs to, or empty.
        due_ms: first attempt, milliseconds since the epoch.
    """

    owed_id: str
    participant: str
    message: str
    body: bytes
    subject: str
    due_ms: int


class _Command(Struct, frozen=True, kw_only=True, gc=False):
    owed: tuple[Owed, ...] = ()


class Reserve(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Hold money for a transfer; all of its holds or none.

    Attributes:
        key: idempotency key, unique for ever.
        entries: what a later Post will post; every debit account is held for its sum.
        write_ahead: True: answered when it is on disk. False: answered as soon as it is
            decided in memory, and written with the next group (presumed abort).
        state, record: how the switch remembers the transfer.
        debtor_agent, creditor_agent, currency, minor, created_ms: columns to search by.
    """

    transfer_id: str
    key: str
    entries: tuple[Entry, ...]
    write_ahead: bool = False
    state: str
    record: bytes
    debtor_agent: str
    creditor_agent: str
    currency: str
    minor: int
    created_ms: int


class Post(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Turn the holds of a reserved transfer into postings."""

    transfer_id: str
    state: str
    record: bytes
    reason: str = ""
    at_ms: int


class Release(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Give the holds of a reserved transfer back; the transfer ends without money."""

    transfer_id: str
    state: str
    record: bytes
    reason: str
    at_ms: int


class Refuse(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Remember an outcome that never held money: a refusal, or a tombstone."""

    transfer_id: str
    key: str
    state: str
    record: bytes
    reason: str
    debtor_agent: str
    creditor_agent: str
    currency: str
    minor: int
    created_ms: int


class Oppose(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Post the opposite of part of a posted transfer, in the window open now.

    Refused as Short when more than what is left of the original is asked for.
    """

    transfer_id: str
    opposite_of: str
    minor: int
    window: str
    at_ms: int


class Advance(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Move a decided transfer to a later state without money: confirmed, cancelled, disputed.

    Attributes:
        struck: ids of owed messages that were acknowledged by it.
    """

    transfer_id: str
    state: str
    at_ms: int
    struck: tuple[str, ...] = ()


class StrikeOff(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Strike acknowledged messages off the outbox, or park them for a person."""

    owed_ids: tuple[str, ...]
    parked: bool = False
    at_ms: int


class Remember(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Keep a verification: its id, its idempotency key and the answer given."""

    instruction_id: str
    key: str
    record: bytes
    created_ms: int


class PutFact(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Keep one fact of the switch by name: a session, a block, a sequence."""

    name: str
    value: bytes


class Move(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Fund or draw down a position.

    Attributes:
        movement_id: idempotency key of the movement.
        entry: from ``lbtr`` to the position, or back.
        digest: digest of the request, to tell a repeat from another request.
    """

    movement_id: str
    entry: Entry
    digest: str
    at_ms: int


class OpenPosition(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Make a position if it does not exist: its first prefund, watermarks and cap."""

    account: Account
    prefund_minor: int
    low_minor: int
    high_minor: int
    cap_minor: int = 0
    window: str
    at_ms: int


class SetAlert(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Remember that a position's low watermark was announced, or is past."""

    account: Account
    alerted: bool


Command = (
    Reserve
    | Post
    | Release
    | Refuse
    | Oppose
    | Advance
    | StrikeOff
    | Remember
    | PutFact
    | Move
    | OpenPosition
    | SetAlert
)


class Applied(Struct, frozen=True, gc=False):
    """The command is done: on disk, or decided if it asked for no more."""

    ok: ClassVar[bool] = True


class Duplicate(Struct, frozen=True, gc=False):
    """The key is known: what was remembered under it first."""

    transfer_id: str
    record: bytes


class Short(Struct, frozen=True, gc=False):
    """Not enough: nothing was held or moved.

    Attributes:
        account: the position that was short.
        available_minor: what it had.
    """

    account: Account
    available_minor: int


Result = Applied | Duplicate | Short


class Position(Struct, frozen=True, kw_only=True, gc=False):
    """A position as it stands.

    Attributes:
        balance_minor: posted money.
        reserved_minor: held for transfers in flight.
        low_minor, high_minor: watermarks; cap_minor: uncovered debit allowed.
        alerted: the low watermark was announced and the high one not seen since.
        funded_minor: what was ever funded less drawn down.
    """

    account: Account
    balance_minor: int
    reserved_minor: int
    low_minor: int
    high_minor: int
    cap_minor: int
    alerted: bool

    @property
    def available_minor(self) -> int:
        """What a new reservation may take."""
        return self.balance_minor - self.reserved_minor + self.cap_minor


APPLIED = Applied()
