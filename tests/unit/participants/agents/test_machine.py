"""Machines of one network: what is asked is on disk, what was not handed out is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from participants.agents.machine import MachineDesk
from participants.core import iso8583_wording as iso
from participants.core.book import Account, CashOrder, CashState, Role
from participants.core.cash import CashWish
from participants.core.replies import SILENCE, LaneReply
from participants.core.tills import tills_of
from scheme.errors import NoAnswer, NotConnected
from scheme.network import Participant
from scheme.wire.iso8583_spec import Fields
from tests.support.fleet_world import World, started

CODE = "0991"
OPENING = 1_000_000_000
AMOUNT = 10_000
SUBJECT = "W20260115101612-0991-abcdef012345"
NETWORK = Participant(code=CODE, name="RED SIMULADA", kind="acquirer", lane="iso8583")
CARDLESS = CashWish(kind="withdrawal", phone="900000202", code="12345678", amount=AMOUNT)
CARD = CashWish(kind="withdrawal", card="9709710003004005", amount=AMOUNT)
DEPOSIT = CashWish(kind="deposit", cci="97100220030040050213", amount=AMOUNT)

Script = Callable[[Fields], Fields] | BaseException


class ScriptedLine:
    """A line whose other end answers as told, request by request; the last answer repeats."""

    links = 1
    is_held = False

    def __init__(self) -> None:
        self.take: Any = self._silent
        self.asked: list[Fields] = []
        self.script: list[Script] = []

    async def _silent(self, _: Fields) -> LaneReply:
        return SILENCE

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def cut(self) -> None:
        pass

    async def ready(self) -> None:
        pass

    async def ask(self, fields: Fields) -> Fields:
        self.asked.append(fields)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer(fields)

    def types(self) -> list[str]:
        return [fields["t"] for fields in self.asked]


def said(code: str, subject: str = SUBJECT, **more: str) -> Script:
    """Answer with a code."""
    return lambda asked: iso.answer_to(asked, code, subject=subject, more=more)


class MachineWorld(World):
    def __init__(self, open_orders: tuple[CashOrder, ...] = ()) -> None:
        super().__init__(CODE, tills_of(NETWORK))
        self.institution.entry = NETWORK
        self.line = ScriptedLine()
        self.machines = MachineDesk(self.institution, self.line, open_orders)

    @property
    def till(self) -> Account:
        found = self.machines.till("PEN")
        assert found is not None
        return found

    def cash(self) -> list[CashOrder]:
        return [one.cash for one in self.books.changes if one.cash is not None]

    def rows(self) -> list[tuple[Role, int, str]]:
        rows = [one.rail_payment for one in self.books.changes]
        return [(one.role, one.total, one.rail) for one in rows if one is not None]


@pytest.fixture
async def world() -> AsyncIterator[MachineWorld]:
    world = MachineWorld()
    yield world
    await world.close()


async def test_an_approved_withdrawal_pays_the_till(world: MachineWorld) -> None:
    world.line.script = [said("00")]
    result = await world.machines.operate(CARDLESS)

    assert (result.state, result.dispensed, result.transfer_id) == ("approved", AMOUNT, SUBJECT)
    assert world.till.balance == OPENING + AMOUNT
    assert [one.state for one in world.cash()] == [CashState.ASKED, CashState.APPROVED]
    assert world.rows() == [(Role.CREDITOR, AMOUNT, "cash")]


async def test_the_order_is_on_disk_before_its_request_leaves(world: MachineWorld) -> None:
    world.books.is_slow = True
    world.line.script = [said("00")]
    asking = await started(world.machines.operate(CARDLESS))

    assert world.line.asked == []
    assert world.cash()[0].state is CashState.ASKED
    world.books.is_slow = False
    world.books.flush()
    assert (await asking).state == "approved"


async def test_neither_code_nor_pin_block_is_kept(world: MachineWorld) -> None:
    world.line.script = [said("00")]
    await world.machines.operate(CARDLESS)
    await world.machines.operate(CARD)

    assert iso.tags(world.line.asked[0], "48") == {"30": "12345678", "31": "900000202"}
    assert (world.line.asked[1]["2"], len(world.line.asked[1]["52"])) == (CARD.card, 16)
    for order in world.cash():
        assert "12345678" not in order.reversal
        assert world.line.asked[1]["52"] not in order.reversal


async def test_a_declined_withdrawal_moves_nothing(world: MachineWorld) -> None:
    world.line.script = [
        lambda asked: iso.answer_to(asked, "55", reason="FF07", rule="DE48.30: another code")
    ]
    result = await world.machines.operate(CARDLESS)

    assert (result.state, result.response_code, result.rule) == (
        "declined", "55", "DE48.30: another code",
    )  # fmt: skip
    assert world.line.types() == ["0200"]
    assert world.till.balance == OPENING


@pytest.mark.parametrize("dispensed", [0, 4_000])
async def test_what_the_machine_cannot_hand_out_goes_back(
    world: MachineWorld, dispensed: int
) -> None:
    world.line.script = [said("00"), said("00")]
    result = await world.machines.operate(replace(CARD, dispense=dispensed))

    assert (result.state, result.dispensed) == ("reversed", dispensed)
    assert world.line.types() == ["0200", "0420"]
    asked, reversal = world.line.asked
    assert iso.original_key(reversal) == iso.key_of(asked)
    assert iso.dispensed_of(reversal) == dispensed
    assert reversal["90"][:10] == "0200" + asked["11"]
    assert world.till.balance == OPENING + dispensed
    assert world.rows() == [
        (Role.CREDITOR, AMOUNT, "cash"), (Role.DEBTOR, AMOUNT - dispensed, "cash-return"),
    ]  # fmt: skip


async def test_a_reversal_is_repeated_until_it_is_answered(world: MachineWorld) -> None:
    world.line.script = [said("00"), NoAnswer("cut"), NotConnected("down"), said("96"), said("00")]
    result = await world.machines.operate(replace(CARD, dispense=0))
    assert result.state == "unknown"

    await world.clock.advance(timedelta(minutes=10))

    assert world.line.types() == ["0200", "0420", "0421", "0421", "0421"]
    assert world.cash()[-1].state is CashState.REVERSED
    assert world.till.balance == OPENING


async def test_silence_is_no_dispensed_note(world: MachineWorld) -> None:
    world.line.script = [NoAnswer("cut"), said("00")]
    result = await world.machines.operate(CARD)

    assert (result.state, result.dispensed) == ("reversed", 0)
    assert world.rows() == []
    assert world.till.balance == OPENING


async def test_a_request_that_never_left_has_nothing_to_take_back(world: MachineWorld) -> None:
    world.line.script = [NotConnected("no link")]
    result = await world.machines.operate(CARD)

    assert (result.state, result.response_code) == ("declined", "91")
    assert world.line.types() == ["0200"]


async def test_a_refused_reversal_is_for_a_person(world: MachineWorld) -> None:
    world.line.script = [said("00"), said("57")]
    result = await world.machines.operate(replace(CARD, dispense=0))

    assert result.state == "unknown"
    assert world.cash()[-1].state is CashState.DISPUTED
    assert world.till.balance == OPENING + AMOUNT


async def test_a_deposit_is_a_transfer_from_the_till(world: MachineWorld) -> None:
    world.line.script = [said("00")]
    result = await world.machines.operate(DEPOSIT)

    asked = world.line.asked[0]
    fee = int(iso.tags(asked, "48")["11"])
    assert (asked["3"], asked["102"], asked["103"]) == ("210000", world.till.cci, DEPOSIT.cci)
    assert result.state == "approved"
    assert world.till.balance == OPENING - AMOUNT - fee
    assert world.rows() == [(Role.DEBTOR, AMOUNT + fee, "cash")]


async def test_a_deposit_without_an_answer_that_was_posted_stays(world: MachineWorld) -> None:
    world.line.script = [NoAnswer("cut"), said("21")]
    result = await world.machines.operate(DEPOSIT)

    assert (result.state, result.transfer_id) == ("approved", SUBJECT)
    assert world.till.balance < OPENING
    assert len(world.rows()) == 1


async def test_a_balance_is_asked_and_leaves_no_trace(world: MachineWorld) -> None:
    world.line.script = [
        lambda asked: iso.answer_to(asked, "00", more={"54": iso.account_amount("604", 77)})
    ]
    result = await world.machines.operate(CashWish(kind="balance", card=CARD.card))

    assert (result.state, result.account_balance) == ("approved", 77)
    assert world.books.changes == []


async def test_a_balance_nobody_answers_is_unknown(world: MachineWorld) -> None:
    world.line.script = [NoAnswer("cut")]

    assert (await world.machines.operate(CashWish(kind="balance", card=CARD.card))).state == (
        "unknown"
    )


async def test_an_answer_that_says_nothing_is_taken_back(world: MachineWorld) -> None:
    world.line.script = [said("96"), said("00")]
    result = await world.machines.operate(CARD)

    assert result.state == "reversed"
    assert world.rows() == []


def test_only_networks_of_machines_have_tills() -> None:
    assert [one.currency for one in tills_of(NETWORK)] == ["PEN", "USD"]
    assert tills_of(Participant(code="0971", name="X", kind="coop")) == []


@pytest.mark.parametrize(
    ("state", "first"), [(CashState.ASKED, "0420"), (CashState.REVERSING, "0421")]
)
async def test_what_was_open_at_the_end_is_taken_back_at_the_start(
    world: MachineWorld, state: CashState, first: str
) -> None:
    world.line.script = [said("00")]
    await world.machines.operate(CARD)
    order = replace(world.cash()[0], state=state)

    again = MachineWorld((order,))
    again.line.script = [said("25")]
    again.machines.resume()
    for _ in range(20):
        await asyncio.sleep(0)

    assert again.line.types() == [first]
    assert again.cash()[-1].state is CashState.REVERSED
    assert again.till.balance == OPENING
    await again.close()
