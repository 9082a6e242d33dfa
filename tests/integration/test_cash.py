"""Withdrawals at machines, over a real ledger: each ends once, and the money with it."""

import asyncio
from collections import deque
from pathlib import Path

import pytest

from scheme.ledger import DALE
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_tlv import encode_tlv
from switch.core.cash import CashAnswer, unpack_cash
from switch.core.sessions import NetworkState, Session
from switch.flight import NotAccepting
from tests.support.cash_world import (
    ACCOUNT,
    AMOUNT,
    CARD,
    OTHER_CARD,
    PHONE,
    PIN_BLOCK,
    Core,
    cash_world,
    on_disk,
    tags,
)


def approved(answer: CashAnswer) -> str:
    assert answer.response_code == "00", answer
    return answer.subject


async def test_an_approval_pays_the_machines_institution_through_the_sponsor(
    tmp_path: Path,
) -> None:
    async with cash_world(tmp_path) as one:
        answer = await one.withdraw()

        assert (answer.response_code, answer.auth, answer.rule) == ("00", "A1B2C3", "")
        assert one.state(answer.subject) == "APPROVED"
        assert one.paid(answer.subject) == AMOUNT
        assert one.balance("0975", DALE) == -AMOUNT
        assert one.balance("0991") == 1_000_000 + AMOUNT
        assert [entry.ledger for entry in one.store.entries(answer.subject)] == ["dale", "national"]
        await one.audited()


async def test_a_repeat_gets_the_stored_answer_and_asks_nobody(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        first = await one.withdraw()
        again = await one.withdraw(one.request(t="0201"))

        assert again == first
        assert len(one.core.asked) == 1
        other = await one.withdraw(one.request(de4=f"{AMOUNT + 1000:012}"))
        assert other.response_code == "94"


async def test_repeats_in_flight_wait_for_the_one_outcome(tmp_path: Path) -> None:
    core = Core()
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    core.next.append(gate)
    async with cash_world(tmp_path, core) as one:
        asking = [asyncio.create_task(one.withdraw()) for _ in range(3)]
        await one.settle()
        gate.set_result("00")
        answers = await asyncio.gather(*asking)

        assert len({answer.subject for answer in answers}) == 1
        assert len(core.asked) == 1


async def test_the_pin_block_reaches_the_issuer_and_no_disk(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        await one.withdraw(one.request(de52=PIN_BLOCK))

        assert one.core.asked[0]["52"] == PIN_BLOCK
        await one.ledger.drain()
    held = on_disk(tmp_path)
    assert PIN_BLOCK.encode() not in held
    assert bytes.fromhex(PIN_BLOCK) not in held


async def test_the_issuer_is_asked_only_once_the_money_is_held_on_disk(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        one.disk.shut()
        asking = asyncio.create_task(one.withdraw())
        await one.settle()
        assert one.core.asked == []

        one.disk.release()
        await asking
        assert len(one.core.asked) == 1


async def test_an_issuer_that_refuses_gives_its_own_code(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["51"]))) as one:
        answer = await one.withdraw()

        assert (answer.response_code, one.state(answer.subject)) == ("51", "DECLINED")
        assert (one.paid(answer.subject), one.held(), one.owed()) == (0, 0, [])
        await one.audited()


async def test_an_issuer_that_cannot_be_reached_is_owed_nothing(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["unreachable"]))) as one:
        answer = await one.withdraw()

        assert (answer.response_code, one.state(answer.subject)) == ("91", "DECLINED")
        assert one.core.told == []


@pytest.mark.parametrize("act", ["silent", "lost", "10", "68"])
async def test_silence_expires_it_and_the_issuer_undoes_what_it_did(
    tmp_path: Path, act: str
) -> None:
    async with cash_world(tmp_path, Core(next=deque([act]))) as one:
        answer = await one.withdraw()
        await one.settle()

        assert answer.response_code == "91"
        assert one.state(answer.subject) == "CANCELLED"
        assert one.core.kept(answer.subject) == one.paid(answer.subject) == 0
        (owed, _), *_rest = one.core.told
        reversal = codec("ascii-1987").decode(owed.body)
        asked = one.core.asked[0]
        assert reversal["t"] == "0420"
        assert reversal["90"].startswith("0200" + asked["11"] + asked["7"])
        await one.audited()


@pytest.mark.parametrize(
    "about",
    [
        {"t": "0430"},
        {"t": "0810"},
        {"4": f"{AMOUNT // 2:012}"},
        {"49": "840"},
        {"62": encode_tlv({"01": "WOTHER"})},
        {"62": "garbage"},
    ],
)
@pytest.mark.parametrize("act", ["00", "51"])
async def test_an_answer_about_something_else_is_silence(
    tmp_path: Path, about: dict[str, str], act: str
) -> None:
    async with cash_world(tmp_path, Core(next=deque([act]), about=about)) as one:
        answer = await one.withdraw()
        await one.settle()

        assert (answer.response_code, answer.reason) == ("91", "AB05")
        assert one.state(answer.subject) == "CANCELLED"
        assert len(one.core.told) == 1
        assert one.core.kept(answer.subject) == one.paid(answer.subject) == 0
        await one.audited()


