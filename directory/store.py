"""The directory on SQLite: written in groups by aiosqlite, read on the loop."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

import aiosqlite
import structlog

from directory.core.alias import CLEARING_HOUSE, Entry, EntryState, Found, Resolution
from directory.core.qr import QrRecord
from directory.core.seed import TokenEntry
from runtime.sqlite_file import check_whole, not_usable
from scheme.errors import ConfigError, StoreError

log = structlog.get_logger()

SCHEMA_VERSION = 1
_KEY_BYTES = 32
_GROUP_MAX = 512
_MAPPED_BYTES = 64 * 1024 * 1024
_FULL = 2
_EARLIER = "directory: an earlier write failed"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    phone TEXT NOT NULL, directory TEXT NOT NULL, participant TEXT NOT NULL,
    cci TEXT NOT NULL, state TEXT NOT NULL, display_name TEXT NOT NULL,
    holder_type TEXT NOT NULL, registration_id TEXT NOT NULL,
    registered_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL,
    PRIMARY KEY (phone, directory, participant)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT NOT NULL, directory TEXT NOT NULL, participant TEXT NOT NULL, cci TEXT NOT NULL,
    PRIMARY KEY (token, directory)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS qrs (
    id_qr TEXT PRIMARY KEY, is_dynamic INTEGER NOT NULL, cci TEXT NOT NULL,
    currency TEXT NOT NULL, name TEXT NOT NULL, sealed TEXT NOT NULL, minor INTEGER, expires TEXT,
    payments_max INTEGER, gloss TEXT, registered TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS static_qrs ON qrs (cci, currency, name) WHERE is_dynamic = 0;
CREATE TABLE IF NOT EXISTS qr_payments (
    id_qr TEXT NOT NULL, transfer_id TEXT NOT NULL,
    PRIMARY KEY (id_qr, transfer_id)) WITHOUT ROWID;
"""
_ENTRY_COLUMNS = (
    "phone, directory, participant, cci, state, display_name, holder_type, registration_id,"
    " registered_ms, changed_ms"
)
_PUT_ENTRY = "INSERT OR REPLACE INTO entries VALUES (?,?,?,?,?,?,?,?,?,?)"
_FIND = "SELECT directory, participant, cci FROM entries WHERE phone = ? AND state = 'ACTIVE'"
_ENTRIES = f"SELECT {_ENTRY_COLUMNS} FROM entries WHERE phone = ?"  # noqa: S608 - our columns
_ENTRY = _ENTRIES + " AND directory = ? AND participant = ?"
_PUT_TOKEN = "INSERT OR IGNORE INTO tokens VALUES (?,?,?,?)"  # noqa: S105 - a statement
_FIND_TOKEN = "SELECT participant, cci FROM tokens WHERE token = ? AND directory = ?"  # noqa: S105
_QR_COLUMNS = (
    "id_qr, is_dynamic, cci, currency, name, sealed, minor, expires, payments_max, gloss,"
    " registered"
)
_PUT_QR = "INSERT INTO qrs VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_QR = f"SELECT {_QR_COLUMNS} FROM qrs WHERE id_qr = ?"  # noqa: S608 - ours
_STATIC_QR = (
    f"SELECT {_QR_COLUMNS} FROM qrs"  # noqa: S608 - our columns
    " WHERE cci = ? AND currency = ? AND name = ? AND is_dynamic = 0"
    " ORDER BY registered DESC, id_qr DESC LIMIT 1"
)
_QR_NUMBER = "SELECT coalesce(max(CAST(substr(id_qr, 11) AS INTEGER)), 0) FROM qrs"
_PUT_PAYMENT = "INSERT OR IGNORE INTO qr_payments VALUES (?,?)"
_PAYMENTS = "SELECT count(*) FROM qr_payments WHERE id_qr = ?"
_PUT_META = "INSERT OR IGNORE INTO meta VALUES (?,?)"
_META = "SELECT value FROM meta WHERE name = ?"

Row = tuple[Any, ...]


