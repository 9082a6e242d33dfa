"""An institution without sockets or disk, and a clearing house that says what it is told to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from participants.agents.institution import Institution
from participants.agents.office import Holdings, Office
from participants.core.book import (
    Account,
    AccountStatus,
    Change,
    CreditOrder,
    DebitOrder,
    LaneRequest,
    Movement,
    RailPayment,
    Role,
)
from participants.core.qr_reading import QrReading, QrRefused
from participants.core.session import SessionState
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.clock import from_ms, lima
from scheme.errors import NoAnswer
from scheme.messages import AV2, CT2, CT5, CTC1, PSR2, Message
from scheme.messages.proxy import (
    ProxyLookup,
    ProxyLookupResponse,
    ProxyRegistration,
    ProxyRegistrationResponse,
)
from scheme.network import Participant
from scheme.wire import tin_json

M = TypeVar("M", bound=Message)
T = TypeVar("T")

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
START = datetime(2026, 1, 15, 15, 16, 12, tzinfo=UTC)
PROFILE = load_profile("peru")
MEMBERS = ("0002", "0003", "0970", "0971", "0988")

CREDITOR_CCI = "97100220030040050213"
DEBTOR_CCI = "97000110020030040142"


def golden(name: str, message: type[M], **changes: Any) -> M:
    """Return a message of the wire's examples, with some fields changed."""
    decoded = tin_json.decode((GOLDEN / f"{name}.json").read_bytes(), message)
    return msgspec.structs.replace(decoded, **changes)


def an_av2(**changes: Any) -> AV2:
    """Return a query for the account of CREDITOR_CCI."""
    return golden("AV2", AV2, **changes)


def a_ct2(**changes: Any) -> CT2:
    """Return an order of S/ 125.00 to CREDITOR_CCI."""
    return golden("CT2", CT2, **changes)


def a_ct5(**changes: Any) -> CT5:
    """Return the confirmation of ``a_ct2()``."""
    return golden("CT5", CT5, **changes)


def a_ctc1(**changes: Any) -> CTC1:
    """Return a cancellation of ``a_ct2()``."""
    changes = {"referenceInstructionId": a_ct2().instructionId} | changes
    return golden("CTC1", CTC1, **changes)


def a_psr2(code: str, **changes: Any) -> PSR2:
    """Return what the clearing house knows of ``a_ct2()``."""
    order = a_ct2()
    said = {
        "instructionId": order.instructionId,
        "amount": order.amount,
        "responseCode": code,
        "reasonCode": "DS24" if code == "05" else None,
    }
    return golden("PSR2", PSR2, **(said | changes))


def an_account(**changes: Any) -> Account:
    """Return the account of CREDITOR_CCI."""
    said: dict[str, Any] = {
        "cci": CREDITOR_CCI,
        "participant": "0971",
        "name": "SOCIO DOS DEMO ENSAYO",
        "document": "00000202",
        "document_code": "2",
        "phone": "900000202",
        "address": "JR LOS ENSAYOS 202",
        "currency": "PEN",
        "status": AccountStatus.ACTIVE,
        "affiliated": True,
        "balance": 100_000,
    }
    return Account(**(said | changes))


