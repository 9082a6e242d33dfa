"""Mosquitto as a child: started with our files, told when they change, ended with us."""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from runtime.mqtt_broker.mosquitto_files import MosquittoFiles, Tls
from runtime.mqtt_broker.users import FOLDER, LOOK_S, Users
from scheme.errors import ConfigError

log = structlog.get_logger()

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
"""Servers are not in every user's path."""
_READY_S = 5.0
_LOOK_S = 0.01
_STOP_S = 2.0
_PR_SET_PDEATHSIG = 1


class BrokerEnded(Exception):
    """Mosquitto ended by itself.

    Args:
        cause: its exit code and what it said last.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Mosquitto:
    """One running Mosquitto.

    Args:
        home: its files are in the folder ``mqtt``.
        connections_max: open at once on each port.
    """

    def __init__(self, home: Path, users: Users, *, connections_max: int) -> None:
        self._users = users
        self._files = MosquittoFiles(home / FOLDER)
        self._connections_max = connections_max
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[None] | None = None
        self._last_words = ""

    async def start(self, host: str, port: int, tls: Tls | None) -> int:
        """Start it and return its port once it is served.

        Raises:
            ConfigError: Mosquitto is not installed, a port is taken, or it does not start.
        """
        program = shutil.which("mosquitto", path=_PATH)
        if program is None:
            raise ConfigError("mosquitto: not installed; the embedded broker needs nothing")
        port = _free(host, port)
        if tls is not None:
            _free(tls.host, tls.port)
        self._files.write_settings(
            host=host, port=port, tls=tls, connections_max=self._connections_max
        )
        self._write_users()
        self._process = await asyncio.create_subprocess_exec(
            program,
            "-c",
            str(self._files.settings.resolve()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_dies_with_us(),
        )
        self._said = asyncio.create_task(self._pass_on(self._process))
        for where in [(host, port), *([(tls.host, tls.port)] if tls else [])]:
            await self._until_served(*where)
        return port

    async def watch(self) -> None:
        """Tell it about changed users; for ever.

        Raises:
            BrokerEnded: it ended by itself.
        """
        assert self._process is not None
        while self._process.returncode is None:
            await asyncio.sleep(LOOK_S)
            if self._users.look():
                self._write_users()
                self._signal(signal.SIGHUP)
        raise BrokerEnded(await self._end())

    async def stop(self) -> None:
        """End it."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
        await self._end()

    def _write_users(self) -> None:
        self._files.write_users((one, self._users.password(one)) for one in self._users.names)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _until_served(self, host: str, port: int) -> None:
        assert self._process is not None
        deadline = asyncio.get_running_loop().time() + _READY_S
        while asyncio.get_running_loop().time() < deadline:
            if self._process.returncode is not None:
                raise ConfigError(f"mosquitto: {await self._end()}")
            if _answers(host, port):
                return
            await asyncio.sleep(_LOOK_S)
        raise ConfigError(f"mosquitto: port {port} was not served in {_READY_S:.0f} s")

    async def _end(self) -> str:
        assert self._process is not None
        assert self._said is not None
        code = await self._process.wait()
        await self._said
        return f"exit code {code}" + (f": {self._last_words}" if self._last_words else "")

    async def _pass_on(self, process: asyncio.subprocess.Process) -> None:
        """Keep what it says with the rest of our log."""
        assert process.stderr is not None
        async for line in process.stderr:
            self._last_words = line.decode(errors="replace").strip()
            log.warning("mosquitto", error=self._last_words)


def _free(host: str, port: int) -> int:
    """Return a port that nobody listens on; for 0 any such.

    Raises:
        ConfigError: it is taken, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do, so that a port whose last connections are just closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise ConfigError(f"port {port} on {host}: {error.strerror}") from error
        return int(probe.getsockname()[1])


def _answers(host: str, port: int) -> bool:
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with
    try:
        with socket.create_connection((local, port), timeout=_LOOK_S * 10):
            return True
    except OSError:
        return False


def _dies_with_us() -> Callable[[], None] | None:
    """Return what makes a child end when we are killed; only Linux can."""
    try:
        control = ctypes.CDLL(None).prctl
    except (AttributeError, OSError):
        return None
    return lambda: control(_PR_SET_PDEATHSIG, signal.SIGTERM)
