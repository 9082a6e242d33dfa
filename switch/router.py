"""Carries orders from CT1 to their outcome, each in a task of its own.

Read, decide, save, act: what is known is in memory, the decision is pure (``switch.core``), the
save is one command in the group commit, and only then is anybody told.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from scheme.clock import Clock
from scheme.errors import NotConnected
from scheme.ledger import DALE, NATIONAL, Duplicate, Short
from scheme.limits import RECENT_KEYS_MAX, TRANSFERS_IN_FLIGHT_MAX
from scheme.messages import CT1
from scheme.money import CURRENCY_BY_CODE
from scheme.network import SINGLE_MESSAGE_LANES, Participant
from scheme.profile import Profile
from scheme.wire.tin_json import encode
from switch.breakers import Breakers
from switch.core import answers, routing, rules
from switch.core.entries import is_internal, refused_entries, settler, transfer_entries
from switch.core.outcome import Parties, decide, refuse, reservation
from switch.core.rails import IMMEDIATE, Rail
from switch.core.records import (
    Binding,
    Tombstone,
    TransferRecord,
    is_other_kind,
    is_same_order,
    order_key,
    unpack_transfer,
)
from switch.core.routing import NoRoute, Route, RouteRequest
from switch.core.sessions import NetworkState
from switch.core.transfer import (
    PAID,
    Event,
    TransferState,
    advance,
)
from switch.creditors import Creditors
from switch.flight import Answer, EarlyRefusal, Entered, Flight, NotAccepting, Recent, Reversal
from switch.identifiers import RESEND, Issuer
from switch.pathfinder import Pathfinder
from switch.ports import Ledger, Outbox, Peers, Store, WindowOf
from switch.reversals import TAKEN_BACK, Reversals, as_answer, burial_answer

log = structlog.get_logger()


class TransferRouter:
    """Feeds events to the transfers in flight, each in its own task.

    Args:
        ledger: the group commit.
        store: reads of what it wrote.
        peers: the creditors' agents.
        outbox: takes what is owed once it is on disk.
        bindings: returns the binding under an AV4's id.
        is_unquoted: tells that no order can have quoted it yet.
        state: returns who is signed on and blocked at this moment.
        pathfinder: finds the rail of each order.
        breakers: told how each creditor's agent answers.
        window_of: the window an order reserved now belongs to.
        on_posted: told of every order that was posted.
        spawn: starts a task that the process owns.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: Store,
        peers: Peers,
        outbox: Outbox,
        issuer: Issuer,
        bindings: Callable[[str], Binding | None],
        is_unquoted: Callable[[str], bool],
        state: Callable[[], NetworkState],
        pathfinder: Pathfinder,
        breakers: Breakers,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        window_of: WindowOf,
        on_posted: Callable[[TransferRecord], None],
        spawn: Callable[..., object],
        in_flight_max: int = TRANSFERS_IN_FLIGHT_MAX,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._creditors = Creditors(peers=peers, breakers=breakers, clock=clock)
        self._outbox = outbox
        self._issuer = issuer
        self._bindings = bindings
        self._is_unquoted = is_unquoted
        self._state = state
        self._pathfinder = pathfinder
        self._breakers = breakers
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._window_of = window_of
        self._on_posted = on_posted
        self._spawn = spawn
        self._in_flight_max = in_flight_max
        self._flights: dict[str, Flight] = {}
        self._by_id: dict[str, Flight] = {}
        self._recent: Recent[bytes] = Recent(RECENT_KEYS_MAX)
        self._reversals = Reversals(
            ledger=ledger, clock=clock, flights=self._flights, finished=self._finished, spawn=spawn
        )
        self._expiry = timedelta(seconds=profile.timers.ct_expiry_s)
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_stopping = False

    @property
    def in_flight(self) -> Sequence[Flight]:
        """The orders without an outcome on disk."""
        return tuple(self._flights.values())

    def is_in_flight(self, instruction: str) -> bool:
        """Tell whether the order under this id has no outcome on disk yet."""
        return instruction in self._by_id

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()

    async def order(self, ct1: CT1, entered: Entered | None = None) -> Answer:
        """Return the answer to an order: new, in flight, or long finished.

        Args:
            entered: how it came, if not as a CT1: its key and binding take the place of the CT1's.

        Raises:
            UnknownOutcome: something failed here, and no outcome may be stated.
            NotAccepting: a new order, while the clearing house is stopping; one that came by
                another wire, while it is overloaded. Nothing is stored: it may be repeated.
        """
        refusal = rules.debtor_registered(ct1.debtorParticipantCode, self._fleet)
        if refusal is not None:
            return self._refused(ct1, refusal)
        key = order_key(ct1) if entered is None else entered.key
        flight = self._flights.get(key)
        if flight is not None:
            refusal = self._may_repeat(ct1, entered, flight.record)
            if refusal is not None:
                return self._refused(ct1, refusal)
            return await asyncio.shield(flight.outcome)
        if entered is not None and self._reversals.is_burying(key):
            return await self._reversals.burial(key, entered.content)
        # An order that came by another wire has a key of its own, whatever it quotes.
        if entered is None:
            is_new = self._is_unquoted(ct1.referenceTransactionId)
        else:
            is_new = entered.is_new
        first = None if is_new else self._finished(key)
        if isinstance(first, Tombstone):
            return burial_answer(first, "" if entered is None else entered.content)
        if first is not None:
            refusal = self._may_repeat(ct1, entered, first)
            return as_answer(first) if refusal is None else self._refused(ct1, refusal)
        if self._is_stopping:
            raise NotAccepting
        return await self._first_send(ct1, key, entered)

    async def repeated(self, key: str, content: str) -> Answer | None:
        """Return the answer to a request that came before by another wire; None if it did not.

        Args:
            content: what moves money in it; if it differs the answer is AM05.

        Raises:
            UnknownOutcome: as for ``order``.
        """
        flight = self._flights.get(key)
        if flight is None and self._reversals.is_burying(key):
            return await self._reversals.burial(key, content)
        first = self._finished(key) if flight is None else flight.record
        if first is None:
            return None
        if isinstance(first, Tombstone):
            return burial_answer(first, content)
        if first.entered != content:
            return self._refused(first.ct1, rules.OTHER_CONTENT)
        return as_answer(first) if flight is None else await asyncio.shield(flight.outcome)

    def content(self, key: str) -> str | None:
        """Return what moves money in what is under a key, empty of cash and tombstones."""
        flight = self._flights.get(key)
        if flight is not None:
            return flight.record.entered
        if self._reversals.is_burying(key):
            return ""
        found = self._finished(key)
        if found is None:
            return None if self._store.row_by_key(key) is None else ""
        return found.content if isinstance(found, Tombstone) else found.entered

    async def refuse(self, early: EarlyRefusal) -> Answer:
        """Refuse an order for good, before it is one; raises as ``reverse`` does."""
        return await self._reversals.refuse(early)

    async def reverse(self, key: str, *, debtor_agent: str = "") -> Reversal:
        """Take back the order that came, or will come, under a key by another wire.

        Args:
            debtor_agent: who says so, noted where the order never came.

        Raises:
            UnknownOutcome: something failed here, and no outcome may be stated.
            NotAccepting: the clearing house cannot remember more just now.
        """
        return await self._reversals.reverse(key, debtor_agent)

    def stop(self) -> None:
        """Begin no more orders; repeats are still answered, and what is in flight ends."""
        self._is_stopping = True

    def _may_repeat(
        self, ct1: CT1, entered: Entered | None, first: TransferRecord
    ) -> rules.Refusal | None:
        if entered is not None:
            return None if first.entered == entered.content else rules.OTHER_CONTENT
        if not is_same_order(ct1, first):
            return rules.OTHER_CONTENT
        if self._profile.switch.strict_resend and ct1.messageTypeId != RESEND:
            return rules.RESEND_UNMARKED
        return None

    async def _first_send(self, ct1: CT1, key: str, entered: Entered | None) -> Answer:
        if entered is None:
            binding, content = self._bindings(ct1.referenceTransactionId), ""
        else:
            binding, content = entered.binding, entered.content
            assert content, "what came by another wire says what it is"
        refusal = self._may_enter(ct1, binding)
        way: Route | NoRoute | None = None
        if refusal is None and binding is not None:
            way = self._pathfinder.find(_asked(ct1, binding))
            refusal = way.refusal if isinstance(way, NoRoute) else self._overloaded()
            if refusal is rules.OVERLOADED and entered is not None:
                # Cash may have changed hands already, so a moment's load must not be its outcome.
                raise NotAccepting
        if refusal is not None and not refusal.is_outcome:
            return self._refused(ct1, refusal)
        flight = self._open(ct1, key, binding, way, content)
        if refusal is None:
            # No await since the way was found: whoever comes next sees a probe on its way.
            record = flight.record
            flight.leave = self._breakers.begin(record.creditor_agent, record.rail)
        self._spawn(self._run(flight, refusal))
        return await asyncio.shield(flight.outcome)

    def _may_enter(self, ct1: CT1, binding: Binding | None) -> rules.Refusal | None:
        """Refuse what no rail is looked for."""
        state, profile = self._state(), self._profile
        refusal = rules.debtor_operates(ct1.debtorParticipantCode, state) or rules.account_digits(
            "debtorCCI", ct1.debtorCCI, profile.cci.clearing_house
        )
        if refusal is not None:
            return refusal
        refusal = rules.binding_found(binding, self._clock.now(), profile, ct1)
        if refusal is not None or binding is None:
            return refusal
        return rules.binding_agrees(ct1, binding)

    def _overloaded(self) -> rules.Refusal | None:
        if self._ledger.is_full or len(self._flights) >= self._in_flight_max:
            return rules.OVERLOADED
        return None

    def _open(
        self,
        ct1: CT1,
        key: str,
        binding: Binding | None,
        way: Route | NoRoute | None,
        content: str,
    ) -> Flight:
        code = ct1.creditorParticipantCode if binding is None else binding.creditor_agent
        debtor, creditor = self._fleet[ct1.debtorParticipantCode], self._fleet.get(code)
        rail = way.rail if isinstance(way, Route) else _usual_rail(debtor, creditor)
        windows = self._windows(rail, debtor, creditor, CURRENCY_BY_CODE[ct1.currency])
        record = TransferRecord(
            ct1=ct1,
            instruction_id=self._issuer.for_order(ct1),
            requested_creditor=code if binding is None else binding.requested_creditor,
            creditor_agent=code,
            settlement_date=windows.settlement_date,
            window=windows.national,
            created_ms=self._clock.now_us() // 1000,
            rail=rail,
            explanation=_said(way),
            network_window=windows.network,
            named_debtor=routing.named_debtor(rail, debtor, code, self._profile),
            entered=content,
        )
        if isinstance(way, Route):
            assert creditor is not None, "nothing is routed to whom nobody knows"
            flight = Flight(key, record, transfer_entries(record, debtor, creditor))
        else:
            flight = Flight(key, record, refused_entries(record, debtor, creditor))
        self._flights[key] = flight
        self._by_id[record.instruction_id] = flight
        self._idle.clear()
        return flight

    def _windows(
        self, rail: Rail, debtor: Participant, creditor: Participant | None, currency: str
    ) -> "_Windows":
        """Return the windows of an order; its settlement date is that of the ledger it stays in."""
        if rail is Rail.NETWORK:
            network = self._window_of(DALE, currency)
            return _Windows("", network.id, network.settlement_date)
        national = self._window_of(NATIONAL, currency)
        network_id = ""
        if debtor.is_tiered or (creditor is not None and creditor.is_tiered):
            network_id = self._window_of(DALE, currency).id
        crosses = rail is Rail.TIN and (creditor is None or settler(debtor) != settler(creditor))
        return _Windows(national.id if crosses else "", network_id, national.settlement_date)

    def _close(self, flight: Flight) -> None:
        if flight.leave is not None:
            self._breakers.give_back(flight.leave)
        del self._flights[flight.key]
        del self._by_id[flight.record.instruction_id]
        self._issuer.settled(flight.record.instruction_id)
        if not self._flights:
            self._idle.set()

    async def _run(self, flight: Flight, refusal: rules.Refusal | None) -> None:
        """The transfer's own task: whoever sent the order may come and go."""
        if flight.is_reversed:
            refusal = refusal or TAKEN_BACK
        try:
            if refusal is None:
                await self._carry(flight)
            else:
                await self._refuse(flight, refusal)
        except Exception as error:
            log.exception("transfer failed", transfer_id=flight.record.instruction_id)
            flight.fail(error)
            if flight.is_reserved:
                # It stays in flight: nobody was told an outcome, and a restart will give it one.
                return
        self._close(flight)

    async def _carry(self, flight: Flight) -> None:
        expiry = self._clock.now() + self._expiry
        ct2 = answers.order(flight.record, self._profile.switch.branch_id)
        must_prepare = self._fleet[ct2.creditorParticipantCode].lane in SINGLE_MESSAGE_LANES
        if must_prepare:
            try:
                flight.record = self._creditors.prepared(flight.record, ct2)
            except NotConnected:
                await self._refuse(flight, rules.UNREACHABLE)
                return
        command = reservation(flight.record, flight.key, flight.entries, write_ahead=must_prepare)
        (result,) = await self._ledger.apply((command,))
        if isinstance(result, Short):
            await self._refuse_uncovered(flight, result)
            return
        if isinstance(result, Duplicate):
            self._answer_first(flight, result)
            return
        flight.is_reserved = True
        ask = self._creditors.ask_unless_reversed if flight.record.entered else self._creditors.ask
        event, rule = await ask(flight, ct2, expiry)
        await self._decide(flight, event, rule)

    async def _decide(self, flight: Flight, event: Event, rule: str) -> None:
        """Give a reserved transfer its outcome: in memory at once, then on disk, then told."""
        now = self._clock.now()
        record = flight.record
        parties = Parties(
            self._fleet[record.ct1.debtorParticipantCode],
            self._fleet[record.creditor_agent],
            self._profile.switch.branch_id,
            lambda expired: self._issuer.for_cancellation(expired, now),
        )
        outcome = decide(record, flight.state, event, rule=rule, now=now, parties=parties)
        flight.state = outcome.state
        await self._ledger.apply((outcome.command,))
        flight.state, _ = advance(flight.state, outcome.then)
        self._told(flight, outcome.record, outcome.command.record)
        if outcome.command.owed:
            self._outbox.take(outcome.command.owed)
        if flight.state in PAID:
            self._on_posted(outcome.record)

    async def _refuse_uncovered(self, flight: Flight, short: Short) -> None:
        record = flight.record
        debtor = self._fleet[record.ct1.debtorParticipantCode]
        refusal = rules.without_cover(short.account, debtor)
        said = routing.without_cover(record.explanation, record.rail, refusal.rule)
        flight.record = replace(record, explanation=said)
        await self._refuse(flight, refusal)

    async def _refuse(self, flight: Flight, refusal: rules.Refusal) -> None:
        """Give an order that holds no money its outcome: a refusal, as sticky as a posting."""
        debtor = self._fleet[flight.record.ct1.debtorParticipantCode]
        record, command = refuse(
            flight.record,
            flight.key,
            refusal,
            entries=flight.entries,
            now=self._clock.now(),
            debtor=debtor,
        )
        (result,) = await self._ledger.apply((command,))
        if isinstance(result, Duplicate):
            self._answer_first(flight, result)
            return
        flight.state = TransferState.REJECTED
        self._told(flight, record, command.record)

    def _told(self, flight: Flight, record: TransferRecord, packed: bytes) -> None:
        flight.record = record
        self._recent.put(flight.key, packed)
        if not flight.outcome.done():
            flight.outcome.set_result(as_answer(record))
        log.info(
            "transfer decided",
            transfer_id=record.instruction_id,
            state=flight.state,
            debtor_agent=record.ct1.debtorParticipantCode,
            creditor_agent=record.creditor_agent,
            reason=record.reason,
        )

    def _answer_first(self, flight: Flight, first: Duplicate) -> None:
        """Another node, or a row the cache had lost, was first: its outcome stands."""
        if is_other_kind(first.transfer_id):
            answer = self._refused(flight.record.ct1, rules.OTHER_CONTENT)
        else:
            record = unpack_transfer(first.record)
            if not record.answer:
                flight.fail(RuntimeError("the order is in flight elsewhere"))
                return
            answer = as_answer(record)
        if not flight.outcome.done():
            flight.outcome.set_result(answer)

    def _finished(self, key: str) -> TransferRecord | Tombstone | None:
        packed = self._recent.get(key)
        if packed is not None:
            return unpack_transfer(packed)
        # Nearly every key is new, and the ledger can tell so without the disk.
        stored = None if self._ledger.lacks(key) else self._store.transfer_by_key(key)
        return None if stored is None else stored.record or stored.tombstone

    def _refused(self, ct1: CT1, refusal: rules.Refusal) -> Answer:
        """Answer 05 without storing anything: the same order can only fail the same way."""
        echo = {name: getattr(ct1, name) for name in CT1.__struct_fields__}
        now = self._clock.now()
        ct4 = answers.order_refused(echo, reason=refusal.reason, instruction="", now=now)
        debtor = self._fleet.get(ct1.debtorParticipantCode)
        body = encode(ct4) if debtor is None else encode(ct4, debtor.wire)
        return Answer(body, refusal.header)


class _Windows(Struct, frozen=True, gc=False):
    """Ids of an order's windows, empty where it has none, and its settlement date."""

    national: str
    network: str
    settlement_date: str


def _said(way: Route | NoRoute | None) -> str:
    if isinstance(way, Route) and way.explanation:
        return way.explanation
    return "" if way is None else routing.explanation(way.considered)


def _asked(ct1: CT1, binding: Binding) -> RouteRequest:
    return RouteRequest(
        debtor=ct1.debtorParticipantCode,
        creditor=binding.creditor_agent,
        currency=CURRENCY_BY_CODE[ct1.currency],
        minor=ct1.amount,
        rails=IMMEDIATE,
    )


def _usual_rail(debtor: Participant, creditor: Participant | None) -> Rail:
    """Return the rail of an order that is refused before one was found."""
    if creditor is None:
        return Rail.TIN
    if debtor.code == creditor.code:
        return Rail.ON_US
    return Rail.NETWORK if is_internal(debtor, creditor) else Rail.TIN
