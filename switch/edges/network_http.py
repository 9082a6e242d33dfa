"""The access network's port: a coop's session, its aliases and lookups, its TIN messages.

The calls are our own design (docs/wire/network.md); the messages inside are those of the wire.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, Protocol

import msgspec
import structlog
from msgspec import Struct

from runtime.http_guard import foreign
from runtime.http_server import Request, Response
from scheme.clock import Clock, from_ms, to_ms
from scheme.errors import StoreError
from switch.core.network_calls import AliasCall, LookupCall, SessionCall
from switch.core.network_sessions import MemberKey, NetworkSessions
from switch.network_requests import OtherContent, Requests
from switch.routes import Problem, as_json, problem

log = structlog.get_logger()

PATH: Final = "/network/v1/"
REQUEST_ID: Final = "Network-Request-Id"
"""Header with the id of a call whose body is a TIN message, which has no place for it."""
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)
_BEARER: Final = "Bearer "


class Desk(Protocol):
    """The network's part in the directory."""

    def check(self, asked: AliasCall) -> None:
        """Raise Problem for an alias that cannot be one."""

    async def register(self, coop: str, asked: AliasCall) -> Mapping[str, Any]:
        """Carry an instruction out on both sides; return what became of it."""

    async def look_up(self, coop: str, asked: LookupCall) -> Mapping[str, Any]:
        """Return who can be paid at each phone.

        Raises:
            Problem: the lookup is refused.
        """


class Messages(Protocol):
    """The handlers of TIN messages, as the TIN port has them."""

    async def from_member(self, request: Request, name: str, member: str) -> Response:
        """Answer a message of a coop."""


