"""A core on ISO 8583: credits on the 0200, undoes on the 0420, each exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from participants.core import iso8583_wording as iso
from participants.core.book import AccountStatus, CreditState, Posting, Role
from participants.core.magic import MAGIC_SOLES, Act
from scheme.wire.iso8583_reversal import replacement
from tests.support.fleet_world import CREDITOR_CCI, PROFILE, started
from tests.support.lane_fleet import SUBJECT, LaneWorld, a_request, a_reversal

OPENING = 100_000
AMOUNT = 12_500


@pytest.fixture
async def world() -> AsyncIterator[LaneWorld]:
    world = LaneWorld()
    yield world
    await world.close()


def postings(world: LaneWorld) -> list[tuple[Role, int]]:
    return [(one.role, one.minor) for change in world.books.changes for one in change.postings]


async def test_a_verification_names_the_holder(world: LaneWorld) -> None:
    answer = await world.answer(a_request("33"))

    assert (answer["t"], answer["39"]) == ("0210", "00")
    assert iso.tags(answer, "48") == {
        "08": "SOCIO DOS DEMO ENSAYO", "13": "O", "15": "2", "16": "00000202",
    }  # fmt: skip
    assert iso.tags(answer, "62") == {"01": SUBJECT}
    assert world.books.changes == []


async def test_a_verification_of_nobody_is_refused_with_its_reason(world: LaneWorld) -> None:
    answer = await world.answer(a_request("33", e103="97100220030040059999"))

    assert answer["39"] in {"14", "30"}
    assert iso.tags(answer, "62")["03"] in {"AC01", "FF02"}


@pytest.mark.parametrize("kind", [iso.TRANSFER, iso.DEPOSIT])
async def test_an_order_is_credited_before_it_is_answered(world: LaneWorld, kind: str) -> None:
    world.books.is_slow = True
    asking = await started(world.answer(a_request(kind)))

    assert not asking.done()
    world.books.flush()
    answer = await asking

    assert (answer["39"], len(answer["38"])) == ("00", 6)
    assert answer["37"] == "011510161200"
    assert world.balance == OPENING + AMOUNT
    change = world.books.changes[0]
    assert change.credit is not None
    assert (change.credit.state, change.credit.settlement) == (CreditState.FINAL, AMOUNT + 80)
    assert change.postings == (Posting(Role.CREDITOR, SUBJECT, CREDITOR_CCI, AMOUNT),)


async def test_a_repeat_gets_the_same_answer_and_moves_nothing(world: LaneWorld) -> None:
    first = await world.answer(a_request("40"))
    again = await world.answer(a_request("40", t="0201", e7="0115151699"))
    other_key = await world.answer(a_request("40", e11="000999"))

    assert again == first
    assert other_key["39"] == "00"
    assert world.balance == OPENING + AMOUNT


async def test_repeats_at_the_same_time_are_one_order(world: LaneWorld) -> None:
    one, two = await asyncio.gather(
        world.answer(a_request("40")), world.answer(a_request("40", t="0201"))
    )

    assert one == two
    assert postings(world) == [(Role.CREDITOR, AMOUNT)]


async def test_the_same_key_with_another_amount_is_refused(world: LaneWorld) -> None:
    await world.answer(a_request("40"))
    answer = await world.answer(a_request("40", e4=f"{1:012}"))

    assert answer["39"] == "94"
    assert world.balance == OPENING + AMOUNT


async def test_a_refusal_is_as_sticky_as_an_acceptance() -> None:
    world = LaneWorld(status=AccountStatus.CLOSED)
    refused = await world.answer(a_request("40"))
    world.account(CREDITOR_CCI).status = AccountStatus.ACTIVE
    again = await world.answer(a_request("40"))

    assert refused["39"] == "42"
    assert iso.tags(refused, "62")["03"] == "AC07"
    assert again == refused
    assert (await world.answer(a_reversal(a_request("40"))))["39"] == "00"
    assert world.balance == OPENING


async def test_a_credit_is_undone_exactly_once(world: LaneWorld) -> None:
    sent = a_request("40")
    await world.answer(sent)
    undone = await world.answer(a_reversal(sent))
    again = await world.answer(a_reversal(sent, t="0421", e7="0115151700"))

    assert (undone["t"], undone["39"]) == ("0430", "00")
    assert again == undone
    assert world.balance == OPENING
    assert postings(world) == [(Role.CREDITOR, AMOUNT), (Role.UNDO, -AMOUNT)]
    assert world.books.changes[-1].credit is not None
    assert world.books.changes[-1].credit.state is CreditState.UNDONE


@pytest.mark.parametrize("kind", ["40", "21", "01"])
async def test_a_request_that_was_undone_is_refused_when_it_comes_again(
    world: LaneWorld, kind: str
) -> None:
    sent = a_request(kind)
    await world.answer(sent)
    undone = await world.answer(a_reversal(sent))
    again = await world.answer(sent | {"t": "0201"})
    other = await world.answer(sent | {"4": f"{1:012}"})
    reversed_again = await world.answer(a_reversal(sent, t="0421"))

    assert (again["t"], again["39"]) == ("0210", "57")
    assert iso.tags(again, "62")["03"] == "DS24"
    assert other["39"] == "94"
    assert undone["39"] == reversed_again["39"] == "00"
    assert world.balance == OPENING


async def test_an_undone_order_is_refused_under_its_other_key_too(world: LaneWorld) -> None:
    one, two = a_request("40"), a_request("40", e11="000999")
    for sent in (one, two):
        await world.answer(sent)
    await world.answer(a_reversal(one))

    assert iso.tags(await world.answer(two), "62")["03"] == "DS24"


async def test_what_a_reversal_left_standing_is_answered_as_before(world: LaneWorld) -> None:
    dispensed = a_request("01")
    approved = await world.answer(dispensed)
    await world.answer(a_reversal(dispensed, e95=replacement(4_000)))

    assert await world.answer(dispensed) == approved


async def test_a_credit_is_undone_while_its_group_is_still_written(world: LaneWorld) -> None:
    world.books.is_slow = True
    sent = a_request("40")
    crediting = await started(world.answer(sent))
    undoing = await started(world.answer(a_reversal(sent)))
    assert not undoing.done()
    world.books.flush()

    assert (await undoing)["39"] == "00"
    await crediting
    assert postings(world) == [(Role.CREDITOR, AMOUNT), (Role.UNDO, -AMOUNT)]
    assert world.balance == OPENING


async def test_a_reversal_that_comes_first_is_remembered(world: LaneWorld) -> None:
    sent = a_request("40")
    first = await world.answer(a_reversal(sent))
    late = await world.answer(sent)
    again = await world.answer(a_reversal(sent, t="0421"))

    assert first["39"] == again["39"] == "25"
    assert late["39"] == "57"
    assert iso.tags(late, "62")["03"] == "DS24"
    assert world.balance == OPENING


async def test_what_was_spent_is_not_given_back(world: LaneWorld) -> None:
    sent = a_request("40")
    await world.answer(sent)
    world.account(CREDITOR_CCI).balance = AMOUNT - 1
    refused = await world.answer(a_reversal(sent))
    world.account(CREDITOR_CCI).balance = AMOUNT
    again = await world.answer(a_reversal(sent, t="0421"))

    assert refused["39"] == "51"
    assert again == refused
    assert world.balance == AMOUNT


async def test_a_refused_order_stays_refused_under_another_key(world: LaneWorld) -> None:
    world.account(CREDITOR_CCI).status = AccountStatus.BLOCKED
    await world.answer(a_request("40"))
    world.account(CREDITOR_CCI).status = AccountStatus.ACTIVE

    answer = await world.answer(a_request("40", e11="000999"))

    assert iso.tags(answer, "62")["03"] == "AC06"
    assert world.balance == OPENING


async def test_the_reversal_of_either_key_takes_the_money_back_once(world: LaneWorld) -> None:
    one, two = a_request("40"), a_request("40", e11="000999")
    for sent in (one, two):
        await world.answer(sent)

    codes = [(await world.answer(a_reversal(sent)))["39"] for sent in (one, two)]

    assert codes == ["00", "00"]
    assert postings(world) == [(Role.CREDITOR, AMOUNT), (Role.UNDO, -AMOUNT)]


async def test_a_core_whose_disk_is_full_of_work_refuses(world: LaneWorld) -> None:
    world.books.is_full = True

    assert (await world.answer(a_request("40")))["39"] == "57"
    assert world.balance == OPENING


async def test_what_an_alias_was_credited_counts_until_it_is_given_back(world: LaneWorld) -> None:
    parties = {"02": "P", "03": "900000202", "04": "X", "05": "2", "06": "00000101"}
    sent = a_request("40", e48=iso.tagged(parties))

    await world.answer(sent)
    counted = world.office.creditor.credited_today(CREDITOR_CCI)
    await world.answer(a_reversal(sent))

    assert counted == AMOUNT
    assert world.office.creditor.credited_today(CREDITOR_CCI) == 0


# --- cash


async def test_a_withdrawal_debits_the_cardholder_once(world: LaneWorld) -> None:
    answer = await world.answer(a_request("01"))
    again = await world.answer(a_request("01", t="0201"))

    assert answer["39"] == "00"
    assert again == answer
    assert world.balance == OPENING - AMOUNT
    row = world.books.changes[0].rail_payment
    assert row is not None
    assert (row.payment_id, row.role, row.rail, row.counterparty) == (
        SUBJECT, Role.DEBTOR, "cash", "0002",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"e4": f"{OPENING + 1:012}"}, "51"),
        ({"e2": "9709710000000000"}, "14"),
        ({"e49": "840"}, "44"),
        ({"e4": f"{0:012}"}, "13"),
    ],
)
async def test_a_withdrawal_is_refused(
    world: LaneWorld, changes: dict[str, str], code: str
) -> None:
    answer = await world.answer(a_request("01", **changes))

    assert answer["39"] == code
    assert world.balance == OPENING


async def test_a_member_without_a_card_is_told_by_phone(world: LaneWorld) -> None:
    asked = a_request("01", e48=iso.tagged({"31": "900000202"}))
    del asked["2"]

    assert (await world.answer(asked))["39"] == "00"
    assert world.balance == OPENING - AMOUNT


@pytest.mark.parametrize(("dispensed", "left"), [(0, OPENING), (4_000, OPENING - 4_000)])
async def test_what_was_not_dispensed_comes_back_once(
    world: LaneWorld, dispensed: int, left: int
) -> None:
    sent = a_request("01")
    await world.answer(sent)
    told = {"e95": replacement(dispensed)} if dispensed else {}
    back = await world.answer(a_reversal(sent, **told))
    again = await world.answer(a_reversal(sent, t="0421", **told))

    assert back["39"] == "00"
    assert again == back
    assert world.balance == left
    assert postings(world) == [(Role.DEBTOR, -AMOUNT), (Role.CREDITOR, AMOUNT - dispensed)]


async def test_a_reversed_withdrawal_that_never_came_is_refused_when_it_comes(
    world: LaneWorld,
) -> None:
    sent = a_request("01")
    unknown = await world.answer(a_reversal(sent))
    late = await world.answer(sent)

    assert (unknown["39"], late["39"]) == ("25", "57")
    assert world.balance == OPENING


async def test_an_id_that_was_paid_is_not_paid_under_another_key(world: LaneWorld) -> None:
    await world.answer(a_request("01"))

    assert (await world.answer(a_request("01", e11="000999")))["39"] == "94"
    assert world.balance == OPENING - AMOUNT


@pytest.mark.parametrize(("dispensed", "code"), [(AMOUNT, "00"), (AMOUNT + 1, "13")])
async def test_a_reversal_of_nothing_or_of_too_much_moves_nothing(
    world: LaneWorld, dispensed: int, code: str
) -> None:
    sent = a_request("01")
    await world.answer(sent)

    answer = await world.answer(a_reversal(sent, e95=replacement(dispensed)))

    assert answer["39"] == code
    assert world.balance == OPENING - AMOUNT


async def test_a_withdrawal_may_name_its_account(world: LaneWorld) -> None:
    asked = a_request("01", e102=CREDITOR_CCI)
    del asked["2"]

    assert (await world.answer(asked))["39"] == "00"


async def test_nobodys_balance_is_told(world: LaneWorld) -> None:
    answer = await world.answer(a_request("31", e2="9709710000000000"))

    assert (answer["39"], "54" in answer) == ("14", False)


async def test_the_balance_is_what_may_be_spent(world: LaneWorld) -> None:
    world.account(CREDITOR_CCI).held = 1_000
    answer = await world.answer(a_request("31"))

    assert answer["39"] == "00"
    assert iso.available_in(answer["54"]) == OPENING - 1_000


async def test_a_notice_is_acknowledged(world: LaneWorld) -> None:
    notice = {"t": "0800", "7": "0115151612", "11": "000001", "70": "701", "62": "07003AAA"}

    answer = await world.answer(notice)

    assert (answer["t"], answer["39"], answer["70"]) == ("0810", "00", "701")


async def test_what_is_not_whole_or_not_offered_is_refused_by_element(world: LaneWorld) -> None:
    nothing = a_request("40")
    del nothing["102"]

    for asked in (a_request("99"), nothing):
        answer = await world.answer(asked)
        assert answer["39"] == "30"
        assert iso.tags(answer, "62")["04"].startswith("DE")


# --- magic values


@pytest.mark.parametrize(
    ("number", "act"), [(32, Act.GARBAGE), (33, Act.HALF), (35, Act.DROP), (37, Act.BAD_SIGNATURE)]
)
async def test_magic_spoils_the_answer_of_what_was_credited(
    world: LaneWorld, number: int, act: Act
) -> None:
    reply = await world.core.handle(a_request("40", e4=f"{MAGIC_SOLES + number:012}"))

    assert reply.spoiled is act
    assert world.balance == OPENING + MAGIC_SOLES + number


@pytest.mark.parametrize(("number", "credited"), [(30, False), (44, True), (46, True), (47, True)])
async def test_magic_keeps_silent(world: LaneWorld, number: int, credited: bool) -> None:
    reply = await world.core.handle(a_request("40", e4=f"{MAGIC_SOLES + number:012}"))

    assert reply.fields is None
    assert world.balance == OPENING + (MAGIC_SOLES + number if credited else 0)


@pytest.mark.parametrize(
    ("number", "codes"), [(44, ["00"]), (46, [None, "00"]), (47, ["57", "57"])]
)
async def test_magic_decides_what_a_reversal_gets(
    world: LaneWorld, number: int, codes: list[str | None]
) -> None:
    sent = a_request("40", e4=f"{MAGIC_SOLES + number:012}")
    await world.core.handle(sent)
    answers = [(await world.core.handle(a_reversal(sent))).fields for _ in codes]

    assert [None if one is None else one["39"] for one in answers] == codes


async def test_magic_refuses_with_its_reason_or_without(world: LaneWorld) -> None:
    refused = await world.answer(a_request("40", e4=f"{MAGIC_SOLES + 2:012}"))
    silent_about_it = await world.answer(a_request("40", e4=f"{MAGIC_SOLES + 39:012}", e11="7" * 6,
                                                   e62=iso.tagged({"01": "other"})))  # fmt: skip

    assert (refused["39"], iso.tags(refused, "62")["03"]) == ("62", "AC06")
    assert silent_about_it["39"] == "05"
    assert "03" not in iso.tags(silent_about_it, "62")
    assert world.balance == OPENING


async def test_magic_refuses_a_verification_by_phone() -> None:
    world = LaneWorld(phone="900099003")
    answer = await world.answer(a_request("33"))
    world.institution.has_magic = False
    sound = await world.answer(a_request("33"))

    assert iso.tags(answer, "62")["03"] == "AC07"
    assert sound["39"] == "00"


async def test_without_magic_every_amount_is_an_ordinary_one(world: LaneWorld) -> None:
    world.institution.has_magic = False
    sent = a_request("40", e4=f"{MAGIC_SOLES + 47:012}")

    assert (await world.answer(sent))["39"] == "00"
    assert (await world.answer(a_reversal(sent)))["39"] == "00"


async def test_magic_answers_under_another_reference_or_without_a_code(world: LaneWorld) -> None:
    other = await world.answer(a_request("40", e4=f"{MAGIC_SOLES + 38:012}"))
    without = await world.answer(a_request("40", e4=f"{MAGIC_SOLES + 34:012}", e11="7" * 6,
                                           e62=iso.tagged({"01": "other"})))  # fmt: skip

    assert other["37"] != "011510161200"
    assert "39" not in without


async def test_magic_is_late_on_the_schemes_clock(world: LaneWorld) -> None:
    late = await started(world.answer(a_request("40", e4=f"{MAGIC_SOLES + 31:012}")))
    assert world.balance == OPENING + MAGIC_SOLES + 31

    assert not late.done()
    await world.clock.advance(timedelta(seconds=PROFILE.timers.ct_expiry_s + 1))
    assert (await late)["39"] == "00"
