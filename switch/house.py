"""The clearing house as one object: its parts joined over a ledger, a store and peers.

Everything outside the process is handed in, so tests join the same parts over other ends.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from scheme.clock import Clock, to_ms
from scheme.ledger import PutFact
from scheme.messages import AV1, CT1, ET1, PSR1, Message, SignOff1, SignOn1
from scheme.network import Participant
from scheme.profile import Profile
from switch import recovery
from switch.breakers import Breakers
from switch.core.records import TransferRecord
from switch.core.sessions import SEQUENCE_FACT, STARTED_FACT, NetworkState
from switch.echo import Echoes
from switch.enquiries import Enquiries
from switch.flight import Answer
from switch.gate import Gate
from switch.identifiers import RANGES, DurableSequence, Issuer, after_block
from switch.outbox import Outbox
from switch.pathfinder import Pathfinder
from switch.ports import Directory, Ledger, Peers, WindowOf
from switch.preferences import PreferenceBook
from switch.router import TransferRouter
from switch.sessions import Sessions, read_state
from switch.store import SqliteStore
from switch.verifier import Verifier


class House:
    """Joins router, verifier, sessions, enquiries and outbox.

    Args:
        started: when this process started.
        window_of: the window an order reserved now belongs to, by cycle and currency.
        is_business_day: by the calendar of the windows.
        on_posted: told of every order that was posted.
        spawn: starts a task that the process owns.

    Attributes:
        stans: numbers of the ISO 8583 requests that the clearing house sends.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: SqliteStore,
        peers: Peers,
        directory: Directory,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        started: datetime,
        window_of: WindowOf,
        is_business_day: Callable[[date], bool],
        on_posted: Callable[[TransferRecord], None] = lambda _: None,
        spawn: Callable[..., object],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._peers = peers
        self._directory = directory
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._started = started
        self._window_of = window_of
        self._on_posted = on_posted
        self._spawn = spawn
        facts = store.facts()
        self._is_first_start = STARTED_FACT not in facts
        self._starts = _sequence_starts(facts)
        self.issuer = Issuer(
            store,
            started=started,
            is_first_start=self._is_first_start,
            own=self._sequence("own"),
            cancellations=self._sequence("cancellation"),
        )
        self.outbox = self._make_outbox()
        self.sessions = Sessions(
            read_state(facts),
            ledger=ledger,
            outbox=self.outbox,
            fleet=fleet,
            clock=clock,
            sequence=self._sequence("notice"),
        )
        self.stans = self._sequence("stan")
        self.breakers = Breakers(profile.breaker, clock)
        self.preferences = PreferenceBook(facts, ledger=ledger)
        self.pathfinder = Pathfinder(
            network=self._state,
            fleet=fleet,
            profile=profile,
            clock=clock,
            breakers=self.breakers,
            preferences=self.preferences,
            is_business_day=is_business_day,
        )
        self.verifier = self._make_verifier()
        self.router = self._make_router()
        self.enquiries = self._make_enquiries()
        self.gate = Gate(self.sessions, fleet=fleet, clock=clock, wake=self.outbox.wake)
        self.echoes = self._make_echoes()

    def _sequence(self, name: str) -> DurableSequence:
        return DurableSequence(name, self._starts[name], self._save_sequence)

    def _state(self) -> NetworkState:
        return self.sessions.state

    def _make_outbox(self) -> Outbox:
        return Outbox(
            ledger=self._ledger,
            messages=self._store,
            peers=self._peers,
            timers=self._profile.timers,
            clock=self._clock,
            spawn=self._spawn,
        )

    def _make_verifier(self) -> Verifier:
        return Verifier(
            ledger=self._ledger,
            store=self._store,
            peers=self._peers,
            directory=self._directory,
            issuer=self.issuer,
            state=self._state,
            pathfinder=self.pathfinder,
            breakers=self.breakers,
            fleet=self._fleet,
            profile=self._profile,
            clock=self._clock,
            spawn=self._spawn,
        )

    def _make_router(self) -> TransferRouter:
        return TransferRouter(
            ledger=self._ledger,
            store=self._store,
            peers=self._peers,
            outbox=self.outbox,
            issuer=self.issuer,
            bindings=self.verifier.binding,
            is_unquoted=self.verifier.is_unquoted,
            state=self._state,
            pathfinder=self.pathfinder,
            breakers=self.breakers,
            fleet=self._fleet,
            profile=self._profile,
            clock=self._clock,
            window_of=self._window_of,
            on_posted=self._on_posted,
            spawn=self._spawn,
        )

    def _make_enquiries(self) -> Enquiries:
        return Enquiries(
            ledger=self._ledger,
            store=self._store,
            issuer=self.issuer,
            is_in_flight=self.router.is_in_flight,
            fleet=self._fleet,
            profile=self._profile,
            clock=self._clock,
            started=self._started,
        )

    def _make_echoes(self) -> Echoes:
        return Echoes(
            peers=self._peers,
            fleet=self._fleet,
            state=self._state,
            timers=self._profile.timers,
            clock=self._clock,
            spawn=self._spawn,
        )

    @property
    def handlers(self) -> Mapping[type[Message], Callable[[Any], Awaitable[Answer]]]:
        """What answers each kind of request of a participant."""
        return {
            AV1: self.verifier.query,
            CT1: self.router.order,
            PSR1: self.enquiries.answer,
            ET1: self.gate.echo,
            SignOn1: self.gate.sign_on,
            SignOff1: self.gate.sign_off,
        }

    def waits(self) -> Sequence[str]:
        """Return what transfers still wait for: simulated institutions that do not answer yet."""
        sessions = self.sessions.state.sessions
        return [
            code
            for code, one in self._fleet.items()
            if one.simulated
            and one.base_url
            and (code not in sessions or (sessions[code].signed_on and not self.echoes.is_ok(code)))
        ]

    def stop(self) -> None:
        """Take no new orders and queries."""
        self.verifier.stop()
        self.router.stop()

    async def idle(self) -> None:
        """Wait until no order is in flight and every first delivery has been tried."""
        await self.router.idle()
        await self.outbox.quiet()

    async def run_background(self) -> None:
        """Greet those who were signed on before, then echo for ever."""
        await self.echoes.greet(self.waits)
        await self.echoes.run()

    async def recover(self) -> int:
        """End what a former process left, on disk, and take up what is owed.

        Returns:
            How many reservations were expired.
        """
        await self._ledger.apply(self._marks())
        commands = recovery.expire(
            self._store.reserved(),
            issuer=self.issuer,
            fleet=self._fleet,
            profile=self._profile,
            clock=self._clock,
        )
        if commands:
            await self._ledger.apply(commands)
        self.outbox.start()
        return len(commands)

    def _marks(self) -> Sequence[PutFact]:
        """Return the facts of this start: blocks of sequences in use, and the first start."""
        marks = [
            _sequence_fact(name, after_block(name, start)) for name, start in self._starts.items()
        ]
        if self._is_first_start:
            value = msgspec.msgpack.encode(to_ms(self._started))
            marks.append(PutFact(name=STARTED_FACT, value=value))
        return marks

    def _save_sequence(self, name: str, start: int) -> None:
        self._spawn(self._ledger.apply((_sequence_fact(name, start),)))


def _sequence_starts(facts: Mapping[str, bytes]) -> dict[str, int]:
    """Return where each sequence goes on: behind the block that was last in use."""
    starts = {}
    for name, (first, _) in RANGES.items():
        stored = facts.get(SEQUENCE_FACT + name)
        starts[name] = first if stored is None else msgspec.msgpack.decode(stored, type=int)
    return starts


def _sequence_fact(name: str, start: int) -> PutFact:
    return PutFact(name=SEQUENCE_FACT + name, value=msgspec.msgpack.encode(start))
