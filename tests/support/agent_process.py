"""Terminals in processes of their own, each of which kills itself at a chosen write.

``python -m tests.support.agent_process HOME PORT DEVICE:WHEN:NUMBER ...`` plays all of them at
once: each makes two operations alone, then syncs. WHEN is ``before`` or ``after`` the write of
that number. Prints the receipts that each had handed out, and whether it was killed, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from participants.agent_queue import AgentQueue, queue_path
from participants.agents.field_agent import FieldAgent
from participants.core.agent_book import Change, Entry, Wish
from participants.core.agent_terminal import Terminal
from participants.links.agent_mqtt import AgentLink
from runtime.clock import SystemClock
from runtime.mqtt_keys import MqttKeys
from scheme.wire.agent_digest import voucher_of
from scheme.wire.agent_payload import Kind
from tests.support.scripted_core import account
from tests.support.scripted_country import CREDITOR

OPERATIONS = 2
MINOR = 1_500
_WAIT_S = 10.0


class _Mortal:
    """A queue whose process ends before or after one of its writes."""

    def __init__(self, queue: AgentQueue, when: str, number: int) -> None:
        self._queue = queue
        self._when = when
        self._left = number

    async def save(self, change: Change) -> None:
        """Write a change, or end."""
        self._left -= 1
        if not self._left and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await self._queue.save(change)
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


async def _play(home: Path, port: int, device: str, when: str, number: int, out: int) -> None:
    keys, clock = MqttKeys.open(home), SystemClock()
    queue = AgentQueue.open(queue_path(home, device))
    facts, entries = queue.load()
    terminal = Terminal(
        device,
        keys.device_key(device),
        chance=random.SystemRandom(),
        facts=facts,
        entries=entries,
    )
    agent = FieldAgent(terminal, queue=_Mortal(queue, when, number), clock=clock)
    link = AgentLink(
        host="127.0.0.1",
        port=port,
        device=device,
        password=keys.password(device),
        clock=clock,
        on_payload=agent.on_payload,
        on_up=agent.on_up,
        on_down=agent.on_down,
    )
    wish = Wish(kind=Kind.CASH_IN, minor=MINOR, account=account(CREDITOR))
    for _ in range(OPERATIONS):
        made = await agent.make(wish, offline=True)
        assert isinstance(made, Entry), made
        os.write(out, f"{made.seq} {voucher_of(made.operation)}\n".encode())
    async with asyncio.timeout(_WAIT_S), asyncio.TaskGroup() as group:
        group.create_task(link.run())
        group.create_task(agent.run(link))


def main(home: Path, port: int, steps: list[str]) -> dict[str, Any]:
    """Play all; return receipts and ends by step."""
    running = {}
    for step in steps:
        device, when, number = step.split(":")
        receipts, out = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                asyncio.run(_play(home, port, device, when, int(number), out))
            finally:
                os._exit(1)
        os.close(out)
        running[step] = (pid, receipts)
    found = {}
    for step, (pid, receipts) in running.items():
        _, status = os.waitpid(pid, 0)
        with os.fdopen(receipts) as pipe:
            lines = [line.split() for line in pipe]
        is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        found[step] = {"receipts": lines, "is_killed": is_killed}
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])) + "\n")
