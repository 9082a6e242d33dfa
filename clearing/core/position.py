"""Arithmetic of one position: what may be taken, and how it looks afterwards."""

from collections.abc import Mapping, MutableMapping

from scheme.ledger import FUNDING_ACCOUNT, Account, Position
from scheme.limits import LEDGER_SUM_MINOR_MAX

Positions = Mapping[Account, Position]
Changes = MutableMapping[Account, Position]


def opened(
    account: Account,
    *,
    balance_minor: int = 0,
    low_minor: int = 0,
    high_minor: int = 0,
    cap_minor: int = 0,
) -> Position:
    """Return a position on which nothing is held."""
    return Position(
        account=account,
        balance_minor=balance_minor,
        reserved_minor=0,
        low_minor=low_minor,
        high_minor=high_minor,
        cap_minor=cap_minor,
        alerted=False,
    )


def changed(
    position: Position, *, balance: int = 0, reserved: int = 0, alerted: bool | None = None
) -> Position:
    """Return the position with its balance and its holds moved by so many minor units."""
    # Spelt out because it is on the hot path, where it is cheaper than msgspec's replace.
    after = Position(
        account=position.account,
        balance_minor=position.balance_minor + balance,
        reserved_minor=position.reserved_minor + reserved,
        low_minor=position.low_minor,
        high_minor=position.high_minor,
        cap_minor=position.cap_minor,
        alerted=position.alerted if alerted is None else alerted,
    )
    assert after.reserved_minor >= 0, "more was released than was held"
    return after


def can_hold(position: Position, minor: int) -> bool:
    """Tell whether a new reservation of ``minor`` is covered, the cap included."""
    return minor <= position.available_minor


def drawable_minor(position: Position) -> int:
    """Return the most a drawdown may take: the cap is credit, and credit is not paid out."""
    return position.balance_minor - position.reserved_minor


def checked_range(changes: Mapping[Account, Position]) -> None:
    """Refuse balances that would leave the range of the ledger's columns.

    Raises:
        AssertionError: one passes ``LEDGER_SUM_MINOR_MAX``.
    """
    for position in changes.values():
        assert abs(position.balance_minor) <= LEDGER_SUM_MINOR_MAX, (
            f"{position.account.owner} would pass LEDGER_SUM_MINOR_MAX"
        )


def needs_alert(position: Position) -> bool:
    """Tell whether the low watermark was passed and this was not announced yet."""
    return (
        not position.alerted
        and position.available_minor < position.low_minor
        and position.account.owner != FUNDING_ACCOUNT
    )


def ends_alert(position: Position) -> bool:
    """Tell whether an announced low watermark is past: above the high one again."""
    return position.alerted and position.available_minor > position.high_minor


def funded(position: Position, minor: int) -> Position:
    """Return the position after a funding, or, with a negative amount, a drawdown."""
    after = changed(position, balance=minor)
    return changed(after, alerted=False) if ends_alert(after) else after
