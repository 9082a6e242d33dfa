"""The audit: do positions, entries and reservations agree with one another?"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from scheme.ledger import Account, Position


class LedgerSum(Struct, frozen=True, kw_only=True):
    """What all positions of one ledger and currency add up to, ``lbtr`` included: zero."""

    ledger: str
    currency: str
    minor: int


class Difference(Struct, frozen=True, kw_only=True):
    """One figure that is recorded differently from what a recount gives.

    Attributes:
        what: ``balance``, ``reserved``, ``sum``; or ``postings`` (lines of a transfer).
        subject: the position, as ``ledger/currency/owner``; or the transfer's id.
    """

    what: str
    subject: str
    recorded: int
    recounted: int


class Audit(Struct, frozen=True, kw_only=True):
    """What an audit found; ``clean`` if nothing differs."""

    clean: bool
    sums: tuple[LedgerSum, ...]
    differences: tuple[Difference, ...]
    positions: int
    entries: int
    transfers: int


class Recount(Struct, frozen=True, kw_only=True):
    """Figures counted anew from single rows.

    Attributes:
        balances: from the entries; reserved: from the reserved transfers' entries.
        postings: for each transfer with a wrong number of entries: how many it should have and
            how many it has.
    """

    balances: Mapping[Account, int]
    reserved: Mapping[Account, int]
    postings: Mapping[str, tuple[int, int]]
    entries: int
    transfers: int


def compare(positions: Sequence[Position], recount: Recount) -> Audit:
    """Hold the recorded positions against a recount."""
    sums = _sums(positions)
    differences = [
        Difference(
            what="sum", subject=f"{one.ledger}/{one.currency}", recorded=one.minor, recounted=0
        )
        for one in sums
        if one.minor
    ]
    recorded_balances = {one.account: one.balance_minor for one in positions}
    recorded_reserved = {one.account: one.reserved_minor for one in positions}
    differences += _differences("balance", recorded_balances, recount.balances)
    differences += _differences("reserved", recorded_reserved, recount.reserved)
    differences += [
        Difference(what="postings", subject=transfer_id, recorded=has, recounted=should)
        for transfer_id, (should, has) in sorted(recount.postings.items())
    ]
    return Audit(
        clean=not differences,
        sums=sums,
        differences=tuple(differences),
        positions=len(positions),
        entries=recount.entries,
        transfers=recount.transfers,
    )


def _sums(positions: Sequence[Position]) -> tuple[LedgerSum, ...]:
    totals: dict[tuple[str, str], int] = {}
    for one in positions:
        key = (one.account.ledger, one.account.currency)
        totals[key] = totals.get(key, 0) + one.balance_minor
    return tuple(
        LedgerSum(ledger=ledger, currency=currency, minor=minor)
        for (ledger, currency), minor in sorted(totals.items())
    )


def _differences(
    what: str, recorded: Mapping[Account, int], recounted: Mapping[Account, int]
) -> list[Difference]:
    accounts = sorted(recorded.keys() | recounted.keys(), key=_subject)
    return [
        Difference(
            what=what,
            subject=_subject(account),
            recorded=recorded.get(account, 0),
            recounted=recounted.get(account, 0),
        )
        for account in accounts
        if recorded.get(account, 0) != recounted.get(account, 0)
    ]


def _subject(account: Account) -> str:
    return f"{account.ledger}/{account.currency}/{account.owner}"
