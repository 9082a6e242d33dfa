"""Who may use the broker beside terminals and services: enrolled members, and who may not any more.

Two files in the home, which the broker reads again when they change. They are written whole.
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from runtime.mqtt_broker.users import FOLDER, MEMBERS, REVOKED
from scheme.errors import ConfigError
from scheme.limits import MEMBERS_ENROLLED_MAX

_OWNER_ONLY: Final = 0o600


class TooManyMembers(Exception):
    """No more members can be enrolled."""


class MqttUsers:
    """Keeps the two lists.

    Args:
        home: folder of the data.
        members_max: members that can be enrolled.

    Raises:
        ConfigError: the folder cannot be made, or a list cannot be read.
    """

    def __init__(self, home: Path, *, members_max: int = MEMBERS_ENROLLED_MAX) -> None:
        self._folder = home / FOLDER
        self._members_max = members_max
        self._writing = asyncio.Lock()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._members = _read(self._folder / MEMBERS)
            self._revoked = _read(self._folder / REVOKED)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._folder}: cannot be used: {error}") from error

    @property
    def members(self) -> frozenset[str]:
        """Who is enrolled."""
        return frozenset(self._members)

    def is_revoked(self, username: str) -> bool:
        """Tell whether the broker turns a user away."""
        return username in self._revoked

    async def enrol(self, member: str) -> bool:
        """Let a member read its notices; False if it may already.

        Raises:
            TooManyMembers: there are as many as there may be.
        """
        async with self._writing:
            if member in self._members:
                return False
            if len(self._members) >= self._members_max:
                raise TooManyMembers
            await self._save(MEMBERS, self._members | {member})
            self._members.add(member)
            return True

    async def revoke(self, username: str) -> bool:
        """Have the broker turn a user away; False if it does already."""
        async with self._writing:
            if username in self._revoked:
                return False
            await self._save(REVOKED, self._revoked | {username})
            self._revoked.add(username)
            return True

    async def restore(self, username: str) -> bool:
        """Have the broker take a user again; False if it does already."""
        async with self._writing:
            if username not in self._revoked:
                return False
            await self._save(REVOKED, self._revoked - {username})
            self._revoked.discard(username)
            return True

    async def _save(self, name: str, lines: set[str]) -> None:
        await asyncio.to_thread(_replace, self._folder / name, sorted(lines))


def _read(path: Path) -> set[str]:
    try:
        return set(path.read_text(encoding="ascii").split())
    except FileNotFoundError:
        return set()


def _replace(path: Path, lines: Iterable[str]) -> None:
    """Write a file beside the old one, then take its place: a reader sees one or the other."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
