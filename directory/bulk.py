"""The folder of bulk files: each complete file is applied once, its ``.ctl`` put beside it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from pathlib import Path

import structlog

from directory.core import bulk
from directory.core.alias import Refusal
from directory.core.bulk import Fault, Record
from directory.core.registry import Order
from scheme.clock import Clock
from scheme.errors import ConfigError, PeerError, StoreError
from scheme.limits import BULK_AT_ONCE, BULK_BYTES_MAX, BULK_POLL_S, BULK_UNFINISHED_S
from scheme.reasons import ReasonCode

log = structlog.get_logger()

_CONTROL = ".ctl"
_OWNER_ONLY = 0o700

Apply = Callable[[Order], Awaitable[Refusal | None]]


class BulkFolder:
    """Applies the files of a folder.

    A file that has its ``.ctl`` is done. One that a crash interrupted is applied again from its
    first record: an instruction whose result already stands is accepted and changes nothing.

    Args:
        path: made if it is not there.
        apply: carries one record out; raises PeerError or StoreError to have the file tried again.
        participants: who may send files.
    """

    def __init__(
        self, path: Path, apply: Apply, *, participants: Collection[str], clock: Clock
    ) -> None:
        self._path = path
        self._apply = apply
        self._participants = frozenset(participants)
        self._clock = clock
        # Files without their last line: size, and since when they have had it.
        self._unfinished: dict[str, tuple[int, int]] = {}

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            ConfigError: it cannot be made.
        """
        try:
            self._path.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be used: {error.strerror}") from error

    async def run(self) -> None:
        """Look into the folder again and again."""
        while True:
            await self.look()
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=BULK_POLL_S))

    async def look(self) -> None:
        """Take every file that is complete and not answered; one that fails waits for the next."""
        try:
            names = await asyncio.to_thread(self._waiting)
        except OSError as error:
            log.warning("folder of bulk files cannot be read", cause=repr(error))
            return
        self._unfinished = {name: seen for name, seen in self._unfinished.items() if name in names}
        for name in names:
            try:
                await self._take(name)
            except (OSError, PeerError, StoreError) as error:
                log.warning("bulk file to be tried again", file=name, cause=repr(error))

    def _waiting(self) -> list[str]:
        with os.scandir(self._path) as entries:
            present = {one.name for one in entries if one.is_file(follow_symlinks=False)}
        return sorted(
            name
            for name in present
            if name.endswith(".csv") and name.removesuffix(".csv") + _CONTROL not in present
        )

    async def _take(self, name: str) -> None:
        data = await asyncio.to_thread(self._read, name)
        if data is not None and not bulk.is_complete(data) and not self._is_given_up(name, data):
            return
        records = self._records(name, data)
        if isinstance(records, Fault):
            log.warning("bulk file refused", file=name, rule=records.rule)
            answer = bulk.control_file_of(records)
        else:
            answer = await self._applied(name, records)
        await asyncio.to_thread(self._answer, name, answer)
        self._unfinished.pop(name, None)

    def _read(self, name: str) -> bytes | None:
        """Return a file's bytes; None: it is too long."""
        with (self._path / name).open("rb") as file:
            data = file.read(BULK_BYTES_MAX + 1)
        return data if len(data) <= BULK_BYTES_MAX else None

    def _is_given_up(self, name: str, data: bytes) -> bool:
        """Tell whether a file without its last line has stood unchanged for long."""
        now_us = self._clock.now_us()
        size, since_us = self._unfinished.get(name, (-1, 0))
        if size != len(data):
            self._unfinished[name] = (len(data), now_us)
            return False
        return now_us - since_us >= BULK_UNFINISHED_S * 1_000_000

    def _records(self, name: str, data: bytes | None) -> list[Record] | Fault:
        participant = bulk.participant_of(name)
        if participant is None:
            return Fault(ReasonCode.FF02, "the name is PARTICIPANTDIRECTORIOyyyyMMddHHmm.csv")
        if participant not in self._participants:
            return Fault(ReasonCode.DNOR, "a registered participant")
        if data is None:
            return Fault(ReasonCode.FF02, f"at most {BULK_BYTES_MAX} bytes")
        return bulk.read(participant, data)

    async def _applied(self, name: str, records: list[Record]) -> bytes:
        outcomes: list[tuple[str, Refusal | None]] = []
        for group in bulk.chunks(records, BULK_AT_ONCE):
            done = await asyncio.gather(*(self._one(name, record) for record in group))
            outcomes += [(one.id, refusal) for one, refusal in zip(group, done, strict=True)]
        refused = sum(1 for _, refusal in outcomes if refusal is not None)
        log.info("bulk file applied", file=name, records=len(outcomes), refused=refused)
        return bulk.control_file(outcomes)

    async def _one(self, name: str, record: Record) -> Refusal | None:
        order = record.order
        refusal = order if isinstance(order, Refusal) else await self._apply(order)
        if refusal is not None:
            log.info(
                "bulk record refused",
                file=name,
                record=record.id,
                field=refusal.field,
                rule=refusal.rule,
            )
        return refusal

    def _answer(self, name: str, content: bytes) -> None:
        """Put the answer beside the file, whole or not at all, and on the disk."""
        path = self._path / (name.removesuffix(".csv") + _CONTROL)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
