"""Dale in the switch's process: its part in the directory, its bulk folder and its port, joined."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from directory.bulk import BulkFolder
from directory.core.alias import Refusal
from directory.core.dale import stands
from directory.core.registry import Order
from directory.dale import Dale
from directory.dale_store import DaleStore
from directory.dale_upstream import InProcess
from directory.service import DirectoryService
from directory.store import DirectoryStore
from runtime.http_guard import LOOPBACK
from runtime.http_server import GuardedServer
from scheme.cci import CciCheck
from scheme.clock import Clock
from scheme.network import Fleet, Participant
from scheme.people import people
from scheme.profile import Profile
from switch.config import Config
from switch.core.network_sessions import NetworkSessions
from switch.edges.network_http import Messages, NetworkEdge
from switch.keys import Keys
from switch.network_desk import NetworkDesk
from switch.network_requests import Requests

BULK_FOLDER = Path("network") / "bulk"


class AccessNetwork:
    """The coops' network over one directory. Made by ``open``.

    Attributes:
        members: its coops, by code; without any, nothing of it is served.
        dale: its part in the directory.
        bulk: the folder of bulk files, of participants outside of the network too.
    """

    def __init__(
        self,
        home: Path,
        index: DaleStore,
        directory: DirectoryService,
        *,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
    ) -> None:
        self.members = members_of(fleet)
        self._fleet = fleet
        self._index = index
        self._clock = clock
        self._rules = profile.network
        self._national = InProcess(directory)
        self.dale = Dale(
            index,
            self._national,
            members=self.members,
            rules=profile.directory,
            network=profile.network,
            clock=clock,
        )
        self.bulk = BulkFolder(home / BULK_FOLDER, self._settle, participants=fleet, clock=clock)

    @classmethod
    async def open(
        cls,
        home: Path,
        store: DirectoryStore,
        directory: DirectoryService,
        *,
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
    ) -> Self:
        """Open the index in the directory's seeded store, and make the folder.

        Raises:
            ConfigError: the folder cannot be made.
            StoreError: the index cannot be written.
        """
        index = await DaleStore.open(store, members_of(fleet))
        network = cls(home, index, directory, fleet=fleet, profile=profile, clock=clock)
        network.bulk.prepare()
        return network

    def server(
        self, messages: Messages, config: Config, keys: Keys, new_token: Callable[[], str]
    ) -> GuardedServer | None:
        """Return the network's port, not started yet; None where nobody is a member.

        Args:
            new_token: returns an unguessable text.
        """
        if not self.members:
            return None
        is_tls = config.tls or not self._rules.plain_http
        # In plain HTTP nobody proves who it is, so nobody from elsewhere is let in.
        host = config.host if is_tls else "127.0.0.1"
        edge = NetworkEdge(
            NetworkDesk(self.dale, self._fleet),
            messages,
            members=self.members,
            sessions=NetworkSessions(self._rules.session_s),
            requests=Requests(self._index),
            keys=keys.member_keys(self.members) if is_tls else None,
            clock=self._clock,
            hosts=LOOPBACK,
            new_token=new_token,
        )
        return GuardedServer(
            edge.handle,
            host=host,
            port=config.network_port,
            tls=keys.network_tls(config) if is_tls else None,
            shows_certificates=is_tls,
        )

    async def _settle(self, order: Order) -> Refusal | None:
        """Carry out a record of a bulk file, a coop's through the network."""
        if order.participant in self.members:
            return await self.dale.settle(order)
        if stands(await self._national.entry(order.phone, order.participant), order):
            return None
        outcome = await self._national.register(order)
        return outcome if isinstance(outcome, Refusal) else None


async def open_directory(
    home: Path, store: DirectoryStore, *, fleet: Fleet, profile: Profile, clock: Clock
) -> tuple[DirectoryService, AccessNetwork]:
    """Return the national directory over an open store, seeded, and the network before it.

    Raises:
        ConfigError: the network's folder cannot be made.
        StoreError: the store cannot be written.
    """
    members = fleet.by_code()
    directory = DirectoryService(
        store,
        clock=clock,
        rules=profile.directory,
        participants=members,
        check=CciCheck(profile.cci.clearing_house),
    )
    if not store.is_seeded:
        await directory.seed(people(fleet, random.Random(fleet.seed)))
    network = await AccessNetwork.open(
        home, store, directory, fleet=members, profile=profile, clock=clock
    )
    return directory, network


def members_of(fleet: Mapping[str, Participant]) -> dict[str, Participant]:
    """Return the coops of the network."""
    return {code: one for code, one in fleet.items() if one.is_tiered}
