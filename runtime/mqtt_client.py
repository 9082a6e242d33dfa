"""A client of an MQTT broker that comes back by itself.

Everything goes out at QoS 1 from one bounded queue, which also takes what is said while the broker
is away. QoS is a courtesy: whoever needs certainty has acknowledgements of his own.
"""

import asyncio
import logging
import math
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import aiomqtt
import structlog
from aiomqtt.exceptions import MqttConnectError
from aiomqtt.types import PahoSocket

from scheme.errors import NotConnected
from scheme.limits import (
    AGENT_OUTBOX_MAX,
    CONNECT_S_MAX,
    MQTT_KEEPALIVE_S,
    MQTT_PUBLISHING_MAX,
    MQTT_RECONNECT_S,
)

log = structlog.get_logger()

_ANSWER_S: Final = 10.0
"""Seconds that the broker has to accept a client or a subscription."""
_LEAVE_S: Final = 0.1
_QOS: Final = 1
_GRANTED: Final = (0, _QOS)
_PAHO_IS_FINE: Final = 0
_PUBACK_BYTES: Final = 4
_AT_ONCE: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""Else what follows an acknowledgement waits 40 ms for that of TCP."""
_PING_LOOK_S: Final = MQTT_KEEPALIVE_S / 8
"""Seconds between two looks whether a ping is due, or was not answered."""
_UNACKNOWLEDGED_S: Final = 2.0 * MQTT_KEEPALIVE_S
"""A broker that answers pings, but has not acknowledged for so long, is left."""
_SILENT: Final = logging.getLogger("chasqui.mqtt")
"""aiomqtt and paho speak to Python's logging, which is not this house's log."""
_SILENT.disabled = True


class _Outgoing:
    """One message on its way; ``done`` is there if somebody waits for it."""

    __slots__ = ("done", "payload", "retain", "topic")

    def __init__(
        self, topic: str, payload: bytes, retain: bool, done: asyncio.Future[None] | None
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.retain = retain
        self.done = done


class MqttClient:
    """One user of the broker, whose name is also its client id.

    Args:
        on_message: takes topic and payload of a message, on the loop; must neither block nor
            raise. What a persistent session kept may come before ``on_up``.
        subscriptions: filters, each at QoS 1.
        on_up: connected, and every subscription is granted.
        on_down: a connection, or an attempt at one, has ended; takes the reason.
        will: topic and payload that the broker keeps for everybody when this client is lost.
        clean: False: the broker keeps subscriptions and messages while the client is away.
        queue_max: messages waiting to go out.
        client_id: where one user has several clients.
        chance: makes each wait for the broker up to half as short, as many may wait for it.

    Attributes:
        is_up: whether it is connected and subscribed.
        dropped: messages that found the queue full.
        sent_bytes, received_bytes: payloads acknowledged, and taken.
        wire_sent, wire_received: the same as MQTT packets with their acknowledgements, without
            TCP, TLS and the packets that keep a connection.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str,
        password: str,
        on_message: Callable[[str, bytes], None],
        subscriptions: Sequence[str] = (),
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[str], None] = lambda _: None,
        will: tuple[str, bytes] | None = None,
        clean: bool = True,
        tls: ssl.SSLContext | None = None,
        queue_max: int = AGENT_OUTBOX_MAX,
        client_id: str = "",
        chance: random.Random | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._on_message = on_message
        self._subscriptions = tuple(subscriptions)
        self._on_up = on_up
        self._on_down = on_down
        self._will = will
        self._clean = clean
        self._tls = tls
        self._queue_max = queue_max
        self._client_id = client_id or username
        self._chance = chance
        self._through = _queue_to(self._received)
        self._waiting: deque[_Outgoing] = deque()
        self._under_way: dict[asyncio.Task[None], tuple[_Outgoing, float]] = {}
        self._connection: aiomqtt.Client | None = None
        self._failures = 0
        self._said = ""
        self.dropped = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self.wire_sent = 0
        self.wire_received = 0

    @property
    def is_up(self) -> bool:
        """Whether it is connected and subscribed."""
        return self._connection is not None

    @property
    def queued(self) -> int:
        """How many messages the broker has not acknowledged yet."""
        return len(self._waiting) + len(self._under_way)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Queue a message; False if the queue is full, and the message dropped and counted."""
        return self._put(_Outgoing(topic, payload, retain, None))

    async def deliver(self, topic: str, payload: bytes) -> None:
        """Publish a message and wait until the broker has acknowledged it.

        Raises:
            NotConnected: the broker is away, or went before it acknowledged (it may have the
                message), or the queue is full.
        """
        if self._connection is None:
            raise NotConnected("the broker is away")
        done = asyncio.get_running_loop().create_future()
        if not self._put(_Outgoing(topic, payload, False, done)):
            raise NotConnected("too many messages wait for the broker")
        await done

    async def run(self) -> None:
        """Connect, subscribe, send and take messages, again and again; cancelled to end."""
        while True:
            reason = await self._session()
            if reason != self._said:  # Once for an outage, however often it is tried.
                log.warning("broker away", user=self._username, port=self._port, cause=reason)
                self._said = reason
            self._on_down(reason)
            await asyncio.sleep(self._pause())
            self._failures += 1

    def _pause(self) -> float:
        pause = MQTT_RECONNECT_S[min(self._failures, len(MQTT_RECONNECT_S) - 1)]
        return pause if self._chance is None else pause * self._chance.uniform(0.5, 1.0)

    async def _session(self) -> str:
        """Serve one connection and return why it ended."""
        client = self._new()
        try:
            await client.enter()
            await self._subscribe(client)
            self._opened(client)
            await self._until_lost(client)
        except aiomqtt.MqttError as error:
            return _reason(error)
        finally:
            self._closed()
            await client.leave()
        return "the connection has ended"

    def _new(self) -> "_Client":
        will = None
        if self._will is not None:
            will = aiomqtt.Will(self._will[0], self._will[1], qos=_QOS, retain=True)
        client = _Client(
            self._host,
            self._port,
            identifier=self._client_id,
            username=self._username,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V311,
            will=will,
            clean_session=self._clean,
            keepalive=MQTT_KEEPALIVE_S,
            timeout=_ANSWER_S,
            tls_context=self._tls,
            queue_type=self._through,
            max_inflight_messages=MQTT_PUBLISHING_MAX,
            socket_options=_AT_ONCE,
            logger=_SILENT,
        )
        client.pending_calls_threshold = MQTT_PUBLISHING_MAX + len(self._subscriptions)
        return client

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        if not self._subscriptions:
            return
        wanted = [(one, _QOS) for one in self._subscriptions]
        codes = await client.subscribe(wanted)
        for (topic, _), code in zip(wanted, codes, strict=True):
            if code not in _GRANTED:
                raise aiomqtt.MqttError(f"subscription refused: {topic}")

    def _opened(self, client: aiomqtt.Client) -> None:
        self._connection = client
        self._failures = 0
        self._said = ""
        log.info("broker reached", user=self._username, port=self._port)
        self._on_up()
        self._pump()

    async def _until_lost(self, client: aiomqtt.Client) -> None:
        """Wait until the connection ends, which raises."""
        watching = asyncio.ensure_future(self._watch())
        losing = asyncio.ensure_future(_lost(client))
        both = (watching, losing)
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _watch(self) -> None:
        """Leave a broker that no longer acknowledges."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_UNACKNOWLEDGED_S / 4)
            oldest = min((since for _, since in self._under_way.values()), default=math.inf)
            if loop.time() - oldest > _UNACKNOWLEDGED_S:
                raise aiomqtt.MqttError("the broker no longer acknowledges")

    def _closed(self) -> None:
        """Take back what was under way: it goes first when the broker is there again."""
        self._connection = None
        under_way, self._under_way = self._under_way, {}
        for task in under_way:
            task.cancel()
        self._waiting.extendleft(one for one, _ in reversed(under_way.values()))
        kept: deque[_Outgoing] = deque()
        for one in self._waiting:
            if one.done is None:
                kept.append(one)
            elif not one.done.done():
                one.done.set_exception(NotConnected("the connection to the broker was lost"))
        self._waiting = kept

    def _put(self, one: _Outgoing) -> bool:
        if len(self._waiting) >= self._queue_max:
            self.dropped += 1
            return False
        self._waiting.append(one)
        self._pump()
        return True

    def _pump(self) -> None:
        while (
            self._connection is not None
            and self._waiting
            and len(self._under_way) < MQTT_PUBLISHING_MAX
        ):
            one = self._waiting.popleft()
            loop = asyncio.get_running_loop()
            task = loop.create_task(self._send(self._connection, one))
            self._under_way[task] = (one, loop.time())
            task.add_done_callback(self._ended)

    async def _send(self, client: aiomqtt.Client, one: _Outgoing) -> None:
        # Without a timer of its own: the watch looks at all of them, at a fraction of the cost.
        await client.publish(one.topic, one.payload, _QOS, one.retain, timeout=math.inf)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task not in self._under_way:
            return
        error = task.exception()
        if isinstance(error, aiomqtt.MqttError):
            return  # Kept under way: the connection's end, which comes with it, takes it back.
        one, _ = self._under_way.pop(task)
        if error is None:
            self.sent_bytes += len(one.payload)
            self.wire_sent += packet_bytes(one.topic, len(one.payload), _QOS)
            self.wire_received += _PUBACK_BYTES
        else:
            log.error("a message that cannot be published", topic=one.topic, cause=repr(error))
        if one.done is not None and not one.done.done():
            if error is None:
                one.done.set_result(None)
            else:
                one.done.set_exception(error)
        self._pump()

    def _received(self, message: aiomqtt.Message) -> None:
        topic, payload = message.topic.value, message.payload
        assert isinstance(payload, bytes), "paho hands over what came"
        self.received_bytes += len(payload)
        self.wire_received += packet_bytes(topic, len(payload), message.qos)
        self.wire_sent += _PUBACK_BYTES if message.qos else 0
        self._on_message(topic, payload)


