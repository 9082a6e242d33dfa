"""Payments of the deferred and LBTR rails, from their acceptance to their end, on a real disk."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from scheme.ledger import DEFERRED, SPONSOR
from switch.core.sessions import NetworkState
from switch.payment_ports import Fault, PaymentFilter
from tests.support.payment_world import (
    AMOUNT,
    FEE,
    TOTAL,
    an_order,
    cci_of,
    payment_world,
)
from tests.support.settlement_world import account, rules

LARGE = 600_000
LARGE_TOTAL = LARGE + 1_500


async def test_a_deferred_payment_settles_with_its_cycle(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        answer = await world.pay(an_order())
        payment = answer["payment_id"]
        assert answer["status"] == world.status(payment) == "ACSP"
        assert (answer["rail"], answer["fee"]) == ("deferred", FEE)
        assert world.outbox.told(payment) == ["0002 pacs.002 ACSP"]

        window = await world.settle_cycle()

        assert answer["window"] == window
        assert world.status(payment) == "ACSC"
        assert world.outbox.told(payment)[1:] == ["0002 pacs.002 ACSC", "0003 pacs.008"]
        assert world.clearing.balance("0002", DEFERRED) == 0
        assert world.clearing.money("0002") == 10_000_000 - TOTAL
        assert world.clearing.money("0003") == 10_000_000 + TOTAL
        assert (await world.clearing.service.audit()).clean


async def test_the_same_key_gets_the_same_bytes_and_pays_once(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        first, second = await asyncio.gather(
            world.rails.payments.pay(an_order(), "k"), world.rails.payments.pay(an_order(), "k")
        )
        await world.settle_cycle()
        third = await world.rails.payments.pay(an_order(description="again"), "k")

        assert isinstance(first, bytes)
        assert first == second == third
        assert len(world.store.payments(PaymentFilter(), limit=10)[0]) == 1
        other = await world.refused(an_order(amount=AMOUNT + 1), "k")
        assert (other.fault, other.field) == (Fault.CONFLICT, "Idempotency-Key")
        # Keys are each debtor's agent's own.
        assert await world.pay(an_order("0003", "0002"), "k")


async def test_an_unwound_order_is_rejected_and_given_back(tmp_path: Path) -> None:
    profile = rules(current=500, on_failure={"deferred": ("unwind",)})
    async with payment_world(tmp_path, profile) as world:
        payment = (await world.pay(an_order()))["payment_id"]
        await world.settle_cycle()

        assert world.status(payment) == "RJCT"
        assert world.outbox.told(payment)[1:] == ["0002 pacs.002 RJCT"]
        stored = world.store.payment(payment)
        assert stored is not None
        assert stored.record.why
        position = world.ledger.position(account("0002", DEFERRED))
        assert position is not None
        assert (position.balance_minor, position.reserved_minor) == (0, 0)
        assert (await world.clearing.service.audit()).clean


async def test_what_a_crash_left_between_settling_and_ending_is_taken_up(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        world.clearing.service.on_settled_cycle = None
        payments = [(await world.pay(an_order(), f"k{one}"))["payment_id"] for one in range(3)]
        await world.settle_cycle()
        assert {world.status(one) for one in payments} == {"ACSP"}
        clock = world.clock
    for _ in range(2):
        async with payment_world(tmp_path, clock=clock) as world:
            assert {world.status(one) for one in payments} == {"ACSC"}
            assert world.clearing.money("0003") == 10_000_000 + 3 * TOTAL
            assert (await world.clearing.service.audit()).clean


async def test_more_than_a_chunk_of_payments_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switch.payment_settling.CHUNK", 2)
    async with payment_world(tmp_path) as world:
        made = await asyncio.gather(
            *(world.rails.payments.pay(an_order(), f"k{one}") for one in range(7))
        )
        assert all(isinstance(one, bytes) for one in made)
        await world.settle_cycle()
        found, _ = world.store.payments(PaymentFilter(status="ACSC"), limit=10)
        assert len(found) == 7


async def test_a_large_payment_of_a_bank_goes_by_the_lbtr_at_once(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        answer = await world.pay(an_order(amount=LARGE, rail="lbtr"))
        payment = answer["payment_id"]

        assert answer["window"] is None
        assert world.status(payment) == "ACSC"
        assert world.outbox.told(payment) == [
            "0002 pacs.002 ACSP",
            "0002 pacs.002 ACSC",
            "0003 pacs.008",
        ]
        assert world.clearing.money("0003") == 10_000_000 + LARGE_TOTAL
        assert world.store.entries(payment) == []
        assert (await world.clearing.service.audit()).clean


async def test_a_payment_without_money_waits_in_the_queue_and_is_dropped(tmp_path: Path) -> None:
    async with payment_world(tmp_path, rules(current=5_000)) as world:
        payment = (await world.pay(an_order(amount=LARGE, rail="lbtr")))["payment_id"]
        assert world.status(payment) == "ACSP"

        await world.clearing.until("18:00:01")
        await world.clearing.service.lbtr.drop_late()
        await world.settled()

        assert world.status(payment) == "RJCT"
        assert world.outbox.told(payment)[-1] == "0002 pacs.002 RJCT"


async def test_an_instruction_that_ended_before_a_crash_ends_its_payment(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        world.clearing.service.on_instruction_ended = None
        world.clearing.service.lbtr.on_ended = None
        payment = (await world.pay(an_order(amount=LARGE, rail="lbtr")))["payment_id"]
        assert world.status(payment) == "ACSP"
        clock = world.clock
    async with payment_world(tmp_path, clock=clock) as world:
        assert world.status(payment) == "ACSC"


async def test_a_coop_pays_by_its_sponsor_on_both_rails(tmp_path: Path) -> None:
    profile = rules(current=10_000_000, coop_current=5_000_000)
    async with payment_world(tmp_path, profile) as world:
        slow = (await world.pay(an_order("0970", "0002")))["payment_id"]
        quick = (await world.pay(an_order("0970", "0002", amount=LARGE, rail="lbtr"), "k2"))[
            "payment_id"
        ]
        await world.settle_cycle()

        assert world.status(slow) == world.status(quick) == "ACSC"
        assert world.clearing.money("0970", SPONSOR) == 5_000_000 - TOTAL - LARGE_TOTAL
        assert world.clearing.money("0002") == 10_000_000 + TOTAL + LARGE_TOTAL
        assert world.clearing.money("0987") == 10_000_000 - TOTAL - LARGE_TOTAL
        ledgers = [(one.ledger, one.debit, one.credit) for one in world.store.entries(slow)]
        assert ledgers == [
            ("sponsor", "0970", "0987"),
            ("sponsor", "0970", "0987"),
            ("deferred", "0987", "0002"),
            ("deferred", "0987", "0002"),
        ]
        assert (await world.clearing.service.audit()).clean


async def test_two_coops_of_one_sponsor_need_no_central_bank(tmp_path: Path) -> None:
    profile = rules(coop_current=5_000_000)
    async with payment_world(tmp_path, profile) as world:
        quick = (await world.pay(an_order("0970", "0971", amount=LARGE, rail="lbtr")))["payment_id"]
        slow = (await world.pay(an_order("0970", "0971"), "k2"))["payment_id"]
        assert (world.status(quick), world.status(slow)) == ("ACSC", "ACSP")
        await world.settle_cycle()

        assert world.status(slow) == "ACSC"
        assert world.clearing.money("0971", SPONSOR) == 5_000_000 + LARGE_TOTAL + TOTAL
        assert (await world.clearing.service.audit()).clean


async def test_a_coop_that_is_short_is_told_so_and_may_try_again(tmp_path: Path) -> None:
    async with payment_world(tmp_path, rules(coop_current=TOTAL - 1)) as world:
        for rail, amount in (("deferred", AMOUNT), ("lbtr", LARGE)):
            refused = await world.refused(an_order("0970", "0002", amount=amount, rail=rail))
            assert "0970" in refused.error
            assert "sponsor 0987" in refused.error
            assert refused.considered
        assert world.ledger.instructions() == ()
        assert await world.pay(an_order("0970", "0002", amount=AMOUNT - 100))


async def test_a_bank_past_the_cap_of_a_cycle_is_told_so(tmp_path: Path) -> None:
    profile = rules(deferred_cap={"PEN": TOTAL, "USD": 0})
    async with payment_world(tmp_path, profile) as world:
        await world.pay(an_order())
        refused = await world.refused(an_order(), "k2")
        assert refused.field == "amount"
        assert "exchange cycle" in refused.error


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"debtor_agent": "0404"}, "debtor_agent"),
        ({"currency": "EUR"}, "currency"),
        ({"amount": 0}, "amount"),
        ({"amount": 10**13}, "amount"),
        ({"rail": "tin"}, "rail"),
        ({"description": "x" * 141}, "description"),
        ({"debtor_cci": "1"}, "debtor_cci"),
        ({"creditor_cci": "x" * 20}, "creditor_cci"),
        ({"creditor_cci": "003" + "9" * 17}, "creditor_cci"),
        ({"debtor_cci": cci_of("0003")}, "debtor_cci"),
        ({"creditor_cci": cci_of("0404")}, "creditor_cci"),
        ({"creditor_cci": cci_of("0002", 2)}, "rail"),
        ({"rail": "lbtr"}, "amount"),
        ({"rail": "auto"}, "rail"),
    ],
)
async def test_what_cannot_be_paid_is_refused_and_says_where(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    async with payment_world(tmp_path) as world:
        refused = await world.refused(replace(an_order(), **changes))
        assert refused.field == field
        assert world.store.payments(PaymentFilter(), limit=1) == ([], None)


async def test_a_key_is_needed(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        for key in ("", "x" * 129):
            assert (await world.refused(an_order(), key)).field == "Idempotency-Key"


async def test_an_agent_that_is_signed_off_sends_nothing(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        world.network = NetworkState({})
        refused = await world.refused(an_order())
        assert (refused.field, refused.reason) == ("debtor_agent", "DNOR")


async def test_what_tin_would_carry_is_sent_as_av1_and_ct1(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        refused = await world.refused(an_order(rail="auto"))
        assert refused.hint == "send it as AV1 and CT1"
        assert refused.considered is not None
        assert [one.rail for one in refused.considered if one.taken] == ["tin"]


async def test_nothing_new_is_taken_while_stopping(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        first = await world.rails.payments.pay(an_order(), "k")
        world.rails.payments.stop()
        assert await world.rails.payments.pay(an_order(), "k") == first
        assert (await world.refused(an_order(), "k2")).fault is Fault.BUSY


async def test_lists_are_narrowed_and_paged(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        made, window = [], ""
        for number in range(3):
            answer = await world.pay(an_order(), f"k{number}")
            made.append(answer["payment_id"])
            window = answer["window"]
            await world.clock.advance(timedelta(seconds=1))
        page, cursor = world.store.payments(PaymentFilter(participant="0003"), limit=2)
        rest, end = world.store.payments(PaymentFilter(after=cursor or ""), limit=2)
        assert [one.record.payment_id for one in (*page, *rest)] == made[::-1]
        assert end is None
        assert len(world.store.payments(PaymentFilter(window=window), limit=9)[0]) == 3
        assert world.store.payments(PaymentFilter(window="other"), limit=9) == ([], None)
        assert world.store.payments(PaymentFilter(participant="0011"), limit=9) == ([], None)
        # A payment is no order of the TIN wire.
        assert world.store.transfer(made[0]) is None
        assert world.store.reserved() == []
