"""One client's connection as amqtt reads and writes it, with the bounds that amqtt lacks."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from amqtt.adapters import ReaderAdapter, WriterAdapter

from runtime.mqtt_broker import packets
from runtime.mqtt_broker.packets import Head, MalformedPacket
from scheme.limits import AGENT_PAYLOAD_BYTES_MAX

log = structlog.get_logger()

CONNECT_S = 10.0
"""Seconds that a client has to say who it is."""
_SENDING_S = 10.0
"""Seconds for which a client may leave what is sent to it unread."""
_GRACE = 1.5
"""A client may be silent for so many times the interval that it promised."""


class Connection:
    """A socket, read packet by packet; nothing that it does raises.

    Args:
        may_read: waited for before each packet: how a client is held up.

    Attributes:
        username: of the client that was let in.
        task: serves it.
        ended: set once nothing of it is served any more.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        may_read: Callable[[], Awaitable[None]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._may_read = may_read
        self._silence_s: float | None = None
        self.username = ""
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.ended = asyncio.Event()

    @property
    def peer(self) -> tuple[str, int] | None:
        """Address and port of the other side; None once it is gone."""
        name = self._writer.get_extra_info("peername")
        return (str(name[0]), int(name[1])) if name else None

    def abort(self) -> None:
        """Cut it, now."""
        self._writer.transport.abort()

    async def connect(self) -> packets.Connect | None:
        """Return the first packet, if a client says in time and soundly who it is."""
        try:
            async with asyncio.timeout(CONNECT_S):
                head, data = await self._packet(Head.check_first)
            connect = packets.parse_connect(data[head.head_bytes :])
        except (MalformedPacket, OSError, EOFError, TimeoutError):
            return None
        self._silence_s = connect.keepalive_s * _GRACE or None
        return connect

    async def refuse(self, code: int) -> None:
        """Turn a client away."""
        with suppress(OSError, TimeoutError):
            self._writer.write(packets.refusal(code))
            await self.drain()
            self._writer.close()

    async def next_packet(self) -> bytes:
        """Return a packet, or nothing: the client has gone, is silent or breaks the rules."""
        try:
            await self._may_read()
            async with asyncio.timeout(self._silence_s):
                head, data = await self._packet(Head.check)
            if head.kind == packets.PUBLISH:
                _check_payload(head, data)
        except MalformedPacket as error:
            log.warning("client cut off", user=self.username, rule=error.rule)
        except TimeoutError:
            log.info("client silent", user=self.username)
        except (OSError, EOFError):
            pass
        else:
            return data
        return b""

    async def _packet(self, check: Callable[[Head], None]) -> tuple[Head, bytes]:
        start = await self._reader.readexactly(2)
        while (head := Head.of(start)) is None:
            start += await self._reader.readexactly(1)
        check(head)
        return head, start + await self._reader.readexactly(head.body_bytes)

    def write(self, data: bytes) -> None:
        """Send.

        Raises:
            ConnectionResetError: it is cut.
        """
        if self._writer.transport.is_closing():
            raise ConnectionResetError
        self._writer.write(data)

    async def drain(self) -> None:
        """Wait until the client reads on; who does not is cut.

        Raises:
            ConnectionResetError: it is cut.
        """
        if not self._writer.transport.get_write_buffer_size():
            return
        try:
            async with asyncio.timeout(_SENDING_S):
                await self._writer.drain()
        except TimeoutError as error:
            self.abort()
            raise ConnectionResetError from error

    def close(self) -> None:
        """Send what is left, and close."""
        self._writer.close()


def _check_payload(head: Head, data: bytes) -> None:
    if packets.payload_bytes(head, data[head.head_bytes :]) > AGENT_PAYLOAD_BYTES_MAX:
        raise MalformedPacket("a payload too long")


class Incoming(ReaderAdapter):
    """What amqtt reads: our own CONNECT first, then the client's packets."""

    def __init__(self, connection: Connection, connect: bytes) -> None:
        self._connection = connection
        self._data = connect
        self._at = 0

    async def read(self, n: int = -1) -> bytes:
        """Return the next bytes of a packet; nothing when no further one comes."""
        if self._at == len(self._data):
            self._data, self._at = await self._connection.next_packet(), 0
        end = len(self._data) if n < 0 else self._at + n
        taken = self._data[self._at : end]
        self._at += len(taken)
        return taken

    def feed_eof(self) -> None:
        """Nothing: the connection's end is the end."""


class Outgoing(WriterAdapter):
    """What amqtt writes to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        """Send."""
        self._connection.write(data)

    async def drain(self) -> None:
        """Wait until the client reads on."""
        await self._connection.drain()

    def get_peer_info(self) -> tuple[str, int] | None:
        """Return address and port of the other side."""
        return self._connection.peer

    def get_ssl_info(self) -> ssl.SSLObject | None:
        """Return nothing: who a client is, its password says."""
        return None

    async def close(self) -> None:
        """Send what is left, and close."""
        self._connection.close()
