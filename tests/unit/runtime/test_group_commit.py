"""Group commit over a scripted connection: what is one transaction, and what a failure means."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from runtime.group_commit import GroupCommit
from scheme.errors import StoreError


class ScriptedConnection:
    """Counts transactions; fails one statement if told to."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.failing: str | None = None

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        if statement == self.failing:
            raise OSError(f"{statement}: no space left")


class Disk:
    """The writer's other half: keeps what each group wrote, and can hold a group up."""

    def __init__(self) -> None:
        self.connection = ScriptedConnection()
        self.groups: list[list[str]] = []
        self.failures: list[BaseException] = []
        self.gate = threading.Event()
        self.gate.set()

    def write(self, commands: Sequence[str]) -> None:
        assert self.gate.wait(5)
        self.groups.append(list(commands))


@asynccontextmanager
async def a_commit(
    disk: Disk,
    *,
    group_max: int = 100,
    queue_max: int = 100,
    bytes_max: int = 1000,
    on_written: Callable[[Sequence[str]], None] | None = None,
) -> AsyncIterator[GroupCommit[str]]:
    commit: GroupCommit[str] = GroupCommit(
        disk.connection,
        disk.write,
        on_failure=disk.failures.append,
        group_max=group_max,
        queue_max=queue_max,
        bytes_max=bytes_max,
        on_written=on_written,
    )
    try:
        yield commit
    finally:
        disk.gate.set()
        commit.close()


async def test_what_is_ready_in_one_turn_is_one_transaction() -> None:
    disk = Disk()
    async with a_commit(disk) as commit:
        await asyncio.gather(commit.write("a"), commit.write("b"), commit.write("c"))

    assert disk.groups == [["a", "b", "c"]]
    assert disk.connection.statements == ["BEGIN IMMEDIATE", "COMMIT"]


async def test_what_came_during_a_group_is_the_next_one() -> None:
    disk = Disk()
    disk.gate.clear()
    async with a_commit(disk) as commit:
        first = commit.write("a")
        await asyncio.sleep(0)
        later = [commit.write("b"), commit.write("c")]
        disk.gate.set()
        await asyncio.gather(first, *later)

    assert disk.groups == [["a"], ["b", "c"]]


@pytest.mark.parametrize(("group_max", "bytes_max"), [(3, 1000), (100, 30)])
async def test_a_unit_is_never_split_over_two_groups(group_max: int, bytes_max: int) -> None:
    disk = Disk()
    async with a_commit(disk, group_max=group_max, bytes_max=bytes_max) as commit:
        commit.submit("a1", "a2", size=20)
        commit.submit("b1", "b2", size=20)
        await commit.write("c1", "c2", "c3", "c4", size=40)

    assert disk.groups == [["a1", "a2"], ["b1", "b2"], ["c1", "c2", "c3", "c4"]]


async def test_a_group_is_filled_exactly_to_its_limits() -> None:
    disk = Disk()
    async with a_commit(disk, group_max=2, bytes_max=10) as commit:
        commit.submit("a", size=5)
        commit.submit("b", size=5)
        commit.submit("c", size=6)
        await commit.write("d", size=5)

    assert disk.groups == [["a", "b"], ["c"], ["d"]]


async def test_the_queue_is_full_at_its_limit_and_not_before() -> None:
    async with a_commit(Disk(), queue_max=2) as commit:
        commit.submit("a")
        assert not commit.is_full
        commit.submit("b")
        assert commit.is_full
        await commit.drain()
        assert not commit.is_full


async def test_commands_are_reported_as_written_before_their_waiter_is_told() -> None:
    told: list[str] = []
    async with a_commit(Disk(), on_written=told.extend) as commit:
        commit.submit("a")
        await commit.write("b")

        assert told == ["a", "b"]


async def test_a_barrier_ends_when_everything_before_it_is_on_disk() -> None:
    disk = Disk()
    disk.gate.clear()
    async with a_commit(disk) as commit:
        commit.submit("a")
        barrier = commit.write()
        await asyncio.sleep(0)
        assert not barrier.done()
        disk.gate.set()
        await barrier
        assert disk.groups == [["a"]]
        assert commit.write().done(), "nothing is under way: there is nothing to wait for"


async def test_a_waiter_that_left_disturbs_nobody() -> None:
    disk = Disk()
    async with a_commit(disk) as commit:
        gone = commit.write("a")
        gone.cancel()
        await commit.write("b")

    assert disk.groups == [["a", "b"]]


@pytest.mark.parametrize("failing", ["BEGIN IMMEDIATE", "COMMIT"])
async def test_a_failed_group_answers_nobody_in_it_or_after_it(failing: str) -> None:
    disk = Disk()
    async with a_commit(disk) as commit:
        await commit.write("before")
        disk.connection.failing = failing
        lost = commit.write("lost")
        await asyncio.sleep(0)
        waiting = commit.write("waiting")
        with pytest.raises(StoreError):
            await commit.drain()
        late, barrier = commit.write("late"), commit.write()
        await asyncio.sleep(0)

        assert commit.has_failed
        assert not any(one.done() for one in (lost, waiting, late, barrier))
    assert [type(one) for one in disk.failures] == [OSError]
    written = [command for group in disk.groups for command in group]
    assert "late" not in written
    assert "waiting" not in written


async def test_after_a_failure_the_connection_is_not_touched_again() -> None:
    disk = Disk()
    async with a_commit(disk) as commit:
        disk.connection.failing = "COMMIT"
        commit.submit("lost")
        with pytest.raises(StoreError):
            await commit.drain()
        commit.submit("late")
        await asyncio.sleep(0)

    assert disk.connection.statements == ["BEGIN IMMEDIATE", "COMMIT"], "no ROLLBACK either"


async def test_giving_up_is_told_once_and_stops_the_group_under_way() -> None:
    disk = Disk()
    disk.gate.clear()
    async with a_commit(disk) as commit:
        under_way = commit.write("a")
        await asyncio.sleep(0)
        commit.fail(AssertionError("a broken invariant"))
        commit.fail(AssertionError("another"))
        disk.gate.set()
        with pytest.raises(StoreError):
            await commit.drain()
        await asyncio.sleep(0.01)  # Lets the writer's thread report the group it had begun.

        assert not under_way.done()
    assert [str(one) for one in disk.failures] == ["a broken invariant"]
