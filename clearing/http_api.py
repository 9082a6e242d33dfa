"""Clearing's routes on the operator port; ``switch/main.py`` mounts them."""

from collections.abc import Mapping

import msgspec
import structlog
from msgspec import Struct

from clearing.http_answers import RouteHandler, as_json, error, read, refused
from clearing.http_api_lbtr import lbtr_routes
from clearing.http_api_settlement import settlement_routes
from clearing.ports import LedgerStore
from clearing.refusals import Refusal
from clearing.service import ClearingService, Movement, position_view
from runtime.http_server import Request, Response
from scheme.errors import StoreError
from scheme.ledger import DALE, DEFERRED, NATIONAL

log = structlog.get_logger()

_LEDGERS = (NATIONAL, DALE, DEFERRED)
_EXAMPLE = '{"currency": "PEN", "amount": 12300}, the amount in minor units'


class _MovementBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a funding or drawdown asks for; the amount in minor units."""

    currency: str
    amount: int


def routes(service: ClearingService, ledger: LedgerStore) -> dict[tuple[str, str], RouteHandler]:
    """Return handlers by method and path; ``{code}`` in a path is a participant's code."""
    api = _ClearingApi(service)
    return {
        ("GET", "/positions"): api.positions,
        ("POST", "/positions/{code}/funding"): api.fund,
        ("POST", "/positions/{code}/drawdown"): api.draw_down,
        ("GET", "/audit"): api.audit,
        **settlement_routes(service.windows, ledger),
        **lbtr_routes(service, ledger),
    }


class _ClearingApi:
    """Translates between HTTP and the service; decides nothing."""

    def __init__(self, service: ClearingService) -> None:
        self._service = service

    async def positions(self, request: Request, __: Mapping[str, str]) -> Response:
        """Answer each participant's own position, or all of one ledger."""
        ledger = request.query.get("ledger", "")
        if ledger and ledger not in _LEDGERS:
            return error(400, "no such ledger", "ledger", f"one of {', '.join(_LEDGERS)}")
        return as_json({"positions": [position_view(p) for p in self._service.positions(ledger)]})

    async def fund(self, request: Request, path: Mapping[str, str]) -> Response:
        """Fund a position."""
        return await self._move(Movement.FUNDING, request, path["code"])

    async def draw_down(self, request: Request, path: Mapping[str, str]) -> Response:
        """Draw a position down."""
        return await self._move(Movement.DRAWDOWN, request, path["code"])

    async def audit(self, _: Request, __: Mapping[str, str]) -> Response:
        """Recount the ledger and answer what differs; 503 if it cannot be read."""
        try:
            audit = await self._service.audit()
        except StoreError as problem:
            log.warning("the ledger cannot be recounted", cause=str(problem))
            hint = "the switch's log names the file; stop the country before you mend it"
            return error(503, "the ledger cannot be read", "ledger", hint)
        return Response(200, msgspec.json.encode(audit))

    async def _move(self, movement: Movement, request: Request, code: str) -> Response:
        body = read(request, _MovementBody, _EXAMPLE)
        if isinstance(body, Response):
            return body
        key = request.headers.get("Idempotency-Key", "")
        answer = await self._service.move(movement, code, body.currency, body.amount, key)
        return refused(answer) if isinstance(answer, Refusal) else Response(200, answer)
