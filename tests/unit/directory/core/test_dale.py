import pytest
from msgspec.structs import replace

from directory.core.alias import CLEARING_HOUSE, PLIN, YAPE, Entry, EntryState
from directory.core.dale import (
    IndexEntry,
    IndexState,
    Merged,
    Payable,
    Registered,
    Standing,
    accepted,
    found_upstream,
    merge,
    refused_late,
    registration_refusal,
    stands,
    unanswered,
)
from directory.core.lookup import DirectoryAnswer, Presence
from directory.core.registry import Instruction, Order
from scheme.reasons import ReasonCode

PHONE = "+51900000202"
CCI = "97000110020030040142"
DAY_MS = 86_400_000
NOW_MS = 10 * DAY_MS
MEMBERS = ("0970", "0971")
NEWR = Order(instruction=Instruction.NEWR, phone="900000202", participant="0970", cci=CCI)
DEAC = replace(NEWR, instruction=Instruction.DEAC, cci=None)


def an_entry(code: str = "0971", state: IndexState = IndexState.ACTIVE, age: int = 0) -> IndexEntry:
    return IndexEntry(
        phone="900000202", participant=code, cci=CCI, state=state, changed_ms=NOW_MS - age
    )


def merged(*index: IndexEntry, upstream: list[tuple[str, str]] | None) -> Merged:
    return merge(PHONE, index, upstream, members=MEMBERS, now_ms=NOW_MS, stale_ms=DAY_MS)


def routes(found: Merged) -> list[tuple[str, str]]:
    return [(one.code, one.route) for one in found.entities]


def test_both_sides_are_united_and_an_entity_both_know_appears_once() -> None:
    upstream = [(CLEARING_HOUSE, "0988"), (CLEARING_HOUSE, "0971"), (YAPE, YAPE), (PLIN, PLIN)]
    found = merged(an_entry("0971"), an_entry("0970"), upstream=upstream)
    assert found.entities == (
        Payable("0970", "network", CLEARING_HOUSE),
        Payable("0971", "network", CLEARING_HOUSE),
        Payable("0988", "clearing", CLEARING_HOUSE),
        Payable(YAPE, "clearing", YAPE),
        Payable(PLIN, "clearing", PLIN),
    )
    assert found.mismatches == ()


def test_a_coop_only_the_national_directory_knows_is_inside_the_network_all_the_same() -> None:
    assert routes(merged(upstream=[(CLEARING_HOUSE, "0970")])) == [("0970", "network")]


@pytest.mark.parametrize("state", [IndexState.PENDING, IndexState.INACTIVE])
def test_what_is_not_active_in_the_index_is_not_used(state: IndexState) -> None:
    assert merged(an_entry(state=state), upstream=None).entities == ()


def test_a_coop_that_left_the_network_is_not_answered_for() -> None:
    assert merged(an_entry("0972"), upstream=[]).entities == ()


@pytest.mark.parametrize(("age", "shown"), [(DAY_MS - 1, True), (DAY_MS, False)])
def test_what_only_the_network_knows_is_shown_for_a_day_then_reported(
    age: int, shown: bool
) -> None:
    found = merged(an_entry(age=age), upstream=[(CLEARING_HOUSE, "0988")])
    assert (("0971", "network") in routes(found)) is shown
    assert [one.participant for one in found.mismatches] == ([] if shown else ["0971"])


def test_without_a_national_answer_the_index_alone_is_shown_and_nothing_reported() -> None:
    found = merged(an_entry(age=9 * DAY_MS), upstream=None)
    assert routes(found) == [("0971", "network")]
    assert found.mismatches == ()


def test_a_national_answer_is_read_by_directory_and_place() -> None:
    absent = Presence(PHONE, False, None)
    answers = [
        DirectoryAnswer(CLEARING_HOUSE, (absent, Presence(PHONE, True, ("0971", "0988")))),
        DirectoryAnswer(YAPE, (absent, Presence(PHONE, True, None))),
        DirectoryAnswer(PLIN, (absent, Presence(PHONE, True, ()))),
    ]
    assert found_upstream(answers, 0) == []
    assert found_upstream(answers, 1) == [
        (CLEARING_HOUSE, "0971"),
        (CLEARING_HOUSE, "0988"),
        (YAPE, YAPE),
    ]


@pytest.mark.parametrize(
    ("cci", "rule"),
    [
        (None, "mandatory"),
        ("970", "20 digits"),
        ("97099999999999999999", "an account, no placeholder"),
        ("97100220030040050213", "an account of the sender"),
        (CCI[:-1] + "3", "check digits agree with entity, office and account"),
    ],
)
def test_an_account_that_is_not_the_coop_s_own_or_miswritten_is_ff02(
    cci: str | None, rule: str
) -> None:
    refusal = registration_refusal(replace(NEWR, cci=cci))
    assert refusal is not None
    assert (refusal.reason, refusal.field, refusal.rule) == (ReasonCode.FF02, "cci", rule)


def test_a_deactivation_needs_no_account() -> None:
    assert registration_refusal(DEAC) is None


def test_an_entry_follows_what_the_national_directory_said() -> None:
    pending = unanswered(None, NEWR, now_ms=1)
    assert (pending.state, pending.cci) == (IndexState.PENDING, CCI)
    active = accepted(pending, NEWR, now_ms=2)
    assert (active.state, active.changed_ms) == (IndexState.ACTIVE, 2)
    assert accepted(active, DEAC, now_ms=3).state is IndexState.INACTIVE
    assert accepted(active, DEAC, now_ms=3).cci == CCI
    assert refused_late(active, DEAC, now_ms=4) == active
    assert refused_late(None, NEWR, now_ms=4).state is IndexState.INACTIVE


@pytest.mark.parametrize(
    ("upstream", "network", "status"),
    [
        (Standing.ACCEPTED, Standing.ACCEPTED, Standing.ACCEPTED),
        (Standing.ACCEPTED, Standing.PENDING, Standing.PENDING),
        (Standing.REJECTED, Standing.PENDING, Standing.REJECTED),
        (None, Standing.REJECTED, Standing.REJECTED),
    ],
)
def test_the_status_is_the_worse_of_both_sides(
    upstream: Standing | None, network: Standing, status: Standing
) -> None:
    assert Registered(registration_id="R", upstream=upstream, network=network).status is status


def test_an_instruction_stands_when_its_result_is_there() -> None:
    entry = Entry(phone="900000202", directory=CLEARING_HOUSE, participant="0970", cci=CCI)
    gone = replace(entry, state=EntryState.INACTIVE)
    assert stands(entry, NEWR)
    assert stands(gone, DEAC)
    assert not stands(replace(entry, cci="97000110020030041944"), NEWR)
    assert not stands(gone, NEWR)
    assert not stands(entry, DEAC)
    assert not stands(None, DEAC)
