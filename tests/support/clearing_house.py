"""A small clearing house on a real socket: enough to try a fleet's process against.

It answers what a script says and keeps what it was sent. It is not the switch: it judges nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runtime.http_client import AiohttpClient, HttpAnswer
from runtime.http_server import Drop, GuardedServer, Request, Response
from scheme.messages import (
    AV1,
    AV4,
    CT1,
    CT4,
    ET1,
    ET2,
    Message,
    SignOff1,
    SignOff2,
    SignOn1,
    SignOn2,
)
from scheme.messages.proxy import (
    Alias,
    DirectoryAnswer,
    DirectoryEntry,
    ProxyLookup,
    ProxyLookupResponse,
)
from scheme.wire.proxy_json import decode_proxy, encode_proxy
from scheme.wire.tin_json import decode_any, encode

BASE = "/ssv2/payment-api/v3.5.0/"

Answer = Message | Response | None


class ClearingHouse:
    """Listens for a fleet, and posts to its institutions.

    Attributes:
        answers: by root key; returns the answer, or None to cut the connection.
        received: every message that came, in order.
        bodies: the same as bytes.
        request_ids: their ``request-id`` headers.
        entries: (directory, banks or None) by phone.
    """

    def __init__(self) -> None:
        self.server = GuardedServer(self._handle)
        self.client = AiohttpClient()
        self._arrived = asyncio.Event()
        self.received: list[Message] = []
        self.bodies: list[bytes] = []
        self.request_ids: list[str] = []
        self.entries: dict[str, list[tuple[str, tuple[str, ...] | None]]] = {}
        self.qr: list[bytes] = [b"{}"]
        self.answers: dict[str, Callable[[Any], Answer]] = {
            "SignOn1": lambda asked: _session(SignOn2, asked),
            "SignOff1": lambda asked: _session(SignOff2, asked),
            "ET1": lambda asked: _session(ET2, asked),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop(0.2)
        await self.client.close()

    def names(self) -> list[str]:
        return [type(message).__name__ for message in self.received]

    async def until(self, name: str, count: int = 1) -> None:
        """Wait until that many messages of a name have come."""
        async with asyncio.timeout(10):
            while self.names().count(name) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def post(self, port: int, message: Message) -> HttpAnswer:
        """Send a message to the institution on a port."""
        name = type(message).__name__
        url = f"http://127.0.0.1:{port}{BASE}{name.upper()}"
        return await self.client.post(url, encode(message), {"Content-Type": "application/json"})

    async def _handle(self, request: Request) -> Response:
        if request.path.startswith("/qr/"):
            return Response(200, self.qr.pop(0) if len(self.qr) > 1 else self.qr[0])
        if request.path == "/directory/lookups":
            lookup = decode_proxy(request.body)
            assert isinstance(lookup, ProxyLookup)
            return Response(200, encode_proxy(self._found(lookup)))
        message = decode_any(request.body)
        assert request.path == BASE + type(message).__name__
        self.received.append(message)
        self._arrived.set()
        self.bodies.append(request.body)
        self.request_ids.append(request.headers.get("request-id", ""))
        answer = self.answers[type(message).__name__](message)
        if answer is None:
            raise Drop
        return answer if isinstance(answer, Response) else Response(200, encode(answer))

    def _found(self, lookup: ProxyLookup) -> ProxyLookupResponse:
        asked = lookup.aliases[0]
        known = self.entries.get(asked.value.removeprefix("+51"), [])
        return ProxyLookupResponse(
            recipient=lookup.sender,
            created=lookup.created,
            status="ACTC",
            directories=tuple(
                DirectoryAnswer(
                    directory=directory,
                    entries=(
                        DirectoryEntry(
                            alias=Alias(value=asked.value), present="true", bank_codes=banks
                        ),
                    ),
                )
                for directory, banks in known
            ),
        )


def _session(kind: type[Any], asked: SignOn1 | SignOff1 | ET1) -> Message:
    answer: Message = kind(
        participantCode=asked.participantCode,
        responseDate=asked.creationDate,
        responseTime=asked.creationTime,
        status="00",
        trace=asked.trace,
    )
    return answer


def accepted(asked: AV1, *, cci: str, code: str | None = None, **changes: Any) -> AV4:
    """Return the AV4 that finds an account."""
    said: dict[str, Any] = {
        name: getattr(asked, name) for name in AV4.__struct_fields__ if hasattr(asked, name)
    }
    said |= {
        "creditorParticipantCode": code or asked.creditorParticipantCode,
        "creditorCCI": cci,
        "instructionId": f"{asked.creationDate}{asked.creationTime}8{asked.trace}",
        "responseCode": "00",
        "creditorName": "SOCIO DOS DEMO ENSAYO",
        "creditorId": "00000202",
        "creditorIdCode": "2",
        "sameCustomerFlag": "O",
    }
    return AV4(**(said | changes))


def refused_query(asked: AV1, reason: str) -> AV4:
    """Return the AV4 that refuses."""
    return accepted(
        asked,
        cci=asked.creditorCCI or "",
        responseCode="05",
        reasonCode=reason,
        creditorName=None,
        creditorId=None,
        creditorIdCode=None,
        sameCustomerFlag=None,
    )


def result(asked: CT1, code: str = "00", reason: str | None = None, **changes: Any) -> CT4:
    """Return the CT4 of an order."""
    said: dict[str, Any] = {
        name: getattr(asked, name) for name in CT4.__struct_fields__ if hasattr(asked, name)
    }
    said |= {
        "responseDate": asked.creationDate,
        "responseTime": asked.creationTime,
        "responseCode": code,
        "reasonCode": reason,
        "settlementDate": asked.creationDate,
        "instructionId": f"{asked.creationDate}{asked.creationTime}4{asked.trace}",
        "interbankSettlementAmount": asked.amount + asked.feeAmount,
    }
    return CT4(**(said | changes))
