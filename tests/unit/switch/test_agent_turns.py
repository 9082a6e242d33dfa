"""Turns of operations: bounded, shared among institutions, live ones first."""

import asyncio

import pytest

from switch.agent_turns import Turns


class Stage:
    """Those who have had a turn, in order; each keeps it until it is let go."""

    def __init__(self, most: int, share: int) -> None:
        self.turns = Turns(most, share)
        self.began: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def asks(self, name: str, institution: str, *, is_live: bool = False) -> None:
        self.gates[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._has(name, institution, is_live=is_live))
        await asyncio.sleep(0)

    async def _has(self, name: str, institution: str, *, is_live: bool) -> None:
        async with self.turns.turn(institution, is_live=is_live):
            self.began.append(name)
            await self.gates[name].wait()

    async def ends(self, name: str) -> None:
        self.gates[name].set()
        await self.tasks[name]
        await asyncio.sleep(0)


async def test_one_institution_has_no_more_than_its_share() -> None:
    stage = Stage(most=3, share=2)
    for name in ("a1", "a2", "a3"):
        await stage.asks(name, "a")
    await stage.asks("b1", "b")
    assert stage.began == ["a1", "a2", "b1"]
    await stage.ends("b1")
    assert stage.began == ["a1", "a2", "b1"]
    await stage.ends("a1")
    assert stage.began[3:] == ["a3"]


async def test_live_ones_go_first_and_institutions_in_turn() -> None:
    stage = Stage(most=1, share=1)
    await stage.asks("first", "a")
    for name in ("a1", "a2"):
        await stage.asks(name, "a")
    await stage.asks("b1", "b")
    await stage.asks("live", "a", is_live=True)
    for name in ("first", "live", "b1", "a1"):
        await stage.ends(name)
    assert stage.began == ["first", "live", "b1", "a1", "a2"]


@pytest.mark.parametrize("was_granted", [False, True])
async def test_who_goes_away_takes_no_turn_along(*, was_granted: bool) -> None:
    stage = Stage(most=1, share=1)
    await stage.asks("first", "a")
    await stage.asks("gone", "a")
    await stage.asks("last", "b")
    if was_granted:
        stage.gates["first"].set()
        await asyncio.sleep(0)  # The turn is given on; nobody has run with it yet.
    stage.tasks["gone"].cancel()
    await asyncio.gather(stage.tasks["gone"], return_exceptions=True)
    if not was_granted:
        await stage.ends("first")
    await asyncio.sleep(0)
    assert stage.began == ["first", "last"]
    await stage.ends("last")
    await stage.asks("next", "a")
    assert stage.began[-1] == "next"
