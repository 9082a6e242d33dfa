"""What is refused before it is a transfer stays refused: on disk before anybody is told."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.files import load_profile
from scheme.network import Participant
from scheme.wire.iso8583_spec import Fields
from switch.core.cash import CashAnswer
from switch.iso8583_desk import Iso8583Desk
from switch.ports import Resolution, TransferFilter
from switch.queries import Queries
from switch.wire_log import WireMessage
from tests.support.iso8583_mapping import (
    CORE,
    NOW,
    OTHER_CORE,
    a_reversal,
    a_transfer,
    a_verification,
    account,
    lane_fleet,
    tags,
)
from tests.support.single_message import Books, never
from tests.support.switch_world import World, world

BY_PHONE = a_transfer({"01": OTHER_CORE, "02": "P", "03": "900000202"}, de103="")
KEY = "iso:0975:20260115:000124:011510161342"
FLEET = lane_fleet()


class NoCash:
    """No machines."""

    async def withdraw(self, acquirer: Participant, fields: Fields) -> CashAnswer:
        raise AssertionError(fields)

    enquire = withdraw

    async def reverse(self, acquirer: Participant, fields: Fields) -> CashAnswer | None:
        return None


class EmptyWire:
    """A wire log in which nothing stands."""

    async def find(self, subjects: frozenset[str], *, since_us: int) -> list[WireMessage]:
        return []

    async def recent(self, *, participant: str | None, limit: int) -> list[WireMessage]:
        return []


class Phones:
    """A directory that may know one account.

    Attributes:
        known: whether it does.
    """

    participant, cci = OTHER_CORE, "97600100000000000188"

    def __init__(self, *, known: bool = False) -> None:
        self.known = known

    def resolve_phone(self, phone: str, code: str) -> Resolution | None:
        return self if self.known else None

    resolve_token = resolve_phone


class Lane:
    """The desk over a clearing house with a real ledger."""

    def __init__(self, one: World) -> None:
        self.one = one
        self.tasks: set[asyncio.Task[Any]] = set()
        self.desk = Iso8583Desk(
            orders=one.house.router,
            queries=one.house.verifier,
            cash=NoCash(),
            binding=one.house.verifier.binding,
            fleet=FLEET,
            profile=load_profile("peru"),
            clock=one.clock,
            spawn=self._spawn,
        )

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def ask(self, fields: Fields) -> Fields:
        answer = await self.desk.handle(FLEET[CORE], fields)
        assert answer is not None
        return answer

    def start(self, fields: Fields) -> "asyncio.Task[Fields | None]":
        return asyncio.create_task(self.desk.handle(FLEET[CORE], fields))


@asynccontextmanager
async def lane(folder: Path, **options: Any) -> AsyncIterator[Lane]:
    async with world(folder, members=FLEET, peers=Books(), **({"start": NOW} | options)) as one:
        one.house.verifier._directory = Phones()
        yield Lane(one)


async def test_a_refusal_stays_when_what_was_wrong_is_not_wrong_any_more(tmp_path: Path) -> None:
    asked = a_transfer({"01": "0002"}, de103="00200100000000000569")
    async with lane(tmp_path) as here:
        await here.one.house.sessions.sign(CORE, on=False)
        first = await here.ask(asked)
        await here.one.house.sessions.sign(CORE, on=True)
        assert (first["39"], tags(first)["03"]) == ("58", "DNOR")
        assert "01" not in tags(first)
        assert await here.ask(asked | {"t": "0201"}) == first
        other = await here.ask(asked | {"4": "000000000001"})
        assert (other["39"], tags(other)["03"]) == ("94", "AM05")
        undone = await here.ask(a_reversal(asked))
        assert (undone["39"], tags(undone)["05"]) == ("00", "58")
        await here.one.audited()
    async with lane(tmp_path, start=NOW + timedelta(days=1)) as here:
        assert await here.ask(asked | {"t": "0201"}) == first
        assert here.one.peers.asked == []


async def test_an_unknown_alias_is_refused_for_good(tmp_path: Path) -> None:
    async with lane(tmp_path) as here:
        first = await here.ask(BY_PHONE)
        assert (first["39"], tags(first)["03"]) == ("56", "CH11")
        assert here.one.state(KEY) == "TOMBSTONE"
        assert await here.ask(BY_PHONE | {"t": "0201"}) == first


async def test_a_silent_verification_is_a_refusal(tmp_path: Path) -> None:
    async with lane(tmp_path) as here:
        here.one.house.verifier._directory = Phones(known=True)
        here.one.peers.on_av2.append(never())
        waiting = here.start(BY_PHONE)
        await here.one.advance(6)
        first = await waiting
        assert first is not None
        assert (first["39"], tags(first)["03"]) == ("91", "AB05")
        await here.one.advance(901)
        assert await here.ask(BY_PHONE | {"t": "0201"}) == first


async def test_a_refusal_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    async with lane(tmp_path) as here:
        here.one.disk.shut()
        asked, repeat = here.start(BY_PHONE), here.start(BY_PHONE | {"t": "0201"})
        reversal = here.start(a_reversal(BY_PHONE))
        await here.one.settle()
        assert not any(one.done() for one in (asked, repeat, reversal))
        here.one.disk.release()
        await here.one.settle()
        assert await asked == await repeat
        assert await asked is not None


async def test_a_reversal_that_comes_while_the_payee_is_verified_wins(tmp_path: Path) -> None:
    async with lane(tmp_path) as here:
        here.one.house.verifier._directory = Phones(known=True)
        query = never()
        here.one.peers.on_av2.append(query)
        asked = here.start(BY_PHONE)
        await here.one.settle()
        reversal = await here.ask(a_reversal(BY_PHONE))
        await here.one.advance(6)
        refused = await asked
        assert refused is not None
        assert (reversal["39"], tags(refused)) == (
            "25",
            {"03": "DS24", "04": "DE32: its debtor's institution took the order back"},
        )
        assert (await here.ask(a_reversal(BY_PHONE, t="0421")))["39"] == "25"


async def test_a_verification_is_quoted_by_one_order(tmp_path: Path) -> None:
    async with lane(tmp_path) as here:
        found = await here.ask(a_verification(de103=account(OTHER_CORE), de11="000100"))
        quoting = a_transfer({"10": tags(found)["01"]}, de103="")
        both = await asyncio.gather(
            here.ask(quoting),
            here.ask(quoting | {"t": "0201"}),
            here.ask(quoting | {"11": "000777"}),
        )
        assert [one["39"] for one in both] == ["00", "00", "94"]
        assert both[0] == both[1]
        assert tags(both[2])["04"].startswith("DE48.10: ")
        assert len(here.one.peers.orders()) == 1
        await here.one.settle()
        rows = here.one.store.transfers(TransferFilter(), limit=9)
        assert [row.state for row in rows] == ["CONFIRMED"]
        await here.one.audited()
    async with lane(tmp_path, start=NOW + timedelta(minutes=1)) as here:
        again = await here.ask(quoting | {"11": "000778"})
        assert tags(again)["03"] == "AM05"
        assert await here.ask(quoting | {"t": "0201"}) == both[0]


async def test_a_full_house_refuses_nothing_that_it_cannot_remember(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lane(tmp_path) as here:
        monkeypatch.setattr(type(here.one.ledger), "is_full", property(lambda _: True))
        assert await here.desk.handle(FLEET[CORE], BY_PHONE) is None
        monkeypatch.undo()
        assert (await here.ask(BY_PHONE))["39"] == "56"


@pytest.mark.parametrize("way", ["account", "phone", "reference"])
async def test_a_house_with_too_much_in_flight_keeps_nothing_of_a_new_order(
    tmp_path: Path, way: str
) -> None:
    async with lane(tmp_path) as here:
        here.one.house.verifier._directory = Phones(known=True)
        found = await here.ask(a_verification(de103=account(OTHER_CORE), de11="000100"))
        asked = {
            "account": a_transfer(),
            "phone": BY_PHONE,
            "reference": a_transfer({"10": tags(found)["01"]}, de103=""),
        }[way]
        router = here.one.house.router
        most, router._in_flight_max = router._in_flight_max, 0
        assert await here.desk.handle(FLEET[CORE], asked) is None
        assert await here.desk.handle(FLEET[CORE], asked | {"t": "0201"}) is None
        assert not here.one.peers.orders()
        router._in_flight_max = most
        paid = await here.ask(asked | {"t": "0201"})
        assert (paid["39"], len(here.one.peers.orders())) == ("00", 1)
        assert await here.ask(asked) == paid
        await here.one.settle()
        await here.one.audited()


async def test_a_refused_transfer_is_shown_with_its_reason(tmp_path: Path) -> None:
    async with lane(tmp_path) as here:
        await here.ask(BY_PHONE)
        queries = Queries(
            here.one.store,
            EmptyWire(),
            clock=here.one.clock,
            in_flight=lambda: (),
            attempts=lambda: (),
        )
        shown = await queries.transfer(KEY)
        assert shown is not None
        assert shown["transfer"]["reason_code"] == "CH11"
        assert shown["decision"]["rule"].startswith("creditorMobileNumber: ")
        assert not any(queries.stuck().values())
        (listed,) = queries.transfers(TransferFilter(), limit=9)["transfers"]
        assert (listed["state"], listed["response_code"]) == ("TOMBSTONE", "05")
