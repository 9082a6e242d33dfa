"""Keeps the country's processes running, and ends them in order.

It imports nothing heavy: it waits, and it stays small. Its children hold the reading end of a
lifeline as their standard input, so that none outlives it, however it ends.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from gettext import gettext as _
from typing import Any

from chasqui.calling import as_called
from chasqui.child import Child, Program
from chasqui.exits import ExitCode
from runtime.lifeline import Lifeline
from scheme.limits import RESTART_BACKOFF_S

START_S = 90.0
"""Seconds until the country must be ready; the first start makes keys and seeds books."""
STEADY_S = 60.0
"""A child that ran this long starts over with the shortest wait when it dies."""
_READY_LOOK_S = 0.05
_HURRY_S = 1.0


class StartFailed(Exception):
    """A child ended before the country was ready, or it was not ready in time.

    Args:
        name: of the program.
        code: its exit code; None when it still ran.
        complaint: why, as it said itself, or empty.
    """

    def __init__(self, name: str, code: int | None, complaint: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.code = code
        self.complaint = complaint


class Supervisor:
    """Starts programs, starts them again when they die, and stops them in order.

    Args:
        programs: in the order in which they are stopped; they are started in the opposite one.
        say: prints a line to the terminal.
        backoff_s: waits before a dead child is started again; the last one repeats.
        start_s: seconds until everything must be ready.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        say: Callable[[str], None],
        backoff_s: Sequence[float] = RESTART_BACKOFF_S,
        start_s: float = START_S,
    ) -> None:
        self._programs = programs
        self._say = say
        self._backoff_s = backoff_s
        self._start_s = start_s
        self._lifeline = Lifeline()
        self._children: dict[str, Child] = {}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._exit_code: int = ExitCode.DONE

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children by name."""
        return {name: child.pid for name, child in self._children.items()}

    def stop(self) -> None:
        """Stop everything in order; the second time, hurry."""
        if self._stopping.is_set():
            self._hurry.set()
            return
        patience = max(program.stop_s for program in self._programs)
        text = _("Stopping: no new orders; what is in flight may end, at most {seconds:.0f} s.")
        self._say(text.format(seconds=patience) + " " + _("Once more hurries."))
        self._stopping.set()

    def listen_to_signals(self) -> None:
        """Let Ctrl-C and SIGTERM stop everything in order, and a closed terminal too."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)

    async def run(
        self, is_ready: Callable[[], Awaitable[bool]], on_ready: Callable[[], None]
    ) -> int:
        """Run until stopped.

        Args:
            is_ready: asked again and again once all children say they are ready.
            on_ready: called once, when the answer is yes.

        Returns:
            The exit code: 0, or that of a failed commit.

        Raises:
            StartFailed: the country did not become ready; everything is stopped again.
        """
        try:
            for program in reversed(self._programs):
                self._children[program.name] = await Child.start(program, self._lifeline)
            if await self._starts(self._until_ready(is_ready)):
                on_ready()
                await self._keep()
        finally:
            for program in self._programs:
                await self._stop_one(program.name)
            self._lifeline.close()
        return self._exit_code

    async def _starts(self, until_ready: Coroutine[Any, Any, None]) -> bool:
        """Wait until everything is ready; False when told to stop before."""
        ready = asyncio.create_task(until_ready)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait(
                {ready, stopped}, timeout=self._start_s, return_when=asyncio.FIRST_COMPLETED
            )
            if ready.done():
                ready.result()
            elif not stopped.done():
                raise StartFailed(self._slowest(), None)
            return ready.done() and not stopped.done()
        finally:
            ready.cancel()
            stopped.cancel()

    async def _until_ready(self, is_ready: Callable[[], Awaitable[bool]]) -> None:
        while not all(child.ready.done() for child in self._children.values()):
            self._check_alive()
            await asyncio.sleep(_READY_LOOK_S)
        while not await is_ready():
            self._check_alive()
            await asyncio.sleep(_READY_LOOK_S)
        self._check_alive()

    def _check_alive(self) -> None:
        for name, child in self._children.items():
            if child.ended.done():
                raise StartFailed(name, child.ended.result(), child.complaint)

    def _slowest(self) -> str:
        slow = [name for name, child in self._children.items() if not child.ready.done()]
        return slow[0] if slow else self._programs[0].name

    async def _keep(self) -> None:
        keepers = {asyncio.create_task(self._keep_one(program)) for program in self._programs}
        stopped = asyncio.create_task(self._stopping.wait())
        everything: set[asyncio.Task[Any]] = {*keepers, stopped}
        done, waiting = await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for task in done:
            task.result()

    async def _keep_one(self, program: Program) -> None:
        """Start a program again whenever it dies, until its commit failed."""
        deaths = 0
        while True:
            born = time.monotonic()
            # Shielded: the child outlives a keeper that is told to stop.
            code = await asyncio.shield(self._children[program.name].ended)
            if code == ExitCode.FAILED_COMMIT:
                self._tell_failed_commit(program)
                return
            deaths = 0 if time.monotonic() - born > STEADY_S else deaths
            wait_s = self._backoff_s[min(deaths, len(self._backoff_s) - 1)]
            deaths += 1
            text = _("{name} died ({how}); it is started again in {seconds:g} s. See {path}")
            self._say(
                text.format(
                    name=program.name, how=how_it_ended(code), seconds=wait_s, path=program.errors
                )
            )
            await asyncio.sleep(wait_s)
            child = await Child.start(program, self._lifeline)
            self._children[program.name] = child
            either: set[asyncio.Future[Any]] = {child.ready, child.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not child.ended.done():
                self._say(_("{name} runs again.").format(name=program.name))

    def _tell_failed_commit(self, program: Program) -> None:
        self._exit_code = ExitCode.FAILED_COMMIT
        text = _("{name} could not write to its disk and stopped; nothing unwritten was answered.")
        self._say(text.format(name=program.name))
        hint = _("It is not started again by itself. Look at the disk and at {path},")
        self._say("  " + hint.format(path=program.errors))
        self._say("  " + _("then start anew: what is on disk decides. Compare afterwards:"))
        self._say("  " + as_called("chasqui reconcile --books"))

    async def _stop_one(self, name: str) -> None:
        child = self._children.get(name)
        if child is None:
            return
        was_running = not child.ended.done()
        child.send(signal.SIGTERM)
        await self._wait_for_end(child)
        if not child.ended.done():
            child.send(signal.SIGKILL)
        code = await child.ended
        if was_running and code == ExitCode.FAILED_COMMIT:
            self._tell_failed_commit(child.program)

    async def _wait_for_end(self, child: Child) -> None:
        hurry = asyncio.create_task(self._hurry.wait())
        either: set[asyncio.Task[Any]] = {child.ended, hurry}
        await asyncio.wait(
            either, timeout=child.program.stop_s, return_when=asyncio.FIRST_COMPLETED
        )
        if hurry.done():
            await asyncio.wait({child.ended}, timeout=_HURRY_S)
        hurry.cancel()


def how_it_ended(code: int) -> str:
    """Return an exit code or the signal that ended a process, as people say it."""
    if code >= 0:
        return _("exit code {code}").format(code=code)
    try:
        return _("killed by {signal}").format(signal=signal.Signals(-code).name)
    except ValueError:
        return _("killed by {signal}").format(signal=-code)
