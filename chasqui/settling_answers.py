"""What the operator API answers about windows, batches and the ledgers of money.

A batch and its settlement are ``scheme.batch``'s. Amounts are in minor units; instants named
``_ms`` are milliseconds since the epoch.
"""

from msgspec import Struct

from scheme.batch import Batch, Settlement


class Window(Struct, frozen=True, kw_only=True):
    """A row of GET /windows and GET /batches.

    Attributes:
        held: transfers of it that still hold money.
        closed_ms: when its batch was made; 0 before.
    """

    window: str
    cycle: str
    currency: str
    settlement_date: str
    number: int
    state: str
    held: int = 0
    opens_ms: int = 0
    closes_ms: int = 0
    closed_ms: int = 0


class WindowsAnswer(Struct, frozen=True):
    """GET /windows."""

    windows: tuple[Window, ...] = ()


class BatchesAnswer(Struct, frozen=True):
    """GET /batches."""

    batches: tuple[Window, ...] = ()


class Instructed(Struct, frozen=True, kw_only=True):
    """A payment in a ledger of money.

    Attributes:
        state: ``QUEUED``, ``SETTLED`` or ``DROPPED``.
        reason: why it was dropped.
    """

    instruction: str
    kind: str
    ledger: str
    currency: str
    debit: str
    credit: str
    amount: int
    state: str
    subject: str = ""
    reason: str = ""
    queued_ms: int = 0
    settled_ms: int = 0


class SettlementView(Settlement, frozen=True, kw_only=True):
    """How far a settlement is, with its payments."""

    instructions: tuple[Instructed, ...] = ()


class BatchAnswer(Struct, frozen=True, kw_only=True):
    """GET /batches/{id}."""

    batch: Batch
    settlement: SettlementView


class SettlementAnswer(Struct, frozen=True, kw_only=True):
    """The answer to an approval or a retry."""

    batch: str
    settlement: Settlement


class MoneyAccount(Struct, frozen=True, kw_only=True):
    """A row of GET /lbtr.

    Attributes:
        account: participant code, ``<code>:prefund``, ``settlement`` or ``guarantee``.
        credit: intraday credit.
    """

    ledger: str
    currency: str
    account: str
    balance: int
    reserved: int = 0
    available: int = 0
    credit: int = 0


class MoneyAnswer(Struct, frozen=True):
    """GET /lbtr."""

    accounts: tuple[MoneyAccount, ...] = ()


class QueueAnswer(Struct, frozen=True):
    """GET /lbtr/queue."""

    queue: tuple[Instructed, ...] = ()
