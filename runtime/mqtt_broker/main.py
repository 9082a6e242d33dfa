"""The broker's process: reads its settings, opens the ports, watches its users, and stops."""

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import structlog
import uvloop

from runtime import lifeline, logs
from runtime.clock import SystemClock
from runtime.files import load_fleet
from runtime.folder_lock import FolderLock
from runtime.mqtt_broker.config import Config
from runtime.mqtt_broker.users import Users
from runtime.mqtt_keys import MqttKeys
from scheme.errors import ConfigError

log = structlog.get_logger()

EXIT_CONFIG = 2
EXIT_BROKER = 1
_FILES_BESIDE_CONNECTIONS = 64
_COLLECTOR_THRESHOLDS = (50_000, 20, 100)


async def _run(config: Config) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = None
    if config.lifeline:
        watch = lifeline.watch(0, lambda: loop.call_soon_threadsafe(stop.set))
    home = Path(config.home)
    users = Users(home, load_fleet(Path(config.fleet)), MqttKeys.open(home))
    serve = _serve_mosquitto if config.kind == "mosquitto" else _serve_embedded
    code = await serve(config, users, stop)
    if watch is not None:
        watch.stopped()
    return code


async def _serve_embedded(config: Config, users: Users, stop: asyncio.Event) -> int:
    # Late: amqtt is heavy, and Mosquitto needs none of it.
    from runtime.mqtt_broker.door import Door

    door = Door(users, connections_max=config.connections_max)
    await door.start()
    try:
        port = await door.listen(config.host, config.port)
        tls_port = None
        if config.tls_port:
            from runtime import pki
            from runtime.mqtt_broker.tls import identity_of

            _authority, identity = identity_of(config, SystemClock().now())
            context = pki.server_context(identity)
            tls_port = await door.listen(config.tls_host, config.tls_port, context)
        _spare_the_collector()
        _announce(port=port, tls_port=tls_port)
        return await _until_stopped(door.watch, stop)
    finally:
        await door.stop()


async def _serve_mosquitto(config: Config, users: Users, stop: asyncio.Event) -> int:
    from runtime.mqtt_broker.mosquitto import BrokerEnded, Mosquitto

    mosquitto = Mosquitto(Path(config.home), users, connections_max=config.connections_max)
    tls = None
    if config.tls_port:
        from runtime.mqtt_broker.tls import mosquitto_tls

        tls = mosquitto_tls(config, SystemClock().now())
    try:
        port = await mosquitto.start(config.host, config.port, tls)
        _announce(port=port, tls_port=config.tls_port or None)
        return await _until_stopped(mosquitto.watch, stop)
    except BrokerEnded as ended:
        log.critical("mosquitto ended by itself", cause=ended.cause)
        _say(event="failed", error=f"mosquitto ended by itself: {ended.cause}")
        return EXIT_BROKER
    finally:
        await mosquitto.stop()


async def _until_stopped(watch: Callable[[], Awaitable[None]], stop: asyncio.Event) -> int:
    watching = asyncio.ensure_future(watch())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if watching.done():
        watching.result()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    log.info("stopping")
    return 0


def _spare_the_collector() -> None:
    """Keep sessions, which live long and are many, out of most of the collector's rounds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR_THRESHOLDS)


def _announce(*, port: int, tls_port: int | None) -> None:
    _say(event="ready", port=port, tls_port=tls_port)
    log.info("serving", port=port, tls_port=tls_port)


def _say(**facts: object) -> None:
    sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    sys.stdout.flush()


def _allow_connections(count: int) -> None:
    """Raise the limit of open files as far as the connections need and the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _FILES_BESIDE_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the broker; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m runtime.mqtt_broker")
    parser.add_argument("--config", required=True, type=Path)
    path: Path = parser.parse_args(arguments).config
    os.umask(0o077)  # What lies in the home lets in whoever can read it.
    try:
        config = Config.read(path)
        logs.configure(
            process="broker",
            level=config.log_level,
            path=Path(config.log_file) if config.log_file else None,
        )
        _allow_connections(config.connections_max * (2 if config.tls_port else 1))
        with FolderLock(Path(config.home), "broker"):
            return uvloop.run(_run(config))
    except ConfigError as error:
        _say(event="failed", error=str(error))
        return EXIT_CONFIG
