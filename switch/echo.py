"""Asks every signed-on participant for an echo (ET1) at the profile's interval."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct

from scheme import ids
from scheme.clock import Clock, to_ms, wire_date_time
from scheme.errors import PeerError
from scheme.messages import ET1, ET2
from scheme.network import Participant
from scheme.profile import Timers
from switch.core import answers
from switch.core.sessions import NetworkState
from switch.ports import Peers

log = structlog.get_logger()

_GREETING_PAUSES: Final = (0.05, 0.1, 0.2)
_GREETINGS_MAX: Final = 600


class Echo(Struct, frozen=True, gc=False):
    """The last echo of a participant: when, whether it was sound, and how long it took."""

    at_ms: int
    ok: bool
    took_ms: int


class Echoes:
    """Keeps the last echo of each participant.

    Args:
        state: who is signed on.
        spawn: starts a task that the process owns.
    """

    def __init__(
        self,
        *,
        peers: Peers,
        fleet: Mapping[str, Participant],
        state: Callable[[], NetworkState],
        timers: Timers,
        clock: Clock,
        spawn: Callable[..., object],
    ) -> None:
        self._peers = peers
        self._fleet = fleet
        self._state = state
        self._interval = timedelta(seconds=timers.echo_interval_s)
        self._wait = timedelta(seconds=timers.av_expiry_s)
        self._clock = clock
        self._spawn = spawn
        self._traces = ids.Sequence(1, 999_999)
        self.last: dict[str, Echo] = {}

    def is_ok(self, code: str) -> bool:
        """Tell whether a participant's last echo was sound."""
        echo = self.last.get(code)
        return echo is not None and echo.ok

    async def greet(self, waits: Callable[[], Sequence[str]]) -> None:
        """Ask those waited for until each has answered; after a start, that is how we know."""
        for pause in (*_GREETING_PAUSES, *[_GREETING_PAUSES[-1]] * _GREETINGS_MAX):
            waiting = [code for code in waits() if self._state().session(code).signed_on]
            for code in waiting:
                self._spawn(self._echo(code, expects=False))
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=pause))
            if not waits():
                return

    async def run(self) -> None:
        """Echo for ever, one round at each interval."""
        due = self._clock.now()
        while True:
            due += self._interval
            await self._clock.sleep_until(due)
            for code, participant in self._fleet.items():
                if participant.listens and self._state().session(code).signed_on:
                    self._spawn(self._echo(code))

    async def _echo(self, code: str, *, expects: bool = True) -> None:
        began = self._clock.now()
        date, time = wire_date_time(began)
        trace = f"{self._traces.take():06}"
        et1 = ET1(participantCode=code, creationDate=date, creationTime=time, trace=trace)
        try:
            async with self._clock.deadline(began + self._wait):
                answer = await self._peers.ask(code, et1, "")
        except (PeerError, TimeoutError) as error:
            ok = False
            # Right after a start an institution may just not be up yet.
            say = log.warning if expects else log.debug
            say("echo failed", agent=code, cause=str(error))
        else:
            ok = isinstance(answer, ET2) and answer.status == answers.ACCEPTED
        took = self._clock.now() - began
        self.last[code] = Echo(to_ms(began), ok, int(took.total_seconds() * 1000))
