"""The agent lane: what terminals say, what they are told, and who is kept out."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme import cci
from scheme.limits import AGENT_PAYLOAD_BYTES_MAX
from scheme.network import AgentGroup, Fleet, Participant
from scheme.wire.agent_digest import sealed
from scheme.wire.agent_payload import (
    Fault,
    Hello,
    Kind,
    Operation,
    Operations,
    Verdict,
    Verdicts,
    Welcome,
    decode_down,
    encode,
)
from scheme.wire.mqtt_topics import down, mirror, state, up
from switch.agent_lane import AgentLane, open_agents
from switch.agent_wire import AgentWire
from switch.config import Config
from switch.edges.agent_mqtt import AgentMqtt
from switch.iso8583_desk import Iso8583Desk
from switch.queries import Queries
from switch.wire_log import WireLog
from tests.support.country import free_ports
from tests.support.iso8583_edge import until
from tests.support.mqtt import FLEET, ROOT, WAIT_S, BrokerProcess, Client
from tests.support.switch_world import START, World, fleet, quiet, world

DEVICE, OTHER = "0992-0001-1", "0992-0002-1"
ACCOUNT = cci.compose("971", "001", "000000000042")


@dataclass
class ScriptedDesk:
    """Keeps what it is handed; waits while it is told to."""

    heard: list[tuple[str, bytes]] = field(default_factory=list)
    states: list[tuple[str, bytes]] = field(default_factory=list)
    may_go_on: dict[str, asyncio.Event] = field(default_factory=dict)

    async def receive(self, device: str, payload: bytes) -> None:
        self.heard.append((device, payload))
        if payload == b"bug":
            raise RuntimeError("a bug")
        if device in self.may_go_on:
            await self.may_go_on[device].wait()

    def presence(self, device: str, payload: bytes) -> None:
        self.states.append((device, payload))


class Edge:
    """The edge with a scripted desk behind it, not connected to anything."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self.desk = ScriptedDesk()
        self.log = WireLog(
            folder / "wire", clock=ManualClock(START), bytes_max=1 << 20, enabled=False
        )
        self.edge = AgentMqtt(
            host="127.0.0.1",
            port=1,
            password="",
            is_known=lambda device: device.startswith("0992-"),
            spawn=self.spawn,
            **settings,
        )
        self.said: list[tuple[str, bytes]] = []
        self.edge.client.publish = self.publish  # type: ignore[method-assign]
        self.edge.start(self.desk, AgentWire(self.log, ManualClock(START)))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        del retain
        self.said.append((topic, payload))
        return True

    def spawn(self, work: Any) -> None:
        self.tasks.add(asyncio.ensure_future(work))

    def took(self, topic: str, payload: bytes) -> None:
        self.edge._took(topic, payload)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.log.close()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


@asynccontextmanager
async def edge(folder: Path, **settings: Any) -> AsyncIterator[Edge]:
    made = Edge(folder, **settings)
    try:
        yield made
    finally:
        await made.end()


async def test_a_terminal_that_floods_is_turned_away_and_stops_nobody_else(tmp_path: Path) -> None:
    async with edge(tmp_path, per_device_max=3) as one:
        one.desk.may_go_on[DEVICE] = asyncio.Event()
        for number in range(10):
            one.took(up(DEVICE), b"%d" % number)
        await until(lambda: len(one.desk.heard) == 1)
        one.took(up(DEVICE), b"late")
        one.took(up(OTHER), b"hello")
        await until(lambda: (OTHER, b"hello") in one.desk.heard)
        assert one.edge.dropped == 7
        ((topic, told),) = one.said  # Once, however often it repeats itself.
        assert (topic, decode_down(told)) == (
            down(DEVICE),
            Fault(0, "busy", "root: too many payloads wait"),
        )
        one.desk.may_go_on.pop(DEVICE).set()
        await one.edge.stop()
        mine = [payload for device, payload in one.desk.heard if device == DEVICE]
        assert mine == [b"0", b"1", b"2", b"late"]
        assert one.edge.waiting == 0


async def test_what_waits_is_bounded_over_all_terminals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switch.edges.agent_mqtt.AGENT_INBOX_MAX", 5)
    async with edge(tmp_path) as one:
        for number in range(20):
            one.took(up(f"0992-{number:04d}-1"), b"x")
        assert (one.edge.waiting, one.edge.dropped) == (5, 15)
        await one.edge.stop()
        assert len(one.desk.heard) == 5


async def test_strangers_are_not_heard_and_long_payloads_are_cut(tmp_path: Path) -> None:
    async with edge(tmp_path) as one:
        for topic in (up("0993-0001-1"), "cq1/a/x", "elsewhere", up("")):
            one.took(topic, b"x")
        one.took(state(DEVICE), b"here")
        one.took(up(DEVICE), bytes(1 << 20))
        await one.edge.stop()
        one.took(up(DEVICE), b"after the stop")
        assert one.desk.states == [(DEVICE, b"here")]
        assert [(who, len(what)) for who, what in one.desk.heard] == [
            (DEVICE, AGENT_PAYLOAD_BYTES_MAX + 1)
        ]


