"""The notifier as a process beside a broker: how soon a member knows, and what a crash costs."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.files import load_fleet
from runtime.mqtt_broker.door import Door
from runtime.mqtt_broker.users import Users
from runtime.mqtt_client import MqttClient
from runtime.mqtt_keys import MqttKeys
from scheme.errors import StoreError
from switch.notifier.config import NotifierConfig
from switch.notifier.main import NotifierProcess
from tests.conftest import PATH
from tests.support.notice_world import NoticeWorld, a_hold, a_posting, record_of

ROOT = Path(__file__).resolve().parents[2]
FLEET = "".join(
    f'[[participant]]\ncode = "{code}"\nname = "{name}"\nkind = "bank"\nsimulated = false\n'
    for code, name in (("0002", "BANK A"), ("0003", "BANK B"))
)
PAYEE = "00300100000000000299"
SOON_S = 1.0
LONG_S = 15.0

pytestmark = pytest.mark.timeout(40)


class Home:
    """A home with a ledger, a list of members, and the files of both processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet = folder / "fleet.toml"
        self.fleet.write_text(FLEET)
        self.keys = MqttKeys.open(folder)
        self.world = NoticeWorld(folder)
        self.member = self.keys.member_of(PAYEE)

    def enrol(self) -> None:
        (self.folder / "mqtt").mkdir(exist_ok=True)
        (self.folder / "mqtt" / "members").write_text(f"{self.member}\n")

    async def post(self, *names: str) -> None:
        """Post transfers to the member, all in two groups."""
        records = {name: record_of(name, creditor=PAYEE) for name in names}
        await self.world.write(*(a_hold(name, record) for name, record in records.items()))
        await self.world.write(*(a_posting(name, record) for name, record in records.items()))

    def settings(self, name: str, **more: object) -> Path:
        path = self.folder / f"{name}.toml"
        told = {"home": str(self.folder), "fleet": str(self.fleet), "lifeline": True} | more
        path.write_text(
            "".join(f"{k} = {msgspec.json.encode(v).decode()}\n" for k, v in told.items())
        )
        return path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.world.close()


class Process:
    """One of our processes, up when it has said so."""

    def __init__(self, process: asyncio.subprocess.Process, said: dict[str, Any]) -> None:
        self._process = process
        self.said = said

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self._process.returncode is None:
            self._process.send_signal(how)
        return await self._process.wait()


@asynccontextmanager
async def running(module: str, path: Path) -> AsyncIterator[Process]:
    with path.with_suffix(".err").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            "--config",
            str(path),
            cwd=ROOT,
            env={"PATH": PATH},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), LONG_S)
    assert line, path.with_suffix(".err").read_text()
    started = Process(process, msgspec.json.decode(line))
    try:
        assert started.said["event"] == "ready", line
        yield started
    finally:
        await started.end(signal.SIGKILL)


@asynccontextmanager
async def embedded(home: Home, port: int = 0) -> AsyncIterator[int]:
    """Run the embedded broker in this process; yield its port."""
    door = Door(Users(home.folder, load_fleet(home.fleet), home.keys), connections_max=16)
    await door.start()
    try:
        yield await door.listen("127.0.0.1", port)
    finally:
        await door.stop()


