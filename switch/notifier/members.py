"""Who wants to be told: the members that enrolled, as the switch keeps them in a file."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import structlog

log = structlog.get_logger()

_NAMES_KEPT = 65_536
"""Accounts whose members' names are kept: each costs a MAC otherwise, at every payment."""


class Members:
    """The enrolled ones; the file is read again when it has changed.

    Args:
        path: one member on each line; there need not be such a file.
        member_of: returns the member that an account is of.
    """

    def __init__(self, path: Path, member_of: Callable[[str], str]) -> None:
        self._path = path
        self._member_of = lru_cache(maxsize=_NAMES_KEPT)(member_of)
        self._seen: tuple[int, ...] = ()
        self._enrolled: frozenset[str] = frozenset()

    def look(self) -> None:
        """Read the file if it is another than the last time."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            self._enrolled = frozenset(self._path.read_text(encoding="ascii").split())
            self._seen = seen
        except FileNotFoundError:
            self._enrolled, self._seen = frozenset(), ()
        except (OSError, UnicodeDecodeError) as error:
            # Whoever was enrolled a moment ago still is.
            log.warning("the list of members cannot be read", cause=repr(error))

    def told(self, account: str | None) -> str:
        """Return the member to tell of what happens to an account, or nothing."""
        if not account:
            return ""
        member = self._member_of(account)
        return member if member in self._enrolled else ""
