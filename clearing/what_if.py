"""What a day would have needed under other rules: read, replayed off the loop, and drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

from msgspec import Struct

from clearing.core.what_if import (
    DAY_MS,
    MULTILATERAL,
    OFFSETTING,
    WINDOWS_MAX,
    Outlook,
    Payment,
    Rules,
    replay,
    scenarios,
)
from clearing.refusals import Refusal, invalid
from scheme.clock import LIMA, Clock, to_ms, wire_date
from scheme.ledger import DALE, DEFERRED, NATIONAL
from scheme.limits import WHAT_IF_NUMBERS_MAX
from scheme.network import Participant
from scheme.profile import CURRENCIES, Profile

LEDGERS = (NATIONAL, DALE, DEFERRED)
_CAP_DIGITS_MAX = 18


class Question(Struct, frozen=True, kw_only=True):
    """What is asked.

    Attributes:
        day: ``yyyyMMdd``, Lima; windows: numbers of windows to compare.
    """

    day: str
    ledger: str
    currency: str
    windows: tuple[int, ...]
    offsetting: str
    cap_minor: int | None
    failing: str


class Answer(Struct, frozen=True, kw_only=True):
    """What each set of rules comes to; the last one is without netting."""

    question: Question
    names: dict[str, str]
    outlooks: tuple[Outlook, ...]


class DayReader(Protocol):
    """Reads what was posted; used in one thread, and closed there."""

    def payments(
        self, ledger: str, currency: str, from_ms: int, until_ms: int
    ) -> Iterator[Sequence[Payment]]:
        """Yield the payments of a time in order, some at a time."""

    def close(self) -> None:
        """Close the connection."""


class WhatIf:
    """Answers what-if questions.

    Args:
        open_reader: opens a reader of its own; called in the thread that reads.
        members: the participants by code.
    """

    def __init__(
        self,
        open_reader: Callable[[], DayReader],
        *,
        clock: Clock,
        profile: Profile,
        members: Mapping[str, Participant],
    ) -> None:
        self._open_reader = open_reader
        self._clock = clock
        self._profile = profile
        self._members = members

    def question(self, query: Mapping[str, str]) -> Question | Refusal:
        """Read a question as a query string says it; what it leaves out has a default."""
        found = {
            "ledger": query.get("ledger") or NATIONAL,
            "currency": query.get("currency") or "PEN",
            "offsetting": query.get("offsetting") or MULTILATERAL,
        }
        choices = {"ledger": LEDGERS, "currency": CURRENCIES, "offsetting": OFFSETTING}
        for name, allowed in choices.items():
            if found[name] not in allowed:
                return _wrong(name, "no such choice", f"one of {', '.join(allowed)}")
        day = query.get("date") or wire_date(self._clock.now())
        if _midnight(day) is None:
            return _wrong("date", "no such day", "yyyyMMdd or yyyy-MM-dd, Lima time")
        windows = _numbers(query.get("windows") or "1,3,10")
        if windows is None:
            hint = f"up to {WHAT_IF_NUMBERS_MAX} numbers from 1 to {WINDOWS_MAX}, as in 1,3,10"
            return _wrong("windows", "these are no numbers of windows", hint)
        cap = query.get("cap") or ""
        if cap and not (cap.isascii() and cap.isdigit() and len(cap) <= _CAP_DIGITS_MAX):
            return _wrong("cap", "this is no amount", "minor units, 0 or more")
        failing = query.get("fail") or ""
        if failing and failing not in self._members:
            return _wrong("fail", "no participant has this code", "GET /participants lists them")
        return Question(
            day=day.replace("-", ""),
            ledger=found["ledger"],
            currency=found["currency"],
            windows=windows,
            offsetting=found["offsetting"],
            cap_minor=int(cap) if cap else None,
            failing=failing,
        )

    def answer(self, question: Question) -> Answer:
        """Read the day and replay it; takes seconds for a million payments: call it in a thread.

        Raises:
            StoreError: the ledger cannot be read.
        """
        midnight = _midnight(question.day)
        assert midnight is not None, "a question's day is checked when it is asked"
        start_ms = to_ms(midnight)
        reader = self._open_reader()
        try:
            days = reader.payments(question.ledger, question.currency, start_ms, start_ms + DAY_MS)
            outlooks = replay(days, scenarios(question.windows, self._rules(question)), start_ms)
        finally:
            reader.close()
        seen = {one.participant for outlook in outlooks for one in outlook.participants}
        names = {code: self._members[code].name for code in seen if code in self._members}
        return Answer(question=question, names=names, outlooks=outlooks)

    def _rules(self, question: Question) -> Rules:
        return Rules(
            offsetting=question.offsetting,
            cap_minor=question.cap_minor,
            failing=question.failing,
            on_failure=tuple(self._profile.settlement.on_failure.get(question.ledger, ())),
            guarantee_minor=self._profile.lbtr.guarantee_fund.get(question.currency, 0),
            sponsors={code: one.sponsor for code, one in self._members.items() if one.is_tiered},
        )


def _midnight(day: str) -> datetime | None:
    try:
        found = date.fromisoformat(day)
    except ValueError:
        return None
    midnight = datetime(found.year, found.month, found.day, tzinfo=LIMA)
    # Both ends of time are no days that a ledger could have.
    is_possible = timedelta(days=1) < midnight - datetime(1970, 1, 1, tzinfo=LIMA)
    return midnight if is_possible and found.year < date.max.year else None


def _numbers(text: str) -> tuple[int, ...] | None:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > WHAT_IF_NUMBERS_MAX:
        return None
    numbers = []
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= len(str(WINDOWS_MAX))):
            return None
        numbers.append(int(part))
    if not all(1 <= number <= WINDOWS_MAX for number in numbers):
        return None
    return tuple(dict.fromkeys(numbers))


def _wrong(field: str, error: str, hint: str) -> Refusal:
    return invalid(error, field, hint)
