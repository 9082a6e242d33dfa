"""Reversal, answer and expiry in every order, each a few turns of the loop after the other.

Whoever is first decides; everybody hears the same, for ever; and both books say so.
"""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from switch.core.rails import Rail
from switch.flight import ReversalOutcome
from tests.support.single_message import (
    Books,
    a_reference,
    enter,
    entering,
    iso_fleet,
    never,
    reversing,
    told,
)
from tests.support.switch_world import PREFUND, World, accept_order, fleet, refuse_order, world

ACTIONS = ("order", "reverse", "answer", "expire")
UNTIL_QUIET = -1
GAPS = (0, 1, UNTIL_QUIET)
"""Turns of the loop between one action and the next; the last: until nothing is left to do."""
AMOUNT, FEE = 100, 80
LANES = {"iso8583": iso_fleet(), "tin": fleet()}


def stories(gaps_tried: Sequence[int]) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    for actions in itertools.permutations(ACTIONS):
        for gaps in itertools.product(gaps_tried, repeat=len(ACTIONS) - 1):
            yield actions, gaps


class Story:
    """One order with its key, and everything that happens to it."""

    def __init__(self, one: World, number: int, behaviour: Any) -> None:
        self.one = one
        self.key = f"iso:0970:{number:06}"
        self.trace = f"{number:06}"
        self.behaviour = behaviour
        self.answer = never()

    async def play(self, actions: Sequence[str], gaps: Sequence[int]) -> None:
        """Let it all happen, and wait for the end."""
        one = self.one
        # So many expiries would open it; that is another story.
        one.house.breakers.force("0971", Rail.TIN, is_open=False)
        self.ct1 = one.ct1(
            await a_reference(one, trace=self.trace), trace=self.trace, amount=AMOUNT, feeAmount=FEE
        )
        one.peers.on_ct2.clear()
        one.peers.on_ct2.append(self.answer)
        for action, turns in zip(actions, (*gaps, UNTIL_QUIET), strict=True):
            match action:
                case "order":
                    self.order = entering(one, self.ct1, key=self.key)
                case "reverse":
                    self.reversal = reversing(one, self.key)
                case "answer":
                    if not self.answer.done():
                        self.answer.set_result(self.behaviour)
                case _:
                    assert action == "expire"
                    await one.clock.advance(one.expiry, turns=0)
            for _ in range(turns):
                await asyncio.sleep(0)
            if turns == UNTIL_QUIET:
                await one.settle()
        await one.settle()
        await one.advance(one.expiry.total_seconds() + 1)

    async def check(self) -> ReversalOutcome:
        """Hold what was told against both books, and ask everything again."""
        one, reversal, order = self.one, await self.reversal, await self.order
        instruction = reversal.transfer_id
        is_paid = reversal.outcome is ReversalOutcome.POSTED
        assert reversal.answer == order
        assert (told(order)[0] == "00") == is_paid
        assert (instruction in one.peers.posted) == is_paid
        assert (one.state(instruction) == "CONFIRMED") == is_paid
        assert one.state(instruction) not in ("RESERVED", "POSTED", "EXPIRED", "DISPUTED")
        assert one.owed() == []
        assert await reversing(one, self.key) == reversal
        assert await enter(one, self.ct1, key=self.key) == order
        asked = [order.instructionId for order in one.peers.orders()]
        assert asked.count(instruction) == len(asked) <= 1
        one.peers.sent.clear()
        return reversal.outcome


SOAK = (pytest.mark.soak, pytest.mark.timeout(600))


@pytest.mark.parametrize(
    ("lane", "behaviour", "gaps_tried"),
    [
        pytest.param("iso8583", accept_order, GAPS[::2], id="iso8583-00"),
        pytest.param("iso8583", refuse_order("AC01"), GAPS[::2], id="iso8583-05"),
        pytest.param("tin", accept_order, GAPS[::2], id="tin-00"),
        *(
            pytest.param(lane, behaviour, GAPS, id=f"{lane}-{name}-whole", marks=SOAK)
            for lane in LANES
            for name, behaviour in (("00", accept_order), ("05", refuse_order("AC01")))
        ),
    ],
)
async def test_in_every_order_all_hear_one_outcome_and_both_books_agree(
    tmp_path: Path, lane: str, behaviour: Any, gaps_tried: Sequence[int]
) -> None:
    outcomes: dict[ReversalOutcome, int] = dict.fromkeys(ReversalOutcome, 0)
    async with world(tmp_path, members=LANES[lane], peers=Books()) as one:
        for number, (actions, gaps) in enumerate(stories(gaps_tried)):
            story = Story(one, number, behaviour)
            try:
                await story.play(actions, gaps)
                outcomes[await story.check()] += 1
            except AssertionError as error:
                raise AssertionError(f"{actions=} {gaps=}") from error
        paid = outcomes[ReversalOutcome.POSTED]
        settled = (AMOUNT + FEE) * paid
        assert one.balance("0970") == one.available("0970") == PREFUND - settled
        assert one.balance("0971") == PREFUND + settled
        await one.audited()
    # It would prove little if one of them never came about.
    assert all(outcomes[one] for one in ReversalOutcome if one is not ReversalOutcome.POSTED)
    assert bool(paid) == (behaviour is accept_order)
