"""What the embedded broker's door and queues grant a client, sound or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.mqtt_broker import connection, embedded
from runtime.mqtt_broker.door import Door
from runtime.mqtt_broker.users import Users
from runtime.mqtt_keys import MqttKeys
from scheme.errors import ConfigError
from scheme.network import Fleet
from scheme.wire import mqtt_topics
from tests.support.mqtt import FLEET, WAIT_S

KEYS = MqttKeys(bytes(32))
DEVICE, OTHER_DEVICE = "0992-0001-1", "0992-0001-2"
QUEUE = 5
CONNECTIONS = 12
ACCEPTED, REFUSED = b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"


class Raw:
    """A client that sends any bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, kind: int, body: bytes = b"", flags: int = 0) -> None:
        assert len(body) < 128
        self.writer.write(bytes([kind << 4 | flags, len(body)]) + body)

    async def packet(self) -> bytes:
        """Return the next packet; nothing at the end."""
        async with asyncio.timeout(WAIT_S):
            try:
                head = await self.reader.readexactly(2)
                return head + await self.reader.readexactly(head[1])
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""

    def connect(
        self, username: str, *, keepalive_s: int = 0, clean: bool = True, level: int = 4
    ) -> None:
        texts = b"".join(map(text, ("id", username, KEYS.password(username))))
        flags = 0xC2 if clean else 0xC0
        self.send(1, text("MQTT") + bytes([level, flags, 0, keepalive_s]) + texts)

    async def subscribe(self, topic: str) -> bytes:
        self.send(8, b"\x00\x01" + text(topic) + b"\x01", flags=2)
        return await self.packet()

    def publish(self, topic: str, payload: bytes) -> None:
        self.send(3, text(topic) + payload)

    async def payloads(self, count: int, *, acknowledge: bool) -> list[bytes]:
        """Return payloads of messages at QoS 1."""
        got = []
        for _ in range(count):
            body = (await self.packet())[2:]
            number = 2 + int.from_bytes(body[:2], "big")
            got.append(body[number + 2 :])
            if acknowledge:
                self.send(4, body[number : number + 2])
        return got


def text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


