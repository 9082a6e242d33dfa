"""The wire log: the exact bytes of every message, kept beside the ledger and never in its way.

Segments are files of blocks. A block is a batch of messages, packed and compressed, behind a
header that tells its span of time and the subjects it speaks of; so the timeline of one transfer
is found without reading the rest. A full queue drops and counts; it never delays a transfer.

    block = magic(4) | header length(4) | body length(4) | header (msgpack) | body (zstd of msgpack)
"""

import asyncio
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import structlog
import zstandard
from msgspec import Struct

from scheme.clock import Clock, to_ms
from scheme.errors import ConfigError
from scheme.limits import WIRE_LOG_QUEUE_BYTES_MAX, WIRE_LOG_SEGMENT_BYTES

log = structlog.get_logger()

_MAGIC: Final = b"CQW1"
_LENGTHS: Final = struct.Struct("<II")
_FLUSH_S: Final = 0.25
_BLOCK_BYTES: Final = 1024 * 1024
_SUFFIX: Final = ".cqw"
_PAGE_BYTES: Final = 8 * 1024 * 1024
"""Bodies of one page of the last messages; a page of large ones is shorter."""
_LOOK_BACK_BYTES: Final = 256 * 1024 * 1024
"""How far back, unpacked, the last messages of a participant are looked for."""
_DAMAGE: Final = (msgspec.DecodeError, zstandard.ZstdError, ValueError, TypeError)


class WireMessage(Struct, frozen=True, gc=False, array_like=True):
    """One message as it crossed the wire.

    Attributes:
        at_us: when it was sent or received here, microseconds since the epoch.
        subject: instructionId it belongs to, or empty.
        name: root key.
        status: HTTP status of an answer, 0 for a request.
        took_us: time since the request it answers, 0 for a request.
        note: what went wrong, or empty.
        body: the exact bytes.
    """

    at_us: int
    subject: str
    name: str
    sender: str
    receiver: str
    status: int
    took_us: int
    note: str
    body: bytes


class _Header(Struct, frozen=True, gc=False, array_like=True):
    """What a block holds; ``subjects`` are the CRC-32s of the subjects, 4 bytes each."""

    first_us: int
    last_us: int
    count: int
    subjects: bytes


_messages: Final = msgspec.msgpack.Decoder(list[WireMessage])
_headers: Final = msgspec.msgpack.Decoder(_Header)
_pack: Final = msgspec.msgpack.Encoder().encode


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be used: {error.strerror}") from error


