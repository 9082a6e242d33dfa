"""The operator's routes for payments of the deferred and LBTR rails, and for returns."""

from collections.abc import Mapping
from typing import Any, Final

from runtime.http_server import Request, Response
from scheme.limits import PAGE_ROWS_MAX
from switch.core.payment import PAYMENT_STATES
from switch.payment_ports import Fault, PaymentFilter, PaymentStore, Refused
from switch.payment_view import considered_of, payment_view
from switch.payments import PaymentDesk, PaymentOrder
from switch.queries import entry_view
from switch.returns import ReturnDesk, ReturnOrder
from switch.routes import Problem, RouteHandler, as_json, problem, read_json

_STATUS: Final = {Fault.INVALID: 400, Fault.UNKNOWN: 404, Fault.CONFLICT: 409, Fault.BUSY: 503}
_QUERY: Final = ("status", "participant", "window", "limit", "after")
_PAGE: Final = 50
_DIGITS_MAX: Final = 18
_CURSOR_CHARACTERS_MAX: Final = 40


class PaymentsApi:
    """Translates between HTTP and the desks; decides nothing."""

    def __init__(self, payments: PaymentDesk, returns: ReturnDesk, store: PaymentStore) -> None:
        self._payments = payments
        self._returns = returns
        self._store = store

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the handlers by method and path pattern."""
        return {
            ("POST", "/payments"): self._pay,
            ("GET", "/payments"): self._list,
            ("GET", "/payments/{payment}"): self._one,
            ("POST", "/transfers/{instruction}/returns"): self._return,
            ("GET", "/transfers/{instruction}/returns"): self._returns_of,
            ("GET", "/returns"): self._all_returns,
        }

    async def _pay(self, request: Request, _: Mapping[str, str]) -> Response:
        order: PaymentOrder = read_json(request, PaymentOrder)
        answer = await self._payments.pay(order, request.headers.get("Idempotency-Key", ""))
        return _answer(answer, 202)

    async def _list(self, request: Request, _: Mapping[str, str]) -> Response:
        query = _only(request, _QUERY)
        status = query.get("status", "")
        if status and status not in PAYMENT_STATES:
            hint = f"one of {', '.join(sorted(PAYMENT_STATES))}"
            raise Problem(400, "no such status", field="status", hint=hint)
        wanted = PaymentFilter(
            status=status,
            participant=query.get("participant", ""),
            window=query.get("window", ""),
            after=query.get("after", "")[:_CURSOR_CHARACTERS_MAX],
        )
        found, cursor = self._store.payments(wanted, limit=_limit(query))
        return as_json({"payments": [payment_view(one) for one in found], "next": cursor})

    async def _one(self, _: Request, params: Mapping[str, str]) -> Response:
        found = self._store.payment(params["payment"])
        if found is None:
            hint = "GET /payments lists them; an immediate transfer is at /transfers/{id}"
            return problem(404, "no payment has this id", field="payment", hint=hint)
        owed = self._store.owed(subject=found.record.payment_id)
        returns = self._returns.of_transfer(found.record.payment_id)
        return as_json(
            {
                "payment": payment_view(found),
                "considered": considered_of(found.record),
                "entries": [
                    entry_view(one) for one in self._store.entries(found.record.payment_id)
                ],
                "owed": [
                    {
                        "owed_id": one.owed.owed_id,
                        "participant": one.owed.participant,
                        "message": one.owed.message,
                        "parked": one.parked_ms is not None,
                    }
                    for one in owed
                ],
                **(returns or {"returns": []}),
            }
        )

    async def _return(self, request: Request, params: Mapping[str, str]) -> Response:
        order: ReturnOrder = read_json(request, ReturnOrder)
        key = request.headers.get("Idempotency-Key", "")
        return _answer(await self._returns.give_back(params["instruction"], order, key), 201)

    async def _returns_of(self, _: Request, params: Mapping[str, str]) -> Response:
        found = self._returns.of_transfer(params["instruction"])
        if found is None:
            return problem(404, "no transfer has this id", field="id", hint="GET /transfers")
        return as_json(found)

    async def _all_returns(self, request: Request, _: Mapping[str, str]) -> Response:
        query = _only(request, ("after", "limit"))
        return as_json(self._returns.page(_after(query), limit=_limit(query)))


def _answer(answer: bytes | Refused, status: int) -> Response:
    if isinstance(answer, bytes):
        return Response(status, answer)
    said: dict[str, Any] = {"error": answer.error, "field": answer.field, "hint": answer.hint}
    if answer.reason:
        said["reason"] = answer.reason
    if answer.considered is not None:
        said["considered"] = answer.considered
    return as_json(said, _STATUS[answer.fault])


def _only(request: Request, names: tuple[str, ...]) -> Mapping[str, str]:
    for name in request.query:
        if name not in names:
            hint = f"one of {', '.join(names)}"
            raise Problem(400, "no such query parameter here", field=name, hint=hint)
    return request.query


def _limit(query: Mapping[str, str]) -> int:
    return max(1, min(_whole(query, "limit", _PAGE), PAGE_ROWS_MAX))


def _after(query: Mapping[str, str]) -> tuple[int, str]:
    text = query.get("after", "")
    if not text:
        return 0, ""
    at, _, identity = text.partition(".")
    if not _is_number(at) or not identity:
        raise Problem(400, "not a cursor of this page", field="after", hint="leave it out")
    return int(at), identity


def _whole(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, "")
    if not text:
        return otherwise
    if not _is_number(text):
        raise Problem(400, "a whole number is needed", field=name)
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
