"""A disk behind a gate, for what happens between a decision and its group commit."""

import sqlite3
import threading
from typing import Any


class GatedDisk:
    """The ledger's connection behind a gate: shut, nothing is committed; broken, nothing ever."""

    def __init__(self) -> None:
        self._gate = threading.Event()
        self._gate.set()
        self._is_broken = False

    @property
    def is_open(self) -> bool:
        """Whether groups can be written."""
        return self._gate.is_set() and not self._is_broken

    def shut(self) -> None:
        """Let no group through from now on."""
        self._gate.clear()

    def release(self) -> None:
        """Let what waits through."""
        self._gate.set()

    def lose_power(self) -> None:
        """Write nothing any more, also what waits."""
        self._is_broken = True
        self._gate.set()

    def connect(self, path: str, **settings: Any) -> "_Gated":
        """Open a connection; hand this over as ``connect=``."""
        return _Gated(sqlite3.connect(path, **settings), self)

    def passes(self) -> None:
        """Wait at the gate."""
        self._gate.wait()
        if self._is_broken:
            raise sqlite3.OperationalError("no power")


class _Gated:
    def __init__(self, connection: sqlite3.Connection, disk: GatedDisk) -> None:
        self._connection = connection
        self._disk = disk

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        if statement.startswith("BEGIN"):
            self._disk.passes()
        return self._connection.execute(statement, parameters)

    def close(self) -> None:
        self._connection.close()
