"""Short ways to say windows, tallies and accounts of money."""

from collections.abc import Iterable

from msgspec.structs import replace

from scheme.ledger import LBTR, NATIONAL, Account
from scheme.standing import Tally, WindowStand

WINDOW = "national-PEN-20261123-1"
CLOSED_AT_MS = 1_795_469_715_000
"""2026-11-23 16:35:15 in Lima."""


def money(owner: str, ledger: str = LBTR, currency: str = "PEN") -> Account:
    return Account(ledger=ledger, currency=currency, owner=owner)


def position_account(owner: str, ledger: str = NATIONAL, currency: str = "PEN") -> Account:
    return Account(ledger=ledger, currency=currency, owner=owner)


def stand(state: str = "CLOSING", *, cycle: str = NATIONAL) -> WindowStand:
    return WindowStand(
        window=WINDOW.replace(NATIONAL, cycle),
        cycle=cycle,
        currency="PEN",
        settlement_date="20261123",
        number=1,
        opens_ms=CLOSED_AT_MS - 86_400_000,
        closes_ms=CLOSED_AT_MS,
        state=state,
    )


def tallies_of(transfers: Iterable[tuple[str, str, int]], *, cycle: str = NATIONAL) -> list[Tally]:
    """Return the tallies of posted transfers (debit, credit, minor), by code."""
    window = stand(cycle=cycle).window
    found: dict[str, Tally] = {}
    for debit, credit, minor in transfers:
        for code in (debit, credit):
            account = position_account(code, cycle.removesuffix("-dispute"))
            found.setdefault(code, Tally(window=window, account=account))
        one = found[debit]
        found[debit] = replace(
            one,
            sent_accepted=one.sent_accepted + 1,
            sent_accepted_minor=one.sent_accepted_minor + minor,
        )
        one = found[credit]
        found[credit] = replace(
            one,
            received_accepted=one.received_accepted + 1,
            received_accepted_minor=one.received_accepted_minor + minor,
        )
    return [found[code] for code in sorted(found)]
