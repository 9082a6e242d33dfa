"""A client of an MQTT broker that is light enough for thousands in one process.

MQTT 3.1.1, one subscription, QoS 1, a session that the broker keeps. What the broker did not
acknowledge is not repeated: a terminal repeats what counts by itself.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final, cast

KEEP_ALIVE_S: Final = 30
_PING_S: Final = KEEP_ALIVE_S * 2 / 3
_AGAIN_S: Final = (0.2, 1.0)
_IDS: Final = 0xFFFF
_LEVEL: Final = b"\x00\x04MQTT\x04"
# User name, password, and a last will that is retained, at QoS 1; the session is kept.
_CONNECT_FLAGS: Final = 0x80 | 0x40 | 0x20 | 0x08 | 0x04
_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 0x10, 0x20, 0x30, 0x40
_SUBSCRIBE, _SUBACK, _PING, _DISCONNECT = 0x82, 0x90, 0xC0, 0xE0
_KIND: Final = 0xF0
_AT_LEAST_ONCE: Final = 0x02
_RETAINED: Final = 0x01
_MORE: Final = 0x80
_REFUSED: Final = 0x80
_LENGTH_BYTES_MAX: Final = 4


class User:
    """Who connects, and what it reads and leaves behind.

    Args:
        name: user name and client id; topic: what it subscribes to.
        will: topic and payload.
    """

    __slots__ = ("_connect", "_subscribe", "name")

    def __init__(self, name: str, password: str, *, topic: str, will: tuple[str, bytes]) -> None:
        self.name = name
        flags = bytes((_CONNECT_FLAGS,)) + KEEP_ALIVE_S.to_bytes(2, "big")
        fields = (name.encode(), will[0].encode(), will[1], name.encode(), password.encode())
        self._connect = packet(_CONNECT, _LEVEL + flags + b"".join(map(_sized, fields)))
        self._subscribe = packet(_SUBSCRIBE, b"\x00\x01" + _sized(topic.encode()) + b"\x01")

    @property
    def connect(self) -> bytes:
        """The packet that asks to be let in."""
        return self._connect

    @property
    def subscribe(self) -> bytes:
        """The packet that asks for its topic."""
        return self._subscribe


class LeanClient(asyncio.Protocol):
    """One user's connection, which comes back by itself.

    Args:
        on_up: connected, and the subscription is granted; on_down: the connection is lost.
        on_message: takes the payloads of its topic, on the loop.

    Attributes:
        is_up: whether both are so; ups: how often they were.
        sent, received: bytes of the stream, everything counted.
        refused: what a broker said that did not let it in.
    """

    __slots__ = (
        "_buffer", "_chance", "_id", "_is_over", "_on_down", "_on_message", "_on_up", "_pinging",
        "_port", "_transport", "_user", "is_up", "received", "refused", "sent", "ups",
    )  # fmt: skip

    def __init__(
        self,
        port: int,
        user: User,
        *,
        chance: random.Random,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
        on_message: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._port = port
        self._user = user
        self._chance = chance
        self._on_up = on_up
        self._on_down = on_down
        self._on_message = on_message
        self._transport: asyncio.Transport | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._buffer = b""
        self._id = 1
        self._is_over = False
        self.is_up = False
        self.ups = 0
        self.sent = self.received = 0
        self.refused = ""

    async def start(self) -> None:
        """Connect, again and again until somebody is there."""
        loop = asyncio.get_running_loop()
        while not self._is_over:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(self._chance.uniform(*_AGAIN_S))
            else:
                return

    def publish(self, topic: bytes, payload: bytes, *, retain: bool = False) -> None:
        """Say something; lost if nobody is connected, or if the connection is lost."""
        self._id = self._id % _IDS + 1
        head = _PUBLISH | _AT_LEAST_ONCE | (_RETAINED if retain else 0)
        self._write(packet(head, _sized(topic) + self._id.to_bytes(2, "big") + payload))

    def stop(self) -> None:
        """Say goodbye, for good."""
        self._is_over = True
        self._write(packet(_DISCONNECT, b""))
        if self._transport is not None:
            self._transport.close()

    # --- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to be let in."""
        # uvloop's transports are transports by their shape only.
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""
        self._write(self._user.connect)

    def connection_lost(self, _: Exception | None) -> None:
        """Come back a little later, not all at the same moment."""
        self._transport = None
        self.is_up = False
        if self._pinging is not None:
            self._pinging.cancel()
            self._pinging = None
        self._on_down()
        if not self._is_over:
            loop = asyncio.get_running_loop()
            loop.call_later(self._chance.uniform(*_AGAIN_S), self._come_back)

    def data_received(self, data: bytes) -> None:
        """Take what the broker says."""
        self.received += len(data)
        buffer = self._buffer + data if self._buffer else data
        start = 0
        while (found := _first(buffer, start)) is not None:
            head, body_at, end = found
            self._take(head, buffer[body_at:end])
            start = end
        self._buffer = buffer[start:]

    def _come_back(self) -> None:
        _kept(asyncio.ensure_future(self.start()))

    def _take(self, head: int, body: bytes) -> None:
        match head & _KIND:
            case 0x30:  # PUBLISH
                topic_end = 2 + int.from_bytes(body[:2], "big")
                self._write(packet(_PUBACK, body[topic_end : topic_end + 2]))
                self._on_message(body[topic_end + 2 :])
            case 0x20:  # CONNACK
                if body[1]:
                    self._turned_away(f"CONNACK {body[1]}")
                else:
                    self._write(self._user.subscribe)
            case 0x90:  # SUBACK
                if body[2] >= _REFUSED:
                    self._turned_away("SUBACK refused")
                    return
                self.is_up = True
                self.ups += 1
                self._ping_later()
                self._on_up()
            case _:
                pass  # Acknowledgements and answers to pings.

    def _turned_away(self, cause: str) -> None:
        self.refused = cause
        if self._transport is not None:
            self._transport.close()

    def _ping_later(self) -> None:
        wait = _PING_S * self._chance.uniform(0.8, 1.0)
        self._pinging = asyncio.get_running_loop().call_later(wait, self._ping)

    def _ping(self) -> None:
        self._write(packet(_PING, b""))
        self._ping_later()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self.sent += len(data)
            self._transport.write(data)


_tasks: set["asyncio.Future[None]"] = set()


def _kept(task: "asyncio.Future[None]") -> None:
    """Hold a task that nobody waits for: the loop alone would let it go."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def packet(head: int, body: bytes) -> bytes:
    """Return a packet."""
    length, left = bytearray(), len(body)
    while True:
        left, digit = left >> 7, left & 0x7F
        length.append(digit | _MORE if left else digit)
        if not left:
            return bytes((head,)) + bytes(length) + body


def _first(buffer: bytes, start: int) -> tuple[int, int, int] | None:
    """Return head, begin of the body and end of the packet at a place, if it is there whole."""
    length = 0
    for place in range(_LENGTH_BYTES_MAX):
        at = start + 1 + place
        if at >= len(buffer):
            return None
        length |= (buffer[at] & 0x7F) << 7 * place
        if not buffer[at] & _MORE:
            end = at + 1 + length
            return (buffer[start], at + 1, end) if end <= len(buffer) else None
    raise ValueError("a packet longer than any")


def _sized(field: bytes) -> bytes:
    return len(field).to_bytes(2, "big") + field
