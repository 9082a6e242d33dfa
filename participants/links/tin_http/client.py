"""Outwards: one institution's calls to the clearing house, the directory and the QR module."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from participants.core.qr_reading import QrReading, QrRefused
from participants.links.tin_http import BASE_PATH
from participants.links.tin_http.seal import Seal
from runtime.http_client import HttpClient
from scheme.errors import MalformedMessage, NoAnswer
from scheme.messages import Message
from scheme.messages.proxy import (
    ProxyLookup,
    ProxyLookupResponse,
    ProxyRegistration,
    ProxyRegistrationResponse,
)
from scheme.wire.proxy_json import decode_proxy, encode_proxy
from scheme.wire.tin_json import DEFAULT_VARIANT, WireVariant, decode, encode

M = TypeVar("M", bound=Message)
_S = TypeVar("_S", bound=Struct)

_JSON = "application/json"
_DONE = "0"


class _Header(Struct, frozen=True):
    codReturn: str  # noqa: N815 - spelt as on the wire, like the fields below
    txtReturn: str = ""  # noqa: N815


class _TokenAnswer(Struct, frozen=True):
    header: _Header
    token: str | None = None


class _Read(Struct, frozen=True):
    emisor: str
    idCuenta: str  # noqa: N815
    idQr: str | None = None  # noqa: N815
    importe: str | None = None
    moneda: str | None = None


class _ReadAnswer(Struct, frozen=True):
    header: _Header
    qr: _Read | None = None


class TinClient:
    """Posts the messages of one institution and returns their answers, checked.

    Args:
        code: participant code.
        base_url: of the clearing house, without a path.
        http: shared by the institutions.
        seal: signs and verifies.
        trace: returns a fresh trace, for messages that carry none.
        variant: how this institution speaks.
        qr_password: for the QR module.
        token: shared secret of a network that is not on loopback, or empty.
    """

    def __init__(
        self,
        code: str,
        base_url: str,
        http: HttpClient,
        seal: Seal,
        trace: Callable[[], str],
        *,
        variant: WireVariant = DEFAULT_VARIANT,
        qr_password: str = "demo",  # noqa: S107 - the simulation's own default
        token: str = "",
    ) -> None:
        self._code = code
        self._base_url = base_url.rstrip("/")
        self._http = http
        self._seal = seal
        self._trace = trace
        self._variant = variant
        self._qr_password = qr_password
        self._headers = {"Content-Type": _JSON}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def encode(self, message: Message) -> bytes:
        """Return the bytes under which a message is sent."""
        return encode(message, self._variant)

    async def ask(self, message: Message, expected: type[M]) -> M:
        """Send a message and return its answer.

        Raises:
            PeerError: no sound answer came; NotConnected: nothing was sent.
        """
        trace = getattr(message, "trace", None) or self._trace()
        return await self.send(type(message).__name__, self.encode(message), trace, expected)

    async def send(self, name: str, body: bytes, trace: str, expected: type[M]) -> M:
        """Send the bytes of a message and return its answer; raises as ``ask`` does."""
        headers = {**self._headers, "request-id": self._code[1:] + trace}
        answer = await self._post(BASE_PATH + name, await self._seal.close(body), headers)
        return decode(self._seal.open(answer), expected)

    async def look_up(self, lookup: ProxyLookup) -> ProxyLookupResponse:
        """Ask the directory; raises as ``ask`` does."""
        headers = {**self._headers, "Message": "/NoYamlValidation"}
        body = await self._seal.close(encode_proxy(lookup))
        answer = self._seal.open(await self._post("/directory/lookups", body, headers))
        message = decode_proxy(answer)
        if not isinstance(message, ProxyLookupResponse):
            raise MalformedMessage("an answer to a lookup", field="BusMsg")
        return message

    async def register(self, order: ProxyRegistration) -> ProxyRegistrationResponse:
        """Tell the directory of an alias; raises as ``ask`` does."""
        headers = {**self._headers, "Message": "/ProxyRegistrationV01"}
        body = await self._seal.close(encode_proxy(order))
        answer = self._seal.open(await self._post("/directory/registrations", body, headers))
        message = decode_proxy(answer)
        if not isinstance(message, ProxyRegistrationResponse):
            raise MalformedMessage("an answer to a registration", field="BusMsg")
        return message

    async def read_qr(self, text: str) -> QrReading | QrRefused:
        """Have a QR read, under a token fetched for this call; raises as ``ask`` does."""
        entry = {"Content-Type": _JSON, "user": self._code, "password": self._qr_password}
        given = await self._qr("/qr/token", {"code": self._code}, entry, _TokenAnswer)
        if given.header.codReturn != _DONE or given.token is None:
            return QrRefused(given.header.codReturn, given.header.txtReturn)
        headers = {"Content-Type": _JSON, "Authorization": f"Token {given.token}"}
        question = {"header": {"user": self._code}, "hash": text}
        answer = await self._qr("/qr/read", question, headers, _ReadAnswer)
        if answer.header.codReturn != _DONE or answer.qr is None:
            return QrRefused(answer.header.codReturn, answer.header.txtReturn)
        return _reading(answer.qr)

    async def _qr(
        self, path: str, question: object, headers: dict[str, str], expected: type[_S]
    ) -> _S:
        answer = await self._http.post(
            self._base_url + path, msgspec.json.encode(question), headers
        )
        # The module's refusals carry their own code, whatever the HTTP status says.
        try:
            return msgspec.json.decode(answer.body, type=expected)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedMessage("an answer of the QR module", field="root") from error

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        answer = await self._http.post(self._base_url + path, body, headers)
        if not 200 <= answer.status < 300:
            raise NoAnswer(f"HTTP {answer.status}")
        return answer.body


def _reading(read: _Read) -> QrReading:
    try:
        amount = int(read.importe) if read.importe else None
    except ValueError as error:
        raise MalformedMessage("cents as digits", field="importe") from error
    return QrReading(
        issuer=read.emisor,
        account=read.idCuenta,
        qr_id=read.idQr,
        amount=amount,
        currency=read.moneda or "604",
    )
