"""Withdrawals, balances and statements by account, which field agents alone may ask for."""

import asyncio
import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runtime.http_server import Request, Response
from scheme.ledger import DALE
from scheme.profile import Profile
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import encode_tlv
from switch.core.cash import unpack_cash
from switch.movements import movement_of
from switch.routes import OperatorEdge
from tests.contract.test_openapi import fits
from tests.support.cash_world import (
    ACCOUNT,
    AMOUNT,
    CARD,
    PHONE,
    STATEMENT,
    CashWorld,
    Core,
    cash_world,
    tags,
)

OTHER_ACCOUNT = ACCOUNT[:-1] + "9"
BANKS = "003" + ACCOUNT[3:]
AGENTS_OWN = "992" + ACCOUNT[3:]


def only_row(one: CashWorld) -> Any:
    (row,) = one.store.cash_rows("", limit=9)
    return row


async def test_the_keeper_of_the_account_pays_the_agents_institution(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        answer = await one.withdraw(one.by_account(de4=f"{1_050:012}"))

        assert (answer.response_code, answer.auth) == ("00", "A1B2C3")
        assert (one.balance("0975", DALE), one.balance("0992")) == (-1_050, 1_001_050)
        (asked,) = one.core.asked
        assert (asked["102"], asked["32"], asked["4"]) == (ACCOUNT, "0992", f"{1_050:012}")
        assert asked.keys().isdisjoint({"2", "48", "52"})
        assert tags(asked, "62") == {"01": answer.subject, "02": "cash"}
        row = only_row(one)
        record = unpack_cash(row.record)
        assert (record.issuer, record.account, record.phone) == ("0975", ACCOUNT, "")
        assert movement_of(row.record, "cash", row.state).debtor_account == ACCOUNT
        await one.audited()


async def test_a_repeat_asks_nobody_and_another_account_is_another_withdrawal(
    tmp_path: Path,
) -> None:
    async with cash_world(tmp_path) as one:
        first = await one.withdraw(one.by_account())
        again = await one.withdraw(one.by_account(t="0201"))
        others = [
            await one.withdraw(one.by_account(1, **{name: value}))
            for name, value in (("de102", OTHER_ACCOUNT), ("de4", f"{AMOUNT + 10:012}"))
        ]

        assert (again, len(one.core.asked)) == (first, 1)
        assert [each.response_code for each in others] == ["94", "94"]


def small(profile: Profile) -> Profile:
    return replace(profile, agents=replace(profile.agents, operation_max={"PEN": 300, "USD": 1}))


@pytest.mark.parametrize(
    ("minor", "code"), [(1, "00"), (299, "00"), (300, "00"), (301, "61"), (0, "13")]
)
async def test_an_agent_has_coins_and_a_limit_of_its_own(
    tmp_path: Path, minor: int, code: str
) -> None:
    async with cash_world(tmp_path, change=small) as one:
        answer = await one.withdraw(one.by_account(de4=f"{minor:012}"))
        assert answer.response_code == code
        assert answer.rule.startswith("DE4") == (code != "00")


@pytest.mark.parametrize(
    ("changes", "code", "rule"),
    [
        ({"de102": "975"}, "30", "DE102: 20 digits"),
        ({"de102": "  "}, "30", "DE2: a card"),
        ({"de2": CARD}, "30", "DE102: an account, or a card, or a phone and its code"),
        ({"de48": encode_tlv({"31": PHONE, "30": "1"})}, "30", "DE102: an account, or"),
        ({"de48": encode_tlv({"30": "1"})}, "30", "DE102: an account, or"),
        ({"de48": "garbage"}, "30", "DE48"),
        ({"de102": BANKS}, "57", "DE102: 0003 is not on the ISO 8583 lane, so it cannot be asked"),
        ({"de102": AGENTS_OWN}, "57", "DE102: 0992 is not on the ISO 8583 lane"),
        ({"de102": "111" + ACCOUNT[3:]}, "15", "DE102: no participant"),
    ],
)
async def test_what_cannot_be_is_refused_and_says_why(
    tmp_path: Path, changes: dict[str, str], code: str, rule: str
) -> None:
    async with cash_world(tmp_path) as one:
        answer = await one.withdraw(one.by_account(1, **changes))
        asked = one.by_account(1, de3="380000", **changes)
        enquired = await one.cash.enquire(one.agents, asked)

        assert (answer.response_code, answer.rule[: len(rule)]) == (code, rule)
        assert enquired.response_code == code
        assert one.core.asked == []


@pytest.mark.parametrize("kind", ["01", "31", "38"])
async def test_an_account_says_nothing_from_any_other_acquirer(tmp_path: Path, kind: str) -> None:
    async with cash_world(tmp_path) as one:
        asked = one.by_account(de32="0991", de3=f"{kind}0000")
        call = one.cash.withdraw if kind == "01" else one.cash.enquire
        answer = await call(one.acquirer, asked)
        by_card = await call(one.acquirer, asked | {"2": CARD, "11": "000002"})

        assert (answer.response_code, answer.rule[:3]) == ("30", "DE2")
        assert by_card.response_code == "00"
        assert "102" not in one.core.asked[0]


@pytest.mark.parametrize(("act", "state"), [("51", "DECLINED"), ("unreachable", "DECLINED")])
async def test_one_that_is_refused_moves_nothing(tmp_path: Path, act: str, state: str) -> None:
    async with cash_world(tmp_path, Core(next=deque([act]))) as one:
        answer = await one.withdraw(one.by_account())
        again = await one.withdraw(one.by_account(t="0201"))

        assert (one.state(answer.subject), again) == (state, answer)
        assert (one.paid(answer.subject), one.held(), one.owed()) == (0, 0, [])
        await one.audited()


async def test_of_a_silent_issuer_it_expires_and_the_reversal_names_the_request(
    tmp_path: Path,
) -> None:
    async with cash_world(tmp_path, Core(next=deque(["silent"]), undo="silent")) as one:
        answer = await one.withdraw(one.by_account())
        await one.settle()
        assert (answer.response_code, one.state(answer.subject)) == ("91", "EXPIRED")
        (owed,) = one.owed()
        reversal, asked = codec("ascii-1987").decode(owed.body), one.core.asked[0]
        assert (reversal["t"], reversal["102"]) == ("0420", ACCOUNT)
        assert reversal["90"].startswith(f"0200{asked['11']}{asked['7']}")

        one.core.undo = "00"
        await one.advance(120)
        assert one.state(answer.subject) == "CANCELLED"
        assert one.core.kept(answer.subject) == one.paid(answer.subject) == 0
        await one.audited()


async def test_without_an_answer_in_time_it_is_expired_for_good(tmp_path: Path) -> None:
    core = Core()
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    core.next.append(gate)
    async with cash_world(tmp_path, core) as one:
        asking = asyncio.create_task(one.withdraw(one.by_account()))
        await one.advance(8.5)
        answer = await asking
        await one.settle()

        assert answer.response_code == "91"
        assert await one.withdraw(one.by_account(t="0201")) == answer
        assert (one.paid(answer.subject), one.held()) == (0, 0)


@pytest.mark.parametrize("act", ["00", "51"])
async def test_an_answer_about_another_account_is_silence(tmp_path: Path, act: str) -> None:
    core = Core(next=deque([act, "00", "00"]), about={"102": OTHER_ACCOUNT})
    async with cash_world(tmp_path, core) as one:
        answer = await one.withdraw(one.by_account())
        told = [
            await one.cash.enquire(one.agents, one.by_account(de3=kind))
            for kind in ("310000", "380000")
        ]

        assert one.state(answer.subject) in {"EXPIRED", "CANCELLED"}
        assert [(each.response_code, each.extra) for each in told] == [("91", {})] * 2


@pytest.mark.parametrize("has_paid", [True, False])
async def test_one_left_by_a_restart_is_expired_and_undone(tmp_path: Path, has_paid: bool) -> None:
    core = Core()
    core.next.append(asyncio.get_running_loop().create_future())
    async with cash_world(tmp_path, core) as one:
        asking = asyncio.create_task(one.withdraw(one.by_account()))
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await one.settle()
        (record,) = one.store.cash_in_flight()
    identity = record.transfer_id
    if has_paid:
        core.paid[identity] = AMOUNT
    async with cash_world(tmp_path, core) as one:
        assert (one.state(identity), one.held(), core.kept(identity)) == ("CANCELLED", 0, 0)
        again = await one.withdraw(one.by_account(t="0201"))
        assert (again.response_code, again.subject) == ("91", identity)
        await one.audited()


@pytest.mark.parametrize("given_out", [None, 5_000])
async def test_what_an_agent_did_not_pay_out_goes_back(
    tmp_path: Path, given_out: int | None
) -> None:
    async with cash_world(tmp_path) as one:
        answer = await one.withdraw(one.by_account())
        told = await one.reverse(one.reversal_of(one.by_account(), given_out))
        await one.settle()

        assert told.response_code == "00"
        assert one.paid(answer.subject) == one.core.kept(answer.subject) == (given_out or 0)
        await one.audited()


async def test_one_whose_reversal_came_first_is_never_executed(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        undone = await one.reverse(one.reversal_of(one.by_account()))
        late = await one.withdraw(one.by_account())

        assert (undone.response_code, late.response_code) == ("25", "91")
        assert one.core.asked == []


async def test_operators_see_the_account_masked(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        subject = (await one.withdraw(one.by_account())).subject
        edge = OperatorEdge(one.cash.routes(), hosts=frozenset())

        async def get(path: str) -> Response:
            headers = {"Host": "127.0.0.1:7081"}
            return await edge.handle(Request("GET", path, {}, headers, b"", "127.0.0.1"))

        listed = await get("/cash")
        (row,) = fits(listed, ("GET", "/cash"), 200)["cash"]
        fits(await get(f"/cash/{subject}"), ("GET", "/cash/{withdrawal}"), 200)

        assert (row["acquirer"], row["card"], row["phone"]) == ("0992", None, None)
        assert row["account"] == "975*************0101"
        assert ACCOUNT not in json.dumps(json.loads(listed.body))


# --- enquiries


async def enquired(one: CashWorld, kind: str, **changes: str) -> Any:
    return await one.cash.enquire(one.agents, one.by_account(1, de3=f"{kind}0000", **changes))


async def test_balance_and_statement_are_the_issuers_to_tell_and_nothing_is_kept(
    tmp_path: Path,
) -> None:
    async with cash_world(tmp_path) as one:
        balance, statement = await enquired(one, "31"), await enquired(one, "38")
        by_card = await one.cash.enquire(one.acquirer, one.request(de3="380000"))

        assert balance.extra == {"54": "0001604C000000012345"}
        assert statement.extra == by_card.extra == {"62": encode_tlv({"20": STATEMENT})}
        assert [asked.get("102") for asked in one.core.asked] == [ACCOUNT, ACCOUNT, None]
        assert all("62" not in asked for asked in one.core.asked)
        assert one.store.cash_rows("", limit=9) == []


@pytest.mark.parametrize(
    ("act", "code"), [("silent", "91"), ("unreachable", "91"), ("14", "14"), ("57", "57")]
)
async def test_a_statement_that_the_issuer_does_not_give_is_refused(
    tmp_path: Path, act: str, code: str
) -> None:
    async with cash_world(tmp_path, Core(next=deque([act]))) as one:
        answer = await enquired(one, "38")
        assert (answer.response_code, answer.extra) == (code, {})


@pytest.mark.parametrize(
    ("private", "told"),
    [
        (encode_tlv({"01": "X"}), ""),
        ("garbage", ""),
        (encode_tlv({"20": "garbage;2601150900,5,A 97500100000000000101 B"}),
         "2601150900,5,A 97****************"),
        (encode_tlv({"20": ";".join(["2601150900,5,A"] * 30)}), ";".join(["2601150900,5,A"] * 10)),
    ],
)  # fmt: skip
async def test_of_what_a_core_wrote_only_rows_are_passed_on(
    tmp_path: Path, private: str, told: str
) -> None:
    async with cash_world(tmp_path, Core(about={"62": private})) as one:
        answer = await enquired(one, "38")
        expected: Fields = {"62": encode_tlv({"20": told})} if told else {}
        assert (answer.response_code, answer.extra) == ("00", expected)
