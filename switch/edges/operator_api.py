"""The operator's routes that are the switch's own; the edge decides nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, Final, Protocol

from msgspec import Struct

from runtime.http_server import Request, Response
from scheme.clock import to_ms
from scheme.limits import PAGE_ROWS_MAX
from scheme.network import Participant
from switch.core.payment import PaymentState
from switch.core.transfer import TransferState
from switch.ports import TransferFilter
from switch.routes import Problem, RouteHandler, as_json, read_json

_PAGE: Final = 50
_ANNOUNCEMENT_MAX: Final = 4000
_DIGITS_MAX: Final = 18
"""Digits of the longest number a query may hold; a few more leave SQLite's 64 bits."""


_TRANSFER_QUERY: Final = (
    *("state", "participant", "debtor", "creditor", "reason"),
    *("amount", "since", "until", "limit", "after"),
)
_STATES: Final = (*TransferState, *PaymentState)
_WIRE_QUERY: Final = ("participant", "limit")


class Desk(Protocol):
    """What the operator can see and do; the switch's shell has it."""

    def participants(self) -> Sequence[Mapping[str, Any]]:
        """Return all participants with their standing."""

    def readiness(self) -> Sequence[str]:
        """Return what is still waited for; empty once transfers can flow."""

    def transfers(self, wanted: TransferFilter, *, limit: int) -> Mapping[str, Any]:
        """Return a page of transfers."""

    async def transfer(self, instruction: str) -> Mapping[str, Any] | None:
        """Return one transfer."""

    async def wire(self, *, participant: str | None, limit: int) -> Mapping[str, Any]:
        """Return the last messages on the wire."""

    def stuck(self) -> Mapping[str, Any]:
        """Return what is not finished."""

    async def block(self, code: str, *, blocked: bool) -> bool:
        """Block or unblock a participant."""

    async def suspend(self, *, suspended: bool) -> bool:
        """Suspend or resume the system."""

    async def announce(self, text: str, codes: Sequence[str]) -> int:
        """Send a free text."""

    def resend(self, *, owed_id: str | None, participant: str | None) -> int:
        """Deliver owed messages now, parked ones too; return how many."""


class _Block(Struct, forbid_unknown_fields=True):
    blocked: bool


class _Notice971(Struct, forbid_unknown_fields=True):
    status: str


class _Notice972(Struct, forbid_unknown_fields=True):
    participant: str
    blocked: bool


class _Notice981(Struct, forbid_unknown_fields=True):
    text: str
    participants: list[str] = []


class _Resend(Struct, forbid_unknown_fields=True):
    owed_id: str | None = None
    participant: str | None = None


