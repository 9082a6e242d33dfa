"""The storm's terminal before a small clearing house: what it says, and what it finds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from msgspec.structs import replace

from loadtests.agents.terminal import Counts, Terminal
from scheme.wire.agent_payload import Hello, Kind, Operation, Operations, Verdict, decode_up, encode
from tests.support.agent_switch import DEVICE, KEY, AgentSwitch, approve

NOW = 1_768_482_600
PAYEE = "97500100000000000101"


class Wire:
    """A terminal and a switch, joined by a wire that a test may spoil."""

    def __init__(self, switch: AgentSwitch) -> None:
        self.switch = switch
        self.counts = Counts()
        self.said: list[bytes] = []
        self.passes: Callable[[bytes], int] = lambda _: 1
        self.terminal = Terminal(
            DEVICE,
            KEY,
            say=self._say,
            now=lambda: NOW,
            chance=random.Random(1),
            counts=self.counts,
        )

    def _say(self, payload: bytes) -> None:
        self.said.append(payload)
        for _ in range(self.passes(payload)):
            for answer in self.switch.receive(payload):
                asyncio.get_running_loop().call_soon(self.terminal.heard, answer)

    def make(self, count: int) -> None:
        for _ in range(count):
            self.terminal.make(
                kind=Kind.CASH_IN, minor=1_500, account=PAYEE, at=NOW - 60, offline=True
            )

    async def closed(self) -> None:
        self.terminal.close()
        async with asyncio.timeout(2):
            await self.terminal.closed.wait()
        assert self.terminal.is_closed


async def test_what_was_queued_is_settled_and_closed() -> None:
    wire = Wire(AgentSwitch())
    wire.make(120)
    wire.terminal.up()
    await wire.closed()
    assert len(wire.terminal.verdicts) == 120
    assert set(wire.switch.done.values()) == {1}
    assert wire.terminal.faults == []
    assert wire.counts.operations_up <= wire.counts.up


async def test_a_live_operation_ends_with_its_verdict() -> None:
    wire = Wire(AgentSwitch())
    wire.terminal.up()
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        verdict = await wire.terminal.ask(kind=Kind.CASH_IN, minor=100, account=PAYEE)
    assert (verdict.seq, verdict.code) == (1, "00")
    await wire.closed()


async def test_what_is_doubled_counts_once_and_what_is_lost_is_asked_for() -> None:
    wire = Wire(AgentSwitch())
    lost: list[Operation] = []

    def spoilt(payload: bytes) -> int:
        message = decode_up(payload)
        if isinstance(message, Operations) and message.operations[0].seq == 1 and not lost:
            lost.extend(message.operations)
            return 0
        return 2

    wire.passes = spoilt
    wire.make(120)
    wire.terminal.up()
    await wire.closed()
    assert len(lost) == 50
    assert set(wire.switch.done.values()) == {1}
    assert wire.terminal.faults == []


async def test_another_verdict_or_digest_than_before_is_found() -> None:
    switch = AgentSwitch()
    wire = Wire(switch)
    wire.make(2)
    wire.terminal.up()
    await asyncio.sleep(0.01)
    switch.verdicts[2] = Verdict(2, "51")
    await wire.closed()
    assert len(wire.terminal.faults) == 1
    switch.judge = lambda operation: replace(approve(operation), code="14")
    wire.terminal.up()
    await asyncio.sleep(0.01)
    switch.verdicts[1] = Verdict(1, "14")
    every_verdict = Hello(session=switch.session, first=1, next=3, now=NOW)
    wire.terminal.heard(switch.receive(encode(every_verdict))[1])
    assert len(wire.terminal.faults) > 1
    wire.terminal.down()
