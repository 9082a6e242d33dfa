"""The desk of the ISO 8583 lane between a router, a verifier and cash that do as a test says."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from msgspec.structs import replace

from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme import cci
from scheme.messages import AV1, AV4, CT1, CT4
from scheme.network import Participant
from scheme.wire.iso8583_spec import Fields
from scheme.wire.tin_json import decode, encode
from switch.core import answers, rules
from switch.core.cash import CashAnswer
from switch.core.records import Binding
from switch.flight import (
    Answer,
    EarlyRefusal,
    Entered,
    Reversal,
    ReversalOutcome,
)
from switch.iso8583_desk import Iso8583Desk
from tests.support.iso8583_mapping import (
    BANK,
    CORE,
    NOW,
    account,
    lane_fleet,
)
from tests.support.switch_world import golden

FLEET = lane_fleet()
VERIFIED = "2026011510161309758191000124"
ORDERED = "2026011510161309754191000124"


class ScriptedOrders:
    """A router that posts everything, or does as the test says.

    Attributes:
        taken: the orders, with how they came.
        gate: orders wait for it, if it is set.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[CT1, Entered]] = []
        self.reversed: list[tuple[str, str]] = []
        self.known: dict[str, tuple[str, Answer]] = {}
        self.refusal: rules.Refusal | None = None
        self.error: Exception | None = None
        self.reversal = Reversal(ReversalOutcome.UNKNOWN, "", result("05", "DS24"))
        self.gate: asyncio.Event | None = None

    async def order(self, ct1: CT1, entered: Entered | None = None) -> Answer:
        assert entered is not None
        self.taken.append((ct1, entered))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        answer = result("00", None)
        if self.refusal is not None:
            answer = replace(result("05", self.refusal.reason), explain=self.refusal.header)
        self.known[entered.key] = (entered.content, answer)
        return answer

    async def repeated(self, key: str, content: str) -> Answer | None:
        if key not in self.known:
            return None
        first, answer = self.known[key]
        if first != content:
            return replace(result("05", "AM05"), explain=rules.OTHER_CONTENT.header)
        return answer

    def content(self, key: str) -> str | None:
        return self.known[key][0] if key in self.known else None

    async def refuse(self, early: EarlyRefusal) -> Answer:
        if self.error is not None:
            raise self.error
        if (known := await self.repeated(early.key, early.content)) is not None:
            return known
        answer = replace(result("05", early.reason), explain=early.rule)
        self.known[early.key] = (early.content, answer)
        return answer

    async def reverse(self, key: str, *, debtor_agent: str = "") -> Reversal:
        if self.error is not None:
            raise self.error
        self.reversed.append((key, debtor_agent))
        return self.reversal


def result(code: str, reason: str | None) -> Answer:
    ct4 = decode(golden("CT4"), CT4)
    ct4 = replace(ct4, responseCode=code, reasonCode=reason, instructionId=ORDERED)
    return Answer(encode(ct4), "", ORDERED)


class ScriptedQueries:
    """A verifier that finds the bank's account, or does as the test says."""

    def __init__(self) -> None:
        self.asked: list[AV1] = []
        self.bindings: dict[str, Binding] = {}
        self.refusal: rules.Refusal | None = None
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def query(self, av1: AV1, also: str = "") -> Answer:
        self.asked.append(av1)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.refusal is not None:
            echo = {name: getattr(av1, name) for name in AV1.__struct_fields__}
            av4 = answers.account_refused(echo, reason=self.refusal.reason, instruction="")
            return Answer(encode(av4), self.refusal.header)
        account_found = av1.creditorCCI
        if account_found is None or cci.is_placeholder(account_found):
            account_found = account(BANK)
        alias = rules.alias_of(av1)[0]
        self.bindings[VERIFIED] = a_binding(av1, creditor_cci=account_found, alias=alias)
        av4 = decode(golden("AV4-by-phone"), AV4)
        av4 = replace(
            av4,
            instructionId=VERIFIED,
            creditorParticipantCode=BANK,
            creditorCCI=account_found,
            sameCustomerFlag="O",
        )
        return Answer(encode(av4), "", VERIFIED)


def a_binding(av1: AV1, **changes: Any) -> Binding:
    fields: dict[str, Any] = {
        "instruction_id": VERIFIED,
        "debtor_agent": av1.debtorParticipantCode,
        "debtor_id_code": av1.debtorIdCode,
        "debtor_id": av1.debtorId,
        "requested_creditor": av1.creditorParticipantCode,
        "creditor_agent": BANK,
        "creditor_cci": account(BANK),
        "creditor_card": None,
        "currency": av1.currency,
        "transaction_type": av1.transactionType,
        "channel": av1.channel,
        "created_ms": 1,
    }
    return Binding(**(fields | changes))


class ScriptedCash:
    """Cash at machines that says what the test says."""

    def __init__(self) -> None:
        self.answer = CashAnswer(response_code="00", subject="W1", auth="A1B2C3")
        self.reversal: CashAnswer | None = None
        self.asked: list[str] = []

    async def withdraw(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        self.asked.append("withdraw")
        return self.answer

    async def enquire(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        self.asked.append("enquire")
        return self.answer

    async def reverse(self, acquirer: Participant, fields: Fields) -> CashAnswer | None:
        self.asked.append("reverse")
        return self.reversal


class Bench:
    """A desk and its scripted surroundings."""

    def __init__(self) -> None:
        self.orders = ScriptedOrders()
        self.queries = ScriptedQueries()
        self.cash = ScriptedCash()
        self.tasks: list[asyncio.Task[Any]] = []
        self.desk = Iso8583Desk(
            orders=self.orders,
            queries=self.queries,
            cash=self.cash,
            binding=self.queries.bindings.get,
            fleet=FLEET,
            profile=load_profile("peru"),
            clock=ManualClock(NOW),
            spawn=self._spawn,
        )

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def ask(self, fields: Fields) -> Fields:
        answer = await self.desk.handle(FLEET[sender(fields)], fields)
        assert answer is not None
        return answer

    def start(self, fields: Fields) -> "asyncio.Task[Fields | None]":
        return asyncio.create_task(self.desk.handle(FLEET[sender(fields)], fields))


def sender(fields: Fields) -> str:
    return fields["32"][-4:] if fields.get("32", "")[-4:] in FLEET else CORE
