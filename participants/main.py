"""The fleet's process: reads its settings, joins the parts, serves, and stops in order."""

import argparse
import asyncio
import gc
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
import structlog
import uvloop
from msgspec.structs import asdict

from participants.agents.institution import Institution
from participants.agents.office import Holdings, Office
from participants.agents.ports import ClearingHouse
from participants.config import Config
from participants.control_api import ControlApi
from participants.core.book import Account, AccountStatus
from participants.core.session import SessionState
from participants.core.tills import tills_of
from participants.fleet import FleetRunner, Station, Tasks
from participants.links.iso8583_tcp.house import LaneHouse
from participants.links.iso8583_tcp.line import Line
from participants.links.network_http.client import NetworkClient
from participants.links.payments_port import PaymentsPort
from participants.links.tin_http.client import TinClient
from participants.links.tin_http.port import TinPort
from participants.links.tin_http.seal import CLEARING_HOUSE, Seal
from participants.store import SqliteBooks
from runtime import kek, lifeline, logs, pki
from runtime.clock import SystemClock
from runtime.files import load_country
from runtime.folder_lock import FolderLock
from runtime.http_client import AiohttpClient
from runtime.iso8583_client import Dialled
from runtime.iso8583_speech import KEY_BYTES
from runtime.signing import Keyring, Signer, SigningPool
from scheme.clock import wire_date
from scheme.errors import ConfigError, StoreError
from scheme.network import Fleet, Participant
from scheme.people import people
from scheme.wire.jws import TrustedCertificate, thumbprint
from scheme.wire.tin_json import DEFAULT_VARIANT, WireVariant

log = structlog.get_logger()

EXIT_CONFIG = 2
EXIT_COMMIT_FAILED = 70
"""A group could not be written: nobody starts this again before a person has looked."""
_OWN_NAME = "fleet"
_LINKS: Final = 2
"""Links that a simulated core holds, where it may: with one alone nothing ever crosses."""
_NO_KEY = "none"
"""Key id where no key is shown: without TLS the network believes who a coop says it is."""

_Network = Callable[[str], tuple[AiohttpClient, str]]
"""From a coop to the connections and the key id with which it reaches its network."""


