"""What machines take back: before there was an outcome, after it, in full, in part, and again."""

import asyncio
from collections import deque
from pathlib import Path

import pytest

from scheme.errors import MalformedMessage
from scheme.ledger import DALE, FUNDING_ACCOUNT, Entry, Move, Refuse
from scheme.wire.iso8583_codec import codec
from switch.core.cash import opposition_id
from switch.core.iso8583_requests import original_key_of
from switch.core.records import Tombstone, pack
from tests.support.cash_world import AMOUNT, PREFUND, CashWorld, Core, cash_world
from tests.support.switch_world import account, fixed_window


@pytest.mark.parametrize("dispensed", [None, 0, 5_000, AMOUNT - 1_000])
async def test_cash_not_given_out_goes_back_and_the_issuer_is_told(
    tmp_path: Path, dispensed: int | None
) -> None:
    async with cash_world(tmp_path) as one:
        identity = (await one.withdraw()).subject
        answer = await one.reverse(one.reversal(dispensed=dispensed))
        await one.settle()

        kept = dispensed or 0
        assert (answer.response_code, answer.subject) == ("00", identity)
        assert one.paid(identity) == one.core.kept(identity) == kept
        assert one.balance("0991") == PREFUND + kept
        assert one.balance("0975", DALE) == -kept
        assert (one.state(identity), one.owed()) == ("APPROVED", [])
        reversal = codec("ascii-1987").decode(one.core.told[0][0].body)
        assert reversal.get("95", "0" * 42)[:12] == f"{kept:012}"
        await one.audited()


