"""Both brokers under one table of rights, as raw clients meet them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiomqtt
import psutil
import pytest

from runtime.pki import client_context
from scheme.limits import AGENT_PAYLOAD_BYTES_MAX
from scheme.wire import mqtt_topics
from tests.support.mqtt import WAIT_S, BrokerProcess, Client, list_users

KINDS = ["embedded", pytest.param("mosquitto", marks=pytest.mark.needs_mosquitto)]
MEMBER, OTHER_MEMBER = "0123456789ab", "ba9876543210"
DEVICE, OTHER_DEVICE = "0992-0001-1", "0992-0001-2"
ACTORS = (DEVICE, f"m-{MEMBER}", "i-0002")
TOPICS = (
    *(
        topic(one)
        for topic in (mqtt_topics.up, mqtt_topics.down, mqtt_topics.state)
        for one in (DEVICE, OTHER_DEVICE)
    ),
    *(mqtt_topics.mirror(DEVICE, way) for way in "ud"),
    *map(mqtt_topics.member, (MEMBER, OTHER_MEMBER)),
    *map(mqtt_topics.institution, ("0002", "0992")),
    "cq1",
    "cq1/a",
    "elsewhere",
)
WILD = ("#", "+/#", "cq1/#", "cq1/a/+/d", "cq1/a/+/u", "cq1/a/0992-0001-1/#", "cq1/m/+/n",
        "cq1/i/+/n", "cq1/+/+/n", "+/+/+/+", "$SYS/#")  # fmt: skip


PLAIN_CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a"


@pytest.fixture(scope="module", params=KINDS)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrokerProcess]:
    home = tmp_path_factory.mktemp("home")
    list_users(home, "members", [MEMBER, OTHER_MEMBER, "not a member", "x"])
    one = BrokerProcess(home, request.param, tls=True)
    yield one
    assert one.stop() == 0


async def test_nobody_writes_where_it_may_not(broker: BrokerProcess) -> None:
    async with broker.client("watch") as watch, AsyncExitStack() as stack:
        assert await watch.hear("cq1/#")
        for name in ACTORS:
            actor = await stack.enter_async_context(broker.client(name))
            for topic in TOPICS:
                await actor.say(topic, name.encode())
        switch = await stack.enter_async_context(broker.client("switch"))
        await switch.say(mqtt_topics.down(DEVICE), b"end")
        heard = set(await watch.until(b"end"))
    own = {mqtt_topics.up(DEVICE), mqtt_topics.state(DEVICE)}
    assert heard == {(topic, DEVICE.encode()) for topic in own}


async def test_nobody_reads_what_it_may_not(broker: BrokerProcess) -> None:
    own = dict(
        zip(
            ACTORS,
            (mqtt_topics.down(DEVICE), mqtt_topics.member(MEMBER), mqtt_topics.institution("0002")),
            strict=True,
        )
    )
    async with AsyncExitStack() as stack:
        actors = {name: await stack.enter_async_context(broker.client(name)) for name in ACTORS}
        other = await stack.enter_async_context(broker.client(OTHER_DEVICE))
        await other.say(mqtt_topics.state(OTHER_DEVICE), b"retained", retain=True)
        for name, actor in actors.items():
            for topic in (*WILD, *(one for one in TOPICS if one != own[name])):
                # Mosquitto takes the subscription and delivers nothing.
                assert await actor.hear(topic) == (broker.kind == "mosquitto"), topic
            assert await actor.hear(own[name])
        switch = await stack.enter_async_context(broker.client("switch"))
        notifier = await stack.enter_async_context(broker.client("notifier"))
        for topic in TOPICS:
            for writer in (switch, notifier, other, *actors.values()):
                await writer.say(topic, b"told")
        for topic in own.values():
            await switch.say(topic, b"end")
            await notifier.say(topic, b"end")
        for name, actor in actors.items():
            # Mosquitto sends it once for each subscription that matches.
            assert set(await actor.until(b"end")) == {(own[name], b"told")}, name
        await other.say(mqtt_topics.state(OTHER_DEVICE), b"", retain=True)


async def test_each_service_hears_and_says_what_is_its_own(broker: BrokerProcess) -> None:
    async with broker.client("switch") as switch, broker.client(DEVICE) as device:
        assert await switch.hear(mqtt_topics.ALL_UP)
        assert await switch.hear(mqtt_topics.ALL_STATES)
        await device.hear(mqtt_topics.down(DEVICE))
        await device.say(mqtt_topics.up(DEVICE), b"hello")
        assert await switch.until(b"hello") is not None
        await switch.say(mqtt_topics.down(DEVICE), b"welcome")
        assert (await device.next())[1] == b"welcome"


@pytest.mark.parametrize(
    ("username", "changes"),
    [
        (DEVICE, {"password": "wrong"}),
        (DEVICE, {"password": None}),
        ("", {"password": None}),
        ("", {}),
        ("0992-0005-1", {}),
        ("0992-0001-3", {}),
        ("m-000000000000", {}),
        ("m-x", {}),
        ("i-0009", {}),
        ("root", {}),
    ],
)
async def test_whoever_is_not_known_does_not_come_in(
    broker: BrokerProcess, username: str, changes: dict[str, object]
) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with broker.client(username, **changes):
            pass


async def test_the_client_id_of_another_gives_nobody_its_session(broker: BrokerProcess) -> None:
    async with broker.client(DEVICE, clean_session=False) as device:
        await device.hear(mqtt_topics.down(DEVICE))
        for name, changes in ((OTHER_DEVICE, {}), ("switch", {"password": "wrong"})):
            thief = broker.client(name, identifier=DEVICE, clean_session=False, **changes)
            try:
                async with thief, broker.client("switch") as switch:
                    await switch.say(mqtt_topics.down(DEVICE), b"for the device")
                    await switch.say(mqtt_topics.down(OTHER_DEVICE), b"end")
                    await thief.hear(mqtt_topics.down(OTHER_DEVICE))
                    await switch.say(mqtt_topics.down(OTHER_DEVICE), b"end")
                    assert b"for the device" not in {one for _, one in await thief.until(b"end")}
            except aiomqtt.MqttError:
                assert changes  # Only the wrong password is turned away.
        assert (await device.next())[1] == b"for the device"


async def test_a_session_keeps_what_comes_while_its_device_is_away(broker: BrokerProcess) -> None:
    async with broker.client(DEVICE, clean_session=False) as device:
        await device.hear(mqtt_topics.down(DEVICE))
    async with broker.client("switch") as switch:
        for number in range(5):
            await switch.say(mqtt_topics.down(DEVICE), b"%d" % number)
    async with broker.client(DEVICE, clean_session=False) as device:
        assert [(await device.next())[1] for _ in range(5)] == [b"%d" % n for n in range(5)]
    async with broker.client(DEVICE):
        pass  # A clean session forgets.


async def test_a_newcomer_takes_the_place_and_the_last_will_is_told(broker: BrokerProcess) -> None:
    will = aiomqtt.Will(mqtt_topics.state(DEVICE), b"gone", 1, retain=True)
    async with broker.client("switch") as switch:
        await switch.hear(mqtt_topics.ALL_STATES)
        async with broker.client(DEVICE, will=will) as first, broker.client(DEVICE) as second:
            await first.lost()
            await switch.until(b"gone")
            await second.hear(mqtt_topics.down(DEVICE))
            await switch.say(mqtt_topics.down(DEVICE), b"here")
            assert (await second.next())[1] == b"here"
            await second.say(mqtt_topics.state(DEVICE), b"", retain=True)


async def test_the_revoked_are_cut_off_and_stay_out(broker: BrokerProcess) -> None:
    name = "0992-0004-1"
    async with (
        broker.client(name, clean_session=False) as device,
        broker.client("m-" + OTHER_MEMBER) as member,
    ):
        await device.hear(mqtt_topics.down(name))
        list_users(broker.home, "revoked", [name, "m-" + OTHER_MEMBER])
        try:
            assert await device.lost() < 1.0
            assert await member.lost() < 1.0
            with pytest.raises(aiomqtt.MqttError):
                async with broker.client(name):
                    pass
            async with broker.client("switch") as switch:
                await switch.say(mqtt_topics.down(name), b"not kept")
        finally:
            list_users(broker.home, "revoked", [])
    await _let_back(broker, "m-" + OTHER_MEMBER)
    async with await _let_back(broker, name) as back, broker.client("switch") as switch:
        await back.hear(mqtt_topics.down(name))
        await switch.say(mqtt_topics.down(name), b"again")
        assert (await back.next())[1] == b"again"


async def _let_back(broker: BrokerProcess, name: str) -> Client:
    """Return a client once the broker lets that user in again."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(aiomqtt.MqttError):
                async with broker.client(name, clean_session=False):
                    return broker.client(name, clean_session=False)
            await asyncio.sleep(0.02)


