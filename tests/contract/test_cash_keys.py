"""One key, one owner, one answer at every repeat: desk, router and cash over one real ledger."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.files import load_profile
from scheme.network import Iso8583, Participant
from scheme.wire.iso8583_spec import Fields
from switch.cash import Cash
from switch.cash_ports import Cores
from switch.iso8583_desk import Iso8583Desk
from tests.support.cash_world import Core, ScriptedCores
from tests.support.iso8583_mapping import (
    CORE,
    NOW,
    OTHER_CORE,
    a_reversal,
    a_transfer,
    account,
    lane_fleet,
)
from tests.support.single_message import Books
from tests.support.switch_world import World, fixed_window, world

FLEET = lane_fleet()
FLEET[CORE] = replace(FLEET[CORE], iso8583=Iso8583(bins=("970975",)))
_STEPS = range(12)
_WITHDRAWAL = "010000"


class Lane:
    """A clearing house whose desk and cash know of each other, as in the process."""

    def __init__(
        self,
        one: World,
        fleet: Mapping[str, Participant] = FLEET,
        cores: Cores | None = None,
    ) -> None:
        self.one = one
        self.fleet = fleet
        self.core = Core()
        self.tasks: set[asyncio.Task[Any]] = set()
        profile = load_profile("peru")
        self.cash = Cash(
            ledger=one.ledger,
            store=one.store,
            cores=cores or ScriptedCores(self.core, fleet, 1000),
            outbox=one.house.outbox,
            fleet=fleet,
            profile=profile,
            clock=one.clock,
            state=lambda: one.house.sessions.state,
            window_of=fixed_window,
            account_of=lambda phone, code: None,
            random_bytes=bytes,
            is_elsewhere=self._is_elsewhere,
        )
        self.desk = Iso8583Desk(
            orders=one.house.router,
            queries=one.house.verifier,
            cash=self.cash,
            binding=one.house.verifier.binding,
            fleet=fleet,
            profile=profile,
            clock=one.clock,
            spawn=self.start,
        )

    def _is_elsewhere(self, key: str) -> bool:
        return self.desk.knows(key)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def ask(self, fields: Fields) -> Fields:
        answer = await self.desk.handle(self.fleet[fields["32"]], fields)
        assert answer is not None
        return answer

    async def raced(self, first: Fields, second: Fields, turns: int) -> tuple[Fields, Fields]:
        """Ask one thing, and after some turns of the loop another."""
        asking = self.start(self.ask(first))
        for _ in range(turns):
            await asyncio.sleep(0)
        answer = await self.ask(second)
        return await asking, answer


@asynccontextmanager
async def lane(folder: Path) -> AsyncIterator[Lane]:
    async with world(folder, members=FLEET, peers=Books(), start=NOW) as one:
        here = Lane(one)
        yield here
        await here.cash.idle()
        await one.settle()
        await one.audited()


def _money(code: str) -> Fields:
    """Return what a withdrawal says beside a transfer's elements."""
    return {"3": _WITHDRAWAL, "2": "9709751234567890", "4": "000000020000", "32": code}


@pytest.mark.parametrize("creditor", [OTHER_CORE, "0002"])
@pytest.mark.parametrize("turns", _STEPS)
async def test_a_reversal_with_a_machines_code_takes_the_transfer_back_or_finds_it_posted(
    tmp_path: Path, creditor: str, turns: int
) -> None:
    asked = a_transfer(de103=account(creditor, 3))
    reversal = a_reversal(asked, de3=_WITHDRAWAL)
    async with lane(tmp_path) as here:
        told, undone = await here.raced(asked, reversal, turns)

        assert (told["39"] == "00") == (undone["39"] == "21")
        assert (await here.ask(asked | {"t": "0201"}))["39"] == told["39"]
        for code in (_WITHDRAWAL, "400000"):
            again = await here.ask(a_reversal(asked, t="0421", de3=code))
            assert again["39"] == undone["39"]


@pytest.mark.parametrize("code", [_WITHDRAWAL, "400000"])
@pytest.mark.parametrize("turns", _STEPS)
async def test_a_withdrawal_whose_reversal_came_first_is_never_executed(
    tmp_path: Path, code: str, turns: int
) -> None:
    asked = a_transfer() | _money(OTHER_CORE)
    reversal = a_reversal(asked, de32=OTHER_CORE, de4=asked["4"], de3=code)
    reversal |= {"90": reversal["90"][:20] + f"{OTHER_CORE:0>11}" + "0" * 11}
    async with lane(tmp_path) as here:
        undone, told = await here.raced(reversal, asked, turns)

        assert (undone["39"], told["39"]) in {("25", "91"), ("00", "91")}
        assert here.core.kept("") == 0
        assert (await here.ask(asked | {"t": "0201"}))["39"] == told["39"]
        for again in (_WITHDRAWAL, "400000"):
            repeat = await here.ask(reversal | {"t": "0421", "3": again})
            assert repeat["39"] == undone["39"]
