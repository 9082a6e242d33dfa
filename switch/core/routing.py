"""Chooses the rail of a transfer, and says of each rail why it was taken or not.

Pure: what is known of the network at one moment is handed in. Rails are looked at in the order an
operator prefers for the pair, or else in the profile's; the first that nothing speaks against is
taken. What a rail costs is said beside it and is a reason for a preference, not for an order of
its own: two rails never tie (docs/routing.md).
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scheme.clock import lima
from scheme.fees import alias_fee, plaza_between, rail_fee
from scheme.network import Participant
from scheme.profile import Profile
from scheme.reasons import ReasonCode
from switch.core import rules
from switch.core.entries import is_internal
from switch.core.rails import AUTO, BY_NAME, EVERY, IMMEDIATE, Rail
from switch.core.rules import Refusal
from switch.core.sessions import NetworkState

Preferences = Mapping[tuple[str, str], tuple[str, ...]]
"""Rails in the order an operator prefers, by debtor's and creditor's agent."""


class RouteRequest(Struct, frozen=True, gc=False, kw_only=True):
    """What is to be carried.

    Attributes:
        debtor, creditor: participant codes.
        debtor_cci, creditor_cci: they say the plaza; empty where they are not known.
        currency: by name.
        minor: None: not known yet, as in a verification.
        rails: those of the wire it came by.
        rail: the one asked for, or ``auto``.
        is_alias: paid by phone or QR, at its own fee.
    """

    debtor: str
    creditor: str
    currency: str
    minor: int | None
    debtor_cci: str = ""
    creditor_cci: str = ""
    rails: frozenset[Rail] = EVERY
    rail: str = AUTO
    is_alias: bool = False


class RoutingState(Struct, frozen=True, gc=False):
    """What is known of the network at one moment.

    Attributes:
        refusing: creditor's agent and rail of every breaker that lets nothing through.
    """

    network: NetworkState
    fleet: Mapping[str, Participant]
    preferences: Preferences
    refusing: frozenset[tuple[str, str]]
    now: datetime
    is_business_day: Callable[[date], bool]


class Considered(Struct, frozen=True, gc=False):
    """What was said of one rail: TAKEN, or what spoke against it."""

    rail: str
    verdict: Refusal


class Route(Struct, frozen=True, gc=False):
    """The rail that carries it.

    Attributes:
        explanation: as it is stored, where it is at hand already; else empty.
    """

    rail: Rail
    considered: tuple[Considered, ...]
    explanation: str = ""


class NoRoute(Struct, frozen=True, gc=False):
    """No rail carries it, and what the debtor's agent is told."""

    refusal: Refusal
    considered: tuple[Considered, ...]


def _against(rule: str, text: str, field: str = "creditorParticipantCode") -> Refusal:
    return Refusal(ReasonCode.FF07, rule, field, text)


TAKEN: Final = _against("taken", "the first that nothing speaks against")
NOT_NEEDED: Final = _against("not_needed", "another one comes first")
NOT_ASKED: Final = _against("not_asked", "another one was asked for")
NOT_PREFERRED: Final = _against("not_preferred", "an operator left it out for this pair")
OTHER_WIRE: Final = _against("other_wire", "it is entered by POST /payments, not by this message")
WOULD_CARRY: Final = _against("would_carry", "it would carry it; it is entered by POST /payments")
TWO_INSTITUTIONS: Final = _against("two_institutions", "debtor and creditor bank apart")
ONE_INSTITUTION: Final = _against("one_institution", "debtor and creditor bank together")
NOT_IN_NETWORK: Final = _against("not_in_network", "not both are coops of one network")
_SET_ASIDE: Final = frozenset(one.rule for one in (NOT_ASKED, NOT_PREFERRED, OTHER_WIRE))
_NOT_FOR_IT: Final = frozenset(
    one.rule for one in (TWO_INSTITUTIONS, ONE_INSTITUTION, NOT_IN_NETWORK)
)


class _Case(Struct, frozen=True, gc=False):
    request: RouteRequest
    state: RoutingState
    profile: Profile
    preferred: tuple[str, ...] | None


def route(request: RouteRequest, state: RoutingState, profile: Profile) -> Route | NoRoute:
    """Return the rail that carries a transfer, or why none does."""
    preferred = state.preferences.get((request.debtor, request.creditor))
    case = _Case(request, state, profile, preferred)
    considered: list[Considered] = []
    taken: Rail | None = None
    for name in _order(preferred, request, profile):
        rail = BY_NAME[name]
        verdict = NOT_NEEDED if preferred is None or rail in preferred else NOT_PREFERRED
        if taken is None:
            against = _obstacle(rail, case)
            if against is None:
                taken, verdict = rail, TAKEN
            else:
                verdict = against
        considered.append(Considered(rail, verdict))
    if taken is None:
        return _refused(case, considered)
    return Route(taken, tuple(considered))


