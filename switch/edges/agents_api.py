"""The operator's routes of the agent lane: terminals, operations, tills, findings, members."""

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from runtime.http_server import Request, Response
from scheme import cci
from scheme.limits import PAGE_ROWS_MAX
from scheme.wire.mqtt_topics import MEMBER_PREFIX, member
from switch.mqtt_users import MqttUsers, TooManyMembers
from switch.routes import Problem, RouteHandler, as_json, read_json

_PAGE: Final = 50
_CURSOR_CHARACTERS_MAX: Final = 40
_DIGITS_MAX: Final = 12
_PHONE_DIGITS: Final = 9


class AgentDesk(Protocol):
    """What is known of terminals; ``switch.agent_desk.AgentDesk``."""

    def devices(self, after: str, limit: int) -> Sequence[Any]:
        """Return terminals in order of their names, behind one."""

    def device(self, name: str) -> Any | None:
        """Return one terminal, or None if there is no such one."""

    async def operations(self, device: str, after: int, limit: int) -> Sequence[Any]:
        """Return a terminal's operations in order, behind one."""

    def findings(self) -> Sequence[Any]:
        """Return what was noted about terminals, oldest first."""

    def tills(self) -> Sequence[Any]:
        """Return the cash of every agent, by currency."""

    async def revoke(self, device: str) -> None:
        """Refuse a terminal's operations from now on."""

    async def restore(self, device: str) -> None:
        """Take a terminal's operations again."""


class Link(Protocol):
    """The lane's connection to the broker."""

    @property
    def view(self) -> Mapping[str, Any]:
        """How it stands, and what was dropped."""


class Account(Struct, frozen=True):
    """An account behind a phone, and the entity that keeps it."""

    entity: str
    cci: str


class _Enrolment(Struct, forbid_unknown_fields=True):
    phone: str | None = None
    cci: str | None = None
    entity: str | None = None


