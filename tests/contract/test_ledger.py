"""What every ledger promises, whatever it stands on (docs/clearing.md)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clearing.ledger_sqlite import SqliteLedger
from clearing.ports import LedgerStore
from scheme.ledger import (
    APPLIED,
    DALE,
    Account,
    Advance,
    Command,
    Duplicate,
    Result,
    Short,
)
from tests.support.ledger_fakes import (
    MemoryLedger,
    a_move,
    a_post,
    a_refuse,
    a_release,
    a_reserve,
    an_account,
    an_entry,
    an_opening,
    an_oppose,
)

COOP, BANK, LBTR = an_account("0970"), an_account("0002"), an_account("lbtr")


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LedgerStore]:
    store: SqliteLedger | MemoryLedger
    if request.param == "memory":
        store = MemoryLedger()
    else:
        store = SqliteLedger.open(str(tmp_path / "ledger.db"), on_failure=_impossible, now_ms=0)
    await store.apply((an_opening("0970", 1_000), an_opening("0002", 1_000)))
    yield store
    await store.drain()
    store.close()


def _impossible(error: BaseException) -> None:
    raise AssertionError from error


async def one(ledger: LedgerStore, command: Command) -> Result:
    (result,) = await ledger.apply((command,))
    return result


def figures(ledger: LedgerStore, account: Account) -> tuple[int, int]:
    position = ledger.position(account)
    assert position is not None
    return position.balance_minor, position.reserved_minor


async def test_a_reservation_holds_and_a_posting_moves(ledger: LedgerStore) -> None:
    assert await one(ledger, a_reserve("t-1")) == APPLIED
    assert figures(ledger, COOP) == (1_000, 100)

    assert await one(ledger, a_post("t-1")) == APPLIED

    assert figures(ledger, COOP) == (900, 0)
    assert figures(ledger, BANK) == (1_100, 0)
    assert (await ledger.audit()).clean


async def test_a_release_gives_the_hold_back(ledger: LedgerStore) -> None:
    await ledger.apply((a_reserve("t-1"), a_release("t-1")))

    assert figures(ledger, COOP) == (1_000, 0)
    assert (await ledger.audit()).clean


async def test_a_refused_reservation_names_the_position_that_was_short(ledger: LedgerStore) -> None:
    await one(ledger, a_reserve("t-1", an_entry("0970", "0002", 1_000)))

    result = await one(ledger, a_reserve("t-2", an_entry("0970", "0002", 1)))

    assert result == Short(COOP, 0)
    assert figures(ledger, COOP) == (1_000, 1_000)


async def test_principal_and_fee_are_held_together(ledger: LedgerStore) -> None:
    both = (
        an_entry("0970", "0002", 990),
        an_entry("0970", "0002", 20, kind="interbank_fee"),
    )

    assert await one(ledger, a_reserve("t-1", *both)) == Short(COOP, 1_000)
    assert figures(ledger, COOP) == (1_000, 0)


async def test_the_cap_covers_what_the_balance_does_not(ledger: LedgerStore) -> None:
    await one(ledger, an_opening("0971", 10, cap=5))

    assert await one(ledger, a_reserve("t-1", an_entry("0971", "0002", 16))) == Short(
        an_account("0971"), 15
    )
    assert await one(ledger, a_reserve("t-2", an_entry("0971", "0002", 15))) == APPLIED


async def test_both_legs_of_a_transfer_over_two_ledgers_or_none(ledger: LedgerStore) -> None:
    await ledger.apply(
        (an_opening("0970", 500, ledger=DALE), an_opening("0987", 0, ledger=DALE)),
    )
    await one(ledger, an_opening("0987", 50))
    legs = (
        an_entry("0970", "0987", 100, ledger=DALE),
        an_entry("0987", "0002", 100),
    )

    assert await one(ledger, a_reserve("t-1", *legs)) == Short(an_account("0987"), 50)
    assert figures(ledger, an_account("0970", DALE)) == (500, 0), "the first leg holds nothing"

    await one(ledger, a_move("m-1", "lbtr", "0987", 50))
    await ledger.apply((a_reserve("t-2", *legs), a_post("t-2")))
    assert figures(ledger, an_account("0970", DALE)) == (400, 0)
    assert figures(ledger, an_account("0987", DALE)) == (100, 0)
    assert figures(ledger, an_account("0987")) == (0, 0)
    assert figures(ledger, BANK) == (1_100, 0)
    assert (await ledger.audit()).clean


async def test_a_key_has_one_outcome_for_ever(ledger: LedgerStore) -> None:
    await one(ledger, a_refuse("t-1", key="k"))
    await ledger.drain()

    again = await one(ledger, a_reserve("t-2", key="k"))

    assert again == Duplicate("t-1", b"refused")
    assert await one(ledger, a_refuse("t-3", key="k")) == Duplicate("t-1", b"refused")
    assert figures(ledger, COOP) == (1_000, 0)


async def test_a_repeat_shows_how_the_transfer_stands(ledger: LedgerStore) -> None:
    await one(ledger, a_reserve("t-1", key="k"))
    repeat = a_reserve("t-2", key="k")

    assert await one(ledger, repeat) == Duplicate("t-1", b"reserved")
    await one(ledger, a_post("t-1"))
    assert await one(ledger, repeat) == Duplicate("t-1", b"posted")
    assert figures(ledger, COOP) == (900, 0)


async def test_an_id_that_is_taken_is_a_duplicate_under_any_key(ledger: LedgerStore) -> None:
    await one(ledger, a_reserve("t-1"))
    assert await one(ledger, a_reserve("t-1", key="other")) == Duplicate("t-1", b"reserved")

    await one(ledger, a_release("t-1"))
    await ledger.drain()
    assert await one(ledger, a_reserve("t-1", key="third")) == Duplicate("t-1", b"rejected")


async def test_a_batch_is_decided_in_order(ledger: LedgerStore) -> None:
    batch = (
        a_reserve("t-1", an_entry("0970", "0002", 1_000)),
        a_reserve("t-2", an_entry("0970", "0002", 1)),
        a_release("t-1"),
        a_reserve("t-3", an_entry("0970", "0002", 1)),
    )

    assert await ledger.apply(batch) == [APPLIED, Short(COOP, 0), APPLIED, APPLIED]


async def test_decisions_stand_before_anything_is_awaited(ledger: LedgerStore) -> None:
    first = asyncio.ensure_future(ledger.apply((a_reserve("t-1", write_ahead=True),)))
    second = asyncio.ensure_future(ledger.apply((a_reserve("t-2", key="key-t-1"),)))
    await asyncio.sleep(0)

    assert figures(ledger, COOP) == (1_000, 100)
    assert await second == [Duplicate("t-1", b"reserved")]
    assert await first == [APPLIED]


@pytest.mark.parametrize("twice", [a_post("t-1"), a_release("t-1")])
async def test_an_outcome_is_never_changed(ledger: LedgerStore, twice: Command) -> None:
    await ledger.apply((a_reserve("t-1"), a_post("t-1")))

    with pytest.raises(AssertionError):
        await ledger.apply((twice,))

    assert figures(ledger, COOP) == (900, 0)
    assert (await ledger.audit()).clean


@pytest.mark.parametrize(
    "command",
    [
        a_post("unknown"),
        a_release("unknown"),
        an_oppose("o-1", "unknown", 1),
        a_reserve("t-1", an_entry("0970", "0777", 1)),
        a_reserve("t-1", an_entry("0970", "0002", 0)),
        a_move("m-1", "0970", "0002", 5),
        an_opening("lbtr", 5),
    ],
)
async def test_a_command_that_breaks_a_rule_is_our_bug(
    ledger: LedgerStore, command: Command
) -> None:
    with pytest.raises((AssertionError, KeyError)):
        await ledger.apply((command,))

    assert figures(ledger, COOP) == (1_000, 0)


async def test_only_a_decided_transfer_moves_on(ledger: LedgerStore) -> None:
    await one(ledger, a_reserve("t-1"))
    confirmed = Advance(transfer_id="t-1", state="CONFIRMED", at_ms=3)

    with pytest.raises(AssertionError):
        await ledger.apply((confirmed,))

    await one(ledger, a_post("t-1"))
    assert await one(ledger, confirmed) == APPLIED


async def test_opposite_postings_take_back_at_most_what_is_left(ledger: LedgerStore) -> None:
    entries = (an_entry("0970", "0002", 100), an_entry("0970", "0002", 8, kind="interbank_fee"))
    await ledger.apply((a_reserve("t-1", *entries), a_post("t-1")))

    assert await ledger.apply((an_oppose("o-1", "t-1", 30), an_oppose("o-2", "t-1", 71))) == [
        APPLIED,
        Short(BANK, 70),
    ]
    await ledger.drain()
    assert await one(ledger, an_oppose("o-3", "t-1", 70)) == APPLIED
    assert await one(ledger, an_oppose("o-4", "t-1", 1)) == Short(BANK, 0)

    assert figures(ledger, COOP) == (992, 0), "the fee stays where it was earned"
    assert (await ledger.audit()).clean


async def test_each_transfer_has_its_own_rest_to_be_taken_back(ledger: LedgerStore) -> None:
    for name in ("t-1", "t-2"):
        await ledger.apply((a_reserve(name), a_post(name)))
    batch = (
        an_oppose("o-1", "t-1", 100),
        an_oppose("o-2", "t-2", 60),
        an_oppose("o-3", "t-2", 41),
    )

    assert await ledger.apply(batch) == [APPLIED, APPLIED, Short(BANK, 40)]
    assert figures(ledger, COOP) == (960, 0)


async def test_a_repeated_opposite_posting_is_a_duplicate(ledger: LedgerStore) -> None:
    await ledger.apply((a_reserve("t-1"), a_post("t-1"), an_oppose("o-1", "t-1", 30)))

    assert await one(ledger, an_oppose("o-1", "t-1", 30)) == Duplicate("o-1", b"t-1 30")
    assert figures(ledger, COOP) == (930, 0)


async def test_a_released_transfer_cannot_be_opposed(ledger: LedgerStore) -> None:
    await ledger.apply((a_reserve("t-1"), a_release("t-1")))

    with pytest.raises(AssertionError):
        await ledger.apply((an_oppose("o-1", "t-1", 1),))


async def test_funding_and_drawdown_count_the_contra_account(ledger: LedgerStore) -> None:
    await ledger.apply((a_move("m-1", "lbtr", "0970", 50), a_move("m-2", "0002", "lbtr", 20)))

    assert figures(ledger, COOP) == (1_050, 0)
    assert figures(ledger, BANK) == (980, 0)
    assert figures(ledger, LBTR) == (-2_030, 0)
    assert (await ledger.audit()).clean


async def test_a_drawdown_takes_neither_what_is_held_nor_the_cap(ledger: LedgerStore) -> None:
    await one(ledger, an_opening("0971", 100, cap=1_000))
    await one(ledger, a_reserve("t-1", an_entry("0971", "0002", 40)))

    assert await one(ledger, a_move("m-1", "0971", "lbtr", 61)) == Short(an_account("0971"), 60)
    assert await one(ledger, a_move("m-2", "0971", "lbtr", 60)) == APPLIED


@pytest.mark.parametrize("digest", ["digest", "other"])
async def test_a_repeated_movement_shows_the_first(ledger: LedgerStore, digest: str) -> None:
    await one(ledger, a_move("m-1", "lbtr", "0970", 50))
    repeat = a_move("m-1", "lbtr", "0970", 50, digest=digest)

    assert await one(ledger, repeat) == Duplicate("m-1", b"digest")
    await ledger.drain()
    assert await one(ledger, repeat) == Duplicate("m-1", b"digest")
    assert figures(ledger, COOP) == (1_050, 0)


async def test_a_movement_repeated_in_one_batch_moves_once(ledger: LedgerStore) -> None:
    move = a_move("m-1", "lbtr", "0970", 50)

    assert await ledger.apply((move, move)) == [APPLIED, Duplicate("m-1", b"digest")]
    assert figures(ledger, COOP) == (1_050, 0)


async def test_opening_a_position_twice_changes_nothing(ledger: LedgerStore) -> None:
    await one(ledger, a_reserve("t-1"))

    assert await one(ledger, an_opening("0970", 7, low=3)) == APPLIED

    assert figures(ledger, COOP) == (1_000, 100)
