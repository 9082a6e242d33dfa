"""What is made of the rounds."""

import pytest

from loadtests.bench.measure import Cost, Pair, figures, percentile
from loadtests.bench.traffic import Round


def a_pair(switch_us: float, relay_us: float, *, latencies: list[float]) -> Pair:
    return Pair(
        Cost(Round(len(latencies), 0.5, latencies), switch_us),
        Cost(Round(100, 0.5, []), relay_us),
    )


def test_the_ratio_is_the_median_of_the_pairs_own() -> None:
    pairs = [
        a_pair(100, 50, latencies=[1.0]),
        a_pair(300, 300, latencies=[2.0, 3.0]),
        a_pair(150, 50, latencies=[4.0]),
    ]
    found = figures(pairs, in_flight=64)
    assert (found.ratio, found.ratio_min, found.ratio_max) == (2.0, 1.0, 3.0)
    assert (found.cpu_us_per_transfer, found.baseline_cpu_us) == (150, 50)
    assert (found.transfers_per_s, found.baseline_transfers_per_s) == (2.0, 200.0)
    assert (found.transfers, found.pairs, found.in_flight) == (4, 3, 64)
    assert (found.p50_ms, found.p99_ms) == (2.0, 4.0)


@pytest.mark.parametrize(("per_cent", "value"), [(0, 1), (1, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_the_nearest_rank(per_cent: int, value: int) -> None:
    assert percentile(range(1, 101), per_cent) == value


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99) == 7.0