class FleetProcess:
    """Everything of one running fleet.

    Args:
        config: checked settings.
        stop: set when it is to end.
        announce: told once every port serves.
    """

    def __init__(
        self,
        config: Config,
        stop: asyncio.Event,
        announce: Callable[[FleetRunner], None],
    ) -> None:
        self._config = config
        self._stop = stop
        self._announce = announce
        self._clock = SystemClock()
        self._home = Path(config.home)
        self._profile, self._fleet = load_country(config.profile, Path(config.fleet))
        self._simulated = [
            one for one in self._fleet.participant if one.simulated and one.kind != "load"
        ]

    async def run(self) -> None:
        """Serve until the stop is asked for, then let requests end and sync."""
        async with AsyncExitStack() as stack:
            books = SqliteBooks.open(self._home / "fleet.db", on_failure=_commit_failed)
            stack.push_async_callback(books.close)
            self._seed(books)
            runner = self._join(books, stack)
            await runner.start()
            stack.push_async_callback(runner.stop, self._config.grace_s)
            # What is in memory by now stays: the collector need not walk it again and again.
            gc.collect()
            gc.freeze()
            self._announce(runner)
            await self._stop.wait()
            log.info("stopping")

    def _seed(self, books: SqliteBooks) -> None:
        new = [one.code for one in self._simulated if not books.is_seeded(one.code)]
        if new:
            accounts = first_accounts(self._fleet, frozenset(new))
            tills = (till for one in self._simulated if one.code in new for till in tills_of(one))
            books.seed(new, (*accounts, *tills))

    def _join(self, books: SqliteBooks, stack: AsyncExitStack) -> FleetRunner:
        config = self._config
        tasks = Tasks(_bug)
        seals = self._seals(stack)
        tls = None
        if config.switch_url.startswith("https://"):
            # One certificate for the whole process: TLS says that it belongs, signatures say who.
            keys = self._pki((_OWN_NAME,))
            tls = pki.client_context([keys.ca_path], keys.identities[_OWN_NAME])
        http = AiohttpClient(tls)
        stack.push_async_callback(http.close)
        accounts = books.accounts()
        network = self._network(http, stack)
        stations = []
        for entry in self._simulated:
            office = self._office(entry, books, http, seals[entry.code], tasks, accounts, network)
            wire = TinPort(
                entry.code, office.receivers(), seals[entry.code], variant=_variant(entry)
            )
            control = ControlApi(office, books)
            payments = PaymentsPort(office.takers(), seals[entry.code].open)
            stations.append(
                Station(office, wire, payments.answer, control.answer, host=config.host)
            )
        return FleetRunner(stations, tasks)

    def _office(
        self,
        entry: Participant,
        books: SqliteBooks,
        http: AiohttpClient,
        seal: Seal,
        tasks: Tasks,
        accounts: dict[str, list[Account]],
        network: _Network | None,
    ) -> Office:
        code, fleet = entry.code, self._fleet
        line = self._line(entry) if entry.is_single_message else None
        today = wire_date(self._clock.now())
        institution = Institution(
            entry=entry,
            profile=self._profile,
            clock=self._clock,
            rng=random.Random(f"{self._config.seed}:{code}"),
            books=books,
            session=SessionState(code, (one.code for one in fleet.participant), books.facts(code)),
            directories=frozenset(
                directory for one in fleet.participant for directory in one.directories
            ),
            network=frozenset(
                one.code
                for one in fleet.participant
                if entry.is_tiered and one.ledger == entry.ledger and one.code != code
            ),
            spawn=tasks.spawn,
            has_magic=self._config.magic,
            latency_ms=self._config.latency_ms,
            reach=lambda own: self._way_out(own, entry, http, seal, network, line),
        )
        holdings = Holdings(
            accounts=accounts.pop(code, ()),
            held=books.held(code),
            pending=books.pending(code),
            cash=books.open_cash(code),
            credited_today=books.credited_on(code, today),
            spent_today=books.spent_on(code, today),
        )
        return Office(institution, holdings, line)

    def _line(self, entry: Participant) -> Line:
        if not self._config.iso8583_address:
            raise ConfigError(f"{entry.code} is on the ISO 8583 lane: iso8583_address is needed")
        spoken = entry.iso8583
        key_bytes = KEY_BYTES.get(spoken.mac, 0)
        host, _, port = self._config.iso8583_address.rpartition(":")
        rules = self._profile.iso8583
        dialled = Dialled(
            host=host,
            port=int(port),
            code=entry.code,
            spec=spoken.spec,
            header=spoken.header,
            tpdu=spoken.tpdu,
            mac=spoken.mac,
            kek=kek.kek_of(self._home, entry.code, key_bytes) if key_bytes else b"",
            links=min(spoken.links_max, _LINKS),
            reconnect_s=tuple(rules.reconnect_s),
            echo_idle_s=rules.echo_idle_s,
            answer_s=rules.echo_answer_s,
        )
        return Line(dialled, self._clock)

    def _way_out(
        self,
        own: Institution,
        entry: Participant,
        http: AiohttpClient,
        seal: Seal,
        network: _Network | None,
        line: Line | None,
    ) -> ClearingHouse:
        house = self._by_http(own, entry, http, seal, network)
        return house if line is None else LaneHouse(line, house, self._clock)

    def _by_http(
        self,
        own: Institution,
        entry: Participant,
        http: AiohttpClient,
        seal: Seal,
        network: _Network | None,
    ) -> ClearingHouse:
        house = TinClient(
            entry.code,
            self._config.switch_url,
            http,
            seal,
            lambda: own.stamp(self._clock.now()).trace,
            variant=_variant(entry),
            qr_password=self._config.qr_secret,
            token=self._config.token,
        )
        if network is None or not entry.is_tiered:
            return house
        client, key_id = network(entry.code)
        url = self._config.network_url
        return NetworkClient(entry.code, key_id, url, client, house, lambda: str(uuid4()))

    def _network(self, http: AiohttpClient, stack: AsyncExitStack) -> _Network | None:
        """Return how coops reach their network, if it is served."""
        if not self._config.network_url:
            return None
        if not self._config.network_url.startswith("https://"):
            return lambda _: (http, _NO_KEY)
        coops = [one.code for one in self._simulated if one.is_tiered]
        keys = self._pki(coops)

        def own_client(code: str) -> tuple[AiohttpClient, str]:
            # A coop proves here who it is, so each has connections of its own.
            identity = keys.identities[code]
            client = AiohttpClient(pki.client_context([keys.ca_path], identity))
            stack.push_async_callback(client.close)
            return client, thumbprint(identity.certificate)

        return own_client

    def _seals(self, stack: AsyncExitStack) -> dict[str, Seal]:
        """Return what signs and verifies for each institution; keys only where one signs."""
        now = self._clock.now
        plain = Seal(None, None, now)
        signing = [one.code for one in self._simulated if one.jws]
        seals = {one.code: plain for one in self._simulated}
        if not signing:
            return seals
        pool = SigningPool()
        stack.callback(pool.close)
        keys = self._pki((*signing, CLEARING_HOUSE))
        certificate = keys.identities[CLEARING_HOUSE].certificate
        keyring = Keyring({CLEARING_HOUSE: TrustedCertificate.of(certificate, keys.ca)})
        for code in signing:
            own = keys.identities[code]
            signer = Signer(own.key, thumbprint(own.certificate), pool)
            seals[code] = Seal(signer, keyring, now)
        return seals

    def _pki(self, names: Sequence[str]) -> pki.Pki:
        return pki.open_pki(self._home / "pki", names, self._clock.now())