class House:
    """A door that is open, and its clients."""

    def __init__(self, door: Door, port: int) -> None:
        self.door = door
        self.port = port
        self.clients: list[Raw] = []

    async def raw(self) -> Raw:
        self.clients.append(Raw(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.clients[-1]

    async def inside(self, username: str, *, clean: bool = True) -> Raw:
        client = await self.raw()
        client.connect(username, clean=clean)
        assert (await client.packet())[3:] == b"\x00"
        return client

    async def gone(self, client: Raw) -> None:
        """Let a client leave and wait until the broker knows."""
        client.send(14)
        assert await client.packet() == b""


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(embedded, "MQTT_QUEUED_PER_CLIENT_MAX", QUEUE)
    door = Door(Users(tmp_path, Fleet.parse(FLEET), KEYS), connections_max=CONNECTIONS)
    await door.start()
    one = House(door, await door.listen("127.0.0.1", 0))
    yield one
    await door.stop()
    for client in one.clients:
        client.writer.close()


@contextmanager
def hurried(monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setattr(connection, name, seconds)
        yield


async def test_another_version_of_the_protocol_is_told_so(house: House) -> None:
    client = await house.raw()
    client.connect(DEVICE, level=5)
    assert await client.packet() == b"\x20\x02\x00\x01"
    assert await client.packet() == b""


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\xff", b"\x10\x00"])
async def test_whoever_does_not_say_who_it_is_is_cut_off(house: House, data: bytes) -> None:
    client = await house.raw()
    client.writer.write(data)
    assert await client.packet() == b""


async def test_whoever_says_nothing_is_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hurried(monkeypatch, "CONNECT_S", 0.05):
        client = await house.raw()
        client.writer.write(b"\x10")
        assert await client.packet() == b""


@pytest.mark.parametrize(
    ("kind", "flags"),
    [(1, 0), (2, 0), (3, 4), (5, 0), (6, 2), (7, 0), (0, 0), (15, 0)],
)
async def test_whoever_breaks_the_rules_inside_is_cut_off(
    house: House, kind: int, flags: int
) -> None:
    client = await house.inside(DEVICE)
    client.send(kind, text("cq1/a/x/u") + b"\x00\x01", flags=flags)
    assert await client.packet() == b""


async def test_a_client_silent_for_longer_than_it_promised_is_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hurried(monkeypatch, "_GRACE", 0.1):
        client = await house.raw()
        client.connect(DEVICE, keepalive_s=1)
        assert await client.packet() == ACCEPTED
        client.send(12)
        assert await client.packet() == b"\xd0\x00"
        assert await client.packet() == b""


async def test_one_connection_too_many_is_closed(house: House) -> None:
    first, *_ = [await house.raw() for _ in range(CONNECTIONS)]
    assert await (await house.raw()).packet() == b""

    await house.gone(first)
    await house.inside(DEVICE)


async def test_a_taken_port_is_said(house: House) -> None:
    with pytest.raises(ConfigError, match=f"port {house.port} on 127.0.0.1 is taken"):
        await house.door.listen("127.0.0.1", house.port)


async def test_no_more_is_kept_for_a_client_that_is_away_than_the_limit(house: House) -> None:
    device, switch = await house.inside(DEVICE, clean=False), await house.inside("switch")
    await device.subscribe(mqtt_topics.down(DEVICE))
    await house.gone(device)
    other = await house.inside(OTHER_DEVICE)
    await other.subscribe(mqtt_topics.down(OTHER_DEVICE))
    for number in range(QUEUE + 3):
        switch.publish(mqtt_topics.down(DEVICE), b"%d" % number)
    switch.publish(mqtt_topics.down(OTHER_DEVICE), b"after all of them")
    await other.payloads(1, acknowledge=True)

    device = await house.inside(DEVICE, clean=False)
    got = await device.payloads(QUEUE, acknowledge=True)
    assert got == [b"%d" % number for number in range(QUEUE)]
    device.send(12)
    assert await device.packet() == b"\xd0\x00"  # Nothing more.


async def test_what_was_not_acknowledged_comes_again_and_is_bounded(house: House) -> None:
    device, switch = await house.inside(DEVICE, clean=False), await house.inside("switch")
    await device.subscribe(mqtt_topics.down(DEVICE))
    for number in range(QUEUE + 3):
        switch.publish(mqtt_topics.down(DEVICE), b"%d" % number)
    first = await device.payloads(QUEUE, acknowledge=False)
    await house.gone(device)

    device = await house.inside(DEVICE, clean=False)
    assert await device.payloads(QUEUE, acknowledge=True) == first
    device.send(12)
    assert await device.packet() == b"\xd0\x00"


async def test_what_comes_while_a_client_reconnects_comes_once_and_in_order(house: House) -> None:
    device, switch = await house.inside(DEVICE, clean=False), await house.inside("switch")
    await device.subscribe(mqtt_topics.down(DEVICE))
    for round_ in range(10):
        await house.gone(device)
        sent = [b"%d-%d" % (round_, number) for number in range(QUEUE)]
        for one in sent:
            switch.publish(mqtt_topics.down(DEVICE), one)
        device = await house.inside(DEVICE, clean=False)
        assert await device.payloads(QUEUE, acknowledge=True) == sent
        device.send(12)
        assert await device.packet() == b"\xd0\x00"


async def test_a_subscription_ends_with_a_clean_session(house: House) -> None:
    switch = await house.inside("switch")
    device = await house.inside(DEVICE)
    await device.subscribe(mqtt_topics.down(DEVICE))
    await house.gone(device)
    switch.publish(mqtt_topics.down(DEVICE), b"to nobody")
    device = await house.inside(DEVICE, clean=False)
    device.send(12)
    assert await device.packet() == b"\xd0\x00"


async def test_a_filter_of_others_is_refused(house: House) -> None:
    device = await house.inside(DEVICE)
    assert await device.subscribe("cq1/#") == b"\x90\x03\x00\x01\x80"
    assert await device.subscribe(mqtt_topics.down(DEVICE)) == b"\x90\x03\x00\x01\x01"


async def test_a_stranger_is_refused_and_disturbs_nobody(house: House) -> None:
    device = await house.inside(DEVICE)
    stranger = await house.raw()
    names = b"".join(map(text, (DEVICE, DEVICE, "wrong")))
    stranger.send(1, text("MQTT") + b"\x04\xc2\x00\x00" + names)
    assert await stranger.packet() == REFUSED
    device.send(12)
    assert await device.packet() == b"\xd0\x00"


@pytest.mark.parametrize("last", [b"", b"\xe0\x00", b"\xf0\x00", b"\x30\xff\xff\x7f"])
async def test_who_leaves_as_soon_as_it_is_in_can_come_again(house: House, last: bytes) -> None:
    for _ in range(10):
        client = await house.raw()
        client.connect(DEVICE, clean=False)
        client.writer.write(last)
        if not last:
            client.writer.close()
    client = await house.inside(DEVICE, clean=False)
    client.send(12)
    assert await client.packet() == b"\xd0\x00"
