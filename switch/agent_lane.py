"""The agent lane as one object: the broker's edge, the desk of field agents, and its routes.

Everything outside is handed in, so tests join the same parts over other ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from runtime.mqtt_keys import MqttKeys
from scheme.clock import Clock
from scheme.limits import AGENT_OUTBOX_BUSY_MAX
from scheme.network import Fleet
from scheme.profile import Profile
from scheme.wire.mqtt_topics import SWITCH
from switch.agent_desk import AgentDesk
from switch.agent_store import AgentStore
from switch.agent_wire import AgentWire
from switch.config import Config
from switch.core.agent_session import place_of
from switch.edges.agent_mqtt import AgentMqtt
from switch.edges.agents_api import Account, AgentsApi
from switch.edges.iso8583_tcp import Handle
from switch.mqtt_users import MqttUsers
from switch.routes import RouteHandler
from switch.wire_log import WireLog

log = structlog.get_logger()

_FILE: Final = "agents.db"
_LAST_WORDS_S: Final = 1.0
_LOOK_S: Final = 0.02


class Aliases(Protocol):
    """The alias directory, as members are enrolled by it."""

    def entries(self, phone: str) -> Sequence[Any]:
        """Return everything on file about a phone."""

    def resolve_phone(self, phone9: str, code: str) -> Any | None:
        """Return the account behind a phone at an entity, or in a directory."""


def open_agents(
    home: Path,
    config: Config,
    stack: AsyncExitStack,
    *,
    on_failure: Callable[[BaseException], None],
) -> AgentStore | None:
    """Open what field agents said, if there is a broker to hear them by.

    Args:
        stack: closes it again.
        on_failure: told once when it could not be written: the process must end.

    Raises:
        StoreError: it cannot be used.
    """
    if not config.mqtt_port:
        return None
    store = AgentStore.open(str(home / _FILE), on_failure=on_failure)
    stack.callback(store.close)
    stack.push_async_callback(store.drain)
    return store


class AgentLane:
    """The lane of a clearing house that is joined.

    Args:
        home: folder of the keys and of the broker's lists.
        config: where the broker is, and whether everything is said once more as JSON.
        handle: answers what an operation is worded as.
        is_away: tells of an institution that it has no link just now.
        sign: signs an institution on.
        spawn: starts a task that the process owns.

    Raises:
        ConfigError: keys or lists cannot be read or made.
    """

    def __init__(
        self,
        store: AgentStore,
        *,
        home: Path,
        config: Config,
        fleet: Fleet,
        profile: Profile,
        clock: Clock,
        wire_log: WireLog,
        directory: Aliases,
        handle: Handle,
        is_away: Callable[[str], bool],
        sign: Callable[[str], Awaitable[object]],
        spawn: Callable[..., object],
    ) -> None:
        keys = MqttKeys.open(home)
        groups = {group.institution: group for group in fleet.agents}
        self._institutions = tuple(groups)
        self._sign = sign
        self._edge = AgentMqtt(
            host=config.mqtt_host,
            port=config.mqtt_port,
            password=keys.password(SWITCH),
            is_known=lambda device: place_of(device, groups) is not None,
            spawn=spawn,
        )
        self._wire = AgentWire(wire_log, clock, self._mirror if config.mqtt_json_mirror else None)
        self._desk = AgentDesk(
            handle=handle,
            is_away=is_away,
            is_behind=lambda: self._edge.client.queued > AGENT_OUTBOX_BUSY_MAX,
            store=store,
            fleet=fleet,
            profile=profile,
            clock=clock,
            keys=keys.device_key,
            send=self._edge.send,
            spawn=spawn,
        )
        self._api = AgentsApi(
            self._desk,
            self,
            users=MqttUsers(home),
            accounts_of=_accounts_of(directory),
            member_of=keys.member_of,
            entities=fleet.by_code(),
        )

    @property
    def view(self) -> Mapping[str, Any]:
        """How the connection to the broker stands, and what was dropped since the start."""
        client = self._edge.client
        return {
            "connected": client.is_up,
            "waiting_in": self._edge.waiting,
            "waiting_out": client.queued,
            "dropped_in": self._edge.dropped,
            "dropped_out": client.dropped,
        }

    async def start(self) -> int:
        """Take up what has no verdict yet, then take what terminals say.

        Returns:
            How many operations had none.
        """
        for code in self._institutions:
            # It has no core that could: its agents' operations are the clearing house's to carry
            # out, so it is there whenever the lane is.
            await self._sign(code)
        taken_up = await self._desk.start()
        self._edge.start(self._desk, self._wire)
        return taken_up

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, and tell what came of it.

        What cannot be finished stays on disk, and is taken up at the next start.
        """
        await self._edge.stop()
        await self._desk.stop()
        client = self._edge.client
        for _look in range(round(_LAST_WORDS_S / _LOOK_S)):
            if not (client.is_up and client.queued):
                break
            await asyncio.sleep(_LOOK_S)

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the operator's routes of this lane."""
        return self._api.routes()

    def _mirror(self, topic: str, payload: bytes) -> None:
        # For onlookers only: it must not take the place of answers while the broker is away.
        if self._edge.client.is_up:
            self._edge.client.publish(topic, payload)


def _accounts_of(directory: Aliases) -> Callable[[str, str | None], Sequence[Account]]:
    def find(phone: str, entity: str | None) -> Sequence[Account]:
        if entity is not None:
            found = directory.resolve_phone(phone, entity)
            return () if found is None else (Account(entity, found.cci),)
        return [
            Account(one.participant, one.cci)
            for one in directory.entries(phone)
            if one.state == "ACTIVE"
        ]

    return find
