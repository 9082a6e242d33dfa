"""The TIN port: participants' requests in, answers out; the directory and QR calls beside it."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
import structlog

from runtime.http_server import Request, Response
from scheme.clock import Clock
from scheme.errors import BadSignature, MalformedMessage
from scheme.messages import AV1, CT1, ET1, PSR1, Message, SignOff1, SignOn1
from scheme.network import Participant
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import DEFAULT_VARIANT, decode, encode
from switch.core import answers
from switch.envelope import Envelopes, Unwrapped, unwrap
from switch.flight import Answer, NotAccepting, UnknownOutcome
from switch.wire_log import WireLog
from switch.wire_names import BASE_PATH, ERROR_HEADER, HOUSE

log = structlog.get_logger()

_REQUESTS: Final[Mapping[str, type[Message]]] = {
    "av1": AV1,
    "ct1": CT1,
    "psr1": PSR1,
    "rctc1": PSR1,
    "et1": ET1,
    "signon1": SignOn1,
    "signon": SignOn1,
    "signoff1": SignOff1,
    "signoff": SignOff1,
    "signof1": SignOff1,
    "signof": SignOff1,
}
_SENDER_FIELD: Final[Mapping[type[Message], str]] = {
    AV1: "debtorParticipantCode",
    CT1: "debtorParticipantCode",
    PSR1: "creditorParticipantCode",
    ET1: "participantCode",
    SignOn1: "participantCode",
    SignOff1: "participantCode",
}
_ANSWER_NAME: Final[Mapping[type[Message], str]] = {
    AV1: "AV4",
    CT1: "CT4",
    PSR1: "PSR2",
    ET1: "ET2",
    SignOn1: "SignOn2",
    SignOff1: "SignOff2",
}

_REJECTED: Final = 400

Handle = Callable[[Any], Awaitable[Answer]]


class DirectoryReply(Protocol):
    """An answer of the directory; ``fault`` says ``field: rule``, or None."""

    @property
    def body(self) -> bytes:
        """The document."""

    @property
    def fault(self) -> str | None:
        """What was wrong with the question."""


class DirectoryCalls(Protocol):
    """The directory's wire, without signatures."""

    def sender(self, body: bytes) -> str | None:
        """Return the participant named as sender."""

    async def reply(self, body: bytes) -> DirectoryReply:
        """Return the answer to a directory message, and what was wrong with it."""

    def refuse(self, body: bytes, reason: ReasonCode) -> bytes:
        """Return the answer that refuses a directory message with a reason."""


