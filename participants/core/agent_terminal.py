"""A field agent's terminal as a state machine: what happens goes in, what follows comes out.

Nothing here touches a disk, a clock or a wire: the shell writes the change of each ``Actions`` to
disk before it sends its payloads, so that a terminal that ends at any point goes on from what it
had promised. Every payload may be lost, doubled, late or out of order (docs/wire/mqtt.md).
"""

import random
from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from participants.core.agent_book import Change, Entry, EntryState, Facts, Wish
from participants.core.agent_limits import Stop, StopReason, lease_of, offline_stop, used
from participants.core.agent_records import (
    BAD_MAC,
    REUSED,
    REVOKED,
    Records,
    malformed,
    ranges_of,
)
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
    Unaccounted,
    Welcomed,
)
from scheme.errors import MalformedMessage
from scheme.limits import AGENT_BATCH_MAX, AGENT_HELD_MAX, AGENT_QUEUE_MAX, AGENT_RETRY_S
from scheme.wire.agent_digest import APPLIED
from scheme.wire.agent_payload import (
    MOVES_MONEY,
    SESSION_MAX,
    Agreement,
    Closing,
    Fault,
    Hello,
    Kind,
    Missing,
    Operation,
    Operations,
    Verdict,
    Verdicts,
    Welcome,
    decode_down,
    encode,
)

_WINDOW: Final = AGENT_HELD_MAX // 2
"""Operations under way at once: behind a lost one the others must fit what the switch holds."""
_ROUNDS_MAX: Final = 3
"""Comparisons item by item in which nothing changes; then the difference is an operator's."""
_JITTER: Final = 0.5
"""Share by which a wait may be longer, so that terminals do not come all at once."""
_BLAMED_MAX: Final = 2
"""Faults after which a payload's only operation is given up: one may be a late one."""