class Phone:
    """A member's phone: what it was told, and when."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.at: dict[str, float] = {}
        self.ups = 0

    def up(self) -> None:
        self.ups += 1

    def take(self, _topic: str, payload: bytes) -> None:
        notice = msgspec.json.decode(payload)
        self.told.append(notice)
        self.at.setdefault(notice["id"], time.monotonic())

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONG_S):
            while not is_so():  # noqa: ASYNC110 - many kinds of things are waited for
                await asyncio.sleep(0.01)

    def has_all(self, names: list[str]) -> bool:
        return {f"{name}:credit" for name in names} <= self.at.keys()


@asynccontextmanager
async def phone_of(home: Home, port: int, *, wait: bool = True) -> AsyncIterator[Phone]:
    phone = Phone()
    username = f"m-{home.member}"
    client = MqttClient(
        host="127.0.0.1",
        port=port,
        username=username,
        password=home.keys.password(username),
        on_message=phone.take,
        subscriptions=(f"cq1/m/{home.member}/n",),
        on_up=phone.up,
        clean=False,
    )
    running_client = asyncio.create_task(client.run())
    try:
        if wait:
            await phone.until(lambda: phone.ups == 1)
        yield phone
    finally:
        running_client.cancel()
        await asyncio.gather(running_client, return_exceptions=True)


async def test_a_credit_is_on_the_phone_within_a_second_and_a_kill_loses_none(home: Home) -> None:
    await home.world.start()
    home.enrol()
    async with embedded(home) as port, phone_of(home, port) as phone:
        path = home.settings("notifier", mqtt_port=port)
        async with running("switch.notifier", path) as notifier:
            await home.post("first")
            await phone.until(lambda: phone.has_all(["first"]))
            waits = []
            for number in range(5):
                await home.post(f"soon-{number}")
                posted = time.monotonic()
                await phone.until(partial(phone.has_all, [f"soon-{number}"]))
                waits.append(phone.at[f"soon-{number}:credit"] - posted)
            assert max(waits) < SOON_S

            names = [f"t-{number:03}" for number in range(400)]
            growing = asyncio.create_task(grow(home, names))
            await phone.until(lambda: len(phone.told) > 60)
            await notifier.end(signal.SIGKILL)
        async with running("switch.notifier", path):
            await growing
            await phone.until(lambda: phone.has_all(names))
    assert_repeats_are_equal(phone)


async def grow(home: Home, names: list[str]) -> None:
    for first in range(0, len(names), 50):
        await home.post(*names[first : first + 50])


def assert_repeats_are_equal(phone: Phone) -> None:
    bodies: dict[str, dict[str, Any]] = {}
    for notice in phone.told:
        assert bodies.setdefault(notice["id"], notice) == notice


@pytest.mark.needs_mosquitto
@pytest.mark.needs_mosquitto_sub
async def test_a_plain_mosquitto_sub_sees_a_credit_within_a_second(home: Home) -> None:
    await home.world.start()
    home.enrol()
    broker_path = home.settings("broker", kind="mosquitto", port=0)
    async with running("runtime.mqtt_broker", broker_path) as broker:
        port = broker.said["port"]
        async with (
            running("switch.notifier", home.settings("notifier", mqtt_port=port)),
            mosquitto_sub(home, port) as lines,
        ):
            await home.post("first")
            await asyncio.wait_for(lines.readline(), LONG_S)
            await home.post("second")
            posted = time.monotonic()
            line = await asyncio.wait_for(lines.readline(), LONG_S)
            assert time.monotonic() - posted < SOON_S
            assert msgspec.json.decode(line)["id"] == "second:credit"


@asynccontextmanager
async def mosquitto_sub(home: Home, port: int) -> AsyncIterator[asyncio.StreamReader]:
    username = f"m-{home.member}"
    told = ("-h", "127.0.0.1", "-p", str(port), "-u", username, "-P", home.keys.password(username))
    process = await asyncio.create_subprocess_exec(
        "mosquitto_sub",
        *told,
        *("-i", username, "-q", "1", "-t", f"cq1/m/{home.member}/n"),
        env={"PATH": PATH},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def test_a_broker_restarted_in_mid_batch_loses_no_notice(home: Home) -> None:
    await home.world.start()
    home.enrol()
    names = [f"t-{number:03}" for number in range(300)]
    async with embedded(home) as port:
        # It starts anew on the port it had, with nothing of what it knew.
        pass
    config = NotifierConfig(home=str(home.folder), fleet=str(home.fleet), mqtt_port=port)
    notifier = NotifierProcess(config, after=timedelta(seconds=0.6))
    async with phone_of(home, port, wait=False) as phone:
        following = asyncio.create_task(notifier.run())
        async with embedded(home, port):
            await phone.until(lambda: phone.ups == 1)
            growing = asyncio.create_task(grow(home, names))
            await phone.until(lambda: len(phone.told) > 20)
        async with embedded(home, port):
            await growing
            await phone.until(lambda: phone.has_all(names))
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    assert_repeats_are_equal(phone)


async def test_a_file_of_its_own_that_is_none_ends_it_in_words(home: Home) -> None:
    (home.folder / "notices.db").write_bytes(b"no database" * 1000)
    config = NotifierConfig(home=str(home.folder), fleet=str(home.fleet), mqtt_port=1)

    with pytest.raises(StoreError, match="not a database"):
        await NotifierProcess(config).run()


async def test_it_waits_for_a_ledger_that_the_switch_has_yet_to_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fleet.toml").write_text(FLEET)
    config = NotifierConfig(home=str(tmp_path), fleet=str(tmp_path / "fleet.toml"), mqtt_port=1)

    following = asyncio.create_task(NotifierProcess(config).run())
    await asyncio.sleep(0.05)
    assert '"event":"ready"' in capsys.readouterr().out
    assert not following.done()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
