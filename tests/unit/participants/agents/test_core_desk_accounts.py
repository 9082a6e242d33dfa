"""A core that is asked by account: withdrawals, balances, statements."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from participants.core import iso8583_wording as iso
from scheme.wire.iso8583_reversal import replacement
from scheme.wire.iso8583_spec import Fields
from tests.support.fleet_world import CREDITOR_CCI, DEBTOR_CCI, started
from tests.support.lane_fleet import LaneWorld, a_request, a_reversal

OPENING = 100_000
AMOUNT = 12_500


@pytest.fixture
async def world() -> AsyncIterator[LaneWorld]:
    world = LaneWorld()
    yield world
    await world.close()


def by_account(kind: str, **changes: str) -> Fields:
    """Return what a field agent's institution asks, as the clearing house passes it on."""
    fields = a_request(kind, **{"e102": CREDITOR_CCI, "e32": "0992", **changes})
    del fields["2"]
    return fields


async def test_an_account_is_debited_once_and_gets_back_what_was_not_paid_out(
    world: LaneWorld,
) -> None:
    sent = by_account("01")
    first, again = await world.answer(sent), await world.answer(sent | {"t": "0201"})
    other = await world.answer(sent | {"102": DEBTOR_CCI})
    left = world.balance
    undone = [await world.answer(a_reversal(sent, t=kind)) for kind in ("0420", "0421")]

    assert (first["39"], first["102"], again) == ("00", CREDITOR_CCI, first)
    assert other["39"] == "94"
    assert left == OPENING - AMOUNT
    assert [one["39"] for one in undone] == ["00", "00"]
    assert world.balance == OPENING


async def test_a_balance_is_told_by_account(world: LaneWorld) -> None:
    assert iso.available_in((await world.answer(by_account("31")))["54"]) == OPENING
    assert (await world.answer(by_account("31", e102=DEBTOR_CCI)))["39"] == "14"


async def test_a_statement_tells_the_movements_of_an_account_youngest_first(
    world: LaneWorld,
) -> None:
    empty = await world.answer(by_account("38"))
    sent = by_account("01")
    await world.answer(sent)
    await world.answer(a_reversal(sent, e95=replacement(4_000)))
    by_card = await world.answer(a_request("38"))
    answer = await world.answer(by_account("38"))

    assert (empty["39"], "62" in empty) == ("00", False)
    assert by_card["62"] == answer["62"]
    assert iso.tags(answer, "62")["20"] == (
        f"2601151016,{AMOUNT - 4_000},RETIRO DEVUELTO;2601151016,-{AMOUNT},RETIRO EN 0992"
    )


async def test_a_statement_has_what_is_decided_and_not_yet_on_disk(world: LaneWorld) -> None:
    world.books.is_slow = True
    paying = await started(world.answer(by_account("01")))
    asking = await started(world.answer(by_account("38")))
    assert not asking.done()
    world.books.flush()

    assert "RETIRO" in iso.tags(await asking, "62")["20"]
    await paying


@pytest.mark.parametrize(
    ("changes", "code"), [({"e102": DEBTOR_CCI}, "14"), ({"e49": "840"}, "44")]
)
async def test_a_statement_is_refused(world: LaneWorld, changes: dict[str, str], code: str) -> None:
    answer = await world.answer(by_account("38", **changes))

    assert (answer["39"], "20" in iso.tags(answer, "62")) == (code, False)
