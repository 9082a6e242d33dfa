"""Answers account queries: AV1 in, the alias resolved, AV2 and AV3 with the creditor, AV4 out."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from msgspec import Struct

from scheme.clock import Clock, to_ms
from scheme.errors import NoAnswer, NotConnected, StoreError
from scheme.ledger import Remember
from scheme.limits import RECENT_BINDINGS_MAX, TRANSFERS_IN_FLIGHT_MAX
from scheme.messages import AV1, AV2, AV3, AV4
from scheme.money import CURRENCY_BY_CODE
from scheme.network import Participant
from scheme.profile import Profile
from scheme.wire.tin_json import encode
from switch.breakers import Breakers, Pass
from switch.core import answers, routing, rules
from switch.core.rails import IMMEDIATE
from switch.core.records import (
    Binding,
    VerificationRecord,
    pack,
    query_content,
    unpack_verification,
)
from switch.core.routing import NoRoute, RouteRequest
from switch.core.sessions import NetworkState
from switch.flight import Answer, NotAccepting, Recent, UnknownOutcome
from switch.identifiers import Issuer
from switch.pathfinder import Pathfinder
from switch.ports import Directory, Ledger, Peers, Store

log = structlog.get_logger()


class _Query:
    """A query in flight, and those that wait for its answer."""

    __slots__ = ("content", "outcome")

    def __init__(self, content: tuple[str | None, ...]) -> None:
        self.content = content
        self.outcome: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class _Payee(Struct, frozen=True, gc=False):
    """Whom an AV2 goes to, and the account it asks about."""

    participant: str
    cci: str | None


class _Way(Struct, frozen=True, gc=False):
    """Where an AV2 goes, and by which rail."""

    payee: _Payee
    rail: str
    leave: Pass


class Verifier:
    """Relays account queries and remembers what they bind.

    Args:
        directory: resolves phones and QR tokens.
        spawn: starts a task that the process owns.
        others: as for ``TransferRouter``.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: Store,
        peers: Peers,
        directory: Directory,
        issuer: Issuer,
        state: Callable[[], NetworkState],
        pathfinder: Pathfinder,
        breakers: Breakers,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        spawn: Callable[..., object],
        in_flight_max: int = TRANSFERS_IN_FLIGHT_MAX,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._peers = peers
        self._directory = directory
        self._issuer = issuer
        self._state = state
        self._pathfinder = pathfinder
        self._breakers = breakers
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._spawn = spawn
        self._in_flight_max = in_flight_max
        self._flights: dict[str, _Query] = {}
        self._by_key: Recent[bytes] = Recent(RECENT_BINDINGS_MAX)
        self._bindings: Recent[Binding] = Recent(RECENT_BINDINGS_MAX)
        self._expiry = timedelta(seconds=profile.timers.av_expiry_s)
        self._is_stopping = False
        self._unquoted: Recent[bool] = Recent(RECENT_BINDINGS_MAX)
        self._life_ms = int(profile.timers.av_binding_s * 1000)

    def binding(self, instruction: str) -> Binding | None:
        """Return what an accepted verification bound, however old; None if there is none."""
        binding = self._bindings.get(instruction)
        if binding is not None:
            return binding
        stored = self._store.verification(instruction)
        return None if stored is None else stored.binding

    def is_unquoted(self, instruction: str) -> bool:
        """Tell that no order can have quoted a verification yet; asked once, by the first.

        Known only of those answered by this process and still in memory. Saves a look at the
        disk for the key of nearly every order.
        """
        if self._unquoted.get(instruction) is None:
            return False
        self._unquoted.drop(instruction)
        return True

    async def query(self, av1: AV1, also: str = "") -> Answer:
        """Return the answer to a query: new, in flight, or given within a binding's life.

        Args:
            also: what tells queries of another wire apart that have moment and trace in common.
        """
        refusal = rules.debtor_registered(av1.debtorParticipantCode, self._fleet)
        if refusal is not None:
            return self._refused(av1, refusal)
        key = self._issuer.query_key(av1) + also
        content = query_content(av1)
        flight = self._flights.get(key)
        if flight is not None:
            if flight.content != content:
                return self._refused(av1, rules.OTHER_CONTENT)
            return await asyncio.shield(flight.outcome)
        known = self._known(key)
        if known is not None:
            if known.content != content:
                return self._refused(av1, rules.OTHER_CONTENT)
            return _answer(known)
        if self._is_stopping:
            raise NotAccepting
        return await self._first_send(av1, key, content, is_shared=bool(also))

    def stop(self) -> None:
        """Begin no more queries; repeats are still answered."""
        self._is_stopping = True

    def _known(self, key: str) -> VerificationRecord | None:
        packed = self._by_key.get(key)
        known = (
            self._store.latest_verification(key) if packed is None else unpack_verification(packed)
        )
        if known is None or to_ms(self._clock.now()) - known.created_ms > self._life_ms:
            return None
        return known

    async def _first_send(
        self, av1: AV1, key: str, content: tuple[str | None, ...], *, is_shared: bool
    ) -> Answer:
        way = self._way_in(av1)
        if isinstance(way, rules.Refusal):
            return self._refused(av1, way)
        flight = _Query(content)
        instruction = self._issuer.for_query(av1, is_shared=is_shared)
        self._flights[key] = flight
        self._spawn(self._run(av1, key, flight, way, instruction))
        return await asyncio.shield(flight.outcome)

    def _way_in(self, av1: AV1) -> rules.Refusal | _Way:
        debtor = av1.debtorParticipantCode
        refusal = rules.debtor_operates(debtor, self._state()) or rules.account_digits(
            "creditorCCI", av1.creditorCCI, self._profile.cci.clearing_house
        )
        if refusal is not None:
            return refusal
        try:
            payee = self._resolve(av1)
        except StoreError:
            return rules.DIRECTORY_AWAY
        if isinstance(payee, rules.Refusal):
            return payee
        found = self._pathfinder.find(
            RouteRequest(
                debtor=debtor,
                creditor=payee.participant,
                currency=CURRENCY_BY_CODE[av1.currency],
                minor=None,
                rails=IMMEDIATE,
            )
        )
        if isinstance(found, NoRoute):
            return found.refusal
        if self._ledger.is_full or len(self._flights) >= self._in_flight_max:
            return rules.OVERLOADED
        # No await since the way was found: whoever comes next sees a probe on its way.
        return _Way(payee, found.rail, self._breakers.begin(payee.participant, found.rail))

    def _resolve(self, av1: AV1) -> _Payee | rules.Refusal:
        phone, token = rules.alias_of(av1)
        if token is not None:
            found = self._directory.resolve_token(token, av1.creditorParticipantCode)
            missing = rules.UNKNOWN_TOKEN
        elif phone is not None:
            found = self._directory.resolve_phone(phone, av1.creditorParticipantCode)
            missing = rules.UNKNOWN_ALIAS
        else:
            return _Payee(av1.creditorParticipantCode, av1.creditorCCI)
        return missing if found is None else _Payee(found.participant, found.cci)

    async def _run(self, av1: AV1, key: str, flight: _Query, way: _Way, instruction: str) -> None:
        """The query's own task: whoever sent it may come and go."""
        try:
            record = await self._relay(av1, way, instruction)
            remember = Remember(
                instruction_id=instruction,
                key=key,
                record=pack(record),
                created_ms=record.created_ms,
            )
            await self._ledger.apply((remember,))
        except Exception as error:
            log.exception("query failed", verification_id=instruction)
            flight.outcome.set_exception(UnknownOutcome(repr(error)))
            flight.outcome.exception()
        else:
            self._by_key.put(key, remember.record)
            if record.binding is not None:
                self._bindings.put(instruction, record.binding)
                self._unquoted.put(instruction, True)
            flight.outcome.set_result(_answer(record))
        finally:
            del self._flights[key]
            self._issuer.settled(instruction)

    async def _relay(self, av1: AV1, way: _Way, instruction: str) -> VerificationRecord:
        payee, debtor = way.payee, self._fleet[av1.debtorParticipantCode]
        av2 = answers.account_query(
            av1,
            debtor=routing.named_debtor(way.rail, debtor, payee.participant, self._profile),
            creditor=payee.participant,
            cci=payee.cci,
            instruction=instruction,
            branch=self._profile.switch.branch_id,
        )
        answer = await self._ask(av2, way.leave)
        if isinstance(answer, AV3) and answer.responseCode == answers.ACCEPTED:
            return self._record(av1, answers.account_found(av2, answer, debtor=debtor.code))
        if isinstance(answer, AV3):
            refusal = rules.creditor_refused(answer.reasonCode or "FF07")
        else:
            refusal = answer
        echo = {name: getattr(av1, name) for name in AV1.__struct_fields__}
        echo["creditorParticipantCode"] = payee.participant
        av4 = answers.account_refused(echo, reason=refusal.reason, instruction=instruction)
        return self._record(av1, av4, rule=refusal.header)

    async def _ask(self, av2: AV2, leave: Pass) -> AV3 | rules.Refusal:
        """Ask, and tell the breaker; a refusal of the creditor's own is an answer like another."""
        has_failed = True
        try:
            async with self._clock.deadline(self._clock.now() + self._expiry):
                answer = await self._peers.ask(av2.creditorParticipantCode, av2, av2.instructionId)
        except NotConnected:
            return rules.UNREACHABLE
        except (NoAnswer, TimeoutError):
            return rules.SILENT
        else:
            if not isinstance(answer, AV3) or answer.instructionId != av2.instructionId:
                return rules.SILENT
            has_failed = False
            return answer
        finally:
            self._breakers.end_query(leave, has_failed=has_failed)

    def _record(self, av1: AV1, av4: AV4, *, rule: str = "") -> VerificationRecord:
        created_ms = to_ms(self._clock.now())
        binding = None
        if av4.responseCode == answers.ACCEPTED:
            assert av4.creditorParticipantCode is not None
            phone, token = rules.alias_of(av1)
            binding = Binding(
                instruction_id=av4.instructionId,
                debtor_agent=av1.debtorParticipantCode,
                debtor_id_code=av1.debtorIdCode,
                debtor_id=av1.debtorId,
                requested_creditor=av1.creditorParticipantCode,
                creditor_agent=av4.creditorParticipantCode,
                creditor_cci=av4.creditorCCI,
                creditor_card=av4.creditorCreditCard,
                currency=av1.currency,
                transaction_type=av1.transactionType,
                channel=av1.channel,
                created_ms=created_ms,
                alias=phone or token,
            )
        return VerificationRecord(
            instruction_id=av4.instructionId,
            content=query_content(av1),
            answer=encode(av4, self._fleet[av1.debtorParticipantCode].wire),
            response_code=av4.responseCode,
            reason=av4.reasonCode or "",
            rule=rule,
            created_ms=created_ms,
            binding=binding,
        )

    def _refused(self, av1: AV1, refusal: rules.Refusal) -> Answer:
        """Answer 05 without relaying: no money moved, so nothing is stored."""
        echo = {name: getattr(av1, name) for name in AV1.__struct_fields__}
        av4 = answers.account_refused(echo, reason=refusal.reason, instruction="")
        debtor = self._fleet.get(av1.debtorParticipantCode)
        body = encode(av4) if debtor is None else encode(av4, debtor.wire)
        return Answer(body, refusal.header)


def _answer(record: VerificationRecord) -> Answer:
    return Answer(record.answer, record.rule, record.instruction_id)
