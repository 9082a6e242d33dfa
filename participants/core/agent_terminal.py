"""A field agent's terminal as a state machine: what happens goes in, what follows comes out.

Nothing here touches a disk, a clock or a wire: the shell writes the change of each ``Actions`` to
disk before it sends its payloads, so that a terminal that ends at any point goes on from what it
had promised. Every payload may be lost, doubled, late or out of order (docs/wire/mqtt.md).
"""

import random
from collections.abc import Iterable
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
from participants.core.agent_limits import Stop, StopReason, lease_of, moved, offline_stop, used
from participants.core.agent_told import (
    Actions,
    Adopted,
    Asked,
    Closed,
    Faulted,
    Made,
    Phase,
    Renumbered,
    Settled,
    Told,
    Welcomed,
)
from scheme.errors import MalformedMessage
from scheme.limits import AGENT_BATCH_MAX, AGENT_HELD_MAX, AGENT_QUEUE_MAX, AGENT_RETRY_S
from scheme.wire.agent_digest import APPLIED, digest_of, sealed, verdict_mac
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Fault,
    Hello,
    Items,
    Kind,
    Missing,
    Operation,
    Operations,
    Verdict,
    Verdicts,
    Welcome,
    decode_down,
    encode,
    payloads,
)

REUSED: Final = "94"
"""Verdict of a number that stands for another operation at the clearing house."""
BAD_MAC: Final = "63"
"""Verdict of an operation that the clearing house did not even store."""
_WINDOW: Final = AGENT_HELD_MAX // 2
"""Operations under way at once: behind a lost one the others must fit what the switch holds."""
_OP_ID_BYTES: Final = 8
_SESSION_JUMPS_MAX: Final = 2**30
_ROUNDS_MAX: Final = 3
"""Comparisons item by item in which nothing changes; then the difference is an operator's."""
_KEPT: Final = 1000
"""Operations that are agreed on and still kept, to be looked up."""


