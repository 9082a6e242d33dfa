"""The storm's lean MQTT client before a real broker."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from loadtests.agents.lean_mqtt import LeanClient, User
from scheme.wire import mqtt_topics
from tests.support.mqtt import BrokerProcess, Client

DEVICE = "0992-0001-1"
STATE, UP, DOWN = (f(DEVICE) for f in (mqtt_topics.state, mqtt_topics.up, mqtt_topics.down))


async def test_it_is_heard_and_hears_and_comes_back(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path, "embedded")
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ups: asyncio.Queue[None] = asyncio.Queue()
    downs: list[None] = []
    user = User(DEVICE, broker.keys.password(DEVICE), topic=DOWN, will=(STATE, b"gone"))
    client = LeanClient(
        broker.port,
        user,
        chance=random.Random(1),
        on_up=lambda: ups.put_nowait(None),
        on_down=lambda: downs.append(None),
        on_message=heard.put_nowait,
    )
    try:
        async with asyncio.timeout(10), broker.client(mqtt_topics.SWITCH) as switch:
            assert await switch.hear(mqtt_topics.ALL_UP)
            assert await switch.hear(mqtt_topics.ALL_STATES)
            await client.start()
            await ups.get()
            client.publish(UP.encode(), b"up")
            assert await switch.next() == (UP, b"up")
            await switch.say(DOWN, b"down")
            assert await heard.get() == b"down"
            await _another(broker)
            assert await switch.next() == (STATE, b"gone")
            await ups.get()
            assert (client.is_up, client.ups, len(downs)) == (True, 2, 1)
            client.stop()
    finally:
        broker.stop()


async def _another(broker: BrokerProcess) -> None:
    """Connect as the same user, who is thereby cut off."""
    async with broker.client(DEVICE) as other:
        assert isinstance(other, Client)