class Terminal(Records):
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
        super().__init__(device, key, chance, facts or Facts(), entries)
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
        self._unlike: set[int] = set()
        self._differs = False
        self._singly = False
        self._blamed: Counter[int] = Counter()

    # --- what it knows

    @property
    def phase(self) -> Phase:
        """How it stands to the clearing house."""
        return self._phase

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
        self._facts = replace(self._facts, session=min(self._facts.session + 1, SESSION_MAX))
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
                continue
            if (one := self._taken(entry, verdict)) is not None:
                told.append(one)
            if self._entries[entry.seq] is not entry:
                changed[entry.seq] = self._entries[entry.seq]
        if self._phase is Phase.OPEN:
            self._answered()
        if self._rounds:
            self._closing = None
            self._unlike.update(verdict.seq for verdict in message.verdicts)
        return self._onward(changed.values(), told, now, is_changed=bool(told))

    def _taken(self, entry: Entry, verdict: Verdict) -> Told | None:
        """Take one verdict; the first stands, unless both sides are comparing theirs."""
        if entry.given_up is not None:
            return self._taken_of_void(entry, entry.given_up, verdict)
        if verdict.code in {BAD_MAC, REUSED} and entry.adopted:
            return None  # Said of what was given up, or of its VOID.
        if entry.state is EntryState.QUEUED:
            # It never left from this disk, an older copy: whose verdict it is, sending it tells.
            return None
        if verdict.code == BAD_MAC and entry.operation.kind != Kind.VOID:
            if entry.verdict is None:
                # It was not stored there, so its number is still to be filled. The counter hears
                # of it when that is certain: the same may have come whole besides.
                self._void(entry.seq, entry, verdict)
                self._under_way.discard(entry.seq)
            return None
        if entry.verdict is None or (verdict.code == REUSED != entry.verdict.code):
            # The latter is the answer to what we sent; what came first was another operation's.
            return Settled(self._settle(entry, verdict))
        if not self._rounds or entry.verdict.code in {verdict.code, REUSED}:
            return None
        self._rounds = 1
        return Adopted(self._settle(entry, verdict, adopted=True), entry.verdict)

    def _taken_of_void(self, entry: Entry, lost: Operation, verdict: Verdict) -> Told | None:
        """Take what is said of a number that was given up: of its VOID, or of what was lost."""
        if verdict.code in {BAD_MAC, REUSED}:
            return None  # Either may be said of the one while the other stands.
        is_plain = verdict.code == APPLIED and not verdict.reference and not verdict.data
        if entry.verdict is None and (is_plain or verdict.code == REVOKED):
            return Settled(self._settle(entry, verdict).outcome)
        if entry.verdict is None:
            # A VOID is noted or, of a terminal that is revoked, refused: so this is of the
            # operation, which had come whole.
            return Settled(self._settle(Entry(lost), verdict, adopted=True))
        if not self._rounds or (is_plain and lost.kind in MOVES_MONEY):
            return None
        self._rounds = 1
        before = entry.outcome.verdict or entry.verdict
        return Adopted(self._settle(Entry(lost), verdict, adopted=True), before)

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
                    entry = self._void(seq)
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
            return self._ended(ours, (Closed(ours, theirs, agrees=True),), now)
        if not self._awaits_agreement:
            return Actions()
        self._awaits_agreement = False
        if self._rounds < _ROUNDS_MAX:
            self._rounds += 1
            self._unlike.clear()
            self._wait(now)
            return Actions(payloads=self._items(ours))
        closed = Closed(ours, theirs, agrees=False)
        lost = self._unaccounted(ours.first, ours.last)
        if lost and self._unlike <= set(lost):
            # No session would ever settle these: said once, and behind them it goes on.
            return self._ended(ours, (Unaccounted(ranges_of(lost)), closed), now)
        self._answered()
        self._closing = None
        self._rounds = 0
        self._differs = True
        return Actions(told=(closed,))

    def _ended(self, ours: Closing, told: tuple[Told, ...], now: float) -> Actions:
        self._answered()
        self._closing = None
        self._rounds = 0
        self._wants_close = False
        lease = self._facts.lease
        self._facts = replace(self._facts, agreed=ours.last)
        change = self._forgotten()
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
        self._singly = self._singly and bool(unsettled)
        window = 1 if self._singly else _WINDOW
        free = window - sum(seq in self._under_way for seq in unsettled)
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
            digest = self._digest(first, last)
            self._closing = Closing(self._facts.session, first, last, *digest)
        self._awaits_agreement = True
        self._wait(now)
        return (encode(self._closing),)

    def _faulted(self, fault: Fault, now: float) -> Actions:
        told = (Faulted(fault.code, fault.text),)
        if self._phase is Phase.ALONE:
            return Actions(told=told)
        if fault.code == "session" and fault.session > self._facts.session:
            # A new disk counts from one; the fault says where the old one was.
            self._facts = replace(self._facts, session=fault.session)
            return replace(self._greet(now), told=told)
        if fault.code == "payload":
            return self._blame(fault, now, told)
        if fault.code == "unknown":
            self._closing = None
            self._wait(now)  # Then Hello: it asks for what it lacks.
        elif fault.code == "version":
            self._due = None
        return Actions(told=told)

    def _blame(self, fault: Fault, now: float, told: tuple[Told, ...]) -> Actions:
        """Find out which operation spoils its payload, sending one by one, and give it up."""
        under_way = [seq for seq in self._unsettled() if seq in self._under_way]
        if self._phase is not Phase.OPEN or not under_way:
            return Actions(told=told)
        if not self._singly:
            self._singly = True
            self._blamed.clear()
            # In a new session: what names an older one is meant for a batch.
            return replace(self._greet(now), told=told)
        entry = self._entries[under_way[0]]
        is_void = entry.operation.kind == Kind.VOID
        if fault.session != self._facts.session or len(under_way) > 1 or is_void:
            return Actions(told=told)
        self._blamed[entry.seq] += 1
        if self._blamed[entry.seq] < _BLAMED_MAX:
            return Actions(None, self._told_of([entry], now), told)
        void = self._sent(self._void(entry.seq, entry, malformed(entry.seq, fault.text)))
        return Actions(Change(self._facts, (void,)), self._told_of([void], now), told)

    # --- small steps

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
        size = 1 if self._singly else self._batch_max
        return tuple(
            encode(Operations(self._facts.session, operations[start : start + size]))
            for start in range(0, len(operations), size)
        )

    def _settle(self, entry: Entry, verdict: Verdict, *, adopted: bool = False) -> Entry:
        self._under_way.discard(entry.seq)
        return super()._settle(entry, verdict, adopted=adopted)

    def _skip_to(self, following: int) -> list[Told]:
        """Never use a number that the clearing house knows: this disk is an older copy, or new."""
        if following <= self._facts.next:
            return []
        agreed = self._facts.agreed if self._unsettled() else following - 1
        self._facts = replace(self._facts, next=following, agreed=agreed)
        return [Renumbered(following)]

    def _change(self, changed: Iterable[Entry], is_changed: bool) -> Change | None:
        entries = tuple(changed)
        return Change(self._facts, entries) if entries or is_changed else None

    def _answered(self) -> None:
        self._due = None
        if not self._unsettled():
            # While something waits, each silence is longer: what is slow over there is not lost.
            self._attempt = 0

    def _wait(self, now: float) -> None:
        wait = AGENT_RETRY_S[min(self._attempt, len(AGENT_RETRY_S) - 1)]
        self._due = now + wait * (1 + _JITTER * self._chance.random())
