"""Routes of windows and batches: what they are, how far they are, and what a person may do."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from clearing.http_answers import RouteHandler, as_json, error, read, refused
from clearing.http_api_lbtr import instruction_view
from clearing.ports import LedgerStore
from clearing.refusals import Refusal
from clearing.windows import WindowKeeper
from runtime.http_server import Request, Response
from scheme.batch import CLOSING, OPEN, WINDOW_STATES, Settlement, decode_settlement
from scheme.limits import PAGE_ROWS_MAX
from scheme.profile import CURRENCIES, CYCLES
from scheme.standing import Tally, WindowStand

_QUERY: Mapping[str, tuple[str, ...]] = {
    "cycle": CYCLES,
    "currency": CURRENCIES,
    "state": WINDOW_STATES,
}


class _Approval(Struct, frozen=True, forbid_unknown_fields=True, rename={"name": "as"}):
    """Who approves."""

    name: str


def settlement_routes(
    keeper: WindowKeeper, ledger: LedgerStore
) -> dict[tuple[str, str], RouteHandler]:
    """Return handlers by method and path."""
    api = _SettlementApi(keeper, ledger)
    return {
        ("GET", "/windows"): api.windows,
        ("GET", "/windows/{id}"): api.window,
        ("POST", "/windows/{id}/close"): api.close,
        ("GET", "/batches"): api.batches,
        ("GET", "/batches/{id}"): api.batch,
        ("POST", "/batches/{id}/approve"): api.approve,
        ("POST", "/batches/{id}/retry"): api.retry,
    }


class _SettlementApi:
    """Translates between HTTP and the keeper; decides nothing."""

    def __init__(self, keeper: WindowKeeper, ledger: LedgerStore) -> None:
        self._keeper = keeper
        self._ledger = ledger

    async def windows(self, request: Request, _: Mapping[str, str]) -> Response:
        """Answer windows, the newest first."""
        wrong = _wrong_query(request)
        if wrong is not None:
            return wrong
        stands = [one for one in self._all() if _fits(one, request.query)]
        return as_json({"windows": [_window_view(one) for one in stands]})

    async def window(self, _: Request, path: Mapping[str, str]) -> Response:
        """Answer one window with what it counted so far and how far its settlement is."""
        stand = self._ledger.window(path["id"])
        if stand is None:
            return error(404, "no window has this id", "window", "GET /windows lists them")
        view = _window_view(stand)
        view["tallies"] = [_tally_view(one) for one in self._ledger.tallies(stand.window)]
        view["settlement"] = self._settlement_view(stand)
        return as_json(view)

    async def close(self, _: Request, path: Mapping[str, str]) -> Response:
        """Close a window before its cut-off."""
        after = await self._keeper.close(path["id"])
        return refused(after) if isinstance(after, Refusal) else as_json(_window_view(after), 202)

    async def batches(self, _: Request, __: Mapping[str, str]) -> Response:
        """Answer the windows that have a batch, the newest first."""
        stands = [one for one in self._all() if one.state not in (OPEN, CLOSING)]
        return as_json({"batches": [_window_view(one) for one in stands]})

    async def batch(self, _: Request, path: Mapping[str, str]) -> Response:
        """Answer one batch exactly as it was made, and its settlement."""
        stand = self._ledger.window(path["id"])
        if stand is None:
            return error(404, "no batch has this id", "batch", "GET /batches lists them")
        made = self._ledger.batch(stand.window)
        if made is None:
            text = f"the window is not closed yet: it is {stand.state}"
            hint = "its batch is made when nothing of it is in flight any more"
            return error(409, text, "batch", hint)
        view = {"batch": msgspec.Raw(made), "settlement": self._settlement_view(stand)}
        return as_json(view)

    async def approve(self, request: Request, path: Mapping[str, str]) -> Response:
        """Note that a person approves a batch."""
        body = read(request, _Approval, '{"as": "NAME"}')
        if isinstance(body, Response):
            return body
        return self._told(path["id"], await self._keeper.approve(path["id"], body.name))

    async def retry(self, _: Request, path: Mapping[str, str]) -> Response:
        """Try once more what failed."""
        return self._told(path["id"], await self._keeper.retry(path["id"]))

    def _told(self, window: str, answer: Settlement | Refusal) -> Response:
        if isinstance(answer, Refusal):
            return refused(answer)
        return as_json({"batch": window, "settlement": answer})

    def _all(self) -> list[WindowStand]:
        every = {one.window: one for one in self._ledger.past_windows(PAGE_ROWS_MAX)}
        every.update((one.window, one) for one in self._ledger.windows())
        order = sorted(
            every.values(), key=lambda one: (one.settlement_date, one.number, one.window)
        )
        return order[::-1][:PAGE_ROWS_MAX]

    def _settlement_view(self, stand: WindowStand) -> dict[str, Any]:
        settlement = decode_settlement(stand.record, state=stand.state)
        view: dict[str, Any] = msgspec.to_builtins(settlement)
        view["state"] = stand.state
        view["instructions"] = [
            instruction_view(one) for one in self._ledger.instructions_of(stand.window)
        ]
        return view


def _window_view(stand: WindowStand) -> dict[str, Any]:
    return {
        "window": stand.window,
        "cycle": stand.cycle,
        "currency": stand.currency,
        "settlement_date": stand.settlement_date,
        "number": stand.number,
        "state": stand.state,
        "held": stand.held,
        "opens_ms": stand.opens_ms,
        "closes_ms": stand.closes_ms,
        "closed_ms": stand.closed_ms,
    }


def _tally_view(tally: Tally) -> dict[str, Any]:
    return {
        "participant": tally.account.owner,
        "opening": tally.opening_minor,
        "sent": {
            "accepted": {"count": tally.sent_accepted, "value": tally.sent_accepted_minor},
            "rejected": {"count": tally.sent_rejected, "value": tally.sent_rejected_minor},
        },
        "received": {
            "accepted": {"count": tally.received_accepted, "value": tally.received_accepted_minor},
            "rejected": {"count": tally.received_rejected, "value": tally.received_rejected_minor},
        },
        "net": tally.net_minor,
        "funded": {"count": tally.funded, "value": tally.funded_minor},
        "drawn": {"count": tally.drawn, "value": tally.drawn_minor},
    }


def _fits(stand: WindowStand, query: Mapping[str, str]) -> bool:
    return all(getattr(stand, name) == value for name, value in query.items())


def _wrong_query(request: Request) -> Response | None:
    for name, value in request.query.items():
        if name not in _QUERY:
            return error(400, "no such filter", name, f"one of {', '.join(_QUERY)}")
        if value not in _QUERY[name]:
            return error(400, "no such value", name, f"one of {', '.join(_QUERY[name])}")
    return None
