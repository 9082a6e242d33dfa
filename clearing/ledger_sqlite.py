"""The ledger on SQLite: decided in memory at once, written by the group commit."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Self

from clearing.audit import audit, recount_window
from clearing.core.audit import Audit
from clearing.core.ledger_state import LedgerState
from clearing.core.ledger_write import Held, Write
from clearing.ledger_reader import LedgerReader, read_recorded
from clearing.ledger_schema import SCHEMA, SCHEMA_VERSION
from clearing.ledger_writer import GroupWriter
from runtime.group_commit import GroupCommit, open_durable
from runtime.sqlite_file import check_whole, not_usable
from scheme.errors import StoreError
from scheme.ledger import (
    Account,
    AdvanceWindow,
    CloseWindow,
    Command,
    Duplicate,
    Position,
    Post,
    Refuse,
    Release,
    Remember,
    Reserve,
    Result,
    Short,
)
from scheme.limits import GROUP_COMMANDS_MAX, LEDGER_QUEUE_MAX
from scheme.standing import Instruction, Tally, WindowStand

_RECORDED = frozenset((Post, Reserve, Remember, Refuse, Release, AdvanceWindow))


class SqliteLedger:
    """``LedgerStore`` on one SQLite file that it alone writes. Made by ``open``.

    Attributes:
        on_low: told once when a position falls below its low watermark; the owner answers with
            ``SetAlert`` and the notice in one ``apply``.
        on_high: told when an announced position is above its high watermark again, which ends
            the alert by itself.
        on_released: told the window when the last transfer of a CLOSING one has ended.
    """

    def __init__(
        self,
        connection: Any,
        reader: Any,
        archive: LedgerReader,
        state: LedgerState,
        path: str,
        open_reader: Callable[[], Any],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._path = path
        self._connection = connection
        self._reader = reader
        self._archive = archive
        self._state = state
        self._open_reader = open_reader
        self.on_low: Callable[[Position], None] | None = None
        self.on_high: Callable[[Position], None] | None = None
        self.on_released: Callable[[str], None] | None = None
        self._commit: GroupCommit[Write] = GroupCommit(
            connection,
            GroupWriter(connection).write,
            on_failure=on_failure,
            on_written=self._forget,
            group_max=GROUP_COMMANDS_MAX,
            queue_max=LEDGER_QUEUE_MAX,
        )

    @classmethod
    def open(
        cls,
        path: str,
        *,
        on_failure: Callable[[BaseException], None],
        connect: Callable[..., Any] = sqlite3.connect,
        connect_reader: Callable[[str], Any] | None = None,
        now_ms: int,
    ) -> Self:
        """Open or make a ledger and read positions and open transfers back.

        Args:
            on_failure: told once when a group could not be written: the process must end.
            connect: opens the writer's connection; sqlite3's shape.
            connect_reader: opens a read-only connection; by default sqlite3's.
            now_ms: noted in a new file as the moment of its making.

        Raises:
            StoreError: the file is of another version, damaged, or cannot be made durable.
        """
        open_reader = connect_reader or _connect_read_only
        with ExitStack() as unfinished, _named(path):
            connection = open_durable(path, connect)
            unfinished.callback(connection.close)
            check_whole(connection, path)
            _ensure_schema(connection, path, now_ms)
            reader = open_reader(path)
            unfinished.callback(reader.close)
            archive = LedgerReader(reader)
            state = LedgerState(read_recorded(reader), archive)
            unfinished.pop_all()
        return cls(connection, reader, archive, state, path, lambda: open_reader(path), on_failure)

    async def apply(self, batch: Sequence[Command]) -> Sequence[Result]:
        """Decide a batch at once and in order, and write it whole (see the port)."""
        if self._commit.has_failed:
            await self._commit.write()  # Never answered.
        results, writes, size, must_wait = self._decide(batch)
        if must_wait:
            written = self._commit.write(*writes, size=size)
            self._announce()
            await written
        elif writes:
            self._commit.submit(*writes, size=size)
            self._announce()
        return results

    def note(self, batch: Sequence[Command]) -> Sequence[Result]:
        """Decide a batch now; it is written whole with the next group, and nobody waits."""
        results, writes, size, _ = self._decide(batch)
        if writes:
            self._commit.submit(*writes, size=size)
            self._announce()
        return results

    def _decide(self, batch: Sequence[Command]) -> tuple[list[Result], list[Write], int, bool]:
        """Decide; return also how many bytes are to be written and whether that is waited for."""
        results: list[Result] = []
        writes: list[Write] = []
        size, must_wait = 0, False
        try:
            for command in batch:
                result, write = self._state.decide(command)
                results.append(result)
                must_wait = must_wait or _waits(command, result)
                if write is not None:
                    writes.append(write)
                    size += _size(command)
        except BaseException as error:
            if writes:
                # Half a batch is decided, and a decision is never taken back: give up.
                self._commit.fail(error)
            raise
        return results, writes, size, must_wait

    def _forget(self, writes: Sequence[Write]) -> None:
        """Leave what is on disk now to the archive."""
        for write in writes:
            command = write.command
            if isinstance(command, (Reserve, Refuse)):
                self._archive.add(command.key, command.transfer_id)
        self._state.forget(writes)

    def _announce(self) -> None:
        for position in self._state.take_low():
            if self.on_low is not None:
                self.on_low(position)
        for position in self._state.take_high():
            if self.on_high is not None:
                self.on_high(position)
        for window in self._state.take_released():
            if self.on_released is not None:
                self.on_released(window)

    def position(self, account: Account) -> Position | None:
        """Return one position as decided."""
        return self._state.positions.get(account)

    def positions(self) -> tuple[Position, ...]:
        """Return all positions, the contra accounts included."""
        return tuple(self._state.positions.values())

    def windows(self) -> tuple[WindowStand, ...]:
        """Return all windows that are not at an end, as decided."""
        return self._state.windows()

    def window(self, window: str) -> WindowStand | None:
        """Return any window, as decided."""
        return self._state.window(window)

    def past_windows(self, limit: int) -> tuple[WindowStand, ...]:
        """Return windows whose end is on disk, newest first."""
        return self._state.past_windows(limit)

    def tallies(self, window: str) -> tuple[Tally, ...]:
        """Return what a window has counted, by account."""
        return self._state.tallies(window)

    def batch(self, window: str) -> bytes | None:
        """Return a window's batch, once it was made."""
        return self._state.batch(window)

    def batch_digest(self, window: str) -> str | None:
        """Return the digest that a window's batch was written with."""
        return self._state.batch_digest(window)

    def held_in(self, window: str) -> tuple[Held, ...]:
        """Return the transfers of a window that hold money, oldest first."""
        return self._state.held_in(window)

    def instructions(self) -> tuple[Instruction, ...]:
        """Return the queue of payments in the ledgers of money, by sequence."""
        return self._state.instructions()

    def instruction(self, instruction_id: str) -> Instruction | None:
        """Return any such payment."""
        return self._state.instruction(instruction_id)

    def instructions_of(self, subject: str) -> tuple[Instruction, ...]:
        """Return the payments of one window or order, by sequence."""
        return self._state.instructions_of(subject)

    async def recount_window(self, window: str) -> tuple[Tally, ...]:
        """Count a window anew from its lines on disk, in a thread.

        What was decided before the call is on disk first.

        Raises:
            StoreError: the file is damaged, or cannot be read.
        """
        await self._commit.write()
        return await asyncio.to_thread(self._recount_window, window)

    def _recount_window(self, window: str) -> tuple[Tally, ...]:
        with _named(self._path), closing(self._open_reader()) as connection:
            return recount_window(connection, window)

    async def audit(self) -> Audit:
        """Recount what is on disk, in a thread and on a connection of its own.

        Raises:
            StoreError: the file is damaged, or cannot be read.
        """
        return await asyncio.to_thread(self._audit)

    def _audit(self) -> Audit:
        with _named(self._path), closing(self._open_reader()) as connection:
            return audit(connection)

    @property
    def is_full(self) -> bool:
        """Whether new orders should be refused before they are reserved."""
        return self._commit.is_full

    def lacks(self, key: str) -> bool:
        """Tell whether no transfer has this key for certain: none on disk, none on its way."""
        return self._state.lacks(key)

    @property
    def groups(self) -> int:
        """How many groups were written since the start."""
        return self._commit.groups

    async def drain(self) -> None:
        """Wait until everything decided is on disk.

        Raises:
            StoreError: a group was lost.
        """
        await self._commit.drain()

    def close(self) -> None:
        """Close the file. Call drain() first."""
        self._commit.close()
        self._reader.close()
        self._connection.close()


