"""What the operator API and the test hooks answer, as far as the command line reads it.

Amounts are in minor units. Unknown members are ignored: a newer country may say more.
"""

from typing import Any

from msgspec import Struct, field


class Problem(Struct, frozen=True):
    """The answer to a request that could not be served."""

    error: str = ""
    field: str | None = None
    hint: str = ""


class Done(Struct, frozen=True):
    """An answer of which only the success matters."""


class Resent(Struct, frozen=True):
    """POST /stuck/resend: how many messages are on their way."""

    resent: int = 1


class Participant(Struct, frozen=True, kw_only=True):
    """A row of GET /participants."""

    code: str
    name: str
    kind: str = ""
    simulated: bool = True
    url: str | None = None
    hook_url: str | None = None
    signed_on: bool = False
    blocked: bool = False
    jws: bool = False
    lane: str = "tin"
    ledger: str = "national"
    sponsor: str | None = None
    owed: int = 0


class ParticipantsAnswer(Struct, frozen=True):
    """GET /participants."""

    participants: tuple[Participant, ...]


class Position(Struct, frozen=True, kw_only=True):
    """A row of GET /positions."""

    ledger: str
    currency: str
    participant: str
    balance: int
    reserved: int
    available: int
    low: int = 0
    high: int = 0
    cap: int = 0
    alerted: bool = False


class PositionsAnswer(Struct, frozen=True):
    """GET /positions."""

    positions: tuple[Position, ...]


class PositionAnswer(Struct, frozen=True):
    """The answer to a funding or drawdown."""

    position: Position


class Transfer(Struct, frozen=True, kw_only=True):
    """A row of GET /transfers."""

    instruction_id: str
    state: str
    response_code: str | None = None
    reason_code: str | None = None
    debtor_agent: str = ""
    creditor_agent: str = ""
    amount: int = 0
    fee: int = 0
    currency: str = "PEN"
    created_at: str | None = None
    decided_at: str | None = None
    elapsed_ms: float | None = None
    verification_id: str | None = None
    reference: str | None = None
    channel: str | None = None
    settlement_date: str | None = None
    window: str | None = None


class TransfersPage(Struct, frozen=True):
    """GET /transfers."""

    transfers: tuple[Transfer, ...]
    next: str | int | None = None


class TimelineRow(Struct, frozen=True, kw_only=True):
    """One message on the wire, or one decision of the clearing house."""

    at: str | None = None
    message: str = ""
    sender: str | None = field(name="from", default=None)
    receiver: str | None = field(name="to", default=None)
    http_status: int | None = None
    ms: float | None = None
    bytes: int | None = None
    body: Any = None
    note: str | None = None
    response_code: str | None = None
    reason_code: str | None = None


class WireRow(TimelineRow, frozen=True, kw_only=True):
    """A row of GET /wire: a message, and the id it was kept under, if any."""

    subject: str | None = None


class WireAnswer(Struct, frozen=True):
    """GET /wire."""

    messages: tuple[WireRow, ...]


class EntryRow(Struct, frozen=True, kw_only=True):
    """One posting: money that left ``debit`` and reached ``credit``."""

    kind: str = ""
    ledger: str = ""
    currency: str = "PEN"
    debit: str = ""
    credit: str = ""
    minor: int = 0
    amount: int | None = None
    window: str = ""


class OwedRow(Struct, frozen=True, kw_only=True):
    """A message owed to a participant, or a transfer that waits."""

    owed_id: str | None = None
    instruction_id: str | None = None
    participant: str | None = None
    message: str | None = None
    age_s: float | None = None
    attempts: int | None = None


class Considered(Struct, frozen=True, kw_only=True):
    """A rail that was looked at for a payment.

    Attributes:
        rule: name of the rule that took it or left it out; ``text`` says it in words.
        fee: what the payer would pay, where it is known.
    """

    rail: str
    taken: bool = False
    rule: str = ""
    text: str = ""
    fee: int | None = None


class Decision(Struct, frozen=True):
    """Who decided a transfer, and by which rule.

    Attributes:
        rule: field and text of a refusal; empty if it was accepted.
        decided_by: ``creditor``, ``clearing_house``, ``timer``, or empty while nobody has.
        rail: by which it went; empty if no rail carried it.
        considered: the rails that were looked at, in order.
    """

    rule: str = ""
    decided_by: str = ""
    rail: str | None = None
    considered: tuple[Considered, ...] = ()


