"""Whatever the order of requests, answers, reversals, repeats and restarts: the money adds up.

Every currency of every ledger sums to zero, a one-time code pays once, no machine is told to give
out what its institution was not paid, and of what was taken back exactly the first word counts.
"""

import asyncio
import random
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheme.wire.iso8583_spec import Fields
from switch.core.cash import CashAnswer, unpack_cash
from tests.support.cash_world import CashWorld, Core, cash_world

CARD_ONLY = 1
BY_ACCOUNT = 4
"""Those by card, and at a field agent; all others type the same one-time code."""
_WITHDRAWALS = st.integers(1, 4)
_ACTS = st.sampled_from(("00", "00", "00", "51", "silent", "lost"))
_STEPS = st.one_of(
    st.tuples(st.just("served"), _WITHDRAWALS, _ACTS),
    st.tuples(st.just("ask"), _WITHDRAWALS),
    st.tuples(st.just("answer"), _ACTS),
    st.tuples(st.just("reverse"), _WITHDRAWALS, st.sampled_from((0, 5_000, 20_000))),
    st.tuples(st.just("turns"), st.integers(1, 20)),
    st.tuples(st.just("settle")),
    st.tuples(st.just("late")),
    st.tuples(st.just("restart")),
)


class _Gates(deque[Any]):
    """Lets every request to a core wait for the test's word."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Future[str]] = []

    def __bool__(self) -> bool:
        return True

    def popleft(self) -> "asyncio.Future[str]":
        gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        return gate

    def answer(self, act: str) -> None:
        while self.waiting:
            gate = self.waiting.pop(0)
            if not gate.done():
                gate.set_result(act)
                return


@dataclass
class _Run:
    """What was asked and told, over all restarts."""

    gates: _Gates = field(default_factory=_Gates)
    code: str = ""
    told: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    taken: dict[int, str] = field(default_factory=dict)
    dispensed: dict[int, set[int]] = field(default_factory=dict)
    tasks: set[asyncio.Task[CashAnswer]] = field(default_factory=set)
    failed: BaseException | None = None

    def request(self, one: CashWorld, number: int) -> Fields:
        if number == BY_ACCOUNT:
            return one.by_account(number)
        return one.request(number) if number == CARD_ONLY else one.cardless(self.code, number)

    def ask(self, one: CashWorld, number: int) -> None:
        def heard(answer: CashAnswer) -> None:
            self.told.setdefault(number, set()).add((answer.response_code, answer.subject))

        self._start(one.withdraw(self.request(one, number)), heard)

    def reverse(self, one: CashWorld, number: int, dispensed: int) -> None:
        def heard(answer: CashAnswer) -> None:
            self.taken[number] = answer.response_code

        self.dispensed.setdefault(number, set()).add(dispensed)
        reversal = one.reversal_of(self.request(one, number), dispensed)
        self._start(one.reverse(reversal), heard)

    def _start(self, work: Any, heard: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)

        def done(ended: "asyncio.Task[CashAnswer]") -> None:
            self.tasks.discard(ended)
            if not ended.cancelled():
                self.failed = ended.exception() or self.failed
                if ended.exception() is None:
                    heard(ended.result())

        task.add_done_callback(done)

    async def end(self) -> None:
        """Leave whoever waits without an answer, as a process does that is killed."""
        for task in (left := list(self.tasks)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self.gates.waiting.clear()


async def _take(run: _Run, one: CashWorld, step: tuple[Any, ...]) -> None:
    match step:
        case ("ask", number):
            run.ask(one, number)
        case ("served", number, act):
            run.ask(one, number)
            await one.settle()
            run.gates.answer(act)
            await one.settle()
        case ("answer", act):
            run.gates.answer(act)
        case ("reverse", number, dispensed):
            run.reverse(one, number, dispensed)
        case ("turns", number):
            for _ in range(number):
                await asyncio.sleep(0)
        case ("settle",):
            await one.settle()
        case _:
            await one.advance(9)


async def _play(folder: Path, steps: list[tuple[Any, ...]], seed: int) -> None:
    run = _Run()
    core = Core(next=run.gates)
    left = deque(steps)
    while True:
        async with cash_world(folder, core, seed=seed) as one:
            run.code = run.code or await one.code()
            while left and left[0] != ("restart",):
                await _take(run, one, left.popleft())
            if not left:
                break_after = True
                await one.advance(9)
                await one.advance(120)
                await _check(one, run)
            else:
                break_after = False
                left.popleft()
            await run.end()
        if break_after:
            return


async def _check(one: CashWorld, run: _Run) -> None:
    await one.audited()
    assert run.failed is None, run.failed
    assert (one.held(), one.owed()) == (0, [])
    cardless_paid = 0
    for row in one.store.cash_rows("", limit=100):
        paid = one.paid(row.transfer_id)
        assert 0 <= paid <= row.minor
        assert paid == one.core.kept(row.transfer_id), row
        record = unpack_cash(row.record)
        if row.state == "APPROVED":
            cardless_paid += bool(record.phone)
            assert record.response_code == "00"
        else:
            assert paid == 0
    assert cardless_paid <= 1
    for number, answers in run.told.items():
        assert len(answers) == 1, "a key has one outcome for ever"
        ((code, subject),) = answers
        assert (code == "00") == (one.state(subject) == "APPROVED"), number
    for number, code in run.taken.items():
        assert code in {"00", "25"}, number
        acquirer = run.request(one, number)["32"]
        found = one.store.row_by_key(f"iso:{acquirer}:20260115:{number:06}:R{number:011}")
        assert found is not None
        if found.state == "APPROVED":
            # Told that it was taken back, so one of the reversals counts, and only one.
            assert one.paid(found.transfer_id) in run.dispensed[number]


_SLOWLY = [HealthCheck.too_slow]
_given_steps = given(steps=st.lists(_STEPS, max_size=24), seed=st.integers(0, 2**16))


@settings(max_examples=30, deadline=None, suppress_health_check=_SLOWLY)
@_given_steps
def test_the_money_adds_up_whatever_comes_when(steps: list[tuple[Any, ...]], seed: int) -> None:
    _hold_together(steps, seed)


@pytest.mark.soak
@settings(deadline=None, suppress_health_check=_SLOWLY)
@_given_steps
def test_the_money_adds_up_in_many_more_stories(steps: list[tuple[Any, ...]], seed: int) -> None:
    _hold_together(steps, seed)


def _hold_together(steps: list[tuple[Any, ...]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), steps, random.Random(seed).randrange(2**16)))
