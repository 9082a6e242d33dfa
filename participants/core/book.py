"""The book of an institution: its accounts, and the orders it has received and sent.

Orders are values: a change is a new one, saved whole. ``sequence`` grows with every change, over
the whole fleet, so whoever reads on from the last number seen misses nothing.
"""

from enum import StrEnum

from msgspec import Struct


class AccountStatus(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "ACTIVE"
    BLOCKED = "BLOCKED"
    CLOSED = "CLOSED"


class Account(Struct, kw_only=True, gc=False):
    """One account. Its balance and holds change; nothing else does.

    Attributes:
        participant: the institution that keeps it.
        currency: PEN or USD.
        affiliated: takes payments by alias.
        opening: what it was opened with, in minor units.
        balance: booked, in minor units.
        held: set aside for orders that are pending.
    """

    cci: str
    participant: str
    name: str
    document: str
    document_code: str
    phone: str
    address: str | None
    currency: str
    status: str
    affiliated: bool
    balance: int
    held: int = 0
    opening: int = 0

    @property
    def available(self) -> int:
        """What may be spent."""
        return self.balance - self.held


class CreditState(StrEnum):
    """Where an order received stands. FINAL has moved money, UNDONE has moved it there and back."""

    HELD = "HELD"
    REFUSED = "REFUSED"
    FINAL = "FINAL"
    REJECTED = "REJECTED"
    UNDONE = "UNDONE"


class CreditOrder(Struct, kw_only=True, frozen=True, gc=False):
    """An order received: what CT2 said, and what became of it.

    Attributes:
        instruction_id: of the CT2.
        cci: the account to be credited.
        currency: digits, as on the wire.
        reason: why it was refused or rejected.
        reference: instructionId of the query that went before; empty if no CT2 ever came.
        day: Lima date on which it was credited, ``yyyyMMdd``; empty until then.
        enquiries: how often the clearing house was asked about it.
        enquiry_ms: when it is asked next, milliseconds since the epoch.
        at_ms: last change.
    """

    participant: str
    instruction_id: str
    state: CreditState
    debtor_agent: str = ""
    debtor_cci: str = ""
    cci: str = ""
    amount: int = 0
    fee: int = 0
    settlement: int = 0
    currency: str = ""
    channel: str = ""
    created_date: str = ""
    created_time: str = ""
    reference: str = ""
    reason: str = ""
    day: str = ""
    enquiries: int = 0
    enquiry_ms: int = 0
    at_ms: int = 0
    sequence: int = 0


class DebitState(StrEnum):
    """Where an order sent stands."""

    PENDING = "PENDING"
    FINAL = "FINAL"
    REJECTED = "REJECTED"
    NOT_SENT = "NOT_SENT"


class DebitOrder(Struct, kw_only=True, frozen=True, gc=False):
    """An order sent: the CT1 as it left, and what became of it.

    Attributes:
        order_id: our own, sent as ``transactionReference``.
        ct1: the JSON of the first send; a repeat differs in ``messageTypeId`` alone.
        cci: the account debited.
        currency: digits, as on the wire.
        verification_id: instructionId of the AV4 that it quotes.
        instruction_id: of the transfer; empty until the CT4.
        day: Lima date on which it was made, ``yyyyMMdd``.
        key, digest: Idempotency-Key of the request that made it, and what the request said.
        sent: how often it left.
        at_ms: last change.
    """

    participant: str
    order_id: str
    state: DebitState
    ct1: bytes
    cci: str
    creditor_agent: str
    creditor_cci: str
    creditor_name: str
    amount: int
    fee: int
    currency: str
    channel: str
    trace: str
    verification_id: str
    instruction_id: str = ""
    response_code: str = ""
    reason: str = ""
    day: str = ""
    key: str = ""
    digest: str = ""
    created_ms: int = 0
    at_ms: int = 0
    sequence: int = 0

    @property
    def total(self) -> int:
        """What the customer pays."""
        return self.amount + self.fee


class Balance(Struct, frozen=True, gc=False):
    """An account's money as it stood when a change was saved."""

    cci: str
    balance: int
    held: int


class Role(StrEnum):
    """On which side of an order an institution stands.

    A refund is the debtor's money back; an undo takes back what a creditor was given.
    """

    DEBTOR = "debtor"
    CREDITOR = "creditor"
    REFUND = "refund"
    UNDO = "undo"


class RailState(StrEnum):
    """Where a payment stands in this book."""

    PENDING = "PENDING"
    FINAL = "FINAL"
    REJECTED = "REJECTED"
    REFUSED = "REFUSED"
    UNAPPLIED = "UNAPPLIED"


class RailPayment(Struct, kw_only=True, frozen=True, gc=False):
    """A payment or return as this book has it.

    Attributes:
        payment_id: the clearing house's id of it; of a return, the return's.
        role: debtor gives, creditor gets.
        currency: PEN or USD.
        rail: ``deferred``, ``lbtr`` or ``return``; at machines and agents ``cash``, and
            ``cash-return`` for what was not dispensed.
        original: the transfer that a return takes back, else empty.
        reason: why it was rejected, returned or could not be applied.
        at_ms: last change.
    """

    participant: str
    payment_id: str
    role: Role
    state: RailState
    counterparty: str
    cci: str
    amount: int
    fee: int
    currency: str
    rail: str
    original: str = ""
    reason: str = ""
    at_ms: int = 0
    sequence: int = 0

    @property
    def total(self) -> int:
        """What a debtor's customer pays."""
        return self.amount + self.fee


class LaneRequest(Struct, kw_only=True, frozen=True, gc=False):
    """A financial request of the ISO 8583 lane, kept so that its repeats get the same answer.

    Attributes:
        key: ``DE32:DE11:DE37:DE13``, of a reversal those of its original.
        subject: the clearing house's id of what was asked; empty if only its reversal came.
        content: what moves money in it, to tell a repeat from another request.
        answer: the elements of its answer as JSON; empty if it never came.
        undo: the elements of its reversal's answer as JSON; empty until it is reversed.
    """

    participant: str
    key: str
    subject: str = ""
    content: str = ""
    answer: str = ""
    undo: str = ""
    at_ms: int = 0


class CashState(StrEnum):
    """Where an order of a machine stands.

    ASKED is written before its request leaves, so that an end without notice is never taken for
    a dispensed note: whoever starts again reverses it.
    """

    ASKED = "ASKED"
    DECLINED = "DECLINED"
    APPROVED = "APPROVED"
    REVERSING = "REVERSING"
    REVERSED = "REVERSED"
    DISPUTED = "DISPUTED"


class CashOrder(Struct, kw_only=True, frozen=True, gc=False):
    """A withdrawal or deposit at a machine of ours.

    Attributes:
        cash_id: our own.
        kind: ``withdrawal`` or ``deposit``.
        cci: the machine's till.
        fee: interbank fee of a deposit.
        currency: PEN or USD.
        dispensed: minor units handed out, as far as known.
        transfer_id: the clearing house's id; empty until an answer names it.
        counterparty: of a deposit, the institution paid; of a withdrawal empty.
        reversal: the elements of the 0420 that is owed if this ends badly, as JSON. It has no PIN
            block and no code in it.
    """

    participant: str
    cash_id: str
    kind: str
    state: CashState
    cci: str
    amount: int
    currency: str
    reversal: str
    fee: int = 0
    dispensed: int = 0
    transfer_id: str = ""
    counterparty: str = ""
    response_code: str = ""
    reason: str = ""
    at_ms: int = 0


class Posting(Struct, frozen=True, gc=False):
    """What an order did to an account's balance. Written once per order and role, never changed.

    Attributes:
        order_id: of the order in this book: the instructionId of one received, our own of one sent.
        minor: above zero for a credit, below for a debit.
    """

    role: Role
    order_id: str
    cci: str
    minor: int


class Change(Struct, kw_only=True, frozen=True, gc=False):
    """What is saved together or not at all.

    Attributes:
        postings: what moved the balances, if anything did.
        facts: named values of the participant: its session, its peers.
    """

    participant: str
    credit: CreditOrder | None = None
    debit: DebitOrder | None = None
    rail_payment: RailPayment | None = None
    lane: LaneRequest | None = None
    cash: CashOrder | None = None
    balances: tuple[Balance, ...] = ()
    postings: tuple[Posting, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


class Movement(Struct, kw_only=True, frozen=True, gc=False):
    """An order as the control API tells of it, with its latest state."""

    sequence: int
    instruction_id: str | None
    verification_id: str | None
    role: str
    state: str
    counterparty: str | None
    cci: str
    amount: int
    fee: int
    settlement: int
    currency: str
    reason_code: str | None
    at: str
    rail: str = "tin"


class Difference(Struct, frozen=True, gc=False):
    """A figure of the book that a recount does not confirm.

    Attributes:
        what: ``balance``, ``held`` or ``posting``.
        subject: the account's CCI; for a posting, the order's instructionId or our own id.
    """

    what: str
    subject: str
    recorded: int
    recounted: int


class Recount(Struct, kw_only=True, frozen=True, gc=False):
    """What a recount of an institution's whole book found.

    Attributes:
        differences: the first of each kind.
    """

    clean: bool
    accounts: int
    postings: int
    differences: tuple[Difference, ...]


def balance_of(account: Account) -> Balance:
    """Return what of an account is saved with a change."""
    return Balance(account.cci, account.balance, account.held)
