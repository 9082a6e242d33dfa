"""A terminal over its real queue: what a kill leaves, and what waits for whom."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from participants.agent_queue import AgentQueue, MemoryQueue, QueueTaken, queue_path
from participants.agents.field_agent import FieldAgent
from participants.core.agent_book import Change, Entry, EntryState, Facts, Lease, Wish
from participants.core.agent_limits import Stop
from participants.core.agent_terminal import Terminal
from participants.core.agent_told import Settled, Told, Welcomed
from runtime.clock import ManualClock, SystemClock
from scheme.errors import StoreError
from scheme.limits import AGENT_INBOX_MAX
from scheme.wire.agent_digest import voucher_of
from scheme.wire.agent_payload import Kind, Operation
from tests.support.agent_switch import DEVICE, KEY, AgentSwitch

START = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
IN = Wish(kind=Kind.CASH_IN, minor=2_000, account="97500100000000000101")


class SwitchLink:
    """Hands payloads to a switch in memory, and its answers back on the loop."""

    def __init__(self, switch: AgentSwitch) -> None:
        self.switch = switch
        self.is_up = True
        self.tell: Callable[[bytes], None] = lambda _: None

    def send(self, payload: bytes) -> bool:
        if self.is_up:
            for answer in self.switch.receive(payload):
                asyncio.get_running_loop().call_soon(self.tell, answer)
        return True


class Counter:
    """A terminal with its shell, its queue on disk and a clock that stands still."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock(START)
        self.link = SwitchLink(AgentSwitch())
        self.told: list[Told] = []
        self.path = path
        self.open()

    def open(self) -> None:
        self.queue = AgentQueue.open(self.path)
        facts, entries = self.queue.load()
        terminal = Terminal(DEVICE, KEY, chance=random.Random(1), facts=facts, entries=entries)
        self.agent = FieldAgent(
            terminal, queue=self.queue, clock=self.clock, on_told=self.told.append
        )
        self.link.tell = self.agent.on_payload

    async def serve(self) -> "asyncio.Task[None]":
        running = asyncio.ensure_future(self.agent.run(self.link))
        self.agent.on_up()
        await asyncio.wait_for(self.agent.until(lambda: self.agent.terminal.is_idle), 2)
        return running

    async def stop(self, running: "asyncio.Task[None]") -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    return Counter(queue_path(tmp_path, DEVICE))


async def test_what_is_made_alone_is_on_disk_and_settled_after_a_restart(counter: Counter) -> None:
    running = await counter.serve()
    await counter.stop(running)
    made = [await counter.agent.make(IN, offline=True) for _ in range(3)]
    counter.queue.close()
    counter.open()
    assert list(counter.agent.terminal.entries) == made
    running = await counter.serve()
    assert [one.state for one in counter.agent.terminal.entries] == [EntryState.APPLIED] * 3
    assert counter.agent.terminal.facts.agreed == 3
    await counter.stop(running)
    counter.queue.close()
    counter.open()
    assert counter.agent.terminal.facts.agreed == 3
    counter.queue.close()


async def test_a_live_operation_waits_for_its_verdict(counter: Counter) -> None:
    running = await counter.serve()
    made = await counter.agent.make(IN, offline=False)
    assert isinstance(made, Entry)
    first, second = await asyncio.gather(
        counter.agent.verdict(made.seq), counter.agent.verdict(made.seq)
    )
    assert first == second == await counter.agent.verdict(made.seq)
    assert first.state is EntryState.APPLIED
    assert [type(one) for one in counter.told] == [Welcomed, Settled]
    await counter.agent.push()
    await counter.agent.until(lambda: counter.agent.terminal.facts.agreed == 1)
    await counter.stop(running)
    counter.queue.close()


async def test_silence_is_broken_by_the_clock(counter: Counter) -> None:
    running = await counter.serve()
    counter.link.is_up = False
    made = await counter.agent.make(IN, offline=False)
    assert isinstance(made, Entry)
    counter.link.is_up = True
    verdict = asyncio.ensure_future(counter.agent.verdict(made.seq))
    while not verdict.done():
        await counter.clock.advance(timedelta(seconds=1))
        await asyncio.sleep(0.001)
    assert verdict.result().state is EntryState.APPLIED
    counter.agent.on_down("gone")
    await counter.agent.until(lambda: counter.agent.terminal.due is None)
    await asyncio.sleep(0)
    assert isinstance(await counter.agent.make(IN, offline=False), Stop)
    await counter.stop(running)
    counter.queue.close()