class Terminal:
    """One terminal.

    Args:
        device: its id; key: of its MACs.
        facts, entries: as saved by earlier changes.
        chance: where operation ids come from.
        batch_max: operations in one payload.
    """

    def __init__(
        self,
        device: str,
        key: bytes,
        *,
        chance: random.Random,
        facts: Facts | None = None,
        entries: Iterable[Entry] = (),
        batch_max: int = AGENT_BATCH_MAX,
    ) -> None:
        self.device = device
        self._key = key
        self._chance = chance
        self._facts = facts or Facts()
        self._entries = {entry.seq: entry for entry in entries}
        self._batch_max = batch_max
        self._phase = Phase.ALONE
        self._due: float | None = None
        self._attempt = 0
        self._expected = 1
        self._under_way: set[int] = set()
        self._wants_close = False
        self._closing: Closing | None = None
        self._awaits_agreement = False
        self._rounds = 0
        self._differs = False

    # --- what it knows

    @property
    def facts(self) -> Facts:
        """What it remembers beside its operations."""
        return self._facts

    @property
    def phase(self) -> Phase:
        """How it stands to the clearing house."""
        return self._phase

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its operations that are kept, in order."""
        return tuple(self._entries[seq] for seq in sorted(self._entries))

    def entry(self, seq: int) -> Entry | None:
        """Return one operation."""
        return self._entries.get(seq)

    @property
    def waiting(self) -> int:
        """How many operations have no verdict."""
        return len(self._unsettled())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to say or to wait for."""
        is_closed = not self._wants_close or self._differs or self._agreed_on_all()
        return self._phase is Phase.OPEN and is_closed and not self._unsettled()

    @property
    def due(self) -> float | None:
        """When ``tick`` has something to say again, if nobody answers before."""
        return self._due

    def till(self) -> tuple[TillRow, ...]:
        """Return the cash in the drawer, by currency number."""
        return till_of(self._entries.values(), self._facts.till)

    # --- what happens at the counter

    def make(
        self, wish: Wish, now: float, *, offline: bool, at: float | None = None
    ) -> Made | Stop:
        """Make an operation, or say why this terminal does not.

        Args:
            offline: without asking the clearing house; else it is sent at once.
            at: when it was made, if that was earlier: a rehearsal of hours without a link.
        """
        moment = int(now if at is None else at)
        stop = self._stop(wish, moment, offline=offline)
        if stop is not None:
            return stop
        facts = self._facts
        operation = self._new(wish, facts.next, moment, offline=offline)
        lease = facts.lease
        if offline and lease is not None:
            lease = used(lease, operation)
        self._facts = replace(facts, next=facts.next + 1, lease=lease)
        state = EntryState.QUEUED if offline else EntryState.SENT
        entry = Entry(operation, state)
        self._entries[entry.seq] = entry
        sent: tuple[bytes, ...] = () if offline else self._told_of([entry], now)
        return Made(entry, Actions(Change(self._facts, (entry,)), sent))

    def backdate(self, seconds: int) -> Actions:
        """Make it as if the last Welcome had come earlier: a rehearsal of hours without a link."""
        lease = self._facts.lease
        if lease is not None:
            self._facts = replace(self._facts, lease=replace(lease, at=lease.at - seconds))
        return Actions(Change(self._facts))

    def _stop(self, wish: Wish, now: int, *, offline: bool) -> Stop | None:
        if self._facts.next - 1 - self._facts.agreed >= AGENT_QUEUE_MAX:
            return Stop(StopReason.FULL, AGENT_QUEUE_MAX)
        if offline:
            return offline_stop(self._facts.lease, wish, now)
        return None if self._phase is Phase.OPEN else Stop(StopReason.NO_LINK)

    # --- what happens on the wire

    def connected(self, now: float) -> Actions:
        """Open a session."""
        self._attempt = 0
        self._wants_close = not self._agreed_on_all()
        return self._greet(now)

    def disconnected(self) -> None:
        """Go on alone."""
        self._phase = Phase.ALONE
        self._due = None
        self._closing = None

    def push(self, now: float) -> Actions:
        """Send what waits, and close the session once everything has its verdict."""
        self._wants_close = True
        self._differs = False
        self._closing = None
        return self._onward((), (), now)

    def tick(self, now: float) -> Actions:
        """Say again what was not answered."""
        if self._due is None or now < self._due:
            return Actions()
        self._attempt += 1
        if self._phase is Phase.OPEN and self._closing is not None:
            return Actions(payloads=self._close(now))
        return self._greet(now)

    def receive(self, payload: bytes, now: float) -> Actions:
        """Take what the clearing house says; what the broker had kept may come first of all."""
        try:
            message = decode_down(payload)
        except MalformedMessage as error:
            return Actions(told=(Faulted("payload", str(error)),))
        match message:
            case Welcome():
                return self._welcomed(message, now)
            case Verdicts():
                return self._judged(message, now)
            case Missing():
                return self._asked(message, now)
            case Agreement():
                return self._compared(message, now)
            case Fault():
                return self._faulted(message, now)
            case _:
                return Actions()  # Ours are the ones that are compared.

    # --- a session

    def _greet(self, now: float) -> Actions:
        self._phase = Phase.GREETING
        self._facts = replace(self._facts, session=self._facts.session + 1)
        self._under_way.clear()
        self._closing = None
        self._rounds = 0
        self._differs = False
        self._wait(now)
        facts = self._facts
        first = min(self._unsettled(), default=facts.next)
        hello = Hello(session=facts.session, first=first, next=facts.next, now=int(now))
        return Actions(Change(facts), (encode(hello),))

    def _welcomed(self, welcome: Welcome, now: float) -> Actions:
        if self._phase is not Phase.GREETING or welcome.session != self._facts.session:
            return Actions()
        self._phase = Phase.OPEN
        self._answered()
        self._expected = welcome.expected
        told: list[Told] = [Welcomed(welcome.expected, welcome.skew)]
        told += self._skip_to(welcome.expected)
        lease = lease_of(welcome, int(now), (self._entries[seq] for seq in self._unsettled()))
        self._facts = replace(self._facts, lease=lease)
        return self._onward((), told, now, is_changed=True)

    def _judged(self, message: Verdicts, now: float) -> Actions:
        changed: dict[int, Entry] = {}
        told: list[Told] = []
        for verdict in message.verdicts:
            entry = self._entries.get(verdict.seq)
            if entry is None:
                told += self._skip_to(verdict.seq + 1)
            elif (one := self._taken(entry, verdict)) is not None:
                told.append(one)
                changed[entry.seq] = self._entries[entry.seq]
        if self._phase is Phase.OPEN:
            self._answered()
        if self._rounds:
            self._closing = None
        return self._onward(changed.values(), told, now, is_changed=bool(told))

    def _taken(self, entry: Entry, verdict: Verdict) -> Told | None:
        """Take one verdict; the first stands, unless both sides are comparing theirs."""
        lost = entry.given_up
        if verdict.code in {BAD_MAC, REUSED} and (lost or entry.adopted):
            return None  # Said of what was given up, or of its VOID.
        if lost and not entry.is_settled and verdict.reference:
            return Settled(self._settle(Entry(lost), verdict, adopted=True))  # It had come whole.
        if entry.state is EntryState.QUEUED:
            # It never left from this disk, an older copy: whose verdict it is, sending it tells.
            return None
        if entry.verdict is None or (verdict.code == REUSED != entry.verdict.code):
            # The latter is the answer to what we sent; what came first was another operation's.
            settled = self._settle(entry, verdict)
            if verdict.code == BAD_MAC and entry.operation.kind != Kind.VOID:
                # It was not stored there, so its number is still to be filled.
                self._void(entry.seq, entry)
            return Settled(settled)
        if not self._rounds or entry.verdict.code in {verdict.code, REUSED}:
            return None
        self._rounds = 1
        return Adopted(self._settle(entry, verdict, adopted=True), entry.verdict)

    def _asked(self, message: Missing, now: float) -> Actions:
        """Answer with what is asked for; what is lost, or was not taken, is sent as a VOID."""
        if self._phase is Phase.ALONE:
            return Actions()  # Asked for again after the next Hello.
        told: list[Told] = []
        found: list[Entry] = []
        lost = 0
        for first, upto in message.ranges:
            last = min(upto, first + AGENT_HELD_MAX)
            told += self._skip_to(last + 1)
            for seq in range(first, last + 1):
                entry = self._entries.get(seq)
                if entry is None:
                    entry = self._void(seq, None)
                    lost += 1
                found.append(self._sent(entry))
        told.append(Asked(message.ranges, lost))
        return Actions(Change(self._facts, tuple(found)), self._told_of(found, now), tuple(told))

    def _compared(self, theirs: Agreement, now: float) -> Actions:
        ours = self._closing
        if ours is None or (theirs.first, theirs.last) != (ours.first, ours.last):
            return Actions()
        # By its figures, not by its word: it may be the late answer to an earlier closing.
        if (theirs.count, theirs.total, theirs.xor) == (ours.count, ours.total, ours.xor):
            return self._agreed(ours, theirs, now)
        if not self._awaits_agreement:
            return Actions()
        self._awaits_agreement = False
        if self._rounds < _ROUNDS_MAX:
            self._rounds += 1
            self._wait(now)
            return Actions(payloads=self._items(ours))
        self._answered()
        self._closing = None
        self._rounds = 0
        self._differs = True
        return Actions(told=(Closed(ours, theirs, agrees=False),))

    def _items(self, closing: Closing) -> tuple[bytes, ...]:
        items = tuple(
            (operation.seq, verdict_mac(self._key, self.device, operation, verdict))
            for operation, verdict in self._ended(closing.first, closing.last)
        )
        return payloads(Items(self._facts.session, items))

    def _agreed(self, ours: Closing, theirs: Agreement, now: float) -> Actions:
        self._answered()
        self._closing = None
        self._rounds = 0
        self._wants_close = False
        lease = self._facts.lease
        self._facts = replace(self._facts, agreed=ours.last)
        change = self._forgotten()
        told = (Closed(ours, theirs, agrees=True),)
        if lease is None or not lease.used_count:
            return Actions(change, told=told)
        # What it did alone is known there now: the lease begins anew.
        greeting = self._greet(now)
        return Actions(replace(change, facts=self._facts), greeting.payloads, told)

    def _onward(
        self,
        changed: Iterable[Entry],
        told: Iterable[Told],
        now: float,
        *,
        is_changed: bool = False,
    ) -> Actions:
        """Send what there is room for; when there is nothing more, close."""
        if self._phase is not Phase.OPEN:
            return Actions(self._change(changed, is_changed), told=tuple(told))
        unsettled = self._unsettled()
        free = _WINDOW - sum(seq in self._under_way for seq in unsettled)
        waiting = [self._entries[seq] for seq in unsettled if seq not in self._under_way]
        # Of what was sent and is known there, the verdict comes by itself.
        unknown = [
            one for one in waiting if one.seq >= self._expected or one.state is EntryState.QUEUED
        ]
        fresh = [self._sent(one) for one in unknown[: max(free, 0)]]
        if fresh:
            change = self._change((*changed, *fresh), is_changed=True)
            return Actions(change, self._told_of(fresh, now), tuple(told))
        sent: tuple[bytes, ...] = ()
        if unsettled or self._closing is not None:
            self._wait(now)
        elif self._wants_close and not self._agreed_on_all() and not self._differs:
            sent = self._close(now)
        return Actions(self._change(changed, is_changed), sent, tuple(told))

    def _close(self, now: float) -> tuple[bytes, ...]:
        if self._closing is None:
            first, last = self._facts.agreed + 1, self._facts.next - 1
            digest = digest_of(self._key, self.device, self._ended(first, last))
            self._closing = Closing(self._facts.session, first, last, *digest)
        self._awaits_agreement = True
        self._wait(now)
        return (encode(self._closing),)

    def _faulted(self, fault: Fault, now: float) -> Actions:
        told = (Faulted(fault.code, fault.text),)
        if self._phase is Phase.ALONE:
            return Actions(told=told)
        if fault.code == "session" and self._facts.session < _SESSION_JUMPS_MAX:
            # A new disk counts from one; where the old one was, nobody says.
            self._facts = replace(self._facts, session=self._facts.session * 2)
            return replace(self._greet(now), told=told)
        if fault.code == "unknown":
            self._closing = None
            self._wait(now)  # Then Hello: it asks for what it lacks.
        elif fault.code == "version":
            self._due = None
        return Actions(told=told)

    # --- small steps

    def _unsettled(self) -> list[int]:
        # Behind what is agreed on nothing waits.
        seqs = range(self._facts.agreed + 1, self._facts.next)
        return [seq for seq in seqs if (one := self._entries.get(seq)) and not one.is_settled]

    def _ended(self, first: int, last: int) -> list[tuple[Operation, Verdict]]:
        found = [one for seq in range(first, last + 1) if (one := self._entries.get(seq))]
        return [(one.operation, one.verdict) for one in found if one.verdict is not None]

    def _agreed_on_all(self) -> bool:
        return self._facts.agreed >= self._facts.next - 1

    def _new(self, wish: Wish, seq: int, at: int, *, offline: bool) -> Operation:
        op_id = self._chance.randbytes(_OP_ID_BYTES)
        operation = operation_of(wish, seq=seq, op_id=op_id, at=at, offline=offline)
        return sealed(self._key, self.device, operation)

    def _sent(self, entry: Entry) -> Entry:
        if entry.state is EntryState.QUEUED:
            entry = replace(entry, state=EntryState.SENT)
            self._entries[entry.seq] = entry
        return entry

    def _told_of(self, entries: list[Entry], now: float) -> tuple[bytes, ...]:
        """Return the payloads of some operations, and wait for their verdicts."""
        self._under_way.update(entry.seq for entry in entries)
        self._wait(now)
        operations = tuple(entry.operation for entry in entries)
        return tuple(
            encode(Operations(self._facts.session, operations[start : start + self._batch_max]))
            for start in range(0, len(operations), self._batch_max)
        )

    def _settle(self, entry: Entry, verdict: Verdict, *, adopted: bool = False) -> Entry:
        state = EntryState.APPLIED if verdict.code == APPLIED else EntryState.REFUSED
        entry = replace(entry, state=state, verdict=verdict, adopted=adopted)
        self._entries[entry.seq] = entry
        self._under_way.discard(entry.seq)
        lease = self._facts.lease
        if lease is not None and state is EntryState.APPLIED and not entry.operation.offline:
            self._facts = replace(self._facts, lease=moved(lease, entry.operation))
        return entry

    def _void(self, seq: int, lost: Entry | None) -> Entry:
        """Make the operation that stands for one that is lost, or that could not be taken."""
        given_up = None if lost is None else lost.given_up or lost.operation
        void = self._new(Wish(kind=Kind.VOID), seq, given_up.at if given_up else 0, offline=False)
        entry = Entry(void, given_up=given_up)
        self._entries[seq] = entry
        return entry

    def _skip_to(self, following: int) -> list[Told]:
        """Never use a number that the clearing house knows: this disk is an older copy, or new."""
        if following <= self._facts.next:
            return []
        agreed = self._facts.agreed if self._unsettled() else following - 1
        self._facts = replace(self._facts, next=following, agreed=agreed)
        return [Renumbered(following)]

    def _forgotten(self) -> Change:
        """Forget the oldest operations that are agreed on; their cash is kept as a sum."""
        old = sorted(self._entries)[:-_KEPT]
        gone = [self._entries.pop(seq) for seq in old if seq <= self._facts.agreed]
        if not gone:
            return Change(self._facts)
        self._facts = replace(self._facts, till=till_of(gone, self._facts.till))
        return Change(self._facts, forget_through=gone[-1].seq)

    def _change(self, changed: Iterable[Entry], is_changed: bool) -> Change | None:
        entries = tuple(changed)
        return Change(self._facts, entries) if entries or is_changed else None

    def _answered(self) -> None:
        self._attempt = 0
        self._due = None

    def _wait(self, now: float) -> None:
        self._due = now + AGENT_RETRY_S[min(self._attempt, len(AGENT_RETRY_S) - 1)]
