"""What every ledger promises about payments in the ledgers of money."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clearing.ledger_sqlite import SqliteLedger
from clearing.ports import LedgerStore
from scheme.ledger import (
    APPLIED,
    LBTR,
    NATIONAL,
    Command,
    Duplicate,
    Result,
    Short,
)
from tests.support.ledger_fakes import (
    WINDOW,
    MemoryLedger,
    a_close_window,
    a_drop,
    a_post,
    a_reserve,
    a_settle,
    an_account,
    an_advance_window,
    an_entry,
    an_instruct,
    an_open_window,
    an_opening,
    window_of,
)

NEXT = window_of(NATIONAL, number=2)


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LedgerStore]:
    store: SqliteLedger | MemoryLedger
    if request.param == "memory":
        store = MemoryLedger()
    else:
        store = SqliteLedger.open(str(tmp_path / "ledger.db"), on_failure=_impossible, now_ms=0)
    for owner, minor in (("0970", 100), ("0002", 100), ("0003", 0), ("settlement", 0)):
        await store.apply((an_opening(owner, minor, ledger=LBTR),))
    yield store
    await store.drain()
    audit = await store.audit()
    assert audit.clean, audit.differences
    store.close()


def _impossible(error: BaseException) -> None:
    raise AssertionError from error


async def one(ledger: LedgerStore, command: Command) -> Result:
    (result,) = await ledger.apply((command,))
    return result


def balance(ledger: LedgerStore, owner: str, book: str = LBTR) -> int:
    position = ledger.position(an_account(owner, book))
    assert position is not None
    return position.balance_minor


def queue(ledger: LedgerStore) -> list[str]:
    return [one.instruction_id for one in ledger.instructions()]


async def test_a_queued_payment_moves_nothing_until_it_settles(ledger: LedgerStore) -> None:
    await one(ledger, an_instruct("i-1", "0970", "settlement", 60))
    assert (queue(ledger), balance(ledger, "0970")) == (["i-1"], 100)

    assert await one(ledger, a_settle("i-1")) == APPLIED

    assert (queue(ledger), balance(ledger, "0970"), balance(ledger, "settlement")) == ([], 40, 60)
    settled = ledger.instruction("i-1")
    assert settled is not None
    assert (settled.state, settled.settled_ms, settled.sequence) == ("SETTLED", 9, 1)


async def test_the_queue_keeps_the_order_of_arrival(ledger: LedgerStore) -> None:
    names = ["i-3", "i-1", "i-2"]
    await ledger.apply(tuple(an_instruct(name, "0970", "0002", 1) for name in names))
    await ledger.drain()

    assert queue(ledger) == names
    assert [one.sequence for one in ledger.instructions_of(WINDOW)] == [1, 2, 3]


async def test_a_repeat_says_how_it_stands_and_settles_once(ledger: LedgerStore) -> None:
    instruct = an_instruct("i-1", "0970", "0002", 60)
    await one(ledger, instruct)
    assert await one(ledger, instruct) == Duplicate("i-1", b"QUEUED")

    await ledger.apply((a_settle("i-1"), a_settle("i-1", "i-1")))
    await ledger.drain()
    assert await one(ledger, a_settle("i-1")) == APPLIED
    assert await one(ledger, instruct) == Duplicate("i-1", b"SETTLED")
    assert balance(ledger, "0970") == 40


async def test_payments_that_offset_each_other_need_no_money(ledger: LedgerStore) -> None:
    await ledger.apply(
        (
            an_instruct("i-1", "0970", "0002", 500),
            an_instruct("i-2", "0002", "0003", 500),
            an_instruct("i-3", "0003", "0970", 450),
        )
    )

    assert await one(ledger, a_settle("i-1", "i-2")) == Short(an_account("0970", LBTR), 100)
    assert queue(ledger) == ["i-1", "i-2", "i-3"]
    assert await one(ledger, a_settle("i-1", "i-2", "i-3")) == APPLIED
    assert [balance(ledger, owner) for owner in ("0970", "0002", "0003")] == [50, 100, 50]


async def test_a_dropped_payment_never_settles(ledger: LedgerStore) -> None:
    await ledger.apply(
        (an_instruct("i-1", "0970", "0002", 1), an_instruct("i-2", "0970", "0002", 1))
    )
    await one(ledger, a_drop("i-1", reason="the window failed"))

    assert await one(ledger, a_settle("i-1", "i-2")) == APPLIED

    dropped = ledger.instruction("i-1")
    assert dropped is not None
    assert (dropped.state, dropped.reason) == ("DROPPED", "the window failed")
    assert balance(ledger, "0970") == 99


async def test_what_is_linked_is_posted_with_it(ledger: LedgerStore) -> None:
    await ledger.apply((an_opening("0970", 0), an_open_window()))
    top_up = an_entry("lbtr", "0970", 60, kind="settlement")
    await one(ledger, an_instruct("i-1", "0970", "settlement", 60, linked=(top_up,)))
    assert balance(ledger, "0970", NATIONAL) == 0

    await one(ledger, a_settle("i-1"))

    assert balance(ledger, "0970", NATIONAL) == 60
    (found,) = ledger.tallies(WINDOW)
    assert (found.funded, found.funded_minor) == (1, 60)
    assert await ledger.recount_window(WINDOW) == ledger.tallies(WINDOW)


async def test_what_is_linked_to_a_closed_window_goes_into_the_one_open_now(
    ledger: LedgerStore,
) -> None:
    await ledger.apply((an_opening("0970", 0), an_open_window()))
    top_up = an_entry("lbtr", "0970", 60, kind="settlement")
    await one(ledger, an_instruct("i-1", "0970", "settlement", 60, linked=(top_up,)))
    await ledger.apply((an_open_window(NEXT), an_advance_window("CLOSING"), a_close_window()))

    assert await one(ledger, a_settle("i-1")) == APPLIED

    assert ledger.tallies(WINDOW) == ()
    (found,) = ledger.tallies(NEXT)
    assert found.funded_minor == 60


async def test_a_prefund_backs_its_position_throughout_a_settlement(ledger: LedgerStore) -> None:
    await ledger.apply(
        (
            an_opening("0970", 10, cap=10),
            an_opening("0002", 10),
            an_opening("0970:prefund", 10, ledger=LBTR),
            an_opening("0002:prefund", 10, ledger=LBTR),
            an_open_window(),
            an_open_window(NEXT),
        )
    )

    async def clean() -> bool:
        await ledger.drain()
        return (await ledger.audit()).clean

    await ledger.apply((a_reserve("t-1", an_entry("0970", "0002", 15)), a_post("t-1")))
    assert await clean()
    await ledger.apply((an_advance_window("CLOSING"), a_close_window()))
    await one(ledger, an_advance_window("SETTLING"))
    top_up = an_entry("lbtr", "0970", 5, kind="settlement", window=NEXT)
    for instruct in (
        an_instruct("i-1", "0970:prefund", "settlement", 10),
        an_instruct("i-2", "0970", "settlement", 5, kind="top_up", linked=(top_up,)),
        an_instruct("i-3", "settlement", "0002:prefund", 15, kind="pay_out"),
    ):
        await ledger.apply((instruct, a_settle(instruct.instruction_id)))
        assert await clean()
    await one(ledger, an_advance_window("SETTLED"))
    assert await clean()

    await one(ledger, an_instruct("x", "0002:prefund", "settlement", 1, subject="elsewhere"))
    await one(ledger, a_settle("x"))
    await ledger.drain()
    differences = (await ledger.audit()).differences
    assert [(one.what, one.subject) for one in differences] == [("prefund", "national/PEN/0002")]
    await ledger.apply(
        (an_instruct("y", "settlement", "0002:prefund", 1, subject="elsewhere"), a_settle("y"))
    )


@pytest.mark.parametrize(
    "command",
    [
        an_instruct("i-1", "0970", "0002", 0),
        an_instruct("i-1", "0970", "0002", 1, ledger=NATIONAL),
        an_instruct("i-1", "0970", "0777", 1),
        an_instruct("i-1", "0970", "0002", 10**15 + 1),
        an_instruct(
            "i-1", "0970", "0002", 1, linked=(an_entry("lbtr", "0777", 1, kind="settlement"),)
        ),
    ],
)
async def test_a_payment_that_cannot_be_is_our_bug(ledger: LedgerStore, command: Command) -> None:
    with pytest.raises(AssertionError):
        await ledger.apply((command,))

    assert queue(ledger) == []
