"""The circuit breakers of the creditors' agents, one for each and rail, on the scheme's clock.

In memory: a restart forgets them, for what it would remember was measured by another process.
"""

from datetime import timedelta
from typing import Any

import structlog
from msgspec import Struct

from scheme import profile as scheme_profile
from scheme.clock import Clock, from_ms
from scheme.profile import BreakerRule
from switch.core import breaker as machine
from switch.core.breaker import HEALTHY, Breaker, BreakerState, Probing

log = structlog.get_logger()

_NONE: frozenset[tuple[str, str]] = frozenset()


class Pass(Struct, frozen=True, gc=False):
    """Leave to send one request; it ends with what became of it."""

    code: str
    rail: str
    number: int


class _Counts:
    """Requests of one breaker since its last change of state."""

    __slots__ = ("failed", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0


class Breakers:
    """Measures every AV2 and CT2, and says who counts as down.

    Args:
        rules: the profile's.
    """

    def __init__(self, rules: scheme_profile.Breaker, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._probing = Probing(
            half_open_after_ms=int(rules.half_open_after_s * 1000), probes=rules.probes
        )
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._not_closed: set[tuple[str, str]] = set()

    def refusing(self) -> frozenset[tuple[str, str]]:
        """Return creditor's agent and rail of every breaker that lets nothing through now."""
        if not self._not_closed:
            return _NONE
        now_ms = self._now_ms()
        return frozenset(
            key
            for key in self._not_closed
            if not machine.admits(self._breakers[key], now_ms, self._probing)
        )

    def begin(self, code: str, rail: str) -> Pass:
        """Count a request in that is about to be sent; the breaker admits it."""
        key = (code, rail)
        before = self._breakers.get(key)
        if before is None:
            before = self._breakers[key] = HEALTHY
            self._counts[key] = _Counts()
        if before.state is BreakerState.CLOSED:
            return Pass(code, rail, before.number)
        now_ms = self._now_ms()
        after = machine.begun(before, now_ms)
        self._keep(key, before, after)
        return Pass(code, rail, after.number)

    def end(self, leave: Pass, *, has_failed: bool) -> None:
        """Count what became of a request."""
        key = (leave.code, leave.rail)
        counts = self._counts[key]
        counts.requests += 1
        counts.failed += has_failed
        before = self._breakers[key]
        if before is HEALTHY and not has_failed:
            return
        after = machine.ended(
            before,
            leave.number,
            has_failed=has_failed,
            now_ms=self._now_ms(),
            rule=self._rule(leave.code),
        )
        self._keep(key, before, after)

    def end_query(self, leave: Pass, *, has_failed: bool) -> None:
        """Count what became of a verification.

        The rule is about settlement requests: an agent that answers every verification and no
        order is down. So a verification counts when it fails, or as a probe.
        """
        closed = self._breakers[leave.code, leave.rail].state is BreakerState.CLOSED
        if has_failed or not closed:
            self.end(leave, has_failed=has_failed)

    def give_back(self, leave: Pass) -> None:
        """Count a request out that was not sent after all."""
        key = (leave.code, leave.rail)
        self._breakers[key] = machine.unused(self._breakers[key], leave.number)

    def force(self, code: str, rail: str, *, is_open: bool) -> None:
        """Open a breaker until further notice, or close it."""
        key = (code, rail)
        before = self._breakers.get(key, HEALTHY)
        self._counts.setdefault(key, _Counts())
        self._keep(key, before, machine.forced(before, self._now_ms(), is_open=is_open))

    def rows(self) -> list[dict[str, Any]]:
        """Return every breaker that was ever asked, as operators see it."""
        return [self._row(key) for key in sorted(self._breakers)]

    def row(self, code: str, rail: str) -> dict[str, Any]:
        """Return one breaker as operators see it."""
        return self._row((code, rail))

    def _row(self, key: tuple[str, str]) -> dict[str, Any]:
        one, counts, rule = self._breakers[key], self._counts[key], self._rule(key[0])
        return {
            "participant": key[0],
            "rail": key[1],
            "state": one.state,
            "requests": counts.requests,
            "failed": counts.failed,
            "rule": _said(rule),
            "since": _instant(one.since_ms),
            "failing_since": _instant(one.run_ms),
            "opens_at": self._opens_at(one, rule),
            "half_opens_at": self._half_opens_at(one),
            "forced": one.is_forced,
        }

    def _opens_at(self, one: Breaker, rule: BreakerRule) -> str | None:
        """Return when a closed one opens if everything goes on failing."""
        if one.state is not BreakerState.CLOSED or not one.run_ms:
            return None
        return _instant(one.run_ms + int(rule.over_s * 1000) + 1)

    def _half_opens_at(self, one: Breaker) -> str | None:
        if one.state is not BreakerState.OPEN or one.is_forced:
            return None
        after = timedelta(milliseconds=self._probing.half_open_after_ms)
        return (from_ms(one.since_ms) + after).isoformat()

    def _keep(self, key: tuple[str, str], before: Breaker, after: Breaker) -> None:
        self._breakers[key] = after
        if after.number == before.number:
            return
        if after.state is BreakerState.CLOSED:
            self._not_closed.discard(key)
        else:
            self._not_closed.add(key)
        counts = self._counts[key]
        log.warning(
            "circuit breaker changed",
            agent=key[0],
            rail=key[1],
            state=after.state,
            requests=after.requests or counts.requests,
            failed=after.failed or counts.failed,
            forced=after.is_forced,
        )
        self._counts[key] = _Counts()

    def _rule(self, code: str) -> BreakerRule:
        return self._rules.operator.get(code, self._rules.rule)

    def _now_ms(self) -> int:
        return self._clock.now_us() // 1000


def _said(rule: BreakerRule) -> str:
    return (
        f"at least {rule.failed_percent} % of the requests failed for more than {rule.over_s:g} s,"
        f" of {rule.requests_min} or more"
    )


def _instant(milliseconds: int) -> str | None:
    return from_ms(milliseconds).isoformat() if milliseconds else None
