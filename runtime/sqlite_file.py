"""Whether a SQLite file can be trusted: looked at once, before anything is built on it."""

import sqlite3
from typing import Any

from scheme.errors import StoreError
from scheme.limits import CHECKED_FILE_BYTES_MAX


def check_whole(connection: Any, path: str) -> None:
    """Read every page of a database once; a damaged one must not be built on.

    One beyond ``CHECKED_FILE_BYTES_MAX`` is not read whole, because a start would take minutes:
    its damage shows when the page is used, and ends the process then.

    Raises:
        StoreError: it is damaged; names the file and says what to do.
    """
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    if pages * connection.execute("PRAGMA page_size").fetchone()[0] > CHECKED_FILE_BYTES_MAX:
        return
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise _damaged(path, found)


def not_usable(path: str, error: sqlite3.Error) -> StoreError:
    """Return the failure to open a database in words that name the file."""
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return _damaged(path, str(error))
    return StoreError(f"{path}: cannot be used: {error}")


def _damaged(path: str, cause: str) -> StoreError:
    cause = " ".join(cause.split())
    return StoreError(
        f"{path}: damaged ({cause}): restore a copy of it, or start over with `chasqui reset`"
    )