class WireLog:
    """Writes messages in blocks from a thread of its own, and finds them again.

    Args:
        folder: private folder of the segments; made if missing.
        bytes_max: size of all segments together; the oldest go first.
        enabled: False keeps nothing.

    Raises:
        ConfigError: the folder cannot be made, or a file has its name.
    """

    def __init__(self, folder: Path, *, clock: Clock, bytes_max: int, enabled: bool = True) -> None:
        self._folder = folder
        self._clock = clock
        self._bytes_max = bytes_max
        self.enabled = enabled
        self.dropped = 0
        self._queue: list[WireMessage] = []
        self._queue_bytes = 0
        self._writing: list[WireMessage] = []
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wire-log")
        self._segment: BinaryIO | None = None
        self._segment_bytes = 0
        self._zstd = zstandard.ZstdCompressor(level=1)
        if enabled:
            _make_private(folder)

    def write(
        self,
        at_us: int,
        subject: str,
        name: str,
        sender: str,
        receiver: str,
        body: bytes,
        *,
        status: int = 0,
        took_us: int = 0,
        note: str = "",
    ) -> None:
        """Keep one message. Never waits, never raises; over the limit it is dropped."""
        if not self.enabled:
            return
        if self._queue_bytes > WIRE_LOG_QUEUE_BYTES_MAX:
            self.dropped += 1
            return
        self._queue.append(
            WireMessage(at_us, subject, name, sender, receiver, status, took_us, note, body)
        )
        self._queue_bytes += len(body)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if self._writing or not self._queue:
            return
        self._writing, self._queue, self._queue_bytes = self._queue, [], 0
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, self._write_blocks, self._writing)
        work.add_done_callback(self._written)

    def _written(self, work: asyncio.Future[None]) -> None:
        if work.cancelled():
            return
        error = work.exception()
        if error is not None:
            # Evidence is lost, money is not: the transfer goes on.
            self.dropped += len(self._writing)
            log.error("wire log not written", cause=repr(error))
        self._writing = []
        if self._queue and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._flush)

    async def close(self) -> None:
        """Write what waits and close the segment."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        rest, self._queue = self._queue, []
        if rest and self.enabled:
            await loop.run_in_executor(self._thread, self._write_blocks, rest)
        await loop.run_in_executor(self._thread, self._close_segment)
        self._thread.shutdown(wait=True)

    def _write_blocks(self, messages: list[WireMessage]) -> None:
        for part in _parts(messages):
            segment = self._open_segment()
            block = self._block(part)
            written = 0
            try:
                written = segment.write(block)
            finally:
                if written < len(block):  # Torn: what came behind it could never be found.
                    self._close_segment()
            if written < len(block):
                raise OSError("a block of the wire log was written in part")
            self._segment_bytes += len(block)

    def _block(self, messages: list[WireMessage]) -> bytes:
        marks = {zlib.crc32(message.subject.encode()) for message in messages}
        header = _pack(
            _Header(
                min(message.at_us for message in messages),
                max(message.at_us for message in messages),
                len(messages),
                b"".join(mark.to_bytes(4, "little") for mark in marks),
            )
        )
        body = self._zstd.compress(_pack(messages))
        return _MAGIC + _LENGTHS.pack(len(header), len(body)) + header + body

    def _open_segment(self) -> BinaryIO:
        if self._segment is not None and self._segment_bytes < WIRE_LOG_SEGMENT_BYTES:
            return self._segment
        self._close_segment()
        self._delete_oldest()
        path = self._new_path()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._segment = os.fdopen(descriptor, "ab", buffering=0)
        self._segment_bytes = 0
        assert self._segment is not None
        return self._segment

    def _new_path(self) -> Path:
        """Return a name never used: behind a torn block nothing could be found."""
        stem = f"{to_ms(self._clock.now()):015}-{os.getpid()}"
        number = 0
        while (path := self._folder / f"{stem}-{number:06}{_SUFFIX}").exists():
            number += 1
        return path

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _delete_oldest(self) -> None:
        segments = self._segments()
        sizes = {path: path.stat().st_size for path in segments}
        total = sum(sizes.values())
        for path in segments:
            if total + WIRE_LOG_SEGMENT_BYTES <= self._bytes_max:
                return
            total -= sizes[path]
            path.unlink()

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}")) if self._folder.exists() else []

    async def find(self, subjects: frozenset[str], *, since_us: int) -> list[WireMessage]:
        """Return the messages of some subjects since an instant, in order of time."""
        fresh = [*self._writing, *self._queue]
        stored = await asyncio.to_thread(self._read, subjects, since_us)
        # What is being written may have been read as well.
        found = dict.fromkeys(one for one in (*stored, *fresh) if one.subject in subjects)
        return sorted(found, key=lambda message: message.at_us)

    async def recent(self, *, participant: str | None, limit: int) -> list[WireMessage]:
        """Return the last messages kept, in order of time, the newest last.

        Args:
            participant: only what this one sent or was sent; None: everybody's.
            limit: how many at most, from 1; fewer come when their bodies are large.
        """
        waiting = [*self._writing, *self._queue]
        fresh = [one for one in waiting if _concerns(one, participant)]
        stored: list[WireMessage] = []
        if len(fresh) < limit:
            wanted = limit + len(fresh)  # What is being written may be read as well.
            stored = await asyncio.to_thread(self._read_last, participant, wanted)
        known = set(stored)
        found = [*stored, *(one for one in fresh if one not in known)]
        return sorted(_last_page(found, limit), key=lambda message: message.at_us)

    def _read_last(self, participant: str | None, limit: int) -> list[WireMessage]:
        """Return the last messages on disk, in the order in which they were written."""
        blocks: list[list[WireMessage]] = []
        count = page_bytes = seen_bytes = 0
        for messages, size in self._decoded_backwards():
            block = [one for one in messages if _concerns(one, participant)]
            blocks.append(block)
            count += len(block)
            page_bytes += sum(len(one.body) for one in block)
            seen_bytes += size
            if count >= limit or page_bytes > _PAGE_BYTES or seen_bytes > _LOOK_BACK_BYTES:
                break
        return [one for block in reversed(blocks) for one in block][-limit:]

    def _decoded_backwards(self) -> Iterator[tuple[list[WireMessage], int]]:
        for path in reversed(self._segments()):
            try:
                with path.open("rb") as file:
                    yield from _backwards(file)
            except FileNotFoundError:
                continue  # The oldest go while we read.

    def _read(self, subjects: frozenset[str], since_us: int) -> list[WireMessage]:
        marks = [zlib.crc32(subject.encode()) for subject in subjects]
        found: list[WireMessage] = []
        for path in self._segments():
            try:
                if path.stat().st_mtime * 1_000_000 < since_us:
                    continue
                with path.open("rb") as file:
                    for body in _matching(file, marks, since_us):
                        found += [one for one in _messages.decode(body) if one.subject in subjects]
            except FileNotFoundError:
                continue  # The oldest go while we read.
            except _DAMAGE as error:
                log.warning("a segment of the wire log is damaged", cause=repr(error))
        return found


def _parts(messages: list[WireMessage]) -> Iterator[list[WireMessage]]:
    part: list[WireMessage] = []
    size = 0
    for message in messages:
        part.append(message)
        size += len(message.body)
        if size >= _BLOCK_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _concerns(message: WireMessage, participant: str | None) -> bool:
    return participant is None or any(
        # A field agent's terminal is named after its institution: 0992-0001-1.
        participant == party or party.startswith(f"{participant}-")
        for party in (message.sender, message.receiver)
    )


def _last_page(messages: list[WireMessage], limit: int) -> list[WireMessage]:
    """Return the last messages, as many as a page may hold; one at least, however large."""
    page: list[WireMessage] = []
    size = 0
    for message in reversed(messages[-limit:]):
        size += len(message.body)
        if page and size > _PAGE_BYTES:
            break
        page.append(message)
    return page[::-1]


def _matching(file: BinaryIO, marks: Iterable[int], since_us: int) -> Iterator[bytes]:
    """Yield the unpacked bodies of blocks that may speak of a subject; a torn tail ends it."""
    decompressor = zstandard.ZstdDecompressor()
    for header, _, length in _blocks(file):
        known = memoryview(header.subjects).cast("I")
        if header.last_us < since_us or not any(mark in known for mark in marks):
            continue
        body = file.read(length)
        if len(body) < length:
            return
        yield decompressor.decompress(body)


def _backwards(file: BinaryIO) -> Iterator[tuple[list[WireMessage], int]]:
    """Yield each block's messages and unpacked size, the newest first, without damaged ones."""
    decompressor = zstandard.ZstdDecompressor()
    for start, length in reversed(_places(file)):
        file.seek(start)
        try:
            body = decompressor.decompress(file.read(length))
            messages = _messages.decode(body)
        except _DAMAGE as error:
            log.warning("a block of the wire log is damaged", cause=repr(error))
            continue
        yield messages, len(body)


def _places(file: BinaryIO) -> list[tuple[int, int]]:
    """Return where the bodies of whole blocks start, and their lengths; a torn tail ends it."""
    places: list[tuple[int, int]] = []
    end = os.fstat(file.fileno()).st_size
    try:
        for _, start, length in _blocks(file):
            if start + length <= end:
                places.append((start, length))
    except _DAMAGE as error:
        log.warning("a segment of the wire log is damaged", cause=repr(error))
    return places


def _blocks(file: BinaryIO) -> Iterator[tuple[_Header, int, int]]:
    """Yield header, start and length of the body of each block; the file stands at the body."""
    position = 0
    while True:
        head = file.read(len(_MAGIC) + _LENGTHS.size)
        if len(head) < len(_MAGIC) + _LENGTHS.size or not head.startswith(_MAGIC):
            return
        header_bytes, body_bytes = _LENGTHS.unpack_from(head, len(_MAGIC))
        raw = file.read(header_bytes)
        if len(raw) < header_bytes:
            return
        start = position + len(head) + header_bytes
        yield _headers.decode(raw), start, body_bytes
        position = start + body_bytes
        file.seek(position)