def _is_presumed(command: Command) -> bool:
    """Tell whether a command is answered before it is on disk: presumed abort."""
    return type(command) is Reserve and not command.write_ahead


def _waits(command: Command, result: Result) -> bool:
    """Tell whether an answer may only be given once what it says is on disk."""
    if type(result) is Short:
        return False
    return type(result) is Duplicate or not _is_presumed(command)


def _size(command: Command) -> int:
    size = len(command.record) if type(command) in _RECORDED else 0  # type: ignore[union-attr]
    if type(command) is CloseWindow:
        size = len(command.batch)
    for owed in command.owed:
        size += len(owed.body)
    return size


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Say which file it is that SQLite could not read."""
    try:
        yield
    except sqlite3.Error as error:
        raise not_usable(path, error) from error


def _connect_read_only(path: str) -> Any:
    return sqlite3.connect(
        f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )


def _ensure_schema(connection: Any, path: str, now_ms: int) -> None:
    """Make the tables of a new file in one transaction; check the version of an old one."""
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if not tables:
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES (?, ?)", (SCHEMA_VERSION, now_ms))
        connection.execute("COMMIT")
    version = connection.execute("SELECT schema_version FROM meta").fetchone()[0]
    if version != SCHEMA_VERSION:
        hint = "start over with `chasqui reset`, or run the version that made it"
        raise StoreError(
            f"{path}: schema {version}, but this program needs {SCHEMA_VERSION}: {hint}"
        )
