"""What field agents' terminals said and were told, on disk: ``agents.db``.

Operations are written before anything is done with them, and verdicts before anybody is told.
Written in groups by a thread of its own, read on the loop; what is read is on disk.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from runtime.group_commit import GroupCommit, open_durable
from runtime.sqlite_file import check_whole, not_usable
from scheme.errors import StoreError
from scheme.limits import GROUP_COMMANDS_MAX
from scheme.wire.agent_payload import CURRENCIES, Operation, Verdict
from switch.core.agent_limits import NO_EFFECT, Effect
from switch.core.agent_session import Told, Waiting

SCHEMA_VERSION: Final = 1
AGENT_WRITES_MAX: Final = 32_768
"""Commands waiting for the disk; beyond it terminals are told to come again.

Room for a thousand terminals that come back at once with twenty operations each.
"""
_SCHEMA: Final = (
    "CREATE TABLE meta (schema_version INTEGER NOT NULL)",
    (
        "CREATE TABLE devices (device TEXT PRIMARY KEY, session INTEGER NOT NULL,"
        " skew_s INTEGER NOT NULL, settled INTEGER NOT NULL, revoked_ms INTEGER NOT NULL,"
        " heard_ms INTEGER NOT NULL) WITHOUT ROWID"
    ),
    # admitted: its money may have moved, so nothing of ours may refuse it any more.
    (
        "CREATE TABLE operations (device TEXT NOT NULL, seq INTEGER NOT NULL,"
        " operation BLOB NOT NULL, minor INTEGER NOT NULL, received_ms INTEGER NOT NULL,"
        " skew_s INTEGER NOT NULL, admitted INTEGER NOT NULL, code TEXT, verdict BLOB, proof BLOB,"
        " PRIMARY KEY (device, seq)) WITHOUT ROWID"
    ),
    "CREATE INDEX unsettled ON operations (device, seq) WHERE code IS NULL",
    (
        "CREATE TABLE tills (agent TEXT NOT NULL, currency INTEGER NOT NULL,"
        " taken INTEGER NOT NULL, paid INTEGER NOT NULL,"
        " PRIMARY KEY (agent, currency)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE offline (agent TEXT NOT NULL, day TEXT NOT NULL, currency INTEGER NOT NULL,"
        " count INTEGER NOT NULL, minor INTEGER NOT NULL,"
        " PRIMARY KEY (agent, day, currency)) WITHOUT ROWID"
    ),
)
_ADD: Final = "INSERT INTO operations VALUES (?,?,?,?,?,?,0,NULL,NULL,NULL)"
_ADMIT: Final = "UPDATE operations SET admitted = 1 WHERE device = ? AND seq = ?"
_SETTLE: Final = (
    "UPDATE operations SET code = ?, verdict = ?, proof = ?"
    " WHERE device = ? AND seq = ? AND code IS NULL"
)
# A terminal's row begins without a session (``NO_SESSION``), whatever makes it.
_SETTLED: Final = (
    "INSERT INTO devices VALUES (?,-1,0,?,0,0)"
    " ON CONFLICT (device) DO UPDATE SET settled = excluded.settled"
)
_GREET: Final = (
    "INSERT INTO devices VALUES (?,?,?,1,0,?) ON CONFLICT (device) DO UPDATE"
    " SET session = excluded.session, skew_s = excluded.skew_s, heard_ms = excluded.heard_ms"
)
_STAND: Final = (
    "INSERT INTO devices VALUES (?,-1,0,1,?,0)"
    " ON CONFLICT (device) DO UPDATE SET revoked_ms = excluded.revoked_ms"
)
_PUT_TILL: Final = (
    "INSERT INTO tills VALUES (?,?,?,?) ON CONFLICT (agent, currency) DO UPDATE"
    " SET taken = taken + excluded.taken, paid = paid + excluded.paid"
)
_PUT_OFFLINE: Final = (
    "INSERT INTO offline VALUES (?,?,?,?,?) ON CONFLICT (agent, day, currency) DO UPDATE"
    " SET count = count + excluded.count, minor = minor + excluded.minor"
)
_COLUMNS: Final = "seq, operation, received_ms, verdict, admitted, skew_s"
_DEVICES: Final = "SELECT device, session, skew_s, settled, revoked_ms, heard_ms FROM devices"
_UNSETTLED: Final = (
    "SELECT device, operation, received_ms, skew_s, admitted FROM operations"
    " WHERE code IS NULL ORDER BY device, seq"
)
_ONE: Final = f"SELECT {_COLUMNS} FROM operations WHERE device = ? AND seq = ?"  # noqa: S608 - ours
_SOME: Final = (
    f"SELECT {_COLUMNS} FROM operations WHERE device = ? AND seq > ?"  # noqa: S608 - ours
    " ORDER BY seq LIMIT ?"
)
_VERDICTS: Final = (
    "SELECT verdict FROM operations WHERE device = ? AND seq BETWEEN ? AND ?"
    " AND code IS NOT NULL ORDER BY seq LIMIT ?"
)
_TOLD: Final = (
    "SELECT seq, code, minor, proof FROM operations WHERE device = ? AND seq BETWEEN ? AND ?"
    " AND code IS NOT NULL ORDER BY seq LIMIT ?"
)
_TILLS: Final = "SELECT agent, currency, taken, paid FROM tills"
_TALLY: Final = "SELECT currency, count, minor FROM offline WHERE agent = ? AND day = ?"

_encode: Final = msgspec.msgpack.Encoder().encode
_operations: Final = msgspec.msgpack.Decoder(Operation)
_verdicts: Final = msgspec.msgpack.Decoder(Verdict)


class Add(Struct, frozen=True, gc=False):
    """Keep an operation that has come in."""

    device: str
    waiting: Waiting


class Admit(Struct, frozen=True, gc=False):
    """Note that an operation is let through for good."""

    device: str
    seq: int


class Settle(Struct, frozen=True, gc=False):
    """Keep the verdict on an operation, and what it adds to its agent's books."""

    device: str
    agent: str
    verdict: Verdict
    proof: bytes
    effect: Effect = NO_EFFECT


