"""Live play of a terminal: how it goes on, and what it says when it cannot."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from chasqui.agent_counter import Counter
from chasqui.agent_play import play_live
from chasqui.exits import ExitCode, Refused
from participants.core.agent_book import Entry, EntryState, Wish, operation_of
from participants.core.agent_limits import Stop, StopReason
from runtime.clock import ManualClock
from scheme.wire.agent_payload import Kind

WISH = Wish(kind=Kind.BALANCE, minor=0, account="97500100000000000101")
NO_LINK = Stop(StopReason.NO_LINK)


def entry(seq: int) -> Entry:
    operation = operation_of(WISH, seq=seq, op_id=bytes(8), at=1, offline=False)
    return Entry(operation, EntryState.SENT)


class CounterFake:
    """A counter whose terminal makes what it is told to, and whose link comes and goes.

    Attributes:
        makes: what each attempt at an operation comes to.
        sessions: whether the session is open again, each time it is waited for.
        verdicts: whether each verdict comes, or why the broker refuses.
    """

    within_s = 30.0

    def __init__(
        self,
        makes: list[Entry | Stop],
        *,
        sessions: tuple[bool, ...] = (),
        verdicts: tuple[bool | Refused, ...] = (),
    ) -> None:
        self.clock = ManualClock(datetime(2026, 1, 15, tzinfo=UTC))
        self.agent = self.terminal = self
        self.makes = list(makes)
        self.sessions = list(sessions)
        self.verdicts = list(verdicts)

    async def connect(self) -> None:
        pass

    async def make(self, wish: Wish, *, offline: bool) -> Entry | Stop:
        assert not offline
        return self.makes.pop(0)

    async def in_session(self, seconds: float) -> bool:
        return self.sessions.pop(0)

    async def verdict(self, seq: int) -> None:
        pass

    async def wait(self, awaited: Awaitable[object], seconds: float) -> bool:
        await awaited
        found = self.verdicts.pop(0) if self.verdicts else True
        if isinstance(found, Refused):
            raise found
        return found

    def entry(self, seq: int) -> None:
        return None


def play(counter: CounterFake, count: int = 2) -> Any:
    return play_live(cast(Counter, counter), lambda: WISH, count=count)


async def test_a_connection_that_is_lost_is_waited_for() -> None:
    live = await play(CounterFake([NO_LINK, entry(1), entry(2)], sessions=(True,)))
    assert [one.seq for one in live.made] == [1, 2]
    assert (live.stopped, live.exit_code) == ("", ExitCode.DONE)
    assert live.latencies.count == 2


async def test_one_that_does_not_come_back_ends_it_with_the_reason() -> None:
    live = await play(CounterFake([entry(1), NO_LINK], sessions=(False,)))
    assert len(live.made) == 1
    assert live.stopped == "The terminal is not in session."
    assert live.exit_code == ExitCode.UNKNOWN


async def test_a_limit_is_no_matter_of_waiting() -> None:
    live = await play(CounterFake([Stop(StopReason.FULL, 9)]))
    assert live.stopped == "The terminal's queue is full: 9 operations."
    assert (live.exit_code, live.latencies) == (ExitCode.UNKNOWN, None)


async def test_a_verdict_that_does_not_come_ends_it_with_the_reason() -> None:
    live = await play(CounterFake([entry(1)], verdicts=(False,)))
    assert live.stopped == "Operation 1 has no verdict after 30 s."
    assert (len(live.made), live.exit_code) == (1, ExitCode.UNKNOWN)


@pytest.mark.parametrize("hint", ["Was it revoked?", ""])
async def test_a_refusal_of_the_broker_ends_it_with_the_reason(hint: str) -> None:
    live = await play(CounterFake([entry(1)], verdicts=(Refused("Not let in.", hint),)))
    assert live.stopped == f"Not let in. {hint}".strip()
    assert (len(live.made), live.exit_code) == (1, ExitCode.REFUSED)
