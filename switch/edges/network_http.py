"""The access network's port: a coop's session, its aliases and lookups, its TIN messages.

The calls are our own design (docs/wire/network.md); the messages inside are those of the wire.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal, Protocol

import msgspec
import structlog
from msgspec import Meta, Struct

from directory.core.alias import Refusal, registered_phone
from directory.core.dale import Registered
from directory.core.registry import Instruction, Order
from directory.dale import LookedUp
from runtime.http_guard import foreign
from runtime.http_server import Request, Response
from scheme.clock import Clock, from_ms, to_ms
from scheme.errors import StoreError
from scheme.limits import NETWORK_KEY_ID_CHARACTERS_MAX
from scheme.network import Participant
from scheme.reasons import ReasonCode
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
_WALLETS: Final[Mapping[str, str]] = {"0901": "YAPE", "0902": "PLIN"}
_NAME_CHARACTERS_MAX: Final = 140

Text = Annotated[str, Meta(max_length=_NAME_CHARACTERS_MAX)]


class Dale(Protocol):
    """The access network's part in the directory."""

    def registration_id(self, coop: str) -> str:
        """Return the id of a new instruction."""

    async def register(self, order: Order) -> Registered:
        """Carry out an instruction on both sides."""

    async def look_up(self, coop: str, phones: list[str]) -> LookedUp | Refusal:
        """Return who can be paid at each phone."""


class Messages(Protocol):
    """The handlers of TIN messages, as the TIN port has them."""

    async def from_member(self, request: Request, name: str, member: str) -> Response:
        """Answer a message of a coop."""


class _SessionCall(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    request_id: str
    participant: str
    key_id: Annotated[str, Meta(min_length=1, max_length=NETWORK_KEY_ID_CHARACTERS_MAX)]


class _AliasCall(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    request_id: str
    action: Literal["NEWR", "AMND", "DEAC"]
    phone: str
    cci: str | None = None
    display_name: Text = ""
    holder_type: Literal["", "N", "J"] = ""


class _LookupCall(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    request_id: str
    phones: list[str]


class NetworkEdge:
    """Serves the coops of the access network.

    Args:
        members: the coops, by code.
        fleet: all participants, for their names.
        keys: of the coops, where sessions are opened over TLS; None: plain HTTP, where a coop
            is believed who it is.
        hosts: names under which a plain port may be addressed.
        new_token: returns an unguessable text.
    """

    def __init__(
        self,
        dale: Dale,
        messages: Messages,
        *,
        members: Mapping[str, Participant],
        fleet: Mapping[str, Participant],
        sessions: NetworkSessions,
        requests: Requests,
        keys: Mapping[str, MemberKey] | None,
        clock: Clock,
        hosts: frozenset[str],
        new_token: Callable[[], str],
    ) -> None:
        self._dale = dale
        self._messages = messages
        self._members = members
        self._fleet = fleet
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
        asked = _body(request, _SessionCall)
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
        asked = _body(request, _AliasCall)
        _check_id(asked.request_id, "requestId")
        phone = registered_phone(asked.phone)
        if phone is None:
            hint = "+51 and nine digits, the first a 9"
            raise Problem(400, "no mobile phone", field="phone", hint=hint)

        async def registered() -> Response:
            order = Order(
                instruction=Instruction(asked.action),
                phone=phone,
                participant=coop,
                cci=asked.cci,
                registration_id=self._dale.registration_id(coop),
                display_name=asked.display_name,
                holder_type=asked.holder_type,
            )
            return as_json(_said(asked.request_id, await self._dale.register(order)))

        return await self._once(coop, asked.request_id, "aliases", asked, registered, durably=True)

    async def _look_up(self, request: Request) -> Response:
        coop = self._coop(request)
        asked = _body(request, _LookupCall)
        _check_id(asked.request_id, "requestId")

        async def looked_up() -> Response:
            found = await self._dale.look_up(coop, asked.phones)
            if isinstance(found, Refusal):
                return _refused(found)
            return as_json(self._found(asked.request_id, found))

        return await self._once(coop, asked.request_id, "lookups", asked, looked_up)

    def _found(self, request_id: str, found: LookedUp) -> Mapping[str, Any]:
        results = [
            {
                "phone": one.phone,
                "entities": [
                    {
                        "code": payable.code,
                        "name": self._name(payable.code),
                        "route": payable.route,
                        "directory": payable.directory,
                    }
                    for payable in one.entities
                ],
            }
            for one in found.results
        ]
        return {"requestId": request_id, "partial": found.partial, "results": results}

    def _name(self, code: str) -> str:
        member = self._fleet.get(code)
        # A code that we do not know either is shown by its number.
        return member.name if member is not None else _WALLETS.get(code, code)

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


def _said(request_id: str, done: Registered) -> Mapping[str, Any]:
    answer: dict[str, Any] = {
        "requestId": request_id,
        "status": done.status,
        "registrationId": done.registration_id,
        "upstream": done.upstream,
        "network": done.network,
    }
    if done.reason is not None:
        answer |= {"reason": done.reason, "field": done.field, "rule": done.rule}
    return answer


def _refused(refusal: Refusal) -> Response:
    if refusal.reason is ReasonCode.FF07:
        hint = "FF07: only waiting helps; phones that nobody knows cost most"
        return problem(429, refusal.rule, field=refusal.field, hint=hint)
    if refusal.reason is ReasonCode.DNOR:
        return problem(403, refusal.rule, field="participant", hint="DNOR")
    return problem(400, "this cannot be looked up", field=refusal.field, hint=refusal.rule)


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
