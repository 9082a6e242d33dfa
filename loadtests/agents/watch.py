"""Processor time and memory of the country's programs, looked at while they work."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import psutil
from msgspec import Struct

_LOOK_S: Final = 0.25


class Use(Struct):
    """What a program took: seconds of processor time, and the most memory at a time."""

    cpu_s: float = 0.0
    rss_max: int = 0


class Watch:
    """Looks at processes until it is cancelled; one that was killed counts with what it had used.

    Args:
        processes: those of each program at this moment.
    """

    def __init__(self, processes: Callable[[], Mapping[str, list[psutil.Process]]]) -> None:
        self._processes = processes
        self._seen: dict[int, float] = {}
        self.uses: dict[str, Use] = {}

    async def run(self) -> None:
        """Look, again and again."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Look once."""
        for program, processes in self._processes().items():
            use = self.uses.setdefault(program, Use())
            resident = 0
            for one in processes:
                with suppress(psutil.NoSuchProcess):
                    times = one.cpu_times()
                    used = float(times.user + times.system)
                    use.cpu_s += used - self._seen.get(one.pid, 0.0)
                    self._seen[one.pid] = used
                    resident += int(one.memory_info().rss)
            use.rss_max = max(use.rss_max, resident)

    def restart(self) -> dict[str, Use]:
        """Count from now on; return what was counted so far."""
        self.look()
        before, self.uses = self.uses, {}
        return before
