"""One supervised process: how it is started, when it is ready, how it ended."""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from runtime.lifeline import Lifeline
from scheme.limits import LOG_FILE_BYTES_MAX

STOP_S = 10.0
_LINE_BYTES_MAX = 64 * 1024
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Program:
    """One program to be kept running.

    Attributes:
        name: as people read it.
        command: what is run.
        errors: file that takes its standard error.
        stop_s: seconds it may take to stop once it was told to.
    """

    name: str
    command: tuple[str, ...]
    errors: Path
    stop_s: float = STOP_S


class _Event(msgspec.Struct, frozen=True):
    """A line of a child's standard output."""

    event: str
    error: str = ""


class Child:
    """One running process of a program.

    Args:
        process: started, its standard output a pipe.

    Attributes:
        ready: ends once the process said so; cancelled if it ended before.
        complaint: why it cannot start, as it says itself; empty if it says nothing.
        ended: ends with the exit code.
    """

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self._process = process
        self.complaint = ""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.create_task(self._run())

    @classmethod
    async def start(cls, program: Program, lifeline: Lifeline) -> Self:
        """Start a program as a child that ends with us."""
        errors = _open_errors(program.errors)
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=lifeline.child_fd,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=_LINE_BYTES_MAX,
                # Ctrl-C in the terminal is the parent's to pass on, in order.
                start_new_session=True,
            )
        finally:
            os.close(errors)
        return cls(program, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    def _heard(self, event: _Event | None) -> None:
        if event is None:
            return
        if event.event == "ready" and not self.ready.done():
            self.ready.set_result(None)
        self.complaint = event.error or self.complaint

    async def _run(self) -> int:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._heard(_event(line))
        except ValueError:
            # A line too long for us; nothing but the ready line is expected here.
            await self._process.stdout.read()
        code = await self._process.wait()
        self.ready.cancel()
        return code


def _event(line: bytes) -> _Event | None:
    try:
        return msgspec.json.decode(line, type=_Event)
    except msgspec.DecodeError:
        return None


def _open_errors(path: Path) -> int:
    """Open a file for appending; a large one is put aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_FILE_BYTES_MAX:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _OWNER_ONLY)
