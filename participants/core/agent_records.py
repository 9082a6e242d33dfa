"""What a terminal keeps: its operations, their verdicts, and the digests over them."""

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from participants.core.agent_book import (
    Change,
    Entry,
    EntryState,
    Facts,
    TillRow,
    Wish,
    operation_of,
    till_of,
)
from participants.core.agent_limits import moved
from scheme.reasons import ReasonCode
from scheme.wire.agent_digest import APPLIED, digest_of, sealed, verdict_mac
from scheme.wire.agent_payload import Closing, Items, Kind, Operation, Verdict, payloads

REUSED: Final = "94"
"""Verdict of a number that stands for another operation at the clearing house."""
BAD_MAC: Final = "63"
"""Verdict of an operation that the clearing house did not even store."""
REVOKED: Final = "62"
"""Verdict of whatever a terminal says that is revoked, also of a VOID."""
_MALFORMED: Final = "30"
_OP_ID_BYTES: Final = 8
_KEPT: Final = 1000
"""Operations that are agreed on and still kept, to be looked up."""


class Records:
    """The operations of one terminal.

    Args:
        device: its id; key: of its MACs.
        chance: where operation ids come from.
        facts, entries: as saved by earlier changes.
    """

    def __init__(
        self,
        device: str,
        key: bytes,
        chance: random.Random,
        facts: Facts,
        entries: Iterable[Entry],
    ) -> None:
        self.device = device
        self._key = key
        self._chance = chance
        self._facts = facts
        self._entries = {entry.seq: entry for entry in entries}

    @property
    def facts(self) -> Facts:
        """What it remembers beside its operations."""
        return self._facts

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its operations that are kept, in order."""
        return tuple(self._entries[seq] for seq in sorted(self._entries))

    def entry(self, seq: int) -> Entry | None:
        """Return one operation."""
        return self._entries.get(seq)

    def till(self) -> tuple[TillRow, ...]:
        """Return the cash in the drawer, by currency number."""
        return till_of(self._entries.values(), self._facts.till)

    def _unsettled(self) -> list[int]:
        # Behind what is agreed on nothing waits.
        seqs = range(self._facts.agreed + 1, self._facts.next)
        return [seq for seq in seqs if (one := self._entries.get(seq)) and not one.is_settled]

    def _judged_of(self, first: int, last: int) -> list[tuple[Operation, Verdict]]:
        found = [one for seq in range(first, last + 1) if (one := self._entries.get(seq))]
        return [(one.operation, one.verdict) for one in found if one.verdict is not None]

    def _digest(self, first: int, last: int) -> tuple[int, int, bytes]:
        return digest_of(self._key, self.device, self._judged_of(first, last))

    def _items(self, closing: Closing) -> tuple[bytes, ...]:
        items = tuple(
            (operation.seq, verdict_mac(self._key, self.device, operation, verdict))
            for operation, verdict in self._judged_of(closing.first, closing.last)
        )
        return payloads(Items(self._facts.session, items))

    def _unaccounted(self, first: int, last: int) -> list[int]:
        """Return the numbers of a range of which the clearing house's operation is not here."""
        kept = ((seq, self._entries.get(seq)) for seq in range(first, last + 1))
        return [seq for seq, one in kept if one is None or _is_anothers(one)]

    def _agreed_on_all(self) -> bool:
        return self._facts.agreed >= self._facts.next - 1

    def _new(self, wish: Wish, seq: int, at: int, *, offline: bool) -> Operation:
        op_id = self._chance.randbytes(_OP_ID_BYTES)
        operation = operation_of(wish, seq=seq, op_id=op_id, at=at, offline=offline)
        return sealed(self._key, self.device, operation)

    def _settle(self, entry: Entry, verdict: Verdict, *, adopted: bool = False) -> Entry:
        state = EntryState.APPLIED if verdict.code == APPLIED else EntryState.REFUSED
        entry = replace(entry, state=state, verdict=verdict, adopted=adopted)
        self._entries[entry.seq] = entry
        lease = self._facts.lease
        if lease is not None and state is EntryState.APPLIED and not entry.operation.offline:
            self._facts = replace(self._facts, lease=moved(lease, entry.operation))
        return entry

    def _void(self, seq: int, lost: Entry | None = None, cause: Verdict | None = None) -> Entry:
        """Make the operation that stands for one that is lost, or that could not be taken."""
        given_up = None if lost is None else lost.given_up or lost.operation
        void = self._new(Wish(kind=Kind.VOID), seq, given_up.at if given_up else 0, offline=False)
        entry = Entry(void, given_up=given_up, cause=cause)
        self._entries[seq] = entry
        return entry

    def _forgotten(self) -> Change:
        """Forget the oldest operations that are agreed on; their cash is kept as a sum."""
        old = sorted(self._entries)[:-_KEPT]
        gone = [self._entries.pop(seq) for seq in old if seq <= self._facts.agreed]
        if not gone:
            return Change(self._facts)
        self._facts = replace(self._facts, till=till_of(gone, self._facts.till))
        return Change(self._facts, forget_through=gone[-1].seq)


def malformed(seq: int, note: str) -> Verdict:
    """Return why an operation was given up that the clearing house could not read."""
    return Verdict(seq, _MALFORMED, ReasonCode.FF02.value, note=note)


def ranges_of(seqs: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return ascending numbers as ranges, both ends included."""
    breaks = [(one, two) for one, two in pairwise(seqs) if two != one + 1]
    firsts = (*seqs[:1], *(two for _, two in breaks))
    lasts = (*(one for one, _ in breaks), *seqs[-1:])
    return tuple(zip(firsts, lasts, strict=True))


def _is_anothers(entry: Entry) -> bool:
    return entry.verdict is not None and entry.verdict.code == REUSED
