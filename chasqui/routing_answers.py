"""What the operator API answers about routes, breakers, preferences, payments and returns.

Amounts are in minor units. Unknown members are ignored: a newer country may say more.
"""

from msgspec import Struct

from chasqui.answers import Considered, EntryRow, OwedRow, ReturnRow


class RouteRefusal(Struct, frozen=True, kw_only=True):
    """Why no rail carries an order."""

    reason: str = ""
    rule: str = ""
    text: str = ""


class RouteAnswer(Struct, frozen=True, kw_only=True):
    """GET /routes.

    Attributes:
        rail: what would carry the order; None if nothing would.
        plaza: ``M`` same, ``O`` other, ``E`` exclusive.
    """

    rail: str | None = None
    fee: int = 0
    plaza: str = ""
    refused: RouteRefusal | None = None
    considered: tuple[Considered, ...] = ()


class Breaker(Struct, frozen=True, kw_only=True):
    """A row of GET /breakers.

    Attributes:
        requests, failed: since the last change of state.
        rule: what opens it.
        since: of this state; None: it never changed.
        opens_at: when it opens if everything goes on failing.
        half_opens_at: when an open one is tried again.
        forced: an operator opened it, and must close it.
    """

    participant: str
    rail: str
    state: str
    requests: int = 0
    failed: int = 0
    rule: str = ""
    since: str | None = None
    opens_at: str | None = None
    half_opens_at: str | None = None
    forced: bool = False


class BreakersAnswer(Struct, frozen=True):
    """GET /breakers."""

    breakers: tuple[Breaker, ...] = ()


class Preference(Struct, frozen=True, kw_only=True):
    """A row of GET /preferences: rails of one pair of institutions, the first one first."""

    debtor: str
    creditor: str
    rails: tuple[str, ...] = ()


class PreferencesAnswer(Struct, frozen=True):
    """GET /preferences."""

    preferences: tuple[Preference, ...] = ()


class PaymentRow(Struct, frozen=True, kw_only=True):
    """POST /payments, a row of GET /payments, and the facts of GET /payments/{id}.

    Attributes:
        status: ``ACSP`` until its cycle or queue settles, then ``ACSC`` or ``RJCT``.
        window: of the deferred rail; empty on the LBTR rail, which has a queue.
        why: why it was rejected; empty if it was not.
        considered: only in the answer to POST.
    """

    payment_id: str
    status: str
    rail: str
    debtor_agent: str = ""
    creditor_agent: str = ""
    debtor_cci: str = ""
    creditor_cci: str = ""
    amount: int = 0
    fee: int = 0
    currency: str = "PEN"
    description: str = ""
    window: str | None = None
    instruction: str | None = None
    settlement_date: str | None = None
    why: str = ""
    created_at: str | None = None
    ended_at: str | None = None
    considered: tuple[Considered, ...] = ()


class PaymentsPage(Struct, frozen=True):
    """GET /payments."""

    payments: tuple[PaymentRow, ...] = ()
    next: str | int | None = None


class PaymentDetail(Struct, frozen=True, kw_only=True):
    """GET /payments/{id}."""

    payment: PaymentRow
    considered: tuple[Considered, ...] = ()
    entries: tuple[EntryRow, ...] = ()
    owed: tuple[OwedRow, ...] = ()
    returns: tuple[ReturnRow, ...] = ()
