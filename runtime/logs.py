"""Logs of one process: events with fields, every identifier of a person masked.

``configure`` is called once, by ``main``. What libraries say through the standard library's logging
comes out the same way.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from runtime.clock import SystemClock
from scheme import masking
from scheme.errors import ConfigError
from scheme.limits import LOG_FILE_BYTES_MAX

LEVELS = ("debug", "info", "warning", "error")
_OWNER_ONLY = 0o600
_LEVEL_OF: Mapping[str, str] = {"exception": "error", "warn": "warning"}
"""Level of a line, by the method that says it, where their names differ."""
_encode = msgspec.json.Encoder(enc_hook=repr).encode
_FIELDS_MAX = 256
"""Names of fields whose mask is remembered."""

# By the last word of a field's name: ``phone``, ``debtor_phone``, ``phones``.
_MASKS: Mapping[str, Callable[[str], str]] = {
    "phone": masking.mask_phone,
    "cci": masking.mask_cci,
    "account": masking.mask_cci,
    "document": masking.mask_document,
    "name": masking.mask_name,
    "card": masking.mask_card,
    "token": masking.mask_token,
    "alias": masking.mask_phone,
    # Text of unknown shape, which may quote what a peer sent.
    "exception": masking.mask_text,
    "cause": masking.mask_text,
    "error": masking.mask_text,
}


def configure(
    *, process: str, level: str = "info", path: Path | None = None, json: bool = True
) -> None:
    """Set up the logs of this process.

    Args:
        process: named in every line, such as ``switch``.
        level: the least that is written, one of LEVELS.
        path: file that is appended to and put aside at its size limit; None: standard error.
        json: one JSON object per line; else text for people.

    Raises:
        ConfigError: an unknown level, or a file that cannot be written.
    """
    if level not in LEVELS:
        raise ConfigError(f"log level {level!r}: one of {', '.join(LEVELS)}")
    target: TextIO | LogFile = sys.stderr if path is None else LogFile(path)
    structlog.configure(
        processors=_processors(process, json=json, colours=path is None and sys.stderr.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=Lines(target).logger,
        cache_logger_on_first_use=True,
    )
    _take_over_standard_logging()


class Lines:
    """Hands lines on, those above ``info`` to the system at once.

    The others follow at the end of the same turn of the loop, all of it together: one call for
    each of them would cost more than the line.
    """

    def __init__(self, target: "TextIO | LogFile") -> None:
        self._target = target
        self._lock = threading.Lock()
        self._due_on: asyncio.AbstractEventLoop | None = None

    def logger(self, *_: object) -> "Lines":
        """Return what structlog writes to: one for all, as their file is."""
        return self

    def msg(self, line: str) -> None:
        """Write a line, and every one before it, now."""
        with self._lock:
            self._target.write(line + "\n")
            self._target.flush()

    def info(self, line: str) -> None:
        """Write a line in this turn of the loop; without a loop, now."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.msg(line)
            return
        with self._lock:
            self._target.write(line + "\n")
        if self._due_on is not loop:
            self._due_on = loop
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._due_on = None
        with self._lock:
            self._target.flush()

    debug = info
    warning = error = critical = msg


class LogFile:
    """An append-only file, private to its owner; at its limit it is put aside as ``NAME.1``.

    A line that the disk does not take is lost: what is logged about must not fail with its log.

    Args:
        bytes_max: size at which it is put aside; an older one put aside is overwritten.
    """

    def __init__(self, path: Path, bytes_max: int = LOG_FILE_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._file = self._open()
        self._size = self._path.stat().st_size

    def write(self, text: str) -> None:
        """Append."""
        with suppress(OSError, ConfigError):
            self._file.write(text)
            self._size += len(text)
            if self._size >= self._bytes_max:
                self._put_aside()

    def flush(self) -> None:
        """Hand what was written to the system."""
        with suppress(OSError):
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()

    def _put_aside(self) -> None:
        # The full file stays in use until the new one is there.
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        full, self._file = self._file, self._open()
        self._size = 0
        full.close()

    def _open(self) -> TextIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return open(self._path, "a", encoding="utf-8", opener=_private)
        except OSError as error:
            raise ConfigError(f"log file {self._path}: {error.strerror}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _OWNER_ONLY)


def mask_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask every field that carries an identifier of a person (a structlog processor)."""
    for name, value in event.items():
        if isinstance(value, str):
            mask = _mask_of(name)
            if mask is not None:
                event[name] = mask(value)
        elif isinstance(value, Mapping):
            event[name] = masking.mask_message(value)
        elif isinstance(value, list | tuple | set | frozenset):
            event[name] = _masked_all(_mask_of(name), value)
        elif isinstance(value, int) and not isinstance(value, bool):
            mask = _mask_of(name)
            event[name] = value if mask is None else mask(str(value))
    return event


@lru_cache(maxsize=_FIELDS_MAX)
def _mask_of(name: str) -> Callable[[str], str] | None:
    word = name.rpartition("_")[2]
    return _MASKS.get(word) or _MASKS.get(word.removesuffix("s"))


def _masked_all(
    mask: Callable[[str], str] | None,
    values: list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any],
) -> list[Any]:
    return [
        masking.mask_message(one)
        if isinstance(one, Mapping)
        else (one if mask is None else mask(str(one)))
        for one in values
    ]


def _processors(process: str, *, json: bool, colours: bool) -> list[Any]:
    now = SystemClock().now

    def say_whence(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
        event["process"] = process
        # One step in place of structlog's three: every transfer has its line.
        event["level"] = _LEVEL_OF.get(level, level)
        event["timestamp"] = now().isoformat().replace("+00:00", "Z")
        return event

    renderer: Any = (
        _as_json if json else structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False)
    )
    # What is said here names nobody, so it need not be masked.
    return [structlog.processors.format_exc_info, mask_fields, say_whence, renderer]


def _as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    # A third of the time of the standard library's, once for every transfer.
    return _encode(event).decode()


class _ToStructlog(logging.Handler):
    """Passes on what libraries log, so that it is masked and kept with the rest."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"library": record.name, "error": record.getMessage()}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        structlog.get_logger().log(min(record.levelno, logging.ERROR), "library", **fields)


def _take_over_standard_logging() -> None:
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(logging.WARNING)
