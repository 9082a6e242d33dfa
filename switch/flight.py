"""What is in flight: orders on their way to an outcome, and owed messages to their peers."""

import asyncio
from collections import OrderedDict
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from scheme.ledger import Entry, Owed
from switch.breakers import Pass
from switch.core.records import Binding, TransferRecord
from switch.core.transfer import TransferState

V = TypeVar("V")


class Answer(Struct, frozen=True, gc=False):
    """What a request is answered with, before signing.

    Attributes:
        body: the JSON document.
        explain: the rule behind a refusal, for the answer's ``X-Chasqui-Error``.
        subject: instructionId it is about, or empty.
    """

    body: bytes
    explain: str = ""
    subject: str = ""


class Entered(Struct, frozen=True, gc=False):
    """How an order came that was not sent as a CT1.

    Attributes:
        key: its idempotency key, scoped to its sender.
        content: what moves money in it, to tell a repeat from another order.
        binding: what it was verified to be.
        is_new: it was asked for, and not found, in this very turn of the loop.
    """

    key: str
    content: str
    binding: Binding
    is_new: bool = False


class EarlyRefusal(Struct, frozen=True, gc=False):
    """A refusal of an order that came by another wire, before it became a transfer.

    Attributes:
        key, content: the order's, as in ``Entered``; nothing is in flight under the key.
        reason: and the field and rule behind it.
    """

    key: str
    content: str
    debtor_agent: str
    reason: str
    rule: str


class ReversalOutcome(StrEnum):
    """What a debtor's agent achieves by taking an order back."""

    POSTED = "posted"
    """It is posted, and irrevocable."""
    UNDONE = "undone"
    """It was open, and is undone by this; its creditor's agent is told."""
    REFUSED = "refused"
    """It had been refused, or had expired, before."""
    UNKNOWN = "unknown"
    """It never came, and if it still comes it is refused."""


class Reversal(Struct, frozen=True, gc=False):
    """The outcome of a reversal, on disk.

    Attributes:
        transfer_id: of the order, or of the tombstone that stands for it.
        answer: what the order is, and was, answered.
    """

    outcome: ReversalOutcome
    transfer_id: str
    answer: Answer


class UnknownOutcome(Exception):
    """Something failed inside the clearing house after money was reserved.

    No outcome may be stated: the connection is closed or a bare 500 given.
    """


class NotAccepting(Exception):
    """The clearing house is stopping and takes nothing new; the sender tries again."""


class Flight:
    """An order without an outcome on disk.

    Args:
        record: the order; replaced once it is decided. ``is_reserved`` tells that money is held
            for it.
        entries: what it posts, or would have.
        leave: the breaker's, until the creditor's agent has been asked.

    Attributes:
        is_reversed: its debtor's agent took it back before it was decided, so nobody's answer
            can decide it any more.
        asking: the task that waits for the creditor's agent, where the order can be taken back.
    """

    __slots__ = (
        "asking",
        "entries",
        "is_reserved",
        "is_reversed",
        "key",
        "leave",
        "outcome",
        "record",
        "state",
    )

    def __init__(
        self,
        key: str,
        record: TransferRecord,
        entries: tuple[Entry, ...] = (),
        leave: Pass | None = None,
    ) -> None:
        self.key = key
        self.record = record
        self.entries = entries
        self.leave = leave
        self.state = TransferState.RESERVED
        self.is_reserved = False
        self.is_reversed = False
        self.asking: asyncio.Task[object] | None = None
        self.outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        """End without an answer: who waits is told nothing about the outcome."""
        if not self.outcome.done():
            self.outcome.set_exception(UnknownOutcome(repr(error)))
            # Nobody may be waiting any more; an unread exception would only be noise.
            self.outcome.exception()


class Attempt:
    """An owed message in memory: when it is due, and how often it was tried.

    Args:
        is_repeat: it may have been sent before it came into memory.
    """

    __slots__ = ("attempts", "due_ms", "first_ms", "is_repeat", "owed")

    def __init__(self, owed: Owed, *, is_repeat: bool = False) -> None:
        self.owed = owed
        self.is_repeat = is_repeat
        self.attempts = 0
        self.first_ms = owed.due_ms
        self.due_ms = owed.due_ms


class Recent(Generic[V]):
    """The youngest ``size_max`` values by key; the truth about older ones is on the disk."""

    def __init__(self, size_max: int) -> None:
        assert size_max > 0
        self._size_max = size_max
        self._values: OrderedDict[str, V] = OrderedDict()

    def get(self, key: str) -> V | None:
        """Return a value that is still remembered."""
        return self._values.get(key)

    def put(self, key: str, value: V) -> None:
        """Remember a value, and forget the oldest beyond the limit."""
        self._values[key] = value
        if len(self._values) > self._size_max:
            self._values.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget a value."""
        self._values.pop(key, None)