class ReturnRow(Struct, frozen=True, kw_only=True):
    """What went back of a transfer: POST /transfers/{id}/returns, and a row of GET.

    Attributes:
        left: what can still be returned.
        windows: by ledger, the window of the dispute cycle that it settles in.
    """

    return_id: str
    transfer_id: str = ""
    debtor_agent: str = ""
    creditor_agent: str = ""
    amount: int = 0
    currency: str = "PEN"
    reason: str = ""
    at: str | None = None
    left: int | None = None
    windows: dict[str, str] = {}


class ReturnsAnswer(Struct, frozen=True):
    """GET /transfers/{id}/returns, and a page of GET /returns."""

    returns: tuple[ReturnRow, ...] = ()
    next: str | int | None = None


class TransferDetail(Struct, frozen=True, kw_only=True):
    """GET /transfers/{id}.

    Attributes:
        returns: from GET /transfers/{id}/returns.
    """

    transfer: Transfer | None = None
    timeline: tuple[TimelineRow, ...] = ()
    entries: tuple[EntryRow, ...] = ()
    owed: tuple[OwedRow, ...] = ()
    decision: Decision = Decision()
    explanation: str = ""
    returns: tuple[ReturnRow, ...] = ()


class Stuck(Struct, frozen=True, kw_only=True):
    """GET /stuck."""

    in_flight: tuple[OwedRow, ...] = ()
    expired_uncancelled: tuple[OwedRow, ...] = ()
    ct5_owed: tuple[OwedRow, ...] = ()
    parked: tuple[OwedRow, ...] = ()
    disputed: tuple[OwedRow, ...] = ()
    notices_owed: tuple[OwedRow, ...] = ()


class Difference(Struct, frozen=True, kw_only=True):
    """A figure of the ledger, or of an institution's book, that a recount does not confirm."""

    what: str
    subject: str
    recorded: int
    recounted: int


class Audit(Struct, frozen=True, kw_only=True):
    """GET /audit: whether the ledger agrees with itself."""

    clean: bool
    differences: tuple[Difference, ...] = ()
    transfers: int = 0
    entries: int = 0


class Recount(Struct, frozen=True, kw_only=True):
    """GET /control/audit: whether an institution's book agrees with itself."""

    clean: bool
    differences: tuple[Difference, ...] = ()


class Account(Struct, frozen=True, kw_only=True):
    """An account as a test hook shows it."""

    name: str
    cci: str
    participant: str
    phone: str | None = None
    currency: str = "PEN"
    balance: int | None = None
    held: int | None = None
    available: int | None = None
    status: str | None = None
    card: str | None = None


class AccountsPage(Struct, frozen=True):
    """GET /control/accounts."""

    accounts: tuple[Account, ...]
    next: str | int | None = None


class Movement(Struct, frozen=True, kw_only=True):
    """A row of a participant's own book. What it does not say is not compared."""

    sequence: int
    role: str
    state: str
    instruction_id: str | None = None
    verification_id: str | None = None
    counterparty: str | None = None
    amount: int = 0
    fee: int | None = None
    settlement: int | None = None
    currency: str = "PEN"


class MovementsPage(Struct, frozen=True):
    """GET /control/movements."""

    movements: tuple[Movement, ...]
    next: int | None = None


class Leg(Struct, frozen=True, kw_only=True):
    """One message of a payment as its sender saw it.

    Attributes:
        operation: of a frame of ISO 8583, the first two digits of DE3.
    """

    message: str
    operation: str = ""
    sender: str | None = field(name="from", default=None)
    receiver: str | None = field(name="to", default=None)
    ms: float | None = None
    response_code: str | None = None
    reason_code: str | None = None


class Candidate(Struct, frozen=True):
    """An entity at which a phone can be paid."""

    code: str
    directory: str = ""


class Creditor(Struct, frozen=True, kw_only=True):
    """Who is paid, masked."""

    name: str | None = None
    cci: str | None = None
    participant: str | None = None


class Payment(Struct, frozen=True, kw_only=True):
    """POST /control/payments."""

    state: str
    instruction_id: str | None = None
    verification_id: str | None = None
    response_code: str | None = None
    reason_code: str | None = None
    explanation: str = ""
    not_sent_because: str | None = None
    field: str | None = None
    elapsed_ms: float | None = None
    legs: tuple[Leg, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    chosen: str | None = None
    creditor: Creditor | None = None
    amount: int | None = None
    fee: int | None = None
    currency: str = "PEN"


class Lookup(Struct, frozen=True, kw_only=True):
    """POST /control/lookups."""

    state: str
    candidates: tuple[Candidate, ...] = ()
    reason_code: str | None = None
    explanation: str = ""
    ms: float | None = None


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """POST /control/session."""

    response_code: str | None = None
    reason_code: str | None = None
