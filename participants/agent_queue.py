"""A terminal's queue: one SQLite file for each terminal, synced before anybody holds a receipt."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Self

import msgspec

from participants.core.agent_book import Change, Entry, Facts
from runtime.group_commit import open_durable
from runtime.sqlite_file import check_whole, not_usable
from scheme.errors import StoreError

FOLDER: Final = "agents"
_SCHEMA_VERSION: Final = 1
_TAKEN_S: Final = 0.2
"""Wait for a queue that another process has open."""
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS operations (seq INTEGER PRIMARY KEY, state TEXT, body BLOB)",
    "CREATE TABLE IF NOT EXISTS facts (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB)",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
_encode: Final = msgspec.msgpack.Encoder().encode
_entries: Final = msgspec.msgpack.Decoder(Entry)
_facts: Final = msgspec.msgpack.Decoder(Facts)


def queue_path(home: Path, device: str) -> Path:
    """Return the file of a terminal's queue."""
    return home / FOLDER / f"{device}.db"


class QueueTaken(StoreError):
    """Another process plays this terminal: two of them would use its numbers twice."""


class AgentQueue:
    """The queue of one terminal, which nobody else may open meanwhile.

    Args:
        connection: opened durably, on its own.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # A task that is cancelled leaves its thread writing; closing waits for it.
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or make a queue.

        Raises:
            QueueTaken: another process has it open.
            StoreError: it cannot be read or is damaged; names the file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Before it is opened durably, which reads it: whoever reads first keeps the file.
            connection = open_durable(str(path), _alone)
            check_whole(connection, str(path))
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _not_opened(path, error) from error
        return cls(connection)

    def load(self) -> tuple[Facts, list[Entry]]:
        """Return everything that was saved.

        Raises:
            StoreError: it is not ours.
        """
        try:
            found = self._connection.execute("SELECT body FROM facts").fetchone()
            rows = self._connection.execute("SELECT body FROM operations ORDER BY seq").fetchall()
            facts = Facts() if found is None else _facts.decode(found[0])
            return facts, [_entries.decode(body) for (body,) in rows]
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise StoreError(f"the queue cannot be read: {error}") from error

    async def save(self, change: Change) -> None:
        """Write a change; ends once it is on disk.

        Raises:
            StoreError: it is not. Nobody may be told of it, and the process must end.
        """
        try:
            await asyncio.to_thread(self._save, change)
        except sqlite3.Error as error:
            raise StoreError(f"the queue cannot be written: {error}") from error

    def close(self) -> None:
        """Let another process have it."""
        with self._writing:
            self._connection.close()

    def _save(self, change: Change) -> None:
        with self._writing:
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            try:
                execute("INSERT OR REPLACE INTO facts VALUES (1, ?)", (_encode(change.facts),))
                self._connection.executemany(
                    "INSERT OR REPLACE INTO operations VALUES (?, ?, ?)", _rows(change.entries)
                )
                if change.forget_through:
                    execute("DELETE FROM operations WHERE seq <= ?", (change.forget_through,))
                execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise


def read_queue(path: Path) -> list[Entry]:
    """Return the operations in a queue that nobody plays, and leave it as it is.

    Raises:
        QueueTaken: a process has it open.
        StoreError: it cannot be read, or is not ours.
    """
    try:
        # Opened for writing, or SQLite would leave its side files behind.
        address = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=_TAKEN_S)) as connection:
            connection.execute("PRAGMA query_only=ON")
            # From here on the file is ours to read: one look, however far it has come meanwhile.
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return AgentQueue(connection).load()[1]
    except sqlite3.Error as error:
        raise _not_opened(path, error) from error


class MemoryQueue:
    """A queue that forgets, for crowds of terminals of which none is ever killed."""

    async def save(self, change: Change) -> None:
        """Take a change as written."""


def _not_opened(path: Path, error: sqlite3.Error) -> StoreError:
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return QueueTaken(f"{path}: another process plays this terminal")
    return not_usable(str(path), error)


def _alone(path: str, **options: bool | str | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_TAKEN_S, **options)  # type: ignore[arg-type]
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    return connection


def _rows(entries: Sequence[Entry]) -> list[tuple[int, str, bytes]]:
    return [(one.seq, one.state.value, _encode(one)) for one in entries]
