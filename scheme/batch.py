"""A settlement batch, and how far its settlement is: what clearing makes and everyone reads.

A batch is made once, when its window is closed, and never changes. The settlement beside it does.
"""

import msgspec
from msgspec import Struct

OPEN = "OPEN"
CLOSING = "CLOSING"
CLOSED = "CLOSED"
SETTLING = "SETTLING"
SETTLED = "SETTLED"
PARTIAL = "PARTIAL"
FAILED = "FAILED"
WINDOW_STATES = (OPEN, CLOSING, CLOSED, SETTLING, SETTLED, PARTIAL, FAILED)
"""In the order in which a window goes through them; the last three are ends."""
AGREED = "agreed"
"""What the audit of a batch says when the recount agrees with it."""
REFUSED = "refused: "
"""How the audit of a batch begins when the recount differs."""


class Counted(Struct, frozen=True):
    """How many transfers, and their value in minor units, interbank fees included."""

    count: int = 0
    value: int = 0


class Outcome(Struct, frozen=True):
    """Transfers of one direction by their outcome."""

    accepted: Counted = Counted()
    rejected: Counted = Counted()


class BatchRow(Struct, frozen=True, kw_only=True):
    """One participant's part of a batch; amounts in minor units.

    Attributes:
        opening: balance with which the window began.
        net: received less sent, of what was accepted.
        funded, drawn: supplemental funding and drawdowns during the window.
        returns: what returns, which the dispute cycle settles, changed in the meantime.
        new_opening: opening + net + funded - drawn + returns: the next window's opening.
        fees_due: the clearing house's own charges; interbank fees are in the net already.
    """

    participant: str
    name: str
    opening: int
    sent: Outcome
    received: Outcome
    net: int
    funded: Counted
    drawn: Counted
    returns: int = 0
    new_opening: int
    fees_due: int


class Batch(Struct, frozen=True, kw_only=True):
    """What one window comes to.

    Attributes:
        batch: the window's id.
        settlement_date: ``yyyyMMdd``.
        cut_off, opened_at, closed_at: ``yyyyMMddHHmmss``, Lima.
        next_window: id of the window that followed.
        gross: what was sent and accepted by all.
    """

    batch: str
    cycle: str
    ledger: str
    currency: str
    settlement_date: str
    number: int
    cut_off: str
    opened_at: str
    closed_at: str
    next_window: str
    participants: tuple[BatchRow, ...]
    gross: Counted
    net_sum: int


class Approval(Struct, frozen=True, kw_only=True, rename={"name": "as"}):
    """One person's consent to a batch; ``at`` in milliseconds since the epoch."""

    name: str
    at: int


class Bearer(Struct, frozen=True, kw_only=True, rename={"failing": "for"}):
    """Who bore what, when a participant could not pay in.

    Attributes:
        participant: who bore it; ``guarantee`` for the fund.
        by: ``itself``, ``guarantee_fund``, ``sponsor``, ``loss_sharing`` or ``unwound``.
        failing: who should have paid.
    """

    participant: str
    by: str
    failing: str
    minor: int


class Settlement(Struct, frozen=True, kw_only=True):
    """How far the settlement of a batch is.

    Attributes:
        state: the window's.
        cut_off_ms: when the window stopped taking transfers.
        audit: ``agreed``, or ``refused: `` and what differs; empty before the recount.
        refused: why there is no batch; empty if nothing is in the way.
        round: from 1; a further one begins after unwinding or a person's retry.
        rules_applied: what was done about participants that could not pay in.
        unwound: orders given back instead of settled.
        nets: net position by participant where it is not the batch's any more.
        since_ms: when the pay-ins of this round were asked for; 0 before.
    """

    state: str
    cut_off_ms: int = 0
    approvals: tuple[Approval, ...] = ()
    audit: str = ""
    refused: str = ""
    round: int = 1
    rules_applied: tuple[str, ...] = ()
    bearers: tuple[Bearer, ...] = ()
    unwound: tuple[str, ...] = ()
    nets: dict[str, int] | None = None
    since_ms: int = 0


_decode_batch = msgspec.json.Decoder(Batch).decode
_decode_settlement = msgspec.json.Decoder(Settlement).decode


def encode_batch(batch: Batch) -> bytes:
    """Return the one way in which a batch is written."""
    return msgspec.json.encode(batch)


def decode_batch(data: bytes) -> Batch:
    """Read a batch back."""
    return _decode_batch(data)


def encode_settlement(settlement: Settlement) -> bytes:
    """Return a settlement as it is kept with its window."""
    return msgspec.json.encode(settlement)


def decode_settlement(data: bytes, *, state: str) -> Settlement:
    """Read a settlement back; an empty one is that of a window in which nothing happened yet."""
    return _decode_settlement(data) if data else Settlement(state=state)
