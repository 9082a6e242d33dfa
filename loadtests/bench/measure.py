"""Rounds in pairs, switch beside relay, and what is made of them."""

import asyncio
import statistics
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from loadtests.bench.child import Child
from loadtests.bench.traffic import Round

_SETTLE_S = 0.2
"""After a round, so that what it left behind (CT5, logs) is counted with it."""


class Driver(Protocol):
    """A load."""

    async def run(self, *, seconds: float) -> Round:
        """Keep transfers in flight for a time."""


class Side(Struct, frozen=True):
    """One of the two that are compared: who is driven, and whose processor time counts."""

    traffic: Driver
    process: Child


class Cost(Struct, frozen=True):
    """A round with the processor time it took."""

    round: Round
    cpu_us: float


class Pair(Struct, frozen=True):
    """Two rounds next to one another in time."""

    switch: Cost
    relay: Cost

    @property
    def ratio(self) -> float:
        """How many times the relay's processor time the switch took for a transfer."""
        return self.switch.cpu_us / self.relay.cpu_us


class Figures(Struct, frozen=True):
    """The figures of one mode. Times in ms, processor time in us for one transfer."""

    transfers_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us_per_transfer: float
    baseline_cpu_us: float
    baseline_transfers_per_s: float
    ratio: float
    ratio_min: float
    ratio_max: float
    in_flight: int
    pairs: int
    transfers: int


class NothingMeasured(Exception):
    """A round in which no transfer was accepted."""


async def pairs_of(
    switch: Side,
    relay: Side,
    *,
    pairs: int,
    seconds: float,
) -> list[Pair]:
    """Run interleaved rounds; the first pair is dropped, for it warms both up."""
    found = []
    for number in range(pairs + 1):
        # In turn, so that a machine that slows down is unfair to neither.
        if number % 2:
            baseline = await _cost(relay, seconds)
            cost = await _cost(switch, seconds)
        else:
            cost = await _cost(switch, seconds)
            baseline = await _cost(relay, seconds)
        found.append(Pair(cost, baseline))
    return found[1:]


async def _cost(side: Side, seconds: float) -> Cost:
    before = side.process.cpu_s()
    done = await side.traffic.run(seconds=seconds)
    await asyncio.sleep(_SETTLE_S)
    if not done.transfers:
        raise NothingMeasured(f"{side.process.name}: no transfer was accepted")
    return Cost(done, (side.process.cpu_s() - before) / done.transfers * 1e6)


def figures(pairs: Sequence[Pair], in_flight: int) -> Figures:
    """Return what is printed: medians of the rounds, percentiles of all transfers."""
    latencies = sorted(ms for pair in pairs for ms in pair.switch.round.latencies_ms)
    ratios = [pair.ratio for pair in pairs]
    return Figures(
        transfers_per_s=statistics.median(_rate(pair.switch.round) for pair in pairs),
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        p99_ms=percentile(latencies, 99),
        cpu_us_per_transfer=statistics.median(pair.switch.cpu_us for pair in pairs),
        baseline_cpu_us=statistics.median(pair.relay.cpu_us for pair in pairs),
        baseline_transfers_per_s=statistics.median(_rate(pair.relay.round) for pair in pairs),
        ratio=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        in_flight=in_flight,
        pairs=len(pairs),
        transfers=len(latencies),
    )


def _rate(one: Round) -> float:
    return one.transfers / one.elapsed_s


def percentile(ordered: Sequence[float], per_cent: int) -> float:
    """Return the value below which that share of sorted values lies, by the nearest rank."""
    assert ordered
    rank = -(-len(ordered) * per_cent // 100)
    return ordered[max(rank, 1) - 1]
