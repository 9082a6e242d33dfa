"""The access network's alias index and answered requests, in the directory's file."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

from directory.core.alias import CLEARING_HOUSE
from directory.core.dale import IndexEntry, IndexState, Mismatch
from directory.store import DirectoryStore
from scheme.limits import NETWORK_MISMATCHES_KEPT_MAX, NETWORK_REQUESTS_KEPT_MAX

_SCHEMA = """
CREATE TABLE IF NOT EXISTS network_aliases (
    phone TEXT NOT NULL, participant TEXT NOT NULL, cci TEXT NOT NULL, state TEXT NOT NULL,
    display_name TEXT NOT NULL, holder_type TEXT NOT NULL, registration_id TEXT NOT NULL,
    changed_ms INTEGER NOT NULL, PRIMARY KEY (phone, participant)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS network_members (participant TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS network_requests (
    participant TEXT NOT NULL, number INTEGER NOT NULL, request_id TEXT NOT NULL,
    digest BLOB NOT NULL, answer BLOB NOT NULL,
    PRIMARY KEY (participant, request_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS network_requests_by_age ON network_requests (participant, number);
"""
_COLUMNS = "phone, participant, cci, state, display_name, holder_type, registration_id, changed_ms"
_PUT = "INSERT OR REPLACE INTO network_aliases VALUES (?,?,?,?,?,?,?,?)"
_OF_PHONE = f"SELECT {_COLUMNS} FROM network_aliases WHERE phone = ?"  # noqa: S608 - ours
_JOINED = "SELECT 1 FROM network_members WHERE participant = ?"
_JOIN = "INSERT OR IGNORE INTO network_members VALUES (?)"
_ADOPT = (
    f"INSERT OR IGNORE INTO network_aliases ({_COLUMNS})"  # noqa: S608 - ours
    " SELECT phone, participant, cci, 'ACTIVE', display_name, holder_type, registration_id,"
    f" changed_ms FROM entries WHERE directory = '{CLEARING_HOUSE}' AND state = 'ACTIVE'"
    " AND participant = ?"
)
_REQUEST = "SELECT digest, answer FROM network_requests WHERE participant = ? AND request_id = ?"
_KEEP = "INSERT OR IGNORE INTO network_requests VALUES (?,?,?,?,?)"
_FORGET = "DELETE FROM network_requests WHERE participant = ? AND number <= ?"
_LAST = "SELECT participant, max(number) FROM network_requests GROUP BY participant"
_MISMATCHES = (
    "SELECT phone, participant, changed_ms FROM network_aliases AS ours"  # noqa: S608 - ours
    " WHERE state <> 'INACTIVE' AND changed_ms <= ? AND NOT EXISTS (SELECT 1 FROM entries AS"
    f" theirs WHERE theirs.phone = ours.phone AND theirs.directory = '{CLEARING_HOUSE}' AND"
    " theirs.participant = ours.participant AND theirs.state = 'ACTIVE')"
    f" ORDER BY changed_ms, phone LIMIT {NETWORK_MISMATCHES_KEPT_MAX}"
)


class KeptAnswer(NamedTuple):
    """The answer to a request, and the digest of what was asked."""

    digest: bytes
    answer: bytes


class DaleStore:
    """AliasIndex over the directory's database. Made by ``open``."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        # Entries on their way to the disk, with how many writes of each are under way.
        self._pending: dict[tuple[str, str], tuple[IndexEntry, int]] = {}
        self._numbers = {str(code): int(last) for code, last in store.rows(_LAST, ())}

    @classmethod
    async def open(cls, store: DirectoryStore, members: Iterable[str]) -> Self:
        """Make the tables, and take over the aliases of coops that are new in the network.

        Args:
            store: open, and seeded.

        Raises:
            StoreError: it could not be written.
        """
        await store.prepare(_SCHEMA)
        for code in members:
            if not store.rows(_JOINED, (code,)):
                await store.write(_ADOPT, (code,))
                await store.write(_JOIN, (code,))
        return cls(store)

    def find(self, phone: str) -> Sequence[IndexEntry]:
        """Return what is on disk about a phone, by coop."""
        return [_entry(row) for row in self._store.rows(_OF_PHONE, (phone,))]

    def current(self, phone: str, participant: str) -> IndexEntry | None:
        """Return an entry as last written, on disk or on its way there."""
        pending = self._pending.get((phone, participant))
        if pending is not None:
            return pending[0]
        return next((one for one in self.find(phone) if one.participant == participant), None)

    async def put(self, entry: IndexEntry) -> None:
        """Write an entry; return once it is on disk."""
        key = (entry.phone, entry.participant)
        _, writes = self._pending.get(key, (entry, 0))
        self._pending[key] = (entry, writes + 1)
        try:
            await self._store.write(_PUT, _row(entry))
        finally:
            latest, writes = self._pending.pop(key)
            if writes > 1:
                self._pending[key] = (latest, writes - 1)

    def mismatches(self, before_ms: int) -> Sequence[Mismatch]:
        """Return aliases not changed since, that the national directory does not have."""
        return [Mismatch(*row) for row in self._store.rows(_MISMATCHES, (before_ms,))]

    def answered(self, participant: str, request_id: str) -> KeptAnswer | None:
        """Return the answer kept for a request."""
        rows = self._store.rows(_REQUEST, (participant, request_id))
        return KeptAnswer(*rows[0]) if rows else None

    async def keep_answer(
        self, participant: str, request_id: str, digest: bytes, answer: bytes
    ) -> None:
        """Keep an answer, and forget the coop's oldest; return once it is on disk."""
        number = self._numbers.get(participant, 0) + 1
        self._numbers[participant] = number
        await self._store.write(_KEEP, (participant, number, request_id, digest, answer))
        if number % _FORGET_EVERY == 0:
            oldest = number - NETWORK_REQUESTS_KEPT_MAX
            await self._store.write(_FORGET, (participant, oldest))


_FORGET_EVERY: Final = 64
"""So many more than the limit may be kept for a moment: a deletion with each would double it."""


def _row(entry: IndexEntry) -> tuple[str | int, ...]:
    return (
        entry.phone,
        entry.participant,
        entry.cci,
        str(entry.state),
        entry.display_name,
        entry.holder_type,
        entry.registration_id,
        entry.changed_ms,
    )


def _entry(row: Sequence[str | int]) -> IndexEntry:
    phone, participant, cci, state, name, holder_type, registration_id, changed_ms = row
    return IndexEntry(
        phone=str(phone),
        participant=str(participant),
        cci=str(cci),
        state=IndexState(str(state)),
        display_name=str(name),
        holder_type=str(holder_type),
        registration_id=str(registration_id),
        changed_ms=int(changed_ms),
    )
