from __future__ import annotations

from datetime import timedelta

from participants.core import lookup_quota
from participants.core.lookup_quota import LookupQuota
from tests.support.fleet_world import PROFILE, START

RULES = PROFILE.directory


def test_the_lookup_beyond_the_most_blocks_for_the_whole_block() -> None:
    quota = LookupQuota(RULES)
    assert all(quota.take("a", START) for _ in range(RULES.payer_lookups_max))

    assert not quota.take("a", START)

    block = timedelta(minutes=RULES.payer_block_minutes)
    assert not quota.take("a", START + block - timedelta(seconds=1))
    assert quota.take("a", START + block)
    assert quota.take("b", START)


def test_a_count_ends_with_its_window() -> None:
    quota = LookupQuota(RULES)
    for _ in range(RULES.payer_lookups_max):
        quota.take("a", START)

    assert quota.take("a", START + timedelta(minutes=RULES.payer_lookups_minutes))


def test_a_transfer_forgives_a_count_but_no_block() -> None:
    quota = LookupQuota(RULES)
    for _ in range(RULES.payer_lookups_max):
        quota.take("a", START)
    quota.forgive("a")
    assert quota.take("a", START)

    for _ in range(RULES.payer_lookups_max):
        quota.take("a", START)
    quota.forgive("a")
    quota.forgive("nobody")
    assert not quota.take("a", START)


def test_only_so_many_payers_are_remembered() -> None:
    quota = LookupQuota(RULES)
    for number in range(lookup_quota.PAYERS_MAX + 5):
        quota.take(str(number), START)

    assert len(quota._counts) == lookup_quota.PAYERS_MAX
