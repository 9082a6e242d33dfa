"""A load on a country whose processes are killed meanwhile, and the reckoning afterwards."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

from loadtests.bench.lean_http import Link, request
from loadtests.bench.orders import Debtor, Payee, Plain
from loadtests.bench.traffic import BASE_PATH, Book, Traffic
from runtime.clock import SystemClock
from scheme.people import MAGIC_ORDER_PHONES, MAGIC_PARTICIPANT, magic_people
from tests.support.country import Country

IN_FLIGHT = 64
PATIENCE_S = 60.0
PAYEES_EACH = 8
_LOOK_S = 0.005
_TRACES_EACH = 60_000
# Refused; the first CT5 answered with 500; CT5 acknowledged and forgotten, asked for by PSR1.
_MOODY_NUMBERS = (1, 40, 43)
_PAID = {"POSTED", "CONFIRMED"}


class Told(NamedTuple):
    """An order, and the answer that its agent was given, byte for byte."""

    ct1: bytes
    ct4: bytes


class _Recorder(Plain):
    """The envelope of one lane: it remembers what was asked and what was told."""

    def __init__(self, told: list[Told]) -> None:
        self._told = told
        self._asked = b""

    def wrap(self, document: bytes) -> bytes:
        self._asked = document
        return document

    def unwrap(self, body: bytes) -> bytes:
        if self._asked.startswith(b'{"CT1"'):
            self._told.append(Told(self._asked, body))
        return body


def moody_payees() -> list[Payee]:
    """Return the people whose institution misbehaves at the order, in the ways chosen above."""
    phones = {str(MAGIC_ORDER_PHONES + number) for number in _MOODY_NUMBERS}
    return [
        Payee(MAGIC_PARTICIPANT, holding.cci)
        for person in magic_people()
        if person.phone in phones
        for holding in person.holdings
    ]


class Load:
    """Orders of the load agents, with everything they were told.

    Args:
        country: open for transfers.
        seed: of payees and amounts.
    """

    def __init__(self, country: Country, seed: int) -> None:
        self.country = country
        self.told: list[Told] = []
        self._seed = seed
        self.book = Book()
        codes = country.operations.senders()
        payees = country.operations.payees(PAYEES_EACH) + moody_payees()
        self._opening = {one.cci: country.balance(one.participant, one.cci) for one in payees}
        self._payees = {one.cci: one.participant for one in payees}
        lanes = [
            Debtor(
                codes[number % len(codes)],
                payees,
                random.Random(f"{seed}:{number}"),
                envelope=_Recorder(self.told),
                trace=number // len(codes) * _TRACES_EACH,
            )
            for number in range(IN_FLIGHT)
        ]
        self._traffic = Traffic(
            country.tin_port,
            lanes,
            self.book,
            SystemClock(),
            in_flight=IN_FLIGHT,
            patience_s=PATIENCE_S,
        )

    async def run(self, transfers: int) -> None:
        """Send orders until so many are answered; refused verifications do not count."""
        await self._traffic.sign_on()
        while len(self.told) < transfers:
            await self._traffic.run(transfers=transfers - len(self.told))
        self._traffic.close()

    async def until_told(self, orders: int) -> None:
        """Wait until so many orders have their answer."""
        while len(self.told) < orders:  # noqa: ASYNC110 - a poll that costs the load nothing
            await asyncio.sleep(_LOOK_S)

    async def struck(self, transfers: int, strikes: int, strike: Callable[[], None]) -> None:
        """Send orders; strike in a thread at seeded moments, well apart."""
        rng = random.Random(self._seed)
        part = transfers // (strikes + 1)
        moments = [part * nth + rng.randrange(part // 2) for nth in range(1, strikes + 1)]

        async def saboteur() -> None:
            for moment in moments:
                await self.until_told(moment)
                await asyncio.to_thread(strike)

        async with asyncio.TaskGroup() as group:
            group.create_task(self.run(transfers))
            group.create_task(saboteur())

    async def assert_sound(self) -> None:
        """Hold the answers, the ledger and the creditors' books against one another."""
        assert not self.book.outcomes["unknown"]
        await asyncio.to_thread(assert_settled, self.country)
        await self._assert_answers_stand()
        await asyncio.to_thread(self._assert_ledger_agrees)
        await asyncio.to_thread(self._assert_accounts_agree)

    async def _assert_answers_stand(self) -> None:
        """Every answer is on record: the same order sent again gets the same bytes."""
        differ: list[tuple[Told, bytes]] = []

        async def lane(mine: Sequence[Told]) -> None:
            link = await Link.to("127.0.0.1", self.country.tin_port)
            for one in mine:
                repeat = one.ct1.replace(b'"messageTypeId":"0200"', b'"messageTypeId":"0201"')
                _, body = await link.send(request(BASE_PATH + "CT1", repeat, request_id="000001"))
                if body != one.ct4:
                    differ.append((one, body))
            link.close()

        await asyncio.gather(*(lane(self.told[start::8]) for start in range(8)))
        assert not differ, (len(differ), differ[0])

    def _assert_ledger_agrees(self) -> None:
        """What was told is what was posted, once, and nothing besides."""
        told = [(json.loads(one.ct1)["CT1"], json.loads(one.ct4)["CT4"]) for one in self.told]
        accepted = {ct4["instructionId"]: ct1 for ct1, ct4 in told if ct4["responseCode"] == "00"}
        ours = {
            one["instruction_id"]: one
            for one in self.country.transfers()
            if one["debtor_agent"].startswith("098")
        }
        paid = {code for code, one in ours.items() if one["state"] in _PAID}
        assert paid == set(accepted)
        refused = {ct4["instructionId"] for _, ct4 in told if ct4["responseCode"] == "05"}
        assert not refused & paid
        entries = self._entries()
        for code in ours:
            kinds = ["interbank_fee", "principal"] if code in paid else []
            assert sorted(entries.pop(code, [])) == kinds, code

    def _entries(self) -> dict[str, list[str]]:
        path = self.country.home / "ledger.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            found: dict[str, list[str]] = {}
            for code, kind in database.execute("SELECT transfer_id, kind FROM entries"):
                found.setdefault(code, []).append(kind)
        return found

    def _assert_accounts_agree(self) -> None:
        """Each account grew by what was paid to it, and no creditor's book knows another credit."""
        owed: Counter[str] = Counter()
        for one in self.told:
            ct1 = json.loads(one.ct1)["CT1"]
            if json.loads(one.ct4)["CT4"]["responseCode"] == "00":
                owed[ct1["creditorCCI"]] += ct1["amount"]
        grown = {
            cci: self.country.balance(code, cci) - self._opening[cci]
            for cci, code in self._payees.items()
        }
        assert grown == {cci: owed[cci] for cci in grown}


def assert_settled(country: Country) -> None:
    """Nothing is held, owed or stuck; ledger and books agree, each posted order credited once."""
    country.operations.wait_until_quiet(PATIENCE_S)
    # Load agents keep no book: what they were told is compared in this module.
    skip = [word for code in country.operations.senders() for word in ("--skip", code)]
    reconciled = country.call("reconcile", "--books", "--wait", "20", *skip, code=None)
    assert reconciled.returncode == 0, reconciled.stdout
    stuck = country.get("/stuck")
    assert not any(stuck.values()), stuck
    assert [one for one in country.get("/positions")["positions"] if one["reserved"]] == []
    audit = country.get("/audit")
    assert audit["clean"], audit
    paid = {
        (one["creditor_agent"], one["instruction_id"])
        for one in country.transfers()
        if one["state"] in _PAID
    }
    credited = Counter(
        (code, one["instruction_id"])
        for code in country.ports
        for one in country.movements(code)
        if one["role"] == "creditor" and one["state"] == "FINAL"
    )
    assert credited == Counter(paid)
