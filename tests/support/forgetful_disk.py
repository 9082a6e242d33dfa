"""A disk that forgets what was not synced, as a VFS of SQLite.

``kill -9`` proves little: the page cache survives it. Here every write stays in the cache of a
simulated disk until ``xSync``. At a power cut what was synced stays, and of everything else a
seeded random part of the 512-byte sectors survives, in no order: torn pages, holes, half files.
After the cut the disk answers nothing until ``power_on``.
"""

import itertools
import random
import threading
from collections.abc import Sequence
from typing import Any

import apsw

SECTOR = 512
_names = itertools.count()


class _Platter:
    """One file: what would survive, and what only seems to be written."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.cached = bytearray()
        self.dirty: set[int] = set()

    def write(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        if len(self.cached) < end:
            self.cached.extend(bytes(end - len(self.cached)))
        self.cached[offset:end] = data
        self.dirty.update(range(offset // SECTOR, (end - 1) // SECTOR + 1))

    def truncate(self, size: int) -> None:
        self.dirty.update(range(size // SECTOR, len(self.cached) // SECTOR + 1))
        del self.cached[size:]

    def sync(self) -> None:
        self.durable = bytearray(self.cached)
        self.dirty.clear()

    def lose_power(self, rng: random.Random, survival: float) -> None:
        """Keep the durable bytes and a random part of the sectors that were only cached."""
        for sector in sorted(self.dirty):
            start = sector * SECTOR
            piece = self.cached[start : start + SECTOR]
            if piece and rng.random() < survival:
                if len(self.durable) < start:
                    self.durable.extend(bytes(start - len(self.durable)))
                self.durable[start : start + len(piece)] = piece
        self.cached = bytearray(self.durable)
        self.dirty.clear()


class ForgetfulDisk(apsw.VFS):  # type: ignore[misc, unused-ignore]
    """A disk for one test.

    Args:
        rng: decides what survives a power cut.
        honours_sync: False for the disk that only says it has synced.

    Attributes:
        cut_after: writes and syncs until the power goes; None: it stays on.
        fail_after: writes and syncs until every one of them fails with ``failure``.
    """

    def __init__(self, rng: random.Random, *, honours_sync: bool = True) -> None:
        self.vfs_name = f"forgetful-{next(_names)}"
        super().__init__(self.vfs_name, base="", iVersion=1)
        self._rng = rng
        self._honours_sync = honours_sync
        self.files: dict[str, _Platter] = {}
        self.cut_after: int | None = None
        self.fail_after: int | None = None
        self.failure: type[Exception] = apsw.FullError
        self.is_dead = False
        self.syncs = 0
        self._connection: SharedConnection | None = None

    def xFullPathname(self, name: str) -> str:  # noqa: N802 - SQLite's name
        return name

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        del flags
        return pathname in self.files

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        del syncdir
        self.alive()
        if self.files.pop(filename, None) is None:
            raise apsw.IOError

    def xOpen(self, name: Any, flags: list[int]) -> "_OpenFile":  # noqa: N802
        self.alive()
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        filename = filename or f"temporary-{next(_names)}"
        flags[1] = flags[0]
        return _OpenFile(self, self.files.setdefault(filename, _Platter()))

    def alive(self) -> None:
        if self.is_dead:
            raise apsw.IOError("no power")

    def step(self) -> None:
        """Count one write or sync; perhaps it is the one that fails."""
        self.alive()
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                raise self.failure("injected")
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                self.cut()
                self.alive()

    def sync(self, platter: _Platter) -> None:
        self.syncs += 1
        if self._honours_sync:
            platter.sync()

    def cut(self) -> None:
        """Cut the power now."""
        self.is_dead = True
        survival = self._rng.choice((0.0, 0.0, 0.5, 0.9))
        for platter in self.files.values():
            platter.lose_power(self._rng, survival)

    def power_on(self) -> None:
        """Answer again, with what survived."""
        self.is_dead = False
        self.cut_after = self.fail_after = None

    def connect(self, path: str, **_: object) -> "SharedConnection":
        """Open a connection of sqlite3's shape; hand this over as ``connect=``."""
        self._connection = SharedConnection(apsw.Connection(path, vfs=self.vfs_name))
        return self._connection

    def connect_reader(self, _path: str) -> "SharedConnection":
        """Return the connection that is open; hand this over as ``connect_reader=``.

        Without shared memory WAL needs an exclusive lock, so there can be no second one.
        """
        assert self._connection is not None
        return self._connection

    def disconnect(self) -> None:
        """Close the connection, whatever state the disk is in."""
        if self._connection is not None:
            self._connection.end()
            self._connection = None


class _OpenFile(apsw.VFSFile):  # type: ignore[misc, unused-ignore]
    """An open file of the disk. Locks are not needed: one connection owns it."""

    def __init__(self, disk: ForgetfulDisk, platter: _Platter) -> None:
        # Not the base's __init__: there is no real file below.
        self._disk = disk
        self._platter = platter

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.alive()
        return bytes(self._platter.cached[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.step()
        self._platter.write(bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.step()
        self._platter.truncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        del flags
        self._disk.step()
        self._disk.sync(self._platter)

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._platter.cached)

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xLock(self, level: int) -> None:  # noqa: N802
        del level

    def xUnlock(self, level: int) -> None:  # noqa: N802
        del level

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        del op, ptr
        return False

    def xClose(self) -> None:  # noqa: N802
        return


class _Rows:
    """The answer to one statement, already read."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = list(rows)

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def __iter__(self) -> Any:
        return iter(self._rows)


class SharedConnection:
    """An apsw connection of sqlite3's shape, used by the writer and by its readers."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.execute("PRAGMA locking_mode=EXCLUSIVE")

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> _Rows:
        with self._lock:
            return _Rows(list(self._connection.execute(statement, tuple(parameters))))

    def close(self) -> None:
        """Do nothing: it is shared, and ``ForgetfulDisk.disconnect`` ends it."""

    def end(self) -> None:
        """Close it, whatever state its disk is in."""
        try:
            self._connection.close(True)
        except apsw.Error:
            return
