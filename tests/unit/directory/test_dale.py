"""The coops' network before a national directory that answers, refuses, is slow or is gone."""

import asyncio
from datetime import timedelta
from types import MappingProxyType

import pytest

from directory.core.alias import EntryState, Refusal
from directory.core.dale import IndexState, Registered, Standing
from directory.core.registry import Instruction, Order
from directory.dale import Dale, LookedUp
from directory.service import DirectoryService
from runtime.clock import ManualClock
from runtime.files import load_profile
from scheme.errors import NoAnswer, StoreError
from scheme.people import REFERENCE_PEOPLE
from scheme.reasons import ReasonCode
from tests.support.directory_fakes import RULES, MemoryDirectoryStore, a_service, lima_clock
from tests.support.network_fakes import MEMBERS, MemoryIndex, ScriptedNational

CCI = "97000110020030040142"
OTHER_CCI = "97000110020030041944"
KNOWN, UNKNOWN = "+51900000202", "+51900000888"


class Network:
    """Dale and everything around it in a test's hands."""

    def __init__(self) -> None:
        self.clock: ManualClock = lima_clock("2026-01-15T10:26:05.640")
        self.directory: DirectoryService = a_service(MemoryDirectoryStore(), clock=self.clock)
        self.national = ScriptedNational(self.directory)
        self.index = MemoryIndex()
        self.dale = Dale(
            self.index,
            self.national,
            members=MappingProxyType(MEMBERS),
            rules=RULES,
            network=load_profile("peru").network,
            clock=self.clock,
        )

    def order(self, action: str = "NEWR", phone: str = "900000101", cci: str = CCI) -> Order:
        return Order(
            instruction=Instruction(action),
            phone=phone,
            participant="0970",
            cci=None if action == "DEAC" else cci,
            registration_id=self.dale.registration_id("0970"),
        )

    async def look_up(self, *phones: str) -> LookedUp:
        found = await self.dale.look_up("0970", phones)
        assert isinstance(found, LookedUp)
        return found

    def state(self, phone: str = "900000101") -> IndexState:
        return self.index.entries[phone, "0970"].state

    async def given_up(self, order: Order) -> Registered:
        """Register while the national directory does not answer."""
        self.national.silent = asyncio.Event()
        registering = asyncio.create_task(self.dale.register(order))
        await asyncio.sleep(0)
        await self.clock.advance(timedelta(seconds=2))
        return await registering


@pytest.fixture
async def network() -> Network:
    made = Network()
    await made.directory.seed(REFERENCE_PEOPLE)
    return made


def codes(found: LookedUp) -> list[list[str]]:
    return [[entity.code for entity in one.entities] for one in found.results]


async def test_a_registration_is_on_both_sides_once_it_is_accepted(network: Network) -> None:
    done = await network.dale.register(network.order())
    assert (done.status, done.upstream, done.network) == ("ACTC", "ACTC", "ACTC")
    assert network.state() is IndexState.ACTIVE
    assert network.directory.resolve_phone("900000101", "0970") is not None
    assert codes(await network.look_up("+51900000101")) == [["0970"]]


async def test_what_the_national_directory_refuses_is_passed_on_and_not_written(
    network: Network,
) -> None:
    await network.dale.register(network.order())
    again = await network.dale.register(network.order(cci=OTHER_CCI))
    assert (again.status, again.reason) == (Standing.REJECTED, ReasonCode.IREG)
    assert network.index.entries["900000101", "0970"].cci == CCI


async def test_an_account_of_another_entity_never_leaves_the_network(network: Network) -> None:
    done = await network.dale.register(network.order(cci="97100220030040050213"))
    assert (done.status, done.upstream, done.reason) == ("RJCT", None, ReasonCode.FF02)
    assert network.directory.entries("900000101") == []


async def test_without_an_answer_in_time_an_alias_is_pending_and_not_used(
    network: Network,
) -> None:
    done = await network.given_up(network.order())
    assert (done.status, done.upstream, done.network) == ("PENDING", "PENDING", "PENDING")
    assert network.state() is IndexState.PENDING
    network.national.failure = NoAnswer("down")
    network.national.silent = None
    found = await network.look_up("+51900000101")
    assert (found.partial, codes(found)) == (True, [[]])


async def test_an_answer_that_comes_late_settles_what_is_pending(network: Network) -> None:
    await network.given_up(network.order())
    assert network.national.silent is not None
    network.national.silent.set()
    await network.clock.advance(timedelta(0))
    assert network.state() is IndexState.ACTIVE


async def test_a_refusal_that_comes_late_restores_what_was(network: Network) -> None:
    await network.dale.register(network.order())
    await network.given_up(network.order(cci=OTHER_CCI))
    assert network.state() is IndexState.PENDING
    assert network.national.silent is not None
    network.national.silent.set()
    await network.clock.advance(timedelta(0))
    entry = network.index.entries["900000101", "0970"]
    assert (entry.state, entry.cci) == (IndexState.ACTIVE, CCI)


