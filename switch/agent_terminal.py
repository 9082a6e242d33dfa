"""Carries one terminal's operations out, strictly in order, each to a verdict on disk."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from scheme.clock import Clock, from_ms, to_ms
from scheme.errors import StoreError
from scheme.limits import AGENT_BATCH_MAX
from scheme.network import Participant
from scheme.profile import AgentRules
from scheme.reasons import ReasonCode
from scheme.wire.agent_digest import APPLIED, verdict_mac
from scheme.wire.agent_payload import Items, Kind, Verdict
from scheme.wire.iso8583_spec import Fields
from switch.agent_store import Add, Admit, AgentCommand, AgentStore, Settle
from switch.agent_turns import Turns
from switch.core.agent_limits import NO_EFFECT, Effect, Limits, clock_fault, day_of, refused
from switch.core.agent_requests import (
    fields_of,
    form_fault,
    institution_of,
    is_outcome,
    verdict_of,
)
from switch.core.agent_session import Place, Session, Waiting
from switch.flight import NotAccepting, UnknownOutcome

log = structlog.get_logger()

RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Waits before an operation without an outcome is asked for again; the last one repeats."""
AGAIN: Final = timedelta(seconds=2)
"""In which a terminal is told all its verdicts, asked for its gaps, or compared with only once."""
_GRACE: Final = timedelta(seconds=sum(RETRY_S))
"""How long what was made offline waits for an institution whose link is down."""
REVOKED: Final = "62"

Handle = Callable[[Participant, Fields], Awaitable[Fields | None]]
Tell = Callable[["Terminal", list[Verdict]], None]


class Works:
    """What all terminals share.

    Args:
        handle: answers a request; None, or an exception, is no outcome.
        is_away: tells of an institution that it has no link just now.
        lanes: codes of institutions and directories; all others wait in one line.
        keys: returns the key of a terminal.
        tell: sends verdicts that are on disk.
        note: keeps a finding about an operation that was refused here.
    """

    def __init__(
        self,
        *,
        handle: Handle,
        is_away: Callable[[str], bool],
        store: AgentStore,
        limits: Limits,
        rules: AgentRules,
        fleet: Mapping[str, Participant],
        lanes: frozenset[str],
        clock: Clock,
        keys: Callable[[str], bytes],
        tell: Tell,
        note: Callable[[str, Verdict], None],
    ) -> None:
        self.handle = handle
        self.is_away = is_away
        self.store = store
        self.limits = limits
        self.rules = rules
        self.fleet = fleet
        self.lanes = lanes
        self.clock = clock
        self.keys = keys
        self.tell = tell
        self.note = note
        self.turns = Turns()
        self.is_stopping = False
        self._away_since: dict[str, datetime] = {}

    def may_come_back(self, institution: str) -> bool:
        """Tell whether an institution has no link, and had one until a moment ago.

        One grace for each outage, whoever asks: what waits in one terminal waits one by one.
        """
        if not self.is_away(institution):
            self._away_since.pop(institution, None)
            return False
        now = self.clock.now()
        # Not later than now: the clock may have been set back meanwhile.
        since = min(self._away_since.get(institution, now), now)
        self._away_since[institution] = since
        return now - since < _GRACE


