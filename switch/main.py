"""The switch's process: reads its settings, joins the parts, serves, and stops in order."""

import argparse
import asyncio
import os
import secrets
import signal
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import structlog
import uvloop

from clearing.files_api import file_routes
from clearing.http_api import routes as clearing_routes
from clearing.ledger_sqlite import SqliteLedger
from clearing.reports_reader import ReportReader
from clearing.service import ClearingService
from clearing.what_if import WhatIf
from directory.http_api import routes as directory_routes
from directory.qr import QrModule
from directory.service import DirectoryService
from directory.store import DirectoryStore
from directory.wire import DirectoryWire
from runtime import lifeline, logs
from runtime.clock import SystemClock
from runtime.files import load_country
from runtime.folder_lock import FolderLock
from runtime.http_client import AiohttpClient
from runtime.http_server import GuardedServer
from runtime.signing import SigningPool
from scheme.batch import Batch
from scheme.clock import to_ms
from scheme.errors import ConfigError, StoreError
from scheme.ledger import Owed, Position
from scheme.network import Fleet, Participant
from scheme.profile import Profile
from switch.access_network import AccessNetwork, open_directory
from switch.agent_lane import AgentLane, open_agents
from switch.agent_store import AgentStore
from switch.config import LOOPBACK, Config
from switch.core.records import TransferRecord
from switch.desk import OperatorDesk
from switch.edges.operator_api import OperatorApi
from switch.edges.peers_http import HttpPeers
from switch.edges.routing_api import RoutingApi
from switch.edges.tin_http import TinEdge
from switch.envelope import Envelopes
from switch.house import House
from switch.iso8583_lane import Iso8583Lane, Iso8583Peering
from switch.keys import Keys
from switch.movements import movement_of
from switch.process import Stop, announce, spare_the_collector
from switch.queries import Queries
from switch.routes import OperatorEdge, RouteHandler, telling
from switch.slow_rails import SlowRails
from switch.store import SqliteStore
from switch.tasks import Tasks
from switch.watermarks import Watermarks
from switch.wire_log import WireLog
from switch.wire_names import ERROR_HEADER

log = structlog.get_logger()

