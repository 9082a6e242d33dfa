"""The client of the broker: it comes back by itself, and loses nothing that it said it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from runtime import mqtt_client
from runtime.mqtt_client import MqttClient, packet_bytes
from runtime.mqtt_keys import MqttKeys
from scheme.errors import NotConnected
from scheme.wire.mqtt_topics import ALL_STATES, ALL_UP, down, state, up
from tests.support.country import free_ports
from tests.support.iso8583_edge import until
from tests.support.mqtt import WAIT_S, BrokerProcess

DEVICE, OTHER = "0992-0001-1", "0992-0002-1"
CONNACK = b"\x20\x02\x00\x00"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


def _drop(*_: object) -> Any:
    raise structlog.DropEvent


class Running:
    """A client that runs, and what it told."""

    def __init__(self, port: int, username: str, password: str = "", **settings: Any) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.downs: list[str] = []
        self.ups = 0
        self.client = MqttClient(
            host="127.0.0.1",
            port=port,
            username=username,
            password=password,
            on_message=lambda topic, payload: self.got.append((topic, payload)),
            on_up=self._up,
            on_down=self.downs.append,
            **settings,
        )

    def _up(self) -> None:
        self.ups += 1


@asynccontextmanager
async def running(*clients: Running) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.client.run()) for one in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def a_server(answer: bytes) -> AsyncIterator[tuple[int, bytearray]]:
    """Something that takes connections, answers the first bytes of each, and then nothing."""
    heard = bytearray()
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(ConnectionError):
            await reader.read(100)
            writer.write(answer)
            while data := await reader.read(4096):
                heard.extend(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        await server.wait_closed()
        async with asyncio.timeout(WAIT_S):  # Every client has hung up.
            await asyncio.gather(*serving)


async def test_what_is_said_while_the_broker_is_away_arrives_when_it_is_back(
    tmp_path: Path,
) -> None:
    (port,) = free_ports(1)
    broker: BrokerProcess | None = None
    try:
        switch = _user(tmp_path, port, "switch", subscriptions=(ALL_UP, ALL_STATES))
        device = _user(
            tmp_path,
            port,
            DEVICE,
            subscriptions=(down(DEVICE),),
            clean=False,
            will=(state(DEVICE), b"gone"),
        )
        async with running(switch):
            await until(lambda: bool(switch.downs))
            broker = BrokerProcess(tmp_path, "embedded", port=port)
            await until(lambda: switch.client.is_up)
            assert device.client.publish(up(DEVICE), b"before")
            async with running(device):
                await until(lambda: (up(DEVICE), b"before") in switch.got)
                assert device.ups == 1
                broker.kill()
                for number in range(200):
                    assert device.client.publish(up(DEVICE), b"%d" % number)
                await until(lambda: bool(device.downs) and not device.client.is_up)
                with pytest.raises(NotConnected):
                    await device.client.deliver(up(DEVICE), b"never")
                broker = BrokerProcess(tmp_path, "embedded", port=port)
                await until(lambda: switch.client.is_up and device.client.is_up)
                # Whoever came back first spoke to nobody: only the broker's word is certain.
                await until(lambda: device.client.queued == 0)
                switch.client.publish(down(DEVICE), b"answer")
                await until(lambda: (down(DEVICE), b"answer") in device.got)
                await device.client.deliver(up(DEVICE), b"last")
                await until(lambda: (up(DEVICE), b"last") in switch.got)
                assert device.ups == 2
                assert device.client.sent_bytes >= len(b"beforelast") + 490
                assert device.client.wire_sent > device.client.sent_bytes
                assert device.client.received_bytes == len(b"answer")
    finally:
        if broker is not None:
            broker.stop()


async def test_who_is_refused_is_told_why_and_keeps_trying(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path, "embedded")
    try:
        stranger = Running(broker.port, DEVICE, "wrong")
        curious = _user(tmp_path, broker.port, OTHER, subscriptions=(down(DEVICE),))
        async with running(stranger, curious):
            await until(lambda: len(stranger.downs) > 1 and len(curious.downs) > 1)
        assert "refuse" in stranger.downs[-1]
        assert curious.downs[-1] == f"subscription refused: {down(DEVICE)}"
        assert stranger.ups == curious.ups == 0
    finally:
        broker.stop()


def _user(home: Path, port: int, username: str, **settings: Any) -> Running:
    return Running(port, username, MqttKeys.open(home).password(username), **settings)


async def test_a_full_queue_drops_and_counts() -> None:
    one = Running(1, DEVICE, queue_max=2)
    assert [one.client.publish("t", b"x") for _ in range(4)] == [True, True, False, False]
    assert (one.client.dropped, one.client.queued) == (2, 2)


async def test_a_broker_that_never_acknowledges_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_client, "_UNACKNOWLEDGED_S", 0.2)
    async with a_server(CONNACK) as (port, heard):
        one = Running(port, DEVICE)
        async with running(one):
            await until(lambda: one.client.is_up)
            one.client.publish("some/topic", b"x" * 200)
            waiting = asyncio.create_task(one.client.deliver("t", b""))
            await until(lambda: "the broker no longer acknowledges" in one.downs)
            with pytest.raises(NotConnected):
                await waiting
            assert one.client.queued == 1  # Nobody waits for it, so it is said again.
        size = packet_bytes("some/topic", 200, 1)
        assert heard[1:3] == b"\xd6\x01"
        assert heard[size : size + 1] == b"\x32"  # The next packet begins behind it.
        assert packet_bytes("t", 0, 0) == 5


async def test_a_broker_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_client, "_ANSWER_S", 0.1)
    async with a_server(b"") as (port, _):
        one = Running(port, DEVICE)
        async with running(one):
            await until(lambda: len(one.downs) > 1)


@pytest.mark.parametrize("answer", [b"", CONNACK])
async def test_it_can_be_cancelled_at_any_moment(answer: bytes) -> None:
    async with a_server(answer) as (port, _):
        for turns in (0, 1, 2, 5, 10, 40):
            one = Running(port, DEVICE, subscriptions=("t",))
            async with running(one):
                for _ in range(turns):
                    await asyncio.sleep(0.001)
            assert not one.client.is_up
