"""Returns of settled transfers, in the windows of the dispute cycle, on a real disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scheme.ledger import DALE, NATIONAL, Account, Entry, Post, Reserve
from scheme.messages import CT1
from scheme.wire import tin_json
from switch.core.records import TransferRecord, pack
from switch.payment_ports import Fault, Refused
from switch.returns import ReturnOrder
from tests.support.fleet_world import GOLDEN
from tests.support.payment_world import (
    PaymentWorld,
    an_order,
    payment_world,
)
from tests.support.settlement_world import rules

MINOR = 500
TRANSFER = "2611231200000002410000000001"
CT1_GOLDEN = tin_json.decode((GOLDEN / "CT1-by-cci.json").read_bytes(), CT1)


async def a_transfer(world: PaymentWorld, *legs: tuple[str, str, str]) -> str:
    """Post an immediate transfer of MINOR through some legs: ledger, debit, credit."""
    entries = [
        Entry(
            kind=kind,
            debit=Account(ledger=ledger, currency="PEN", owner=debit),
            credit=Account(ledger=ledger, currency="PEN", owner=credit),
            minor=minor,
            window=world.clearing.service.window(ledger, "PEN").id,
        )
        for ledger, debit, credit in legs
        for kind, minor in (("principal", MINOR), ("interbank_fee", 20))
    ]
    record = TransferRecord(
        ct1=CT1_GOLDEN,
        instruction_id=TRANSFER,
        requested_creditor="0003",
        creditor_agent="0003",
        settlement_date="20261123",
        window="national-PEN-20261123-1",
        created_ms=1,
    )
    reserve = Reserve(
        transfer_id=TRANSFER,
        key="0002:r",
        entries=tuple(entries),
        state="RESERVED",
        record=pack(record),
        debtor_agent=legs[0][1],
        creditor_agent=legs[-1][2],
        currency="PEN",
        minor=MINOR,
        created_ms=1,
    )
    await world.ledger.apply((reserve,))
    post = Post(transfer_id=TRANSFER, state="POSTED", record=pack(record), at_ms=2)
    await world.ledger.apply((post,))
    await world.ledger.drain()
    return TRANSFER


async def give_back(
    world: PaymentWorld, transfer: str, amount: int = 100, key: str = "r1", reason: str = "FOCR"
) -> dict[str, Any]:
    answer = await world.rails.returns.give_back(
        transfer, ReturnOrder(amount=amount, reason=reason), key
    )
    assert isinstance(answer, bytes), answer
    decoded: dict[str, Any] = msgspec.json.decode(answer)
    return decoded


async def refused(
    world: PaymentWorld, transfer: str, amount: int = 100, key: str = "r1", reason: str = "FOCR"
) -> Refused:
    answer = await world.rails.returns.give_back(
        transfer, ReturnOrder(amount=amount, reason=reason), key
    )
    assert isinstance(answer, Refused), answer
    return answer


async def test_part_of_a_transfer_goes_back_in_the_dispute_window(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        transfer = await a_transfer(world, (NATIONAL, "0002", "0003"))
        answer = await give_back(world, transfer, 200)

        assert (answer["amount"], answer["left"]) == (200, MINOR - 200)
        window = world.clearing.service.window("national-dispute", "PEN").id
        assert answer["windows"] == {"national": window}
        (entry,) = world.store.entries(answer["return_id"])
        assert (entry.kind, entry.debit, entry.credit, entry.minor, entry.window) == (
            *("opposite", "0003", "0002", 200),
            window,
        )
        told = [(one.participant, one.message) for one in world.outbox.taken]
        assert told == [("0003", "pacs.004"), ("0002", "pacs.004")]
        shown = world.rails.returns.of_transfer(transfer)
        assert shown is not None
        assert [one["reason"] for one in shown["returns"]] == ["FOCR"]
        assert (await world.clearing.service.audit()).clean


async def test_a_repeat_gets_the_same_bytes_and_returns_once(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        transfer = await a_transfer(world, (NATIONAL, "0002", "0003"))
        order = ReturnOrder(amount=300, reason="DUPL")
        desk = world.rails.returns
        first, second = await asyncio.gather(
            desk.give_back(transfer, order, "k"), desk.give_back(transfer, order, "k")
        )
        assert isinstance(first, bytes)
        assert first == second
        assert (await refused(world, transfer, 299, "k")).field == "Idempotency-Key"
        assert world.store.opposed_minor(transfer) == 300


async def test_no_more_goes_back_than_is_left(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        transfer = await a_transfer(world, (NATIONAL, "0002", "0003"))
        await give_back(world, transfer, MINOR - 100)
        no = await refused(world, transfer, 101, "r2")
        assert (no.field, no.hint) == ("amount", "at most 100 now")
        assert (await give_back(world, transfer, 100, "r3"))["left"] == 0
        page = world.rails.returns.page((0, ""), limit=1)
        rest = world.rails.returns.page(_cursor(page["next"]), limit=5)
        amounts = [one["amount"] for one in (*page["returns"], *rest["returns"])]
        assert sorted(amounts) == [100, MINOR - 100]
        assert rest["next"] is None


def _cursor(text: str) -> tuple[int, str]:
    at, _, identity = text.partition(".")
    return int(at), identity


async def test_a_return_takes_back_every_leg(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        transfer = await a_transfer(world, (NATIONAL, "0002", "0987"), (DALE, "0987", "0970"))
        answer = await give_back(world, transfer, 200)

        assert set(answer["windows"]) == {"national", "dale"}
        assert {one.ledger for one in world.store.entries(answer["return_id"])} == {
            "national",
            "dale",
        }
        assert (await world.clearing.service.audit()).clean


async def test_a_position_that_cannot_give_is_named(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        transfer = await a_transfer(world, (NATIONAL, "0002", "0003"))
        await world.clearing.pay("0003", "0011", 1_000 + MINOR)
        no = await refused(world, transfer)
        assert "0003" in no.error
        assert world.store.opposed_minor(transfer) == 0


async def test_a_settled_deferred_payment_is_returned_in_the_next_cycle(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        payment = (await world.pay(an_order()))["payment_id"]
        assert (await refused(world, payment)).error.startswith("only a settled")
        await world.settle_cycle()
        before = world.clearing.money("0002")
        answer = await give_back(world, payment)
        window = await world.settle_cycle()

        assert answer["windows"] == {"deferred": window}
        assert world.clearing.money("0002") == before + 100
        assert world.clearing.balance("0002", "deferred") == 0
        assert (await world.clearing.service.audit()).clean


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"reason": "focr"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"key": ""}, "Idempotency-Key"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    async with payment_world(tmp_path) as world:
        no = await refused(world, TRANSFER, **changes)
        assert (no.fault, no.field) == (Fault.INVALID, field)


async def test_what_is_unknown_or_moved_nothing_is_refused(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        assert (await refused(world, "nothing")).fault is Fault.UNKNOWN
        assert world.rails.returns.of_transfer("nothing") is None
        payment = (await world.pay(an_order(amount=600_000, rail="lbtr")))["payment_id"]
        assert (await refused(world, payment)).hint == "send a new payment the other way"


async def test_a_coop_s_lbtr_payment_is_not_returned_by_half(tmp_path: Path) -> None:
    # Its sponsor's books could give the money back; the central bank's would not.
    profile = rules(current=10_000_000, coop_current=5_000_000)
    async with payment_world(tmp_path, profile) as world:
        order = an_order("0970", "0002", amount=600_000, rail="lbtr")
        payment = (await world.pay(order))["payment_id"]
        assert world.status(payment) == "ACSC"

        answer = await refused(world, payment)
        assert (answer.field, answer.hint) == ("id", "send a new payment the other way")
        assert (await world.clearing.service.audit()).clean
