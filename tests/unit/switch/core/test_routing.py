"""Routes: every rail is taken or rejected for a reason that is said."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runtime.files import load_profile
from scheme.profile import RAILS, Profile
from switch.core import routing
from switch.core.rails import EVERY, IMMEDIATE
from switch.core.routing import NoRoute, Route, RouteRequest, RoutingState, route
from switch.core.sessions import NetworkState, Session
from tests.support.switch_world import tiered_fleet

PERU = load_profile("peru")
NOON = datetime(2026, 1, 15, 17, 0, tzinfo=UTC)
ON = Session(signed_on=True)
OFF = Session()
BLOCKED = Session(signed_on=True, blocked=True)
COOP, OTHER_COOP, BANK, OTHER_BANK, SPONSOR = "0970", "0971", "0002", "0988", "0987"
MEMBERS = tiered_fleet()


def is_weekday(day: date) -> bool:
    return day.weekday() < 5


def a_state(**changes: Any) -> RoutingState:
    """Return a network in which all are signed on; sessions by code in ``sessions``."""
    sessions = dict.fromkeys(MEMBERS, ON) | changes.pop("sessions", {})
    fields: dict[str, Any] = {
        "network": NetworkState(sessions, changes.pop("suspended", False)),
        "fleet": MEMBERS,
        "preferences": {},
        "refusing": frozenset(),
        "now": NOON,
        "is_business_day": is_weekday,
    }
    return RoutingState(**(fields | changes))


def a_request(debtor: str = BANK, creditor: str = OTHER_BANK, **changes: Any) -> RouteRequest:
    fields: dict[str, Any] = {"currency": "PEN", "minor": 12_500}
    return RouteRequest(debtor=debtor, creditor=creditor, **(fields | changes))


def rules_of(found: Route | NoRoute) -> dict[str, str]:
    return {one.rail: one.verdict.rule for one in found.considered}


ALLOWS_ON_US = replace(PERU, switch=replace(PERU.switch, on_us_allowed=True))
TAKEN: list[tuple[RouteRequest, dict[str, Any], Profile, str]] = [
    (a_request(), {}, PERU, "tin"),
    (a_request(COOP, OTHER_COOP), {}, PERU, "network"),
    (a_request(COOP, BANK), {}, PERU, "tin"),
    (a_request(BANK, COOP), {}, PERU, "tin"),
    (a_request(COOP, SPONSOR), {}, PERU, "tin"),
    (a_request(BANK, BANK), {}, ALLOWS_ON_US, "on_us"),
    (a_request(minor=3_000_000), {}, PERU, "tin"),
    (a_request(minor=3_000_001), {}, PERU, "deferred"),
    (a_request(minor=42_000_000), {}, PERU, "deferred"),
    (a_request(minor=42_000_001), {}, PERU, "lbtr"),
    (a_request(minor=1_000_001, currency="USD"), {}, PERU, "deferred"),
    (a_request(rail="deferred"), {}, PERU, "deferred"),
    (a_request(rail="lbtr", minor=500_000), {}, PERU, "lbtr"),
    (a_request(), {"refusing": frozenset({(OTHER_BANK, "tin")})}, PERU, "deferred"),
    (a_request(), {"sessions": {OTHER_BANK: OFF}}, PERU, "deferred"),
    (a_request(COOP, BANK), {"sessions": {SPONSOR: OFF}}, PERU, "deferred"),
    (a_request(COOP, OTHER_COOP), {"sessions": {SPONSOR: BLOCKED}}, PERU, "network"),
    (a_request(COOP, OTHER_COOP), {"refusing": frozenset({(OTHER_COOP, "network")})}, PERU, "tin"),
    (a_request(COOP, OTHER_COOP), {"preferences": {(COOP, OTHER_COOP): ("tin",)}}, PERU, "tin"),
    (a_request(), {"preferences": {(BANK, OTHER_BANK): ("deferred", "tin")}}, PERU, "deferred"),
    (a_request(), {"preferences": {(OTHER_BANK, BANK): ("deferred",)}}, PERU, "tin"),
    (a_request(minor=None, rails=IMMEDIATE), {}, PERU, "tin"),
]


@pytest.mark.parametrize(("request_", "state", "profile", "rail"), TAKEN)
def test_a_rail_is_taken(
    request_: RouteRequest, state: dict[str, Any], profile: Profile, rail: str
) -> None:
    found = route(request_, a_state(**state), profile)
    assert isinstance(found, Route)
    assert found.rail == rail
    assert rules_of(found)[rail] == "taken"


REJECTED: list[tuple[RouteRequest, dict[str, Any], str, str]] = [
    (a_request(), {}, "on_us", "two_institutions"),
    (a_request(BANK, BANK), {}, "on_us", "on_us"),
    (a_request(BANK, BANK), {}, "tin", "one_institution"),
    (a_request(), {}, "network", "not_in_network"),
    (a_request(COOP, BANK), {}, "network", "not_in_network"),
    (a_request(COOP, "0989"), {}, "network", "not_in_network"),
    (a_request(), {}, "lbtr", "not_needed"),
    (a_request(rails=IMMEDIATE, minor=3_000_001), {}, "lbtr", "other_wire"),
    (a_request(rails=IMMEDIATE, minor=3_000_001), {}, "deferred", "would_carry"),
    (a_request(rail="lbtr"), {}, "tin", "not_asked"),
    (a_request(rail="lbtr"), {}, "lbtr", "below_limit"),
    (a_request(rail="lbtr", currency="USD", minor=199_999), {}, "lbtr", "below_limit"),
    (a_request(minor=3_000_001), {}, "tin", "above_limit"),
    (a_request(minor=42_000_001), {}, "deferred", "above_limit"),
    (a_request(minor=0), {}, "tin", "below_limit"),
    (a_request(), {"preferences": {(BANK, OTHER_BANK): ("lbtr",)}}, "tin", "not_preferred"),
    (a_request(), {"suspended": True}, "tin", "system_suspended"),
    (a_request("0989", BANK), {}, "tin", "debtor_unknown"),
    (a_request(), {"sessions": {BANK: OFF}}, "deferred", "debtor_signed_off"),
    (a_request(), {"sessions": {BANK: BLOCKED}}, "tin", "debtor_blocked"),
    (a_request(BANK, "0989"), {}, "lbtr", "creditor_unknown"),
    (a_request(), {"sessions": {OTHER_BANK: OFF}}, "tin", "creditor_signed_off"),
    (a_request(), {"sessions": {OTHER_BANK: BLOCKED}}, "deferred", "creditor_blocked"),
    (a_request(COOP, BANK), {"sessions": {SPONSOR: OFF}}, "tin", "debtor_sponsor_signed_off"),
    (a_request(COOP, BANK), {"sessions": {SPONSOR: BLOCKED}}, "lbtr", "debtor_sponsor_blocked"),
    (a_request(BANK, COOP), {"sessions": {SPONSOR: OFF}}, "tin", "creditor_sponsor_signed_off"),
    (a_request(), {"refusing": frozenset({(OTHER_BANK, "tin")})}, "tin", "breaker_open"),
    (
        a_request(rail="lbtr", minor=500_000),
        {"now": datetime(2026, 1, 15, 23, 0, tzinfo=UTC)},
        "lbtr",
        "out_of_hours",
    ),
    (
        a_request(rail="lbtr", minor=500_000),
        {"now": datetime(2026, 1, 17, 17, 0, tzinfo=UTC)},
        "lbtr",
        "out_of_hours",
    ),
    (a_request(COOP, OTHER_COOP, currency="USD"), {}, "tin", "not_needed"),
]


@pytest.mark.parametrize(("request_", "state", "rail", "rule"), REJECTED)
def test_a_rail_is_rejected_by_a_rule(
    request_: RouteRequest, state: dict[str, Any], rail: str, rule: str
) -> None:
    found = route(request_, a_state(**state), PERU)
    assert rules_of(found)[rail] == rule


@pytest.mark.parametrize(
    ("side", "rule"), [("debtor", "debtor_currency"), ("creditor", "creditor_currency")]
)
def test_both_sides_hold_the_currency(side: str, rule: str) -> None:
    code = BANK if side == "debtor" else OTHER_BANK
    fleet = MEMBERS | {code: replace(MEMBERS[code], currencies=("PEN",))}
    found = route(a_request(currency="USD"), a_state(fleet=fleet), PERU)
    assert isinstance(found, NoRoute)
    assert {rules_of(found)[rail] for rail in ("tin", "deferred", "lbtr")} == {rule}


def test_a_coop_whose_sponsor_has_left_reaches_only_its_network() -> None:
    state = a_state(fleet={code: one for code, one in MEMBERS.items() if code != SPONSOR})
    found = route(a_request(COOP, BANK), state, PERU)
    assert isinstance(found, NoRoute)
    assert found.refusal.rule == "debtor_sponsor_unknown"
    inside = route(a_request(COOP, OTHER_COOP), state, PERU)
    assert isinstance(inside, Route)


@pytest.mark.parametrize(("opens", "is_taken"), [("11:59:59", True), ("12:00:01", False)])
def test_hours_are_limas(opens: str, is_taken: bool) -> None:
    hours = replace(PERU.rails.hours["lbtr"], opens=opens)
    profile = replace(PERU, rails=replace(PERU.rails, hours={"lbtr": hours}))
    found = route(a_request(rail="lbtr", minor=500_000), a_state(), profile)
    assert isinstance(found, Route) is is_taken


def test_what_is_too_much_for_the_wire_names_the_rail_that_would_carry_it() -> None:
    found = route(a_request(minor=3_000_001, rails=IMMEDIATE), a_state(), PERU)
    assert isinstance(found, NoRoute)
    assert found.refusal.header == (
        "amount: above the limit of an immediate transfer, 30,000.00 PEN;"
        " the rail deferred would carry it: POST /payments"
    )
    late = a_state(now=datetime(2026, 1, 15, 23, 30, tzinfo=UTC))
    nobody = route(a_request(minor=42_000_001, rails=IMMEDIATE), late, PERU)
    assert isinstance(nobody, NoRoute)
    assert nobody.refusal.text.endswith("30,000.00 PEN")


def test_the_refusal_is_that_of_the_first_rail_that_is_for_such_a_transfer() -> None:
    down = frozenset({(OTHER_COOP, "network")})
    state = a_state(refusing=down, sessions={SPONSOR: OFF})
    found = route(a_request(COOP, OTHER_COOP, rails=IMMEDIATE), state, PERU)
    assert isinstance(found, NoRoute)
    assert (found.refusal.reason, found.refusal.rule) == ("AB05", "breaker_open")
    asked = route(a_request(rail="network"), a_state(), PERU)
    assert isinstance(asked, NoRoute)
    assert asked.refusal.rule == "not_in_network"


def test_plaza_and_fee_stand_beside_each_rail() -> None:
    jungle = a_request(
        minor=100_000,
        debtor_cci="00200110020030040142",
        creditor_cci="81300210020030040142",
    )
    assert routing.plaza(jungle, PERU) == "E"
    fees = {rail: routing.fee(rail, jungle, PERU) for rail in RAILS}
    assert fees == {"on_us": 0, "network": 0, "tin": 1_500, "deferred": 40, "lbtr": 1_500}
    assert routing.fee("tin", replace(jungle, is_alias=True), PERU) == 0


def test_the_cheapest_rail_is_chosen_where_the_profile_says_so() -> None:
    cheapest = replace(PERU, rails=replace(PERU.rails, choose="cost"))
    assert [route(a_request(), a_state(), one).rail for one in (PERU, cheapest)] == [  # type: ignore[union-attr]
        "tin",
        "deferred",
    ]
    # What the network carries is free; an operator's word for the pair goes before the cost.
    assert isinstance(free := route(a_request(COOP, OTHER_COOP), a_state(), cheapest), Route)
    assert free.rail == "network"
    told = a_state(preferences={(BANK, OTHER_BANK): ("tin",)})
    assert isinstance(preferred := route(a_request(), told, cheapest), Route)
    assert preferred.rail == "tin"
    # A CT1 takes the rails of its wire all the same.
    assert isinstance(wired := route(a_request(rails=IMMEDIATE), a_state(), cheapest), Route)
    assert wired.rail == "tin"


def test_a_stored_explanation_can_be_told() -> None:
    found = route(a_request(COOP, BANK), a_state(), PERU)
    stored = routing.explanation(found.considered)
    assert stored.split()[:3] == ["on_us:two_institutions", "network:not_in_network", "tin:taken"]
    told = routing.told(routing.without_cover(stored, "tin", "line_short"))
    assert [one["rail"] for one in told] == list(PERU.rails.order)
    assert not any(one["taken"] for one in told)
    assert told[2]["text"] == "the coop's line with its sponsor did not cover it"


SESSIONS = st.sampled_from([ON, ON, ON, OFF, BLOCKED])
CODES = st.sampled_from([*MEMBERS, "0989"])
RAIL_SETS = st.lists(st.sampled_from(RAILS), min_size=1, unique=True).map(tuple)


@given(
    request_=st.builds(
        RouteRequest,
        debtor=CODES,
        creditor=CODES,
        currency=st.sampled_from(["PEN", "USD"]),
        minor=st.none() | st.integers(0, 50_000_000),
        rails=st.sampled_from([EVERY, IMMEDIATE]),
        rail=st.sampled_from(["auto", "auto", *RAILS]),
    ),
    sessions=st.fixed_dictionaries(dict.fromkeys(MEMBERS, SESSIONS)),
    preferences=st.dictionaries(st.tuples(CODES, CODES), RAIL_SETS),
    refusing=st.frozensets(st.tuples(CODES, st.sampled_from(RAILS))),
    hour=st.integers(0, 23),
    on_us=st.booleans(),
)
def test_every_rail_is_named_once_and_at_most_one_is_taken(
    request_: RouteRequest,
    sessions: dict[str, Session],
    preferences: dict[tuple[str, str], tuple[str, ...]],
    refusing: frozenset[tuple[str, str]],
    hour: int,
    on_us: bool,
) -> None:
    state = a_state(
        sessions=sessions,
        preferences=preferences,
        refusing=refusing,
        now=NOON.replace(hour=hour),
    )
    profile = replace(PERU, switch=replace(PERU.switch, on_us_allowed=on_us))
    found = route(request_, state, profile)
    assert sorted(one.rail for one in found.considered) == sorted(RAILS)
    taken = [one.rail for one in found.considered if one.verdict is routing.TAKEN]
    assert taken == ([found.rail] if isinstance(found, Route) else [])
    assert all(one.verdict.rule in routing.TEXTS for one in found.considered)
    if isinstance(found, NoRoute):
        assert found.refusal.rule in {one.verdict.rule for one in found.considered}
