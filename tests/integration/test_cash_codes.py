"""One-time codes: single use, bound, expiring, few attempts, and none of it forgotten."""

import asyncio
from collections import deque
from pathlib import Path

import msgspec
import pytest

from switch.cash_codes import CodeOrder
from switch.payment_ports import Refused
from tests.support.cash_world import ACCOUNT, AMOUNT, PHONE, Core, cash_world, on_disk, tags

OTHER_ACCOUNT = "97600100000000000188"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08}"


async def test_a_code_gives_its_amount_once(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        answer = await one.withdraw(one.cardless(code))
        again = await one.withdraw(one.cardless(code, 2))

        assert (answer.response_code, again.response_code) == ("00", "55")
        assert "used already" in again.rule
        asked = one.core.asked[0]
        assert (asked["102"], tags(asked, "48")) == (ACCOUNT, {"31": PHONE})
        assert "2" not in asked
        await one.audited()


async def test_the_same_withdrawal_again_is_no_second_use(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        first = await one.withdraw(one.cardless(code))
        assert await one.withdraw(one.cardless(code, t="0201")) == first


async def test_of_two_at_once_only_one_gets_cash(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        answers = await asyncio.gather(
            *[one.withdraw(one.cardless(code, stan)) for stan in range(1, 5)]
        )

        assert sorted(each.response_code for each in answers) == ["00", "55", "55", "55"]
        assert len(one.core.asked) == 1


async def test_three_wrong_codes_make_it_void(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        told = [await one.withdraw(one.cardless(wrong(code), stan)) for stan in (1, 2, 3)]
        right = await one.withdraw(one.cardless(code, 4))

        assert [each.response_code for each in told] == ["55", "55", "75"]
        assert [each.rule.rpartition(": ")[2] for each in told[:2]] == ["2", "1"]
        assert right.response_code == "75"
        assert one.core.asked == []


async def test_a_repeat_of_a_wrong_code_costs_one_attempt(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        first = await one.withdraw(one.cardless(wrong(code)))
        assert [await one.withdraw(one.cardless(wrong(code))) for _ in range(4)] == [first] * 4
        assert (await one.withdraw(one.cardless(code, 2))).response_code == "00"


async def test_it_expires(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        await one.advance(1800)

        assert (await one.withdraw(one.cardless(code))).response_code == "54"


@pytest.mark.parametrize(("amount", "told"), [(AMOUNT + 1000, "61"), (AMOUNT - 1000, "13")])
async def test_another_amount_is_refused_and_costs_nothing(
    tmp_path: Path, amount: int, told: str
) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        answer = await one.withdraw(one.cardless(code, de4=f"{amount:012}"))

        assert (answer.response_code, answer.rule[:3]) == (told, "DE4")
        assert (await one.withdraw(one.cardless(code, 2))).response_code == "00"


async def test_another_currency_is_refused(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        assert (await one.withdraw(one.cardless(code, de49="840"))).response_code == "57"


@pytest.mark.parametrize("act", ["51", "silent", "unreachable"])
async def test_a_withdrawal_that_comes_to_nothing_gives_it_back(tmp_path: Path, act: str) -> None:
    async with cash_world(tmp_path, Core(next=deque([act]))) as one:
        code = await one.code()
        await one.withdraw(one.cardless(code))

        assert (await one.withdraw(one.cardless(code, 2))).response_code == "00"


async def test_cash_that_was_not_dispensed_does_not_give_it_back(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        await one.withdraw(one.cardless(code))
        await one.reverse()

        assert (await one.withdraw(one.cardless(code, 2))).response_code == "55"


async def test_a_new_code_replaces_the_old_one(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        old, new = await one.code(key="k1"), await one.code(key="k2")
        assert (await one.withdraw(one.cardless(old))).response_code == "55"
        assert (await one.withdraw(one.cardless(new, 2))).response_code == "00"


async def test_one_issuers_new_code_leaves_anothers_as_it_is(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        other = CodeOrder(participant="0976", phone=PHONE, account=OTHER_ACCOUNT, amount=5_000)
        told = await one.cash.codes.issue(other, "k2")
        assert isinstance(told, bytes)
        others = msgspec.json.decode(told)["code"]

        missed = await one.withdraw(one.cardless(wrong(code)))
        assert (missed.response_code, missed.rule[-1]) == ("55", "2")
        first = await one.withdraw(one.cardless(code, 2))
        second = await one.withdraw(one.cardless(others, 3, de4="000000005000"))
        assert (first.response_code, second.response_code) == ("00", "00")
        assert [one.store.row(each.subject).debtor_agent for each in (first, second)] == [  # type: ignore[union-attr]
            "0975",
            "0976",
        ]
        assert [fields["102"] for fields in one.core.asked] == [ACCOUNT, OTHER_ACCOUNT]


async def test_wrong_codes_count_on_every_issuers(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        other = CodeOrder(participant="0976", phone=PHONE, account=OTHER_ACCOUNT, amount=5_000)
        await one.cash.codes.issue(other, "k2")
        for stan in (1, 2, 3):
            await one.withdraw(one.cardless("x", stan))
        assert (await one.withdraw(one.cardless(code, 4))).response_code == "75"
    async with cash_world(tmp_path) as one:
        left = [each.attempts_left for each in one.cash.codes.find(PHONE)]
        assert left == [0, 0]


async def test_no_code_was_issued(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        assert (await one.withdraw(one.cardless("12345678"))).response_code == "55"


async def test_a_key_is_told_the_same_code_and_no_other(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        first, second = await asyncio.gather(one.code(), one.code())
        assert first == second == await one.code()
        order = CodeOrder(participant="0975", phone=PHONE, amount=AMOUNT + 1000)
        other = await one.cash.codes.issue(order, "k1")
        assert isinstance(other, Refused)
        assert other.field == "Idempotency-Key"


async def test_neither_attempts_nor_use_nor_keys_are_forgotten(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        await one.withdraw(one.cardless(wrong(code)))
    async with cash_world(tmp_path) as one:
        second = await one.withdraw(one.cardless(wrong(code), 2))
        assert second.rule.endswith("attempts left: 1")
        order = CodeOrder(participant="0975", phone=PHONE, amount=AMOUNT)
        lost = await one.cash.codes.issue(order, "k1")
        assert isinstance(lost, Refused)
        assert (await one.withdraw(one.cardless(code, 3))).response_code == "00"
    async with cash_world(tmp_path) as one:
        assert (await one.withdraw(one.cardless(code, 4))).response_code == "55"


async def test_the_code_itself_is_on_no_disk(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        code = await one.code()
        await one.withdraw(one.cardless(code))
        await one.ledger.drain()
    assert code.encode() not in on_disk(tmp_path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"participant": "0003"}, "participant"),
        ({"participant": "0999"}, "participant"),
        ({"amount": 500}, "amount"),
        ({"amount": 20_001}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"phone": "99900011"}, "phone"),
        ({"phone": "99900011x"}, "phone"),
        ({"phone": "999000112"}, "phone"),
        ({"account": "12"}, "account"),
        ({"account": "97600100000000000101"}, "account"),
    ],
)
async def test_what_cannot_be_issued_is_refused_and_says_why(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    wanted = {"participant": "0975", "phone": PHONE, "amount": AMOUNT, **changes}
    async with cash_world(tmp_path) as one:
        order = msgspec.convert(wanted, CodeOrder)
        refused = await one.cash.codes.issue(order, "k1")
        assert isinstance(refused, Refused)
        assert refused.field == field


async def test_a_key_is_needed(tmp_path: Path) -> None:
    async with cash_world(tmp_path) as one:
        order = CodeOrder(participant="0975", phone=PHONE, amount=AMOUNT)
        refused = await one.cash.codes.issue(order, "")
        assert isinstance(refused, Refused)
