"""One process per folder of data: a second one is turned away with a clear message."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from scheme.errors import ConfigError

_OWNER_ONLY = 0o600


class FolderLock:
    """An exclusive lock on a folder, or on one part of it; the system lifts it with the process.

    Args:
        folder: made if it is not there.
        part: what is locked when processes share a folder, such as ``switch``.
    """

    def __init__(self, folder: Path, part: str = "chasqui") -> None:
        self._folder = folder
        self._part = part
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            ConfigError: another process holds it (says which), or the folder cannot be written.
        """
        assert self._file is None, "taken once"
        path = self._folder / f"{self._part}.lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, _OWNER_ONLY)
        except OSError as error:
            raise ConfigError(f"{self._folder}: cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise ConfigError(
                f"{self._folder}: in use by process {holder} ({self._part}): "
                "stop it, or set another CHASQUI_HOME"
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock up; nothing happens without one."""
        if self._file is not None:
            # The file stays: removing it would let two processes lock two files of one name.
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