class Terminal:
    """One terminal, and the work that is under way for it.

    An operation is let through (its limits looked at, its money reserved) in the same write that
    keeps the verdict before it, or itself if nothing is before it. From then on its money may have
    moved, so that after a crash no limit is looked at again: it is asked for until its outcome is
    known. The verdict that comes back goes to disk before it leaves.

    Attributes:
        claimed: below this number it has all verdicts, as its last Hello says; released: so far
            an operator lets that pass, until the process ends.
        agreed: the last number of a range whose digests agreed.
        said: what it was told that is not repeated at once: up to which number, and when.
        running: the long answers that are being read for it.
        to_compare: what it said of its verdicts and is not looked at yet.
    """

    def __init__(self, place: Place, works: Works, session: Session) -> None:
        self.place = place
        self.session = session
        self.is_online = False
        self.heard_ms = 0
        self.revoked_ms = 0
        self.claimed = self.released = 0
        self.agreed = 0
        self.said: dict[str, tuple[int, datetime]] = {}
        self.running: set[str] = set()
        self.to_compare: deque[Items] = deque()
        self._works = works
        self._admitted: Waiting | None = None
        self._is_busy = False
        self._is_stuck = False
        self._task: asyncio.Task[None] | None = None
        self._may_be_ended = False

    @property
    def is_ahead(self) -> bool:
        """Whether it has verdicts that are not on disk here, and nobody has let that pass.

        Every verdict is on disk before it is told: this disk is older than the terminal's.
        """
        return self.claimed > max(self.session.expected, self.released)

    def may_be_told(self, what: str, now: datetime, first: int, last: int) -> bool:
        """Tell whether something was not said or done just now, and note that it is.

        Args:
            first, last: the numbers it is about; those behind what was said are something else.
        """
        through, at = self.said.get(what, (0, None))
        # What a clock that was set back shows as future does not count.
        if at is not None and timedelta(0) <= now - at < AGAIN:
            if first <= through:
                return False
            now = at
        self.said[what] = (last, now)
        return True

    # --- taking up

    def take(self, new: list[Waiting], spawn: Callable[..., object]) -> None:
        """Put operations that the session has taken on disk; carry out those whose turn it is.

        What nothing is before is let through in the very write that keeps it.
        """
        adds = [Add(self.place.device, one) for one in new]
        if self._is_busy:
            # The write goes behind the one under way, whose end looks for what has come meanwhile.
            self._works.store.submit(*adds)
            return
        told, decided = self._decide()
        written = self._works.store.write(*adds, *decided)
        if decided or self._is_stuck or self._admitted is not None:
            self._is_busy = True
            spawn(self._run(written, told))

    def remember(self, left: list[Waiting]) -> None:
        """Take what a former process left without a verdict; what it let through is reserved."""
        for one in left:
            self.session.take(one)
            if one.is_admitted:
                self._works.limits.reserve(self.place.agent, one)
        head = self.session.next_up()
        self._admitted = head if head is not None and head.is_admitted else None

    def resume(self, spawn: Callable[..., object]) -> None:
        """Carry out what is remembered."""
        if self.session.next_up() is not None:
            self._is_busy = True
            spawn(self._run(self._works.store.write(), []))

    def stop(self) -> "asyncio.Task[None] | None":
        """End what only waits; return the task to wait for, if one is under way."""
        if self._task is not None and self._may_be_ended:
            self._task.cancel()
        return self._task

    # --- one after the other

    async def _run(self, written: asyncio.Future[None], told: list[Verdict]) -> None:
        """Work until nothing is left: tell what is on disk, carry the next one out, decide on.

        Args:
            written: the write of all that was decided so far; told: the verdicts in it.
        """
        self._task = asyncio.current_task()
        try:
            while True:
                await written
                self._tell(told)
                decided: list[AgentCommand] = []
                told = []
                if self._admitted is not None:
                    verdict = await self._outcome(self._admitted)
                    if verdict is None:
                        return
                    decided.append(self._ended(self._admitted, verdict))
                    told.append(verdict)
                    self._admitted = None
                more, further = self._decide()
                told += more
                decided += further
                if decided:
                    written = self._works.store.write(*decided)
                elif self._is_stuck and not self._works.is_stopping:
                    await self._pause(0)
                else:
                    return
        finally:
            self._task = None
            self._is_busy = False

    def _tell(self, told: list[Verdict]) -> None:
        if told:
            self.session.settle(told[-1].seq)
            self._works.tell(self, told)

    def _decide(self) -> tuple[list[Verdict], list[AgentCommand]]:
        """Decide what nobody has to be asked about, and let one operation through after it."""
        told: list[Verdict] = []
        commands: list[AgentCommand] = []
        works = self._works
        self._is_stuck = False
        if works.is_stopping or self._admitted is not None:
            return told, commands
        works.limits.on_day(day_of(to_ms(works.clock.now())))
        while len(told) < AGENT_BATCH_MAX and (waiting := self.session.next_up()) is not None:
            try:
                verdict = self._at_once(waiting)
            except StoreError as error:
                # What its agent did that day cannot be read just now, so nothing is decided.
                log.warning("operation waits", device=self.place.device, cause=str(error))
                self._is_stuck = True
                break
            if verdict is None:
                works.limits.reserve(self.place.agent, waiting)
                waiting.is_admitted = True
                self._admitted = waiting
                commands.append(Admit(self.place.device, waiting.operation.seq))
                break
            told.append(verdict)
            commands.append(self._settled(waiting, verdict, NO_EFFECT))
        return told, commands

    def _at_once(self, waiting: Waiting) -> Verdict | None:
        """Return the verdict on what is not let through; None for what is.

        A terminal that is revoked gets nothing done any more, not even what it says it did before:
        who has its key can say so of anything.
        """
        works, operation = self._works, waiting.operation
        if self.revoked_ms:
            return self._noted(refused(operation, REVOKED, ReasonCode.DNOR, "device: revoked"))
        if operation.kind == Kind.VOID:
            return Verdict(operation.seq, APPLIED)
        verdict = clock_fault(waiting, works.rules)
        verdict = verdict or form_fault(operation, works.fleet)
        verdict = verdict or works.limits.refusal(self.place.agent, waiting)
        return None if verdict is None else self._noted(verdict)

    def _noted(self, verdict: Verdict) -> Verdict:
        self._works.note(self.place.device, verdict)
        return verdict

    def _ended(self, waiting: Waiting, verdict: Verdict) -> Settle:
        is_applied = verdict.code == APPLIED
        effect = self._works.limits.end(self.place.agent, waiting, is_applied=is_applied)
        return self._settled(waiting, verdict, effect)

    def _settled(self, waiting: Waiting, verdict: Verdict, effect: Effect) -> Settle:
        device = self.place.device
        proof = verdict_mac(self._works.keys(device), device, waiting.operation, verdict)
        self.session.decided()
        return Settle(device, self.place.agent, verdict, proof, effect)

    # --- asking

    async def _outcome(self, waiting: Waiting) -> Verdict | None:
        """Ask until there is an outcome; what does not state one is never made into a verdict.

        None: the process ends, and the next one asks.
        """
        operation, works = waiting.operation, self._works
        acquirer = works.fleet[self.place.institution]
        received = from_ms(waiting.received_ms)
        fields = fields_of(operation, self.place.device, acquirer, received)
        institution = institution_of(operation)
        lane = institution if institution in works.lanes else ""
        tries = 0
        while not works.is_stopping:
            # Cash that was paid out hours ago would be refused for a link that is back in a second,
            # as after a restart of ours. Nobody stands at the counter, so it can wait a while.
            may_come_back = works.may_come_back(institution)  # Live ones note the outage too.
            if operation.offline and may_come_back:
                await self._pause(tries)
                tries += 1
                continue
            self._may_be_ended = True
            async with works.turns.turn(lane, is_live=not operation.offline and not tries):
                self._may_be_ended = False
                answer = await self._answer(acquirer, fields)
            if answer is not None and is_outcome(answer):
                return verdict_of(operation, answer)
            # Without a turn: others go on while this one waits.
            await self._pause(tries)
            tries += 1
        return None

    async def _pause(self, tries: int) -> None:
        if self._works.is_stopping:
            return  # Whoever stops has looked already for what only waits.
        wait = timedelta(seconds=RETRY_S[min(tries, len(RETRY_S) - 1)])
        self._may_be_ended = True
        await self._works.clock.sleep_until(self._works.clock.now() + wait)
        self._may_be_ended = False

    async def _answer(self, acquirer: Participant, fields: Fields) -> Fields | None:
        try:
            # A copy: whoever answers may keep it, and the repeat must be the same.
            return await self._works.handle(acquirer, dict(fields))
        except (UnknownOutcome, NotAccepting, StoreError) as error:
            log.info("operation without an outcome", device=self.place.device, cause=repr(error))
        except Exception:
            # The root of what is asked for: a bug must not leave the terminal without an answer.
            log.exception("operation failed", device=self.place.device, trace=fields["11"])
        return None
