"""How windows, their counts and queued payments stand: what the ledger's port answers."""

from msgspec import Struct

from scheme.ledger import Account, Entry


class WindowStand(Struct, frozen=True, kw_only=True, gc=False):
    """A settlement window as it stands.

    Attributes:
        state: ``OPEN``, ``CLOSING``, ``CLOSED``, ``SETTLING``, ``SETTLED``, ``PARTIAL``,
            ``FAILED``.
        held: transfers of it that still hold money.
        closed_ms: when its batch was made; 0 before.
        record: the settlement so far, as AdvanceWindow stored it.
    """

    window: str
    cycle: str
    currency: str
    settlement_date: str
    number: int
    opens_ms: int
    closes_ms: int
    state: str
    held: int = 0
    closed_ms: int = 0
    record: bytes = b""


class Tally(Struct, frozen=True, kw_only=True, gc=False):
    """What one window counts for one position: numbers, and values in minor units.

    Values are interbank settlement amounts: the interbank fee is in them.
    """

    window: str
    account: Account
    opening_minor: int = 0
    sent_accepted: int = 0
    sent_accepted_minor: int = 0
    sent_rejected: int = 0
    sent_rejected_minor: int = 0
    received_accepted: int = 0
    received_accepted_minor: int = 0
    received_rejected: int = 0
    received_rejected_minor: int = 0
    funded: int = 0
    funded_minor: int = 0
    drawn: int = 0
    drawn_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Received less sent, of what was accepted."""
        return self.received_accepted_minor - self.sent_accepted_minor

    @property
    def closing_minor(self) -> int:
        """The next window's opening balance."""
        return self.opening_minor + self.net_minor + self.funded_minor - self.drawn_minor


class Instruction(Struct, frozen=True, kw_only=True, gc=False):
    """A payment in a ledger of money.

    Attributes:
        sequence: order of arrival; a participant's payments settle in it.
        state: ``QUEUED``, ``SETTLED`` or ``DROPPED``.
    """

    instruction_id: str
    sequence: int
    kind: str
    subject: str
    debit: Account
    credit: Account
    minor: int
    linked: tuple[Entry, ...] = ()
    state: str
    reason: str = ""
    queued_ms: int
    settled_ms: int = 0
