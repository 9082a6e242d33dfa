"""What field agents' terminals are told from the disk: verdicts, again and again, and digests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Final

from scheme.clock import Clock
from scheme.limits import AGENT_BATCH_MAX
from scheme.wire.agent_payload import (
    Agreement,
    Closing,
    Down,
    Items,
    Verdict,
    Verdicts,
    as_json,
    encode,
    payloads,
)
from switch.agent_store import AgentStore
from switch.agent_terminal import Terminal
from switch.core.agent_session import Digest, Told, differing

_ROWS_AT_ONCE: Final = 500
_LOOK: Final = timedelta(seconds=0.05)
"""Between two looks at whether there is room again for long answers."""


class Replies:
    """Words and sends what terminals are told. Long answers let others go between.

    Args:
        send: sends a payload to a terminal; it may be lost.
        is_behind: tells that much waits to be sent, so that long answers wait.
        on_mirror: is told device, direction and JSON of all that is said.
        find: keeps a finding about a terminal.
    """

    def __init__(
        self,
        *,
        store: AgentStore,
        clock: Clock,
        send: Callable[[str, bytes], None],
        is_behind: Callable[[], bool],
        on_mirror: Callable[[str, str, bytes], None] | None,
        find: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._send = send
        self._is_behind = is_behind
        self._on_mirror = on_mirror
        self._find = find

    def tell(self, terminal: Terminal, verdicts: list[Verdict]) -> None:
        """Send verdicts, which are on disk or of operations that are not kept."""
        device = terminal.place.device
        message = Verdicts(max(terminal.session.session, 0), tuple(verdicts))
        for payload in payloads(message):
            self._send(device, payload)
        self._mirror(device, message)

    def say(self, device: str, message: Down) -> None:
        """Send anything else."""
        self._send(device, encode(message))
        self._mirror(device, message)

    def _mirror(self, device: str, message: Down) -> None:
        if self._on_mirror is not None:
            self._on_mirror(device, "d", as_json(message))

    async def say_again(self, terminal: Terminal, first: int) -> None:
        """Tell all verdicts from a number on: any of them may have been lost."""
        device, last = terminal.place.device, terminal.session.settled - 1
        while first <= last:
            await self._room()
            verdicts = self._store.verdicts(device, first, last, AGENT_BATCH_MAX)
            if not verdicts:
                return
            self.tell(terminal, verdicts)
            first = verdicts[-1].seq + 1

    async def _room(self) -> None:
        """Let others go first: verdicts that are due are not to wait behind old ones."""
        await asyncio.sleep(0)
        while self._is_behind():
            await self._clock.sleep_until(self._clock.now() + _LOOK)

    async def agree(self, terminal: Terminal, closing: Closing) -> None:
        """Compare a terminal's digest of a range with what is on disk, and say so."""
        device, digest = terminal.place.device, Digest()
        async for rows in self._told(terminal, closing.first, closing.last):
            digest = digest.plus(rows)
        mine = (digest.count, digest.total, digest.xor)
        # A range that ends beyond what is known here cannot agree, whatever both count.
        is_known = closing.last < max(terminal.session.settled, closing.first)
        agrees = is_known and mine == (closing.count, closing.total, closing.xor)
        if agrees:
            terminal.agreed = max(terminal.agreed, closing.last)
        else:
            self._find(device, f"digest: another one of {closing.first} to {closing.last}")
        answer = Agreement(closing.session, closing.first, closing.last, *mine, agrees)
        self.say(device, answer)

    async def compare(self, terminal: Terminal, items: Items) -> None:
        """Tell the verdicts that a terminal has otherwise, or not at all: ours count."""
        proofs = dict(items.items)
        if not proofs:
            return
        device = terminal.place.device
        async for rows in self._told(terminal, min(proofs), max(proofs)):
            kept = [self._store.operation(device, seq) for seq in differing(rows, proofs)]
            verdicts = [one.verdict for one in kept if one is not None and one.verdict is not None]
            if verdicts:
                await self._room()
                self.tell(terminal, verdicts)

    async def _told(self, terminal: Terminal, first: int, last: int) -> AsyncIterator[list[Told]]:
        last = min(last, terminal.session.settled - 1)
        while first <= last:
            rows = self._store.told(terminal.place.device, first, last, _ROWS_AT_ONCE)
            if not rows:
                return
            yield rows
            first = rows[-1].seq + 1
            await asyncio.sleep(0)
