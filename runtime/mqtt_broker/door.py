"""Lets clients in to the embedded broker: the ports, who is who, one connection for each user."""

import asyncio
import errno
import ssl

import structlog

from runtime.mqtt_broker import packets
from runtime.mqtt_broker.connection import Connection, Incoming, Outgoing
from runtime.mqtt_broker.embedded import LISTENER, EmbeddedBroker
from runtime.mqtt_broker.users import LOOK_S, Users
from scheme.errors import ConfigError
from scheme.limits import AGENT_PAYLOAD_BYTES_MAX
from scheme.wire import mqtt_topics

log = structlog.get_logger()

_BACKLOG = 1024
_HANDSHAKE_S = 10.0
_HELD_UP_S = 0.002
_LEAVING_S = 2.0
_LEVEL = 4


class Door:
    """The ports of the embedded broker.

    Args:
        connections_max: open at once on each port; further ones are closed.
    """

    def __init__(self, users: Users, *, connections_max: int) -> None:
        self._users = users
        self._connections_max = connections_max
        self._broker = EmbeddedBroker()
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._inside: dict[str, Connection] = {}

    async def start(self) -> None:
        """Start what is behind the door."""
        await self._broker.start()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Open a port, and return it.

        Raises:
            ConfigError: it is taken, or not ours to take.
        """
        shake_s = _HANDSHAKE_S if tls else None
        try:
            server = await asyncio.start_server(
                self._serve,
                host,
                port,
                ssl=tls,
                ssl_handshake_timeout=shake_s,
                backlog=_BACKLOG,
                limit=2 * packets.PACKET_BYTES_MAX,
            )
        except OSError as error:
            raise ConfigError(_why_not(host, port, error)) from error
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def watch(self) -> None:
        """Cut off whoever may not connect any more, within moments; for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._users.look():
                await self._turn_out()

    async def stop(self) -> None:
        """Close the ports and every connection."""
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._broker.shutdown()

    async def _turn_out(self) -> None:
        known = set(self._inside) | set(self._broker.sessions)
        for username in sorted(known - self._users.names):
            log.info("user turned out", user=username)
            connection = self._inside.get(username)
            if connection is not None:
                await self._put_out(connection)
            await self._broker.forget(username)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, lambda: self._may_read(connection))
        if len(self._connections) >= self._connections_max * len(self._servers):
            log.warning("too many connections", limit=self._connections_max)
            connection.abort()
            return
        self._connections.add(connection)
        try:
            await self._let_in(connection)
        finally:
            self._connections.discard(connection)
            connection.abort()

    async def _let_in(self, connection: Connection) -> None:
        connect = await connection.connect()
        if connect is None:
            return
        if connect.level != _LEVEL:
            await connection.refuse(packets.WRONG_PROTOCOL)
            return
        if self._users.look():
            await self._turn_out()
        if not self._admits(connect):
            log.warning("client refused", user=connect.username, peer=connection.peer)
            await connection.refuse(packets.NOT_AUTHORISED)
            return
        await self._take_over(connect.username, connection)
        try:
            # Looked up once more: it may have been turned out while it waited.
            if connect.username in self._users.names:
                await self._serve_inside(connect, connection)
        finally:
            del self._inside[connect.username]
            connection.ended.set()

    async def _serve_inside(self, connect: packets.Connect, connection: Connection) -> None:
        log.debug("client connected", user=connect.username, peer=connection.peer)
        incoming = Incoming(connection, packets.admitted(connect))
        try:
            await self._broker.external_connected(incoming, Outgoing(connection), LISTENER)
        finally:
            await self._broker.left(connect.username)
            if connect.clean:
                await self._broker.forget(connect.username)

    def _admits(self, connect: packets.Connect) -> bool:
        will = connect.will
        if will is not None and (
            not mqtt_topics.may_write(connect.username, will.topic)
            or len(will.payload) > AGENT_PAYLOAD_BYTES_MAX
        ):
            return False
        return self._users.are(connect.username, connect.password)

    async def _take_over(self, username: str, connection: Connection) -> None:
        """Take a user's place; whoever has it goes first, with its last will."""
        while (before := self._inside.get(username)) is not None:
            await self._put_out(before)
        connection.username = username
        self._inside[username] = connection

    async def _put_out(self, connection: Connection) -> None:
        """Cut a client off and wait until nothing of it is served any more."""
        connection.abort()
        try:
            async with asyncio.timeout(_LEAVING_S):
                await connection.ended.wait()
        except TimeoutError:
            log.exception("connection does not end", user=connection.username)
            connection.task.cancel()
            await connection.ended.wait()

    async def _may_read(self, connection: Connection) -> None:
        # amqtt tells nobody that it is ready, or that its queue has emptied.
        while not self._broker.may_be_read(connection.username):  # noqa: ASYNC110
            await asyncio.sleep(_HELD_UP_S)


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken"
    return f"port {port} on {host}: {error.strerror}"
