"""A field agent's terminal at work: the shell over its clock, its queue and its link.

Events come one after the other. Of each, what it changes is on disk before anything leaves, and
before anybody is told: a terminal that is killed has promised nothing that it does not know.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from participants.core.agent_book import Change, Entry, Wish
from participants.core.agent_faults import Faults
from participants.core.agent_limits import Stop
from participants.core.agent_terminal import Terminal
from participants.core.agent_told import Actions, Settled, Told
from scheme.clock import Clock, Timer, from_ms
from scheme.limits import AGENT_INBOX_MAX

log = structlog.get_logger()

_MS: Final = 1000


class Queue(Protocol):
    """Where a terminal's operations are kept."""

    async def save(self, change: Change) -> None:
        """Write a change; ends once it is on disk."""


class Link(Protocol):
    """The way to the clearing house."""

    def send(self, payload: bytes) -> bool:
        """Queue a payload; False if there is no room for it."""


class FieldAgent:
    """One terminal.

    Attributes:
        faults: what spoils its payloads, in a rehearsal.

    Args:
        terminal: as it was left.
        queue: where its operations are kept.
        on_told: told what the person at the counter should hear, after it is on disk.
        on_wire: told of each payload, first whether it went up.
    """

    def __init__(
        self,
        terminal: Terminal,
        *,
        queue: Queue,
        clock: Clock,
        on_told: Callable[[Told], None] = lambda _: None,
        on_wire: Callable[[bool, bytes], None] = lambda _is_up, _payload: None,
    ) -> None:
        self.terminal = terminal
        self._queue = queue
        self._clock = clock
        self.faults: Faults | None = None
        self._on_told = on_told
        self._on_wire = on_wire
        self._link: Link | None = None
        self._events: asyncio.Queue[Callable[[], Actions]] = asyncio.Queue()
        self._step = asyncio.Lock()
        self._timer: Timer | None = None
        self._timer_due: float | None = None
        self._verdicts: dict[int, asyncio.Future[Entry]] = {}
        self._moved = asyncio.Event()

    # --- told by the link, on the loop

    def on_up(self) -> None:
        """The broker is there."""
        self._put(lambda: self.terminal.connected(self._now()))

    def on_down(self, reason: str) -> None:
        """The broker is not there, or no longer."""
        log.info("terminal alone", device=self.terminal.device, cause=reason)
        self._put(self._disconnected)

    def on_payload(self, payload: bytes) -> None:
        """The clearing house has said something."""
        if self._events.qsize() >= AGENT_INBOX_MAX:
            log.warning("terminal overrun", device=self.terminal.device)
            return  # It will be said again.
        self._on_wire(False, payload)
        self._put(lambda: self.terminal.receive(payload, self._now()))

    # --- at the counter

    async def run(self, link: Link) -> None:
        """Take what comes over a link, one after the other; cancelled to end."""
        self._link = link
        try:
            while True:
                event = await self._events.get()
                async with self._step:
                    await self._carry_out(event())
        finally:
            self._rearm(None)
            self._link = None

    async def make(self, wish: Wish, *, offline: bool, at: float | None = None) -> Entry | Stop:
        """Make an operation; when this ends with one, it is on disk, and its receipt can be given.

        Args:
            offline: without asking the clearing house.
            at: when it was made, in a rehearsal of hours without a link.
        """
        async with self._step:
            made = self.terminal.make(wish, self._now(), offline=offline, at=at)
            if isinstance(made, Stop):
                return made
            await self._carry_out(made.actions)
            return made.entry

    async def backdate(self, seconds: int) -> None:
        """Make it as if the terminal had been alone for some time."""
        async with self._step:
            await self._carry_out(self.terminal.backdate(seconds))

    async def push(self) -> None:
        """Send what waits, and close the session."""
        async with self._step:
            await self._carry_out(self.terminal.push(self._now()))

    async def verdict(self, seq: int) -> Entry:
        """Wait for what became of an operation; it has one already, or it comes."""
        entry = self.terminal.entry(seq)
        if entry is not None and entry.is_settled:
            return entry.outcome
        waiting = self._verdicts.get(seq)
        if waiting is None:
            waiting = self._verdicts[seq] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(waiting)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, looking after every event."""
        while not is_so():
            self._moved.clear()
            await self._moved.wait()

    # --- one step

    async def _carry_out(self, actions: Actions) -> None:
        if actions.change is not None:
            await self._queue.save(actions.change)
        self._send(actions.payloads)
        for one in actions.told:
            if isinstance(one, Settled) and (found := self._verdicts.pop(one.entry.seq, None)):
                found.set_result(one.entry)
            self._on_told(one)
        self._rearm(self.terminal.due)
        self._moved.set()

    def _send(self, payloads: Sequence[bytes]) -> None:
        if self._link is None:
            return
        for payload in payloads if self.faults is None else self.faults.spoil(payloads):
            self._on_wire(True, payload)
            self._link.send(payload)

    def _rearm(self, due: float | None) -> None:
        if due == self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = None
        if due is not None:
            # A millisecond later than due, as instants are cut to whole ones.
            instant = from_ms(int(due * _MS) + 1)
            self._timer = self._clock.call_at(instant, self._ring)

    def _ring(self) -> None:
        self._timer_due = None
        self._put(lambda: self.terminal.tick(self._now()))

    def _disconnected(self) -> Actions:
        self.terminal.disconnected()
        return Actions()

    def _put(self, event: Callable[[], Actions]) -> None:
        self._events.put_nowait(event)

    def _now(self) -> float:
        return self._clock.now().timestamp()