async def test_a_directory_that_is_gone_leaves_an_alias_pending(network: Network) -> None:
    network.national.failure = NoAnswer("gone")
    assert (await network.dale.register(network.order())).status is Standing.PENDING
    assert network.state() is IndexState.PENDING


async def test_a_directory_that_cannot_write_refuses(network: Network) -> None:
    network.national.failure = StoreError("broken")
    done = await network.dale.register(network.order())
    assert (done.status, done.reason) == (Standing.REJECTED, ReasonCode.FF07)
    assert network.index.entries == {}


async def test_a_directory_that_is_down_makes_the_answer_partial(network: Network) -> None:
    await network.dale.register(network.order())
    network.national.silent = asyncio.Event()
    asking = asyncio.create_task(network.look_up("+51900000101", UNKNOWN))
    await asyncio.sleep(0)
    await network.clock.advance(timedelta(seconds=2))
    found = await asking
    assert (found.partial, codes(found)) == (True, [["0970"], []])


async def test_the_national_answer_is_merged_with_the_index(network: Network) -> None:
    found = await network.look_up(KNOWN, UNKNOWN)
    assert not found.partial
    shown = [(one.code, one.route, one.directory) for one in found.results[0].entities]
    assert shown[0] == ("0971", "network", "0903")
    assert ("0988", "clearing", "0903") in shown
    assert ("0901", "clearing", "0901") in shown
    assert found.results[1].entities == ()
    assert network.national.asked == [("0970", (KNOWN, UNKNOWN))]


async def test_sweeping_through_unknown_phones_shuts_a_coop_out_of_the_network(
    network: Network,
) -> None:
    for start in range(0, 40, 20):
        await network.look_up(*(f"+5190000{start + n:04}" for n in range(1000, 1020)))
    refusal = await network.dale.look_up("0970", [KNOWN])
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == (ReasonCode.FF07, "phones")
    assert isinstance(await network.dale.look_up("0971", [KNOWN]), LookedUp)
    assert [one.participant for one in network.directory.quotas()] == ["0970", "0971"]
    await network.clock.advance(timedelta(minutes=1))
    assert isinstance(await network.dale.look_up("0970", [KNOWN]), LookedUp)


@pytest.mark.parametrize(
    ("phones", "field"),
    [([], "phones"), ([KNOWN] * 101, "phones"), ([KNOWN, "12"], "phones[1]")],
)
async def test_a_list_that_cannot_be_asked_about_names_its_fault(
    network: Network, phones: list[str], field: str
) -> None:
    refusal = await network.dale.look_up("0970", phones)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == (ReasonCode.FF02, field)


async def test_an_alias_gone_nationally_is_hidden_after_a_day_and_listed(network: Network) -> None:
    await network.dale.register(network.order())
    await network.directory.register(network.order("DEAC"))
    assert codes(await network.look_up("+51900000101")) == [["0970"]]
    await network.clock.advance(timedelta(days=1))
    assert codes(await network.look_up("+51900000101")) == [[]]
    assert [one.phone for one in network.dale.mismatches()] == ["900000101"]


async def test_an_alias_of_two_coops_names_both_and_moves_with_the_customer(
    network: Network,
) -> None:
    await network.dale.register(network.order(phone="900000202"))
    assert codes(await network.look_up(KNOWN))[0][:2] == ["0970", "0971"]
    gone = Order(instruction=Instruction.DEAC, phone="900000202", participant="0971", cci=None)
    assert (await network.dale.register(gone)).status is Standing.ACCEPTED
    assert codes(await network.look_up(KNOWN))[0][0] == "0970"
    assert "0971" not in codes(await network.look_up(KNOWN))[0]


async def test_a_bulk_record_whose_result_stands_is_accepted_and_ends_what_is_pending(
    network: Network,
) -> None:
    await network.given_up(network.order())
    network.national.silent = None
    await network.directory.register(network.order())
    assert await network.dale.settle(network.order()) is None
    assert network.state() is IndexState.ACTIVE
    assert await network.dale.settle(network.order("DEAC")) is None
    assert await network.dale.settle(network.order("DEAC")) is None
    assert network.directory.entries("900000101")[0].state is EntryState.INACTIVE
    never = await network.dale.settle(network.order("DEAC", phone="900000888"))
    assert never is not None
    assert never.reason is ReasonCode.UREG


async def test_a_bulk_record_without_an_answer_is_left_for_another_time(network: Network) -> None:
    network.national.failure = NoAnswer("gone")
    with pytest.raises(NoAnswer):
        await network.dale.settle(network.order())
