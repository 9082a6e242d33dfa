"""The directory on its real disk: what survives, what is kept apart, what happens when it fails."""

import asyncio
import os
import random
import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from directory.core.alias import CLEARING_HOUSE, Entry, Refusal
from directory.core.registry import Instruction, Order
from directory.service import DirectoryService
from directory.store import DirectoryStore
from scheme.cci import has_valid_check_digits
from scheme.errors import ConfigError, StoreError
from scheme.network import Fleet
from scheme.people import people
from scheme.reasons import ReasonCode
from tests.support.directory_fakes import PARTICIPANTS, RULES, lima_clock

ROOT = Path(__file__).resolve().parents[2]
CCI = "97000110020030040142"
ENTRY = Entry(phone="900000101", directory=CLEARING_HOUSE, participant="0970", cci=CCI)
REGISTER_FOR_EVER = """
import asyncio, sys
from directory.core.alias import CLEARING_HOUSE, Entry
from directory.store import DirectoryStore

async def one(store, phone):
    await store.put_entry(Entry(
        phone=str(phone), directory=CLEARING_HOUSE, participant="0970", cci="c"))
    print(phone, flush=True)

async def main():
    store = await DirectoryStore.open(sys.argv[1])
    phone = 900000000
    while True:
        await asyncio.gather(*(one(store, phone + number) for number in range(8)))
        phone += 8

asyncio.run(main())
"""


def a_service(store: DirectoryStore) -> DirectoryService:
    clock = lima_clock("2026-01-15T10:00:00")
    return DirectoryService(store, clock=clock, rules=RULES, participants=PARTICIPANTS)


def an_order(phone: str = "900000101") -> Order:
    return Order(
        instruction=Instruction.NEWR, phone=phone, participant="0970", cci=CCI, registration_id="R"
    )


async def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "directory.db")
    store = await DirectoryStore.open(path)
    key = store.key
    await a_service(store).register(an_order())
    await store.close()
    again = await DirectoryStore.open(path)
    resolution = a_service(again).resolve_phone("900000101", "0970")
    assert resolution is not None
    assert resolution.cci == CCI
    assert again.key == key
    await again.close()


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        REGISTER_FOR_EVER,
        str(path),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    answered = [await process.stdout.readline() for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    answered += (await process.stdout.read()).splitlines()
    await process.wait()
    store = await DirectoryStore.open(str(path))
    for line in answered[:-1]:
        assert store.find(line.decode().strip()), "answered, so on disk"
    await store.close()


async def test_the_whole_country_is_seeded_and_every_alias_resolves(tmp_path: Path) -> None:
    fleet = Fleet.parse((ROOT / "participants" / "fleet.toml").read_text())
    everybody = people(fleet, random.Random(fleet.seed))
    store = await DirectoryStore.open(str(tmp_path / "directory.db"))
    service = a_service(store)
    assert await service.seed(everybody)
    aliases = 0
    for person in everybody:
        for holding in person.holdings:
            for directory in holding.directories:
                code = holding.participant if directory == CLEARING_HOUSE else directory
                found = service.resolve_phone(person.phone, code)
                assert found is not None, (person.phone, code)
                assert has_valid_check_digits(found.cci)
                aliases += 1
            if holding.wallet_token is not None:
                wallet = next(one for one in holding.directories if one != CLEARING_HOUSE)
                token = service.resolve_token(holding.wallet_token, wallet)
                assert token is not None
                assert token.cci == holding.cci
    assert aliases > 15_000
    await store.close()


async def test_of_many_registrations_of_one_phone_one_is_accepted(tmp_path: Path) -> None:
    store = await DirectoryStore.open(str(tmp_path / "directory.db"))
    service = a_service(store)
    outcomes = await asyncio.gather(*(service.register(an_order()) for _ in range(50)))
    refused = [one for one in outcomes if isinstance(one, Refusal)]
    assert len(refused) == 49
    assert {one.reason for one in refused} == {ReasonCode.IREG}
    await store.close()


async def test_a_caller_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    store = await DirectoryStore.open(str(tmp_path / "directory.db"))
    writing = asyncio.create_task(store.put_entry(ENTRY))
    await asyncio.sleep(0)
    writing.cancel()
    assert store.entry_to_change(ENTRY.phone, "0970") == ENTRY
    with pytest.raises(asyncio.CancelledError):
        await writing
    await store.put_entry(replace(ENTRY, phone="900000102"))
    assert store.entries(ENTRY.phone) == [ENTRY]
    await store.close()


async def test_after_a_failed_write_nothing_more_is_claimed(tmp_path: Path) -> None:
    path = str(tmp_path / "directory.db")
    told: list[bool] = []
    store = await DirectoryStore.open(path, on_failure=lambda: told.append(True))
    await store.put_entry(ENTRY)
    with sqlite3.connect(path) as vandal:
        vandal.execute("DROP TABLE entries")
    vandal.close()
    lost = await asyncio.gather(
        *(store.put_entry(replace(ENTRY, phone=f"90000020{n}")) for n in range(3)),
        return_exceptions=True,
    )
    assert [type(one) for one in lost] == [StoreError] * 3
    assert told == [True]
    with pytest.raises(StoreError, match="earlier write"):
        await store.put_payment("0" * 20, "t")
    with pytest.raises(StoreError):
        store.find(ENTRY.phone)
    await store.close()


async def test_a_file_of_another_version_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "directory.db")
    await (await DirectoryStore.open(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = x'3939' WHERE name = 'schema_version'")
    connection.close()
    with pytest.raises(ConfigError, match="another version"):
        await DirectoryStore.open(path)


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"directory\.db: damaged .*chasqui reset"):
        await DirectoryStore.open(str(path))


async def test_a_file_damaged_in_its_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    await (await DirectoryStore.open(str(path))).close()
    whole = bytearray(path.read_bytes())
    whole[4096:-4096] = b"\xa5" * (len(whole) - 8192)
    path.write_bytes(whole)
    with pytest.raises(StoreError, match=r"directory\.db: damaged"):
        await DirectoryStore.open(str(path))


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        await DirectoryStore.open(str(tmp_path / "nowhere" / "directory.db"))