class OperatorApi:
    """Translates requests of operators.

    Args:
        fleet: the registered participants.
    """

    def __init__(self, desk: Desk, fleet: Mapping[str, Participant]) -> None:
        self._desk = desk
        self._fleet = fleet

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the handlers by method and path pattern."""
        return {
            ("GET", "/healthz"): self._healthz,
            ("GET", "/readyz"): self._readyz,
            ("GET", "/openapi.json"): self._openapi,
            ("GET", "/participants"): self._participants,
            ("GET", "/participants/{code}"): self._participant,
            ("POST", "/participants/{code}/block"): self._block,
            ("GET", "/transfers"): self._transfers,
            ("GET", "/transfers/{instruction}"): self._transfer,
            ("GET", "/wire"): self._wire,
            ("GET", "/stuck"): self._stuck,
            ("POST", "/stuck/resend"): self._resend,
            ("POST", "/notices/971"): self._notice_971,
            ("POST", "/notices/972"): self._notice_972,
            ("POST", "/notices/981"): self._notice_981,
        }

    async def _healthz(self, _: Request, __: Mapping[str, str]) -> Response:
        return as_json({"alive": True})

    async def _readyz(self, _: Request, __: Mapping[str, str]) -> Response:
        waiting = self._desk.readiness()
        return as_json(
            {"ready": not waiting, "waiting_for": list(waiting)}, 503 if waiting else 200
        )

    async def _openapi(self, _: Request, __: Mapping[str, str]) -> Response:
        return Response(body=files("switch.edges").joinpath("openapi.json").read_bytes())

    async def _participants(self, _: Request, __: Mapping[str, str]) -> Response:
        return as_json({"participants": self._desk.participants()})

    async def _participant(self, _: Request, params: Mapping[str, str]) -> Response:
        code = self._known(params["code"], "code")
        found = next(one for one in self._desk.participants() if one["code"] == code)
        return as_json(found)

    async def _block(self, request: Request, params: Mapping[str, str]) -> Response:
        code = self._known(params["code"], "code")
        wanted: _Block = read_json(request, _Block)
        changed = await self._desk.block(code, blocked=wanted.blocked)
        return as_json({"participant": code, "blocked": wanted.blocked, "changed": changed})

    async def _transfers(self, request: Request, _: Mapping[str, str]) -> Response:
        query = request.query
        _only(query, _TRANSFER_QUERY)
        limit = _limit(query, hint="page with after")
        wanted = TransferFilter(
            state=_state(query),
            participant=query.get("participant"),
            debtor=query.get("debtor"),
            creditor=query.get("creditor"),
            reason=query.get("reason"),
            minor=_number(query, "amount"),
            since_ms=_instant(query, "since"),
            until_ms=_instant(query, "until"),
            after=_cursor(query),
        )
        return as_json(self._desk.transfers(wanted, limit=limit))

    async def _transfer(self, _: Request, params: Mapping[str, str]) -> Response:
        found = await self._desk.transfer(params["instruction"])
        if found is None:
            hint = "GET /transfers lists what there is"
            raise Problem(404, "no transfer has this id", field="instruction_id", hint=hint)
        return as_json(found)

    async def _wire(self, request: Request, _: Mapping[str, str]) -> Response:
        _only(request.query, _WIRE_QUERY)
        # Also codes that nobody has: a wrong code is one of the things that are looked for here.
        participant = request.query.get("participant") or None
        limit = _limit(request.query, hint="narrow it with participant")
        return as_json(await self._desk.wire(participant=participant, limit=limit))

    async def _stuck(self, _: Request, __: Mapping[str, str]) -> Response:
        return as_json(self._desk.stuck())

    async def _resend(self, request: Request, _: Mapping[str, str]) -> Response:
        wanted: _Resend = read_json(request, _Resend)
        if (wanted.owed_id is None) is (wanted.participant is None):
            raise Problem(400, "one of owed_id and participant is needed", field="owed_id")
        if wanted.participant is not None:
            self._known(wanted.participant, "participant")
        count = self._desk.resend(owed_id=wanted.owed_id, participant=wanted.participant)
        if not count and wanted.owed_id is not None:
            raise Problem(404, "nothing is owed under this id", field="owed_id", hint="GET /stuck")
        return as_json({"resent": count})

    async def _notice_971(self, request: Request, _: Mapping[str, str]) -> Response:
        wanted: _Notice971 = read_json(request, _Notice971)
        if wanted.status not in ("NORMAL", "SUSPENDED"):
            raise Problem(400, "NORMAL or SUSPENDED", field="status")
        changed = await self._desk.suspend(suspended=wanted.status == "SUSPENDED")
        return as_json({"status": wanted.status, "changed": changed})

    async def _notice_972(self, request: Request, _: Mapping[str, str]) -> Response:
        wanted: _Notice972 = read_json(request, _Notice972)
        code = self._known(wanted.participant, "participant")
        changed = await self._desk.block(code, blocked=wanted.blocked)
        return as_json({"participant": code, "blocked": wanted.blocked, "changed": changed})

    async def _notice_981(self, request: Request, _: Mapping[str, str]) -> Response:
        wanted: _Notice981 = read_json(request, _Notice981)
        if not 1 <= len(wanted.text) <= _ANNOUNCEMENT_MAX:
            raise Problem(400, f"1 to {_ANNOUNCEMENT_MAX} characters", field="text")
        for code in wanted.participants:
            self._known(code, "participants")
        return as_json({"sent": await self._desk.announce(wanted.text, wanted.participants)})

    def _known(self, code: str, field: str) -> str:
        if code not in self._fleet:
            hint = "GET /participants lists who takes part"
            raise Problem(404, "not a registered participant", field=field, hint=hint)
        return code


def _only(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse a filter that nobody knows: ignored, it would show what was not asked for."""
    for name in query:
        if name not in known:
            raise Problem(400, "no such filter", field=name, hint=f"one of {', '.join(known)}")


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise Problem(400, "a whole number is needed", field=name)
    return int(text)


def _limit(query: Mapping[str, str], *, hint: str) -> int:
    asked = _number(query, "limit")
    limit = _PAGE if asked is None else asked
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise Problem(400, f"1 to {PAGE_ROWS_MAX}", field="limit", hint=hint)
    return limit


def _state(query: Mapping[str, str]) -> str | None:
    state = query.get("state")
    if state is not None and state not in _STATES:
        raise Problem(400, f"one of {', '.join(_STATES)}", field="state")
    return state


def _instant(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        hint = "e.g. 2026-01-15T10:00:00-05:00"
        raise Problem(400, "an ISO 8601 instant is needed", field=name, hint=hint) from error
    if instant.tzinfo is None:
        raise Problem(400, "the instant needs a zone", field=name, hint="append -05:00 or Z")
    return to_ms(instant)


def _cursor(query: Mapping[str, str]) -> tuple[int, str] | None:
    text = query.get("after")
    if not text:
        return None
    created, _, transfer_id = text.partition(".")
    if not (
        created.isascii() and created.isdigit() and len(created) <= _DIGITS_MAX and transfer_id
    ):
        raise Problem(400, "not a cursor of a former page", field="after", hint="leave it out")
    return int(created), transfer_id
