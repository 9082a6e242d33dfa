"""The access network's part in the directory: registrations forwarded, lookups merged.

All of it is our own design (docs/wire/network.md): nothing of the real network's rules is public.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from directory.core.alias import CLEARING_HOUSE, Entry, EntryState, Refusal
from directory.core.lookup import DirectoryAnswer
from directory.core.registry import Instruction, Order, account_refusal
from scheme.cci import CciCheck
from scheme.reasons import ReasonCode

ROUTE_NETWORK = "network"
ROUTE_CLEARING = "clearing"


class IndexState(StrEnum):
    """What the network knows of an alias. Only an active one is used for routing."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    PENDING = "PENDING"


class Standing(StrEnum):
    """What became of a registration on one side, the best first."""

    ACCEPTED = "ACTC"
    PENDING = "PENDING"
    REJECTED = "RJCT"


_FROM_BEST = tuple(Standing)


class IndexEntry(Struct, frozen=True, kw_only=True):
    """One phone at one coop, in the network's own index.

    Attributes:
        phone: nine digits.
        cci: the account; empty where only a deactivation was ever heard of.
        registration_id: of the instruction that last changed it.
    """

    phone: str
    participant: str
    cci: str
    state: IndexState
    display_name: str = ""
    holder_type: str = ""
    registration_id: str = ""
    changed_ms: int = 0


class Registered(Struct, frozen=True, kw_only=True):
    """What became of a registration, on both sides.

    Attributes:
        upstream: at the national directory; None: it was not asked.
        network: in the network's index.
        reason, field, rule: of a refusal.
    """

    registration_id: str
    upstream: Standing | None
    network: Standing
    reason: ReasonCode | None = None
    field: str = ""
    rule: str = ""

    @property
    def status(self) -> Standing:
        """The worse of both."""
        sides = (self.network, self.upstream or self.network)
        return max(sides, key=_FROM_BEST.index)


class Payable(Struct, frozen=True):
    """Somebody who can be paid at a phone.

    Attributes:
        code: an entity, or the wallet's directory that stands for one.
        route: ``network`` for a coop of the network, else ``clearing``.
        directory: where it was found.
    """

    code: str
    route: str
    directory: str


class Mismatch(Struct, frozen=True):
    """An alias that the network has for long and the national directory does not."""

    phone: str
    participant: str
    since_ms: int


class Merged(Struct, frozen=True):
    """Who can be paid at one phone, and what did not agree."""

    phone: str
    entities: tuple[Payable, ...]
    mismatches: tuple[Mismatch, ...] = ()


def registration_refusal(order: Order) -> Refusal | None:
    """Return why the network does not forward an order, or None.

    Stricter than the national directory may be: the check digits always count.
    """
    if order.instruction is Instruction.DEAC:
        return None
    refusal = account_refusal(order, CciCheck.STRICT)
    return None if refusal is None else replace(refusal, field="cci")


def accepted(before: IndexEntry | None, order: Order, *, now_ms: int) -> IndexEntry:
    """Return the entry after the national directory accepted an order."""
    gone = order.instruction is Instruction.DEAC
    return _changed(before, order, IndexState.INACTIVE if gone else IndexState.ACTIVE, now_ms)


def unanswered(before: IndexEntry | None, order: Order, *, now_ms: int) -> IndexEntry:
    """Return the entry while the national directory has not answered."""
    return _changed(before, order, IndexState.PENDING, now_ms)


def refused_late(before: IndexEntry | None, order: Order, *, now_ms: int) -> IndexEntry:
    """Return the entry after a refusal that came when it was pending already."""
    return before or _changed(None, order, IndexState.INACTIVE, now_ms)


def _changed(before: IndexEntry | None, order: Order, state: IndexState, now_ms: int) -> IndexEntry:
    return IndexEntry(
        phone=order.phone,
        participant=order.participant,
        cci=order.cci or (before.cci if before else ""),
        state=state,
        display_name=order.display_name or (before.display_name if before else ""),
        holder_type=order.holder_type or (before.holder_type if before else ""),
        registration_id=order.registration_id,
        changed_ms=now_ms,
    )


def stands(entry: Entry | None, order: Order) -> bool:
    """Tell whether the national directory already is as an order wants it.

    That is how a lost answer is settled: the order sent again changes nothing and is accepted.
    """
    if entry is None:
        return False
    if order.instruction is Instruction.DEAC:
        return entry.state is EntryState.INACTIVE
    return entry.state is EntryState.ACTIVE and entry.cci == order.cci


def found_upstream(answers: Sequence[DirectoryAnswer], index: int) -> list[tuple[str, str]]:
    """Return directory and code of everyone the national answer names for one of its phones.

    Args:
        index: place of the phone in the question.
    """
    found = []
    for answer in answers:
        presence = answer.presences[index]
        if presence.is_present:
            # Without a list the directory stands for the entity; an empty one names nobody.
            codes = (answer.directory,) if presence.entities is None else presence.entities
            found += [(answer.directory, code) for code in codes]
    return found


def merge(
    phone: str,
    index: Sequence[IndexEntry],
    upstream: Sequence[tuple[str, str]] | None,
    *,
    members: Collection[str],
    now_ms: int,
    stale_ms: int,
) -> Merged:
    """Return the union of what the network and the national directory know of a phone.

    Args:
        phone: as it was asked about.
        upstream: directory and code, in the answer's order; None: it did not answer, so nothing
            can be said about what it lacks.
        stale_ms: age from which an entry only the network knows is hidden and reported.
    """
    named = dict.fromkeys(upstream or ())
    theirs = {code for _, code in named}
    mismatches = []
    for entry in index:
        is_ours = entry.state is IndexState.ACTIVE and entry.participant in members
        if not is_ours or entry.participant in theirs:
            continue
        if upstream is not None and now_ms - entry.changed_ms >= stale_ms:
            mismatches.append(Mismatch(entry.phone, entry.participant, entry.changed_ms))
        else:
            named[CLEARING_HOUSE, entry.participant] = None
    entities: dict[str, Payable] = {}
    for directory, code in sorted(named, key=_in_order_of_directories):
        route = ROUTE_NETWORK if code in members else ROUTE_CLEARING
        entities.setdefault(code, Payable(code, route, directory))
    return Merged(phone, tuple(entities.values()), tuple(mismatches))


def _in_order_of_directories(found: tuple[str, str]) -> tuple[bool, str, str]:
    directory, code = found
    return directory != CLEARING_HOUSE, directory, code
