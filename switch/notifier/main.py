"""The notifier's process: reads its settings, joins the parts, and follows the ledger."""

import argparse
import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog
import uvloop

from runtime import lifeline, logs
from runtime.clock import SystemClock
from runtime.files import load_fleet
from runtime.folder_lock import FolderLock
from runtime.mqtt_broker.users import FOLDER, MEMBERS
from runtime.mqtt_client import MqttClient
from runtime.mqtt_keys import MqttKeys
from scheme.errors import ConfigError, StoreError
from scheme.wire.mqtt_topics import NOTIFIER
from switch.notifier.config import NotifierConfig
from switch.notifier.follower import Follower
from switch.notifier.members import Members
from switch.notifier.recent import AFTER, Recent
from switch.notifier.store import LedgerTail, NoticeBook
from switch.notifier.wording import Wording
from switch.process import Stop, announce

log = structlog.get_logger()

EXIT_CONFIG = 2
LEDGER_FILE = "ledger.db"
NOTICES_FILE = "notices.db"
_LEDGER_LOOK_S = 0.5
"""Seconds between two looks for a ledger that the switch has not made yet."""


class NotifierProcess:
    """Everything of one running notifier.

    Args:
        config: checked settings.
        after: how long subscribers have to come back to a broker that was lost.
    """

    def __init__(self, config: NotifierConfig, *, after: timedelta = AFTER) -> None:
        home = Path(config.home)
        keys = MqttKeys.open(home)
        self._home = home
        self._clock = SystemClock()
        self._members = Members(home / FOLDER / MEMBERS, keys.member_of)
        fleet = load_fleet(Path(config.fleet)).by_code()
        self._wording = Wording(fleet, self._members.told)
        self._recent = Recent(self._clock, after=after)
        self._client = MqttClient(
            host=config.mqtt_host,
            port=config.mqtt_port,
            username=NOTIFIER,
            password=keys.password(NOTIFIER),
            on_message=lambda _topic, _payload: None,  # It may read nothing.
            on_up=self._recent.back,
            on_down=lambda _reason: self._recent.lost(),
            tls=_tls(config),
        )

    async def run(self) -> None:
        """Follow the ledger until cancelled.

        Raises:
            StoreError: its own file cannot be used, or the ledger is not one that it knows.
        """
        with closing(NoticeBook(self._home / NOTICES_FILE)) as book:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._client.run())
                    group.create_task(self._follow(book))
            except ExceptionGroup as failures:
                known, _ = failures.split(StoreError)
                raise (failures if known is None else known.exceptions[0]) from failures

    async def _follow(self, book: NoticeBook) -> None:
        tail = self._ledger()
        is_new = tail is None
        if is_new:
            announce()
        while tail is None:
            await asyncio.sleep(_LEDGER_LOOK_S)
            tail = self._ledger()
        with closing(tail):
            follower = Follower(
                tail=tail,
                book=book,
                members=self._members,
                wording=self._wording,
                recent=self._recent,
                deliver=self._client.deliver,
                clock=self._clock,
                is_new=is_new,
            )
            if not is_new:
                # What is decided from now on is told; before, its beginning was not known.
                announce()
            await follower.run()

    def _ledger(self) -> LedgerTail | None:
        """Open the ledger, if the switch has made it."""
        try:
            tail = LedgerTail(self._home / LEDGER_FILE)
        except StoreError:
            return None
        try:
            tail.made_ms()
        except StoreError:
            tail.close()  # There is a file, and no tables in it yet.
            return None
        return tail


def _tls(config: NotifierConfig) -> ssl.SSLContext | None:
    if not config.mqtt_ca:
        return None
    try:
        return ssl.create_default_context(cafile=config.mqtt_ca)
    except OSError as error:
        raise ConfigError(f"mqtt_ca: {config.mqtt_ca}: {error}") from error


async def _serve(config: NotifierConfig) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.ask)
    watch = None
    if config.lifeline:
        watch = lifeline.watch(0, lambda: loop.call_soon_threadsafe(stop.hurry))
    work = asyncio.create_task(NotifierProcess(config).run())
    asked = asyncio.create_task(stop.asked.wait())
    await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    work.cancel()
    # What was not acknowledged is told again after the next start.
    ended = (await asyncio.gather(work, return_exceptions=True))[0]
    if watch is not None:
        watch.stopped()
    if ended is not None and not isinstance(ended, asyncio.CancelledError):
        raise ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notifier; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m switch.notifier")
    parser.add_argument("--config", required=True, type=Path)
    path: Path = parser.parse_args(arguments).config
    os.umask(0o077)
    try:
        config = NotifierConfig.read(path)
        logs.configure(
            process="notifier",
            level=config.log_level,
            path=Path(config.log_file) if config.log_file else None,
        )
        with FolderLock(Path(config.home), "notifier"):
            uvloop.run(_serve(config))
    except (ConfigError, StoreError) as error:
        failed = {"event": "failed", "error": str(error)}
        sys.stdout.write(msgspec.json.encode(failed).decode() + "\n")
        return EXIT_CONFIG
    return 0
