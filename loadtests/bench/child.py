"""Processes of the benchmark: each on its core, ready when it says so, never orphaned."""

import asyncio
import select
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import psutil

from runtime.lifeline import Lifeline, watch

READY_S_MAX = 60.0
_STOP_S_MAX = 20.0


class NotReady(Exception):
    """A process ended, or said nothing, before it was ready."""


class Child:
    """A Python process that prints one JSON line when it is ready.

    Args:
        command: what follows ``python``.
        core: processor it is pinned to, where taskset exists.
        log: file for what it writes to standard error.
    """

    def __init__(self, name: str, command: Sequence[str], *, core: int | None, log: Path) -> None:
        self.name = name
        self._lifeline = Lifeline()
        self._log_path = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*_pinned(core), sys.executable, *command],
                stdin=self._lifeline.child_fd,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._watched = psutil.Process(self._process.pid)

    def ready(self, within_s: float = READY_S_MAX) -> dict[str, object]:
        """Wait for the line that says it is ready, or done; return what it says.

        Raises:
            NotReady: it ended instead.
        """
        out = self._process.stdout
        assert out is not None
        # Not select(): who keeps thousands of connections has descriptors beyond what it takes.
        poll = select.poll()
        poll.register(out, select.POLLIN)
        line = out.readline() if poll.poll(within_s * 1000) else b""
        try:
            said: dict[str, object] = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            tail = self._log_path.read_text(errors="replace")[-2000:]
            raise NotReady(f"{self.name} did not start: {line!r}\n{tail}") from error
        return said

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Return the seconds of processor time all its threads have used, user and system."""
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    def rss_bytes(self) -> int:
        """Return its resident memory."""
        return int(self._watched.memory_info().rss)

    def stop(self) -> int:
        """End it, by force if it takes too long; return its exit code."""
        self._process.terminate()
        try:
            code = self._process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._lifeline.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def cores() -> tuple[int, int] | None:
    """Return two processors to pin to, or None where that cannot be done."""
    count = psutil.cpu_count() or 1
    return (0, 1) if count > 1 and shutil.which("taskset") else None


def pin_self() -> None:
    """Pin this process, which generates the load, to the fleet's core: the switch has its own."""
    pair = cores()
    if pair is not None:
        psutil.Process().cpu_affinity([pair[1]])


def unpin_self() -> None:
    """Let this process, and those it starts from now on, run anywhere again."""
    if cores() is not None:
        psutil.Process().cpu_affinity([])


def _pinned(core: int | None) -> list[str]:
    return [] if core is None else ["taskset", "--cpu-list", str(core)]


async def serve_until_orphaned(port: int, **more: int) -> None:
    """Say where this process serves; return when it is told to end or has no parent."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    lifeline = watch(0, lambda: loop.call_soon_threadsafe(over.set), grace_s=5.0)
    sys.stdout.write(msgspec.json.encode({"event": "ready", "port": port, **more}).decode() + "\n")
    sys.stdout.flush()
    await over.wait()
    lifeline.stopped()
