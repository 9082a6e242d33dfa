"""How the switch remembers a verification and a transfer: compact, versioned by the store."""

from typing import Final

import msgspec
from msgspec import Struct

from scheme.messages import AV1, CT1
from switch.core.rails import Rail


class Binding(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """What an AV4 00 fixed: a CT1 that quotes it must agree with this.

    Attributes:
        requested_creditor: creditorParticipantCode as AV1 named it, maybe a directory's.
        creditor_agent: the entity found.
        alias: phone or token that led to the account, if one did.
    """

    instruction_id: str
    debtor_agent: str
    debtor_id_code: str
    debtor_id: str
    requested_creditor: str
    creditor_agent: str
    creditor_cci: str | None
    creditor_card: str | None
    currency: str
    transaction_type: str
    channel: str
    created_ms: int
    alias: str | None = None


class VerificationRecord(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """A finished verification.

    Attributes:
        content: digest-free content of its key, to tell a repeat from another query.
        answer: the AV4 as it was given, unsigned.
        binding: present if it was accepted.
    """

    instruction_id: str
    content: tuple[str | None, ...]
    answer: bytes
    response_code: str
    reason: str
    rule: str
    created_ms: int
    binding: Binding | None = None


class TransferRecord(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """An order and, once decided, its outcome.

    Attributes:
        ct1: the order as decoded.
        creditor_agent: the entity found, where the order named a directory.
        window, network_window: those of its national entries and of the network's; empty where
            it has none.
        rail: the one that carries it, or would have.
        explanation: what was said of each rail, as ``switch.core.routing`` stores it.
        named_debtor: what its debtor's agent is called to the creditor's.
        answer: the CT4 as it was given, unsigned; empty while undecided.
        sent: the exact request that a single-message creditor got, without its MAC.
        entered: what moves money in the order as it came by another wire, to tell a repeat.
        decided_by: ``clearing_house``, ``creditor``, ``timer`` or ``debtor``.
        rule: why: field and rule of a refusal of ``switch.core.rules``; empty if it was posted.
    """

    ct1: CT1
    instruction_id: str
    requested_creditor: str
    creditor_agent: str
    settlement_date: str
    window: str
    created_ms: int
    response_code: str = ""
    reason: str = ""
    answer: bytes = b""
    decided_by: str = ""
    rule: str = ""
    decided_ms: int = 0
    cancellation_id: str = ""
    rail: str = Rail.TIN
    explanation: str = ""
    network_window: str = ""
    named_debtor: str = ""
    sent: bytes = b""
    entered: str = ""

    @property
    def debtor_outside(self) -> str:
        """What the creditor's agent knows the debtor's agent by."""
        return self.named_debtor or self.ct1.debtorParticipantCode


class Tombstone(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """An order that never became a transfer, and never will.

    It was asked about or taken back, and is not known; or, with a reason, it came by another
    wire and was refused before there was anything to reserve.

    Attributes:
        reason: why it was refused; empty of one that never came.
        rule: field and rule behind that.
        content: what moves money in it, as ``TransferRecord.entered``.
    """

    instruction_id: str
    creditor_agent: str
    created_ms: int
    reason: str = ""
    rule: str = ""
    content: str = ""


CLAIM_PREFIX: Final = "quoted:"
"""First letters of the ids of tombstones that keep a verification for the order that quoted it."""
CASH_PREFIX: Final = "W"
_OTHER_KINDS: Final = ("P", CASH_PREFIX)
"""First letters of the ids of what is no order; an order's begins with its date."""

_encoder: Final = msgspec.msgpack.Encoder()
_transfers: Final = msgspec.msgpack.Decoder(TransferRecord)
_tombstones: Final = msgspec.msgpack.Decoder(Tombstone)
_verifications: Final = msgspec.msgpack.Decoder(VerificationRecord)


def pack(record: TransferRecord | VerificationRecord | Tombstone) -> bytes:
    """Return a record as stored."""
    return _encoder.encode(record)


def unpack_transfer(data: bytes) -> TransferRecord:
    """Read a stored transfer."""
    return _transfers.decode(data)


def unpack_tombstone(data: bytes) -> Tombstone:
    """Read what is remembered of an order that never was."""
    return _tombstones.decode(data)


def unpack_verification(data: bytes) -> VerificationRecord:
    """Read a stored verification."""
    return _verifications.decode(data)


def is_other_kind(transfer_id: str) -> bool:
    """Tell whether what has this id is no order: a payment of the slow rails, or cash."""
    return transfer_id.startswith(_OTHER_KINDS)


def is_cash(transfer_id: str) -> bool:
    """Tell whether what has this id is cash at a machine."""
    return transfer_id.startswith(CASH_PREFIX)


def query_content(av1: AV1) -> tuple[str | None, ...]:
    """Return what makes two AV1 under one key the same query."""
    return (
        av1.debtorParticipantCode,
        av1.creditorParticipantCode,
        av1.creditorCCI,
        av1.creditorCreditCard,
        av1.creditorMobileNumber,
        av1.proxyValue,
        av1.currency,
        av1.transactionType,
    )


def is_same_order(ct1: CT1, record: TransferRecord) -> bool:
    """Tell whether a CT1 under a known key moves the same money.

    Parties, accounts, amount, fee, currency and type count, and nothing else: a resend is by
    nature not identical. A directory's code stands for the entity it was resolved to.
    """
    first = record.ct1
    entity = (record.creditor_agent, record.requested_creditor)
    code, first_code = ct1.creditorParticipantCode, first.creditorParticipantCode
    return (
        # An order refused because it named a third one is repeated with that name.
        (code == first_code or (code in entity and first_code in entity))
        and ct1.debtorCCI == first.debtorCCI
        and ct1.creditorCCI == first.creditorCCI
        and ct1.creditorCreditCard == first.creditorCreditCard
        and ct1.amount == first.amount
        and ct1.feeAmount == first.feeAmount
        and ct1.currency == first.currency
        and ct1.transactionType == first.transactionType
    )


def order_key(ct1: CT1) -> str:
    """Return the idempotency key of an order, scoped to its debtor's agent."""
    return f"{ct1.debtorParticipantCode}:{ct1.referenceTransactionId}"