@pytest.mark.parametrize(("account", "told"), [(ACCOUNT, "00"), (ACCOUNT[:-1] + "9", "91")])
async def test_an_answer_about_another_account_is_silence(
    tmp_path: Path, account: str, told: str
) -> None:
    async with cash_world(tmp_path, Core(about={"102": account})) as one:
        code = await one.code()
        assert (await one.withdraw(one.cardless(code))).response_code == told


async def test_an_answer_that_echoes_its_request_is_one(tmp_path: Path) -> None:
    about = {"4": f"{AMOUNT:012}", "49": "604", "102": "97500100000000000999"}
    async with cash_world(tmp_path, Core(about=about)) as one:
        approved(await one.withdraw())


async def test_a_card_is_kept_whole_in_the_exact_request_only(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["51"]))) as one:
        await one.withdraw()
        await one.withdraw(one.request(2, de2="4111111111111111"))
        await one.ledger.drain()
        for row in one.store.cash_rows("", limit=9):
            record = unpack_cash(row.record)
            assert record.account in {"970975******7890", "411111******1111"}
            assert record.sent == b""
            assert CARD.encode() not in row.record
        posted = one.store.row(approved(await one.withdraw(one.request(3))))
        assert posted is not None
        record = unpack_cash(posted.record)
        assert record.account == "970975******7890"
        assert CARD.encode() in record.sent


async def test_no_answer_in_time_is_silence(tmp_path: Path) -> None:
    core = Core()
    core.next.append(asyncio.get_running_loop().create_future())
    async with cash_world(tmp_path, core) as one:
        asking = asyncio.create_task(one.withdraw())
        await one.advance(8.5)

        assert (await asking).response_code == "91"


async def test_an_issuer_that_will_not_undo_leaves_it_disputed(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["silent"]), undo="12")) as one:
        answer = await one.withdraw()
        await one.settle()

        assert one.state(answer.subject) == "DISPUTED"
        await one.audited()


async def test_an_unanswered_reversal_is_repeated_until_it_is(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["silent"]), undo="silent")) as one:
        answer = await one.withdraw()
        await one.settle()
        assert one.state(answer.subject) == "EXPIRED"

        one.core.undo = "25"
        await one.advance(120)
        assert one.state(answer.subject) == "CANCELLED"
        assert one.core.told[0][1] is False
        assert one.core.told[-1][1] is True


async def test_a_card_of_the_other_coop_is_asked_in_its_own_encoding(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        identity = approved(await one.withdraw(one.request(de2=OTHER_CARD)))

        assert one.balance("0976", DALE) == -AMOUNT
        assert tags(one.core.asked[0], "62") == {"01": identity, "02": "cash"}


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"de2": "4111111111111111"}, "15", "DE2"),
        ({"de4": "000000001000"}, "13", "DE4"),
        ({"de4": "000000020500"}, "13", "DE4"),
        ({"de4": "000000160000"}, "61", "DE4"),
        ({"de4": "000000000000"}, "13", "DE4"),
        ({"de49": "999"}, "30", "DE49"),
        ({"de48": "garbage"}, "30", "DE48"),
        ({"de48": f"31009{PHONE}"}, "30", "DE2"),
    ],
)
async def test_what_cannot_be_is_refused_and_says_why(
    tmp_path: Path, changes: dict[str, str], code: str, field: str
) -> None:
    async with cash_world(tmp_path) as one:
        answer = await one.withdraw(one.request(1, **changes))

        assert answer.response_code == code
        assert answer.rule.startswith(field)
        assert one.core.asked == []


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (NetworkState({"0975": Session(signed_on=True)}), "58"),
        (NetworkState({"0991": Session(signed_on=True)}), "91"),
        (NetworkState({"0991": Session(signed_on=True, blocked=True)}), "58"),
        (NetworkState({}, suspended=True), "91"),
    ],
)
async def test_who_does_not_operate_is_refused(
    tmp_path: Path, state: NetworkState, code: str
) -> None:
    async with cash_world(tmp_path) as one:
        one.network = state
        assert (await one.withdraw()).response_code == code


async def test_a_line_that_is_too_short_is_named(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        for stan in range(1, 6):
            approved(await one.withdraw(one.request(stan, de4="000000100000")))
        answer = await one.withdraw(one.request(6))

        assert answer.response_code == "51"
        assert "0975 with its sponsor 0987" in answer.rule
        assert one.held() == 0


async def test_nothing_new_is_taken_while_it_stops(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        first = await one.withdraw()
        one.cash.stop()

        with pytest.raises(NotAccepting):
            await one.withdraw(one.request(2))
        assert await one.withdraw() == first


async def test_a_balance_is_the_issuers_to_tell(tmp_path: Path) -> None:
    async with cash_world(tmp_path, Core(next=deque(["00", "silent", "unreachable", "14"]))) as one:
        asked = one.request(de3="310000")
        told = [await one.cash.enquire(one.acquirer, asked) for _ in range(4)]

        assert told[0].extra == {"54": "0001604C000000012345"}
        assert [answer.response_code for answer in told] == ["00", "91", "91", "14"]
        unknown = await one.cash.enquire(one.acquirer, asked | {"2": "4" * 16})
        assert unknown.response_code == "15"
