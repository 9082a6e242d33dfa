"""Float and offline limits, decided in memory."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scheme.profile import AgentRules
from scheme.wire.agent_payload import Kind, Operation
from switch.core.agent_limits import NO_EFFECT, Effect, Limits, clock_fault, effect_of
from switch.core.agent_session import Waiting

AGENT = "0992-0001"
NOON_MS = 1_768_496_400_000
"""2026-01-15 12:00 in Lima."""
RULES = AgentRules(
    offline_s=100.0,
    offline_count=3,
    offline_minor={"PEN": 1000},
    operation_max={"PEN": 900, "USD": 500},
    float_minor={"PEN": 2000},
    skew_s=10.0,
)


def waiting(kind: Kind = Kind.CASH_IN, minor: int = 100, **changes: Any) -> Waiting:
    fields: dict[str, Any] = {"currency": 0, "offline": False, "age": 0, "received_ms": NOON_MS}
    fields |= changes
    at = fields["received_ms"] // 1000 - fields["age"]
    operation = Operation(
        1, bytes(8), int(kind), minor, fields["currency"], "", "", at, fields["offline"]
    )
    return Waiting(operation, fields["received_ms"], 0)


def limits(on_disk: tuple[int, list[int]] = (0, [0, 0])) -> Limits:
    return Limits(RULES, lambda agent, day: (on_disk[0], list(on_disk[1])))


def code(some: Limits, one: Waiting) -> str:
    verdict = some.refusal(AGENT, one)
    return "00" if verdict is None else verdict.code


def test_the_clock_is_looked_at_on_both_sides_to_the_second() -> None:
    assert clock_fault(waiting(age=-10), RULES) is None
    assert clock_fault(waiting(age=100), RULES) is None
    assert clock_fault(waiting(age=100, offline=True), RULES) is None
    for one, expected in (
        (waiting(age=-11), "12"),
        (waiting(age=101, offline=True), "68"),
        (waiting(age=101), "68"),
    ):
        verdict = clock_fault(one, RULES)
        assert verdict is not None
        assert verdict.code == expected


def test_each_limit_is_kept_at_the_limit_and_not_beyond() -> None:
    assert code(limits(), waiting(minor=900)) == "00"
    assert code(limits(), waiting(minor=901)) == "61"
    assert code(limits(), waiting(currency=1)) == "51", "no float in that currency"
    assert code(limits(), waiting(Kind.CASH_OUT, currency=1, minor=500)) == "00"
    assert code(limits((2, [400, 0])), waiting(offline=True, minor=600)) == "00"
    assert code(limits((2, [400, 0])), waiting(offline=True, minor=601)) == "61"
    assert code(limits((3, [0, 0])), waiting(Kind.STATEMENT, offline=True, minor=0)) == "65"
    assert code(limits((3, [0, 0])), waiting(minor=900)) == "00", "a live one is not counted"


def test_a_void_and_an_enquiry_have_no_effect_on_money() -> None:
    assert effect_of(waiting(Kind.VOID, offline=True), RULES) == NO_EFFECT
    assert effect_of(waiting(Kind.BALANCE, minor=7), RULES) == Effect()
    assert effect_of(waiting(Kind.BALANCE, minor=7, offline=True), RULES).offline_day == "20260115"


def test_the_day_is_limas_and_that_of_the_arrival() -> None:
    before = waiting(offline=True, received_ms=NOON_MS + 12 * 3_600_000 - 1)
    after = waiting(offline=True, received_ms=NOON_MS + 12 * 3_600_000)
    days = [effect_of(one, RULES).offline_day for one in (before, after)]
    assert days == ["20260115", "20260116"]


def test_what_is_older_than_a_clock_may_be_off_counts_as_made_alone() -> None:
    assert effect_of(waiting(age=10), RULES).offline_day == ""
    assert effect_of(waiting(age=11), RULES).offline_minor == 100
    assert code(limits((3, [0, 0])), waiting(age=11)) == "65"


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.integers(0, 900), st.booleans())))
def test_what_is_under_way_together_never_goes_beyond_a_limit(
    wishes: list[tuple[Kind, int, bool]],
) -> None:
    some = limits()
    under_way = []
    for kind, minor, offline in wishes:
        one = waiting(kind, minor, offline=offline)
        if code(some, one) == "00":
            some.reserve(AGENT, one)
            under_way.append(one)
        assert some.till(AGENT, 0).float_minor >= 0
    counted = [one for one in under_way if effect_of(one, RULES).offline_day]
    assert len(counted) <= 3
    assert sum(effect_of(one, RULES).offline_minor for one in counted) <= 1000
    for one in under_way:
        assert some.end(AGENT, one, is_applied=False) == NO_EFFECT
    left = some.left(AGENT, "20260115")
    assert (left.count, left.minor, left.float_minor) == (3, (1000, 0), (2000, 0))


def test_what_is_applied_stays_counted_and_says_what_goes_to_disk() -> None:
    some = limits()
    one = waiting(offline=True)
    some.reserve(AGENT, one)
    effect = some.end(AGENT, one, is_applied=True)
    assert effect == Effect(0, taken=100, offline_day="20260115", offline_minor=100)
    left = some.left(AGENT, "20260115")
    assert (left.count, left.minor[0], left.float_minor[0]) == (2, 900, 1900)


def test_cash_that_is_being_paid_out_raises_the_float_only_once_it_is() -> None:
    some = limits()
    one = waiting(Kind.CASH_OUT)
    some.reserve(AGENT, one)
    assert some.till(AGENT, 0).float_minor == 2000
    assert some.end(AGENT, one, is_applied=True).paid == 100
    assert some.till(AGENT, 0).float_minor == 2100


def test_a_day_is_read_again_only_when_nothing_of_it_is_under_way_or_fresh() -> None:
    reads: list[str] = []

    def tally(agent: str, day: str) -> tuple[int, list[int]]:
        reads.append(day)
        return 0, [0, 0]

    some = Limits(RULES, tally)
    some.on_day("20260115")
    one, other = waiting(offline=True), waiting(offline=True, received_ms=NOON_MS - 86_400_000)
    for each in (one, other):
        some.reserve(AGENT, each)
    some.end(AGENT, other, is_applied=False)
    for day in ("20260116", "20260117", "20260118"):
        some.on_day(day)
    some.end(AGENT, one, is_applied=False)
    assert reads == ["20260115", "20260114"]
    assert some.left(AGENT, "20260114").count == 3
    assert reads[2:] == ["20260114"]