class AgentsApi:
    """Translates requests of operators.

    Args:
        users: whom the broker lets in.
        accounts_of: returns the accounts behind a phone of nine digits, at one entity or all.
        member_of: returns the name of an account's topic.
        entities: codes of those who keep accounts.
    """

    def __init__(
        self,
        desk: AgentDesk,
        link: Link,
        *,
        users: MqttUsers,
        accounts_of: Callable[[str, str | None], Sequence[Account]],
        member_of: Callable[[str], str],
        entities: Container[str],
    ) -> None:
        self._desk = desk
        self._link = link
        self._users = users
        self._accounts_of = accounts_of
        self._member_of = member_of
        self._entities = entities

    def routes(self) -> dict[tuple[str, str], RouteHandler]:
        """Return the handlers by method and path pattern."""
        return {
            ("GET", "/agents"): self._list,
            ("GET", "/agents/findings"): self._findings,
            ("GET", "/agents/tills"): self._tills,
            ("GET", "/agents/{device}"): self._one,
            ("GET", "/agents/{device}/operations"): self._operations,
            ("POST", "/agents/{device}/revoke"): self._revoke,
            ("POST", "/agents/{device}/restore"): self._restore,
            ("POST", "/notices/members"): self._enrol,
        }

    async def _list(self, request: Request, _: Mapping[str, str]) -> Response:
        query = _only(request, ("after", "limit"))
        limit = _limit(query)
        rows = self._desk.devices(query.get("after", "")[:_CURSOR_CHARACTERS_MAX], limit)
        devices = [_plain(row) for row in rows]
        cursor = devices[-1]["device"] if len(devices) == limit else None
        return as_json({"broker": self._link.view, "devices": devices, "next": cursor})

    async def _one(self, request: Request, params: Mapping[str, str]) -> Response:
        _only(request, ())
        return as_json(_plain(self._known(params["device"])))

    async def _operations(self, request: Request, params: Mapping[str, str]) -> Response:
        query = _only(request, ("after", "limit"))
        limit, device = _limit(query), params["device"]
        self._known(device)
        found = await self._desk.operations(device, _number(query, "after", 0), limit)
        rows = [_plain(row) for row in found]
        cursor = rows[-1]["seq"] if len(rows) == limit else None
        return as_json({"operations": rows, "next": cursor})

    async def _findings(self, request: Request, _: Mapping[str, str]) -> Response:
        _only(request, ())
        return as_json({"findings": [_plain(one) for one in self._desk.findings()]})

    async def _tills(self, request: Request, _: Mapping[str, str]) -> Response:
        _only(request, ())
        return as_json({"tills": [_plain(one) for one in self._desk.tills()]})

    async def _revoke(self, request: Request, params: Mapping[str, str]) -> Response:
        return await self._set(request, params["device"], self._desk.revoke, self._users.revoke)

    async def _restore(self, request: Request, params: Mapping[str, str]) -> Response:
        return await self._set(request, params["device"], self._desk.restore, self._users.restore)

    async def _set(
        self,
        request: Request,
        device: str,
        at_desk: Callable[[str], Awaitable[None]],
        at_broker: Callable[[str], Awaitable[bool]],
    ) -> Response:
        read_json(request, _Nothing)
        self._known(device)
        # The desk first: whatever the broker still lets in is refused from then on.
        await at_desk(device)
        await at_broker(device)
        return as_json({"device": device, "revoked": self._users.is_revoked(device)})

    async def _enrol(self, request: Request, _: Mapping[str, str]) -> Response:
        wanted: _Enrolment = read_json(request, _Enrolment)
        name = self._member_of(self._account(wanted))
        try:
            await self._users.enrol(name)
        except TooManyMembers as error:
            raise Problem(409, "no more members can be enrolled", field="root") from error
        told = {"member": name, "topic": member(name), "username": MEMBER_PREFIX + name}
        return as_json(told)

    def _account(self, wanted: _Enrolment) -> str:
        if wanted.cci is not None:
            if wanted.phone is not None or wanted.entity is not None:
                raise Problem(400, "either a CCI alone, or a phone", field="cci")
            if not cci.has_valid_check_digits(wanted.cci):
                raise Problem(400, "20 digits with their check digits", field="cci")
            if cci.is_placeholder(wanted.cci):
                raise Problem(400, "an account, not what stands for one", field="cci")
            if cci.participant_of(wanted.cci) not in self._entities:
                raise Problem(404, "nobody of the fleet keeps that account", field="cci")
            return wanted.cci
        phone = wanted.phone or ""
        if not (len(phone) == _PHONE_DIGITS and phone.isascii() and phone.isdigit()):
            raise Problem(400, "nine digits, or a CCI instead", field="phone")
        found = self._accounts_of(phone, wanted.entity)
        accounts = {one.cci: one.entity for one in found}
        if not accounts:
            hint = "GET /directory/entries?phone= lists what is on file"
            raise Problem(404, "no account is on file", field="phone", hint=hint)
        if len(accounts) > 1:
            entities = ", ".join(sorted(set(accounts.values())))
            raise Problem(409, "several accounts", field="entity", hint=f"one of {entities}")
        return next(iter(accounts))

    def _known(self, device: str) -> Any:
        found = self._desk.device(device)
        if found is None:
            hint = "GET /agents lists them"
            raise Problem(404, "no such terminal", field="device", hint=hint)
        return found


class _Nothing(Struct, forbid_unknown_fields=True):
    """The body of an action that has nothing to say."""


def _plain(row: Any) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(row, builtin_types=())
    return document


def _only(request: Request, names: tuple[str, ...]) -> Mapping[str, str]:
    for name in request.query:
        if name not in names:
            hint = f"one of {', '.join(names)}" if names else "none is known here"
            raise Problem(400, "no such query parameter here", field=name, hint=hint)
    return request.query


def _limit(query: Mapping[str, str]) -> int:
    return max(1, min(_number(query, "limit", _PAGE), PAGE_ROWS_MAX))


def _number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise Problem(400, "a whole number is needed", field=name)
    return int(text)
