"""A payment on the deferred or LBTR rail: its states, its record, its entries.

    ACSP -> ACSC    its cycle was settled with it, or the LBTR paid it
    ACSP -> RJCT    its cycle was settled without it, or it was taken out of the LBTR's queue

It is ACSP from the moment its money is held, on disk, and nothing but settlement ends it.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scheme.errors import IllegalEvent
from scheme.ledger import DEFERRED, LBTR, Account, Entry, Instruct
from scheme.network import Participant
from switch.core.entries import DEFERRED_RAIL, LBTR_RAIL, entries_of, legs, settler


class PaymentState(StrEnum):
    """Where a payment stands, as ISO 20022 spells it."""

    ACSP = "ACSP"
    ACSC = "ACSC"
    RJCT = "RJCT"


class PaymentSettled(Struct, frozen=True, gc=False):
    """Its cycle, or the LBTR, moved its money."""


class PaymentFailed(Struct, frozen=True, gc=False):
    """Its money will not be moved.

    Attributes:
        why: in words, for people.
    """

    why: str


Event = PaymentSettled | PaymentFailed

_S = PaymentState
TRANSITIONS: Final[Mapping[tuple[PaymentState, type[Event]], PaymentState]] = {
    (_S.ACSP, PaymentSettled): _S.ACSC,
    (_S.ACSP, PaymentFailed): _S.RJCT,
}
PAYMENT_STATES: Final = frozenset(PaymentState)
"""No transfer of another rail is ever in one of these."""

RAILS: Final = (DEFERRED_RAIL, LBTR_RAIL)
RETURN_FACT: Final = "return:"
"""Prefix of the facts that keep what a return said; its id follows."""
CUSTOMER: Final = "customer"
"""Kind of the instructions that carry payments of the LBTR rail."""


def advance(state: PaymentState, event: Event) -> PaymentState:
    """Apply one event.

    Raises:
        IllegalEvent: the payment has ended before; nothing changes.
    """
    target = TRANSITIONS.get((state, type(event)))
    if target is None:
        raise IllegalEvent(f"{type(event).__name__} in {state}")
    return target


class PaymentRecord(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """A payment as the switch remembers it.

    Attributes:
        key: the caller's Idempotency-Key.
        digest: of what moves money and where, to tell a repeat from another payment.
        window: of the exchange cycle; empty on the LBTR rail.
        settlement_date: ``yyyyMMdd``.
        instruction: in the LBTR's queue; empty where no settling participant pays another.
        answer: what the caller was told, byte for byte.
        why: why it was rejected, in words; empty before.
    """

    payment_id: str
    key: str
    digest: str
    debtor_agent: str
    debtor_cci: str
    creditor_agent: str
    creditor_cci: str
    amount: int
    fee: int
    currency: str
    rail: str
    description: str
    window: str
    settlement_date: str
    instruction: str
    created_ms: int
    answer: bytes = b""
    why: str = ""
    ended_ms: int = 0

    @property
    def total(self) -> int:
        """Interbank settlement amount: amount and fee."""
        return self.amount + self.fee


_encoder: Final = msgspec.msgpack.Encoder()
_payments: Final = msgspec.msgpack.Decoder(PaymentRecord)


def pack_payment(record: PaymentRecord) -> bytes:
    """Return a payment as stored."""
    return _encoder.encode(record)


def unpack_payment(data: bytes) -> PaymentRecord:
    """Read a stored payment."""
    return _payments.decode(data)


def ended(record: PaymentRecord, event: Event, at_ms: int) -> tuple[PaymentState, PaymentRecord]:
    """Return the end of a payment that is ACSP, and its record with it."""
    state = advance(PaymentState.ACSP, event)
    why = event.why if isinstance(event, PaymentFailed) else ""
    return state, replace(record, why=why, ended_ms=at_ms)


def ledger_key(agent: str, key: str) -> str:
    """Return the idempotency key of a payment, scoped to its debtor's agent."""
    return f"pay:{agent}:{key}"


def payment_id(agent: str, key: str, date: str, time: str) -> str:
    """Compose the id of a payment: 33 characters, so that a message's id of its own fits in 35.

    Ids of payments begin with a letter, those of other transfers with a digit, and in their
    order they are in the order of time.

    Args:
        date, time: ``yyyyMMdd`` and ``HHmmss`` in Lima.
    """
    return f"P{date}{time}-{agent}-{_short(ledger_key(agent, key))}"


def return_id(transfer_id: str, key: str) -> str:
    """Compose the id of a return: 25 characters, the same for the same key for ever."""
    return f"R{_short(f'return:{transfer_id}:{key}', 24)}"


def _short(text: str, characters: int = 12) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:characters]


def entries(
    debtor: Participant,
    creditor: Participant,
    *,
    rail: str,
    currency: str,
    amount: int,
    fee: int,
    window: str,
) -> tuple[Entry, ...]:
    """Return what settlement will post, the debtor's own position first.

    Args:
        window: of the exchange cycle; the sponsors' books have none.
    """
    return entries_of(
        legs(rail, debtor, creditor),
        currency=currency,
        minor=amount,
        fee=fee,
        window=lambda ledger: window if ledger == DEFERRED else "",
    )


def instruct(
    debtor: Participant,
    creditor: Participant,
    *,
    payment: str,
    currency: str,
    minor: int,
    at_ms: int,
) -> Instruct | None:
    """Return the payment between current accounts that the LBTR is to queue.

    None where both institutions settle in the same account: the sponsor's books are enough.
    """
    payer, payee = settler(debtor), settler(creditor)
    if payer == payee:
        return None
    return Instruct(
        instruction_id=f"{payment}:{CUSTOMER}",
        kind=CUSTOMER,
        subject=payment,
        debit=Account(ledger=LBTR, currency=currency, owner=payer),
        credit=Account(ledger=LBTR, currency=currency, owner=payee),
        minor=minor,
        at_ms=at_ms,
    )
