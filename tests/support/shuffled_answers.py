"""A scripted core's answers in any order: late, never, and some that nobody has asked for."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from scheme.wire.iso8583_spec import Fields
from tests.support.scripted_core import WAIT_S, Link


class Shuffled:
    """Answers in seeded random order, and not always: some late, some never, some strangers'.

    Args:
        depth: answers that wait for one another, at most.
        late_s: how late the late ones come.
        cuts: share of the orders over which the link ends.
        report: how many of each there were.
    """

    def __init__(self, seed: int, *, depth: int, late_s: float, cuts: float = 0.0) -> None:
        self._rng = random.Random(seed)
        self._depth = depth
        self._late_s = late_s
        self._cuts = cuts
        self._waiting: list[tuple[Fields, Link]] = []
        self._late: list[tuple[float, Fields, Link]] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self.report: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="shuffled", daemon=True)
        self._thread.start()

    def __call__(self, answer: Fields, link: Link) -> None:
        """Take an answer over."""
        chance = self._rng.random()
        with self._lock:
            if chance < 0.01:
                self.report["dropped"] += 1
            elif chance < 0.02:
                self.report["late"] += 1
                self._late.append((time.monotonic() + self._late_s, answer, link))
            else:
                self._waiting.append((answer, link))
            if 0.02 <= chance < 0.04:
                self.report["stray"] += 1
                self._waiting.append((self._stranger(answer), link))
        if chance > 1 - self._cuts:
            link.cut()

    def stop(self) -> None:
        """Answer what waits, then no more."""
        self._is_over.set()
        self._thread.join(WAIT_S)

    def _stranger(self, answer: Fields) -> Fields:
        """Return what nobody has asked for: an 0810, or a 0210 that is another's by one field."""
        match self._rng.randrange(3):
            case 0:
                return {
                    "t": "0810", "7": answer["7"], "11": answer["11"], "32": "9999",
                    "39": "00", "70": "301",
                }  # fmt: skip
            case 1:
                return answer | {"37": "X" + answer["37"][1:]}
            case _:
                return answer | {"32": "0998"}

    def _run(self) -> None:
        while not (self._is_over.is_set() and not self._waiting and not self._late):
            time.sleep(0.002)
            with self._lock:
                now = time.monotonic()
                self._rng.shuffle(self._waiting)
                keep = 0 if self._is_over.is_set() else self._rng.randrange(self._depth)
                ready: list[Any] = self._waiting[keep:]
                del self._waiting[keep:]
                ready += [one[1:] for one in self._late if one[0] <= now]
                self._late = [one for one in self._late if one[0] > now]
            for answer, link in ready:
                with suppress(OSError):
                    link.send(answer)
