import pytest

from directory.core.quota import BucketLevel, Quota

MINUTE = 60_000


def a_quota(per_minute: int = 600) -> Quota:
    return Quota(size=600, per_minute=per_minute, known_cost=1, unknown_cost=20)


def test_a_lookup_may_leave_a_debt_and_shuts_until_it_is_paid_back() -> None:
    quota = a_quota()
    quota.charge("0970", known=0, unknown=100, now_ms=0)
    assert quota.levels(0) == (BucketLevel("0970", -1400, True),)
    assert quota.is_shut("0970", 140_000)
    assert not quota.is_shut("0970", 140_001)


def test_an_empty_bucket_is_shut_and_one_token_opens_it() -> None:
    quota = a_quota()
    quota.charge("0970", known=600, unknown=0, now_ms=0)
    assert quota.is_shut("0970", 0)
    assert not quota.is_shut("0970", 1)


def test_a_bucket_one_token_above_zero_is_open() -> None:
    quota = a_quota()
    quota.charge("0970", known=599, unknown=0, now_ms=0)
    assert not quota.is_shut("0970", 0)


def test_participants_have_buckets_of_their_own() -> None:
    quota = a_quota()
    quota.charge("0970", known=0, unknown=30, now_ms=0)
    assert quota.is_shut("0970", 0)
    assert not quota.is_shut("0971", 0)


def test_a_bucket_never_holds_more_than_its_size() -> None:
    quota = a_quota()
    quota.charge("0970", known=1, unknown=0, now_ms=0)
    quota.charge("0970", known=600, unknown=0, now_ms=100 * MINUTE)
    assert quota.is_shut("0970", 100 * MINUTE)


def test_a_full_bucket_takes_no_memory() -> None:
    quota = a_quota()
    quota.charge("0970", known=10, unknown=0, now_ms=0)
    assert quota.levels(MINUTE) == ()
    assert quota._buckets == {}


def test_a_clock_that_steps_back_gives_nothing() -> None:
    quota = a_quota()
    quota.charge("0970", known=600, unknown=0, now_ms=MINUTE)
    assert quota.is_shut("0970", 0)


@pytest.mark.parametrize("unknown", [1, 10_000])
def test_without_a_quota_nobody_is_shut(unknown: int) -> None:
    quota = a_quota(per_minute=0)
    quota.charge("0970", known=0, unknown=unknown, now_ms=0)
    assert not quota.is_shut("0970", 0)
    assert quota.levels(0) == ()
