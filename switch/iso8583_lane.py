"""The ISO 8583 lane as one object: links, requests both ways, sessions, cash, and its routes.

Everything outside is handed in, so tests join the same parts over other ends.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.iso8583_speech import KEY_BYTES, NO_MAC
from runtime.kek import kek_of
from scheme.clock import Clock
from scheme.network import Participant
from scheme.profile import Profile
from switch.cash import Cash
from switch.cash_ports import AccountOf
from switch.edges.cash_api import CashApi
from switch.edges.iso8583_api import Iso8583Api
from switch.edges.iso8583_peers import Iso8583Cores, Iso8583Peers
from switch.edges.iso8583_tcp import Handle, Iso8583Acceptor
from switch.house import House
from switch.iso8583_desk import Iso8583Desk
from switch.iso8583_links import IsoLinks
from switch.iso8583_sessions import SessionDesk
from switch.lane_peers import ISO8583, LanePeers
from switch.ports import Directory, Ledger, Peers, WindowOf
from switch.routes import RouteHandler
from switch.store import SqliteStore
from switch.wire_log import WireLog


class Iso8583Peering:
    """What the clearing house needs to reach participants of this lane, before it is there itself.

    Args:
        http: the peers of the other lane.

    Attributes:
        links: who is on which link, and what did not fit.
        iso: participants of this lane.
        peers: everybody, each on the wire of its lane.
    """

    def __init__(
        self,
        http: Peers,
        *,
        fleet: Mapping[str, Participant],
        wire_log: WireLog,
        clock: Clock,
    ) -> None:
        self.links = IsoLinks(fleet, clock)
        self.iso = Iso8583Peers(self.links, fleet=fleet, wire_log=wire_log, clock=clock)
        self.peers = LanePeers(http, self.iso, fleet)


class Iso8583Lane:
    """The lane of a clearing house that is joined.

    Args:
        random_bytes: unpredictable ones, for keys and one-time codes.
        spawn: starts a task that the process owns.

    Attributes:
        cash: withdrawals, balances and one-time codes.
    """

    def __init__(
        self,
        peering: Iso8583Peering,
        house: House,
        *,
        ledger: Ledger,
        store: SqliteStore,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        wire_log: WireLog,
        window_of: WindowOf,
        directory: Directory,
        random_bytes: Callable[[int], bytes],
        spawn: Callable[..., object],
    ) -> None:
        self._links = peering.links
        self._house = house
        self._store = store
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._log = wire_log
        self._random_bytes = random_bytes
        self._spawn = spawn
        self._acceptor: Iso8583Acceptor | None = None
        peering.iso.next_stan = house.stans.take
        self.cash = Cash(
            ledger=ledger,
            store=store,
            cores=Iso8583Cores(peering.iso),
            outbox=house.outbox,
            fleet=fleet,
            profile=profile,
            clock=clock,
            state=lambda: house.sessions.state,
            window_of=window_of,
            account_of=_account_of(directory),
            random_bytes=random_bytes,
            is_elsewhere=self._is_elsewhere,
        )
        self._desk = self._joined()

    def is_away(self, code: str) -> bool:
        """Tell whether a participant is of this lane, and has no link just now."""
        return self._links.is_away(code)

    @property
    def handle(self) -> Handle:
        """What answers requests of any lane that are worded as this one's."""
        return self._desk.handle

    @property
    def port(self) -> int | None:
        """Where links are taken, or None if nobody is of this lane."""
        return None if self._acceptor is None else self._acceptor.port

    async def start(self, *, host: str, port: int, home: Path) -> None:
        """Take links, if any participant is of this lane.

        Args:
            home: folder of the key-encrypting keys that the environment does not name.

        Raises:
            ConfigError: the address cannot be had, or a key cannot be read.
        """
        if not self._links.lanes:
            return
        house = self._house
        acceptor = Iso8583Acceptor(
            links=self._links,
            handle=self.handle,
            next_stan=house.stans.take,
            rules=self._profile.iso8583,
            wire_log=self._log,
            clock=self._clock,
            spawn=self._spawn,
            host=host,
            port=port,
        )
        sessions = SessionDesk(
            links=self._links,
            fleet=self._fleet,
            sign=lambda code, on: house.sessions.sign(code, on=on),
            wake=house.outbox.wake,
            keks=_keks(home, self._fleet),
            new_key=self._random_bytes,
            probe=acceptor.probe,
            wire_log=self._log,
            clock=self._clock,
            spawn=self._spawn,
        )
        await acceptor.start(sessions)
        self._acceptor = acceptor

    async def stop(self, grace_s: float) -> None:
        """Take no more links, let answers go out for at most ``grace_s``, end all links."""
        if self._acceptor is not None:
            await self._acceptor.stop(grace_s)

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the operator's routes of this lane, and of cash."""
        state = self._house.sessions
        api = Iso8583Api(
            self._links,
            is_signed_on=lambda code: state.state.session(code).signed_on,
            fleet=self._fleet,
        )
        return {**api.routes(), **CashApi(self.cash.codes, self._store).routes()}

    def _is_elsewhere(self, key: str) -> bool:
        return self._desk.knows(key)  # Each asks the other, so one is there before.

    def _joined(self) -> Iso8583Desk:
        house = self._house
        return Iso8583Desk(
            orders=house.router,
            queries=house.verifier,
            cash=self.cash,
            binding=house.verifier.binding,
            fleet=self._fleet,
            profile=self._profile,
            clock=self._clock,
            spawn=self._spawn,
        )


def _keks(home: Path, fleet: Mapping[str, Participant]) -> Mapping[str, bytes]:
    """Return the key-encrypting key of every participant with a MAC; missing ones are made."""
    return {
        code: kek_of(home, code, KEY_BYTES[one.iso8583.mac])
        for code, one in fleet.items()
        if one.lane == ISO8583 and one.iso8583.mac != NO_MAC
    }


def _account_of(directory: Directory) -> AccountOf:
    def find(phone: str, code: str) -> str | None:
        found = directory.resolve_phone(phone, code)
        return None if found is None else found.cci

    return find
