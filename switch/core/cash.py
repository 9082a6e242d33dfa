"""Cash at machines: the states of a withdrawal, its record, and what its machine is told.

    AUTHORISING -> APPROVED -> DISPUTED_POSTED
    AUTHORISING -> DECLINED
    AUTHORISING -> EXPIRED -> CANCELLED | DISPUTED

A withdrawal is a pull: the issuer pays the machine's institution. Its money is held, on disk,
before the issuer is asked. Cash that a machine did not give out is no state: it is a posting of
its own, the other way (docs/cash.md).
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, assert_never

import msgspec
from msgspec import Struct

from scheme.cci import is_well_formed
from scheme.errors import IllegalEvent
from scheme.ledger import DALE, Entry
from scheme.network import Participant
from switch.core.entries import entries_of, is_internal, legs
from switch.core.iso8583_codes import APPROVED, UNDONE
from switch.core.rails import Rail

CASH_RAIL: Final = "cash"
"""How the ledger names the rail of a withdrawal; its legs are those of an immediate transfer."""
_PREFIX: Final = "W"
REVERSAL_SUFFIX: Final = ":0420:undispensed"
"""Ends the id of the reversal owed for a withdrawal that was approved."""


class CashState(StrEnum):
    """Where a withdrawal stands."""

    AUTHORISING = "AUTHORISING"
    APPROVED = "APPROVED"
    DISPUTED_POSTED = "DISPUTED_POSTED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    DISPUTED = "DISPUTED"
    TOMBSTONE = "TOMBSTONE"


class IssuerApproved(Struct, frozen=True, gc=False):
    """The issuer's core has posted the withdrawal (0210 00)."""

    auth: str


class IssuerDeclined(Struct, frozen=True, gc=False):
    """The issuer's core refused it."""

    response_code: str
    reason: str


class IssuerUnreachable(Struct, frozen=True, gc=False):
    """No link to the issuer: it cannot have seen the request."""


class IssuerSilent(Struct, frozen=True, gc=False):
    """No sound answer in time: the issuer may have posted it."""


class MachineGaveUp(Struct, frozen=True, gc=False):
    """The machine took it back before there was an outcome.

    Attributes:
        was_asked: whether the issuer may have seen the request.
    """

    was_asked: bool


class ReversalTaken(Struct, frozen=True, gc=False):
    """The issuer holds nothing of what was reversed: 0430 with 00, or 25 if it never approved."""


class ReversalRefused(Struct, frozen=True, gc=False):
    """The issuer will not give back what it took: a person decides."""


Ending = IssuerApproved | IssuerDeclined | IssuerUnreachable | IssuerSilent | MachineGaveUp
Event = Ending | ReversalTaken | ReversalRefused

_S = CashState
TRANSITIONS: Final[Mapping[tuple[CashState, type[Event]], CashState]] = {
    (_S.AUTHORISING, IssuerApproved): _S.APPROVED,
    (_S.AUTHORISING, IssuerDeclined): _S.DECLINED,
    (_S.AUTHORISING, IssuerUnreachable): _S.DECLINED,
    (_S.AUTHORISING, IssuerSilent): _S.EXPIRED,
    (_S.AUTHORISING, MachineGaveUp): _S.EXPIRED,
    (_S.EXPIRED, ReversalTaken): _S.CANCELLED,
    (_S.EXPIRED, ReversalRefused): _S.DISPUTED,
    # What was posted stays posted: the state says no more than whether a person is needed.
    (_S.APPROVED, ReversalTaken): _S.APPROVED,
    (_S.APPROVED, ReversalRefused): _S.DISPUTED_POSTED,
}
POSTED: Final = frozenset({_S.APPROVED, _S.DISPUTED_POSTED})
"""States in which the issuer has paid the machine's institution."""


def advance(state: CashState, event: Event) -> CashState:
    """Apply one event.

    Raises:
        IllegalEvent: it came too late or twice; nothing changes.
    """
    target = TRANSITIONS.get((state, type(event)))
    if target is None:
        raise IllegalEvent(f"{type(event).__name__} in {state}")
    # Nobody was asked, so nobody has to be told: it ends at once.
    is_unasked = isinstance(event, MachineGaveUp) and not event.was_asked
    return _S.CANCELLED if is_unasked else target


def after_reversal(owed_id: str, *, refused: bool) -> CashState | None:
    """Return where a withdrawal stands once its issuer has answered the reversal owed for it.

    None: the id is of no approved withdrawal's reversal.
    """
    if not owed_id.endswith(REVERSAL_SUFFIX):
        return None
    return advance(_S.APPROVED, ReversalRefused() if refused else ReversalTaken())


def is_undone(owed_id: str, response_code: str) -> bool:
    """Tell whether an issuer that answered a reversal so holds nothing of what it names.

    One that never approved may never have seen the request. One that did, and now knows nothing
    of it, has not given the member's money back.
    """
    if owed_id.endswith(REVERSAL_SUFFIX):
        return response_code == APPROVED
    return response_code in UNDONE


