"""A store of the directory in memory, and a small country to put into it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from directory.core.alias import CLEARING_HOUSE, Entry, EntryState, Found, Resolution
from directory.core.qr import QrRecord
from directory.core.seed import TokenEntry
from directory.qr import QrModule
from directory.service import DirectoryService
from runtime.clock import ManualClock
from scheme.errors import StoreError
from scheme.profile import DirectoryRules

PARTICIPANTS = frozenset(("0002", "0003", "0011", "0970", "0971", "0972", "0988"))
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RULES = DirectoryRules(
    payer_lookups_max=10,
    payer_lookups_minutes=10,
    payer_block_minutes=60,
    bucket_size=600,
    bucket_per_minute=600,
    known_cost=1,
    unknown_cost=20,
    qr_token_s=300,
)


def lima_clock(text: str) -> ManualClock:
    """Return a clock that stands at a Lima local time, as ``2026-01-15T10:25:00.431``."""
    return ManualClock(datetime.fromisoformat(text + "-05:00").astimezone(UTC))


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().strip()


class MemoryDirectoryStore:
    """AliasStore and QrStore without a disk; ``fail`` makes every further call fail."""

    def __init__(self, key: bytes = b"k" * 32) -> None:
        self.key = key
        self.is_broken = False
        self._entries: dict[tuple[str, str, str], Entry] = {}
        self._pending: dict[tuple[str, str, str], Entry] = {}
        self._tokens: dict[tuple[str, str], Resolution] = {}
        self._qrs: dict[str, QrRecord] = {}
        self._payments: set[tuple[str, str]] = set()
        self._number = 0
        self.is_seeded = False

    def _check(self) -> None:
        if self.is_broken:
            raise StoreError("the disk is broken")

    def find(self, phone: str) -> Sequence[Found]:
        return [
            Found(one.directory, one.participant, one.cci)
            for one in self.entries(phone)
            if one.state is EntryState.ACTIVE
        ]

    def entries(self, phone: str) -> Sequence[Entry]:
        self._check()
        keys = sorted(key for key in self._entries if key[0] == phone)
        return [self._entries[key] for key in keys]

    def entry_to_change(self, phone: str, participant: str) -> Entry | None:
        self._check()
        key = (phone, CLEARING_HOUSE, participant)
        return self._pending.get(key) or self._entries.get(key)

    async def put_entry(self, entry: Entry) -> None:
        key = (entry.phone, entry.directory, entry.participant)
        self._pending[key] = entry
        await asyncio.sleep(0)
        self._pending.pop(key, None)
        self._check()
        self._entries[key] = entry

    def find_token(self, token: str, directory: str) -> Resolution | None:
        self._check()
        return self._tokens.get((token, directory))

    async def seed(
        self, entries: Iterable[Entry], tokens: Iterable[TokenEntry], qrs: Iterable[QrRecord]
    ) -> bool:
        self._check()
        if self.is_seeded:
            return False
        self.is_seeded = True
        for entry in entries:
            self._entries[entry.phone, entry.directory, entry.participant] = entry
        for one in tokens:
            self._tokens[one.token, one.directory] = Resolution(one.participant, one.cci)
        for record in qrs:
            self._put_qr(record)
        return True

    def qr(self, id_qr: str) -> QrRecord | None:
        self._check()
        return self._qrs.get(id_qr)

    def static_qr(self, cci: str, currency: str, name: str) -> QrRecord | None:
        self._check()
        wanted = (False, cci, currency, name)
        found = [
            one
            for one in self._qrs.values()
            if (one.is_dynamic, one.cci, one.currency, one.name) == wanted
        ]
        return max(found, key=lambda one: (one.registered, one.id_qr), default=None)

    def payments(self, id_qr: str) -> int:
        self._check()
        return sum(1 for one, _ in self._payments if one == id_qr)

    def next_qr_number(self) -> int:
        self._number += 1
        return self._number

    async def put_qr(self, record: QrRecord) -> None:
        await asyncio.sleep(0)
        self._check()
        self._put_qr(record)

    def _put_qr(self, record: QrRecord) -> None:
        self._qrs[record.id_qr] = record
        self._number = max(self._number, int(record.id_qr[10:]))

    async def put_payment(self, id_qr: str, transfer_id: str) -> None:
        await asyncio.sleep(0)
        self._check()
        self._payments.add((id_qr, transfer_id))


def a_service(
    store: MemoryDirectoryStore,
    *,
    clock: ManualClock | None = None,
    rules: Mapping[str, str | int] | None = None,
) -> DirectoryService:
    """Return a directory over a store; ``rules`` names what differs from the profile's."""
    return DirectoryService(
        store,
        clock=clock or lima_clock("2026-01-15T10:26:05.640"),
        rules=replace(RULES, **dict(rules or {})),
        participants=PARTICIPANTS,
    )


def a_qr_module(store: MemoryDirectoryStore, clock: ManualClock) -> QrModule:
    """Return a QR module over a store, tokens good for five minutes."""
    return QrModule(store, clock=clock, token_s=300, participants=PARTICIPANTS)
