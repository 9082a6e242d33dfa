"""The notifier over a real ledger: what is told, to whom, how often, and after which crash."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheme.errors import StoreError
from scheme.ledger import Account, Advance, Oppose, SetAlert
from switch.core.cash import CashRecord, pack_cash
from switch.core.records import Tombstone, pack
from switch.notifier import follower as following
from switch.notifier.store import LedgerTail, NoticeBook
from tests.support.notice_world import (
    AT_MS,
    CREDITOR,
    DEBTOR,
    MINOR,
    OTHER,
    WINDOW,
    NoticeWorld,
    a_hold,
    a_posting,
    a_refusal,
    an_outright_refusal,
    topic_of,
)
from tests.support.payment_world import an_order, cci_of, payment_world
from tests.support.settlement_world import rules

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[NoticeWorld]:
    made = NoticeWorld(tmp_path)
    yield made
    made.close()


def kinds(told: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    return [(topic, notice["kind"]) for topic, notice in told]


async def test_a_posted_transfer_is_told_to_both_sides_once(world: NoticeWorld) -> None:
    await world.start(DEBTOR, CREDITOR)
    follower = world.follower()

    await world.write(a_hold("t-1"))
    assert await world.told(follower) == []
    assert follower.pending == 1
    await world.write(a_posting("t-1"))
    told = await world.told(follower)
    await world.write(Advance(transfer_id="t-1", state="CONFIRMED", at_ms=AT_MS + 1))
    again = await world.told(follower)

    assert kinds(told) == [(topic_of(DEBTOR), "debit"), (topic_of(CREDITOR), "credit")]
    assert again == []
    assert follower.pending == 0
    assert told[1][1] == {
        "v": 1,
        "id": "t-1:credit",
        "kind": "credit",
        "amount": "12.30",
        "currency": "PEN",
        "at": "2026-11-23T12:00:00.000-05:00",
        "with": {"institution": "BANK A", "name": "SOCIA UNO D."},
        "account": "003*************" + CREDITOR[-4:],
        "es": "Recibió S/ 12.30 de SOCIA UNO D. (BANK A).",
        "en": "You received S/ 12.30 from SOCIA UNO D. (BANK A).",
    }


async def test_a_transfer_that_is_first_seen_with_its_outcome_is_told_once(
    world: NoticeWorld,
) -> None:
    await world.start(CREDITOR)
    follower = world.follower()

    await world.write(a_hold("t-1"), a_posting("t-1", state="CONFIRMED"))

    assert kinds(await world.told(follower)) == [(topic_of(CREDITOR), "credit")]


@pytest.mark.parametrize("state", ["REJECTED", "EXPIRED"])
async def test_a_refused_transfer_is_told_to_who_would_have_paid(
    world: NoticeWorld, state: str
) -> None:
    await world.start(DEBTOR, CREDITOR)
    follower = world.follower()

    await world.write(a_hold("t-1"), a_refusal("t-1", state=state))
    await world.write(an_outright_refusal("t-2"))
    told = await world.told(follower)

    assert kinds(told) == [(topic_of(DEBTOR), "rejection")] * 2
    assert told[0][1]["reason"] == {
        "code": "AC06",
        "es": "cuenta bloqueada o inactiva",
        "en": "account blocked or inactive",
    }


async def test_nobody_else_is_told(world: NoticeWorld) -> None:
    await world.start(OTHER)
    follower = world.follower()

    await world.write(a_hold("t-1"))
    await world.post("t-2", creditor=None)
    tombstone = pack(Tombstone(instruction_id="t-3", creditor_agent="", created_ms=1))
    await world.write(an_outright_refusal("t-3", state="TOMBSTONE", record=tombstone))

    assert await world.told(follower) == []
    assert follower.pending == 0, "what is of nobody's is not kept"


async def test_enrolment_is_seen_without_a_restart(world: NoticeWorld) -> None:
    await world.start()
    follower = world.follower()
    await world.post("t-1")
    assert await world.told(follower) == []

    world.enrol(CREDITOR)
    await world.post("t-2")
    assert [notice["id"] for _, notice in await world.told(follower)] == ["t-2:credit"]
    (world.folder / "mqtt" / "members").unlink()
    await world.post("t-3")

    assert await world.told(follower) == []


async def test_history_is_not_told(world: NoticeWorld) -> None:
    await world.start(CREDITOR)
    await world.post("t-1")
    follower = world.follower()

    assert await world.told(follower) == []
    await world.post("t-2")
    assert [notice["id"] for _, notice in await world.told(follower)] == ["t-2:credit"]


async def test_what_was_decided_while_it_was_away_is_told_after_its_start(
    world: NoticeWorld,
) -> None:
    await world.start(CREDITOR)
    follower = world.follower()
    await world.write(a_hold("t-1"))
    await world.told(follower)

    await world.write(a_posting("t-1"))
    await world.post("t-2")

    told = await world.told(world.follower())
    assert sorted(notice["id"] for _, notice in told) == ["t-1:credit", "t-2:credit"]
    assert await world.told(world.follower()) == []


async def test_another_ledger_is_followed_from_its_end(world: NoticeWorld) -> None:
    await world.start(CREDITOR)
    await world.told(world.follower())
    await world.post("t-1")
    book = NoticeBook(world.folder / "notices.db")
    book.save({following.LEDGER: 1}, entered={}, left=(), low=(), restored=())
    book.close()

    assert await world.told(world.follower()) == []


async def test_nothing_is_noted_before_the_broker_has_it(world: NoticeWorld) -> None:
    class Died(BaseException):
        pass

    async def deliver(topic: str, payload: bytes) -> None:
        await world.broker.deliver(topic, payload)
        if len(world.broker.told) == 3:
            raise Died

    await world.start(CREDITOR)
    follower = world.follower()
    for number in range(5):
        await world.post(f"t-{number}")
    follower._deliver = deliver
    with pytest.raises(Died):
        await follower.round()

    await world.told(world.follower())

    assert set(world.broker.ids()) == {f"t-{number}:credit" for number in range(5)}
    bodies = {notice["id"]: notice for _, notice in world.broker.told}
    assert all(notice == bodies[notice["id"]] for _, notice in world.broker.told)


async def test_what_the_broker_did_not_acknowledge_is_published_again(world: NoticeWorld) -> None:
    await world.start(CREDITOR)
    follower = world.follower()
    await world.post("t-1")
    await world.post("t-2")
    world.broker.refusals = 3

    telling = asyncio.create_task(follower.round())
    while not telling.done():
        await world.clock.advance(timedelta(seconds=1))
    await telling

    assert sorted(world.broker.ids()) == ["t-1:credit", "t-2:credit"]


async def test_more_than_a_page_is_told_whole(
    world: NoticeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NOTICE_BATCH_MAX", 4)
    await world.start(CREDITOR)
    follower = world.follower()
    names = [f"t-{number:02}" for number in range(11)]
    await world.write(*(a_hold(name) for name in names))
    assert await world.told(follower) == []
    assert follower.pending == 11
    more = [f"u-{number:02}" for number in range(9)]
    await world.write(*(a_posting(name) for name in names))
    await world.write(*(a_hold(name) for name in more), *(a_posting(name) for name in more))

    told = await world.told(follower)

    ids = [notice["id"] for _, notice in told]
    assert sorted(ids) == [f"{name}:credit" for name in names + more]


async def test_the_oldest_outcomes_are_given_up_beyond_the_limit(
    world: NoticeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NOTICE_PENDING_MAX", 3)
    await world.start(CREDITOR)
    follower = world.follower()
    for name in ("t-1", "t-2", "t-3", "t-4"):
        await world.write(a_hold(name))
        await world.told(follower)
    assert follower.pending == 3

    for name in ("t-1", "t-2", "t-3", "t-4"):
        await world.write(a_posting(name))

    ids = [notice["id"] for _, notice in await world.told(world.follower())]
    assert ids == ["t-2:credit", "t-3:credit", "t-4:credit"]


async def test_a_record_that_cannot_be_read_stops_nothing(world: NoticeWorld) -> None:
    await world.start(CREDITOR)
    follower = world.follower()
    await world.write(a_hold("t-1", b"\xc1"), a_posting("t-1", b"\xc1"))
    await world.write(a_hold("t-2", b"\xc1"))
    await world.post("t-3")

    assert [notice["id"] for _, notice in await world.told(follower)] == ["t-3:credit"]


async def test_a_return_credits_who_had_paid(world: NoticeWorld) -> None:
    await world.start(DEBTOR, CREDITOR)
    follower = world.follower()
    await world.post("t-1")
    await world.told(follower)

    windows = {"national": WINDOW}
    back = Oppose(transfer_id="r-1", opposite_of="t-1", minor=30, windows=windows, at_ms=AT_MS)
    await world.write(back)
    told = await world.told(follower)

    assert kinds(told) == [(topic_of(DEBTOR), "credit"), (topic_of(CREDITOR), "debit")]
    assert told[0][1]["id"] == "r-1:credit"
    assert told[0][1]["amount"] == "0.30"
    assert await world.told(world.follower()) == []


async def test_cash_is_told_to_the_account_that_paid_it(world: NoticeWorld) -> None:
    await world.start(DEBTOR)
    follower = world.follower()
    record = a_withdrawal(DEBTOR)

    await world.write(a_hold("W1", record, state="AUTHORISING"))
    assert await world.told(follower) == []
    await world.write(a_posting("W1", record, state="APPROVED"))
    await world.write(a_hold("W2", a_withdrawal("970001******0101"), state="AUTHORISING"))
    await world.write(a_refusal("W2", state="DECLINED"))
    told = await world.told(follower)

    assert kinds(told) == [(topic_of(DEBTOR), "debit")]
    assert told[0][1]["with"] == {"institution": "BANK B"}
    assert told[0][1]["es"] == "Retiró S/ 12.30 en BANK B."


def a_withdrawal(account: str) -> bytes:
    return pack_cash(
        CashRecord(
            transfer_id="W1",
            key="k",
            content="c",
            acquirer="0003",
            issuer="0002",
            account=account,
            phone="",
            machine="ATM1",
            amount=MINOR,
            currency="PEN",
            created_ms=AT_MS,
        )
    )


async def test_a_position_that_runs_low_and_recovers_is_told_to_its_institution(
    world: NoticeWorld,
) -> None:
    await world.start()
    follower = world.follower()
    account = Account(ledger="national", currency="PEN", owner="0002")

    await world.write(SetAlert(account=account, alerted=True))
    low = await world.told(follower)
    await world.write(an_outright_refusal("t-1"))
    assert await world.told(follower) == []
    await world.write(SetAlert(account=account, alerted=False))
    restored = await world.told(world.follower())

    topic = "cq1/i/0002/n"
    assert kinds(low + restored) == [(topic, "low_prefund"), (topic, "prefund_restored")]
    assert low[0][1]["balance"] == "100000.00"
    assert low[0][1]["id"] != restored[0][1]["id"]


async def test_payments_and_windows_are_told_when_they_settle(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as payments:
        world = NoticeWorld(tmp_path, payments.ledger)
        world.enrol(cci_of("0002"), cci_of("0003", 2))
        follower = world.follower()
        payment = (await payments.pay(an_order()))["payment_id"]
        await payments.ledger.drain()
        assert await world.told(follower) == []
        window = await payments.settle_cycle()
        await payments.ledger.drain()

        told = await world.told(follower)

        members = [notice for topic, notice in told if topic.startswith("cq1/m/")]
        assert sorted(notice["id"] for notice in members) == [
            f"{payment}:credit",
            f"{payment}:debit",
        ]
        closed = {
            topic: notice
            for topic, notice in told
            if notice["kind"] == "window_closed" and notice["window"] == window
        }
        assert closed["cq1/i/0002/n"]["net"] == "-10.40"
        assert closed["cq1/i/0003/n"]["net"] == "10.40"
        assert closed["cq1/i/0003/n"]["cycle"] == "deferred"
        world.close()


async def test_a_payment_whose_cycle_failed_is_a_rejection(tmp_path: Path) -> None:
    profile = rules(current=500, on_failure={"deferred": ("unwind",)})
    async with payment_world(tmp_path, profile) as payments:
        world = NoticeWorld(tmp_path, payments.ledger)
        world.enrol(cci_of("0002"))
        follower = world.follower()
        await payments.pay(an_order())
        await payments.settle_cycle()
        await payments.ledger.drain()

        told = await world.told(follower)

        assert [n["kind"] for topic, n in told if "/m/" in topic] == ["rejection"]
        world.close()


async def test_many_that_wait_for_their_cycle_are_looked_at_now_and_then(
    world: NoticeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    decided_among = LedgerTail.decided_among

    def counted(self: LedgerTail, numbers: list[int]) -> Any:
        looked.append(len(numbers))
        return decided_among(self, numbers)

    monkeypatch.setattr(following, "NOTICE_BATCH_MAX", 2)
    monkeypatch.setattr(LedgerTail, "decided_among", counted)
    await world.start(CREDITOR)
    follower = world.follower()
    names = ("t-1", "t-2", "t-3")
    await world.write(*(a_hold(name, state="ACSP") for name in names))
    await world.told(follower)
    await world.told(follower)
    looked.clear()
    await world.write(*(a_posting(name) for name in names))

    assert await world.told(follower) == []
    assert looked == []
    await world.clock.advance(following.WAITING_LOOK)

    assert len(await world.told(follower)) == 3


def test_a_ledger_that_is_not_there_yet_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        LedgerTail(tmp_path / "ledger.db")
    (tmp_path / "ledger.db").touch()
    tail = LedgerTail(tmp_path / "ledger.db")
    with pytest.raises(StoreError):
        tail.made_ms()
    tail.close()


async def test_reading_holds_no_checkpoint_back(world: NoticeWorld) -> None:
    await world.start(CREDITOR)
    follower = world.follower()
    await world.post("t-1")
    await world.told(follower)

    with closing(sqlite3.connect(world.path)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