async def test_a_bug_at_one_payload_does_not_make_a_terminal_deaf(tmp_path: Path) -> None:
    async with edge(tmp_path) as one:
        one.took(up(DEVICE), b"bug")
        one.took(up(DEVICE), b"lost with it")
        await until(lambda: one.edge.waiting == 0)
        one.took(up(DEVICE), b"again")
        await one.edge.stop()
        assert one.desk.heard == [(DEVICE, b"bug"), (DEVICE, b"again")]


async def test_everything_is_kept_under_its_operation_and_said_once_more_as_json(
    tmp_path: Path,
) -> None:
    clock = ManualClock(START)
    log = WireLog(tmp_path / "wire", clock=clock, bytes_max=1 << 20)
    said: list[tuple[str, Any]] = []
    wire = AgentWire(log, clock, lambda topic, text: said.append((topic, json.loads(text))))
    two = Operations(3, (an_operation(1), an_operation(2)))
    wire.heard(DEVICE, encode(two))
    wire.heard(DEVICE, b"\x93nonsense")
    wire.said(DEVICE, encode(Verdicts(3, (Verdict(2, "00", "", "T2"),))))
    kept = await log.recent(participant="0992", limit=50)
    assert [(one.name, one.subject, one.sender) for one in kept] == [
        ("MQTT Operations", "", DEVICE),
        ("MQTT Operations", f"{DEVICE}/1", DEVICE),
        ("MQTT Operations", f"{DEVICE}/2", DEVICE),
        ("MQTT", "", DEVICE),
        ("MQTT Verdicts", f"{DEVICE}/2", "CCE"),
    ]
    assert kept[0].body == encode(two)
    assert kept[3].note
    assert await log.recent(participant="099", limit=5) == []
    assert [topic for topic, _ in said] == [mirror(DEVICE, way) for way in "uud"]
    assert said[0][1]["operations"][1]["seq"] == 2
    assert said[1][1]["hex"] == b"\x93nonsense".hex()
    assert said[1][1]["fault"]
    await log.close()


def an_operation(seq: int, **changes: Any) -> Operation:
    settings: dict[str, Any] = {
        "seq": seq,
        "op_id": seq.to_bytes(8, "big"),
        "kind": Kind.CASH_IN,
        "minor": 2550,
        "currency": 0,
        "account": ACCOUNT,
        "entity": "",
        "at": 0,
        "offline": False,
    }
    return Operation(**(settings | changes))


class Lane:
    """The whole lane over a small clearing house, and terminals of it."""

    def __init__(self, lane: AgentLane, made: World, log: WireLog, broker: BrokerProcess) -> None:
        self.lane = lane
        self.world = made
        self.broker = broker
        self.queries = Queries(
            made.store,
            log,
            clock=made.clock,
            in_flight=lambda: made.house.router.in_flight,
            attempts=made.house.outbox.attempts,
        )

    def operation(self, seq: int, **changes: Any) -> Operation:
        at = int(self.world.clock.now().timestamp())
        key = self.broker.keys.device_key(DEVICE)
        return sealed(key, DEVICE, an_operation(seq, at=at, **changes))

    def hello(self, session: int) -> bytes:
        return encode(Hello(session, 1, 1, int(self.world.clock.now().timestamp())))

    async def heard(self, device: Client, kind: type[Any]) -> Any:
        """Return the next payload of a kind, letting the clearing house work meanwhile."""
        while True:
            _, payload = await device.next()
            message = decode_down(payload)
            if isinstance(message, kind):
                return message


@asynccontextmanager
async def a_lane(home: Path, broker: BrokerProcess, **settings: Any) -> AsyncIterator[Lane]:
    members = fleet()
    members["0992"] = Participant(
        code="0992", name="RED DE AGENTES", kind="acquirer", lane="mqtt", simulated=False
    )
    groups = (AgentGroup("0992", agents=4, devices=2),)
    config = Config(home=str(home), fleet="", mqtt_port=broker.port, **settings)
    tasks: set[asyncio.Task[Any]] = set()

    def spawn(work: Any) -> None:
        tasks.add(asyncio.ensure_future(work))

    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(world(home, members=members, signed_on=False))
        for code in ("0970", "0971"):
            await made.house.sessions.sign(code, on=True)
        log = WireLog(home / "wire", clock=made.clock, bytes_max=1 << 20)
        stack.push_async_callback(log.close)
        store = open_agents(home, config, stack, on_failure=made.failures.append)
        assert store is not None
        profile = load_profile("peru")
        desk = Iso8583Desk(
            orders=made.house.router,
            queries=made.house.verifier,
            cash=None,  # type: ignore[arg-type]
            binding=made.house.verifier.binding,
            fleet=members,
            profile=profile,
            clock=made.clock,
            spawn=spawn,
        )
        lane = AgentLane(
            store,
            home=home,
            config=config,
            fleet=Fleet(participant=tuple(members.values()), agents=groups),
            profile=profile,
            clock=made.clock,
            wire_log=log,
            directory=None,  # type: ignore[arg-type]
            handle=desk.handle,
            is_away=lambda _: False,
            sign=lambda code: made.house.sessions.sign(code, on=True),
            spawn=spawn,
        )
        await lane.start()
        try:
            yield Lane(lane, made, log, broker)
        finally:
            await lane.stop()
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    one = BrokerProcess(tmp_path, "embedded")
    yield one
    one.stop()