def first_accounts(fleet: Fleet, participants: frozenset[str]) -> list[Account]:
    """Return the accounts with which participants open their books."""
    return [
        Account(
            cci=holding.cci,
            participant=holding.participant,
            name=person.name,
            document=person.document,
            document_code=person.document_code,
            phone=person.phone,
            address=person.address,
            currency=holding.currency,
            status=AccountStatus.ACTIVE,
            affiliated=holding.affiliated,
            balance=holding.opening_minor,
            opening=holding.opening_minor,
        )
        for person in people(fleet, random.Random(fleet.seed))
        for holding in person.holdings
        if holding.participant in participants
    ]


def _variant(entry: Participant) -> WireVariant:
    variant = msgspec.convert(asdict(entry.wire), WireVariant)
    # The usual one is recognised by identity, and takes the fast path.
    return DEFAULT_VARIANT if variant == DEFAULT_VARIANT else variant


def _commit_failed(error: BaseException) -> None:
    """End at once: whoever waits on that group or a later one must never be answered."""
    try:
        log.error("the disk refused a group: the fleet stops", cause=repr(error))
        sys.stderr.flush()
    finally:
        # Whatever the log's own disk says.
        os._exit(EXIT_COMMIT_FAILED)


def _bug(error: BaseException) -> None:
    # One institution's bug must not take the others with it; what it was about is on the disk.
    log.error("task failed", cause=repr(error), exc_info=error)


def _announce(runner: FleetRunner) -> None:
    ready = {
        "event": "ready",
        "pid": os.getpid(),
        "participants": [
            {"code": station.office.institution.code, "port": station.port}
            for station in runner.stations
        ],
    }
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    log.info("serving", participants=len(runner.stations))


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    watch = None
    if config.lifeline:
        watch = lifeline.watch(
            0,
            lambda: loop.call_soon_threadsafe(stop.set),
        )
    await FleetProcess(config, stop, _announce).run()
    if watch is not None:
        watch.stopped()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fleet; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m participants")
    parser.add_argument("--config", required=True, type=Path)
    path: Path = parser.parse_args(arguments).config
    try:
        config = Config.read(path)
        logs.configure(
            process="fleet",
            level=config.log_level,
            path=Path(config.log_file) if config.log_file else None,
        )
        with FolderLock(Path(config.home), "fleet"):
            uvloop.run(_serve(config))
    except (ConfigError, StoreError) as error:
        failed = {"event": "failed", "error": str(error)}
        sys.stdout.write(msgspec.json.encode(failed).decode() + "\n")
        sys.stdout.flush()
        return EXIT_CONFIG
    return 0