class NetworkEdge:
    """Serves the coops of the access network.

    Args:
        members: codes of the coops.
        keys: of the coops, where sessions are opened over TLS; None: plain HTTP, where a coop
            is believed who it is.
        hosts: names under which a plain port may be addressed.
        new_token: returns an unguessable text.
    """

    def __init__(
        self,
        desk: Desk,
        messages: Messages,
        *,
        members: Collection[str],
        sessions: NetworkSessions,
        requests: Requests,
        keys: Mapping[str, MemberKey] | None,
        clock: Clock,
        hosts: frozenset[str],
        new_token: Callable[[], str],
    ) -> None:
        self._desk = desk
        self._messages = messages
        self._members = members
        self._sessions = sessions
        self._requests = requests
        self._keys = keys
        self._clock = clock
        self._hosts = hosts
        self._new_token = new_token
        self._calls: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
            "session": self._session,
            "aliases": self._register,
            "lookups": self._look_up,
        }

    async def handle(self, request: Request) -> Response:
        """Answer one HTTP request."""
        try:
            return await self._routed(request)
        except Problem as error:
            return error.response
        except OtherContent:
            hint = "take a new id for a new request; repeat the old one with the same content"
            return problem(
                409, "this id was used for another request", field="requestId", hint=hint
            )
        except StoreError as error:
            log.warning("network call failed", path=request.path, cause=str(error))
            return problem(503, "the network cannot read or write just now", hint="try again")

    async def _routed(self, request: Request) -> Response:
        if request.method != "POST":
            raise Problem(405, "only POST is served here", field="method", hint="send a POST")
        # Behind TLS only who holds a coop's key gets a token; a browser's page never does.
        found = foreign(request, self._hosts if self._keys is None else None)
        if found is not None:
            raise Problem(found.status, found.error, field=found.field, hint=found.hint)
        rest = request.path.removeprefix(PATH) if request.path.startswith(PATH) else ""
        call = self._calls.get(rest)
        if call is not None:
            return await call(request)
        if rest.startswith("messages/"):
            return await self._message(request, rest.removeprefix("messages/"))
        hint = f"{PATH}session, aliases, lookups or messages/NAME"
        raise Problem(404, "no such path", field="path", hint=hint)

    # --- the session

    async def _session(self, request: Request) -> Response:
        asked = _body(request, SessionCall)
        coop = asked.participant
        if coop not in self._members:
            hint = 'a coop is one whose entry in the fleet file says ledger = "dale"'
            raise Problem(403, "not a coop of the network", field="participant", hint=hint)
        self._check_key(request, coop, asked.key_id)
        _check_id(asked.request_id, "requestId")

        async def opened() -> Response:
            token = self._new_token()
            session = self._sessions.open(
                coop,
                token=token,
                key_id=asked.key_id,
                certificate=request.certificate,
                now_ms=to_ms(self._clock.now()),
            )
            log.info("network session opened", agent=coop)
            until = from_ms(session.until_ms).isoformat(timespec="milliseconds")
            answer = {"requestId": asked.request_id, "participant": coop}
            return as_json(answer | {"token": token, "expiresAt": until})

        return await self._once(coop, asked.request_id, "session", asked, opened)

    def _check_key(self, request: Request, coop: str, key_id: str) -> None:
        """Raise Problem unless the client's certificate is the coop's."""
        if self._keys is None:
            return
        key = self._keys[coop]
        if not request.certificate:
            hint = "connect with the coop's client certificate"
            raise Problem(401, "no client certificate was shown", field="certificate", hint=hint)
        if request.certificate != key.certificate:
            hint = f"show the certificate of {coop}"
            error = "the client certificate is not the coop's"
            raise Problem(401, error, field="certificate", hint=hint)
        if key_id != key.key_id:
            hint = "the x5t of the coop's certificate: base64url of its SHA-1"
            raise Problem(401, "the key id is not the certificate's", field="keyId", hint=hint)

    def _coop(self, request: Request) -> str:
        """Return the coop whose session this is.

        Raises:
            Problem: 401, with what is wrong with the token.
        """
        shown = request.headers.get("Authorization", "")
        hint = f"open a session at {PATH}session and send Authorization: Bearer TOKEN"
        if not shown.startswith(_BEARER):
            raise Problem(401, "a session is needed", field="Authorization", hint=hint)
        found = self._sessions.find(
            shown.removeprefix(_BEARER),
            certificate=request.certificate,
            now_ms=to_ms(self._clock.now()),
        )
        if isinstance(found, str):
            raise Problem(401, found, field="Authorization", hint=hint)
        return found.coop

    # --- aliases and lookups

    async def _register(self, request: Request) -> Response:
        coop = self._coop(request)
        asked = _body(request, AliasCall)
        _check_id(asked.request_id, "requestId")
        self._desk.check(asked)

        async def registered() -> Response:
            return as_json(await self._desk.register(coop, asked))

        return await self._once(coop, asked.request_id, "aliases", asked, registered, durably=True)

    async def _look_up(self, request: Request) -> Response:
        coop = self._coop(request)
        asked = _body(request, LookupCall)
        _check_id(asked.request_id, "requestId")

        async def looked_up() -> Response:
            return as_json(await self._desk.look_up(coop, asked))

        return await self._once(coop, asked.request_id, "lookups", asked, looked_up)

    # --- messages

    async def _message(self, request: Request, name: str) -> Response:
        coop = self._coop(request)
        request_id = request.headers.get(REQUEST_ID, "")
        _check_id(request_id, REQUEST_ID)
        content = b"messages/" + name.lower().encode() + b"\0" + request.body
        return await self._requests.once(
            coop,
            request_id.lower(),
            content,
            lambda: self._messages.from_member(request, name, coop),
        )

    async def _once(
        self,
        coop: str,
        request_id: str,
        call: str,
        asked: Struct,
        make: Callable[[], Awaitable[Response]],
        *,
        durably: bool = False,
    ) -> Response:
        content = call.encode() + b"\0" + msgspec.json.encode(asked)
        return await self._requests.once(coop, request_id.lower(), content, make, durably=durably)


def _check_id(text: str, field: str) -> None:
    if _UUID.fullmatch(text) is None:
        hint = "a new UUID for each request, the same one for its repeats"
        raise Problem(400, "a UUID is needed", field=field, hint=hint)


def _body(request: Request, kind: type[Any]) -> Any:
    """Return a request's body as a Struct.

    Raises:
        Problem: 400, with the rule and the field.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        named = re.search(r"`(\w+)`", text)
        field = path.rstrip("`") or (named[1] if named else "body")
        raise Problem(400, text, field=field, hint="see docs/wire/network.md") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "see docs/wire/network.md"
        raise Problem(400, "a JSON object is needed", field="body", hint=hint) from error
