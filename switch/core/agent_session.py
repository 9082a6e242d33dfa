"""One terminal's side of the agent lane: which operations are known, in which order they go, gaps.

Device and sequence number are an operation's key. Sequence numbers have no gaps, so what comes
after one is held until the gap is filled (docs/agents.md).
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from scheme.limits import AGENT_HELD_MAX, AGENT_RANGES_MAX
from scheme.network import AgentGroup
from scheme.wire.agent_digest import APPLIED
from scheme.wire.agent_payload import Hello, Operation

NO_SESSION: Final = -1
"""Of a terminal that has never said Hello: smaller than any session."""
_PARTS: Final = 3
_DIGEST_BYTES: Final = 8


class Place(Struct, frozen=True, gc=False):
    """Whose terminal it is.

    Attributes:
        institution: four digits; agent: ``0992-0001``; device: ``0992-0001-1``.
        devices: how many terminals the agent has.
    """

    institution: str
    agent: str
    device: str
    devices: int


def place_of(device: str, groups: Mapping[str, AgentGroup]) -> Place | None:
    """Return whose terminal it is; None if nobody has such a one.

    Args:
        groups: by institution.
    """
    parts = device.split("-")
    group = groups.get(parts[0])
    if group is None or len(parts) != _PARTS or not all(_is_number(one) for one in parts[1:]):
        return None
    agent, number = int(parts[1]), int(parts[2])
    if not (1 <= agent <= group.agents and 1 <= number <= group.devices):
        return None
    # One spelling each: it is a key.
    if device != f"{group.institution}-{agent:04d}-{number}":
        return None
    return Place(group.institution, f"{group.institution}-{agent:04d}", device, group.devices)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class Waiting(Struct):
    """An operation without a verdict.

    Attributes:
        received_ms: when it came first; skew_s: by how much its terminal's clock was ahead then.
        is_admitted: it is let through for good, so that its money may have moved.
    """

    operation: Operation
    received_ms: int
    skew_s: int
    is_admitted: bool = False

    @property
    def age_s(self) -> int:
        """How old it was when it came, by the terminal's own clock, which may be off by days."""
        return self.received_ms // 1000 + self.skew_s - self.operation.at


class Seen(Enum):
    """What an operation that comes in is to the switch."""

    NEW = auto()
    UNDER_WAY = auto()
    """Known, and its verdict will come."""
    TOLD = auto()
    """It has a verdict on disk, which has to be compared with it."""
    OTHER = auto()
    """Its number belongs to another operation that is under way."""
    FULL = auto()
    """Too many wait already: it is asked for again."""


class Session:
    """What is known of one terminal. Nothing here waits, reads or writes.

    Args:
        settled: the first number without a verdict on disk.

    Attributes:
        session: the last that was opened.
        skew_s: by how much the terminal's clock is ahead.
        expected: the first number that never came.
        head: the first number that nothing is decided about.
    """

    def __init__(self, *, session: int = NO_SESSION, skew_s: int = 0, settled: int = 1) -> None:
        self.session = session
        self.skew_s = skew_s
        self.settled = self.head = self.expected = settled
        self._waiting: dict[int, Waiting] = {}
        self._claimed = 0

    @property
    def held(self) -> int:
        """How many operations wait behind a gap."""
        return len(self._waiting) - (self.expected - self.settled)

    @property
    def under_way(self) -> int:
        """How many operations wait for a verdict, those behind a gap not counted."""
        return self.expected - self.settled

    def greet(self, hello: Hello, now_s: int) -> bool:
        """Open a session, or hear of it once more; tell whether that changes what is kept.

        ``hello.session`` is not below the last one. Of repeats the one that travelled fastest has
        the right time: all others show the terminal's clock as it was.
        """
        skew = hello.now - now_s
        is_new = hello.session > self.session
        is_better = is_new or skew > self.skew_s
        self.session = hello.session
        if is_better:
            self.skew_s = skew
        self._claimed = max(self._claimed, hello.first - 1)
        return is_better

    def look_at(self, operation: Operation) -> Seen:
        """Tell what an operation is that comes in."""
        seq = operation.seq
        if seq < self.settled:
            return Seen.TOLD
        known = self._waiting.get(seq)
        if known is not None:
            is_same = known.operation.mac == operation.mac
            return Seen.UNDER_WAY if is_same else Seen.OTHER
        # The one that fills the gap is always taken, or nothing would ever move.
        is_full = self.held if seq > self.expected else self.under_way
        return Seen.FULL if is_full >= AGENT_HELD_MAX else Seen.NEW

    def knows(self, seq: int) -> bool:
        """Tell whether an operation of this number has come."""
        return seq < self.expected or seq in self._waiting

    def take(self, waiting: Waiting) -> None:
        """Take a new operation."""
        self._waiting[waiting.operation.seq] = waiting
        while self.expected in self._waiting:
            self.expected += 1

    def next_up(self) -> Waiting | None:
        """Return the operation that is next to be decided; None before a gap or at the end."""
        return self._waiting[self.head] if self.head < self.expected else None

    def decided(self) -> None:
        """Go on to the next number: this one's verdict is on its way to the disk."""
        self.head += 1

    def settle(self, through: int) -> None:
        """Note that all verdicts up to a number are on disk."""
        for seq in range(self.settled, through + 1):
            del self._waiting[seq]
        self.settled = max(self.settled, through + 1)

    def missing(self) -> tuple[tuple[int, int], ...]:
        """Return the first ranges of numbers that are known to have been used and never came."""
        ranges: list[tuple[int, int]] = []
        start = self.expected
        for seq in sorted(one for one in self._waiting if one > self.expected):
            if seq > start:
                ranges.append((start, seq - 1))
            start = seq + 1
        if self._claimed >= start:
            ranges.append((start, self._claimed))
        return tuple(ranges[:AGENT_RANGES_MAX])


class Told(Struct, frozen=True, gc=False):
    """What counts of an operation with its verdict in a digest."""

    seq: int
    code: str
    minor: int
    proof: bytes


class Digest(Struct, frozen=True, gc=False):
    """Count, applied minor units, and XOR of the proofs of some verdicts."""

    count: int = 0
    total: int = 0
    mixed: int = 0

    def plus(self, rows: Iterable[Told]) -> "Digest":
        """Return it with further verdicts."""
        count, total, mixed = self.count, self.total, self.mixed
        for row in rows:
            count += 1
            total += row.minor if row.code == APPLIED else 0
            mixed ^= int.from_bytes(row.proof, "big")
        return Digest(count, total, mixed)

    @property
    def xor(self) -> bytes:
        """The XOR as it is sent."""
        return self.mixed.to_bytes(_DIGEST_BYTES, "big")


def differing(rows: Iterable[Told], items: Mapping[int, bytes]) -> list[int]:
    """Return the numbers of verdicts that a terminal has otherwise, or not at all."""
    return [row.seq for row in rows if items.get(row.seq) != row.proof]