async def test_a_last_will_cannot_say_what_its_client_may_not(broker: BrokerProcess) -> None:
    wrong = aiomqtt.Will(mqtt_topics.up(OTHER_DEVICE), b"forged", 1, retain=True)
    async with broker.client("switch") as switch, broker.client(OTHER_DEVICE) as other:
        await switch.hear(mqtt_topics.ALL_UP)
        # Mosquitto lets it in and keeps the will to itself.
        with suppress(aiomqtt.MqttError):
            async with broker.client(DEVICE, will=wrong) as first, broker.client(DEVICE):
                await first.lost()
        await other.say(mqtt_topics.up(OTHER_DEVICE), b"end")
        assert await switch.until(b"end") == []


async def test_a_payload_too_long_reaches_nobody(broker: BrokerProcess) -> None:
    async with broker.client("switch") as switch, broker.client(DEVICE) as device:
        await switch.hear(mqtt_topics.ALL_UP)
        await device.say(mqtt_topics.up(DEVICE), b"x" * AGENT_PAYLOAD_BYTES_MAX)
        assert len((await switch.next())[1]) == AGENT_PAYLOAD_BYTES_MAX
        for length in (AGENT_PAYLOAD_BYTES_MAX + 1, 100 * AGENT_PAYLOAD_BYTES_MAX):
            async with broker.client(OTHER_DEVICE) as other:
                saying = asyncio.create_task(other.say(mqtt_topics.up(OTHER_DEVICE), b"y" * length))
                cut = asyncio.create_task(other.lost())
                await asyncio.wait({saying, cut}, return_when=asyncio.FIRST_COMPLETED)
                saying.cancel()
                cut.cancel()
                await asyncio.gather(saying, cut, return_exceptions=True)
        await device.say(mqtt_topics.up(DEVICE), b"end")
        assert await switch.until(b"end") == []


