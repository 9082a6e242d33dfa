"""The operator's routes for cash at machines: withdrawals, and one-time codes."""

from collections.abc import Mapping
from typing import Any, Final

from runtime.http_server import Request, Response
from scheme.clock import from_ms
from scheme.limits import PAGE_ROWS_MAX
from switch.cash_codes import CodeBook, CodeOrder
from switch.cash_ports import CashStore
from switch.cash_view import cash_decision, cash_view, code_view
from switch.core.cash import CashState, opposition_id
from switch.core.cash_codes import CODE_FACT, unpack_code
from switch.core.records import is_cash
from switch.payment_ports import Fault
from switch.ports import TransferRow
from switch.queries import entry_view
from switch.routes import Problem, RouteHandler, as_json, problem, read_json

_STATUS: Final = {Fault.INVALID: 400, Fault.UNKNOWN: 404, Fault.CONFLICT: 409, Fault.BUSY: 503}
_PAGE: Final = 50
_CURSOR_CHARACTERS_MAX: Final = 40
_DIGITS_MAX: Final = 9
_PAGES_MAX: Final = 20
"""Pages that one request may look through for rows that fit."""


class CashApi:
    """Translates between HTTP and the cash desk; decides nothing."""

    def __init__(self, codes: CodeBook, store: CashStore) -> None:
        self._codes = codes
        self._store = store

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the handlers by method and path pattern."""
        return {
            ("POST", "/cash/codes"): self._issue,
            ("GET", "/cash/codes"): self._list_codes,
            ("GET", "/cash"): self._list,
            ("GET", "/cash/{withdrawal}"): self._one,
        }

    async def _issue(self, request: Request, _: Mapping[str, str]) -> Response:
        order: CodeOrder = read_json(request, CodeOrder)
        answer = await self._codes.issue(order, request.headers.get("Idempotency-Key", ""))
        if isinstance(answer, bytes):
            return Response(201, answer)
        told = {"error": answer.error, "field": answer.field, "hint": answer.hint}
        return as_json(told, _STATUS[answer.fault])

    async def _list_codes(self, request: Request, _: Mapping[str, str]) -> Response:
        query = _only(request, ("limit", "after"))
        limit, after = _limit(query), query.get("after", "")[:_CURSOR_CHARACTERS_MAX]
        found = self._store.facts_named(CODE_FACT, CODE_FACT + after, limit=limit)
        codes = [unpack_code(value) for _, value in found]
        cursor = found[-1][0].removeprefix(CODE_FACT) if len(found) == limit else None
        return as_json({"codes": [code_view(one) for one in codes], "next": cursor})

    async def _list(self, request: Request, _: Mapping[str, str]) -> Response:
        query = _only(request, ("state", "participant", "limit", "after"))
        state, participant = query.get("state", ""), query.get("participant", "")
        if state and state not in frozenset(CashState):
            hint = f"one of {', '.join(CashState)}"
            raise Problem(400, "no such state", field="state", hint=hint)
        limit, after = _limit(query), query.get("after", "")[:_CURSOR_CHARACTERS_MAX]
        found: list[TransferRow] = []
        cursor: str | None = after
        for _page in range(_PAGES_MAX):
            rows = self._store.cash_rows(cursor or "", limit=PAGE_ROWS_MAX)
            for row in rows:
                cursor = row.transfer_id
                if _fits(row, state, participant):
                    found.append(row)
                    if len(found) == limit:
                        break
            if len(found) == limit:
                break
            if len(rows) < PAGE_ROWS_MAX:
                cursor = None
                break
        return as_json({"cash": [self._view(row) for row in found], "next": cursor})

    async def _one(self, _: Request, params: Mapping[str, str]) -> Response:
        identity = params["withdrawal"]
        row = self._store.row(identity) if is_cash(identity) else None
        if row is None:
            hint = "GET /cash lists them; an immediate transfer is at /transfers/{id}"
            return problem(404, "no withdrawal has this id", field="withdrawal", hint=hint)
        back = opposition_id(identity)
        return as_json(
            {
                "withdrawal": self._view(row),
                **cash_decision(row),
                "entries": [entry_view(one) for one in self._store.entries(identity)],
                "undispensed": [entry_view(one) for one in self._store.entries(back)],
                "owed": [
                    {
                        "owed_id": one.owed.owed_id,
                        "participant": one.owed.participant,
                        "message": one.owed.message,
                        "since": from_ms(one.owed.due_ms).isoformat(),
                        "parked": one.parked_ms is not None,
                    }
                    for one in self._store.owed(subject=identity)
                ],
                "subjects": [identity],
            }
        )

    def _view(self, row: TransferRow) -> dict[str, Any]:
        return cash_view(row, self._store.opposed_minor(row.transfer_id))


def _fits(row: TransferRow, state: str, participant: str) -> bool:
    return (not state or row.state == state) and (
        not participant or participant in (row.debtor_agent, row.creditor_agent)
    )


def _only(request: Request, names: tuple[str, ...]) -> Mapping[str, str]:
    for name in request.query:
        if name not in names:
            hint = f"one of {', '.join(names)}"
            raise Problem(400, "no such query parameter here", field=name, hint=hint)
    return request.query


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", "")
    if not text:
        return _PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise Problem(400, "a whole number is needed", field="limit")
    return max(1, min(int(text), PAGE_ROWS_MAX))