async def test_a_terminal_that_is_overrun_drops_what_will_be_said_again(counter: Counter) -> None:
    for _ in range(AGENT_INBOX_MAX + 1):
        counter.agent.on_payload(b"")
    running = asyncio.ensure_future(counter.agent.run(counter.link))
    counter.agent.on_up()
    await asyncio.wait_for(counter.agent.until(lambda: counter.agent.terminal.is_idle), 2)
    await counter.stop(running)
    counter.queue.close()


async def test_a_crowd_needs_no_disk() -> None:
    await MemoryQueue().save(Change(Facts()))


def test_a_terminal_is_played_by_one_process(counter: Counter) -> None:
    with pytest.raises(QueueTaken, match="another process"):
        AgentQueue.open(counter.path)
    counter.queue.close()
    AgentQueue.open(counter.path).close()


def test_a_file_that_is_no_queue_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"no database at all, whatever it is called" * 200)
    with pytest.raises(StoreError, match=r"x\.db"):
        AgentQueue.open(path)
    with pytest.raises(StoreError, match="y"):
        AgentQueue.open(_a_folder(tmp_path / "y"))


def _a_folder(path: Path) -> Path:
    path.mkdir()
    return path


async def test_a_disk_that_takes_nothing_is_told(counter: Counter) -> None:
    counter.queue._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="cannot be written"):
        await counter.queue.save(Change(Facts()))
    counter.queue.close()


async def test_a_queue_of_something_else_is_told(counter: Counter) -> None:
    await counter.queue.save(Change(Facts()))
    counter.queue._connection.execute("UPDATE facts SET body = x'c1'")
    with pytest.raises(StoreError, match="cannot be read"):
        counter.queue.load()
    counter.queue.close()


async def test_a_write_that_fails_leaves_nothing_of_it(counter: Counter) -> None:
    operation = Operation(2**70, b"12345678", 1, 5, 0, "", "", 0, offline=True)
    with pytest.raises(OverflowError):
        await counter.queue.save(Change(Facts(next=9), (Entry(operation),)))
    assert counter.queue.load() == (Facts(), [])
    counter.queue.close()


PLAYED = """
import asyncio, random, sys
from pathlib import Path
from participants.agent_queue import AgentQueue
from participants.agents.field_agent import FieldAgent
from participants.core.agent_terminal import Terminal
from runtime.clock import SystemClock
from scheme.wire.agent_digest import voucher_of
from tests.integration.participants.test_field_agent import DEVICE, IN, KEY

async def play():
    queue = AgentQueue.open(Path(sys.argv[1]))
    facts, entries = queue.load()
    terminal = Terminal(DEVICE, KEY, chance=random.SystemRandom(), facts=facts, entries=entries)
    agent = FieldAgent(terminal, queue=queue, clock=SystemClock())
    while True:
        made = await agent.make(IN, offline=True)
        print(made.seq, voucher_of(made.operation), flush=True)

asyncio.run(play())
"""


def _receipts_before_a_kill(path: Path, wanted: int) -> list[tuple[int, str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(wanted)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    # The last line may be cut short.
    whole = [one.split() for one in lines if len(one.split()) == 2 and len(one.split()[1]) == 9]
    return [(int(seq), voucher) for seq, voucher in whole]


async def test_a_kill_loses_no_operation_that_a_customer_holds_a_receipt_for(
    counter: Counter,
) -> None:
    lease = Lease(int(SystemClock().now().timestamp()), 9_000, 10_000, (10**9, 0), (10**9, 0))
    await counter.queue.save(Change(Facts(lease=lease)))
    counter.queue.close()
    receipts = [one for wanted in (3, 20) for one in _receipts_before_a_kill(counter.path, wanted)]
    counter.open()
    kept = {one.seq: voucher_of(one.operation) for one in counter.agent.terminal.entries}
    assert len(dict(receipts)) == len(receipts)
    assert [(seq, kept[seq]) for seq, _ in receipts] == receipts
    running = await counter.serve()
    assert set(counter.link.switch.done.values()) == {1}
    assert len(counter.link.switch.done) == len(kept)
    await counter.stop(running)
    counter.queue.close()
