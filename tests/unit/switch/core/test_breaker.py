"""Circuit breakers: they open by the rule to the millisecond, and close by a probe."""

from hypothesis import given
from hypothesis import strategies as st

from scheme.profile import BreakerRule
from switch.core.breaker import (
    HEALTHY,
    Breaker,
    BreakerState,
    Probing,
    admits,
    begun,
    ended,
    forced,
    unused,
)

PIX = BreakerRule(failed_percent=80, over_s=36.0, requests_min=5)
PROBING = Probing(half_open_after_ms=30_000, probes=1)
T0 = 1_000_000


def after(breaker: Breaker, *results: tuple[int, bool], rule: BreakerRule = PIX) -> Breaker:
    """Return a breaker after requests that ended at some milliseconds from T0."""
    for at_ms, has_failed in results:
        now_ms = T0 + at_ms
        breaker = ended(breaker, breaker.number, has_failed=has_failed, now_ms=now_ms, rule=rule)
    return breaker


FIVE_FAILURES = tuple((at, True) for at in (0, 1, 2, 3, 4))
OPEN = after(HEALTHY, *FIVE_FAILURES, (36_001, True))


def test_it_opens_only_after_more_than_the_rules_time() -> None:
    assert after(HEALTHY, *FIVE_FAILURES, (36_000, True)).state is BreakerState.CLOSED
    assert OPEN.state is BreakerState.OPEN
    assert (OPEN.since_ms, OPEN.run_ms) == (T0 + 36_001, T0)


def test_a_few_requests_prove_nothing() -> None:
    four = ((0, True), (1, True), (2, True), (40_000, True))
    assert after(HEALTHY, *four).state is BreakerState.CLOSED
    assert after(HEALTHY, *four, (40_001, True)).state is BreakerState.OPEN


def test_the_share_is_counted_from_the_first_failure() -> None:
    four_of_five = ((0, True), (1, True), (2, True), (3, True), (4, False))
    assert after(HEALTHY, *four_of_five, (36_001, True)).state is BreakerState.OPEN
    # Below the share the run is over, and the time begins again.
    broken = after(HEALTHY, *four_of_five, (5, False))
    assert broken.run_ms == 0
    again = tuple((at, True) for at in (10, 11, 12, 13, 36_009))
    assert after(broken, *again).state is BreakerState.CLOSED
    assert after(broken, *again, (36_011, True)).state is BreakerState.OPEN


def test_a_success_never_opens_it() -> None:
    failing = after(HEALTHY, *((at, True) for at in range(20)))
    assert after(failing, (40_000, False)).state is BreakerState.CLOSED
    assert after(failing, (40_000, False), (40_001, True)).state is BreakerState.OPEN


def test_an_operator_may_have_another_rule() -> None:
    quick = BreakerRule(failed_percent=50, over_s=10.0, requests_min=3)
    results = ((0, True), (1, False), (2, True), (10_001, True))
    assert after(HEALTHY, *results, rule=quick).state is BreakerState.OPEN
    assert after(HEALTHY, *results).state is BreakerState.CLOSED


def test_an_open_one_lets_a_probe_through_after_a_while() -> None:
    opened_ms = OPEN.since_ms
    assert not admits(OPEN, opened_ms + 29_999, PROBING)
    assert admits(OPEN, opened_ms + 30_000, PROBING)
    probing = begun(OPEN, opened_ms + 30_000)
    assert probing.state is BreakerState.HALF_OPEN
    assert not admits(probing, opened_ms + 30_001, PROBING)
    assert admits(probing, opened_ms + 30_001, Probing(30_000, 2))


def test_the_probe_decides() -> None:
    probing = begun(OPEN, OPEN.since_ms + 30_000)
    closed = after(probing, (70_000, False))
    assert closed.state is BreakerState.CLOSED
    assert (closed.run_ms, closed.requests) == (0, 0)
    opened = after(probing, (70_000, True))
    assert (opened.state, opened.since_ms) == (BreakerState.OPEN, T0 + 70_000)


def test_a_probe_that_was_not_sent_makes_room_for_another() -> None:
    probing = begun(OPEN, OPEN.since_ms + 30_000)
    free = unused(probing, probing.number)
    assert admits(free, OPEN.since_ms + 30_001, PROBING)
    assert unused(probing, OPEN.number) is probing
    assert unused(HEALTHY, 0) is HEALTHY


def test_what_was_asked_in_a_former_state_says_nothing() -> None:
    probing = begun(OPEN, OPEN.since_ms + 30_000)
    for late in (HEALTHY.number, OPEN.number):
        assert ended(probing, late, has_failed=False, now_ms=T0, rule=PIX) is probing
    assert after(OPEN, (50_000, False)) is OPEN


def test_an_operators_word_stands_until_the_next() -> None:
    shut = forced(HEALTHY, T0, is_open=True)
    assert not admits(shut, T0 + 10**9, PROBING)
    assert after(shut, (1, False)) is shut
    assert forced(shut, T0 + 5, is_open=False).state is BreakerState.CLOSED
    assert forced(OPEN, T0 + 50_000, is_open=False).state is BreakerState.CLOSED


@given(st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), max_size=60))
def test_it_never_opens_but_by_the_rule(steps: list[tuple[int, bool]]) -> None:
    """Against the rule read word by word over the whole history."""
    breaker, now_ms = HEALTHY, T0
    history: list[tuple[int, bool]] = []
    for wait_ms, has_failed in steps:
        now_ms += wait_ms
        history.append((now_ms, has_failed))
        breaker = ended(breaker, breaker.number, has_failed=has_failed, now_ms=now_ms, rule=PIX)
        if breaker.state is BreakerState.OPEN:
            break
    if breaker.state is BreakerState.OPEN:
        run = [failed for at, failed in history if at >= breaker.run_ms][-breaker.requests :]
        assert now_ms - breaker.run_ms > 36_000
        assert len(run) >= 5
        assert sum(run) * 100 >= 80 * len(run)
    if not any(failed for _, failed in history):
        assert breaker is HEALTHY