class MemoryBooks:
    """A book whose disk answers when it is told to, at once by default."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.on_disk = 0
        self.is_full = False
        self.is_slow = False
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._sequence = 0

    def save(self, change: Change) -> Awaitable[None]:
        self.changes.append(change)
        return self.synced()

    def submit(self, change: Change) -> None:
        self.changes.append(change)
        if not self.is_slow:
            self.flush()

    def synced(self) -> Awaitable[None]:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((len(self.changes), done))
        if not self.is_slow:
            self.flush()
        return done

    def flush(self) -> None:
        """Everything handed over so far is on disk now."""
        self.on_disk = len(self.changes)
        for _, done in self._waiting:
            if not done.done():
                done.set_result(None)
        self._waiting.clear()

    def take_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _saved(self) -> list[Change]:
        return self.changes[: self.on_disk][::-1]

    def credit(self, participant: str, instruction_id: str) -> CreditOrder | None:
        for change in self._saved():
            order = change.credit
            if order is not None and order.instruction_id == instruction_id:
                return order
        return None

    def debit_by_key(self, participant: str, key: str) -> DebitOrder | None:
        for change in self._saved():
            if change.debit is not None and key and change.debit.key == key:
                return change.debit
        return None

    def rail_payment(self, participant: str, role: Role, payment_id: str) -> RailPayment | None:
        for change in self._saved():
            one = change.rail_payment
            if one is not None and (one.role, one.payment_id) == (role, payment_id):
                return one
        return None

    def lane_request(self, participant: str, key: str) -> LaneRequest | None:
        for change in self._saved():
            if change.lane is not None and change.lane.key == key:
                return change.lane
        return None

    async def account_movements(self, participant: str, cci: str, most: int) -> list[Movement]:
        saved = (change.rail_payment for change in self._saved())
        return [_movement(one) for one in saved if one is not None and one.cci == cci][:most]

    def movements(self, participant: str, after: int, limit: int) -> list[Movement]:
        return []


def _movement(one: RailPayment) -> Movement:
    return Movement(
        sequence=one.sequence,
        instruction_id=one.payment_id,
        verification_id=None,
        role=one.role,
        state=one.state,
        counterparty=one.counterparty,
        cci=one.cci,
        amount=one.amount,
        fee=one.fee,
        settlement=one.total,
        currency=one.currency,
        reason_code=None,
        at=lima(from_ms(one.at_ms)).isoformat(timespec="milliseconds"),
        rail=one.rail,
    )


Answer = Message | BaseException | Callable[[Any], Any]


class ScriptedHouse:
    """A clearing house that says what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Any]] = {}
        self.directory: ProxyLookupResponse | BaseException = NoAnswer("no directory")
        self.qr: QrReading | QrRefused | BaseException = NoAnswer("no QR module")

    def will(self, name: str, *answers: Any) -> None:
        """Answer messages of a name in turn; the last answer repeats."""
        self.answers[name] = list(answers)

    def names(self) -> list[str]:
        """Return the messages received, in order."""
        return [name for name, _ in self.asked]

    def encode(self, message: Message) -> bytes:
        return tin_json.encode(message)

    async def ask(self, message: Message, expected: type[M]) -> M:
        return await self._answer(type(message).__name__, message)  # type: ignore[no-any-return]

    async def send(self, name: str, body: bytes, trace: str, expected: type[M]) -> M:
        message = tin_json.decode(body, tin_json.MESSAGES[name])
        return await self._answer(name, message)  # type: ignore[no-any-return]

    async def look_up(self, lookup: ProxyLookup) -> ProxyLookupResponse:
        self.asked.append(("prxy.003", lookup))
        if isinstance(self.directory, BaseException):
            raise self.directory
        return self.directory

    async def register(self, order: ProxyRegistration) -> ProxyRegistrationResponse:
        return await self._answer("prxy.001", order)  # type: ignore[no-any-return]

    async def read_qr(self, text: str) -> QrReading | QrRefused:
        self.asked.append(("qr", text))
        if isinstance(self.qr, BaseException):
            raise self.qr
        return self.qr

    async def _answer(self, name: str, message: Any) -> Any:
        self.asked.append((name, message))
        script = self.answers.get(name) or [NoAnswer("nothing scripted")]
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, BaseException):
            raise answer
        if answer is SILENCE:
            await asyncio.Event().wait()
        return answer(message) if callable(answer) else answer


SILENCE = object()
"""Scripted for a message that never gets an answer."""


class World:
    """One institution with everything around it in a test's hands."""

    def __init__(self, code: str, accounts: list[Account], **holdings: Any) -> None:
        self.clock = ManualClock(START)
        self.books = MemoryBooks()
        self.house = ScriptedHouse()
        self.tasks: set[asyncio.Task[None]] = set()
        entry = Participant(
            code=code,
            name="SIMULADA",
            kind="bank" if code == "0002" else "coop",
            issues="0901" if code == "0002" else "",
        )
        self.institution = Institution(
            entry=entry,
            profile=PROFILE,
            clock=self.clock,
            rng=random.Random(7),
            books=self.books,
            reach=lambda _: self.house,
            session=SessionState(code, MEMBERS),
            directories=frozenset({"0901", "0902"}),
            spawn=self._spawn,
            latency_ms=0,
        )
        self.institution.session.sign(on=True)
        self.office = Office(self.institution, Holdings(accounts=accounts, **holdings))

    def account(self, cci: str) -> Account:
        return self.institution.accounts[cci]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def started(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start work and let it run until it waits."""
    task = asyncio.get_running_loop().create_task(work)
    for _ in range(5):
        await asyncio.sleep(0)
    return task
