"""The switch as a process: how it is told to end, and says that it is up."""

import asyncio
import gc
import sys

import msgspec
import structlog

log = structlog.get_logger()

_COLLECTOR_THRESHOLDS = (50_000, 20, 100)


class Stop:
    """Asked for once, by a signal or by the parent's end; asked again, it hurries."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        """Stop; or hurry, if that was asked before."""
        (self.hurried if self.asked.is_set() else self.asked).set()

    def hurry(self) -> None:
        """Stop without waiting for what is in flight: the parent is gone, and a new one may come.

        What has no outcome on disk gets one at the next start.
        """
        self.asked.set()
        self.hurried.set()


def spare_the_collector() -> None:
    """Keep what lives as long as the process out of the garbage collector's rounds.

    A transfer makes next to no cycles; the default rounds cost 8 % of its CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR_THRESHOLDS)


def announce(**facts: int | None) -> None:
    """Say on standard output, in one line, that the switch serves, and on which ports."""
    sys.stdout.write(msgspec.json.encode({"event": "ready", **facts}).decode() + "\n")
    sys.stdout.flush()
    log.info("serving", **facts)