async def test_the_same_reversal_again_posts_nothing_more(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        identity = (await one.withdraw()).subject
        answers = await asyncio.gather(
            *[one.reverse(one.reversal(dispensed=5_000)) for _ in range(4)]
        )
        answers.append(await one.reverse(one.reversal(dispensed=5_000, t="0421")))
        await one.settle()

        assert {answer.response_code for answer in answers} == {"00"}
        assert one.paid(identity) == 5_000
        assert len(one.core.told) == 1


@pytest.mark.parametrize("first", [0, 5_000, AMOUNT])
async def test_of_two_different_reversals_the_first_stands(tmp_path: Path, first: int) -> None:
    async with cash_world(tmp_path) as one:
        identity = (await one.withdraw()).subject
        await one.reverse(one.reversal(dispensed=first))
        answer = await one.reverse(one.reversal(dispensed=7_000))

        assert answer.response_code == "00"
        assert one.paid(identity) == first


async def test_more_dispensed_than_withdrawn_is_refused_naming_the_element(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        identity = (await one.withdraw()).subject
        answer = await one.reverse(one.reversal(dispensed=AMOUNT + 1))
        spoilt = await one.reverse(one.reversal(de95="what"))

        assert (answer.response_code, answer.rule[:4]) == ("13", "DE95")
        assert (spoilt.response_code, spoilt.rule[:4]) == ("30", "DE95")
        assert one.paid(identity) == AMOUNT
        assert (await one.reverse()).response_code == "00"


async def test_one_that_comes_before_its_withdrawal_is_remembered(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        first, again = await asyncio.gather(one.reverse(), one.reverse())
        late = await one.withdraw()

        assert first.response_code == again.response_code == "25"
        assert (late.response_code, late.reason) == ("91", "DS24")
        assert one.core.asked == []
        assert (await one.reverse()).response_code == "25"
        await one.audited()
    async with cash_world(tmp_path) as one:
        assert (await one.withdraw()).response_code == "91"
        assert (await one.reverse()).response_code == "25"


async def test_a_withdrawal_meets_its_burial(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        one.disk.shut()
        burying = asyncio.create_task(one.reverse())
        await asyncio.sleep(0)
        coming = asyncio.create_task(one.withdraw())
        await one.settle()
        one.disk.release()

        assert (await burying).response_code == "25"
        assert (await coming).response_code == "91"
        assert one.core.asked == []


@pytest.mark.parametrize("outcome", ["00", "51", "silent"])
async def test_one_still_open_is_undone_once(tmp_path: Path, outcome: str) -> None:
    core = Core()
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    core.next.append(gate)
    async with cash_world(tmp_path, core) as one:
        asking = asyncio.create_task(one.withdraw())
        await one.settle()
        answers = await asyncio.gather(one.reverse(), one.reverse())
        gate.cancel() if gate.done() else gate.set_result(outcome)
        answer = await asking
        await one.settle()

        assert {each.response_code for each in answers} == {"00"}
        assert (answer.response_code, answer.reason) == ("91", "DS24")
        assert one.state(answer.subject) == "CANCELLED"
        assert one.paid(answer.subject) == one.core.kept(answer.subject) == one.held() == 0
        assert len(core.told) == 1
        await one.audited()


async def test_one_undone_before_its_issuer_was_asked_owes_nothing(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        one.disk.shut()
        asking = asyncio.create_task(one.withdraw())
        await one.settle()
        undoing = asyncio.create_task(one.reverse())
        await one.settle()
        one.disk.release()

        assert (await undoing).response_code == "00"
        assert one.state((await asking).subject) == "CANCELLED"
        assert (one.core.asked, one.core.told, one.held()) == ([], [], 0)


async def test_what_was_refused_needs_no_undoing(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        one.core.next.append("51")
        await one.withdraw()

        assert (await one.reverse()).response_code == "00"
        assert one.core.told == []


async def test_an_issuer_that_keeps_the_money_leaves_it_disputed_and_posted(
    tmp_path: Path,
) -> None:
    async with cash_world(tmp_path, Core(undo="12")) as one:
        identity = (await one.withdraw()).subject
        await one.reverse()
        await one.settle()

        assert one.state(identity) == "DISPUTED_POSTED"
        assert [row.transfer_id for row in one.store.in_states(("DISPUTED_POSTED",))] == [identity]
        assert (await one.reverse()).response_code == "00"
        await one.audited()


async def test_an_issuer_that_forgot_what_it_had_approved_leaves_it_disputed(
    tmp_path: Path,
) -> None:
    async with cash_world(tmp_path, Core(undo="25")) as one:
        identity = (await one.withdraw()).subject
        await one.reverse()
        await one.settle()

        assert one.state(identity) == "DISPUTED_POSTED"
        assert one.paid(identity) == 0
        assert one.core.kept(identity) == AMOUNT


async def test_an_issuer_that_never_approved_may_never_have_seen_it(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["lost"]), undo="25")) as one:
        identity = (await one.withdraw()).subject
        await one.settle()

        assert one.state(identity) == "CANCELLED"


@pytest.mark.parametrize(
    ("changes", "element"),
    [({"4": "000000000100"}, "DE4"), ({"49": "840"}, "DE49")],
)
@pytest.mark.parametrize("act", ["00", "51", "silent"])
async def test_one_of_other_money_than_the_original_changes_nothing(
    tmp_path: Path, changes: dict[str, str], element: str, act: str
) -> None:
    async with cash_world(tmp_path, Core(next=deque([act]))) as one:
        told = await one.withdraw()
        await one.settle()
        before = one.state(told.subject), one.paid(told.subject), len(one.core.told)
        answer = await one.reverse(one.reversal() | changes)
        await one.settle()

        assert (answer.response_code, answer.reason) == ("30", "FF02")
        assert answer.rule.startswith(f"{element}: ")
        assert (one.state(told.subject), one.paid(told.subject), len(one.core.told)) == before
        assert (await one.reverse()).response_code == "00"


async def test_one_of_other_money_does_not_undo_what_is_open(tmp_path: Path) -> None:
    core = Core()
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    core.next.append(gate)
    async with cash_world(tmp_path, core) as one:
        asking = asyncio.create_task(one.withdraw())
        await one.settle()
        answer = await one.reverse(one.reversal(de4="000000000100"))
        gate.set_result("00")

        assert (answer.response_code, answer.rule[:4]) == ("30", "DE4:")
        assert (await asking).response_code == "00"


async def test_what_another_knows_is_not_buried_as_cash(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        one.cash._is_elsewhere = lambda key: key.startswith("iso:0991:")
        assert await one.cash.reverse(one.acquirer, one.reversal()) is None
        assert list(one.store.cash_rows("", limit=9)) == []


async def test_a_key_that_was_taken_meanwhile_is_not_cashs(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        fields = one.reversal()
        key = original_key_of(fields, one.acquirer, one.clock.now())
        one.disk.shut()
        # As the router remembers one, and not on disk yet when the reversal comes.
        grave = Tombstone(instruction_id=key, creditor_agent="", created_ms=1)
        taken = asyncio.create_task(one.ledger.apply((_burial(grave),)))
        await asyncio.sleep(0)
        reversing = asyncio.create_task(one.cash.reverse(one.acquirer, fields))
        await one.settle()
        coming = asyncio.create_task(one.withdraw())
        await one.settle()
        one.disk.release()
        await taken

        assert await reversing is None
        assert ((await coming).response_code, (await coming).reason) == ("91", "DS24")
        assert await one.cash.reverse(one.acquirer, fields) is None
        assert (await one.withdraw()).reason == "DS24"
        assert one.core.asked == []


async def test_an_order_refused_under_the_key_makes_it_another_request(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        key = original_key_of(one.reversal(), one.acquirer, one.clock.now())
        refused = Tombstone(instruction_id=key, creditor_agent="", created_ms=1, reason="AC01")
        await one.ledger.apply((_burial(refused),))

        assert (await one.withdraw()).response_code == "94"


def _burial(grave: Tombstone) -> Refuse:
    return Refuse(
        transfer_id=grave.instruction_id,
        key=grave.instruction_id,
        state="TOMBSTONE",
        record=pack(grave),
        reason="DS24",
        debtor_agent="0991",
        creditor_agent="",
        currency="",
        minor=0,
        created_ms=1,
    )


async def test_a_position_that_cannot_give_back_says_so_until_it_can(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        for stan in range(1, 6):
            await one.withdraw(one.request(stan, de4="000000100000"))
        await _spend(one, PREFUND + 450_000)
        short = await one.reverse(one.reversal(1, de4="000000100000"))

        assert (short.response_code, short.rule[:4]) == ("91", "DE4:")
        await _spend(one, -100_000)
        assert (await one.reverse(one.reversal(1, de4="000000100000"))).response_code == "00"
        await one.ledger.drain()


async def _spend(one: CashWorld, minor: int) -> None:
    """Draw the machines' position down, or fund it."""
    position, outside = account("0991"), account(FUNDING_ACCOUNT)
    debit, credit = (position, outside) if minor > 0 else (outside, position)
    entry = Entry(
        kind="drawdown" if minor > 0 else "funding",
        debit=debit,
        credit=credit,
        minor=abs(minor),
        window=fixed_window("national", "PEN").id,
    )
    await one.ledger.apply((Move(movement_id=f"m{minor}", entries=(entry,), digest="", at_ms=1),))


async def test_it_is_of_the_institution_that_withdrew(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        identity = (await one.withdraw()).subject
        other = one.fleet["0976"]
        named = one.reversal(de90=f"0200000001{'0115170000'}{'0976':0>11}{0:011}")

        assert (await one.cash.reverse(other, named)) is not None
        assert one.paid(identity) == AMOUNT
        with pytest.raises(MalformedMessage, match="DE90"):
            await one.cash.reverse(other, one.reversal())


async def test_a_reversal_of_a_transfer_is_not_cashs_matter(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        assert await one.cash.reverse(one.acquirer, one.reversal(de3="400000")) is None


def test_what_goes_back_has_one_id_for_ever() -> None:
    assert opposition_id("W1") == opposition_id("W1")
    assert opposition_id("W1") != opposition_id("W2")
