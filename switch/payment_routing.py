"""Asks the router for the rail of a payment, and puts its answer as payments tell it."""

from collections.abc import Callable, Sequence
from typing import Any

from scheme.profile import Profile
from switch.core.routing import Considered, NoRoute, RouteRequest, RoutingState, fee, route
from switch.payment_ports import RouteChoice, RouteOf, RouteQuery


def route_of(state: Callable[[], RoutingState], profile: Profile) -> RouteOf:
    """Return what chooses the rail of a payment by the network's present state."""

    def chosen(query: RouteQuery) -> RouteChoice:
        request = RouteRequest(
            debtor=query.debtor_agent,
            creditor=query.creditor_agent,
            debtor_cci=query.debtor_cci,
            creditor_cci=query.creditor_cci,
            currency=query.currency,
            minor=query.amount,
            rail=query.rail,
        )
        found = route(request, state(), profile)
        considered = _rows(found.considered, request, profile)
        if isinstance(found, NoRoute):
            refusal = found.refusal
            return RouteChoice(
                rule=refusal.rule, text=refusal.text, reason=refusal.reason, considered=considered
            )
        paid = fee(found.rail, request, profile)
        return RouteChoice(rail=found.rail.value, fee=paid, considered=considered)

    return chosen


def _rows(
    considered: Sequence[Considered], request: RouteRequest, profile: Profile
) -> list[dict[str, Any]]:
    return [
        {
            "rail": str(one.rail),
            "taken": one.verdict.rule == "taken",
            "rule": one.verdict.rule,
            "text": one.verdict.text,
            "fee": fee(one.rail, request, profile),
        }
        for one in considered
    ]
