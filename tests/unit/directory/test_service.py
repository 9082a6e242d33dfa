import asyncio
from datetime import timedelta

import pytest

from directory.core.alias import Entry, EntryState, Refusal, Resolution
from directory.core.registry import Instruction, Order
from directory.service import DirectoryService, ListRefusal
from scheme.errors import StoreError
from scheme.people import REFERENCE_PEOPLE
from scheme.reasons import ReasonCode
from tests.support.directory_fakes import MemoryDirectoryStore, a_service, lima_clock

CCI = "97000110020030040142"
OTHER_CCI = "97000110020030041944"


def an_order(
    instruction: Instruction = Instruction.NEWR, *, cci: str | None = CCI, sender: str = "0970"
) -> Order:
    return Order(instruction=instruction, phone="900000101", participant=sender, cci=cci)


@pytest.fixture
async def service() -> DirectoryService:
    seeded = a_service(MemoryDirectoryStore())
    await seeded.seed(REFERENCE_PEOPLE)
    return seeded


async def test_a_registered_phone_resolves_at_once_and_no_more_after_deactivation(
    service: DirectoryService,
) -> None:
    assert service.resolve_phone("900000101", "0970") is None
    await service.register(an_order())
    assert service.resolve_phone("900000101", "0970") == Resolution("0970", CCI)
    await service.register(an_order(Instruction.AMND, cci=OTHER_CCI))
    assert service.resolve_phone("900000101", "0970") == Resolution("0970", OTHER_CCI)
    await service.register(an_order(Instruction.DEAC, cci=None))
    assert service.resolve_phone("900000101", "0970") is None
    assert [one.state for one in service.entries("900000101")] == [EntryState.INACTIVE]


async def test_of_two_registrations_at_once_only_the_first_is_accepted(
    service: DirectoryService,
) -> None:
    outcomes = await asyncio.gather(
        service.register(an_order()), service.register(an_order(cci=OTHER_CCI))
    )
    assert isinstance(outcomes[0], Entry)
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].reason is ReasonCode.IREG
    assert service.resolve_phone("900000101", "0970") == Resolution("0970", CCI)


async def test_the_same_phone_at_another_entity_is_a_further_entry(
    service: DirectoryService,
) -> None:
    await service.register(an_order())
    other = an_order(cci="97100220030040050213", sender="0971")
    assert isinstance(await service.register(other), Entry)
    assert service.resolve_phone("900000101", "0970") == Resolution("0970", CCI)


async def test_a_participant_that_never_registered_may_neither_register_nor_look_up(
    service: DirectoryService,
) -> None:
    order = an_order(cci="98912300000000000050", sender="0989")
    refusal = await service.register(order)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is ReasonCode.DNOR
    looked_up = service.look_up("0989", ["+51900000202"])
    assert isinstance(looked_up, Refusal)
    assert looked_up.reason is ReasonCode.DNOR


async def test_the_printed_tokens_lead_to_their_accounts(service: DirectoryService) -> None:
    for token, directory, participant in (
        ("ea7874f72c02a0d20639c77ae0ba5944", "0901", "0002"),
        ("JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms=", "0901", "0002"),
        ("f8d9e7dc4b9e9384d598f6f0fb0364dd", "0902", "0003"),
    ):
        resolution = service.resolve_token(token, directory)
        assert resolution is not None
        assert resolution.participant == participant
        assert resolution.cci.startswith(participant[1:])
    assert service.resolve_token("ea7874f72c02a0d20639c77ae0ba5944", "0902") is None


@pytest.mark.parametrize(
    ("phones", "field"),
    [
        ([], "SplmtryData.Envlp.Proxy"),
        (["+51900000202"] * 101, "SplmtryData.Envlp.Proxy"),
        (["+51900000202", "+1202555"], "SplmtryData.Envlp.Proxy[1].Value"),
    ],
)
async def test_a_list_that_cannot_be_looked_up_costs_nothing(
    service: DirectoryService, phones: list[str], field: str
) -> None:
    refusal = service.look_up("0970", phones)
    assert isinstance(refusal, ListRefusal)
    assert (refusal.field, refusal.entries) == (field, len(phones))
    assert service.quotas() == ()


async def test_the_longest_list_is_answered(service: DirectoryService) -> None:
    answers = service.look_up("0970", ["+51900000202"] * 100)
    assert isinstance(answers, tuple)
    assert [len(one.presences) for one in answers] == [100, 100, 100]


async def test_a_sweep_through_unknown_phones_shuts_its_sender_out_for_minutes() -> None:
    clock = lima_clock("2026-01-15T10:00:00")
    service = a_service(MemoryDirectoryStore(), clock=clock)
    unknown = [f"+519000{number:05}" for number in range(100)]
    assert isinstance(service.look_up("0970", unknown), tuple)
    await clock.advance(timedelta(seconds=140))
    refusal = service.look_up("0970", unknown)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is ReasonCode.FF07
    assert isinstance(service.look_up("0971", unknown), tuple)
    await clock.advance(timedelta(milliseconds=1))
    assert isinstance(service.look_up("0970", unknown), tuple)


async def test_without_a_quota_any_sweep_is_answered() -> None:
    service = a_service(MemoryDirectoryStore(), rules={"bucket_per_minute": 0})
    unknown = [f"+519000{number:05}" for number in range(100)]
    for _ in range(20):
        assert isinstance(service.look_up("0970", unknown), tuple)


async def test_a_directory_is_seeded_once() -> None:
    service = a_service(MemoryDirectoryStore())
    assert await service.seed(REFERENCE_PEOPLE)
    assert not await service.seed(REFERENCE_PEOPLE)


async def test_a_store_that_fails_is_said_so() -> None:
    store = MemoryDirectoryStore()
    service = a_service(store)
    store.is_broken = True
    with pytest.raises(StoreError):
        service.resolve_phone("900000202", "0971")
    with pytest.raises(StoreError):
        await service.register(an_order())
