"""A key has one outcome for ever, and to know it the disk is seldom asked."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from clearing.ledger_sqlite import SqliteLedger
from scheme.ledger import APPLIED, Duplicate
from tests.support.ledger_fakes import a_post, a_refuse, a_reserve, an_entry, an_opening


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


def _impossible(error: BaseException) -> None:
    raise AssertionError from error


async def a_ledger(path: str) -> SqliteLedger:
    ledger = SqliteLedger.open(path, on_failure=_impossible, now_ms=7)
    await ledger.apply((an_opening("0970", 1_000), an_opening("0002", 1_000)))
    return ledger


@pytest.mark.parametrize("kept", [0, 3, 1000])
async def test_a_repeat_is_known_whatever_is_kept_of_keys(
    path: str, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr("clearing.core.key_gaps.LEDGER_RECENT_KEYS_MAX", kept)
    ledger = await a_ledger(path)
    rng = random.Random(970)
    names = [f"t-{number}" for number in rng.sample(range(100_000), 60)]

    async def transfer(name: str) -> None:
        if rng.random() < 0.2:
            assert await ledger.apply((a_refuse(name),)) == [APPLIED]
        else:
            one = a_reserve(name, an_entry("0970", "0002", 1), write_ahead=rng.random() < 0.5)
            assert await ledger.apply((one,)) == [APPLIED]
            assert await ledger.apply((a_post(name),)) == [APPLIED]

    for first in range(0, len(names), 7):
        await asyncio.gather(*(transfer(name) for name in names[first : first + 7]))
    for _ in range(2):
        for name in names:
            (by_key,) = await ledger.apply((a_reserve("other", key=f"key-{name}"),))
            (by_id,) = await ledger.apply((a_reserve(name, key="other"),))
            assert by_key == by_id
            assert isinstance(by_key, Duplicate)
            assert by_key.transfer_id == name
            assert not ledger.lacks(f"key-{name}")
        ledger.close()
        ledger = SqliteLedger.open(path, on_failure=_impossible, now_ms=7)
    assert (await ledger.audit()).clean
    ledger.close()


async def test_new_keys_that_follow_one_another_are_not_looked_up_on_disk(path: str) -> None:
    reads: list[str] = []

    def connect_reader(path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.set_trace_callback(reads.append)
        return connection

    with closing(
        SqliteLedger.open(path, on_failure=_impossible, connect_reader=connect_reader, now_ms=7)
    ) as ledger:
        await ledger.apply((an_opening("0970", 1_000), an_opening("0002", 1_000)))
        await ledger.apply((a_reserve("t-1000", an_entry("0970", "0002", 1)),))
        reads.clear()
        for number in range(1001, 1020):
            assert ledger.lacks(f"key-t-{number}")
            await ledger.apply((a_reserve(f"t-{number}", an_entry("0970", "0002", 1)),))
            assert not ledger.lacks(f"key-t-{number}")
            await ledger.apply((a_post(f"t-{number}"),))
            assert not ledger.lacks(f"key-t-{number}")
        assert reads == []
