"""Whatever is lost, doubled, late or cut off: one verdict each, and money that moves once."""

import random
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from scheme.errors import StoreError
from scheme.wire.agent_payload import Kind, Operation
from tests.support.agent_world import (
    AT_BANK,
    DEVICE,
    MEMBER,
    SECOND,
    AgentWorld,
    a_profile,
    an_operation,
)
from tests.support.forgetful_disk import ForgetfulDisk

COUNT = 7
RULES: dict[str, Any] = {
    "float_minor": {"PEN": 3500},
    "offline_count": 9,
    "operation_max": {"PEN": 5000},
}
KINDS = (Kind.CASH_IN, Kind.CASH_OUT, Kind.TRANSFER, Kind.VOID, Kind.CASH_IN, Kind.BALANCE)


def a_book(rng: random.Random, device: str) -> list[Operation]:
    return [
        an_operation(
            seq,
            device,
            kind=rng.choice(KINDS),
            minor=rng.choice((500, 1000, 1500)),
            account=rng.choice((MEMBER, AT_BANK)),
            offline=rng.random() < 0.7,
        )
        for seq in range(1, COUNT + 1)
    ]


async def one_session(
    world: AgentWorld, books: dict[str, list[Operation]], session: int, rng: random.Random
) -> None:
    """Say everything once more, in any order, some of it twice and some of it not at all."""
    for device, book in books.items():
        await world.hello(device, session=session, next=COUNT + 1)
        said = [one for one in book if rng.random() < 0.8] + rng.sample(book, 2)
        rng.shuffle(said)
        while said:
            cut = rng.randrange(1, 4)
            await world.sends(*said[:cut], device=device, session=session)
            del said[:cut]
    for _ in range(3):
        await world.quiet()
        await world.clock.advance(timedelta(seconds=3), turns=5)


def is_done(world: AgentWorld) -> bool:
    return all(len(world.verdicts[device]) == COUNT for device in (DEVICE, SECOND))


async def settle(world: AgentWorld, books: dict[str, list[Operation]], rng: random.Random) -> None:
    for device, book in books.items():
        await world.hello(device, session=1000, next=COUNT + 1)
        await world.sends(*book, device=device, session=1000)
    await world.until(lambda: is_done(world))


async def check(world: AgentWorld, books: dict[str, list[Operation]]) -> None:
    for device, book in books.items():
        assert (await world.closes(book, device)).agrees
    world.check_books()
    ended = [(one, world.verdicts[d][one.seq]) for d, book in books.items() for one in book]
    applied = [one for one, verdict in ended if verdict.code == "00"]
    taken = sum(one.minor for one in applied if one.kind in (Kind.CASH_IN, Kind.TRANSFER))
    paid = sum(one.minor for one in applied if one.kind == Kind.CASH_OUT)
    till = world.desk.tills()[0]
    assert (till.taken, till.paid, till.reserved) == (taken, paid, 0)
    assert till.float_minor >= 0
    offline = sum(one.offline and one.kind != Kind.VOID for one in applied)
    assert offline <= RULES["offline_count"]
    assert world.store.tally("0992-0001", "20260115")[0] == offline
    assert sorted((a, c, t, p) for a, c, t, p in world.store.tills()) == (
        [("0992-0001", 0, taken, paid)] if taken or paid or offline else []
    )


@pytest.mark.parametrize("seed", range(12))
async def test_the_power_fails_at_any_write_and_nothing_is_lost_or_done_twice(seed: int) -> None:
    rng = random.Random(seed)
    disk = ForgetfulDisk(rng)
    world = AgentWorld("agents.db", profile=a_profile(**RULES), disk=disk)
    world.house.refuse[f"{rng.randrange(1, COUNT):06}"] = "14"
    await world.begin()
    books = {device: a_book(rng, device) for device in (DEVICE, SECOND)}
    firsts: dict[tuple[str, int], str] = {}
    for session in range(1, 5):
        disk.cut_after = rng.randrange(1, 40)
        world.house.faults = rng.choices([None, KeyError("a bug")], k=rng.randrange(3))
        with suppress(StoreError, apsw.Error):
            await one_session(world, books, session, rng)
        for device, verdicts in world.verdicts.items():
            for seq, verdict in verdicts.items():
                assert firsts.setdefault((device, seq), verdict.code) == verdict.code
        world.house.faults = []
        disk.cut()
        await world.again()
    await settle(world, books, rng)
    for (device, seq), code in firsts.items():
        assert world.verdicts[device][seq].code == code, "a verdict that was told stands"
    await check(world, books)
    await world.end()


@pytest.mark.parametrize("seed", range(6))
async def test_a_process_that_is_killed_anywhere_leaves_the_books_equal(
    seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    world = AgentWorld(tmp_path / "agents.db", profile=a_profile(**RULES))
    await world.begin()
    books = {device: a_book(rng, device) for device in (DEVICE, SECOND)}
    for device, book in books.items():
        await world.hello(device)
        await world.sends(*rng.sample(book, COUNT - 1), device=device)
    for _ in range(rng.randrange(12)):
        await world.until(lambda: True)
        await world.clock.advance(timedelta(0), turns=rng.randrange(4))
    await world.again()
    await settle(world, books, rng)
    await check(world, books)
    await world.end()
