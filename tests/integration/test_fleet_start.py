"""How a fleet starts and refuses to start."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from participants.config import Config
from participants.main import first_accounts
from runtime.http_server import GuardedServer, Request, Response
from scheme.errors import ConfigError
from scheme.network import Fleet
from tests.support.clearing_house import ClearingHouse
from tests.support.fleet_process import FLEET, ROOT, running, settings


@pytest.fixture
async def house() -> AsyncIterator[ClearingHouse]:
    house = ClearingHouse()
    await house.start()
    yield house
    await house.stop()


def start(path: Path) -> tuple[int, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "participants", "--config", str(path)],
        cwd=ROOT, capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_a_wrong_setting_is_named_and_nothing_starts(tmp_path: Path) -> None:
    path = tmp_path / "participants.toml"
    path.write_text('home = "x"\nfleet = "y"\ncolour = "red"\n')

    code, said = start(path)

    assert code == 2
    assert said["event"] == "failed"
    assert "colour" in said["error"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('iso8583_address = "7083"', "iso8583_address"),
        ('iso8583_address = "127.0.0.1:70830"', "iso8583_address"),
        ('host = "0.0.0.0"', "host"),
        ('switch_url = "ftp://x"', "switch_url"),
        ("latency_ms = -1.0", "latency_ms"),
        ("latency_ms = nan", "latency_ms"),
        ("grace_s = -0.5", "grace_s"),
        ("grace_s = inf", "grace_s"),
        ('seed = "x"', "seed"),
        ("home", "participants.toml"),
    ],
)
def test_settings_are_checked_whole(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "participants.toml"
    path.write_text(f'home = "x"\nfleet = "y"\n{line}\n')

    with pytest.raises(ConfigError, match=named):
        Config.read(path)


async def test_a_taken_port_is_named(house: ClearingHouse, tmp_path: Path) -> None:
    async def nothing(_: Request) -> Response:
        return Response()

    other = GuardedServer(nothing)
    await other.start()
    taken = FLEET.replace('kind = "bank"', f'kind = "bank"\nport = {other.port}')
    config = settings(tmp_path, house, fleet=taken)

    with pytest.raises(ConfigError, match=str(other.port)):
        async with running(config):
            pass
    await other.stop(0.0)


async def test_a_clearing_house_that_comes_later_is_waited_for(
    house: ClearingHouse, tmp_path: Path
) -> None:
    port = house.server.port
    await house.stop()
    late = ClearingHouse()
    late.server = GuardedServer(late._handle, port=port)

    async with running(settings(tmp_path, house)):
        await asyncio.sleep(0.05)
        await late.start()
        await late.until("SignOn1", 3)
    await late.stop()


async def test_magic_can_be_switched_off_and_sessions_survive(
    house: ClearingHouse, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(settings(tmp_path, house), magic=False)
    async with running(config):
        await house.until("SignOn1", 3)
        await asyncio.sleep(0.1)
    house.answers["SignOn1"] = lambda _: None
    async with running(config) as hook:
        assert (await hook.get("0970", "state"))["signed_on"] is True


async def test_signing_institutions_sign(house: ClearingHouse, tmp_path: Path) -> None:
    signing = FLEET.replace('kind = "bank"', 'kind = "bank"\njws = true')
    config = settings(tmp_path, house, fleet=signing)

    async with running(config):
        await house.until("SignOn1", 2)

    assert {"0002.pem", "switch.pem", "ca.pem"} <= {
        path.name for path in (tmp_path / "pki").iterdir()
    }


def test_only_the_accounts_of_those_who_open_their_books_are_made() -> None:
    fleet = Fleet.parse(FLEET)

    accounts = first_accounts(fleet, frozenset({"0970"}))

    assert {account.participant for account in accounts} == {"0970"}
    assert all(account.balance > 0 and account.held == 0 for account in accounts)


async def test_a_core_on_the_lane_needs_somebody_to_dial(
    house: ClearingHouse, tmp_path: Path
) -> None:
    fleet = '[[participant]]\ncode = "0970"\nname = "X"\nkind = "coop"\nlane = "iso8583"\n'
    config = msgspec.structs.replace(settings(tmp_path, house, fleet=fleet), iso8583_address="")

    with pytest.raises(ConfigError, match="0970 is on the ISO 8583 lane"):
        async with running(config):
            pass
