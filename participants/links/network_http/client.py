"""A coop's way out: its lookups and registrations through the network, the rest as before."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog
from msgspec import Struct

from participants.core.qr_reading import QrReading, QrRefused
from runtime.http_client import HttpClient
from scheme.errors import MalformedMessage, NoAnswer
from scheme.messages import Message
from scheme.messages.proxy import (
    Alias,
    DirectoryAnswer,
    DirectoryEntry,
    ProxyLookup,
    ProxyLookupResponse,
    ProxyRegistration,
    ProxyRegistrationResponse,
)

log = structlog.get_logger()

M = TypeVar("M", bound=Message)
_S = TypeVar("_S", bound=Struct)

_PATH: Final = "/network/v1/"
_NO_SESSION: Final = 401
_QUOTA: Final = 429
_FF07: Final = "FF07"
_ACCEPTED: Final = "ACTC"
_REJECTED: Final = "RJCT"


class _Opened(Struct, frozen=True):
    token: str


class _Entity(Struct, frozen=True):
    code: str
    directory: str


class _Result(Struct, frozen=True):
    phone: str
    entities: tuple[_Entity, ...]


class _Found(Struct, frozen=True):
    partial: bool
    results: tuple[_Result, ...]


class _Registered(Struct, frozen=True, rename="camel"):
    status: str
    registration_id: str
    reason: str | None = None


class Wire(Protocol):
    """The wire of messages, and the QR module's calls, as every institution has them."""

    def encode(self, message: Message) -> bytes:
        """Return the bytes under which a message is sent."""

    async def ask(self, message: Message, expected: type[M]) -> M:
        """Send a message and return its answer."""

    async def send(self, name: str, body: bytes, trace: str, expected: type[M]) -> M:
        """Send the bytes of a message kept earlier and return its answer."""

    async def read_qr(self, text: str) -> QrReading | QrRefused:
        """Have a QR's text read."""


class NetworkClient:
    """ClearingHouse for a coop behind the network.

    Its session is opened at the first call and anew whenever the network says that it ended.

    Args:
        code: participant code of the coop.
        key_id: names the coop's certificate.
        base_url: of the network, without a path.
        http: shows the coop's certificate where the network is behind TLS.
        house: carries the messages of the wire, and the QR module's calls.
        new_id: returns a new UUID.
    """

    def __init__(
        self,
        code: str,
        key_id: str,
        base_url: str,
        http: HttpClient,
        house: Wire,
        new_id: Callable[[], str],
    ) -> None:
        self._code = code
        self._key_id = key_id
        self._base_url = base_url.rstrip("/")
        self._http = http
        self._house = house
        self._new_id = new_id
        self._token = ""
        self._opening = asyncio.Lock()

    def encode(self, message: Message) -> bytes:
        """Return the bytes under which a message is sent."""
        return self._house.encode(message)

    async def ask(self, message: Message, expected: type[M]) -> M:
        """Send a message and return its answer."""
        return await self._house.ask(message, expected)

    async def send(self, name: str, body: bytes, trace: str, expected: type[M]) -> M:
        """Send the bytes of a message kept earlier and return its answer."""
        return await self._house.send(name, body, trace, expected)

    async def read_qr(self, text: str) -> QrReading | QrRefused:
        """Have a QR's text read."""
        return await self._house.read_qr(text)

    async def look_up(self, lookup: ProxyLookup) -> ProxyLookupResponse:
        """Ask the network, and return its merged answer in the directory's own shape."""
        phones = [alias.value for alias in lookup.aliases]
        question = {"requestId": self._new_id(), "phones": phones}
        status, body = await self._call("lookups", question)
        if status == _QUOTA:
            return _lookup_response(lookup, _REJECTED, reason=_FF07)
        found = _read(status, body, _Found)
        if found.partial:
            log.info("lookup answered in part: no national directory", agent=self._code)
        return _lookup_response(lookup, _ACCEPTED, directories=_directories(found.results))

    async def register(self, order: ProxyRegistration) -> ProxyRegistrationResponse:
        """Have an alias registered, amended or deactivated on both sides.

        Raises:
            NoAnswer: what became of it is not known yet; the network keeps it as pending.
        """
        question = {
            "requestId": self._new_id(),
            "action": order.action,
            "phone": order.alias.value,
            "cci": order.cci,
            "displayName": order.display_name or "",
            "holderType": order.holder_type or "",
        }
        status, body = await self._call("aliases", question)
        done = _read(status, body, _Registered)
        if done.status not in (_ACCEPTED, _REJECTED):
            raise NoAnswer(f"the registration is {done.status}")
        return ProxyRegistrationResponse(
            recipient=self._code,
            business_message_id=order.business_message_id,
            msg_id=order.msg_id,
            created=order.created,
            status=msgspec.convert(done.status, Any),
            reason=done.reason,
            registration_id=done.registration_id,
        )

    async def _call(self, call: str, question: Mapping[str, Any]) -> tuple[int, bytes]:
        """Make a call; where its session has ended, once more in a new one."""
        token = self._token or await self._open("")
        status, body = await self._post(call, question, token)
        if status == _NO_SESSION:
            token = await self._open(token)
            status, body = await self._post(call, question, token)
        return status, body

    async def _open(self, ended: str) -> str:
        """Open a session in place of one that ended, unless another call just did."""
        async with self._opening:
            if self._token == ended:
                question = {
                    "requestId": self._new_id(),
                    "participant": self._code,
                    "keyId": self._key_id,
                }
                status, body = await self._post("session", question, "")
                self._token = _read(status, body, _Opened).token
                log.info("network session opened", agent=self._code)
            return self._token

    async def _post(self, call: str, question: Mapping[str, Any], token: str) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self._base_url}{_PATH}{call}"
        answer = await self._http.post(url, msgspec.json.encode(question), headers)
        return answer.status, answer.body


def _read(status: int, body: bytes, expected: type[_S]) -> _S:
    if not 200 <= status < 300:
        raise NoAnswer(f"HTTP {status}")
    try:
        return msgspec.json.decode(body, type=expected)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage("an answer of the network", field="root") from error


def _lookup_response(
    lookup: ProxyLookup,
    status: str,
    *,
    reason: str | None = None,
    directories: tuple[DirectoryAnswer, ...] | None = None,
) -> ProxyLookupResponse:
    return ProxyLookupResponse(
        recipient=lookup.sender,
        lookup_id=lookup.lookup_id,
        status=msgspec.convert(status, Any),
        reason=reason,
        directories=directories,
    )


def _directories(results: tuple[_Result, ...]) -> tuple[DirectoryAnswer, ...]:
    """Return the merged answer by directory, in the order in which it names them."""
    codes = dict.fromkeys(entity.directory for one in results for entity in one.entities)
    return tuple(
        DirectoryAnswer(
            directory=directory,
            entries=tuple(
                entry for one in results if (entry := _entry(one, directory)) is not None
            ),
        )
        for directory in codes
    )


def _entry(result: _Result, directory: str) -> DirectoryEntry | None:
    named = tuple(one.code for one in result.entities if one.directory == directory)
    if not named:
        return None
    # A directory that is its own entity names nobody behind it.
    banks = None if named == (directory,) else named
    return DirectoryEntry(alias=Alias(value=result.phone), present="true", bank_codes=banks)
