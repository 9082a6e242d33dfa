"""The life of a transfer: states, events, and the one table of legal moves.

    RESERVED -> POSTING -> POSTED -> CONFIRMED
    RESERVED -> REFUSING -> REJECTED
    RESERVED -> REFUSING -> EXPIRED -> CANCELLED | DISPUTED
    RESERVED -> POSTING -> CONFIRMED        a creditor that posts on the order itself

An outcome is decided once, in memory, when its event is handled: the transfer is then POSTING or
REFUSING, and only the disk's answer leads out. TOMBSTONE is the end of an order that a crash
forgot, and of one whose reversal came first: it was never issued again and is never posted
(docs/architecture.md#money).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, assert_never

from msgspec import Struct

from scheme.errors import IllegalEvent
from scheme.reasons import ReasonCode


class TransferState(StrEnum):
    """Where a transfer stands."""

    RESERVED = "RESERVED"
    POSTING = "POSTING"
    POSTED = "POSTED"
    CONFIRMED = "CONFIRMED"
    REFUSING = "REFUSING"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    DISPUTED = "DISPUTED"
    TOMBSTONE = "TOMBSTONE"


_S = TransferState

PAID: Final = frozenset({_S.POSTING, _S.POSTED, _S.CONFIRMED})
"""States in which the creditor gets the money, now or in a moment."""
UNDECIDED: Final = frozenset({_S.RESERVED, _S.POSTING, _S.REFUSING})
"""States without an outcome on disk."""


class CreditorAccepted(Struct, frozen=True, gc=False):
    """The creditor's agent authorised the order (CT3 00, 0210 00)."""


class CreditorPosted(Struct, frozen=True, gc=False):
    """A single-message creditor accepted the order, so it has posted it (0210 00)."""


class CreditorRefused(Struct, frozen=True, gc=False):
    """The creditor's agent refused the order with its own reason."""

    reason: str


class CreditorUnreachable(Struct, frozen=True, gc=False):
    """No connection was ever established: the creditor's agent cannot hold the order."""


class AnswerOverdue(Struct, frozen=True, gc=False):
    """The creditor's agent stayed silent past the expiry, or never made sense."""


class DebtorReversed(Struct, frozen=True, gc=False):
    """The debtor's agent took an order back that was still open (its 0420)."""


class PostingStored(Struct, frozen=True, gc=False):
    """The posting is on disk, and the creditor's agent is owed its confirmation."""


class FinalPostingStored(Struct, frozen=True, gc=False):
    """The posting is on disk, and the creditor's agent has posted already."""


class RefusalStored(Struct, frozen=True, gc=False):
    """The refusal is on disk."""


class ExpiryStored(Struct, frozen=True, gc=False):
    """The expiry is on disk."""


class ConfirmationDelivered(Struct, frozen=True, gc=False):
    """The creditor's agent acknowledged the confirmation (CT5)."""


class CancellationDelivered(Struct, frozen=True, gc=False):
    """The creditor's agent acknowledged the cancellation (CTC2; 0430 with 00 or 25)."""


class CancellationRefused(Struct, frozen=True, gc=False):
    """A single-message creditor will not undo what it has posted: a person decides."""


Event = (
    CreditorAccepted
    | CreditorPosted
    | CreditorRefused
    | CreditorUnreachable
    | AnswerOverdue
    | DebtorReversed
    | PostingStored
    | FinalPostingStored
    | RefusalStored
    | ExpiryStored
    | ConfirmationDelivered
    | CancellationDelivered
    | CancellationRefused
)
StoredEvent = PostingStored | FinalPostingStored | RefusalStored | ExpiryStored


class PostMoney(Struct, frozen=True, gc=False):
    """Turn the reservation into postings; ``then`` is the event of the disk's answer."""

    then: StoredEvent


class ReleaseMoney(Struct, frozen=True, gc=False):
    """Give the reservation back; ``then`` is the event of the disk's answer."""

    then: StoredEvent


class Owe(Struct, frozen=True, gc=False):
    """Owe the creditor's agent a message: the confirmation, or the cancellation."""

    what: str


class AnswerDebtor(Struct, frozen=True, gc=False):
    """Tell the debtor's agent the outcome, once it is on disk."""

    response_code: str
    reason: str | None = None