class DirectoryStore:
    """AliasStore and QrStore over one database file. Made by ``open``."""

    def __init__(
        self,
        writer: aiosqlite.Connection,
        reader: sqlite3.Connection,
        on_failure: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._on_failure = on_failure
        self._waiting: list[tuple[str, Row, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._has_failed = False
        # Entries on their way to the disk, with how many writes of each are under way.
        self._pending: dict[tuple[str, str], tuple[Entry, int]] = {}
        self._key = bytes(self._one(_META, ("key",))[0])
        self._qr_number = int(self._one(_QR_NUMBER, ())[0])

    @classmethod
    async def open(
        cls,
        path: str,
        *,
        on_failure: Callable[[], None] = lambda: None,
        new_key: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Self:
        """Open the file, or make it.

        Args:
            on_failure: told once if a write fails; nothing is written from then on.
            new_key: makes the secret of a new file.

        Raises:
            ConfigError: another version made the file.
            StoreError: the file is damaged, cannot be opened, or is not kept durably.
        """
        try:
            # Tried first without a thread: one whose connection fails outlives this call.
            sqlite3.connect(path).close()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        writer = await aiosqlite.connect(path, isolation_level=None)
        try:
            await _prepare(writer, path, new_key)
            reader = _open_reader(path)
        except sqlite3.Error as error:
            await writer.close()
            raise not_usable(path, error) from error
        except (ConfigError, StoreError):
            await writer.close()
            raise
        return cls(writer, reader, on_failure)

    async def close(self) -> None:
        """Finish the writes under way and close the file."""
        if self._flushing is not None:
            await self._flushing
        self._reader.close()
        await self._writer.close()

    @property
    def is_seeded(self) -> bool:
        """Whether the first content is there, so that nobody needs to make it again."""
        return bool(self._all(_META, ("seeded",)))

    @property
    def key(self) -> bytes:
        """The secret of this file, for authentication codes."""
        return self._key

    def find(self, phone: str) -> Sequence[Found]:
        """Return the active entries of a phone, by directory and participant."""
        return [Found(*row) for row in self._all(_FIND, (phone,))]

    def entries(self, phone: str) -> Sequence[Entry]:
        """Return all entries of a phone, deactivated ones too."""
        return [_entry(row) for row in self._all(_ENTRIES, (phone,))]

    def entry_to_change(self, phone: str, participant: str) -> Entry | None:
        """Return an entry as last written, on disk or on its way there."""
        pending = self._pending.get((phone, participant))
        if pending is not None:
            return pending[0]
        rows = self._all(_ENTRY, (phone, CLEARING_HOUSE, participant))
        return _entry(rows[0]) if rows else None

    async def put_entry(self, entry: Entry) -> None:
        """Write an entry; return once it is on disk."""
        assert entry.directory == CLEARING_HOUSE, "wallets keep their own directories"
        done = self._write(_PUT_ENTRY, _entry_row(entry))
        key = (entry.phone, entry.participant)
        _, writes = self._pending.get(key, (entry, 0))
        self._pending[key] = (entry, writes + 1)
        done.add_done_callback(lambda _: self._settle(key))
        await _whole(done)

    def _settle(self, key: tuple[str, str]) -> None:
        latest, writes = self._pending.pop(key)
        if writes > 1:
            self._pending[key] = (latest, writes - 1)

    def find_token(self, token: str, directory: str) -> Resolution | None:
        """Return the account behind a wallet's token."""
        rows = self._all(_FIND_TOKEN, (token, directory))
        return Resolution(*rows[0]) if rows else None

    async def seed(
        self, entries: Iterable[Entry], tokens: Iterable[TokenEntry], qrs: Iterable[QrRecord]
    ) -> bool:
        """Write the first content in one transaction, if there is none; tell whether it did."""
        if self.is_seeded:
            return False
        if self._has_failed:
            raise StoreError(_EARLIER)
        await self._transaction(
            {
                _PUT_ENTRY: [_entry_row(one) for one in entries],
                _PUT_TOKEN: [tuple(one) for one in tokens],
                _PUT_QR: [_qr_row(one) for one in qrs],
                _PUT_META: [("seeded", b"1")],
            }
        )
        # Out of the log at once: reads go through the mapped file.
        await self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._qr_number = int(self._one(_QR_NUMBER, ())[0])
        return True

    def qr(self, id_qr: str) -> QrRecord | None:
        """Return a registered QR."""
        rows = self._all(_QR, (id_qr,))
        return _qr(rows[0]) if rows else None

    def static_qr(self, cci: str, currency: str, name: str) -> QrRecord | None:
        """Return the newest static QR of an account in that currency and name."""
        rows = self._all(_STATIC_QR, (cci, currency, name))
        return _qr(rows[0]) if rows else None

    def payments(self, id_qr: str) -> int:
        """Return how often a dynamic QR was paid."""
        return int(self._one(_PAYMENTS, (id_qr,))[0])

    def next_qr_number(self) -> int:
        """Return a number that no idQr of this store has had."""
        self._qr_number += 1
        return self._qr_number

    async def put_qr(self, record: QrRecord) -> None:
        """Register a QR; return once it is on disk."""
        await _whole(self._write(_PUT_QR, _qr_row(record)))

    async def put_payment(self, id_qr: str, transfer_id: str) -> None:
        """Count a payment of a dynamic QR, once per transfer."""
        await _whole(self._write(_PUT_PAYMENT, (id_qr, transfer_id)))

    async def prepare(self, script: str) -> None:
        """Make the tables of another store that shares this file.

        Raises:
            StoreError: they could not be made.
        """
        try:
            await self._writer.executescript(script)
        except sqlite3.Error as error:
            raise StoreError(f"directory: {error}") from error

    def rows(self, statement: str, values: Row) -> list[Row]:
        """Read for another store that shares this file; only what is on disk is seen.

        Raises:
            StoreError: the disk could not be read.
        """
        return self._all(statement, values)

    async def write(self, statement: str, values: Row) -> None:
        """Write for another store that shares this file; return once it is on disk.

        Raises:
            StoreError: it could not be written, now or ever after.
        """
        await _whole(self._write(statement, values))

    def _all(self, statement: str, values: Row) -> list[Row]:
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"directory: {error}") from error

    def _one(self, statement: str, values: Row) -> Row:
        rows = self._all(statement, values)
        assert len(rows) == 1
        return rows[0]

    def _write(self, statement: str, values: Row) -> asyncio.Future[None]:
        if self._has_failed:
            raise StoreError(_EARLIER)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, values, done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return done

    async def _flush(self) -> None:
        """Write what is waiting, group after group, until nothing is."""
        while self._waiting:
            group = self._waiting[:_GROUP_MAX]
            del self._waiting[:_GROUP_MAX]
            by_statement: dict[str, list[Row]] = {}
            for statement, values, _ in group:
                by_statement.setdefault(statement, []).append(values)
            try:
                await self._transaction(by_statement)
            except StoreError as error:
                self._fail(group, error)
            else:
                for _, _, done in group:
                    done.set_result(None)
        self._flushing = None

    def _fail(self, group: list[tuple[str, Row, asyncio.Future[None]]], error: StoreError) -> None:
        # What waits behind was decided on top of what is lost: it goes with it.
        self._has_failed = True
        lost, self._waiting = [*group, *self._waiting], []
        log.error("directory write failed", cause=str(error), lost=len(lost))
        for _, _, done in lost:
            done.set_exception(StoreError(str(error)))
        self._on_failure()

    async def _transaction(self, by_statement: Mapping[str, Sequence[Row]]) -> None:
        async with self._one_at_a_time:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                for statement, rows in by_statement.items():
                    await self._writer.executemany(statement, rows)
                await self._writer.execute("COMMIT")
            except (sqlite3.Error, ValueError) as error:
                # ValueError is the library's word for a closed connection.
                raise StoreError(f"directory: {error}") from error


async def _whole(done: asyncio.Future[None]) -> None:
    # A caller that goes away does not take its write along: the write was decided.
    await asyncio.shield(done)


async def _prepare(
    writer: aiosqlite.Connection, path: str, new_key: Callable[[int], bytes]
) -> None:
    await writer.execute("PRAGMA journal_mode=WAL")
    await writer.execute("PRAGMA synchronous=FULL")
    journal = await _value(writer, "PRAGMA journal_mode")
    synchronous = await _value(writer, "PRAGMA synchronous")
    if journal != "wal" or synchronous != _FULL:
        raise StoreError(f"{path}: journal {journal}, synchronous {synchronous}: not durable")
    await writer.executescript(_SCHEMA)
    await writer.execute("BEGIN IMMEDIATE")
    await writer.execute(_PUT_META, ("schema_version", str(SCHEMA_VERSION).encode()))
    await writer.execute(_PUT_META, ("key", new_key(_KEY_BYTES)))
    await writer.execute("COMMIT")
    version = await _value(writer, "SELECT value FROM meta WHERE name = 'schema_version'")
    if bytes(version) != str(SCHEMA_VERSION).encode():
        raise ConfigError(f"{path}: made by another version; start over with `chasqui reset`")


async def _value(connection: aiosqlite.Connection, statement: str) -> Any:
    async with connection.execute(statement) as cursor:
        row = await cursor.fetchone()
    assert row is not None
    return row[0]


def _open_reader(path: str) -> sqlite3.Connection:
    # Read on the loop only: a thread hop costs ten times as much as the read itself.
    reader = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None)
    try:
        check_whole(reader, path)
        reader.execute("PRAGMA query_only=1")
    except BaseException:
        reader.close()
        raise
    reader.execute(f"PRAGMA mmap_size={_MAPPED_BYTES}")
    return reader


def _entry_row(entry: Entry) -> Row:
    return (
        entry.phone,
        entry.directory,
        entry.participant,
        entry.cci,
        str(entry.state),
        entry.display_name,
        entry.holder_type,
        entry.registration_id,
        entry.registered_ms,
        entry.changed_ms,
    )


def _entry(row: Row) -> Entry:
    return Entry(
        phone=row[0],
        directory=row[1],
        participant=row[2],
        cci=row[3],
        state=EntryState(row[4]),
        display_name=row[5],
        holder_type=row[6],
        registration_id=row[7],
        registered_ms=row[8],
        changed_ms=row[9],
    )


def _qr_row(record: QrRecord) -> Row:
    return (
        record.id_qr,
        int(record.is_dynamic),
        record.cci,
        record.currency,
        record.name,
        record.sealed,
        record.minor,
        record.expires,
        record.payments_max,
        record.gloss,
        record.registered,
    )


def _qr(row: Row) -> QrRecord:
    return QrRecord(
        id_qr=row[0],
        is_dynamic=bool(row[1]),
        cci=row[2],
        currency=row[3],
        name=row[4],
        sealed=row[5],
        minor=row[6],
        expires=row[7],
        payments_max=row[8],
        gloss=row[9],
        registered=row[10],
    )
