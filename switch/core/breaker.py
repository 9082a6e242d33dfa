"""The circuit breaker of one creditor's agent on one rail: a pure state machine.

    CLOSED -> OPEN        the failing share held for longer than the rule allows
    OPEN -> HALF_OPEN     after a while: probes are let through
    HALF_OPEN -> CLOSED   a probe succeeded
    HALF_OPEN -> OPEN     a probe failed

A *run* begins with a failure, and ends when the share of failures since then falls below the
rule's. It opens the breaker at the first failure that comes when the run is older than the rule
allows. A refusal in due form is a success: the agent works. Whatever was asked before a change of
state says nothing after it, so each request carries the number of the state it was asked in.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scheme.profile import BreakerRule

_PERCENT: Final = 100


class BreakerState(StrEnum):
    """Whether requests pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker(Struct, frozen=True, gc=False, kw_only=True):
    """One breaker.

    Attributes:
        since_ms: of this state.
        number: of this state; grows with each change.
        run_ms: when the present run of failures began; 0: there is none.
        requests, failed: of the run.
        probes: on their way, while half-open.
        is_forced: opened by an operator, so only an operator closes it.
    """

    state: BreakerState = BreakerState.CLOSED
    since_ms: int = 0
    number: int = 0
    run_ms: int = 0
    requests: int = 0
    failed: int = 0
    probes: int = 0
    is_forced: bool = False


class Probing(Struct, frozen=True, gc=False):
    """How an open breaker tries again: after how long, with how many requests at a time."""

    half_open_after_ms: int
    probes: int


HEALTHY: Final = Breaker()


def admits(breaker: Breaker, now_ms: int, probing: Probing) -> bool:
    """Tell whether one more request may be sent."""
    if breaker.state is BreakerState.CLOSED:
        return True
    if breaker.state is BreakerState.HALF_OPEN:
        return breaker.probes < probing.probes
    return not breaker.is_forced and now_ms - breaker.since_ms >= probing.half_open_after_ms


def begun(breaker: Breaker, now_ms: int) -> Breaker:
    """Return the breaker once a request that it admits is on its way."""
    match breaker.state:
        case BreakerState.CLOSED:
            return breaker
        case BreakerState.HALF_OPEN:
            return replace(breaker, probes=breaker.probes + 1)
        case BreakerState.OPEN:
            half_open = _changed(breaker, BreakerState.HALF_OPEN, now_ms)
            return replace(half_open, probes=1)


def ended(
    breaker: Breaker, number: int, *, has_failed: bool, now_ms: int, rule: BreakerRule
) -> Breaker:
    """Return the breaker after a request's end.

    Args:
        number: of the state in which it was begun.
    """
    if number != breaker.number or breaker.state is BreakerState.OPEN:
        return breaker
    if breaker.state is BreakerState.HALF_OPEN:
        after = BreakerState.OPEN if has_failed else BreakerState.CLOSED
        return _changed(breaker, after, now_ms)
    if not breaker.run_ms and not has_failed:
        return breaker
    return _counted(breaker, has_failed=has_failed, now_ms=now_ms, rule=rule)


def _counted(breaker: Breaker, *, has_failed: bool, now_ms: int, rule: BreakerRule) -> Breaker:
    run_ms = breaker.run_ms or now_ms
    requests, failed = breaker.requests + 1, breaker.failed + has_failed
    if requests >= rule.requests_min:
        if failed * _PERCENT < rule.failed_percent * requests:
            return replace(breaker, run_ms=0, requests=0, failed=0)
        if has_failed and now_ms - run_ms > rule.over_s * 1000:
            opened = _changed(breaker, BreakerState.OPEN, now_ms)
            return replace(opened, run_ms=run_ms, requests=requests, failed=failed)
    return replace(breaker, run_ms=run_ms, requests=requests, failed=failed)


def unused(breaker: Breaker, number: int) -> Breaker:
    """Return the breaker after a request that was begun and then not sent."""
    if number != breaker.number or breaker.state is not BreakerState.HALF_OPEN:
        return breaker
    return replace(breaker, probes=breaker.probes - 1)


def forced(breaker: Breaker, now_ms: int, *, is_open: bool) -> Breaker:
    """Return the breaker as an operator wants it: open until further notice, or closed."""
    state = BreakerState.OPEN if is_open else BreakerState.CLOSED
    return replace(_changed(breaker, state, now_ms), is_forced=is_open)


def _changed(breaker: Breaker, state: BreakerState, now_ms: int) -> Breaker:
    return Breaker(state=state, since_ms=now_ms, number=breaker.number + 1)