def _order(
    preferred: tuple[str, ...] | None, request: RouteRequest, profile: Profile
) -> tuple[str, ...]:
    """Return the rails as they are tried; an operator's word for the pair goes before the cost."""
    order = profile.rails.order
    if preferred is None:
        if profile.rails.choose == "cost" and request.minor is not None:
            # Sorting keeps the order among rails of the same cost.
            return tuple(sorted(order, key=lambda rail: fee(rail, request, profile)))
        return order
    return (*preferred, *(rail for rail in order if rail not in preferred))


def _refused(case: _Case, considered: list[Considered]) -> NoRoute:
    """Say what failed the first rail that is for such a transfer, and which one would carry it."""
    first = min((one.verdict for one in considered), key=_remoteness)
    free = replace(case.request, rails=EVERY)
    for at, one in enumerate(considered):
        if one.verdict is not OTHER_WIRE:
            continue
        if _obstacle(BY_NAME[one.rail], replace(case, request=free)) is None:
            considered[at] = Considered(one.rail, WOULD_CARRY)
            text = f"{first.text}; the rail {one.rail} would carry it: POST /payments"
            first = replace(first, text=text)
            break
    return NoRoute(first, tuple(considered))


def _remoteness(verdict: Refusal) -> int:
    """Rank how little a verdict says of why the transfer fails; ``min`` keeps the first."""
    if verdict.rule in _SET_ASIDE:
        return 2
    return 1 if verdict.rule in _NOT_FOR_IT else 0


def _obstacle(rail: Rail, case: _Case) -> Refusal | None:
    """Return the first thing that speaks against a rail."""
    request = case.request
    if rail not in request.rails:
        return OTHER_WIRE
    if request.rail not in (AUTO, rail):
        return NOT_ASKED
    if case.preferred is not None and rail not in case.preferred:
        return NOT_PREFERRED
    return _not_for_it(rail, case) or _unreachable(rail, case) or _unfit(rail, case)


def _not_for_it(rail: Rail, case: _Case) -> Refusal | None:
    request, fleet = case.request, case.state.fleet
    is_one = request.debtor == request.creditor
    if rail is Rail.ON_US:
        return None if is_one else TWO_INSTITUTIONS
    if is_one:
        return ONE_INSTITUTION
    if rail is not Rail.NETWORK:
        return None
    debtor, creditor = fleet.get(request.debtor), fleet.get(request.creditor)
    if debtor is None or creditor is None or not is_internal(debtor, creditor):
        return NOT_IN_NETWORK
    return None


def _unreachable(rail: Rail, case: _Case) -> Refusal | None:
    """Refuse while somebody on the way is not there, in the order of the answers' table."""
    request, fleet, network = case.request, case.state.fleet, case.state.network
    refusal = (
        rules.debtor_registered(request.debtor, fleet)
        or rules.debtor_operates(request.debtor, network)
        # What is owed to it waits for it, so a slow rail does not need it there just now.
        or rules.creditor_operates(
            request.creditor, request.currency, fleet, network, must_be_on=rail in IMMEDIATE
        )
        or rules.debtor_currency(request.debtor, request.currency, fleet)
    )
    if refusal is not None or rail is Rail.NETWORK:
        return refusal
    if rail is Rail.ON_US:
        return rules.not_on_us(request.debtor, request.creditor, case.profile)
    return _sponsors_operate(rail, case)


def _sponsors_operate(rail: Rail, case: _Case) -> Refusal | None:
    request, fleet = case.request, case.state.fleet
    for role, code in (("debtor", request.debtor), ("creditor", request.creditor)):
        one = fleet[code]
        if one.is_tiered:
            refusal = rules.sponsor_operates(
                role, one, fleet, case.state.network, must_be_on=rail in IMMEDIATE
            )
            if refusal is not None:
                return refusal
    return None


