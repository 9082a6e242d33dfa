"""The operator's routes about routing: what would carry a payment, breakers, preferences."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from runtime.http_server import Request, Response
from scheme.cci import is_well_formed, participant_of
from scheme.network import Participant
from scheme.profile import CURRENCIES
from switch.breakers import Breakers
from switch.core.rails import AUTO, IMMEDIATE, Rail
from switch.core.routing import RouteRequest
from switch.pathfinder import Explained, Pathfinder
from switch.preferences import PreferenceBook
from switch.routes import Problem, RouteHandler, as_json, read_json

_QUERY: Final = ("from", "to", "amount", "currency", "rail")
_CODE_CHARACTERS: Final = 4
_DIGITS_MAX: Final = 15
_STATES: Final = ("closed", "open")


class _Force(Struct, forbid_unknown_fields=True):
    state: str


class _Prefer(Struct, forbid_unknown_fields=True):
    debtor: str
    creditor: str
    rails: list[str]


class RoutingApi:
    """Translates requests of operators.

    Args:
        fleet: the registered participants.
    """

    def __init__(
        self,
        *,
        pathfinder: Pathfinder,
        breakers: Breakers,
        preferences: PreferenceBook,
        fleet: Mapping[str, Participant],
    ) -> None:
        self._pathfinder = pathfinder
        self._breakers = breakers
        self._preferences = preferences
        self._fleet = fleet

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the handlers by method and path pattern."""
        return {
            ("GET", "/routes"): self._route,
            ("GET", "/breakers"): self._list_breakers,
            ("POST", "/breakers/{code}/{rail}"): self._force,
            ("GET", "/preferences"): self._list_preferences,
            ("PUT", "/preferences"): self._prefer,
        }

    async def _route(self, request: Request, _: Mapping[str, str]) -> Response:
        query = request.query
        for name in query:
            if name not in _QUERY:
                raise Problem(400, "no such filter", field=name, hint=f"one of {_listed(_QUERY)}")
        debtor, debtor_cci = self._party(query, "from")
        creditor, creditor_cci = self._party(query, "to")
        currency, rail = query.get("currency") or "PEN", query.get("rail") or AUTO
        _one_of(currency, CURRENCIES, "currency")
        _one_of(rail, (AUTO, *Rail), "rail")
        wanted = RouteRequest(
            debtor=debtor,
            creditor=creditor,
            debtor_cci=debtor_cci,
            creditor_cci=creditor_cci,
            currency=currency,
            minor=_amount(query),
            rail=rail,
        )
        return as_json(route_view(self._pathfinder.explain(wanted)))

    def _party(self, query: Mapping[str, str], name: str) -> tuple[str, str]:
        """Return code and CCI of one side; of a code alone no account is known."""
        text = query.get(name, "")
        if len(text) == _CODE_CHARACTERS:
            return self._known(text, name), ""
        if not is_well_formed(text):
            hint = "a CCI of 20 digits, or a participant's code of 4"
            raise Problem(400, "neither a CCI nor a code", field=name, hint=hint)
        return self._known(participant_of(text), name), text

    async def _list_breakers(self, _: Request, __: Mapping[str, str]) -> Response:
        return as_json({"breakers": self._breakers.rows()})

    async def _force(self, request: Request, params: Mapping[str, str]) -> Response:
        code, rail = self._known(params["code"], "code"), params["rail"]
        # What is owed to an agent on the other rails waits for it: there is nothing to break.
        _one_of(rail, tuple(one for one in Rail if one in IMMEDIATE), "rail")
        wanted: _Force = read_json(request, _Force)
        _one_of(wanted.state, _STATES, "state")
        self._breakers.force(code, rail, is_open=wanted.state == "open")
        return as_json(self._breakers.row(code, rail))

    async def _list_preferences(self, _: Request, __: Mapping[str, str]) -> Response:
        return as_json({"preferences": self._preferences.rows()})

    async def _prefer(self, request: Request, _: Mapping[str, str]) -> Response:
        wanted: _Prefer = read_json(request, _Prefer)
        self._known(wanted.debtor, "debtor")
        self._known(wanted.creditor, "creditor")
        for rail in wanted.rails:
            _one_of(rail, tuple(Rail), "rails")
        if len(set(wanted.rails)) < len(wanted.rails):
            raise Problem(400, "a rail is named twice", field="rails")
        await self._preferences.put(wanted.debtor, wanted.creditor, wanted.rails)
        return as_json(
            {"debtor": wanted.debtor, "creditor": wanted.creditor, "rails": wanted.rails}
        )

    def _known(self, code: str, field: str) -> str:
        if code not in self._fleet:
            hint = "GET /participants lists who takes part"
            raise Problem(404, "not a registered participant", field=field, hint=hint)
        return code


def route_view(found: Explained) -> dict[str, Any]:
    """Return a route as the operator API shows it; amounts in minor units."""
    refusal = found.refusal
    return {
        "rail": found.rail,
        "fee": found.fee,
        "plaza": found.plaza,
        "refused": None
        if refusal is None
        else {"reason": refusal.reason, "rule": refusal.rule, "text": refusal.text},
        "considered": found.considered,
    }


def _amount(query: Mapping[str, str]) -> int:
    text = query.get("amount", "")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and int(text)):
        raise Problem(400, "a whole number above zero is needed", field="amount")
    return int(text)


def _one_of(value: str, choices: Sequence[str], field: str) -> None:
    if value not in choices:
        raise Problem(400, f"one of {_listed(choices)}", field=field)


def _listed(choices: Sequence[str]) -> str:
    return ", ".join(choices)
