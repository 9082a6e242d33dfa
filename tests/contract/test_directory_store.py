"""What every store of the directory does, the fake of the unit tests included."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from directory.core.alias import CLEARING_HOUSE, YAPE, Entry, EntryState, Found, Resolution
from directory.core.qr import REFERENCE_DYNAMIC, REFERENCE_STATIC
from directory.core.seed import TokenEntry
from directory.store import DirectoryStore
from tests.support.directory_fakes import MemoryDirectoryStore

Store = DirectoryStore | MemoryDirectoryStore
ENTRY = Entry(
    phone="900000101",
    directory=CLEARING_HOUSE,
    participant="0970",
    cci="97000110020030040142",
    display_name="SOCIA UNO D.",
    holder_type="N",
    registration_id="R1",
    registered_ms=1,
    changed_ms=2,
)
WALLET = replace(ENTRY, directory=YAPE, participant="0002", cci="00299900000000000000")
TOKEN = TokenEntry("f00d", YAPE, "0002", WALLET.cci)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryDirectoryStore()
        return
    opened = await DirectoryStore.open(str(tmp_path / "directory.db"))
    yield opened
    await opened.close()


async def test_what_was_put_is_found(store: Store) -> None:
    await store.put_entry(ENTRY)
    assert store.find(ENTRY.phone) == [Found(CLEARING_HOUSE, "0970", ENTRY.cci)]
    assert store.entries(ENTRY.phone) == [ENTRY]
    assert store.find("900000102") == []


async def test_a_deactivated_entry_is_on_file_and_not_found(store: Store) -> None:
    await store.put_entry(ENTRY)
    inactive = replace(ENTRY, state=EntryState.INACTIVE)
    await store.put_entry(inactive)
    assert store.find(ENTRY.phone) == []
    assert store.entries(ENTRY.phone) == [inactive]
    assert store.entry_to_change(ENTRY.phone, "0970") == inactive


async def test_only_the_clearing_house_s_entries_change(store: Store) -> None:
    await store.seed([WALLET], [], [])
    assert store.entry_to_change(WALLET.phone, "0002") is None


async def test_a_change_under_way_is_seen_by_the_next_and_found_by_nobody(store: Store) -> None:
    first = asyncio.create_task(store.put_entry(ENTRY))
    amended = replace(ENTRY, cci="97000110020030041944")
    second = asyncio.create_task(store.put_entry(amended))
    await asyncio.sleep(0)
    assert store.entry_to_change(ENTRY.phone, "0970") == amended
    await asyncio.gather(first, second)
    assert store.entry_to_change(ENTRY.phone, "0970") == amended
    assert store.entries(ENTRY.phone) == [amended]


async def test_the_first_content_is_written_once(store: Store) -> None:
    assert not store.is_seeded
    assert await store.seed([ENTRY, WALLET], [TOKEN], [REFERENCE_STATIC])
    assert store.is_seeded
    assert not await store.seed([replace(ENTRY, phone="900000102")], [], [])
    assert store.find(ENTRY.phone) == [
        Found(YAPE, "0002", WALLET.cci),
        Found(CLEARING_HOUSE, "0970", ENTRY.cci),
    ]
    assert store.find("900000102") == []
    assert store.find_token("f00d", YAPE) == Resolution("0002", WALLET.cci)
    assert store.find_token("f00d", "0902") is None


async def test_a_registered_qr_is_found_by_its_id(store: Store) -> None:
    await store.put_qr(REFERENCE_DYNAMIC)
    assert store.qr(REFERENCE_DYNAMIC.id_qr) == REFERENCE_DYNAMIC
    assert store.qr("0" * 20) is None


async def test_the_newest_static_qr_of_an_account_is_found(store: Store) -> None:
    newer = replace(REFERENCE_STATIC, id_qr="26011609710000000001", registered="20260116")
    for record in (REFERENCE_STATIC, newer, REFERENCE_DYNAMIC):
        await store.put_qr(record)
    one = REFERENCE_STATIC
    assert store.static_qr(one.cci, one.currency, one.name) == newer
    assert store.static_qr(one.cci, "USD", one.name) is None
    assert store.static_qr(one.cci, one.currency, "OTRA") is None


async def test_numbers_of_qrs_go_on_after_the_seeded_ones(store: Store) -> None:
    await store.seed([], [], [REFERENCE_STATIC, REFERENCE_DYNAMIC])
    assert [store.next_qr_number() for _ in range(3)] == [12347, 12348, 12349]


async def test_payments_count_once_per_transfer(store: Store) -> None:
    for transfer in ("one", "one", "two"):
        await store.put_payment(REFERENCE_DYNAMIC.id_qr, transfer)
    assert store.payments(REFERENCE_DYNAMIC.id_qr) == 2
    assert store.payments("0" * 20) == 0
