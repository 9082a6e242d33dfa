"""The packets of MQTT 3.1.1 as far as the door must understand them: pure."""

from typing import Final, Self

from msgspec import Struct

from scheme.errors import PeerError
from scheme.limits import AGENT_PAYLOAD_BYTES_MAX, MQTT_QUEUED_PER_CLIENT_MAX

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
UNSUBSCRIBE: Final = 10
PINGREQ: Final = 12
DISCONNECT: Final = 14
OF_CLIENTS: Final = frozenset({PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT})
"""What a connected client may send. At QoS 0 and 1 there is nothing else."""
PACKET_BYTES_MAX: Final = AGENT_PAYLOAD_BYTES_MAX + 1024
"""Longest packet taken from a client: a payload with its topic."""
QUEUED_PER_SERVICE_MAX: Final = 16 * MQTT_QUEUED_PER_CLIENT_MAX
"""Messages kept for a service of ours: one of them hears all terminals, which may speak at once."""
NOT_AUTHORISED: Final = 5
WRONG_PROTOCOL: Final = 1
_SIZE_BYTES_MAX: Final = 4
_USERNAME_FLAG: Final = 0x80
_PASSWORD_FLAG: Final = 0x40
_WILL_RETAIN: Final = 0x20
_WILL_QOS: Final = 0x18
_WILL_FLAG: Final = 0x04
_CLEAN_FLAG: Final = 0x02
_RESERVED_FLAG: Final = 0x01
_PUBLISH_QOS: Final = 0x06
_QOS_MAX: Final = 1


class MalformedPacket(PeerError):
    """A client breaks a rule of the protocol, or one of ours; its connection ends.

    Args:
        rule: the rule that was broken, short, without the value received.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Will(Struct, frozen=True):
    """What the broker says for a client that is lost."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(Struct, frozen=True, kw_only=True):
    """A client that wants in; ``keepalive_s`` 0: it promises nothing."""

    level: int
    username: str
    password: str
    clean: bool
    keepalive_s: int
    will: Will | None = None


class _Fields:
    """Takes fields off the front of a packet's body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at == len(self._body)

    def number(self, length: int) -> int:
        return int.from_bytes(self._take(length), "big")

    def data(self) -> bytes:
        return self._take(self.number(2))

    def text(self) -> str:
        try:
            return self.data().decode()
        except UnicodeDecodeError as error:
            raise MalformedPacket("not UTF-8") from error

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._body):
            raise MalformedPacket("the packet ends too early")
        taken, self._at = self._body[self._at : end], end
        return taken


class Head(Struct, frozen=True):
    """A packet's first bytes: its kind, its flags, and the length of what follows them."""

    kind: int
    flags: int
    head_bytes: int
    body_bytes: int

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """Return the head that data begin with, or None if it is not there yet.

        Raises:
            MalformedPacket: more bytes of length than there may be, or a packet too long.
        """
        size = 0
        for place, byte in enumerate(data[1 : 1 + _SIZE_BYTES_MAX]):
            size |= (byte & 0x7F) << 7 * place
            if size > PACKET_BYTES_MAX:
                raise MalformedPacket("a packet too long")
            if not byte & 0x80:
                return cls(data[0] >> 4, data[0] & 0x0F, 2 + place, size)
        if len(data) > _SIZE_BYTES_MAX:
            raise MalformedPacket("a length without end")
        return None

    def check_first(self) -> None:
        """Raise MalformedPacket for what no client may begin with."""
        if self.kind != CONNECT:
            raise MalformedPacket("the first packet is no CONNECT")

    def check(self) -> None:
        """Raise MalformedPacket for what no connected client may send."""
        if self.kind not in OF_CLIENTS:
            raise MalformedPacket("a packet that clients do not send now")
        if self.kind == PUBLISH and (self.flags & _PUBLISH_QOS) >> 1 > _QOS_MAX:
            raise MalformedPacket("QoS 2 is not served")


def payload_bytes(head: Head, body: bytes) -> int:
    """Return the length of a published payload.

    Raises:
        MalformedPacket: the packet is too short for its topic.
    """
    fields = _Fields(body)
    length = head.body_bytes - 2 - len(fields.data()) - (2 if head.flags & _PUBLISH_QOS else 0)
    if length < 0:
        raise MalformedPacket("the packet ends too early")
    return length


def parse_connect(body: bytes) -> Connect:
    """Read a CONNECT packet without its head.

    Raises:
        MalformedPacket: it is none, or says what the standard forbids.
    """
    fields = _Fields(body)
    if fields.text() != "MQTT":
        raise MalformedPacket("not MQTT 3.1.1")
    level, flags = fields.number(1), fields.number(1)
    keepalive_s = fields.number(2)
    if flags & _RESERVED_FLAG:
        raise MalformedPacket("the reserved flag is set")
    if level != 4:  # Another version goes on otherwise: nothing after this can be read.
        return Connect(level=level, username="", password="", clean=True, keepalive_s=0)
    fields.data()  # The client id: the user name stands for it.
    will = None
    if flags & _WILL_FLAG:
        topic, payload = fields.text(), fields.data()
        will = Will(topic, payload, (flags & _WILL_QOS) >> 3, bool(flags & _WILL_RETAIN))
    username = fields.text() if flags & _USERNAME_FLAG else ""
    password = fields.text() if flags & _PASSWORD_FLAG else ""
    if not fields.is_empty:
        raise MalformedPacket("more than the packet says")
    return Connect(
        level=level,
        username=username,
        password=password,
        clean=bool(flags & _CLEAN_FLAG),
        keepalive_s=keepalive_s,
        will=will,
    )


def admitted(connect: Connect) -> bytes:
    """Return the packet for the broker behind the door: the client's id is its user name.

    Without password and keep-alive: the door has seen to both.
    """
    flags = _USERNAME_FLAG | (_CLEAN_FLAG if connect.clean else 0)
    parts = [connect.username.encode()]
    if connect.will is not None:
        one = connect.will
        flags |= _WILL_FLAG | one.qos << 3 | (_WILL_RETAIN if one.retain else 0)
        parts += [one.topic.encode(), one.payload]
    parts.append(connect.username.encode())
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x00" + b"".join(map(_prefixed, parts))
    return bytes([CONNECT << 4]) + _length(len(body)) + body


def refusal(code: int) -> bytes:
    """Return the CONNACK that turns a client away."""
    return bytes([0x20, 2, 0, code])


def _prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _length(size: int) -> bytes:
    encoded = bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        encoded.append(low | (0x80 if size else 0))
        if not size:
            return bytes(encoded)
