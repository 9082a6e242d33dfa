"""The coops' network over stores in memory, with a national directory that does as it is told."""

import asyncio
from collections.abc import Sequence

from directory.core.alias import Entry, Refusal
from directory.core.dale import IndexEntry, IndexState, Mismatch
from directory.core.lookup import DirectoryAnswer
from directory.core.registry import Order
from directory.dale_upstream import InProcess
from directory.service import DirectoryService

MEMBERS = {"0970": "COOPAC UNO", "0971": "COOPAC DOS"}


class MemoryIndex:
    """AliasIndex without a disk."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], IndexEntry] = {}

    def find(self, phone: str) -> Sequence[IndexEntry]:
        return [one for key, one in sorted(self.entries.items()) if key[0] == phone]

    def current(self, phone: str, participant: str) -> IndexEntry | None:
        return self.entries.get((phone, participant))

    async def put(self, entry: IndexEntry) -> None:
        self.entries[entry.phone, entry.participant] = entry
        await asyncio.sleep(0)

    def mismatches(self, before_ms: int) -> Sequence[Mismatch]:
        return [
            Mismatch(one.phone, one.participant, one.changed_ms)
            for one in self.entries.values()
            if one.state is not IndexState.INACTIVE and one.changed_ms <= before_ms
        ]


class ScriptedNational(InProcess):
    """NationalDirectory over a directory, or what the test says.

    Attributes:
        silent: wait for this before every answer.
        failure: raised instead of every answer.
        asked: lookups that came, as sender and phones.
    """

    def __init__(self, directory: DirectoryService) -> None:
        super().__init__(directory)
        self.silent: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def register(self, order: Order) -> Entry | Refusal:
        await self._wait()
        return await super().register(order)

    async def look_up(
        self, participant: str, phones: Sequence[str]
    ) -> Sequence[DirectoryAnswer] | Refusal:
        self.asked.append((participant, tuple(phones)))
        await self._wait()
        return await super().look_up(participant, phones)

    async def _wait(self) -> None:
        if self.silent is not None:
            await self.silent.wait()
        if self.failure is not None:
            raise self.failure
