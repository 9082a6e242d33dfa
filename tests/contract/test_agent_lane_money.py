"""Operations of field agents through the real desk of the other lane, to a simulated core."""

from pathlib import Path

from msgspec.structs import replace

from scheme.network import AgentGroup, Fleet
from scheme.wire.agent_payload import Kind, Operation, Row
from tests.contract.test_cash_agents import FLEET, OPENING, lane
from tests.support.agent_world import DEVICE, START, AgentWorld, an_operation
from tests.support.fleet_world import CREDITOR_CCI


def of_member(seq: int, kind: Kind, minor: int = 0) -> Operation:
    return an_operation(seq, kind=kind, minor=minor, account=CREDITOR_CCI)


async def test_a_members_cash_balance_and_movements_come_from_the_core(tmp_path: Path) -> None:
    async with lane(tmp_path) as (here, core):
        world = AgentWorld(tmp_path / "agents.db", handle=here.desk.handle)
        groups = (AgentGroup(institution="0992", agents=1, devices=1),)
        world.fleet = Fleet(participant=tuple(FLEET.values()), agents=groups)
        world.clock = here.one.clock
        await world.begin()
        await world.hello()
        book = [
            of_member(1, Kind.CASH_OUT, 1_250),
            of_member(2, Kind.CASH_OUT, 99_000),
            of_member(3, Kind.BALANCE),
            of_member(4, Kind.STATEMENT),
            of_member(5, Kind.CASH_IN, 700),
            of_member(6, Kind.CREDIT_PAYMENT, 700),  # No cooperative keeps that account.
        ]
        await world.sends(*book)
        assert await world.answered(range(1, 7)) == ["00", "51", "00", "00", "00", "57"]
        assert core.balance == OPENING - 1_250
        assert world.verdicts[DEVICE][1].reference.startswith("W20260115")
        # An order of the other wire's shape, posted by the router.
        assert len(world.verdicts[DEVICE][5].reference) > len("W20260115")
        assert world.verdicts[DEVICE][3].data == (OPENING - 1_250,) * 2
        (row,) = world.verdicts[DEVICE][4].data
        assert isinstance(row, Row)
        assert (row.minor, row.text) == (-1_250, "RETIRO EN 0992")
        assert 0 <= row.at - int(START.timestamp()) < 120
        assert (await world.closes(book)).agrees
        await world.end()


async def test_a_verdict_that_never_reached_the_disk_comes_again_and_pays_nothing_twice(
    tmp_path: Path,
) -> None:
    async with lane(tmp_path) as (here, core):
        world = AgentWorld(tmp_path / "agents.db", handle=here.desk.handle)
        groups = (AgentGroup(institution="0992", agents=1, devices=1),)
        world.fleet = Fleet(participant=tuple(FLEET.values()), agents=groups)
        world.clock = here.one.clock
        await world.begin()
        await world.hello()
        await world.sends(of_member(1, Kind.CASH_OUT, 1_250))
        # The core has paid; the process ends before it has kept that.
        await world.until(lambda: core.balance < OPENING)
        world.is_deaf = True
        await world.end()
        world.is_deaf = False
        world.verdicts.clear()
        await world.begin()
        await world.sends(of_member(1, Kind.CASH_OUT, 1_250))
        assert await world.answered([1]) == ["00"]
        assert core.balance == OPENING - 1_250
        await world.sends(replace(of_member(1, Kind.CASH_OUT, 1_250), minor=1))
        assert core.balance == OPENING - 1_250
        await world.end()
