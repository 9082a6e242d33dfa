"""Cores and machines of the fleet over real ISO 8583 links, against a scripted clearing house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from participants.config import Config
from participants.core import iso8583_wording as iso
from scheme.errors import NoAnswer
from scheme.network import Fleet
from scheme.wire.iso8583_reversal import replacement
from scheme.wire.iso8583_spec import Fields
from tests.support.clearing_house import ClearingHouse
from tests.support.fleet_process import Hook, Killable, running, settings
from tests.support.fleet_world import CREDITOR_CCI, DEBTOR_CCI
from tests.support.lane_fleet import SUBJECT, a_request, a_reversal
from tests.support.lane_switch import LaneSwitch

FLEET = """
[[participant]]
code = "0970"
name = "COOPAC SIMULADA UNO"
kind = "coop"
lane = "iso8583"
iso8583 = { spec = "packed-1987", header = "ascii-4", tpdu = "6000000000", mac = "x9.19" }

[[participant]]
code = "0971"
name = "COOPAC SIMULADA DOS"
kind = "coop"
lane = "iso8583"
iso8583 = { spec = "ascii-1987", header = "binary-2", mac = "aes-cmac", bins = ["970971"] }

[[participant]]
code = "0991"
name = "RED SIMULADA"
kind = "acquirer"
lane = "iso8583"
iso8583 = { spec = "ascii-1987", header = "binary-2", mac = "none" }
"""
MEMBERS = Fleet.parse(FLEET).participant
CODES = [one.code for one in MEMBERS]
OPENING = 2_500_000
TILL = 1_000_000_000
AMOUNT = 12_500
CARD = "970971" + CREDITOR_CCI[8:18]
CASH_ID = "W20260115101612-0991-abcdef012345"
PAYMENT = {"debtor": DEBTOR_CCI, "creditor": {"cci": CREDITOR_CCI}, "amount": AMOUNT}
WITHDRAWAL = {"kind": "withdrawal", "card": CARD, "amount": 10_000}


@pytest.fixture
async def house() -> AsyncIterator[ClearingHouse]:
    house = ClearingHouse()
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[LaneSwitch]:
    switch = LaneSwitch(MEMBERS, tmp_path)
    await switch.start()
    yield switch
    await switch.stop()


def config(folder: Path, house: ClearingHouse, switch: LaneSwitch, **changes: Any) -> Config:
    hurried = settings(folder, house, hurried=True, fleet=FLEET)
    profile = Path(hurried.profile)
    text = profile.read_text()
    for line, hurry in (
        ("reconnect_s = [0.5, 1.0, 2.0, 5.0, 10.0]", "reconnect_s = [0.05]"),
        ("answer_s = 12.0", "answer_s = 0.4"),
    ):
        assert line in text
        text = text.replace(line, hurry)
    lines = (
        "owed_backoff_s = [0.1]" if one.startswith("owed_backoff_s") else one
        for one in text.splitlines()
    )
    profile.write_text("\n".join(lines))
    return msgspec.structs.replace(hurried, iso8583_address=switch.address, **changes)


@pytest.fixture
async def hook(house: ClearingHouse, switch: LaneSwitch, tmp_path: Path) -> AsyncIterator[Hook]:
    async with running(config(tmp_path, house, switch)) as hook:
        await signed_on(hook)
        yield hook


async def signed_on(hook: Hook) -> None:
    async with asyncio.timeout(5):
        for code in CODES:
            while not (await hook.get(code, "state"))["signed_on"]:
                pass


async def clean(hook: Hook) -> None:
    for code in CODES:
        found = await hook.get(code, "audit")
        assert found["clean"], found["differences"]


def found(asked: Fields) -> Fields:
    told = {"01": "0971", "08": "SOCIO DOS", "13": "O"}
    return iso.answer_to(asked, "00", subject="V" + SUBJECT, parties=told)


def granted(asked: Fields) -> Fields:
    return iso.answer_to(asked, "00", subject=SUBJECT)


def dispensable(asked: Fields) -> Fields:
    return iso.answer_to(asked, "00", subject=CASH_ID)


async def test_every_variant_signs_on_and_none_does_so_by_http(
    hook: Hook, switch: LaneSwitch, house: ClearingHouse
) -> None:
    for code in CODES:
        await switch.linked(code)

    assert switch.frames_refused == []
    assert house.names() == []


@pytest.mark.parametrize(("code", "cci"), [("0971", CREDITOR_CCI), ("0970", DEBTOR_CCI)])
async def test_a_transfer_is_credited_once_and_undone_once(
    hook: Hook, switch: LaneSwitch, code: str, cci: str
) -> None:
    other = {"0970": "0971", "0971": "0970"}[code]
    parties = iso.tagged({"01": code, "04": "ALGUIEN", "05": "2", "06": "00000101"})
    private = iso.tagged({"01": SUBJECT, "06": other})
    sent = a_request("40", e32=other, e48=parties, e62=private, e103=cci)

    verified = await switch.ask(code, sent | {"3": "330000"})
    first = await switch.ask(code, sent)
    again = await switch.ask(code, sent | {"t": "0201"})
    after_credit = await hook.balance(code, cci)
    undone = await switch.ask(code, a_reversal(sent))
    repeated = await switch.ask(code, a_reversal(sent) | {"t": "0421"})

    assert iso.tags(verified, "48")["08"].startswith("SOCI")
    assert (first["39"], again) == ("00", first)
    assert after_credit == OPENING + AMOUNT
    assert (undone["39"], repeated) == ("00", undone)
    assert await hook.balance(code, cci) == OPENING
    await clean(hook)


async def test_a_member_is_paid_from_a_core_over_the_lane(hook: Hook, switch: LaneSwitch) -> None:
    switch.answers = {"0200/33": found, "0200/40": granted}

    paid = await hook.post("0970", "payments", PAYMENT)

    assert (paid["state"], paid["instruction_id"]) == ("FINAL", SUBJECT)
    assert [one["message"] for one in paid["legs"]] == ["AV1", "AV4", "CT1", "CT4"]
    query, order = switch.asked
    assert iso.tags(order, "48")["10"] == "V" + SUBJECT
    assert (query["11"], order["11"]) != (order["11"], query["11"])
    assert await hook.balance("0970", DEBTOR_CCI) == OPENING - AMOUNT - paid["fee"]
    await clean(hook)


async def test_an_order_without_an_answer_is_repeated_until_there_is_one(
    hook: Hook, switch: LaneSwitch
) -> None:
    switch.answers = {"0200/33": found, "0200/40": lambda _: None, "0201/40": granted}

    paid = await hook.post("0970", "payments", PAYMENT)
    await switch.until("0201")
    async with asyncio.timeout(5):
        while (await hook.get("0970", "movements"))["movements"][-1]["state"] != "FINAL":
            pass

    assert paid["state"] == "PENDING"
    first, again = (one for one in switch.asked if one["3"] == "400000")
    assert iso.key_of(first) == iso.key_of(again)
    await clean(hook)


async def test_a_refusal_gives_the_money_back(hook: Hook, switch: LaneSwitch) -> None:
    switch.answers = {
        "0200/33": found,
        "0200/40": lambda asked: iso.answer_to(asked, "91", subject=SUBJECT, reason="AB05"),
    }

    paid = await hook.post("0970", "payments", PAYMENT)

    assert (paid["state"], paid["reason_code"]) == ("REJECTED", "AB05")
    assert await hook.balance("0970", DEBTOR_CCI) == OPENING


async def test_links_are_cut_held_and_dialled_again(hook: Hook, switch: LaneSwitch) -> None:
    await switch.linked("0971")
    before = switch.sign_ons

    await hook.post("0971", "iso8583", {"action": "cut"})
    await switch.holds(lambda: switch.sign_ons > before)
    held = await hook.post("0971", "iso8583", {"action": "hold"})
    await switch.holds(lambda: not switch.links("0971"))
    await hook.post("0971", "iso8583", {"action": "resume"})
    await switch.linked("0971")
    wrong = await hook.call("POST", "0971", "iso8583", {"action": "jump"})

    assert held == {"links": 0, "held": True}
    assert wrong[0] == 400


async def test_the_session_is_the_hooks_to_open_and_close(hook: Hook, switch: LaneSwitch) -> None:
    echo = await hook.post("0971", "session", {"action": "echo"})
    off = await hook.post("0971", "session", {"action": "signoff"})
    state = await hook.get("0971", "state")
    on = await hook.post("0971", "session", {"action": "signon"})

    assert [one["response_code"] for one in (echo, off, on)] == ["00", "00", "00"]
    assert not state["signed_on"]
    assert (await hook.get("0971", "state"))["signed_on"]


@pytest.mark.parametrize(("number", "refused"), [(32, True), (33, False), (35, False), (37, True)])
async def test_magic_breaks_the_answer_but_not_the_credit(
    hook: Hook, switch: LaneSwitch, number: int, refused: bool
) -> None:
    sent = a_request("40", e4=f"{6600 + number:012}")
    with pytest.raises((NoAnswer, TimeoutError)):
        await switch.ask("0971", sent, wait_s=0.3)

    assert bool(switch.frames_refused) is refused
    assert (await switch.ask("0971", a_reversal(sent)))["39"] == "00"
    assert await hook.balance("0971", CREDITOR_CCI) == OPENING
    await clean(hook)


# --- cash


async def test_a_withdrawal_at_a_machine_and_its_undispensed_part(
    hook: Hook, switch: LaneSwitch
) -> None:
    switch.answers = {"0200/01": dispensable, "0420": dispensable}

    whole = await hook.post("0991", "cash", WITHDRAWAL)
    switch.answers["0200/01"] = lambda asked: iso.answer_to(asked, "00", subject=CASH_ID + "2")
    part = await hook.post("0991", "cash", WITHDRAWAL | {"dispense": 4_000})

    assert (whole["state"], whole["dispensed"], whole["transfer_id"]) == (
        "approved", 10_000, CASH_ID,
    )  # fmt: skip
    assert (part["state"], part["dispensed"]) == ("reversed", 4_000)
    assert switch.types() == ["0200", "0200", "0420"]
    assert iso.dispensed_of(switch.asked[-1]) == 4_000
    moved = (await hook.get("0991", "movements"))["movements"]
    assert [(one["role"], one["amount"], one["rail"]) for one in moved] == [
        ("creditor", 10_000, "cash"),
        ("creditor", 10_000, "cash"),
        ("debtor", 6_000, "cash-return"),
    ]
    await clean(hook)


async def test_the_issuer_pays_and_gets_back_what_was_not_dispensed(
    hook: Hook, switch: LaneSwitch
) -> None:
    sent = a_request("01", e2=CARD, e32="0991", e52="0412AC4DE1F00A97")
    shown = await hook.get("0971", f"accounts/{CREDITOR_CCI}")
    paid = await switch.ask("0971", sent)
    balance = await switch.ask("0971", a_request("31", e2=CARD, e11="000777"))
    back = await switch.ask("0971", a_reversal(sent, e95=replacement(2_500)))

    assert (shown["card"], paid["39"], back["39"]) == (CARD, "00", "00")
    assert iso.available_in(balance["54"]) == OPENING - AMOUNT
    assert await hook.balance("0971", CREDITOR_CCI) == OPENING - 2_500
    await clean(hook)


async def test_cash_comes_in_over_the_counter(hook: Hook, switch: LaneSwitch) -> None:
    switch.answers = {"0200/21": granted}
    wish = {"kind": "deposit", "cci": CREDITOR_CCI, "amount": AMOUNT}

    done = await hook.post("0991", "cash", wish)
    declined = await hook.call("POST", "0991", "cash", wish | {"cci": "123"})
    elsewhere = await hook.call("POST", "0971", "cash", wish)

    assert (done["state"], done["transfer_id"]) == ("approved", SUBJECT)
    assert (declined[0], elsewhere[0]) == (400, 404)
    await clean(hook)


# --- kill -9


@pytest.fixture
async def killable(
    house: ClearingHouse, switch: LaneSwitch, tmp_path: Path
) -> AsyncIterator[Killable]:
    fleet = Killable(config(tmp_path, house, switch))
    yield fleet
    await fleet.stop()


async def test_a_core_killed_between_request_and_answer_has_credited_once_or_not_at_all(
    switch: LaneSwitch, killable: Killable
) -> None:
    async with await killable.start() as hook:
        await signed_on(hook)
        # Credited, and never answered: 66.44. The other has been answered.
        silent = a_request("40", e4=f"{6644:012}", e62=iso.tagged({"01": "silent", "06": "0970"}))
        loud = a_request("40", e11="000124")
        asking = asyncio.create_task(switch.ask("0971", silent))
        first = await switch.ask("0971", loud)
        await killable.kill()
        with pytest.raises((NoAnswer, TimeoutError)):
            await asking

    async with await killable.start() as hook:
        assert await switch.ask("0971", loud | {"t": "0201"}) == first
        undone = await switch.ask("0971", a_reversal(silent) | {"t": "0421"})
        again = await switch.ask("0971", a_reversal(silent) | {"t": "0421"})

        assert undone["39"] in {"00", "25"}
        assert again == undone
        assert await hook.balance("0971", CREDITOR_CCI) == OPENING + AMOUNT
        await clean(hook)


async def test_a_machine_killed_before_its_reversal_was_answered_goes_on_with_it(
    switch: LaneSwitch, killable: Killable
) -> None:
    switch.answers = {"0200/01": dispensable}
    async with await killable.start() as hook:
        await signed_on(hook)
        asking = asyncio.create_task(
            hook.call("POST", "0991", "cash", WITHDRAWAL | {"dispense": 4_000})
        )
        await switch.until("0420")
        await killable.kill()
        await asyncio.gather(asking, return_exceptions=True)

    seen = len(switch.asked)
    switch.answers["0421"] = dispensable
    async with await killable.start() as hook:
        await switch.until("0421")
        async with asyncio.timeout(5):
            while len((await hook.get("0991", "movements"))["movements"]) < 2:
                pass

        assert iso.key_of(switch.asked[seen]) == iso.key_of(switch.asked[0])
        assert iso.dispensed_of(switch.asked[seen]) == 4_000
        moved = (await hook.get("0991", "movements"))["movements"]
        assert [(one["role"], one["amount"]) for one in moved] == [
            ("creditor", 10_000), ("debtor", 6_000),
        ]  # fmt: skip
        await clean(hook)


async def test_a_machine_killed_before_the_answer_has_handed_nothing_out(
    switch: LaneSwitch, killable: Killable
) -> None:
    async with await killable.start() as hook:
        await signed_on(hook)
        asking = asyncio.create_task(hook.call("POST", "0991", "cash", WITHDRAWAL))
        await switch.until("0200")
        await killable.kill()
        await asyncio.gather(asking, return_exceptions=True)

    switch.answers = {"0420": dispensable}
    async with await killable.start() as hook:
        await switch.until("0420")
        sent, reversal = switch.asked
        assert iso.original_key(reversal) == iso.key_of(sent)
        assert "95" not in reversal
        async with asyncio.timeout(5):
            page = await hook.get("0991", "accounts")
            assert await hook.balance("0991", page["accounts"][0]["cci"]) == TILL
        await clean(hook)
