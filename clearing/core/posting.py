"""Reserve, post, release, oppose and move: check everything first, then change.

Every function takes the positions as they stand and returns those that change, as they will be;
what it was given stays untouched. So a command that is refused has changed nothing.
"""

from collections.abc import Sequence

from clearing.core.position import Changes, Positions, can_hold, changed, drawable_minor
from scheme.ledger import FUNDING_ACCOUNT, Account, Entry, Position, Short

PRINCIPAL = "principal"
OPPOSITE = "opposite"


def holds(entries: Sequence[Entry]) -> dict[Account, int]:
    """Return what a transfer of these entries must hold, by debit account."""
    held: dict[Account, int] = {}
    for entry in entries:
        assert entry.minor > 0
        assert entry.debit.ledger == entry.credit.ledger
        assert entry.debit.currency == entry.credit.currency
        held[entry.debit] = held.get(entry.debit, 0) + entry.minor
    return held


def reserve(positions: Positions, entries: Sequence[Entry]) -> Changes | Short:
    """Hold all that the entries will debit, in every ledger they touch, or nothing."""
    held = holds(entries)
    for account, minor in held.items():
        position = positions[account]
        if not can_hold(position, minor):
            return Short(account, position.available_minor)
    for entry in entries:
        assert entry.credit in positions, "the credit account must exist before money is held"
    return {account: changed(positions[account], reserved=minor) for account, minor in held.items()}


def release(positions: Positions, entries: Sequence[Entry]) -> Changes:
    """Give back what was held for these entries."""
    return {
        account: changed(positions[account], reserved=-minor)
        for account, minor in holds(entries).items()
    }


def post(positions: Positions, entries: Sequence[Entry], *, held: bool) -> Changes:
    """Move the money of all entries.

    Args:
        held: whether it was reserved before, so that the holds end with it.
    """
    changes: dict[Account, Position] = {}
    for entry in entries:
        minor = entry.minor
        debited = changes.get(entry.debit) or positions[entry.debit]
        changes[entry.debit] = changed(debited, balance=-minor, reserved=-minor if held else 0)
        credited = changes.get(entry.credit) or positions[entry.credit]
        changes[entry.credit] = changed(credited, balance=minor)
    return changes


def move(positions: Positions, entry: Entry) -> Changes | Short:
    """Fund or draw down: a drawdown takes at most what is neither held nor credit."""
    assert entry.minor > 0
    assert entry.debit.ledger == entry.credit.ledger
    assert entry.debit.currency == entry.credit.currency
    owners = (entry.debit.owner, entry.credit.owner)
    assert owners.count(FUNDING_ACCOUNT) == 1, "a movement is between lbtr and one position"
    if entry.debit.owner != FUNDING_ACCOUNT:
        drawable = drawable_minor(positions[entry.debit])
        if entry.minor > drawable:
            return Short(entry.debit, drawable)
    return post(positions, (entry,), held=False)


def left_minor(original: Sequence[Entry], opposed_minor: int) -> int:
    """Return how much of a posted transfer's principal no opposite posting has taken back."""
    principals = [entry.minor for entry in original if entry.kind == PRINCIPAL]
    assert principals, "only a posted transfer can be opposed"
    return min(principals) - opposed_minor


def opposites(original: Sequence[Entry], minor: int, window: str) -> tuple[Entry, ...]:
    """Return the postings that take ``minor`` of a transfer back, in the window open now.

    The principal goes back in every ledger it went through; the interbank fee was earned and
    stays.
    """
    return tuple(
        Entry(kind=OPPOSITE, debit=entry.credit, credit=entry.debit, minor=minor, window=window)
        for entry in original
        if entry.kind == PRINCIPAL
    )