async def test_cash_in_at_an_agent_is_posted_once_and_its_messages_are_shown(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    async with (
        a_lane(tmp_path, broker, mqtt_json_mirror=True) as lane,
        broker.client(DEVICE) as device,
        broker.client("watch") as watch,
    ):
        assert await device.hear(down(DEVICE))
        assert await watch.hear("cq1/j/#")
        await until(lambda: bool(lane.lane.view["connected"]))
        await device.say(up(DEVICE), lane.hello(1))
        assert (await lane.heard(device, Welcome)).expected == 1
        said = encode(Operations(1, (lane.operation(1),)))
        for _ in range(3):  # Said again and again, and applied once.
            await device.say(up(DEVICE), said)
        (verdict,) = (await lane.heard(device, Verdicts)).verdicts
        assert (verdict.code, verdict.reason) == ("00", "")
        assert lane.world.balance("0971") > lane.world.balance("0970")
        shown = await lane.queries.transfer(verdict.reference)
        assert shown is not None
        rows = {row["message"]: row for row in shown["timeline"]}
        up_row, down_row = rows["MQTT Operations"], rows["MQTT Verdicts"]
        assert (up_row["from"], up_row["to"]) == ("0992", "CCE")
        told = up_row["body"]["Operations"]
        assert told["device"] == DEVICE
        assert told["operations"][0]["account"] == f"971{'*' * 13}{ACCOUNT[-4:]}"
        assert (down_row["response_code"], down_row["reason_code"]) == ("00", None)
        topic, text = await watch.next()
        assert (topic, msgspec.json.decode(text)["message"]) == (mirror(DEVICE, "u"), "Hello")
        # Nothing is owed to an institution that listens nowhere.
        assert not [one for one in lane.world.owed() if one.endswith(">0992")]
        assert lane.world.house.sessions.state.session("0992").signed_on
        await lane.world.audited()


async def test_what_came_before_a_restart_of_the_lane_is_answered_after_it(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    async with broker.client(DEVICE) as device:
        assert await device.hear(down(DEVICE))
        async with a_lane(tmp_path, broker) as lane:
            await until(lambda: bool(lane.lane.view["connected"]))
            await device.say(up(DEVICE), lane.hello(1))
            await device.say(up(DEVICE), encode(Operations(1, (lane.operation(1),))))
            (first,) = (await lane.heard(device, Verdicts)).verdicts
            before = lane.world.balance("0971")
        async with a_lane(tmp_path, broker) as lane:
            await until(lambda: bool(lane.lane.view["connected"]))
            await device.say(up(DEVICE), lane.hello(2))
            assert (await lane.heard(device, Verdicts)).verdicts == (first,)
            assert lane.world.balance("0971") == before


def test_a_switch_without_its_broker_serves_and_ends_like_any_other(tmp_path: Path) -> None:
    told, code, log = _run_switch(tmp_path)
    assert told["event"] == "ready"
    assert code == 0
    assert (tmp_path / "agents.db").exists()
    away = [one for one in log if one["event"] == "broker away"]
    assert [one["user"] for one in away] == ["switch"]  # Said once, not at every attempt.


def test_a_list_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mqtt").write_text("a file")
    told, code, _ = _run_switch(tmp_path)
    assert (told["event"], code) == ("failed", 2)
    assert "mqtt: cannot be used" in told["error"]


def _run_switch(home: Path) -> tuple[dict[str, Any], int, list[dict[str, Any]]]:
    """Start a switch whose broker is away, end it, and return its word, exit code and log."""
    (home / "fleet.toml").write_text(FLEET)
    settings = {"home": str(home), "fleet": str(home / "fleet.toml"), "mqtt_port": free_ports(1)[0]}
    settings |= dict.fromkeys(("tin_port", "operator_port", "network_port", "iso8583_port"), 0)
    settings |= {"log_file": str(home / "switch.log")}
    config = home / "switch.toml"
    config.write_text("".join(f"{key} = {json.dumps(one)}\n" for key, one in settings.items()))
    process = subprocess.Popen(
        [sys.executable, "-m", "switch", "--config", str(config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told, log = json.loads(process.stdout.readline()), home / "switch.log"
    if told["event"] == "ready":
        until = time.monotonic() + WAIT_S
        while "broker away" not in log.read_text() and time.monotonic() < until:
            time.sleep(0.02)
        process.terminate()
    code = process.wait(20)
    process.stdout.close()
    lines = log.read_text().splitlines()
    return told, code, [json.loads(line) for line in lines]
