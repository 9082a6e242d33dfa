"""Figures counted anew: from what each lane's lines add up to, to balances and tallies."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from clearing.core.tally import (
    DRAWN,
    FIELDS,
    FUNDED,
    OPENING,
    RECEIVED_ACCEPTED,
    RECEIVED_REJECTED,
    SENT_ACCEPTED,
    SENT_REJECTED,
    account_key,
)
from scheme.ledger import (
    DALE,
    DEFERRED,
    FUNDING_ACCOUNT,
    MONEY_OF,
    NATIONAL,
    Account,
    Entry,
    Position,
    prefund_owner,
)
from scheme.standing import Instruction, Tally

ORDERED, REJECTED, UNSEEN = "ordered", "rejected", "unseen"
COUNTED_KINDS = (ORDERED, REJECTED, UNSEEN)
"""Kinds of lines that move no money: orders of the cycles at their acceptance, transfers that
were refused, and those refused before their creditor's agent could see them."""

DEBIT_COUNTS, CREDIT_COUNTS = 1, 2
"""Whether a line counts one transfer for its debit, and for its credit."""

_MOVED = frozenset({"funding", "drawdown", "settlement"})
_OBLIGATIONS = frozenset({"principal", "interbank_fee", "opposite"})


class LaneTotal(Struct, frozen=True, kw_only=True, gc=False):
    """What the lines of one lane add up to.

    Attributes:
        entry: kind, accounts and window of its lines.
        counted: which sides its lines count a transfer for.
        lines, minor, digest: how many there are, and their amounts and digests together.
    """

    entry: Entry
    counted: int
    lines: int
    minor: int
    digest: int = 0


def counted_flags(entries: Sequence[Entry]) -> list[int]:
    """Say of each entry of a transfer whether it counts one for its debit and its credit.

    A transfer counts once for each window and position, whatever number of entries it has.
    """
    flags = []
    for index, entry in enumerate(entries):
        flag = DEBIT_COUNTS | CREDIT_COUNTS if entry.window else 0
        for earlier in entries[:index]:
            if earlier.window == entry.window:
                if earlier.debit == entry.debit:
                    flag &= ~DEBIT_COUNTS
                if earlier.credit == entry.credit:
                    flag &= ~CREDIT_COUNTS
        flags.append(flag)
    return flags


def balances(lanes: Iterable[LaneTotal]) -> dict[Account, int]:
    """Return what the entries of each account add up to."""
    found: dict[Account, int] = {}
    for lane in lanes:
        entry = lane.entry
        if entry.kind not in COUNTED_KINDS:
            found[entry.debit] = found.get(entry.debit, 0) - lane.minor
            found[entry.credit] = found.get(entry.credit, 0) + lane.minor
    return found


class _Figures:
    """Tallies in the making."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, Account], list[int]] = {}

    def add(self, window: str, account: Account, where: int, number: int, minor: int) -> None:
        if account.owner != FUNDING_ACCOUNT:
            key = (window, account)
            counts = self.counts.setdefault(key, [0] * len(FIELDS))
            counts[where] += number
            counts[where + 1] += minor

    def open(self, window: str, account: Account, minor: int) -> None:
        counts = self.counts.setdefault((window, account), [0] * len(FIELDS))
        counts[OPENING] += minor

    def both(self, lane: LaneTotal, sent: int, received: int | None) -> None:
        entry = lane.entry
        number = lane.lines if lane.counted & DEBIT_COUNTS else 0
        self.add(entry.window, entry.debit, sent, number, lane.minor)
        if received is not None:
            number = lane.lines if lane.counted & CREDIT_COUNTS else 0
            self.add(entry.window, entry.credit, received, number, lane.minor)


def tallies(
    lanes: Iterable[LaneTotal], openings: Iterable[tuple[str, Account, int]]
) -> tuple[Tally, ...]:
    """Return what each window counts for each position, by window and account.

    Args:
        openings: window, position and balance, as the batch before handed them on.
    """
    figures = _Figures()
    for window, account, minor in openings:
        figures.open(window, account, minor)
    for lane in lanes:
        if lane.entry.window:
            _count(figures, lane)
    return tuple(
        Tally(window=window, account=account, **dict(zip(FIELDS, counts, strict=True)))
        for (window, account), counts in sorted(
            figures.counts.items(), key=lambda one: (one[0][0], account_key(one[0][1]))
        )
    )


def _count(figures: _Figures, lane: LaneTotal) -> None:
    entry = lane.entry
    kind = entry.kind
    if kind in (REJECTED, UNSEEN):
        figures.both(lane, SENT_REJECTED, RECEIVED_REJECTED if kind == REJECTED else None)
    elif kind == ORDERED or kind == "opposite":
        figures.both(lane, SENT_ACCEPTED, RECEIVED_ACCEPTED)
    elif kind in _MOVED and not lane.counted:
        figures.open(entry.window, entry.credit, lane.minor)
    elif kind in _MOVED:
        figures.add(entry.window, entry.credit, FUNDED, lane.lines, lane.minor)
        figures.add(entry.window, entry.debit, DRAWN, lane.lines, lane.minor)
    elif entry.debit.ledger != DEFERRED:
        # An order of the cycles was counted when it was accepted, by its "ordered" line.
        figures.both(lane, SENT_ACCEPTED, RECEIVED_ACCEPTED)


def backed_balances(
    positions: Iterable[Position],
    lanes: Iterable[LaneTotal],
    is_settled: Callable[[str], bool],
    settled: Iterable[Instruction],
) -> dict[Account, int]:
    """Return what prefunded positions must be: their prefund, and what is not settled yet.

    While a window is being settled, what was paid for it already is taken out again, since its
    entries still count as not settled.

    Args:
        is_settled: whether a window is at its end.
        settled: payments that settled, of windows that are not at their end.
    """
    held = {one.account: one.balance_minor for one in positions}
    backed = {}
    for account in held:
        ledger = MONEY_OF.get(account.ledger)
        if account.ledger in (NATIONAL, DALE) and ledger is not None:
            prefund = _prefund(account)
            if prefund in held:
                backed[account] = held[prefund]
    for lane in lanes:
        entry = lane.entry
        if entry.kind in _OBLIGATIONS and entry.window and not is_settled(entry.window):
            _shift(backed, entry.debit, -lane.minor)
            _shift(backed, entry.credit, lane.minor)
    by_prefund = {_prefund(account): account for account in backed}
    for one in settled:
        if one.debit in by_prefund:
            _shift(backed, by_prefund[one.debit], one.minor)
        if one.credit in by_prefund:
            _shift(backed, by_prefund[one.credit], -one.minor)
        for entry in one.linked:
            _shift(backed, entry.debit, -entry.minor)
            _shift(backed, entry.credit, entry.minor)
    return backed


def _shift(figures: dict[Account, int], account: Account, minor: int) -> None:
    if account in figures:
        figures[account] += minor


def _prefund(account: Account) -> Account:
    return Account(
        ledger=MONEY_OF[account.ledger],
        currency=account.currency,
        owner=prefund_owner(account.owner),
    )


Tallied = Mapping[tuple[str, Account], Tally]


def by_position(found: Iterable[Tally]) -> Tallied:
    """Return tallies by window and account."""
    return {(one.window, one.account): one for one in found}
