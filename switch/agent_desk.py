"""Answers field agents' terminals: sessions, operations, digests (docs/agents.md).

Whatever a terminal sends may be lost, doubled, late or out of order. What protects the money is
on disk here: an operation before anything is done with it, its verdict before anybody is told.
A revoked terminal is refused everything, also what it says it did before (code 62).
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import Final, assert_never

import structlog

from scheme.clock import Clock, to_ms
from scheme.errors import MalformedMessage, StoreError
from scheme.network import Fleet
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from scheme.wire.agent_digest import is_genuine
from scheme.wire.agent_payload import (
    CURRENCIES,
    Closing,
    Fault,
    Hello,
    Items,
    Missing,
    Operation,
    Operations,
    Verdict,
    Welcome,
    WrongVersion,
    as_json,
    decode_presence,
    decode_up,
)
from switch.agent_replies import Replies
from switch.agent_store import AgentStore, Greet, Stand
from switch.agent_terminal import Handle, Terminal, Works
from switch.agent_views import (
    DeviceView,
    Finding,
    Findings,
    OperationView,
    TillView,
    operation_view,
)
from switch.core.agent_limits import Limits, day_of, refused
from switch.core.agent_session import Place, Seen, Session, Waiting, place_of
from switch.core.iso8583_codes import DUPLICATE

log = structlog.get_logger()

Work = Callable[[], Awaitable[None]]
BAD_MAC: Final = "63"
_TO_COMPARE_MAX: Final = 32
"""Payloads of Items of a terminal that wait; beyond it they are dropped: it says them again."""


class AgentDesk:
    """The clearing house's side of the agent lane.

    Args:
        handle: answers a 0200; None, or an exception, is no outcome, and it is asked again.
        keys: returns the key of a terminal.
        send: sends a payload to a terminal; it may be lost.
        spawn: starts a task that the process owns.
        is_away: tells of an institution that it has no link just now; what was made offline waits
            for it a while.
        is_behind: tells that much waits to be sent; then long answers wait.
        on_mirror: is told device, direction (``u`` or ``d``) and JSON of all that is said.
    """

    def __init__(
        self,
        *,
        handle: Handle,
        store: AgentStore,
        fleet: Fleet,
        profile: Profile,
        clock: Clock,
        keys: Callable[[str], bytes],
        send: Callable[[str, bytes], None],
        spawn: Callable[..., object],
        is_away: Callable[[str], bool] = lambda _: False,
        is_behind: Callable[[], bool] = lambda: False,
        on_mirror: Callable[[str, str, bytes], None] | None = None,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._groups = {group.institution: group for group in fleet.agents}
        self._rules = profile.agents
        self._clock = clock
        self._keys = keys
        self._spawn = spawn
        self._on_mirror = on_mirror
        self._replies = Replies(
            store=store,
            clock=clock,
            send=send,
            is_behind=is_behind,
            on_mirror=on_mirror,
            find=self._find,
        )
        self._limits = Limits(profile.agents, store.tally)
        self._findings = Findings()
        self._terminals: dict[str, Terminal] = {}
        members = fleet.by_code()
        self._works = Works(
            handle=handle,
            is_away=is_away,
            store=store,
            limits=self._limits,
            rules=profile.agents,
            fleet=members,
            lanes=frozenset(members) | {one for m in members.values() for one in m.directories},
            clock=clock,
            keys=keys,
            tell=self._replies.tell,
            note=lambda device, verdict: self._find(device, verdict.note, verdict),
        )

    async def start(self) -> int:
        """Take up what a former process left without a verdict; return how many.

        Raises:
            StoreError: the store could not be read.
        """
        for agent, currency, taken, paid in self._store.tills():
            till = self._limits.till(agent, currency)
            till.taken, till.paid = taken, paid
        for kept in self._store.devices():
            place = place_of(kept.device, self._groups)
            if place is None:
                continue  # No longer in the fleet; what is owed to it stays on disk.
            session = Session(session=kept.session, skew_s=kept.skew_s, settled=kept.settled)
            terminal = self._terminals[kept.device] = Terminal(place, self._works, session)
            terminal.heard_ms, terminal.revoked_ms = kept.heard_ms, kept.revoked_ms
        left: dict[Terminal, list[Waiting]] = {}
        for device, waiting in self._store.unsettled():
            place = place_of(device, self._groups)
            if place is not None:
                left.setdefault(self._terminal(place), []).append(waiting)
        # What was let through is reserved before anything else is looked at.
        for terminal, some in left.items():
            terminal.remember(some)
        for terminal in left:
            terminal.resume(self._spawn)
        return sum(map(len, left.values()))

    async def stop(self) -> None:
        """Begin nothing more, let what is under way end, and put it on disk.

        Raises:
            StoreError: a group was lost.
        """
        self._works.is_stopping = True
        tasks = {one.stop() for one in self._terminals.values()} - {None}
        if tasks:
            await asyncio.wait([one for one in tasks if one is not None])
        await self._store.drain()

    # --- what terminals say

    async def receive(self, device: str, payload: bytes) -> None:
        """Take a payload; what is wrong with it is told to its terminal, and never raised."""
        if self._works.is_stopping:
            return  # It says so again to the next process.
        place = place_of(device, self._groups)
        if place is None:
            self._find(device, "device: not in the fleet", code="unknown")
            self._replies.say(device, Fault(0, "unknown", "device: not in the fleet"))
            return
        terminal = self._terminal(place)
        terminal.heard_ms = to_ms(self._clock.now())
        try:
            message = decode_up(payload)
        except MalformedMessage as error:
            code = "version" if isinstance(error, WrongVersion) else "payload"
            self._fault(terminal, code, str(error))
            return
        if self._on_mirror is not None:
            self._on_mirror(device, "u", as_json(message))
        match message:
            case Hello():
                self._hello(terminal, message)
            case Operations():
                self._operations(terminal, message)
            case Closing():
                self._once(terminal, "closing", partial(self._replies.agree, terminal, message))
            case Items():
                self._items(terminal, message)
            case _:
                assert_never(message)

    def presence(self, device: str, payload: bytes) -> None:
        """Take a terminal's retained state, or the last will that the broker said for it."""
        place = place_of(device, self._groups)
        if place is None:
            return
        try:
            is_online = bool(payload) and bool(decode_presence(payload).online)
        except MalformedMessage as error:
            self._find(device, str(error), code="payload")
            return
        self._terminal(place).is_online = is_online

    def _hello(self, terminal: Terminal, hello: Hello) -> None:
        session, device = terminal.session, terminal.place.device
        if hello.session < session.session:
            rule = f"session: {session.session} came before; is this an old copy of the terminal?"
            self._fault(terminal, "session", rule)
            return
        if self._store.is_full:
            self._fault(terminal, "busy", "session: not just now")
            return
        terminal.claimed = hello.first
        if terminal.is_ahead:
            lost = f"{session.expected} to {hello.first - 1}"
            rule = f"first: verdicts of {lost} are not known here; is agents.db an old copy?"
            self._fault(terminal, "behind", rule)
            return
        is_new = hello.session > session.session
        now_ms = to_ms(self._clock.now())
        is_changed = session.greet(hello, now_ms // 1000)
        if is_new and abs(session.skew_s) > self._rules.skew_s:
            self._find(device, f"now: the terminal's clock is {session.skew_s:+} s off")
        if hello.next < session.expected:
            self._find(device, f"next: numbers below {session.expected} are in use")
        greet = Greet(device, hello.session, session.skew_s, now_ms)
        written = self._store.write(*((greet,) if is_changed else ()))
        self._spawn(self._rooted(terminal, "", partial(self._welcome, terminal, hello, written)))

    async def _welcome(
        self, terminal: Terminal, hello: Hello, written: asyncio.Future[None]
    ) -> None:
        await written
        session, now = terminal.session, self._clock.now()
        today = day_of(to_ms(now))
        self._limits.on_day(today)
        left = self._limits.left(terminal.place.agent, today)
        devices = terminal.place.devices
        welcome = Welcome(
            session=hello.session,
            expected=session.expected,
            now=to_ms(now) // 1000,
            skew=session.skew_s,
            offline_s=int(self._rules.offline_s),
            offline_count=left.count // devices,
            offline_minor=tuple(one // devices for one in left.minor),
            float_minor=tuple(one // devices for one in left.float_minor),
        )
        self._replies.say(terminal.place.device, welcome)
        self._ask_missing(terminal)
        if hello.first < session.settled and self._may_say(terminal, "verdicts"):
            again = partial(self._replies.say_again, terminal, hello.first)
            self._once(terminal, "verdicts", again)

    def _operations(self, terminal: Terminal, message: Operations) -> None:
        session, device = terminal.session, terminal.place.device
        if message.session > session.session or terminal.is_ahead:
            # Without its Hello nobody knows by how much its clock is off.
            self._replies.say(device, Fault(message.session, "busy", "session: say Hello first"))
            return
        if self._store.is_full:
            self._fault(terminal, "busy", "operations: not just now")
            return
        key, now_ms = self._keys(device), to_ms(self._clock.now())
        told: list[Verdict] = []
        new: list[Waiting] = []
        for operation in sorted(message.operations, key=lambda one: one.seq):
            if not is_genuine(key, device, operation):
                verdict = self._not_genuine(terminal, operation)
            else:
                seen = session.look_at(operation)
                if seen is Seen.NEW:
                    new.append(Waiting(operation, now_ms, session.skew_s))
                    session.take(new[-1])
                verdict = self._known(terminal, operation, seen)
            if verdict is not None:
                told.append(verdict)
        if told:
            self._replies.tell(terminal, told)
        if new:
            terminal.take(new, self._spawn)
        self._ask_missing(terminal)

    def _items(self, terminal: Terminal, items: Items) -> None:
        """Compare what a terminal says of its verdicts; it may say it in several payloads."""
        if not items.items or len(terminal.to_compare) >= _TO_COMPARE_MAX:
            return
        seqs = [seq for seq, _ in items.items]
        if self._may_say(terminal, "items", min(seqs), max(seqs)):
            terminal.to_compare.append(items)
            self._once(terminal, "items", partial(self._compare, terminal))

    async def _compare(self, terminal: Terminal) -> None:
        while terminal.to_compare:
            await self._replies.compare(terminal, terminal.to_compare.popleft())

    def _known(self, terminal: Terminal, operation: Operation, seen: Seen) -> Verdict | None:
        """Return what can be told at once of an operation; None if its verdict will come."""
        device = terminal.place.device
        match seen:
            case Seen.NEW | Seen.UNDER_WAY | Seen.FULL:
                return None
            case Seen.OTHER:
                return self._reused(device, operation)
            case Seen.TOLD:
                try:
                    kept = self._store.operation(device, operation.seq)
                except StoreError as error:
                    log.warning("verdict not read", device=device, cause=str(error))
                    return None
                assert kept is not None, "all below it are on disk"
                return self._reused(device, operation, kept.operation) or kept.verdict
            case _:
                assert_never(seen)

    def _reused(
        self, device: str, operation: Operation, first: Operation | None = None
    ) -> Verdict | None:
        """Refuse another operation under a known number; None if it is the same one."""
        if first is not None and first.mac == operation.mac:
            return None
        rule = "seq: known with other content; the first operation stands"
        verdict = refused(operation, DUPLICATE, ReasonCode.AM05, rule)
        self._find(device, rule, verdict)
        return verdict

    def _not_genuine(self, terminal: Terminal, operation: Operation) -> Verdict | None:
        """Refuse an operation with a wrong MAC, and keep nothing of it.

        Of a number that has come in a genuine operation nothing is told: its own verdict counts.
        """
        verdict = refused(operation, BAD_MAC, ReasonCode.DS0A, "mac: does not verify")
        self._find(terminal.place.device, verdict.note, verdict)
        return None if terminal.session.knows(operation.seq) else verdict

    def _ask_missing(self, terminal: Terminal) -> None:
        """Ask for the gaps, if there are any."""
        ranges = terminal.session.missing()
        if ranges and self._may_say(terminal, "missing"):
            self._replies.say(terminal.place.device, Missing(terminal.session.session, ranges))

    def _fault(self, terminal: Terminal, code: str, rule: str) -> None:
        device, session = terminal.place.device, max(terminal.session.session, 0)
        self._find(device, rule, code=code)
        self._replies.say(device, Fault(session, code, rule[:140]))

    def _find(
        self, device: str, rule: str, verdict: Verdict | None = None, *, code: str = ""
    ) -> None:
        finding = Finding(
            at_ms=to_ms(self._clock.now()),
            device=device,
            seq=0 if verdict is None else verdict.seq,
            code=code if verdict is None else verdict.code,
            rule=rule,
        )
        if self._findings.add(finding):
            log.info("agent finding", device=device, seq=finding.seq, code=finding.code, rule=rule)

    def _may_say(self, terminal: Terminal, what: str, first: int = 0, last: int = 0) -> bool:
        return terminal.may_be_told(what, self._clock.now(), first, last)

    def _once(self, terminal: Terminal, what: str, work: Work) -> None:
        """Begin a long answer, unless one of its kind is under way: the terminal asks again."""
        if what not in terminal.running:
            terminal.running.add(what)
            self._spawn(self._rooted(terminal, what, work))

    async def _rooted(self, terminal: Terminal, what: str, work: Work) -> None:
        try:
            await work()
        except StoreError as error:
            # No answer: the terminal asks again.
            log.warning("not read", device=terminal.place.device, cause=str(error))
        finally:
            terminal.running.discard(what)

    # --- what operators see and do

    def devices(self, after: str, limit: int) -> list[DeviceView]:
        """Return terminals of the fleet by name, those behind ``after``."""
        names = (name for name in self._fleet.devices() if name > after)
        return [self._view(name) for name in islice(names, limit)]

    def device(self, name: str) -> DeviceView | None:
        """Return one terminal; None if there is none of that name."""
        return None if place_of(name, self._groups) is None else self._view(name)

    async def operations(self, device: str, after: int, limit: int) -> list[OperationView]:
        """Return operations of a terminal in the order of their numbers, those behind ``after``.

        Raises:
            StoreError: they could not be read.
        """
        return [operation_view(one) for one in self._store.operations(device, after, limit)]

    def findings(self) -> list[Finding]:
        """Return the last findings, the newest last."""
        return list(self._findings)

    def tills(self) -> list[TillView]:
        """Return the cash of all agents in all currencies."""
        agents = dict.fromkeys(name.rpartition("-")[0] for name in self._fleet.devices())
        found = ((a, n, self._limits.till(a, n)) for a in agents for n in range(len(CURRENCIES)))
        return [
            TillView(
                agent=agent,
                currency=CURRENCIES[number],
                opening=till.opening,
                taken=till.taken,
                paid=till.paid,
                reserved=till.reserved,
                float_minor=till.float_minor,
            )
            for agent, number, till in found
        ]

    async def revoke(self, device: str) -> None:
        """Refuse all operations of a terminal that are not let through yet; return once on disk.

        Raises:
            KeyError: there is no such terminal.
        """
        await self._stand(device, to_ms(self._clock.now()))

    async def restore(self, device: str) -> None:
        """Take a terminal's operations again; what was refused meanwhile stays refused.

        One that has verdicts which are not known here is asked for their operations from then on.

        Raises:
            KeyError: there is no such terminal.
        """
        terminal = await self._stand(device, 0)
        terminal.released = terminal.claimed

    async def _stand(self, device: str, revoked_ms: int) -> Terminal:
        place = place_of(device, self._groups)
        if place is None:
            raise KeyError(device)
        terminal = self._terminal(place)
        terminal.revoked_ms = revoked_ms
        await self._store.write(Stand(device, revoked_ms))
        return terminal

    def _terminal(self, place: Place) -> Terminal:
        found = self._terminals.get(place.device)
        if found is None:
            found = self._terminals[place.device] = Terminal(place, self._works, Session())
        return found

    def _view(self, name: str) -> DeviceView:
        place = place_of(name, self._groups)
        assert place is not None, "it is one of the fleet's"
        # One that was never heard of is shown, and not kept.
        terminal = self._terminals.get(name) or Terminal(place, self._works, Session())
        session, agent = terminal.session, place.agent
        return DeviceView(
            device=name,
            agent=agent,
            institution=place.institution,
            is_online=terminal.is_online,
            session=session.session,
            expected=session.expected,
            settled=session.settled,
            under_way=session.under_way,
            held=session.held,
            gaps=session.missing(),
            agreed=terminal.agreed,
            heard_ms=terminal.heard_ms,
            skew_s=session.skew_s,
            revoked_ms=terminal.revoked_ms,
            float_minor={
                currency: self._limits.till(agent, number).float_minor
                for number, currency in enumerate(CURRENCIES)
            },
        )