class QrCalls(Protocol):
    """The QR module's calls."""

    async def handle(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body of a QR call."""


class TinEdge:
    """Serves the requests of participants.

    Args:
        handlers: what answers each kind of request.
        token: shared secret demanded of unsigned callers; empty: none.
    """

    def __init__(
        self,
        handlers: Mapping[type[Message], Handle],
        *,
        fleet: Mapping[str, Participant],
        envelopes: Envelopes,
        directory: DirectoryCalls,
        qr: QrCalls,
        wire_log: WireLog,
        clock: Clock,
        token: str = "",
    ) -> None:
        self._handlers = handlers
        self._fleet = fleet
        self._envelopes = envelopes
        self._directory = directory
        self._qr = qr
        self._log = wire_log
        self._clock = clock
        self._token = token.encode()

    async def handle(self, request: Request) -> Response:
        """Answer one HTTP request."""
        path = request.path
        if request.method != "POST":
            return _problem(405, "only POST is served here", "send the message as a POST")
        if path.startswith(BASE_PATH):
            expected = _REQUESTS.get(path[len(BASE_PATH) :].lower())
            if expected is not None:
                return await self._message(request, expected)
        elif path.startswith("/directory/"):
            return await self._directory_call(request)
        elif path.startswith("/qr/"):
            status, body = await self._qr.handle(path, request.headers, request.body)
            return Response(status, body)
        names = ", ".join(sorted({kind.__name__ for kind in _REQUESTS.values()}))
        return _problem(404, "no such path", f"POST {BASE_PATH}NAME with NAME one of {names}")

    async def from_member(self, request: Request, name: str, member: str) -> Response:
        """Answer a message that a coop of the network sent through its session.

        The very same handlers answer, so that an order sent by both doors is one order.

        Args:
            member: whose session it is; it speaks for nobody else.
        """
        expected = _REQUESTS.get(name.lower())
        if expected is None:
            names = ", ".join(sorted({kind.__name__ for kind in _REQUESTS.values()}))
            return _problem(404, "no such message", f"one of {names}")
        return await self._message(request, expected, member)

    async def _message(
        self, request: Request, expected: type[Message], member: str = ""
    ) -> Response:
        exchange = _Exchange(request, expected, self._clock.now_us())
        try:
            unwrapped = unwrap(request.body)
        except BadSignature as error:
            exchange.signed = True
            return await self._refuse(exchange, {}, error.reason, error.detail)
        message: Message | None = None
        fault: MalformedMessage | None = None
        try:
            message = decode(unwrapped.document, expected)
            sender: str | None = getattr(message, _SENDER_FIELD[expected])
        except MalformedMessage as error:
            fault = error
            sender = _sender(error, expected)
        exchange.sender = sender or ""
        exchange.signed = unwrapped.signed is not None or self._envelopes.must_sign(sender)
        if fault is not None and fault.raw is None:
            return await self._reject(exchange, unwrapped.document, fault)
        if member and sender != member:
            return _not_its_own(_SENDER_FIELD[expected], member)
        refused = self._not_entitled(request, unwrapped, sender, has_session=bool(member))
        if refused is not None:
            echo = _echo(message, fault)
            return await self._refuse(exchange, echo, refused.reason, refused.detail)
        if message is None:
            assert fault is not None
            return await self._refuse(exchange, fault.raw or {}, fault.reason, str(fault))
        return await self._handle(exchange, message)

    async def _handle(self, exchange: "_Exchange", message: Message) -> Response:
        """Let a sound message of an entitled sender be answered."""
        try:
            answer = await self._handlers[exchange.expected](message)
        except NotAccepting:
            return _problem(503, "the clearing house is stopping", "try again in a moment")
        except Exception as error:
            # Never a guessed outcome: the sender asks again.
            if not isinstance(error, UnknownOutcome):
                log.exception(
                    "request failed", message=exchange.expected.__name__, agent=exchange.sender
                )
            self._keep(exchange, b"", 500, repr(error), _subject(_echo(message, None)))
            return Response(500)
        body = await self._envelopes.wrap(answer.body, signed=exchange.signed)
        status = self._variant(exchange.sender).success_status
        subject = answer.subject or _subject(_echo(message, None))
        self._keep(exchange, body, status, answer.explain, subject)
        headers = ((ERROR_HEADER, _one_line(answer.explain)),) if answer.explain else ()
        return Response(status, body, headers)

    def _not_entitled(
        self,
        request: Request,
        unwrapped: Unwrapped,
        sender: str | None,
        *,
        has_session: bool = False,
    ) -> BadSignature | None:
        try:
            self._envelopes.check(unwrapped, sender)
        except BadSignature as error:
            return error
        if unwrapped.signed is None and not has_session and not self._shows_token(request):
            detail = "root: unsigned: the header Authorization: Bearer TOKEN is required"
            return BadSignature(ReasonCode.DS0A, detail)
        return None

    def _shows_token(self, request: Request) -> bool:
        if not self._token:
            return True
        shown = request.headers.get("Authorization", "")
        return hmac.compare_digest(shown.encode(errors="replace"), b"Bearer " + self._token)

    def _keep(
        self, exchange: "_Exchange", body: bytes, status: int, note: str, subject: str
    ) -> None:
        """Put a request and its answer into the wire log, whatever became of it."""
        if not self._log.enabled:
            return
        began_us, now_us = exchange.began_us, self._clock.now_us()
        kind, sender = exchange.expected, exchange.sender
        self._log.write(began_us, subject, kind.__name__, sender, HOUSE, exchange.request.body)
        self._log.write(
            now_us,
            subject,
            _ANSWER_NAME[kind] if status != _REJECTED else "Reject",
            HOUSE,
            sender,
            body,
            status=status,
            took_us=now_us - began_us,
            note=note,
        )

    async def _refuse(
        self, exchange: "_Exchange", echo: Mapping[str, Any], reason: str, explain: str
    ) -> Response:
        """Answer a message that could not be taken, in its own words with 05."""
        name = exchange.expected.__name__
        message = answers.refused_answer(name, echo, reason=reason, now=self._clock.now())
        variant = self._variant(exchange.sender)
        log.info("message refused", message=name, agent=exchange.sender, rule=explain)
        body = await self._envelopes.wrap(encode(message, variant), signed=exchange.signed)
        self._keep(exchange, body, variant.success_status, explain, _subject(echo))
        headers = ((ERROR_HEADER, _one_line(explain)),)
        return Response(variant.success_status, body, headers)

    async def _reject(
        self, exchange: "_Exchange", document: bytes, fault: MalformedMessage
    ) -> Response:
        """Answer what is no message at all."""
        log.info("body rejected", rule=str(fault))
        message = answers.reject(document, reason=ReasonCode.FF02, now=self._clock.now())
        body = await self._envelopes.wrap(encode(message), signed=exchange.signed)
        self._keep(exchange, body, _REJECTED, str(fault), "")
        return Response(_REJECTED, body, ((ERROR_HEADER, _one_line(str(fault))),))

    async def _directory_call(self, request: Request) -> Response:
        try:
            unwrapped = unwrap(request.body)
        except BadSignature as error:
            why = ((ERROR_HEADER, _one_line(error.detail)),)
            return Response(400, msgspec.json.encode({"error": str(error)}), why)
        document = unwrapped.document
        sender = self._directory.sender(document)
        signed = unwrapped.signed is not None or self._envelopes.must_sign(sender)
        refused = self._not_entitled(request, unwrapped, sender)
        if refused is not None:
            body = self._directory.refuse(document, refused.reason)
            fault: str | None = refused.detail
        else:
            reply = await self._directory.reply(document)
            body, fault = reply.body, reply.fault
        headers = ((ERROR_HEADER, _one_line(fault)),) if fault else ()
        return Response(200, await self._envelopes.wrap(body, signed=signed), headers)

    def _variant(self, sender: str) -> Any:
        participant = self._fleet.get(sender)
        return DEFAULT_VARIANT if participant is None else participant.wire


class _Exchange:
    """One request on its way to its answer.

    Attributes:
        sender: the participant it names, or empty.
        signed: whether it is answered signed.
    """

    __slots__ = ("began_us", "expected", "request", "sender", "signed")

    def __init__(self, request: Request, expected: type[Message], began_us: int) -> None:
        self.request = request
        self.expected = expected
        self.began_us = began_us
        self.sender = ""
        self.signed = False


def _subject(echo: Mapping[str, Any]) -> str:
    """Return the id under which a request that was refused can be found again."""
    subject = echo.get("referenceTransactionId") or echo.get("instructionId")
    return subject if isinstance(subject, str) else ""


def _sender(error: MalformedMessage, expected: type[Message]) -> str | None:
    value = (error.raw or {}).get(_SENDER_FIELD[expected])
    return value if isinstance(value, str) else None


def _echo(message: Message | None, fault: MalformedMessage | None) -> Mapping[str, Any]:
    if message is not None:
        return {name: getattr(message, name) for name in message.__struct_fields__}
    return (fault.raw if fault is not None else None) or {}


def _one_line(text: str) -> str:
    return " ".join(text.encode("ascii", "replace").decode().split())[:300]


def _problem(status: int, error: str, hint: str, field: str = "path") -> Response:
    return Response(status, msgspec.json.encode({"error": error, "field": field, "hint": hint}))


def _not_its_own(field: str, member: str) -> Response:
    hint = f"in this session it is {member}; open one for each coop"
    return _problem(403, "the message names another sender", hint, field)
