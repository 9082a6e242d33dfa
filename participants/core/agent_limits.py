"""What a terminal refuses by itself, because its clearing house is not there to be asked."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from participants.core.agent_book import Entry, Lease, Wish
from scheme.wire.agent_payload import CASH_TAKEN, CURRENCIES, MOVES_MONEY, Operation, Welcome

CLOCK_BACK_S: Final = 60
"""By how much the terminal's clock may be set back before it stops: that would lend it hours."""


class StopReason(StrEnum):
    """Why a terminal takes no operation."""

    NO_LEASE = "no_lease"
    HOURS = "hours"
    CLOCK = "clock"
    COUNT = "count"
    AMOUNT = "amount"
    FLOAT = "float"
    NEEDS_LINK = "needs_link"
    NO_LINK = "no_link"
    FULL = "full"


class Stop(Struct, frozen=True):
    """A terminal's own no: nothing was made.

    Attributes:
        limit: that was reached: seconds, operations or minor units; left: of it.
    """

    reason: StopReason
    limit: int = 0
    left: int = 0


def offline_stop(lease: Lease | None, wish: Wish, now: int) -> Stop | None:
    """Return what keeps a terminal from an operation on its own, if anything does."""
    if wish.kind not in MOVES_MONEY:
        return Stop(StopReason.NEEDS_LINK)
    if lease is None:
        return Stop(StopReason.NO_LEASE)
    if now < lease.at - CLOCK_BACK_S:
        return Stop(StopReason.CLOCK)
    if now - lease.at > lease.offline_s:
        return Stop(StopReason.HOURS, lease.offline_s)
    if lease.used_count >= lease.count:
        return Stop(StopReason.COUNT, lease.count)
    limit = lease.minor[wish.currency]
    left = limit - lease.used_minor[wish.currency]
    if wish.minor > left:
        return Stop(StopReason.AMOUNT, limit, max(left, 0))
    room = lease.float_minor[wish.currency]
    if wish.kind in CASH_TAKEN and wish.minor > room:
        return Stop(StopReason.FLOAT, room, max(room, 0))
    return None


def used(lease: Lease, operation: Operation) -> Lease:
    """Return a lease after an operation that was made alone."""
    return replace(
        moved(lease, operation),
        used_count=lease.used_count + 1,
        used_minor=_plus(lease.used_minor, operation.currency, operation.minor),
    )


def moved(lease: Lease, operation: Operation) -> Lease:
    """Return a lease after cash changed hands: taken it leaves less float, paid out more."""
    if operation.kind not in MOVES_MONEY:
        return lease
    taken = operation.minor if operation.kind in CASH_TAKEN else -operation.minor
    return replace(lease, float_minor=_plus(lease.float_minor, operation.currency, -taken))


def lease_of(welcome: Welcome, now: int, waiting: Iterable[Entry]) -> Lease:
    """Return a new lease; what was made alone and has no verdict yet is used of it already."""
    lease = Lease(
        at=now,
        offline_s=welcome.offline_s,
        count=welcome.offline_count,
        minor=_whole(welcome.offline_minor),
        float_minor=_whole(welcome.float_minor),
    )
    for entry in waiting:
        if entry.operation.offline and entry.operation.kind in MOVES_MONEY:
            lease = used(lease, entry.operation)
    return lease


def _plus(amounts: tuple[int, ...], number: int, minor: int) -> tuple[int, ...]:
    return tuple(one + (minor if place == number else 0) for place, one in enumerate(amounts))


def _whole(amounts: tuple[int, ...]) -> tuple[int, ...]:
    """Return one amount for each currency; one that is not told is nothing."""
    return (*amounts, *(0,) * len(CURRENCIES))[: len(CURRENCIES)]