class _Client(aiomqtt.Client):
    """aiomqtt's, but nothing of its connection outlives it, whenever it is cancelled.

    Nor does it ask for a socket that has been closed since: it asks the loop, one turn later, for
    the moment when a descriptor can be written; by then that may be gone, or somebody else's.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._client.connect_timeout = CONNECT_S_MAX
        self._dialled = asyncio.Event()

    async def enter(self) -> None:
        """Connect; a cancellation waits for the thread that does it, to close its socket."""
        entering = asyncio.ensure_future(self.__aenter__())
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            dialled = asyncio.ensure_future(self._dialled.wait())
            both = (entering, dialled)
            await asyncio.wait(both, timeout=CONNECT_S_MAX, return_when=asyncio.FIRST_COMPLETED)
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            raise

    async def leave(self) -> None:
        """Disconnect, also what was only half connected."""
        greeted = self._connected
        try:
            if greeted.done() and not greeted.cancelled() and greeted.exception() is None:
                self.timeout = _LEAVE_S
                with suppress(aiomqtt.MqttError):
                    await self.__aexit__(None, None, None)
        finally:
            self._cut()

    def _cut(self) -> None:
        sock = self._client.socket()
        if sock is None or sock.fileno() < 0:
            return
        self._client.on_socket_unregister_write = None
        self._client.on_socket_close = None
        self._loop.remove_writer(sock.fileno())
        self._loop.remove_reader(sock.fileno())
        if self._misc_task is not None:
            self._misc_task.cancel()
        sock.close()

    async def _misc_loop(self) -> None:
        # aiomqtt looks every second, which thousands of clients in one process would feel.
        while self._client.loop_misc() == _PAHO_IS_FINE:  # noqa: ASYNC110 - paho tells nobody
            await asyncio.sleep(_PING_LOOK_S)

    def _client_connect(self) -> None:
        try:
            super()._client_connect()
        finally:
            self._loop.call_soon_threadsafe(self._dialled.set)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: PahoSocket) -> None:
        def ask() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        def write() -> None:
            try:
                client.loop_write()
            except OSError as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        self._loop.call_soon_threadsafe(ask)


def packet_bytes(topic: str, payload_bytes: int, qos: int) -> int:
    """Return the length of a PUBLISH packet: its header, topic, id and payload."""
    rest = 2 + len(topic.encode()) + (2 if qos else 0) + payload_bytes
    length_bytes = max(1, (rest.bit_length() + 6) // 7)
    return 1 + length_bytes + rest


def _queue_to(take: Callable[[aiomqtt.Message], None]) -> type[asyncio.Queue[aiomqtt.Message]]:
    """Return a kind of queue that hands on at once, so nothing piles up inside aiomqtt.

    A message is acknowledged to the broker only when it was handed on.
    """

    class Through(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            take(item)

    return Through


async def _lost(client: aiomqtt.Client) -> None:
    """Wait until a connection is lost, which raises."""
    try:
        async for _ in client.messages:
            raise AssertionError("messages are handed on before they reach this queue")
    except aiomqtt.MqttError as error:
        raise aiomqtt.MqttError("the connection was lost") from error


def _reason(error: aiomqtt.MqttError) -> str:
    if isinstance(error, MqttConnectError):
        return f"the broker refuses {error.rc}"
    return str(error)
