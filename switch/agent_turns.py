"""Whose operation is carried out next, so that one slow institution does not stop all others."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from scheme.limits import AGENTS_AT_ONCE_MAX

SHARE_MAX: Final = AGENTS_AT_ONCE_MAX // 4
"""Turns that operations waiting for one and the same institution may have at a time."""


class _Lane:
    """Those who wait for one institution: the live ones before what was made offline."""

    def __init__(self) -> None:
        self.busy = 0
        self.live: deque[asyncio.Future[None]] = deque()
        self.late: deque[asyncio.Future[None]] = deque()


class Turns:
    """Gives out turns: a bounded number at once, fewer for each institution.

    Somebody stands at the counter of a live operation, so it goes before those that come in after
    hours offline. Institutions are served in turn.

    Args:
        most: turns at once; share: of them for one institution.
    """

    def __init__(self, most: int = AGENTS_AT_ONCE_MAX, share: int = SHARE_MAX) -> None:
        self._free = most
        self._share = share
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()

    @asynccontextmanager
    async def turn(self, institution: str, *, is_live: bool) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside the block."""
        lane = self._lanes.setdefault(institution, _Lane())
        await self._granted(lane, is_live=is_live)
        try:
            yield
        finally:
            self._give_back(lane)
            if not (lane.busy or lane.live or lane.late):
                self._lanes.pop(institution, None)

    async def _granted(self, lane: _Lane, *, is_live: bool) -> None:
        if self._free and lane.busy < self._share and not (lane.live or lane.late):
            self._free -= 1
            lane.busy += 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (lane.live if is_live else lane.late).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give_back(lane)  # It was granted in the very moment it was given up.
            raise

    def _give_back(self, lane: _Lane) -> None:
        lane.busy -= 1
        self._free += 1
        while self._free and self._grant_one():
            pass

    def _grant_one(self) -> bool:
        for is_live in (True, False):
            for name, lane in self._lanes.items():
                waiting = lane.live if is_live else lane.late
                mine = _first_there(waiting) if lane.busy < self._share else None
                if mine is not None:
                    self._lanes.move_to_end(name)
                    lane.busy += 1
                    self._free -= 1
                    mine.set_result(None)
                    return True
        return False


def _first_there(waiting: "deque[asyncio.Future[None]]") -> "asyncio.Future[None] | None":
    """Take the first who has not gone meanwhile."""
    while waiting:
        mine = waiting.popleft()
        if not mine.done():
            return mine
    return None
