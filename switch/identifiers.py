"""Issues instructionIds: no value is ever issued twice (docs/wire/tin-messages.md#identifiers)."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from scheme.clock import parse_wire, wire_date_time
from scheme.ids import CANCELLATION_TRACES, OWN_TRACES, Kind, Sequence, instruction_id
from scheme.messages import AV1, CT1
from switch.core.records import TransferRecord
from switch.ports import Store

BLOCK: Final = 10_000
"""How far ahead of what was issued a sequence is written to disk."""
RESEND: Final = "0201"
YOUNGEST_MAX: Final = 16_384
"""Ids that are remembered to know, without a look at the disk, that another was never issued."""
NOTICES: Final = (1, 999_999)

STANS: Final = (1, 999_999)

RANGES: Final = {
    "own": OWN_TRACES,
    "cancellation": CANCELLATION_TRACES,
    "notice": NOTICES,
    "stan": STANS,
}
"""Sequences by name, with their first and last number."""


class DurableSequence:
    """A sequence whose numbers are not repeated after a crash.

    Args:
        start: first number; the block that starts there is on disk as used.
        save: writes, in the background, from where a restart may go on.
    """

    def __init__(self, name: str, start: int, save: Callable[[str, int], None]) -> None:
        first, last = RANGES[name]
        self._name = name
        self._span = last - first + 1
        self._first = first
        self._sequence = Sequence(first, last, start)
        self._save = save
        self._taken = 0

    def take(self) -> int:
        """Return the next number; half a block before the end the next block is saved."""
        number = self._sequence.take()
        self._taken += 1
        if self._taken % BLOCK == BLOCK // 2:
            self._save(self._name, after_block(self._name, number + BLOCK // 2))
        return number


def after_block(name: str, start: int) -> int:
    """Return where a restart may go on if ``start`` was the beginning of a block in use."""
    first, last = RANGES[name]
    return first + (start - first + BLOCK) % (last - first + 1)


class Youngest:
    """Every id ever taken that is greater than a floor, so that absence here proves something.

    Ids begin with the time that their sender wrote, so nearly every new one is above the floor.

    Args:
        floor: no id on record is greater.
        size_max: beyond it the smaller half is forgotten, and the floor rises to it.
    """

    def __init__(self, floor: str, size_max: int = YOUNGEST_MAX) -> None:
        self._floor = floor
        self._size_max = size_max
        self._ids: set[str] = set()

    def is_free(self, value: str) -> bool:
        """Tell whether an id is certainly on no record; if not, only the disk can tell."""
        return value > self._floor and value not in self._ids

    def add(self, value: str) -> None:
        """Remember an id that is, or may be, on its way to the disk."""
        if value <= self._floor:
            return
        self._ids.add(value)
        if len(self._ids) > self._size_max:
            in_order = sorted(self._ids)
            middle = len(in_order) // 2
            self._floor = in_order[middle]
            self._ids = set(in_order[middle + 1 :])


class Issuer:
    """Composes ids from what senders sent, and from its own sequence where that would repeat.

    Args:
        started: when this process started.
        is_first_start: nothing was ever issued from this store before.
        own, cancellations: traces of ours.
    """

    def __init__(
        self,
        store: Store,
        *,
        started: datetime,
        is_first_start: bool,
        own: DurableSequence,
        cancellations: DurableSequence,
    ) -> None:
        self._store = store
        self._started = started
        self._is_first_start = is_first_start
        self._own = own
        self._cancellations = cancellations
        self._pending: set[str] = set()
        self._youngest = Youngest(store.greatest_issued())

    def for_query(self, av1: AV1, *, is_shared: bool = False) -> str:
        """Issue the id of a verification that is not a repeat.

        Args:
            is_shared: others may have its moment and trace in common, so that an id of a former
                process, which is on record nowhere, may be another's.
        """
        composed = self.query_key(av1)
        created = parse_wire(av1.creationDate, av1.creationTime)
        return self._issue(composed, composed, is_doubtful=is_shared and self._is_former(created))

    def query_key(self, av1: AV1) -> str:
        """Return the idempotency key of a query: its id before any replacement."""
        return self._compose(av1, Kind.VERIFICATION, av1.trace)

    def for_order(self, ct1: CT1) -> str:
        """Issue the id of an order that is seen for the first time."""
        created = parse_wire(ct1.creationDate, ct1.creationTime)
        is_doubtful = (
            ct1.messageTypeId == RESEND
            or int(ct1.trace) >= CANCELLATION_TRACES[0]  # Those are of our cancellations.
            or self._is_former(created)
        )
        composed = self._compose(ct1, Kind.TRANSFER, ct1.trace)
        return self._issue(composed, composed, is_doubtful=is_doubtful)

    def _is_former(self, created: datetime | None) -> bool:
        return not self._is_first_start and (created is None or created < self._started)

    def for_cancellation(self, record: TransferRecord, now: datetime) -> str:
        """Issue the id of the cancellation of an expired order."""
        date, time = wire_date_time(now)
        return instruction_id(
            date=date,
            time=time,
            originator=record.ct1.debtorParticipantCode,
            kind=Kind.TRANSFER,
            channel=record.ct1.channel,
            trace=f"{self._cancellations.take():06}",
        )

    def hold(self, instruction: str) -> None:
        """Keep an id from being issued until ``settled``: its row is on the way to the disk."""
        self._pending.add(instruction)
        self._youngest.add(instruction)

    def settled(self, instruction: str) -> None:
        """Forget an id that is on record now, or whose row will never be."""
        self._pending.discard(instruction)

    def _issue(self, composed: str, template: str, *, is_doubtful: bool) -> str:
        value = composed
        while is_doubtful or not self._is_free(value):
            value = f"{template[:-6]}{self._own.take():06}"
            is_doubtful = False
        self._pending.add(value)
        self._youngest.add(value)
        return value

    def _is_free(self, value: str) -> bool:
        if self._youngest.is_free(value):
            return True
        return value not in self._pending and not self._store.is_issued(value)

    @staticmethod
    def _compose(message: AV1 | CT1, kind: Kind, trace: str) -> str:
        return instruction_id(
            date=message.creationDate,
            time=message.creationTime,
            originator=message.debtorParticipantCode,
            kind=kind,
            channel=message.channel,
            trace=trace,
        )