ID_QR_CHARACTERS = 20
EXIT_CONFIG = 2
EXIT_COMMIT_FAILED = 70
"""A group could not be written: nobody starts this again before a person has looked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """What is open while the switch runs."""

    started: datetime
    profile: Profile
    fleet: Fleet
    members: dict[str, Participant]
    ledger: SqliteLedger
    store: SqliteStore
    agents: AgentStore | None
    wire_log: WireLog
    envelopes: Envelopes
    peering: Iso8583Peering
    directory: DirectoryService
    network: AccessNetwork
    keys: Keys
    qr: QrModule
    clearing: ClearingService
    tls: ssl.SSLContext | None


class SwitchProcess:
    """Everything of one running switch.

    Args:
        config: checked settings.
        stop: tells when to end.
    """

    def __init__(self, config: Config, stop: Stop) -> None:
        self._config = config
        self._stop = stop
        self._clock = SystemClock()
        self._home = Path(config.home)
        self._watermarks: Watermarks | None = None

    async def run(self) -> None:
        """Serve until the stop is asked for, then drain and sync."""
        async with AsyncExitStack() as stack:
            parts = await self._open(stack)
            try:
                async with asyncio.TaskGroup() as group:
                    await self._serve(parts, group)
            except ExceptionGroup as failures:
                # A taken port, for instance: say it in one line, not as a traceback.
                known, _ = failures.split((ConfigError, StoreError))
                raise (failures if known is None else known.exceptions[0]) from failures

    async def _open(self, stack: AsyncExitStack) -> "_Parts":
        """Open what the process owns; the stack closes it in the opposite order."""
        config, clock = self._config, self._clock
        started = clock.now()
        profile, fleet = load_country(config.profile, Path(config.fleet))
        members = fleet.by_code()
        aliases = await DirectoryStore.open(
            str(self._home / "directory.db"), on_failure=lambda: _commit_failed(None)
        )
        stack.push_async_callback(aliases.close)
        path = str(self._home / "ledger.db")
        ledger = SqliteLedger.open(path, on_failure=_commit_failed, now_ms=to_ms(started))
        stack.callback(ledger.close)
        store = SqliteStore(path)
        stack.callback(store.close)
        agents = open_agents(self._home, config, stack, on_failure=_commit_failed)
        wire_log = WireLog(
            self._home / "wire",
            clock=clock,
            bytes_max=config.wire_log_bytes_max,
            enabled=config.wire_log,
        )
        stack.push_async_callback(wire_log.close)
        pool = SigningPool()
        stack.callback(pool.close)
        keys = Keys(config, members, started)
        envelopes = Envelopes(members, clock, keyring=keys.keyring(), signer=keys.signer(pool))
        client = AiohttpClient(keys.client_tls())
        stack.push_async_callback(client.close)
        stack.push_async_callback(ledger.drain)
        http = HttpPeers(client, fleet=members, envelopes=envelopes, wire_log=wire_log, clock=clock)
        directory, network = await open_directory(
            self._home, aliases, fleet=fleet, profile=profile, clock=clock
        )
        clearing = ClearingService(
            ledger,
            fleet=fleet,
            profile=profile,
            clock=clock,
            notice_of_movement=self._notice_of_movement,
            notices_of_window=self._notices_of_window,
        )
        await clearing.start()
        return _Parts(
            started=started,
            profile=profile,
            fleet=fleet,
            members=members,
            ledger=ledger,
            store=store,
            agents=agents,
            wire_log=wire_log,
            envelopes=envelopes,
            peering=Iso8583Peering(http, fleet=members, wire_log=wire_log, clock=clock),
            directory=directory,
            network=network,
            keys=keys,
            qr=QrModule(
                aliases,
                clock=clock,
                token_s=profile.directory.qr_token_s,
                participants=members,
                default_password=config.qr_secret,
            ),
            clearing=clearing,
            tls=keys.server_tls(config),
        )

    async def _serve(self, parts: "_Parts", group: asyncio.TaskGroup) -> None:
        tasks = Tasks(group)
        house = self._house(parts, tasks.spawn)
        lane = self._iso8583_lane(parts, house, tasks.spawn)
        agents = self._agent_lane(parts, house, lane, tasks.spawn)
        expired = await house.recover() + await lane.cash.recover()
        rails = self._slow_rails(parts, house, tasks.spawn)
        await rails.settler.resume()
        config = self._config
        tin_edge = self._tin_edge(parts, house)
        coops = parts.network.server(tin_edge, config, parts.keys, secrets.token_urlsafe)
        tin = GuardedServer(
            tin_edge.handle,
            host=config.host,
            port=config.tin_port,
            tls=parts.tls,
            error_header=ERROR_HEADER,
        )
        operator = GuardedServer(
            self._operator_edge(parts, house, rails, lane, agents).handle,
            host=config.operator_host,
            port=config.operator_port,
        )
        await tin.start()
        await operator.start()
        if coops is not None:
            await coops.start()
        await lane.start(host=config.host, port=config.iso8583_port, home=self._home)
        if agents is not None:
            await agents.start()
        background = group.create_task(house.run_background())
        tasks.spawn(parts.network.bulk.run())
        tasks.spawn(parts.clearing.run())
        spare_the_collector()
        network_port = coops.port if coops is not None else None
        announce(
            tin_port=tin.port,
            operator_port=operator.port,
            network_port=network_port,
            iso8583_port=lane.port,
            expired_at_start=expired,
        )
        await self._stop.asked.wait()
        rails.payments.stop()
        await self._drain(parts, house, lane, agents, tin)
        if coops is not None:
            await coops.stop(1.0)
        background.cancel()
        await operator.stop(1.0)
        house.outbox.close()
        # What is owed stays on disk; whoever is still waited for is told after the next start.
        tasks.cancel_all()

    def _house(self, parts: "_Parts", spawn: Callable[..., object]) -> House:
        clock = self._clock
        house = House(
            ledger=parts.ledger,
            store=parts.store,
            peers=parts.peering.peers,
            directory=parts.directory,
            fleet=parts.members,
            profile=parts.profile,
            clock=clock,
            started=parts.started,
            window_of=parts.clearing.window,
            is_business_day=parts.clearing.is_business_day,
            on_posted=lambda record: _count_qr(parts.qr, record, spawn),
            spawn=spawn,
        )
        self._watermarks = Watermarks(
            ledger=parts.ledger,
            outbox=house.outbox,
            fleet=parts.members,
            clock=clock,
            head=house.sessions.head,
            since_opening=parts.clearing.since_opening,
            spawn=spawn,
        )
        parts.ledger.on_low = self._watermarks.on_low
        parts.ledger.on_high = self._watermarks.on_high
        parts.clearing.on_owed = house.outbox.take
        return house

    def _iso8583_lane(
        self, parts: "_Parts", house: House, spawn: Callable[..., object]
    ) -> Iso8583Lane:
        return Iso8583Lane(
            parts.peering,
            house,
            ledger=parts.ledger,
            store=parts.store,
            fleet=parts.members,
            profile=parts.profile,
            clock=self._clock,
            wire_log=parts.wire_log,
            window_of=parts.clearing.window,
            directory=parts.directory,
            random_bytes=secrets.token_bytes,
            spawn=spawn,
        )

    def _agent_lane(
        self, parts: "_Parts", house: House, lane: Iso8583Lane, spawn: Callable[..., object]
    ) -> AgentLane | None:
        if parts.agents is None:
            return None
        return AgentLane(
            parts.agents,
            home=self._home,
            config=self._config,
            fleet=parts.fleet,
            profile=parts.profile,
            clock=self._clock,
            wire_log=parts.wire_log,
            directory=parts.directory,
            handle=lane.handle,
            is_away=lane.is_away,
            sign=lambda code: house.sessions.sign(code, on=True),
            spawn=spawn,
        )

    def _slow_rails(self, parts: "_Parts", house: House, spawn: Callable[..., object]) -> SlowRails:
        clearing = parts.clearing
        rails = SlowRails(
            ledger=parts.ledger,
            store=parts.store,
            outbox=house.outbox,
            fleet=parts.members,
            profile=parts.profile,
            clock=self._clock,
            state=lambda: house.sessions.state,
            explain=house.pathfinder.explain,
            window_of=clearing.window,
            pump=lambda: spawn(clearing.lbtr.pump()),
            spawn=spawn,
        )
        clearing.on_settled_cycle = rails.settler.on_settled_cycle
        clearing.on_instruction_ended = rails.settler.on_instruction_ended
        return rails

    def _notice_of_movement(self, before: Position, after: Position) -> tuple[Owed, ...]:
        assert self._watermarks is not None, "operators are served after the house is built"
        return self._watermarks.on_movement(before, after)

    def _notices_of_window(self, batch: Batch, next_date: str) -> tuple[Owed, ...]:
        assert self._watermarks is not None, "windows are kept after the house is built"
        return self._watermarks.on_window(batch, next_date)

    def _tin_edge(self, parts: "_Parts", house: House) -> TinEdge:
        return TinEdge(
            house.handlers,
            fleet=parts.members,
            envelopes=parts.envelopes,
            directory=DirectoryWire(parts.directory),
            qr=parts.qr,
            wire_log=parts.wire_log,
            clock=self._clock,
            token=self._config.token,
        )

    def _operator_edge(
        self,
        parts: "_Parts",
        house: House,
        rails: SlowRails,
        lane: Iso8583Lane,
        agents: AgentLane | None,
    ) -> OperatorEdge:
        queries = Queries(
            parts.store,
            parts.wire_log,
            clock=self._clock,
            in_flight=lambda: house.router.in_flight,
            attempts=house.outbox.attempts,
        )
        desk = OperatorDesk(
            fleet=parts.members,
            profile=parts.profile,
            sessions=house.sessions,
            store=parts.store,
            queries=queries,
            outbox=house.outbox,
            echoes=house.echoes,
            waits=house.waits,
        )
        routes = {
            **OperatorApi(desk, parts.members).routes(),
            **RoutingApi(
                pathfinder=house.pathfinder,
                breakers=house.breakers,
                preferences=house.preferences,
                fleet=parts.members,
            ).routes(),
            **{
                route: telling(house.outbox.look, handler)
                for route, handler in clearing_routes(parts.clearing, parts.ledger).items()
            },
            **self._file_routes(parts),
            **rails.routes(),
            **lane.routes(),
            **({} if agents is None else agents.routes()),
            **directory_routes(parts.directory, parts.network.dale.mismatches),
        }
        # On loopback only this machine's own users can call; elsewhere they show the token.
        host = self._config.operator_host
        token = "" if host in LOOPBACK else self._config.token
        return OperatorEdge(routes, hosts=frozenset({host}), token=token)

    def _file_routes(self, parts: "_Parts") -> Mapping[tuple[str, str], RouteHandler]:
        path = str(self._home / "ledger.db")
        what_if = WhatIf(
            lambda: ReportReader.open(path),
            clock=self._clock,
            profile=parts.profile,
            members=parts.members,
        )
        return file_routes(
            parts.ledger,
            open_reader=lambda: ReportReader.open(path),
            movement_of=movement_of,
            what_if=what_if,
        )

    async def _drain(
        self,
        parts: "_Parts",
        house: House,
        lane: Iso8583Lane,
        agents: AgentLane | None,
        tin_server: GuardedServer,
    ) -> None:
        """Take no more orders; let those in flight end, for at most the CT expiry."""
        log.info("stopping", in_flight=len(house.router.in_flight))
        grace_s = parts.profile.timers.ct_expiry_s
        draining = asyncio.create_task(_idle(house, lane, agents))
        hurried = asyncio.create_task(self._stop.hurried.wait())
        # Enquiries and repeats are still answered: they are how others learn an outcome.
        house.stop()
        lane.cash.stop()
        await asyncio.wait(
            (draining, hurried), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED
        )
        for task in (draining, hurried):
            task.cancel()
        await asyncio.gather(tin_server.stop(1.0), lane.stop(1.0))


async def _idle(house: House, lane: Iso8583Lane, agents: AgentLane | None) -> None:
    """Wait until no order and no withdrawal is in flight, and owed messages have been tried."""
    if agents is not None:
        await agents.stop()
    await lane.cash.idle()
    await house.idle()


def _commit_failed(error: BaseException | None) -> None:
    """End at once: whoever waits on that group or a later one must never be answered."""
    try:
        log.error("the disk refused a group: this switch stops", cause=repr(error))
        sys.stderr.flush()
    finally:
        # Whatever the log's own disk says.
        os._exit(EXIT_COMMIT_FAILED)


def _count_qr(qr: QrModule, record: TransferRecord, spawn: Callable[..., object]) -> None:
    """Count the payment of a dynamic QR, if the order's narrative may name one."""
    narrative = record.ct1.unstructuredInformation
    if narrative is not None and len(narrative) >= ID_QR_CHARACTERS:
        creditor = record.ct1.creditorCCI or ""
        spawn(qr.paid(narrative, cci=creditor, transfer_id=record.instruction_id))


async def _serve(config: Config) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.ask)
    watch = None
    if config.lifeline:
        watch = lifeline.watch(0, lambda: loop.call_soon_threadsafe(stop.hurry))
    await SwitchProcess(config, stop).run()
    if watch is not None:
        watch.stopped()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the switch; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m switch")
    parser.add_argument("--config", required=True, type=Path)
    path: Path = parser.parse_args(arguments).config
    os.umask(0o077)  # What lies in the home names persons, if invented ones, and money.
    try:
        config = Config.read(path)
        logs.configure(
            process="switch",
            level=config.log_level,
            path=Path(config.log_file) if config.log_file else None,
        )
        with FolderLock(Path(config.home), "switch"):
            uvloop.run(_serve(config))
    except (ConfigError, StoreError) as error:
        failed = {"event": "failed", "error": str(error)}
        sys.stdout.write(msgspec.json.encode(failed).decode() + "\n")
        return EXIT_CONFIG
    return 0
