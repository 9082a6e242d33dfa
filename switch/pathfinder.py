"""Finds the route of a transfer from what is known at this moment, and explains it."""

from collections.abc import Callable, Mapping
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from scheme.clock import Clock
from scheme.network import Participant
from scheme.profile import Profile
from switch.breakers import Breakers
from switch.core import routing
from switch.core.rails import AUTO, IMMEDIATE
from switch.core.routing import NoRoute, Route, RouteRequest, RoutingState
from switch.core.rules import Refusal
from switch.core.sessions import NetworkState
from switch.preferences import PreferenceBook


class ConsideredRail(Struct, frozen=True, kw_only=True):
    """One rail as people see it; ``fee`` in minor units."""

    rail: str
    taken: bool
    rule: str
    text: str
    fee: int


class Explained(Struct, frozen=True, kw_only=True):
    """A route as people see it.

    Attributes:
        rail: None if no rail carries it; then ``refusal`` says why.
        fee: of the rail taken, minor units.
    """

    rail: str | None
    fee: int
    plaza: str
    refusal: Refusal | None
    considered: tuple[ConsideredRail, ...]


class Pathfinder:
    """Looks at sessions, breakers, preferences, hours and rules, and decides nothing itself.

    Args:
        network: returns who is signed on and blocked at this moment.
        is_business_day: by the calendar of the settlement windows.
    """

    def __init__(
        self,
        *,
        network: Callable[[], NetworkState],
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        breakers: Breakers,
        preferences: PreferenceBook,
        is_business_day: Callable[[date], bool],
    ) -> None:
        self._network = network
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._breakers = breakers
        self._preferences = preferences
        self._is_business_day = is_business_day
        # Hours change the answer from moment to moment, and costs with the amount.
        is_timeless = not IMMEDIATE.intersection(profile.rails.hours)
        self._may_remember = is_timeless and profile.rails.choose == "order"
        self._remembered: dict[tuple[str, str, str], Route] = {}
        self._remembered_of: NetworkState | None = None

    def state(self) -> RoutingState:
        """Return what is known of the network at this moment."""
        return RoutingState(
            self._network(),
            self._fleet,
            self._preferences.table,
            self._breakers.refusing(),
            self._clock.now(),
            self._is_business_day,
        )

    def find(self, request: RouteRequest) -> Route | NoRoute:
        """Return the rail that carries a transfer now, or why none does."""
        if not self._is_usual(request):
            return routing.route(request, self.state(), self._profile)
        network = self._network()
        if network is not self._remembered_of:
            self._remembered.clear()
            self._remembered_of = network
        pair = (request.debtor, request.creditor, request.currency)
        known = self._remembered.get(pair)
        if known is not None:
            return known
        found = routing.route(request, self.state(), self._profile)
        if isinstance(found, Route):
            # Refusals are not kept: they may name codes that nobody has, without end.
            found = replace(found, explanation=routing.explanation(found.considered))
            self._remembered[pair] = found
        return found

    def _is_usual(self, request: RouteRequest) -> bool:
        """Tell whether the answer depends on the pair, the currency and the sessions alone.

        So it is for nearly every immediate transfer: no preferences, no breaker open, and an
        amount within the limits.
        """
        if request.rails is not IMMEDIATE or request.rail != AUTO:
            return False
        if not self._may_remember or self._preferences.table or self._breakers.refusing():
            return False
        minor, limits = request.minor, self._profile.limits
        if minor is None:
            return True
        currency = request.currency
        return limits.tin_min.get(currency, 1) <= minor <= limits.tin_max.get(currency, 0)

    def explain(self, request: RouteRequest) -> Explained:
        """Return the same with fees and plaza, for people."""
        found = self.find(request)
        fees = {one.rail: self._fee(one.rail, request) for one in found.considered}
        taken = found.rail if isinstance(found, Route) else None
        return Explained(
            rail=taken,
            fee=0 if taken is None else fees[taken],
            plaza=routing.plaza(request, self._profile),
            refusal=found.refusal if isinstance(found, NoRoute) else None,
            considered=tuple(
                ConsideredRail(
                    rail=one.rail,
                    taken=one.rail == taken,
                    rule=one.verdict.rule,
                    text=one.verdict.text,
                    fee=fees[one.rail],
                )
                for one in found.considered
            ),
        )

    def _fee(self, rail: str, request: RouteRequest) -> int:
        return routing.fee(rail, request, self._profile)
