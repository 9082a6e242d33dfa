"""Reserve, post, release, oppose and move: check everything first, then change.

Every function takes the positions as they stand and returns those that change, as they will be;
what it was given stays untouched. So a command that is refused has changed nothing.
"""

from collections.abc import Mapping, Sequence

from clearing.core.position import (
    Changes,
    Positions,
    can_hold,
    changed,
    checked_range,
    drawable_minor,
)
from scheme.ledger import (
    FUNDING_ACCOUNT,
    LBTR,
    SPONSOR,
    Account,
    Entry,
    Position,
    Short,
    prefund_owner,
)
from scheme.limits import LEDGER_AMOUNT_MINOR_MAX

PRINCIPAL = "principal"
DRAWDOWN = "drawdown"
OPPOSITE = "opposite"


def holds(entries: Sequence[Entry]) -> dict[Account, int]:
    """Return what a transfer of these entries must hold, by debit account."""
    held: dict[Account, int] = {}
    for entry in entries:
        check(entry)
        held[entry.debit] = held.get(entry.debit, 0) + entry.minor
    return held


def check(entry: Entry) -> None:
    """Assert that an entry stays in one ledger and currency, and in the range of amounts."""
    debit, credit = entry.debit, entry.credit
    assert 0 < entry.minor <= LEDGER_AMOUNT_MINOR_MAX, "the amount is out of the ledger's range"
    assert debit.ledger == credit.ledger
    assert debit.currency == credit.currency


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


def move(positions: Positions, entries: Sequence[Entry]) -> Changes | Short:
    """Fund or draw down, all entries or none.

    What leaves a position must be there: a drawdown takes at most what is neither held nor
    credit; a transfer to the prefund may use the credit granted to the current account.
    """
    assert entries, "a movement moves something"
    changes: dict[Account, Position] = {}
    for entry in entries:
        check(entry)
        assert _is_movement(entry), "a movement is with lbtr, or between an account and its prefund"
        position = changes.get(entry.debit) or positions[entry.debit]
        if entry.debit.owner != FUNDING_ACCOUNT:
            is_drawdown = entry.kind == DRAWDOWN
            most = drawable_minor(position) if is_drawdown else position.available_minor
            if entry.minor > most:
                return Short(entry.debit, most)
        changes[entry.debit] = changed(position, balance=-entry.minor)
        credited = changes.get(entry.credit) or positions[entry.credit]
        changes[entry.credit] = changed(credited, balance=entry.minor)
    checked_range(changes)
    return changes


def _is_movement(entry: Entry) -> bool:
    debit, credit = entry.debit.owner, entry.credit.owner
    if debit == FUNDING_ACCOUNT or credit == FUNDING_ACCOUNT:
        return debit != credit
    is_own_prefund = credit == prefund_owner(debit) or debit == prefund_owner(credit)
    return is_own_prefund and entry.debit.ledger in (LBTR, SPONSOR)


def left_minor(original: Sequence[Entry], opposed_minor: int) -> int:
    """Return how much of a posted transfer's principal no opposite posting has taken back."""
    principals = [entry.minor for entry in original if entry.kind == PRINCIPAL]
    assert principals, "only a posted transfer can be opposed"
    return min(principals) - opposed_minor


def opposites(
    original: Sequence[Entry], minor: int, windows: Mapping[str, str]
) -> tuple[Entry, ...]:
    """Return the postings that take ``minor`` of a transfer back, in the windows given.

    The principal goes back in every ledger it went through; the interbank fee was earned and
    stays. The ledgers of money have no windows.
    """
    return tuple(
        Entry(
            kind=OPPOSITE,
            debit=entry.credit,
            credit=entry.debit,
            minor=minor,
            window=_window_in(windows, entry.debit.ledger),
        )
        for entry in original
        if entry.kind == PRINCIPAL
    )


def oppose(positions: Positions, entries: Sequence[Entry]) -> Changes | Short:
    """Move money back, if every position that must give has it; its cap counts."""
    net: dict[Account, int] = {}
    for entry in entries:
        check(entry)
        net[entry.debit] = net.get(entry.debit, 0) - entry.minor
        net[entry.credit] = net.get(entry.credit, 0) + entry.minor
    for account, minor in net.items():
        available = positions[account].available_minor
        if -minor > available and minor < 0:
            return Short(account, available)
    return post(positions, entries, held=False)


def _window_in(windows: Mapping[str, str], ledger: str) -> str:
    return "" if ledger in (LBTR, SPONSOR) else windows[ledger]
