"""How much of a day travels how."""

from __future__ import annotations

import pytest

from loadtests.day.plan import SCRIPT, Plan
from loadtests.day.wire import Quota


@pytest.mark.parametrize("transfers", [200, 600, 100_000])
def test_all_parts_together_are_the_day(transfers: int) -> None:
    plan = Plan(transfers=transfers)
    parts = (plan.lbtr, plan.deferred, plan.hooked, plan.by_coops, plan.by_banks)

    assert sum(parts) == transfers
    assert min(parts) > 0


def test_the_operators_deeds_come_in_order_and_before_the_day_is_over() -> None:
    moments = [deed.at for deed in SCRIPT]

    assert moments == sorted(moments)
    assert moments[0] > 0
    assert moments[-1] < 1000


@pytest.mark.parametrize(("orders", "silences"), [(10, 3), (400, 2), (60_000, 15)])
def test_a_quota_ends_and_spreads_its_silences(orders: int, silences: int) -> None:
    quota = Quota(orders, silences)
    met = []
    while quota.take():
        met.append(quota.takes_silence())

    assert len(met) == orders
    assert sum(met) == silences
