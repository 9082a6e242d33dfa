"""The audit: do positions, entries and reservations agree with one another?"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from clearing.core.recount import by_position
from clearing.core.tally import FIELDS, account_key
from scheme.ledger import Account, Position
from scheme.standing import Tally


class LedgerSum(Struct, frozen=True, kw_only=True):
    """What all positions of one ledger and currency add up to, ``lbtr`` included: zero."""

    ledger: str
    currency: str
    minor: int


class Difference(Struct, frozen=True, kw_only=True):
    """One figure that is recorded differently from what a recount gives.

    Attributes:
        what: ``balance``, ``reserved``, ``sum``; ``postings`` (entries of a transfer);
            ``prefund`` (a position is not its prefund and what is not settled yet); or a figure
            of a window's tally, e.g. ``sent_accepted_minor``.
        subject: the position, as ``ledger/currency/owner``, of a tally with its window before
            it; or the transfer's id.
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
        backed: what prefunded positions must be.
        recorded_tallies: as kept; tallies: from single rows.
    """

    balances: Mapping[Account, int]
    reserved: Mapping[Account, int]
    postings: Mapping[str, tuple[int, int]]
    entries: int
    transfers: int
    backed: Mapping[Account, int] = {}
    recorded_tallies: tuple[Tally, ...] = ()
    tallies: tuple[Tally, ...] = ()


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
    backed = {account: recorded_balances.get(account, 0) for account in recount.backed}
    differences += _differences("prefund", backed, recount.backed)
    differences += tally_differences(recount.recorded_tallies, recount.tallies)
    return Audit(
        clean=not differences,
        sums=sums,
        differences=tuple(differences),
        positions=len(positions),
        entries=recount.entries,
        transfers=recount.transfers,
    )


def tally_differences(
    recorded: Sequence[Tally], recounted: Sequence[Tally]
) -> tuple[Difference, ...]:
    """Return each figure in which tallies differ from a recount; one that is missing is zero."""
    kept, anew = by_position(recorded), by_position(recounted)
    found = []
    for key in sorted(kept.keys() | anew.keys(), key=lambda one: (one[0], account_key(one[1]))):
        window, account = key
        nothing = Tally(window=window, account=account)
        one, other = kept.get(key, nothing), anew.get(key, nothing)
        found += [
            Difference(
                what=field,
                subject=f"{window} {_subject(account)}",
                recorded=getattr(one, field),
                recounted=getattr(other, field),
            )
            for field in FIELDS
            if getattr(one, field) != getattr(other, field)
        ]
    return tuple(found)


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
    accounts = sorted(recorded.keys() | recounted.keys(), key=account_key)
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
