"""What an agent may still do: its float, and what its terminals did without the switch today.

Decided in memory when an operation's turn comes. What is under way is counted as if it were
applied, so two terminals can never both have the last of it.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from scheme.clock import from_ms, wire_date
from scheme.profile import AgentRules
from scheme.reasons import ReasonCode
from scheme.wire.agent_payload import CASH_TAKEN, CURRENCIES, MOVES_MONEY, Kind, Operation, Verdict
from switch.core.agent_session import Waiting
from switch.core.iso8583_codes import ABOVE_LIMIT

NO_FLOAT: Final = "51"
OVER_COUNT: Final = "65"
TOO_OLD: Final = "68"
WRONG_CLOCK: Final = "12"


class Till(Struct):
    """The cash of one agent in one currency, in minor units.

    Attributes:
        taken, paid: of applied operations; reserved: being taken in just now.
    """

    opening: int
    taken: int = 0
    paid: int = 0
    reserved: int = 0

    @property
    def float_minor(self) -> int:
        """What the agent may still take in."""
        return self.opening - self.taken - self.reserved + self.paid


class Tally(Struct):
    """What an agent's terminals did without the switch in one day, by currency number.

    Attributes:
        reserved: how many operations of it are under way.
        touched: the day on which it last changed.
    """

    count: int
    minor: list[int]
    reserved: int = 0
    touched: str = ""


class Left(Struct, frozen=True, gc=False):
    """What is left to an agent; amounts by currency number."""

    count: int
    minor: tuple[int, ...]
    float_minor: tuple[int, ...]


class Effect(Struct, frozen=True, gc=False):
    """What an applied operation adds to its agent's books.

    Attributes:
        offline_day: Lima date of an operation that was made without the switch; else empty.
    """

    currency: int = 0
    taken: int = 0
    paid: int = 0
    offline_day: str = ""
    offline_minor: int = 0


NO_EFFECT: Final = Effect()


def day_of(received_ms: int) -> str:
    """Return the Lima date whose limits count for what came at that moment."""
    return wire_date(from_ms(received_ms))


def is_alone(waiting: Waiting, rules: AgentRules) -> bool:
    """Tell whether an operation counts as made without the switch, whatever it says of itself."""
    return waiting.operation.offline or waiting.age_s > rules.skew_s


def effect_of(waiting: Waiting, rules: AgentRules) -> Effect:
    """Return what an operation adds once it is applied."""
    operation, alone = waiting.operation, is_alone(waiting, rules)
    if operation.kind == Kind.VOID:
        return NO_EFFECT
    minor = operation.minor if operation.kind in MOVES_MONEY else 0
    return Effect(
        currency=operation.currency,
        taken=minor if operation.kind in CASH_TAKEN else 0,
        paid=minor if operation.kind == Kind.CASH_OUT else 0,
        offline_day=day_of(waiting.received_ms) if alone else "",
        offline_minor=minor if alone else 0,
    )


def clock_fault(waiting: Waiting, rules: AgentRules) -> Verdict | None:
    """Refuse what was made after it was sent, or too long ago.

    So old an operation may have been carried out on another day, under another key, which an
    older ``agents.db`` has forgotten: saying that it is live must not have it paid again.
    """
    age, operation = waiting.age_s, waiting.operation
    if age < -rules.skew_s:
        return refused(operation, WRONG_CLOCK, ReasonCode.FF02, "at: made after it was sent")
    if age > rules.offline_s:
        rule = f"at: at most {rules.offline_s:.0f} s before it came"
        return refused(operation, TOO_OLD, ReasonCode.DS24, rule)
    return None


class Limits:
    """The books of all agents, as they are decided.

    Args:
        tally: reads what is on disk of an agent's day: count, and minor units by currency number.
    """

    def __init__(
        self, rules: AgentRules, tally: Callable[[str, str], tuple[int, list[int]]]
    ) -> None:
        self._rules = rules
        self._read = tally
        self._tills: dict[tuple[str, int], Till] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._today = ""

    def till(self, agent: str, currency: int) -> Till:
        """Return the cash of an agent in one currency."""
        found = self._tills.get((agent, currency))
        if found is None:
            found = Till(self._rules.float_minor.get(CURRENCIES[currency], 0))
            self._tills[agent, currency] = found
        return found

    def refusal(self, agent: str, waiting: Waiting) -> Verdict | None:
        """Return why an operation goes beyond what its agent may do; None if it does not."""
        operation, effect = waiting.operation, effect_of(waiting, self._rules)
        currency = CURRENCIES[operation.currency]
        most = self._rules.operation_max.get(currency, 0)
        if operation.kind in MOVES_MONEY and operation.minor > most:
            rule = f"minor: at most {most} in one operation"
            return refused(operation, ABOVE_LIMIT, ReasonCode.FF07, rule)
        if effect.offline_day:
            day = self._tally(agent, effect.offline_day)
            if day.count >= self._rules.offline_count:
                rule = f"offline: at most {self._rules.offline_count} operations a day"
                return refused(operation, OVER_COUNT, ReasonCode.FF07, rule)
            most = self._rules.offline_minor.get(currency, 0)
            if day.minor[operation.currency] + effect.offline_minor > most:
                rule = f"offline: at most {most} a day"
                return refused(operation, ABOVE_LIMIT, ReasonCode.FF07, rule)
        if effect.taken > self.till(agent, operation.currency).float_minor:
            return refused(operation, NO_FLOAT, ReasonCode.FF07, "minor: more than the float")
        return None

    def reserve(self, agent: str, waiting: Waiting) -> None:
        """Count an operation that is let through as if it were applied already.

        Cash that is paid out counts only once it is: it raises what may be taken in.
        """
        effect = effect_of(waiting, self._rules)
        self.till(agent, effect.currency).reserved += effect.taken
        if effect.offline_day:
            self._tally(agent, effect.offline_day).reserved += 1
            self._count(agent, effect, 1)

    def end(self, agent: str, waiting: Waiting, *, is_applied: bool) -> Effect:
        """End a reservation; return what it adds to the books on disk."""
        effect = effect_of(waiting, self._rules)
        till = self.till(agent, effect.currency)
        till.reserved -= effect.taken
        if effect.offline_day:
            self._tally(agent, effect.offline_day).reserved -= 1
            self._count(agent, effect, 0 if is_applied else -1)
        if not is_applied:
            return NO_EFFECT
        till.taken += effect.taken
        till.paid += effect.paid
        return effect

    def left(self, agent: str, day: str) -> Left:
        """Return what an agent may still do on a day."""
        rules, tally = self._rules, self._tally(agent, day)
        return Left(
            max(0, rules.offline_count - tally.count),
            tuple(
                max(0, rules.offline_minor.get(currency, 0) - tally.minor[number])
                for number, currency in enumerate(CURRENCIES)
            ),
            tuple(
                max(0, self.till(agent, number).float_minor) for number in range(len(CURRENCIES))
            ),
        )

    def on_day(self, today: str) -> None:
        """Forget the days that nothing has changed since yesterday: they are on disk whole."""
        if today != self._today:
            yesterday, self._today = self._today, today
            self._tallies = {
                key: one
                for key, one in self._tallies.items()
                if one.reserved or one.touched >= yesterday
            }

    def _tally(self, agent: str, day: str) -> Tally:
        found = self._tallies.get((agent, day))
        if found is None:
            found = Tally(*self._read(agent, day), touched=self._today)
            self._tallies[agent, day] = found
        return found

    def _count(self, agent: str, effect: Effect, times: int) -> None:
        tally = self._tally(agent, effect.offline_day)
        tally.count += times
        tally.minor[effect.currency] += times * effect.offline_minor
        tally.touched = self._today


def refused(operation: Operation, code: str, reason: ReasonCode, rule: str) -> Verdict:
    """Return the verdict on an operation that came to nothing.

    Args:
        rule: ``field: rule``.
    """
    return Verdict(operation.seq, code, str(reason), note=rule)