class Greet(Struct, frozen=True, gc=False):
    """Keep the session that a terminal has opened."""

    device: str
    session: int
    skew_s: int
    heard_ms: int


class Stand(Struct, frozen=True, gc=False):
    """Keep since when a terminal is revoked; 0 if it is not."""

    device: str
    revoked_ms: int


AgentCommand = Add | Admit | Settle | Greet | Stand


class KeptDevice(Struct, frozen=True, gc=False):
    """A terminal as it is on disk; ``settled`` is its first number without a verdict."""

    device: str
    session: int
    skew_s: int
    settled: int
    revoked_ms: int
    heard_ms: int


class KeptOperation(Struct, frozen=True, gc=False):
    """An operation as it is on disk; without a verdict it has none yet."""

    operation: Operation
    received_ms: int
    verdict: Verdict | None
    is_admitted: bool
    skew_s: int


class AgentStore:
    """``agents.db``, which this class alone writes. Made by ``open``."""

    def __init__(
        self, connection: Any, reader: Any, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._commit: GroupCommit[AgentCommand] = GroupCommit(
            connection,
            self._write_group,
            on_failure=on_failure,
            group_max=GROUP_COMMANDS_MAX,
            queue_max=AGENT_WRITES_MAX,
        )

    @classmethod
    def open(
        cls,
        path: str,
        *,
        on_failure: Callable[[BaseException], None],
        connect: Callable[..., Any] = sqlite3.connect,
        connect_reader: Callable[[str], Any] | None = None,
    ) -> Self:
        """Open the file, or make it.

        Args:
            on_failure: told once when a group could not be written: the process must end.
            connect: opens the writer's connection; sqlite3's shape.
            connect_reader: opens a read-only connection; by default sqlite3's.

        Raises:
            StoreError: it is of another version, damaged, or cannot be made durable.
        """
        with ExitStack() as unfinished, _named(path):
            connection = open_durable(path, connect)
            unfinished.callback(connection.close)
            check_whole(connection, path)
            _ensure_schema(connection, path)
            reader = (connect_reader or _connect_read_only)(path)
            unfinished.pop_all()
        return cls(connection, reader, on_failure)

    @property
    def is_full(self) -> bool:
        """Whether nothing new should be taken just now."""
        return self._commit.is_full

    def write(self, *commands: AgentCommand) -> asyncio.Future[None]:
        """Write commands in one transaction; the future ends once they are on disk.

        If they cannot be written it never ends, and the process does.
        """
        return self._commit.write(*commands)

    def submit(self, *commands: AgentCommand) -> None:
        """Write commands in one transaction, behind all before; nobody waits for them."""
        self._commit.submit(*commands)

    async def drain(self) -> None:
        """Wait until everything handed over is on disk.

        Raises:
            StoreError: a group was lost.
        """
        await self._commit.drain()

    def close(self) -> None:
        """Close the file. Call drain() first."""
        self._commit.close()
        self._reader.close()
        self._connection.close()

    # --- reads, all of them on the loop; each raises StoreError

    def devices(self) -> list[KeptDevice]:
        """Return all terminals that were ever heard of."""
        return [KeptDevice(*row) for row in self._all(_DEVICES)]

    def unsettled(self) -> list[tuple[str, Waiting]]:
        """Return the operations without a verdict, by terminal and number."""
        return [
            (device, Waiting(_operations.decode(operation), received_ms, skew_s, bool(admitted)))
            for device, operation, received_ms, skew_s, admitted in self._all(_UNSETTLED)
        ]

    def operation(self, device: str, seq: int) -> KeptOperation | None:
        """Return one operation."""
        rows = self._all(_ONE, device, seq)
        return _kept(rows[0]) if rows else None

    def operations(self, device: str, after: int, limit: int) -> list[KeptOperation]:
        """Return operations of a terminal in the order of their numbers."""
        return [_kept(row) for row in self._all(_SOME, device, after, limit)]

    def verdicts(self, device: str, first: int, last: int, limit: int) -> list[Verdict]:
        """Return verdicts in the order of their numbers."""
        rows = self._all(_VERDICTS, device, first, last, limit)
        return [_verdicts.decode(row[0]) for row in rows]

    def told(self, device: str, first: int, last: int, limit: int) -> list[Told]:
        """Return what counts of operations with a verdict in a digest."""
        rows = self._all(_TOLD, device, first, last, limit)
        return [Told(seq, code, minor, bytes(proof)) for seq, code, minor, proof in rows]

    def tills(self) -> list[tuple[str, int, int, int]]:
        """Return agent, currency number, and minor units taken and paid out."""
        return self._all(_TILLS)

    def tally(self, agent: str, day: str) -> tuple[int, list[int]]:
        """Return what was done offline on a day: count, minor units by currency number."""
        count, minor = 0, [0] * len(CURRENCIES)
        for currency, some, amount in self._all(_TALLY, agent, day):
            count += some
            minor[currency] += amount
        return count, minor

    def _all(self, statement: str, *values: str | int) -> list[Any]:
        try:
            return list(self._reader.execute(statement, values).fetchall())
        except sqlite3.Error as error:
            raise StoreError(f"agents: {error}") from error

    # --- the writer's thread

    def _write_group(self, commands: Sequence[AgentCommand]) -> None:
        execute = self._connection.execute
        settled: dict[str, int] = {}
        books: dict[str, list[Effect]] = {}
        for command in commands:
            match command:
                case Add(device=device, waiting=waiting):
                    execute(_ADD, _added(device, waiting))
                case Admit(device=device, seq=seq):
                    execute(_ADMIT, (device, seq))
                case Settle(device=device, verdict=verdict):
                    told = (verdict.code, _encode(verdict), command.proof)
                    execute(_SETTLE, (*told, device, verdict.seq))
                    settled[device] = verdict.seq + 1
                    if command.effect != NO_EFFECT:
                        books.setdefault(command.agent, []).append(command.effect)
                case Greet():
                    opened = (command.session, command.skew_s, command.heard_ms)
                    execute(_GREET, (command.device, *opened))
                case Stand():
                    execute(_STAND, (command.device, command.revoked_ms))
        for device, after in settled.items():
            execute(_SETTLED, (device, after))
        self._write_books(books)

    def _write_books(self, books: dict[str, list[Effect]]) -> None:
        """Write each till and each day once, however often the group moved it."""
        tills: dict[tuple[str, int], tuple[int, int]] = {}
        days: dict[tuple[str, str, int], tuple[int, int]] = {}
        for agent, effects in books.items():
            for one in effects:
                taken, paid = tills.get((agent, one.currency), (0, 0))
                tills[agent, one.currency] = (taken + one.taken, paid + one.paid)
                if one.offline_day:
                    key = (agent, one.offline_day, one.currency)
                    count, minor = days.get(key, (0, 0))
                    days[key] = (count + 1, minor + one.offline_minor)
        for till, moved in tills.items():
            self._connection.execute(_PUT_TILL, (*till, *moved))
        for day, added in days.items():
            self._connection.execute(_PUT_OFFLINE, (*day, *added))


def _added(device: str, waiting: Waiting) -> tuple[Any, ...]:
    operation = waiting.operation
    return (
        device,
        operation.seq,
        _encode(operation),
        operation.minor,
        waiting.received_ms,
        waiting.skew_s,
    )


def _kept(row: Sequence[Any]) -> KeptOperation:
    _, operation, received_ms, verdict, admitted, skew_s = row
    return KeptOperation(
        _operations.decode(operation),
        received_ms,
        None if verdict is None else _verdicts.decode(verdict),
        bool(admitted),
        skew_s,
    )


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


def _ensure_schema(connection: Any, path: str) -> None:
    """Make the tables of a new file in one transaction; check the version of an old one."""
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES (?)", (SCHEMA_VERSION,))
        connection.execute("COMMIT")
    version = connection.execute("SELECT schema_version FROM meta").fetchone()[0]
    if version != SCHEMA_VERSION:
        hint = "start over with `chasqui reset`, or run the version that made it"
        raise StoreError(
            f"{path}: schema {version}, but this program needs {SCHEMA_VERSION}: {hint}"
        )