def _unfit(rail: Rail, case: _Case) -> Refusal | None:
    """Refuse by amount, hours and health."""
    request, profile = case.request, case.profile
    if request.minor is not None:
        refusal = rules.within_limit(rail, request.minor, request.currency, profile)
        if refusal is not None:
            return refusal
    if rail in profile.rails.hours and not _is_open(rail, case):
        hours = profile.rails.hours[rail]
        days = " of business days" if hours.business_days else ""
        text = f"the rail {rail} takes orders from {hours.opens} to {hours.closes}{days}"
        return _against("out_of_hours", text, "root")
    if (request.creditor, rail) in case.state.refusing:
        return rules.breaker_open(request.creditor, rail)
    return None


def _is_open(rail: Rail, case: _Case) -> bool:
    hours, now = case.profile.rails.hours[rail], lima(case.state.now)
    if hours.business_days and not case.state.is_business_day(now.date()):
        return False
    return hours.opens <= now.strftime("%H:%M:%S") < hours.closes


def named_debtor(rail: str, debtor: Participant, creditor: str, profile: Profile) -> str:
    """Return what a debtor's agent is called to the creditor's: its sponsor, if that is the rule.

    Its own sponsor as the creditor knows it by itself.
    """
    by_sponsor = rail == Rail.TIN and profile.network.addressing == "sponsor"
    if by_sponsor and debtor.is_tiered and creditor != debtor.sponsor:
        return debtor.sponsor
    return debtor.code


# --- what is shown and stored of it


def fee(rail: str, request: RouteRequest, profile: Profile) -> int:
    """Return the interbank fee a transfer would pay on a rail."""
    if request.is_alias and rail == Rail.TIN:
        return alias_fee(request.currency, profile)
    return rail_fee(
        rail, request.minor or 0, request.currency, plaza(request, profile), profile.fees
    )


def plaza(request: RouteRequest, profile: Profile) -> str:
    """Return the plaza of a transfer; an account that is not known stands in the default one."""
    return plaza_between(request.debtor_cci, request.creditor_cci, profile.plazas)


def explanation(considered: tuple[Considered, ...]) -> str:
    """Return what was said of each rail as it is stored: ``rail:rule``, in order."""
    return " ".join([f"{one.rail}:{one.verdict.rule}" for one in considered])


def without_cover(stored: str, rail: str, rule: str) -> str:
    """Return a stored explanation after the rail that was taken turned out to lack money."""
    return stored.replace(f"{rail}:{TAKEN.rule}", f"{rail}:{rule}")


TEXTS: Final[Mapping[str, str]] = {
    **{
        one.rule: one.text
        for one in (
            *(TAKEN, NOT_NEEDED, NOT_ASKED, NOT_PREFERRED, OTHER_WIRE, WOULD_CARRY),
            *(TWO_INSTITUTIONS, ONE_INSTITUTION, NOT_IN_NETWORK),
        )
    },
    "system_suspended": "the system was suspended",
    "debtor_unknown": "the debtor's institution was not registered",
    "debtor_blocked": "the debtor's institution was blocked",
    "debtor_signed_off": "the debtor's institution was signed off",
    "debtor_currency": "the debtor's institution holds no position in this currency",
    "creditor_unknown": "the creditor's institution is not registered as a receiver",
    "creditor_blocked": "the creditor's institution was blocked",
    "creditor_signed_off": "the creditor's institution was signed off",
    "creditor_currency": "the creditor's institution holds no position in this currency",
    "debtor_sponsor_unknown": "the debtor's coop has no sponsor here",
    "debtor_sponsor_blocked": "the sponsor of the debtor's coop was blocked",
    "debtor_sponsor_signed_off": "the sponsor of the debtor's coop was signed off",
    "creditor_sponsor_unknown": "the creditor's coop has no sponsor here",
    "creditor_sponsor_blocked": "the sponsor of the creditor's coop was blocked",
    "creditor_sponsor_signed_off": "the sponsor of the creditor's coop was signed off",
    "on_us": "the institution books that itself",
    "above_limit": "the amount was above its limit",
    "below_limit": "the amount was below its least",
    "out_of_hours": "it took no orders at that hour",
    "breaker_open": "the creditor's institution counted as down on it",
    "prefund_short": "the debtor's prefund did not cover it",
    "line_short": "the coop's line with its sponsor did not cover it",
    "sponsor_prefund_short": "the sponsor's prefund did not cover it",
}
"""What a stored rule says, without the values of its moment."""


def told(stored: str) -> list[dict[str, object]]:
    """Return a stored explanation for people."""
    pairs = (one.partition(":") for one in stored.split())
    return [
        {"rail": rail, "taken": rule == TAKEN.rule, "rule": rule, "text": TEXTS[rule]}
        for rail, _, rule in pairs
    ]
