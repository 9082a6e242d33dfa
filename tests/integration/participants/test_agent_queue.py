"""A terminal's queue as others read it."""

from pathlib import Path

import pytest

from participants.agent_queue import AgentQueue, QueueTaken, read_queue
from participants.core.agent_book import Change, Entry, Facts
from scheme.errors import StoreError
from scheme.wire.agent_payload import Kind, Operation

ENTRY = Entry(Operation(1, bytes(8), Kind.CASH_IN, 1000, 0, "", "", 0, offline=True))


async def a_queue(path: Path) -> AgentQueue:
    queue = AgentQueue.open(path)
    await queue.save(Change(Facts(next=2), (ENTRY,)))
    return queue


async def test_a_queue_is_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agents" / "one #1.db"
    (await a_queue(path)).close()
    before = path.read_bytes()
    assert read_queue(path) == [ENTRY]
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


async def test_a_queue_that_is_played_is_not_read(tmp_path: Path) -> None:
    queue = await a_queue(tmp_path / "one.db")
    with pytest.raises(QueueTaken):
        read_queue(tmp_path / "one.db")
    queue.close()


def test_what_is_no_queue_is_said_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    with pytest.raises(StoreError, match=r"one\.db"):
        read_queue(path)
    assert not path.exists()
    path.write_bytes(b"something else" * 100)
    with pytest.raises(StoreError, match=r"one\.db"):
        read_queue(path)
