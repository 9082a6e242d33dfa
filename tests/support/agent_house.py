"""A real broker with a small clearing house behind it, for commands that play terminals."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.mqtt_client import MqttClient
from scheme.wire import mqtt_topics
from tests.support.agent_switch import DEVICE, AgentSwitch
from tests.support.fake_country import FakeCountry, a_participant
from tests.support.mqtt import BrokerProcess

CCI = "97500100000000000101"


class House(threading.Thread):
    """The clearing house's client of the broker, on a loop of its own."""

    def __init__(self, broker: BrokerProcess) -> None:
        super().__init__(daemon=True)
        self.broker = broker
        self.switch: AgentSwitch | None = None
        self.is_there = threading.Event()
        self.loop = asyncio.new_event_loop()

    def run(self) -> None:
        self.client = MqttClient(
            host="127.0.0.1",
            port=self.broker.port,
            username=mqtt_topics.SWITCH,
            password=self.broker.keys.password(mqtt_topics.SWITCH),
            on_message=self._take,
            on_up=self.is_there.set,
            subscriptions=(mqtt_topics.ALL_UP,),
        )
        self.task = self.loop.create_task(self.client.run())
        with suppress(asyncio.CancelledError):
            self.loop.run_until_complete(self.task)
        self.loop.close()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.join()

    def _take(self, topic: str, payload: bytes) -> None:
        if self.switch is not None:
            for answer in self.switch.receive(payload):
                self.client.publish(mqtt_topics.down(mqtt_topics.device_of(topic)), answer)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    broker = BrokerProcess(tmp_path_factory.mktemp("agents"), "embedded")
    house = House(broker)
    house.start()
    assert house.is_there.wait(5)
    yield house
    house.stop()
    broker.stop()


@pytest.fixture
def home(house: House, country: FakeCountry, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = house.broker.home
    shutil.rmtree(home / "agents", ignore_errors=True)
    (home / "chasqui.toml").write_text("timeout_s = 2\n")
    monkeypatch.setenv("CHASQUI_HOME", str(home))
    where_is_the_broker(home, f"127.0.0.1:{house.broker.port}")
    everyone = [
        a_participant("0975", country.url, lane="iso8583"),
        a_participant("0992", lane="mqtt", kind="acquirer"),
        a_participant("0971", f"{country.url}/nowhere"),
    ]
    country.on("GET", "/participants", {"participants": everyone})
    people = {"name": "SOCIA", "participant": "0975", "phone": "999000111", "currency": "PEN"}
    accounts = {"accounts": [people | {"cci": CCI}], "next": None}
    country.on("GET", "/control/accounts", accounts)
    return home


@pytest.fixture
def switch(house: House, home: Path) -> Iterator[AgentSwitch]:
    house.switch = AgentSwitch(key=house.broker.keys.device_key(DEVICE))
    yield house.switch
    house.switch = None


def where_is_the_broker(home: Path, address: str) -> None:
    (home / "run").mkdir(exist_ok=True)
    told = {"operator_url": "", "tin_url": "", "fleet": str(home / "fleet.toml"), "pid": 1}
    (home / "run" / "country.json").write_text(json.dumps(told | {"mqtt_address": address}))
