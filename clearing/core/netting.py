"""What a window comes to: a batch from its tallies, and the recount held against it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from clearing.core.tally import FIELDS
from clearing.core.window import ledger_of
from scheme.batch import Batch, BatchRow, Counted, Outcome, encode_batch
from scheme.clock import from_ms, wire_date_time
from scheme.ledger import DALE, NATIONAL, Account
from scheme.standing import Tally, WindowStand

MINOR_MAX = 2**63 - 1
"""Largest sum that the ledger's file can hold."""


class BatchRefused(Exception):
    """The tallies cannot be a batch: they do not sum to zero, or leave the range of numbers."""


class Charges(Struct, frozen=True, kw_only=True):
    """The clearing house's own charges in minor units.

    Attributes:
        per_transfer: to the debtor's agent for each transfer accepted.
        per_window: to each participant with traffic in the window.
    """

    per_transfer: int = 0
    per_window: int = 0


def make_batch(
    stand: WindowStand,
    tallies: Sequence[Tally],
    *,
    names: Mapping[str, str],
    carried: Mapping[str, int] | None,
    charges: Charges,
    cut_off_ms: int,
    closed_ms: int,
    next_window: str,
) -> Batch:
    """Return the batch of a window that has nothing in flight any more.

    Args:
        tallies: one for each participant that the batch shall name.
        names: names of the participants by code.
        carried: opening balance of the next window by participant; None for a cycle that carries
            no balances on.

    Raises:
        BatchRefused: the net positions do not sum to zero, or a sum is too large.
    """
    rows = tuple(
        _row(one, names=names, carried=carried, charges=charges)
        for one in sorted(tallies, key=lambda tally: tally.account.owner)
    )
    _check(stand, tallies, rows)
    return Batch(
        batch=stand.window,
        cycle=stand.cycle,
        ledger=ledger_of(stand.cycle),
        currency=stand.currency,
        settlement_date=stand.settlement_date,
        number=stand.number,
        cut_off=_stamp(from_ms(cut_off_ms)),
        opened_at=_stamp(from_ms(stand.opens_ms)),
        closed_at=_stamp(from_ms(closed_ms)),
        next_window=next_window,
        participants=rows,
        gross=Counted(
            sum(one.sent_accepted for one in tallies),
            sum(one.sent_accepted_minor for one in tallies),
        ),
        net_sum=0,
    )


def digest(batch: Batch) -> str:
    """Return the SHA-256 of a batch's bytes, as hexadecimal digits."""
    return hashlib.sha256(encode_batch(batch)).hexdigest()


def carried_balances(balances: Mapping[Account, int], later: Sequence[Tally]) -> dict[str, int]:
    """Return the balances with which the next window began, by participant.

    Args:
        balances: as they stand now, by position.
        later: tallies of the windows that began since. An opening in them is a prefund that
            was first paid in during them: none was carried there before this one's.
    """
    since: dict[Account, int] = {}
    for one in later:
        since[one.account] = since.get(one.account, 0) + one.closing_minor
    return {account.owner: minor - since.get(account, 0) for account, minor in balances.items()}


def has_traffic(tally: Tally) -> bool:
    """Tell whether any transfer was counted for a position."""
    return bool(
        tally.sent_accepted
        or tally.sent_rejected
        or tally.received_accepted
        or tally.received_rejected
    )


def disagreement(batch: Batch, recounted: Sequence[Tally]) -> str:
    """Say how a recount from the entries differs from a batch; empty if it agrees."""
    by_code = {one.account.owner: one for one in recounted}
    for row in batch.participants:
        tally = by_code.pop(row.participant, None)
        found = _figures_of(tally) if tally is not None else dict.fromkeys(_FIGURES, 0)
        for name, made in zip(_FIGURES, _figures(row), strict=True):
            if found[name] != made:
                return f"{row.participant} {name}: {made} in the batch, {found[name]} recounted"
        balance = _balance_disagreement(batch, row, tally)
        if balance:
            return balance
    strangers = sorted(code for code, one in by_code.items() if any(_figures_of(one).values()))
    if strangers:
        return f"{strangers[0]}: recounted, but not in the batch"
    return ""


def _balance_disagreement(batch: Batch, row: BatchRow, tally: Tally | None) -> str:
    carries = batch.cycle in (NATIONAL, DALE)
    opening = tally.opening_minor if tally is not None and carries else 0
    net = tally.net_minor if tally is not None else 0
    if row.opening != opening:
        return f"{row.participant} opening: {row.opening} in the batch, {opening} recounted"
    if row.net != net:
        return f"{row.participant} net: {row.net} in the batch, {net} recounted"
    closing = row.opening + row.net + row.funded.value - row.drawn.value + row.returns
    if row.new_opening != closing:
        return f"{row.participant} new opening: {row.new_opening}, but its figures say {closing}"
    return ""


_FIGURES = FIELDS[1:]
"""What is counted: all but the opening balance."""


def _figures(row: BatchRow) -> Iterator[int]:
    for counted in (
        row.sent.accepted,
        row.sent.rejected,
        row.received.accepted,
        row.received.rejected,
        row.funded,
        row.drawn,
    ):
        yield counted.count
        yield counted.value


def _figures_of(tally: Tally) -> dict[str, int]:
    return {name: getattr(tally, name) for name in _FIGURES}


def _row(
    tally: Tally,
    *,
    names: Mapping[str, str],
    carried: Mapping[str, int] | None,
    charges: Charges,
) -> BatchRow:
    code = tally.account.owner
    new_opening = tally.closing_minor if carried is None else carried[code]
    fees = charges.per_transfer * tally.sent_accepted
    if has_traffic(tally):
        fees += charges.per_window
    return BatchRow(
        participant=code,
        name=names.get(code, code),
        opening=tally.opening_minor,
        sent=Outcome(
            Counted(tally.sent_accepted, tally.sent_accepted_minor),
            Counted(tally.sent_rejected, tally.sent_rejected_minor),
        ),
        received=Outcome(
            Counted(tally.received_accepted, tally.received_accepted_minor),
            Counted(tally.received_rejected, tally.received_rejected_minor),
        ),
        net=tally.net_minor,
        funded=Counted(tally.funded, tally.funded_minor),
        drawn=Counted(tally.drawn, tally.drawn_minor),
        returns=new_opening - tally.closing_minor,
        new_opening=new_opening,
        fees_due=fees,
    )


def _check(stand: WindowStand, tallies: Sequence[Tally], rows: Sequence[BatchRow]) -> None:
    strangers = [one.window for one in tallies if one.window != stand.window]
    if strangers:
        raise BatchRefused(f"a tally is of window {strangers[0]}")
    for row in rows:
        largest = max((abs(row.net), abs(row.new_opening), *map(abs, _figures(row))))
        if largest > MINOR_MAX:
            raise BatchRefused(f"{row.participant}: a sum leaves 64 bits")
    net_sum = sum(one.net for one in rows)
    if net_sum:
        raise BatchRefused(f"the net positions sum to {net_sum} instead of zero")


def _stamp(instant: datetime) -> str:
    day, time = wire_date_time(instant)
    return day + time
