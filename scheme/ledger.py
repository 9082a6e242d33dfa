"""Commands to the ledger and its answers: the types that cross the ledger's port.

The ledger knows accounts, amounts and uniqueness. What a transfer *is* it does not know: each
command carries ``record`` (how the switch remembers it) and ``owed`` (messages it now owes to
peers) as opaque bytes, written in the same transaction as the money.
"""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

NATIONAL = "national"
"""Prefunded positions of the settling participants at the clearing house."""
DALE = "dale"
"""The network's own ledger: its coops, and their sponsor as the counterpart of all that leaves."""
DEFERRED = "deferred"
"""Orders of the exchange cycles: held from their acceptance until their cycle is settled."""
LBTR = "lbtr"
"""The central bank's gross settlement: current accounts, prefunds, the settlement account."""
SPONSOR = "sponsor"
"""The sponsors' own books: what LBTR is to a bank, they are to a coop."""

FUNDING_ACCOUNT = "lbtr"
"""Contra account of every funding and drawdown; its balance is what was ever drawn less funded."""
SETTLEMENT_ACCOUNT = "settlement"
"""Where pay-ins gather and pay-outs leave from, in the ledgers of money."""
GUARANTEE_ACCOUNT = "guarantee"
"""The guarantee fund, in the ledgers of money."""

MONEY_OF: Mapping[str, str] = {NATIONAL: LBTR, DEFERRED: LBTR, DALE: SPONSOR}
"""The ledger of money in which each ledger of obligations is settled."""

RESERVED = "RESERVED"
ACCEPTED = "ACSP"
AUTHORISING = "AUTHORISING"
HOLDING = frozenset({RESERVED, ACCEPTED, AUTHORISING})
"""States in which a transfer holds money: an immediate one until its outcome, a payment of the
deferred or LBTR rail until its cycle or queue settles, cash until its issuer has answered."""


PREFUND_SUFFIX = ":prefund"


def prefund_owner(code: str) -> str:
    """Return the owner of a participant's prefund in the ledger of money."""
    return code + PREFUND_SUFFIX


class Account(Struct, frozen=True, kw_only=True, gc=False):
    """One position: an owner in one ledger and one currency.

    Attributes:
        ledger: one of the names above.
        currency: ``PEN`` or ``USD``.
        owner: participant code, ``lbtr``; in a ledger of money also ``<code>:prefund``,
            ``settlement`` and ``guarantee``.
    """

    ledger: str
    currency: str
    owner: str


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """One linked pair of postings: ``minor`` leaves ``debit`` and reaches ``credit``.

    Two legs in one value, so a set of entries sums to zero by construction.

    Attributes:
        kind: ``principal``, ``interbank_fee``, ``opposite``, ``funding``, ``drawdown`` or
            ``settlement``.
        minor: amount in minor units, above zero.
        window: id of the window it belongs to; empty in a ledger of money, which has none.
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
        entries: what a later Post will post; every debit account is held for its sum. Empty
            where no interbank money moves (on-us, or an order of a bank on the LBTR rail).
        rail: ``on_us``, ``network``, ``tin``, ``deferred`` or ``lbtr``.
        write_ahead: True: answered when it is on disk. False: answered as soon as it is
            decided in memory, and written with the next group (presumed abort).
        state, record: how the switch remembers the transfer.
        debtor_agent, creditor_agent, currency, minor, created_ms: columns to search by.
    """

    transfer_id: str
    key: str
    entries: tuple[Entry, ...]
    rail: str = "tin"
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
    """Give the holds of a reserved transfer back; the transfer ends without money.

    Attributes:
        was_received: whether its creditor's agent may have seen the order, and so counts it as
            received and rejected.
    """

    transfer_id: str
    state: str
    record: bytes
    reason: str
    at_ms: int
    was_received: bool = True


class Refuse(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Remember an outcome that never held money: a refusal, or a tombstone.

    Attributes:
        entries: what would have been held; the window counts it as sent and rejected. Empty for
            a tombstone.
    """

    transfer_id: str
    key: str
    entries: tuple[Entry, ...] = ()
    rail: str = "tin"
    state: str
    record: bytes
    reason: str
    debtor_agent: str
    creditor_agent: str
    currency: str
    minor: int
    created_ms: int


class Oppose(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Post the opposite of part of a posted transfer.

    Refused as Short when more than what is left of the original is asked for, or a position that
    must give it back cannot.

    Attributes:
        windows: by ledger, the window it goes into: the one open now, or the dispute cycle's.
    """

    transfer_id: str
    opposite_of: str
    minor: int
    windows: Mapping[str, str]
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
    """Fund or draw down a position; all of its entries or none.

    Attributes:
        movement_id: idempotency key of the movement.
        entries: from ``lbtr`` to the position or back, and what goes with it in the ledger of
            money.
        digest: digest of the request, to tell a repeat from another request.
    """

    movement_id: str
    entries: tuple[Entry, ...]
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


class OpenWindow(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Open a settlement window; a repeat changes nothing.

    Attributes:
        cycle: ``national``, ``dale``, ``deferred``, ``national-dispute`` or ``dale-dispute``.
        number: of this cycle and currency on this settlement date, from 1.
        closes_ms: its cut-off.
    """

    window: str
    cycle: str
    currency: str
    settlement_date: str
    number: int
    opens_ms: int
    closes_ms: int


class AdvanceWindow(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Move a window on, or note how far its settlement is; CloseWindow makes it CLOSED.

    Attributes:
        record: the settlement so far, opaque to the ledger; empty leaves it as it is.
    """

    window: str
    state: str
    at_ms: int
    record: bytes = b""


class CloseWindow(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Make a window's batch, once and for ever; a repeat answers Duplicate with the first.

    Attributes:
        batch: the batch as JSON, and its SHA-256 in ``digest``.
        next_window: whose opening balances ``openings`` are.
    """

    window: str
    batch: bytes
    digest: str
    next_window: str
    openings: tuple[tuple[Account, int], ...]
    at_ms: int


class Instruct(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Queue a payment in a ledger of money; a repeat answers Duplicate.

    Attributes:
        instruction_id: unique for ever, e.g. ``<window>:in:0002``.
        kind: ``pay_in``, ``top_up``, ``pay_out``, ``share``, ``guarantee``, ``pay_back``,
            ``customer``, ``deposit`` or ``withdrawal``.
        subject: window or payment it belongs to.
        linked: posted together with it.
    """

    instruction_id: str
    kind: str
    subject: str
    debit: Account
    credit: Account
    minor: int
    linked: tuple[Entry, ...] = ()
    at_ms: int


class SettleInstructions(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Settle queued payments in one moment: all of them or none.

    Only the net of them must be covered, so two that offset each other need no money. Refused as
    Short, naming one account that lacks it. Those that are not queued any more are left out.
    """

    instruction_ids: tuple[str, ...]
    at_ms: int


class DropInstructions(_Command, frozen=True, kw_only=True, gc=False, tag=True):
    """Take queued payments out of the queue; they will never settle."""

    instruction_ids: tuple[str, ...]
    reason: str
    at_ms: int


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
    | OpenWindow
    | AdvanceWindow
    | CloseWindow
    | Instruct
    | SettleInstructions
    | DropInstructions
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
