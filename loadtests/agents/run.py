"""Raises one storm: starts the country, has everybody come back at once, and checks it all."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Final

import psutil

from loadtests.agents.checks import Checks
from loadtests.agents.country import BROKER, SWITCH, StormCountry
from loadtests.agents.crowd import Asked, Crowd
from loadtests.agents.customers import Customers
from loadtests.agents.plan import INSTITUTION, Plan
from loadtests.agents.report import Bytes, Report, Waits
from loadtests.agents.watch import Use, Watch
from scheme.clock import Clock

_LOOK_S: Final = 0.05
_QUIET_S_MAX: Final = 120.0
_KILLS: Final = ((SWITCH, 0.25), (BROKER, 0.6))
"""What is killed, and which share of the storm is settled by then."""
_SETTLE_IDLE_S: Final = 2.0


class NotSettled(Exception):
    """Something had no verdict, or no agreement, in time."""


async def rage(
    plan: Plan, home: Path, clock: Clock, say: Callable[[str], None], within_s: float
) -> Report:
    """Raise a storm and check it.

    Args:
        home: empty; the country's data.
        within_s: for all operations to be settled and all sessions to be closed.

    Raises:
        NotSettled: not in that time.
    """
    with StormCountry(plan, home) as country:
        storm = _Storm(plan, country, clock, say)
        try:
            async with asyncio.timeout(within_s):
                await storm.pass_by()
        except TimeoutError as error:
            raise NotSettled(storm.how_far()) from error
        finally:
            storm.over()
        return await asyncio.to_thread(storm.judge)


class _Storm:
    """Everybody who acts in one country."""

    def __init__(
        self, plan: Plan, country: StormCountry, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._country = country
        self._say = say
        self._opening = country.operations.balances()[INSTITUTION]
        self._customers = Customers.of(country.operations, country.fleet)
        names = iter(country.devices)

        def crowd(count: int) -> Crowd:
            devices = [next(names) for _ in range(count)]
            return Crowd(devices, country.mqtt_port, country.keys, clock, seed=plan.seed)

        self._live, self._back, self._idle = map(crowd, (plan.live, plan.agents, plan.idle))
        self._watch = Watch(country.processes)
        self._kills: list[tuple[str, float]] = []
        self._begun = self._connected_s = self._settled_s = self._closed_s = 0.0
        self._load_cpu_s = 0.0
        self._idle_rss: dict[str, int] = {}
        self._uses: dict[str, Use] = {}

    async def pass_by(self) -> None:
        """Let the silent connect, people come, and the storm break."""
        plan = self._plan
        watching = asyncio.create_task(self._watch.run())
        await self._connect_idle()
        await self._live.connect()
        self._back.queue_up(plan.operations, self._customers)
        serving = asyncio.create_task(self._live.serve(self._customers, plan.pause_s))
        await asyncio.sleep(plan.before_s)
        self._watch.restart()
        before = _own_cpu_s()
        self._begun = perf_counter()
        await self._storm()
        self._load_cpu_s = _own_cpu_s() - before
        self._uses = self._watch.restart()
        self._live.dismiss()
        await serving
        await self._live.close()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def _connect_idle(self) -> None:
        if not self._plan.idle:
            return
        begun = perf_counter()
        await self._idle.connect()
        self._say(f"{self._plan.idle} silent terminals after {perf_counter() - begun:.1f} s")
        await self._idle.close()
        await asyncio.sleep(_SETTLE_IDLE_S)
        self._idle_rss = {name: use.rss_max for name, use in self._watch.restart().items()}

    async def _storm(self) -> None:
        killing = asyncio.create_task(self._kill())
        closing = asyncio.create_task(self._back.close())
        connecting = asyncio.create_task(self._back.connect())
        connecting.add_done_callback(lambda _: self._note_connected())
        whole = self._plan.agents * self._plan.operations
        while self._back.settled < whole:
            await asyncio.sleep(_LOOK_S)
            for one in (killing, connecting):
                if one.done():
                    one.result()
        self._settled_s = perf_counter() - self._begun
        await closing
        self._closed_s = perf_counter() - self._begun
        self._say(f"{whole} operations settled in {self._settled_s:.1f} s")
        await asyncio.gather(killing, connecting)

    def _note_connected(self) -> None:
        self._connected_s = perf_counter() - self._begun

    async def _kill(self) -> None:
        if not self._plan.kill:
            return
        whole = self._plan.agents * self._plan.operations
        for program, share in _KILLS:
            while self._back.settled < whole * share:  # noqa: ASYNC110 - costs the load nothing
                await asyncio.sleep(_LOOK_S)
            seconds = await asyncio.to_thread(self._country.kill, program)
            self._kills.append((program, seconds))
            self._say(f"kill -9 of {program}: away for {seconds:.1f} s")

    def over(self) -> None:
        """Have everybody leave."""
        for crowd in (self._live, self._back, self._idle):
            crowd.leave()

    def how_far(self) -> str:
        """Return what is still open."""
        back, whole = self._back, self._plan.agents * self._plan.operations
        up = sum(one.client.is_up for one in back.places)
        closed = sum(one.is_closed for one in back.terminals)
        faults = [fault for one in back.terminals for fault in one.faults][:5]
        refused = {one.client.refused for one in back.places} - {""}
        return (
            f"{back.settled} of {whole} operations settled, {up} terminals connected, "
            f"{closed} closed; {back.counts}; faults: {faults}; refused: {refused}"
        )

    def judge(self) -> Report:
        """Check everything there is, and return the report."""
        self._country.operations.wait_until_quiet(_QUIET_S_MAX)
        live, back = self._live, self._back
        counts, whole = back.counts, self._plan.agents * self._plan.operations
        ended = self._begun + self._settled_s
        terminals = [*live.terminals, *back.terminals]
        return Report(
            plan=self._plan,
            operations=whole,
            settled_s=self._settled_s,
            closed_s=self._closed_s,
            connected_s=self._connected_s,
            codes={"storm": _codes(back), "live": _codes(live)},
            repeats=counts.repeats,
            faults=counts.faults + live.counts.faults,
            before=_waits(live.asked, lambda one: one.begun + one.seconds < self._begun),
            during=_waits(live.asked, lambda one: self._begun <= one.begun < ended),
            bytes_each=Bytes(
                operation=counts.operations_up / whole,
                verdict=counts.verdicts_down / whole,
                payloads=(counts.up + counts.down) / whole,
                wire=back.wire_bytes / whole,
            ),
            uses=self._uses,
            load_cpu_s=self._load_cpu_s,
            idle_rss=self._idle_rss,
            kills=tuple(self._kills),
            claims=Checks(self._country, terminals, self._opening).run(),
        )


def _codes(crowd: Crowd) -> dict[str, int]:
    found = Counter(
        verdict.code for terminal in crowd.terminals for verdict in terminal.verdicts.values()
    )
    return dict(sorted(found.items()))


def _waits(asked: list[Asked], wanted: Callable[[Asked], bool]) -> Waits:
    return Waits.of([one.seconds for one in asked if wanted(one)])


def _own_cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
