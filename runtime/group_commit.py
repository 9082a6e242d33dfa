"""Group commit: everything that became ready while the last fsync ran is one transaction."""

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from scheme.errors import StoreError
from scheme.limits import GROUP_BYTES_MAX

C = TypeVar("C")
log = structlog.get_logger()

_FULL = 2
# Of a new file. A page of 4096 holds one row of two kilobytes and stays half empty, but is written
# and synced whole; beyond 8192 a small group would write more than a large one saves.
_PAGE_BYTES = 8192
_CHECKPOINT_BYTES = 16 * 1024 * 1024
# Index pages of old keys are touched at random; SQLite's own 2 MB would read them again and again.
_CACHE_KIB = 16 * 1024


class _Unit(Generic[C]):
    """Commands that must share one transaction, and who waits for them."""

    __slots__ = ("commands", "size", "waiter")

    def __init__(
        self, commands: Sequence[C], size: int, waiter: asyncio.Future[None] | None
    ) -> None:
        self.commands = commands
        self.size = size
        self.waiter = waiter


class GroupCommit(Generic[C]):
    """Writes commands to one SQLite database in groups, from a thread of its own.

    What one call of ``submit`` or ``write`` hands over is a unit: it is never split over two
    groups, and units keep their order. A group that cannot be written is never tried again:
    ``on_failure`` is told, nobody who waits on it or on a later one is ever answered, nothing
    more is written, and the process is expected to end.

    Args:
        connection: opened by ``open_durable``; from now on only this class writes on it.
        write: runs in the writer's thread inside an open transaction; makes one group's writes.
        on_failure: told once, on the loop, with the cause.
        group_max: commands in one group; a unit that is larger has a group for itself.
        queue_max: commands waiting; ``is_full`` tells when it is reached.
        on_written: told on the loop which commands are on disk, before their waiters are.
        bytes_max: payload bytes in one group, as announced by ``size``.
    """

    def __init__(
        self,
        connection: Any,
        write: Callable[[Sequence[C]], None],
        *,
        on_failure: Callable[[BaseException], None],
        group_max: int,
        queue_max: int,
        on_written: Callable[[Sequence[C]], None] | None = None,
        bytes_max: int = GROUP_BYTES_MAX,
    ) -> None:
        self._connection = connection
        self._write = write
        self._on_failure = on_failure
        self._on_written = on_written
        self._group_max = group_max
        self._queue_max = queue_max
        self._bytes_max = bytes_max
        self._waiting: deque[_Unit[C]] = deque()
        self._waiting_commands = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_busy = False
        self._failure: BaseException | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._groups_to_write: queue.SimpleQueue[tuple[list[_Unit[C]], list[C]] | None]
        self._groups_to_write = queue.SimpleQueue()
        # A daemon: a disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()
        self.groups = 0
        self.commands = 0

    @property
    def is_full(self) -> bool:
        """Whether new work should be turned away."""
        return self._waiting_commands >= self._queue_max

    @property
    def has_failed(self) -> bool:
        """Whether a group was lost, so that nothing will be written any more."""
        return self._failure is not None

    def submit(self, *commands: C, size: int = 0) -> None:
        """Write commands with the next group, together; nobody waits for them.

        Args:
            size: their payload in bytes.
        """
        self._enqueue(_Unit(commands, size, None))

    def write(self, *commands: C, size: int = 0) -> asyncio.Future[None]:
        """Write commands with the next group, together; the future ends once they are on disk.

        Without commands it is a barrier: it ends when all that was handed over before it is on
        disk.

        Args:
            size: their payload in bytes.
        """
        done = asyncio.get_running_loop().create_future()
        if commands or self._is_busy or self._failure is not None:
            self._enqueue(_Unit(commands, size, done))
        else:
            done.set_result(None)
        return done

    def fail(self, cause: BaseException) -> None:
        """Give up: as if a group had been lost. Must be called on the loop."""
        if self._failure is not None:
            return
        self._failure = cause
        self._waiting.clear()
        self._idle.set()
        log.error("group commit failed", cause=repr(cause))
        self._on_failure(cause)

    async def drain(self) -> None:
        """Wait until everything handed over is on disk.

        Raises:
            StoreError: a group was lost.
        """
        await self._idle.wait()
        if self._failure is not None:
            raise StoreError("a group could not be written") from self._failure

    def close(self) -> None:
        """End the writer's thread. Call drain() first: what still waits is not written."""
        self._groups_to_write.put(None)
        self._thread.join()

    def _enqueue(self, unit: _Unit[C]) -> None:
        if self._failure is not None:
            return  # Its waiter is never answered: what is on disk decides after a restart.
        self._waiting.append(unit)
        self._waiting_commands += len(unit.commands)
        if not self._is_busy:
            self._is_busy = True
            self._idle.clear()
            self._loop = asyncio.get_running_loop()
            # One turn of the loop later: whatever else is ready in this turn joins the group.
            self._loop.call_soon(self._start)

    def _start(self) -> None:
        if self._failure is not None:
            return
        units: list[_Unit[C]] = []
        commands: list[C] = []
        size = 0
        waiting = self._waiting
        while waiting and (
            not units
            or (
                len(commands) + len(waiting[0].commands) <= self._group_max
                and size + waiting[0].size <= self._bytes_max
            )
        ):
            unit = waiting.popleft()
            units.append(unit)
            commands.extend(unit.commands)
            size += unit.size
        self._waiting_commands -= len(commands)
        self._groups_to_write.put((units, commands))

    def _run(self) -> None:
        """The writer's thread: one group after the other."""
        while (group := self._groups_to_write.get()) is not None:
            units, commands = group
            error = self._commit(commands) if commands else None
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(self._finish, units, commands, error)
            except RuntimeError:
                return  # The loop is closed, so nobody is left to be told.

    def _commit(self, commands: Sequence[C]) -> BaseException | None:
        """Write one group; return why it failed.

        There is no ROLLBACK: after a failure the connection is not touched again, so a second
        failure cannot hide the first, and an fsync that was lost is not papered over by a
        later one that succeeds. An uncommitted transaction does not survive the process.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._write(commands)
            self._connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - the root of the writer's work
            return error
        return None

    def _finish(
        self, units: Sequence[_Unit[C]], commands: Sequence[C], error: BaseException | None
    ) -> None:
        if error is not None:
            self.fail(error)
        if self._failure is not None:
            return
        self.groups += 1
        self.commands += len(commands)
        if self._on_written is not None:
            self._on_written(commands)
        for unit in units:
            if unit.waiter is not None and not unit.waiter.done():
                unit.waiter.set_result(None)
        if self._waiting:
            self._start()
        else:
            self._is_busy = False
            self._idle.set()


def open_durable(path: str, connect: Callable[..., Any] = sqlite3.connect) -> Any:
    """Open a database for group commit and check that it keeps its promise.

    Args:
        connect: sqlite3's, or another library's of the same shape.

    Raises:
        StoreError: WAL or full synchronisation could not be had.
    """
    connection = connect(path, isolation_level=None, check_same_thread=False)
    try:
        _make_durable(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_durable(connection: Any, path: str) -> None:
    # An old file keeps the size it was made with.
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    # Where fsync alone leaves data in the drive's cache (macOS), ask for more; a no-op elsewhere.
    connection.execute("PRAGMA fullfsync=ON")
    connection.execute("PRAGMA checkpoint_fullfsync=ON")
    page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_BYTES // page_bytes}")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    # Pages that became free need not be overwritten, as some builds of SQLite do unasked.
    connection.execute("PRAGMA secure_delete=OFF")
    # What a statement gathers on its way is small: it is not worth a file in every group.
    connection.execute("PRAGMA temp_store=MEMORY")
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if str(journal).lower() != "wal" or int(synchronous) != _FULL:
        raise StoreError(f"{path}: journal {journal}, synchronous {synchronous}: not durable")
