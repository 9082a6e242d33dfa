"""A recount of every batch from single orders, by rules of its own: pure, and slow on purpose.

It shares nothing with the clearing house but the orders it lists: which accounts an order moves
and where it counts is worked out here again, from the participants' tiers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from msgspec import Struct

from scheme.batch import Batch, BatchRow, Counted

TIN, NETWORK, DEFERRED = "tin", "network", "deferred"
PAID = frozenset({"POSTED", "CONFIRMED"})
PAYMENT_STATES = frozenset({"ACSP", "ACSC", "RJCT"})
_UNRECEIVED = frozenset({"FF07", "AM04"})
"""Reasons of the clearing house itself: the creditor's agent never saw the order."""


class Order(Struct, frozen=True, kw_only=True, gc=False):
    """One order or return as the clearing house lists it.

    Attributes:
        rail: ``tin``, ``network``, ``deferred``, ``lbtr`` or ``on_us``.
        is_paid: posted; of the deferred rail, accepted.
        is_unreached: refused because its creditor's agent could not be reached: never received.
        settles: amount and interbank fee, cents.
        window, network_window: where it counts nationally and in the network; empty: nowhere.
    """

    order_id: str
    rail: str
    is_paid: bool
    reason: str
    debtor: str
    creditor: str
    settles: int
    window: str
    network_window: str
    is_unreached: bool = False


@dataclass(slots=True)
class Recount:
    """What one participant should have in one window: [count, value] each."""

    sent_accepted: list[int]
    sent_rejected: list[int]
    received_accepted: list[int]
    received_rejected: list[int]

    @classmethod
    def empty(cls) -> "Recount":
        """Return nothing at all."""
        return cls([0, 0], [0, 0], [0, 0], [0, 0])

    @property
    def net(self) -> int:
        """Received less sent, of what was accepted."""
        return self.received_accepted[1] - self.sent_accepted[1]


Recounts = Mapping[str, Mapping[str, Recount]]
"""By window and participant."""


def recount(orders: Iterable[Order], sponsors: Mapping[str, str]) -> Recounts:
    """Count all orders.

    Args:
        sponsors: the sponsor of each coop of the network.
    """
    found: defaultdict[str, defaultdict[str, Recount]] = defaultdict(
        lambda: defaultdict(Recount.empty)
    )
    for one in orders:
        was_received = one.reason not in _UNRECEIVED and not one.is_unreached
        for window, payer, payee in _legs(one, sponsors):
            if not window:
                continue
            sent, received = found[window][payer], found[window][payee]
            _add(sent.sent_accepted if one.is_paid else sent.sent_rejected, one)
            if one.is_paid:
                _add(received.received_accepted, one)
            elif was_received:
                _add(received.received_rejected, one)
    return found


def _add(pair: list[int], one: Order) -> None:
    pair[0] += 1
    pair[1] += one.settles


def _legs(one: Order, sponsors: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield window, who is debited and who is credited, for each ledger an order touches."""
    debtor_settles = sponsors.get(one.debtor, one.debtor)
    creditor_settles = sponsors.get(one.creditor, one.creditor)
    if one.rail == NETWORK:
        yield one.network_window or one.window, one.debtor, one.creditor
    if one.rail in {TIN, DEFERRED} and debtor_settles != creditor_settles:
        yield one.window, debtor_settles, creditor_settles
    if one.rail == TIN:
        if one.debtor in sponsors:
            yield one.network_window, one.debtor, debtor_settles
        if one.creditor in sponsors:
            yield one.network_window, creditor_settles, one.creditor


def compare(batch: Batch, recounted: Mapping[str, Recount]) -> list[str]:
    """Return what differs between a batch and its recount, in sentences."""
    found = []
    rows = {row.participant: row for row in batch.participants}
    for code in sorted(rows.keys() | recounted.keys()):
        again = recounted.get(code, Recount.empty())
        row = rows.get(code)
        if row is None:
            found.append(f"{batch.batch}: {code} has movements and no row: {again}")
            continue
        found += [
            f"{batch.batch}: {code}: {what}: batch {said}, recounted {counted}"
            for what, said, counted in _pairs(row, again)
            if said != counted
        ]
    nets = sum(row.net for row in batch.participants)
    if nets or batch.net_sum:
        found.append(f"{batch.batch}: the nets sum to {nets}, the batch says {batch.net_sum}")
    gross = (sum(one.sent_accepted[0] for one in recounted.values()),
             sum(one.sent_accepted[1] for one in recounted.values()))  # fmt: skip
    if gross != (batch.gross.count, batch.gross.value):
        found.append(f"{batch.batch}: gross: batch {batch.gross}, recounted {gross}")
    return found


def _pairs(row: BatchRow, again: Recount) -> Iterator[tuple[str, object, object]]:
    for what, said, counted in (
        ("sent and accepted", row.sent.accepted, again.sent_accepted),
        ("sent and rejected", row.sent.rejected, again.sent_rejected),
        ("received and accepted", row.received.accepted, again.received_accepted),
        ("received and rejected", row.received.rejected, again.received_rejected),
    ):
        yield what, said, Counted(*counted)
    yield "net", row.net, again.net
    moved = row.net + row.funded.value - row.drawn.value + row.returns
    yield "new opening", row.new_opening, row.opening + moved
