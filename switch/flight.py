"""What is in flight: orders on their way to an outcome, and owed messages to their peers."""

import asyncio
from collections import OrderedDict
from typing import Generic, TypeVar

from msgspec import Struct

from scheme.ledger import Entry, Owed
from switch.breakers import Pass
from switch.core.records import TransferRecord
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
    """

    __slots__ = ("entries", "is_reserved", "key", "leave", "outcome", "record", "state")

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
        self.outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        """End without an answer: who waits is told nothing about the outcome."""
        if not self.outcome.done():
            self.outcome.set_exception(UnknownOutcome(repr(error)))
            # Nobody may be waiting any more; an unread exception would only be noise.
            self.outcome.exception()


class Attempt:
    """An owed message in memory: when it is due, and how often it was tried."""

    __slots__ = ("attempts", "due_ms", "first_ms", "owed")

    def __init__(self, owed: Owed) -> None:
        self.owed = owed
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