Effect = PostMoney | ReleaseMoney | Owe | AnswerDebtor

CONFIRMATION: Final = "confirmation"
CANCELLATION: Final = "cancellation"

TRANSITIONS: Final[Mapping[tuple[TransferState, type[Event]], TransferState]] = {
    (_S.RESERVED, CreditorAccepted): _S.POSTING,
    (_S.RESERVED, CreditorPosted): _S.POSTING,
    (_S.RESERVED, CreditorRefused): _S.REFUSING,
    (_S.RESERVED, CreditorUnreachable): _S.REFUSING,
    (_S.RESERVED, AnswerOverdue): _S.REFUSING,
    (_S.RESERVED, DebtorReversed): _S.REFUSING,
    # Decided: out of POSTING and REFUSING only the disk leads.
    (_S.POSTING, PostingStored): _S.POSTED,
    (_S.POSTING, FinalPostingStored): _S.CONFIRMED,
    (_S.REFUSING, RefusalStored): _S.REJECTED,
    (_S.REFUSING, ExpiryStored): _S.EXPIRED,
    (_S.POSTED, ConfirmationDelivered): _S.CONFIRMED,
    (_S.EXPIRED, CancellationDelivered): _S.CANCELLED,
    (_S.EXPIRED, CancellationRefused): _S.DISPUTED,
}


def advance(state: TransferState, event: Event) -> tuple[TransferState, tuple[Effect, ...]]:
    """Apply one event.

    Returns:
        The new state, and the effects: money and what is owed go to disk together; the answer
        to the debtor leaves once the disk has answered.

    Raises:
        IllegalEvent: ``event`` has no row for the present state: it is a duplicate or came too
            late, and nothing changes.
    """
    target = TRANSITIONS.get((state, type(event)))
    if target is None:
        raise IllegalEvent(f"{type(event).__name__} in {state}")
    return target, effects(event)


_ACCEPTED_EFFECTS: Final = (PostMoney(PostingStored()), Owe(CONFIRMATION), AnswerDebtor("00"))
# It posted on the order itself: nothing is left to confirm.
_POSTED_EFFECTS: Final = (PostMoney(FinalPostingStored()), AnswerDebtor("00"))
_UNREACHABLE_EFFECTS: Final = (
    ReleaseMoney(RefusalStored()),
    AnswerDebtor("05", ReasonCode.AB05),
)
# Silence is not refusal: the creditor's agent may hold the order still.
_OVERDUE_EFFECTS: Final = (
    ReleaseMoney(ExpiryStored()),
    Owe(CANCELLATION),
    AnswerDebtor("05", ReasonCode.AB05),
)
# The creditor's agent was asked: it may hold the order, or have posted it.
_REVERSED_EFFECTS: Final = (
    ReleaseMoney(ExpiryStored()),
    Owe(CANCELLATION),
    AnswerDebtor("05", ReasonCode.DS24),
)


def effects(event: Event) -> tuple[Effect, ...]:
    """Return what an event brings about, whatever the state it was legal in."""
    match event:
        case CreditorAccepted():
            return _ACCEPTED_EFFECTS
        case CreditorPosted():
            return _POSTED_EFFECTS
        case CreditorRefused(reason):
            return (ReleaseMoney(RefusalStored()), AnswerDebtor("05", reason))
        case CreditorUnreachable():
            return _UNREACHABLE_EFFECTS
        case AnswerOverdue():
            return _OVERDUE_EFFECTS
        case DebtorReversed():
            return _REVERSED_EFFECTS
        case PostingStored() | FinalPostingStored() | RefusalStored() | ExpiryStored():
            return ()
        case ConfirmationDelivered() | CancellationDelivered() | CancellationRefused():
            return ()
        case _:
            assert_never(event)


def stored_state(effects_: tuple[Effect, ...]) -> TransferState:
    """Return the state that goes to disk with the money effect among ``effects_``."""
    for effect in effects_:
        match effect:
            case PostMoney(then=FinalPostingStored()):
                return _S.CONFIRMED
            case PostMoney():
                return _S.POSTED
            case ReleaseMoney(then=ExpiryStored()):
                return _S.EXPIRED
            case ReleaseMoney():
                return _S.REJECTED
            case _:
                continue
    raise AssertionError("no money effect")
