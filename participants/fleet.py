"""The fleet: every simulated institution of a network in one process, each on its own port."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog

from participants.agents.office import Office
from participants.links.payments_port import PATH as PAYMENTS_PATH
from participants.links.tin_http import BASE_PATH
from participants.links.tin_http.port import TinPort
from runtime.http_server import GuardedServer, Request, Response

log = structlog.get_logger()

CONTROL_PATH = "/control/"

Answer = Callable[[Request], Awaitable[Response]]


class Tasks:
    """The tasks of the fleet: each runs until it ends or the fleet stops.

    Args:
        on_bug: told when one of them ends by an exception nobody expected.
    """

    def __init__(self, on_bug: Callable[[BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_bug = on_bug

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End every task; what they would have done is taken up at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_bug(error)


class Station:
    """One institution on its port: the wire and the test hook.

    Args:
        office: the institution.
        wire: answers the clearing house on the TIN wire; payments: on the slow rails.
        control: answers the test hook.
        host: address to listen on.
    """

    def __init__(
        self, office: Office, wire: TinPort, payments: Answer, control: Answer, *, host: str
    ) -> None:
        self.office = office
        self._wire = wire
        self._payments = payments
        self._control = control
        self._server = GuardedServer(self._answer, host=host, port=office.institution.entry.port)

    @property
    def port(self) -> int:
        """The port served."""
        return self._server.port

    async def start(self) -> None:
        """Serve.

        Raises:
            ConfigError: the port cannot be had.
        """
        await self._server.start()

    async def dial(self) -> None:
        """Dial the clearing house, where the institution is on a lane with links."""
        if self.office.line is not None:
            await self.office.line.start()

    async def stop(self, grace_s: float) -> None:
        """Stop serving; running requests may end for at most ``grace_s``."""
        await self._server.stop(grace_s)
        if self.office.line is not None:
            await self.office.line.stop()

    async def _answer(self, request: Request) -> Response:
        if request.path.startswith(BASE_PATH):
            return await self._wire.answer(request)
        if request.path.startswith(PAYMENTS_PATH):
            return await self._payments(request)
        if request.path.startswith(CONTROL_PATH):
            return await self._control(request)
        return Response(404, b'{"error":"no such path here"}')


class FleetRunner:
    """Starts and stops the stations.

    Args:
        stations: one per simulated institution.
        tasks: what they run beside their requests.
    """

    def __init__(self, stations: Sequence[Station], tasks: Tasks) -> None:
        self.stations = tuple(stations)
        self._tasks = tasks

    async def start(self) -> None:
        """Serve every port, then take open orders up and sign on.

        Raises:
            ConfigError: a port cannot be had; what had been started is stopped again.
        """
        started: list[Station] = []
        try:
            for station in self.stations:
                await station.start()
                started.append(station)
        except BaseException:
            for station in started:
                await station.stop(0.0)
            raise
        for station in self.stations:
            await station.dial()
            station.office.resume()

    async def stop(self, grace_s: float) -> None:
        """Take no more orders, let running ones end for at most ``grace_s``, end the rest."""
        await asyncio.gather(*(station.stop(grace_s) for station in self.stations))
        await self._tasks.stop()