class CashAnswer(Struct, frozen=True, kw_only=True):
    """What a machine is told.

    Attributes:
        response_code: DE39.
        reason: of ``scheme.reasons``, behind the code; empty if it was granted.
        rule: field and rule that was broken, e.g. ``DE4: in steps of 1000``.
        subject: id of the withdrawal, or empty where there is none.
        auth: DE38, of an approval.
        extra: further data elements of the answer, by number, e.g. ``54`` of a balance.
    """

    response_code: str
    reason: str = ""
    rule: str = ""
    subject: str = ""
    auth: str = ""
    extra: Mapping[str, str] = {}


class CashRecord(Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """A withdrawal as the switch remembers it.

    Attributes:
        content: digest of what moves money, to tell a repeat from another withdrawal.
        acquirer: whose machine it is; issuer: who pays; empty where it could not be told.
        account: card number, masked, or the CCI: that a one-time code was bound to, or that a field
            agent named.
        phone: of a withdrawal by code; empty of one by card.
        machine: DE41.
        amount: minor units.
        settlement_date: ``yyyyMMdd``.
        windows: by ledger.
        sent: the exact request to the issuer, without MAC and PIN block, while a reversal may
            have to be made from it.
        response_code, reason, rule, auth: as the machine was told; empty while undecided.
        decided_by: ``clearing_house``, ``issuer``, ``timer`` or ``machine``.
    """

    transfer_id: str
    key: str
    content: str
    acquirer: str
    issuer: str
    account: str
    phone: str
    machine: str
    amount: int
    currency: str
    created_ms: int
    settlement_date: str = ""
    windows: dict[str, str] = {}
    sent: bytes = b""
    response_code: str = ""
    reason: str = ""
    rule: str = ""
    auth: str = ""
    decided_by: str = ""
    decided_ms: int = 0

    @property
    def names_account(self) -> bool:
        """Whether its issuer is told the account, and not a card whose account it knows."""
        # A card's number is shorter, and masked.
        return bool(self.account) and (bool(self.phone) or is_well_formed(self.account))

    @property
    def answer(self) -> CashAnswer:
        """What its machine was told, and is told at every repeat."""
        return CashAnswer(
            response_code=self.response_code,
            reason=self.reason,
            rule=self.rule,
            subject=self.transfer_id,
            auth=self.auth,
        )


_encoder: Final = msgspec.msgpack.Encoder()
_records: Final = msgspec.msgpack.Decoder(CashRecord)


def pack_cash(record: CashRecord) -> bytes:
    """Return a withdrawal as stored."""
    return _encoder.encode(record)


def unpack_cash(data: bytes) -> CashRecord:
    """Read a stored withdrawal."""
    return _records.decode(data)


def cash_id(acquirer: str, key: str, date: str, time: str) -> str:
    """Compose the id of a withdrawal: 33 characters, in their order in the order of time.

    Args:
        date, time: ``yyyyMMdd`` and ``HHmmss`` in Lima.
    """
    return f"{_PREFIX}{date}{time}-{acquirer}-{_short(key, 12)}"


def opposition_id(transfer_id: str) -> str:
    """Compose the id of what a machine gives back: one for each withdrawal, for ever."""
    return f"R{_short(f'undispensed:{transfer_id}', 24)}"


def approval_code(transfer_id: str) -> str:
    """Return DE38 for an issuer that gave none: six characters."""
    return _short(f"approval:{transfer_id}", 6).upper()


def _short(text: str, characters: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:characters]


def rail_between(issuer: Participant, acquirer: Participant) -> Rail:
    """Return the rail whose legs the money takes; there is no fee."""
    return Rail.NETWORK if is_internal(issuer, acquirer) else Rail.TIN


def cash_entries(
    issuer: Participant,
    acquirer: Participant,
    *,
    currency: str,
    amount: int,
    windows: Mapping[str, str],
) -> tuple[Entry, ...]:
    """Return what an approval posts: from the issuer to the acquirer, through their sponsors."""
    return entries_of(
        legs(rail_between(issuer, acquirer), issuer, acquirer),
        currency=currency,
        minor=amount,
        fee=0,
        window=lambda ledger: windows[ledger],
    )


def ledgers_between(issuer: Participant, acquirer: Participant) -> tuple[str, ...]:
    """Return the ledgers a withdrawal goes through, each once, the national one first."""
    ways = legs(rail_between(issuer, acquirer), issuer, acquirer)
    return tuple(sorted({ledger for ledger, _, _ in ways}, key=lambda one: one == DALE))


def decided_by(event: Ending) -> str:
    """Return who ended a withdrawal."""
    match event:
        case IssuerApproved() | IssuerDeclined():
            return "issuer"
        case IssuerUnreachable():
            return "clearing_house"
        case IssuerSilent():
            return "timer"
        case MachineGaveUp():
            return "machine"
        case _:
            assert_never(event)
