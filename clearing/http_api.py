"""Clearing's routes on the operator port; ``switch/main.py`` mounts them."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
from msgspec import Struct

from clearing.service import ClearingService, Fault, Movement, Refusal, position_view
from runtime.http_server import Request, Response
from scheme.errors import StoreError

log = structlog.get_logger()

RouteHandler = Callable[[Request, Mapping[str, str]], Awaitable[Response]]
"""Takes a request and the values of the placeholders in its path."""

_STATUS = {Fault.INVALID: 400, Fault.UNKNOWN: 404, Fault.CONFLICT: 409}


class _MovementBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a funding or drawdown asks for; the amount in minor units."""

    currency: str
    amount: int


_decode_body = msgspec.json.Decoder(_MovementBody).decode


def routes(service: ClearingService) -> dict[tuple[str, str], RouteHandler]:
    """Return handlers by method and path; ``{code}`` in a path is a participant's code."""
    api = _ClearingApi(service)
    return {
        ("GET", "/positions"): api.positions,
        ("POST", "/positions/{code}/funding"): api.fund,
        ("POST", "/positions/{code}/drawdown"): api.draw_down,
        ("GET", "/audit"): api.audit,
    }


class _ClearingApi:
    """Translates between HTTP and the service; decides nothing."""

    def __init__(self, service: ClearingService) -> None:
        self._service = service

    async def positions(self, _: Request, __: Mapping[str, str]) -> Response:
        """Answer all positions."""
        views = [position_view(one) for one in self._service.positions()]
        return Response(200, msgspec.json.encode({"positions": views}))

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
        except StoreError as error:
            log.warning("the ledger cannot be recounted", cause=str(error))
            hint = "the switch's log names the file; stop the country before you mend it"
            return _error(503, "the ledger cannot be read", "ledger", hint)
        return Response(200, msgspec.json.encode(audit))

    async def _move(self, movement: Movement, request: Request, code: str) -> Response:
        try:
            body = _decode_body(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            hint = 'send {"currency": "PEN", "amount": 12300}, the amount in minor units'
            text, _, path = str(error).partition(" - at `$.")
            return _error(400, text, path.rstrip("`") or "body", hint)
        key = request.headers.get("Idempotency-Key", "")
        answer = await self._service.move(movement, code, body.currency, body.amount, key)
        if isinstance(answer, Refusal):
            return _error(_STATUS[answer.fault], answer.error, answer.field, answer.hint)
        return Response(200, answer)


def _error(status: int, error: str, field: str, hint: str) -> Response:
    return Response(status, msgspec.json.encode({"error": error, "field": field, "hint": hint}))
