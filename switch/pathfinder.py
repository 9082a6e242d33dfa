"""Finds the route of a transfer from what is known at this moment."""

from collections.abc import Callable, Mapping
from datetime import date

from scheme.clock import Clock
from scheme.network import Participant
from scheme.profile import Profile
from switch.breakers import Breakers
from switch.core.routing import NoRoute, Route, RouteRequest, RoutingState, route
from switch.core.sessions import NetworkState
from switch.preferences import PreferenceBook


class Pathfinder:
    """Looks at sessions, breakers, preferences, hours and rules, and decides nothing itself.

    Args:
        state: returns who is signed on and blocked at this moment.
        is_business_day: by the calendar of the settlement windows.
    """

    def __init__(
        self,
        *,
        state: Callable[[], NetworkState],
        fleet: Mapping[str, Participant],
        profile: Profile,
        clock: Clock,
        breakers: Breakers,
        preferences: PreferenceBook,
        is_business_day: Callable[[date], bool],
    ) -> None:
        self._state = state
        self._fleet = fleet
        self._profile = profile
        self._clock = clock
        self._breakers = breakers
        self._preferences = preferences
        self._is_business_day = is_business_day

    def find(self, request: RouteRequest) -> Route | NoRoute:
        """Return the rail that carries a transfer now, or why none does."""
        state = RoutingState(
            self._state(),
            self._fleet,
            self._preferences.table,
            self._breakers.refusing(),
            self._clock.now(),
            self._is_business_day,
        )
        return route(request, state, self._profile)