async def test_tls_is_of_the_home_s_authority(broker: BrokerProcess) -> None:
    trusting = client_context([broker.home / "pki" / "ca.pem"])
    async with broker.client(DEVICE, port=broker.tls_port, tls_context=trusting) as device:
        await device.hear(mqtt_topics.down(DEVICE))
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(
            "127.0.0.1", broker.tls_port, ssl=ssl.create_default_context()
        )
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.tls_port)
    writer.write(PLAIN_CONNECT)
    with suppress(ConnectionError):
        assert not (await reader.read(64)).startswith(b"\x20\x02\x00\x00")
    writer.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broker_killed_comes_back_on_its_port(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "a home"
    home.mkdir()
    first = BrokerProcess(home, kind)
    async with first.client(DEVICE) as device:
        first.kill()
        await device.lost()
    second = BrokerProcess(home, kind, port=first.port)
    assert second.told["event"] == "ready", second.told
    async with second.client(DEVICE) as device:
        await device.say(mqtt_topics.up(DEVICE), b"hello")
    second.orphan()
    assert second.ended() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_taken_port_is_said(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one = BrokerProcess(tmp_path, kind, port=port)
    assert one.told["event"] == "failed"
    assert str(port) in one.told["error"]
    assert one.ended() == 2


@pytest.mark.needs_mosquitto
def test_a_mosquitto_that_ends_by_itself_ends_its_process(tmp_path: Path) -> None:
    one = BrokerProcess(tmp_path, "mosquitto")
    [child] = psutil.Process(one.process.pid).children()
    child.kill()
    assert one.ended() == 1
    assert "mosquitto ended by itself" in one.said
