"""Inwards: requests of the clearing house to one institution, translated and answered."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from participants.core.magic import Act
from participants.core.replies import Reply
from participants.links.tin_http import BASE_PATH
from participants.links.tin_http.seal import Seal
from runtime.http_server import Drop, Request, Response
from scheme.errors import BadSignature, MalformedMessage
from scheme.messages import AV3, CT3, CTC2, ET2, Message
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import DEFAULT_VARIANT, WireVariant, decode, encode

log = structlog.get_logger()

REFUSED: Final = "05"
_GATEWAY_ERROR: Final = (
    b'{"code":"TL0001","description":"TECHNICAL ERROR","errorType":"TECHNICAL",'
    b'"exceptionDetails":[],"properties":null}'
)
_GARBAGE: Final = b"<html><body>Gateway</body></html>"
# What of an echo can be told even when a message as a whole cannot be read.
_DECIDING: Final = frozenset({"responseCode", "status", "reasonCode"})


class Receiver(Struct, frozen=True):
    """Who takes one kind of message.

    Attributes:
        message: what is expected.
        take: answers it.
        answer: kind of its answer, for a refusal when it cannot be read; None: HTTP 400.
        is_signed: its signature counts, where the wire is signed.
    """

    message: type[Message]
    take: Callable[[Any], Awaitable[Reply]]
    answer: type[AV3 | CT3 | CTC2 | ET2] | None = None
    is_signed: bool = True


class TinPort:
    """The wire of one institution.

    Args:
        code: participant code.
        receivers: by the last part of the path, in capitals.
        seal: signs and verifies.
        variant: how this institution speaks.
    """

    def __init__(
        self,
        code: str,
        receivers: Mapping[str, Receiver],
        seal: Seal,
        *,
        variant: WireVariant = DEFAULT_VARIANT,
    ) -> None:
        self._code = code
        self._receivers = receivers
        self._seal = seal
        self._variant = variant

    async def answer(self, request: Request) -> Response:
        """Answer one request to a path below BASE_PATH.

        Raises:
            Drop: the connection is to be cut, as a magic value asks for.
        """
        receiver = self._receivers.get(request.path.removeprefix(BASE_PATH).upper())
        if receiver is None:
            return Response(404, b'{"error":"no such message here"}')
        if request.method != "POST":
            return Response(405, b'{"error":"messages are posted"}', (("Allow", "POST"),))
        try:
            message = decode(self._open(request.body, receiver), receiver.message)
        except BadSignature as error:
            return await self._refused(receiver, request.body, error.reason, "signature")
        except MalformedMessage as error:
            return await self._refused(receiver, request.body, error.reason, error.field)
        return await self._response(receiver, await receiver.take(message))

    def _open(self, body: bytes, receiver: Receiver) -> bytes:
        return self._seal.open(body) if receiver.is_signed else self._seal.peek(body)

    async def _response(self, receiver: Receiver, reply: Reply) -> Response:
        if reply.spoiled is not None and reply.spoiled is not Act.BAD_SIGNATURE:
            return await self._spoiled(receiver, reply)
        variant = reply.variant or self._variant
        is_confirmation = receiver.message.__name__ == "CT5"
        usual = variant.ct5_status if is_confirmation else variant.success_status
        status = reply.status if reply.status is not None else usual
        if reply.message is None:
            return Response(status, reply.text if status == 200 else b"")
        body = await self._seal.close(encode(reply.message, variant))
        if reply.spoiled is Act.BAD_SIGNATURE and self._seal.is_on:
            body = _spoil_signature(body)
        return Response(status, body)

    async def _spoiled(self, receiver: Receiver, reply: Reply) -> Response:
        match reply.spoiled:
            case Act.GARBAGE:
                return Response(200, _GARBAGE, content_type="text/html")
            case Act.HALF:
                whole = await self._response(receiver, Reply(reply.message))
                raise Drop(_half(whole.body))
            case Act.ERROR_500:
                return Response(500)
            case Act.ERROR_400:
                return Response(400, _GATEWAY_ERROR)
            case _:
                raise Drop

    async def _refused(
        self, receiver: Receiver, body: bytes, reason: ReasonCode, field: str
    ) -> Response:
        log.info(
            "message refused", agent=self._code, message=receiver.message.__name__, field=field
        )
        answer = None
        if receiver.answer is not None:
            answer = _refusal(receiver.message, receiver.answer, self._seal.peek(body), reason)
        if answer is None:
            error = {"error": "the message cannot be read", "field": field}
            return Response(400, msgspec.json.encode(error))
        return await self._response(receiver, Reply(answer))


def _refusal(
    asked: type[Message], kind: type[Message], body: bytes, reason: ReasonCode
) -> Message | None:
    """Return a refusal that echoes what of a message can be read; None without its id."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    content = document.get(asked.__name__, document)
    if not isinstance(content, dict):
        return None
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in _DECIDING:
            continue
        try:
            values[field.name] = msgspec.convert(content.get(field.name), field.type)
        except msgspec.ValidationError:
            if field.name == "instructionId":
                return None
            values[field.name] = None
    values["status" if kind is ET2 else "responseCode"] = REFUSED
    values["reasonCode"] = reason
    return kind(**values)


def _half(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body[: len(body) // 2]


def _spoil_signature(body: bytes) -> bytes:
    # The last character of a signature carries unused bits; the one in its middle does not.
    at = body.rindex(b'"', 0, -2) + 10
    return body[:at] + (b"A" if body[at : at + 1] != b"A" else b"B") + body[at + 1 :]
