"""Who may connect to the broker, and with what; looked up again when a file has changed."""

import hmac
import re
from pathlib import Path

from runtime.mqtt_keys import MqttKeys
from scheme.limits import MEMBERS_ENROLLED_MAX
from scheme.network import Fleet
from scheme.wire.mqtt_topics import INSTITUTION_PREFIX, MEMBER_PREFIX, SERVICES

FOLDER = "mqtt"
MEMBERS = "members"
REVOKED = "revoked"
LOOK_S = 0.25
"""Seconds between two looks at the files."""
_MEMBER = re.compile(r"[0-9a-f]{12}", re.ASCII)


class Users:
    """The users of one home: terminals, institutions, enrolled members, and our services.

    Args:
        home: its folder ``mqtt`` has the members and the revoked users, one per line.
    """

    def __init__(self, home: Path, fleet: Fleet, keys: MqttKeys) -> None:
        self._keys = keys
        self._members = home / FOLDER / MEMBERS
        self._revoked = home / FOLDER / REVOKED
        institutions = (INSTITUTION_PREFIX + one.code for one in fleet.participant)
        self._declared = frozenset((*SERVICES, *fleet.devices(), *institutions))
        self._seen: tuple[_Seen, ...] = ()
        self._names: frozenset[str] = frozenset()
        self.look()

    @property
    def names(self) -> frozenset[str]:
        """Everybody who may connect now."""
        return self._names

    def look(self) -> bool:
        """Read the files again if they have changed; tell whether others may connect now."""
        seen = tuple(_seen(path) for path in (self._members, self._revoked))
        if seen == self._seen:
            return False
        self._seen = seen
        members = [line for line in _lines(self._members) if _MEMBER.fullmatch(line)]
        enrolled = {MEMBER_PREFIX + one for one in members[:MEMBERS_ENROLLED_MAX]}
        names = (self._declared | enrolled) - set(_lines(self._revoked))
        changed, self._names = names != self._names, names
        return changed

    def are(self, username: str, password: str) -> bool:
        """Tell whether this user may connect, and the password is right."""
        # Compared for strangers as well, who learn nothing from how long it took.
        right = hmac.compare_digest(password.encode(), self.password(username).encode())
        return username in self._names and right

    def password(self, username: str) -> str:
        """Return what a user has to show."""
        return self._keys.password(username)


_Seen = tuple[int, int, int] | None


def _seen(path: Path) -> _Seen:
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    # A file replaced within one tick of the clock has another inode.
    return told.st_mtime_ns, told.st_size, told.st_ino


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
    except FileNotFoundError:
        return []
