"""The directory on the wire: prxy.001 and prxy.003 in, prxy.002 and prxy.004 out.

Bodies come without their signature and leave without one: signing is the edge's business.
"""

import msgspec
import structlog
from msgspec import Struct

from directory.core import lookup
from directory.core.alias import SERVICE, Entry, Refusal, registered_phone
from directory.core.registry import Instruction, Order
from directory.core.salvage import Salvage
from directory.service import DirectoryService, ListRefusal
from scheme.clock import wire_date_time
from scheme.errors import MalformedMessage, StoreError
from scheme.messages import proxy
from scheme.reasons import ReasonCode
from scheme.wire.proxy_json import (
    TimestampStyle,
    decode_proxy,
    encode_proxy,
    format_timestamp,
)
from scheme.wire.proxy_tree import Party

log = structlog.get_logger()

_STYLES = {
    "local_z": TimestampStyle.LOCAL_Z,
    "utc": TimestampStyle.UTC,
    "offset": TimestampStyle.OFFSET,
}
_LOOKUP_PATH = "/BusMsg/Document/PrxyLookUp/"
_SUBTYPE = "ACCT"
_HOLDER_TYPES = {None, "N", "J"}
_TRACE_DIGITS = 6
_NOBODY = "0000"


class WireReply(Struct, frozen=True):
    """An answer, and for people and logs what was wrong: ``field: rule``, or None."""

    body: bytes
    fault: str | None = None


class _PeekedHeader(Struct, frozen=True):
    Fr: Party


class _PeekedMessage(Struct, frozen=True):
    AppHdr: _PeekedHeader


class _Peeked(Struct, frozen=True):
    BusMsg: _PeekedMessage


_PEEK = msgspec.json.Decoder(_Peeked)


class DirectoryWire:
    """Answers every body with a directory message; nothing a peer sends makes it raise."""

    def __init__(self, service: DirectoryService) -> None:
        self._service = service
        self._clock = service.clock
        self._style = _STYLES[service.rules.timestamps]
        self._as_boolean = service.rules.present_as == "boolean"

    def sender(self, body: bytes) -> str | None:
        """Return the participant named as sender, or None; the answer checks it says so twice."""
        try:
            return _PEEK.decode(body).BusMsg.AppHdr.Fr.FIId.FinInstnId.Othr.Id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    async def answer(self, body: bytes) -> bytes:
        """Return the answer to a body: prxy.002 or prxy.004."""
        return (await self.reply(body)).body

    async def reply(self, body: bytes) -> WireReply:
        """Return the answer to a body, and what was wrong with it."""
        try:
            message = decode_proxy(body)
        except MalformedMessage as error:
            refusal = Refusal(error.reason, error.field, error.rule)
            return self._refused_unread(body, refusal)
        match message:
            case proxy.ProxyRegistration():
                return await self._registered(message)
            case proxy.ProxyLookup():
                return self._looked_up(message)
            case _:
                refusal = Refusal(ReasonCode.FF02, "BusMsg.Document", "prxy.001 or prxy.003")
                return self._refused_unread(body, refusal)

    def refuse(self, body: bytes, reason: ReasonCode) -> bytes:
        """Return the answer that refuses a body for a reason of the edge's, as a signature."""
        return self._refused_unread(body, Refusal(reason, "BusMsg", "refused")).body

    async def _registered(self, message: proxy.ProxyRegistration) -> WireReply:
        order = _order(message)
        if isinstance(order, Refusal):
            return self._registration_reply(message, order)
        try:
            outcome = await self._service.register(order)
        except StoreError as error:
            log.warning("registration not stored", agent=message.sender, cause=str(error))
            outcome = Refusal(ReasonCode.FF07, "BusMsg", "the directory cannot write")
        return self._registration_reply(message, outcome)

    def _registration_reply(
        self, message: proxy.ProxyRegistration, outcome: Entry | Refusal
    ) -> WireReply:
        refusal = outcome if isinstance(outcome, Refusal) else None
        ids = self._ids(message.msg_id)
        response = proxy.ProxyRegistrationResponse(
            recipient=message.sender,
            business_message_id="B" + ids,
            msg_id="M" + ids,
            created=self._now(),
            original_msg_id=message.msg_id,
            original_created=message.created,
            status="ACTC" if refusal is None else "RJCT",
            reason=None if refusal is None else refusal.reason,
            original_action=message.action,
            original_subtype=message.subtype,
            alias=message.alias,
            registration_id=message.registration_id,
        )
        return WireReply(encode_proxy(response), _fault(refusal))

    def _looked_up(self, message: proxy.ProxyLookup) -> WireReply:
        refusal = _lookup_refusal(message)
        if refusal is not None:
            return self._lookup_reply(message, refusal)
        try:
            outcome = self._service.look_up(
                message.sender, [alias.value for alias in message.aliases]
            )
        except StoreError as error:
            log.warning("lookup failed", agent=message.sender, cause=str(error))
            outcome = Refusal(ReasonCode.FF07, "BusMsg", "the directory cannot read")
        if isinstance(outcome, ListRefusal):
            return self._message_reject(message, outcome)
        return self._lookup_reply(message, outcome)

    def _lookup_reply(
        self, message: proxy.ProxyLookup, outcome: tuple[lookup.DirectoryAnswer, ...] | Refusal
    ) -> WireReply:
        refusal = outcome if isinstance(outcome, Refusal) else None
        response = proxy.ProxyLookupResponse(
            recipient=message.sender,
            created=self._now(),
            original_msg_id=message.msg_id,
            original_created=message.created,
            lookup_id=message.lookup_id,
            retrieval_type=message.retrieval_type,
            retrieval_value=message.retrieval_value,
            status="ACTC" if refusal is None else "RJCT",
            reason=None if refusal is None else refusal.reason,
            directories=None
            if isinstance(outcome, Refusal)
            else tuple(self._directory(one) for one in outcome),
        )
        return WireReply(encode_proxy(response), _fault(refusal))

    def _directory(self, answer: lookup.DirectoryAnswer) -> proxy.DirectoryAnswer:
        entries = tuple(
            proxy.DirectoryEntry(
                alias=proxy.Alias(value=one.phone),
                present=one.is_present if self._as_boolean else str(one.is_present).lower(),
                bank_codes=one.entities,
            )
            for one in answer.presences
        )
        return proxy.DirectoryAnswer(directory=answer.directory, entries=entries)

    def _message_reject(self, message: proxy.ProxyLookup, refusal: ListRefusal) -> WireReply:
        location = _LOOKUP_PATH + refusal.field.replace(".", "/")
        body = self._reject(
            recipient=message.sender,
            reference=message.lookup_id,
            refusal=Refusal(ReasonCode.FF02, location, refusal.rule),
            additional=f"{refusal.entries} ENTRIES",
        )
        return WireReply(body, f"{refusal.field}: {refusal.rule}")

    def _reject(
        self, *, recipient: str, reference: str, refusal: Refusal, additional: str | None = None
    ) -> bytes:
        now = self._now()
        reject = proxy.MessageReject(
            reference=reference,
            party_reason=refusal.reason,
            rejected=now,
            location=refusal.field,
            description=refusal.rule.upper(),
            additional=additional,
        )
        return encode_proxy(
            proxy.ProxyLookupResponse(recipient=recipient, created=now, reject=reject)
        )

    def _refused_unread(self, body: bytes, refusal: Refusal) -> WireReply:
        """Answer a body whose tree does not hold, with what of it can be read."""
        read = Salvage(body)
        recipient = read.sender or _NOBODY
        if not read.is_registration:
            location = "/" + refusal.field.replace(".", "/")
            located = Refusal(refusal.reason, location, refusal.rule)
            answer = self._reject(
                recipient=recipient, reference=read.lookup_id or "", refusal=located
            )
            return WireReply(answer, _fault(refusal))
        ids = self._ids(read.msg_id or "")
        response = proxy.ProxyRegistrationResponse(
            recipient=recipient,
            business_message_id="B" + ids,
            msg_id="M" + ids,
            created=self._now(),
            original_msg_id=read.msg_id,
            original_created=read.created,
            status="RJCT",
            reason=refusal.reason,
            registration_id=read.registration_id,
        )
        return WireReply(encode_proxy(response), _fault(refusal))

    def _now(self) -> str:
        return format_timestamp(self._clock.now(), self._style)

    def _ids(self, question_id: str) -> str:
        """Return what our ids share: this second, our code and the trace of the question."""
        trace = question_id[-_TRACE_DIGITS:]
        if len(trace) != _TRACE_DIGITS or not (trace.isascii() and trace.isdigit()):
            trace = "0" * _TRACE_DIGITS
        return "".join((*wire_date_time(self._clock.now()), SERVICE, "1", trace))


def _order(message: proxy.ProxyRegistration) -> Order | Refusal:
    refusal = _party_refusal(message)
    if refusal is not None:
        return refusal
    if message.subtype != _SUBTYPE:
        return _format("RegnSubTp", _SUBTYPE)
    if message.alias.type != proxy.MOBILE:
        return _format("Prxy.Tp", proxy.MOBILE)
    phone = registered_phone(message.alias.value)
    if phone is None:
        return _format("Prxy.Val", "+51 and nine digits, the first a 9")
    if message.holder_type not in _HOLDER_TYPES:
        return _format("Acct.AcctHldrTp", "N or J")
    return Order(
        instruction=Instruction(message.action),
        phone=phone,
        participant=message.sender,
        cci=message.cci,
        registration_id=message.registration_id,
        display_name=message.display_name or "",
        holder_type=message.holder_type or "",
    )


def _lookup_refusal(message: proxy.ProxyLookup) -> Refusal | None:
    refusal = _party_refusal(message)
    if refusal is not None:
        return refusal
    if any(alias.type != proxy.MOBILE for alias in message.aliases):
        return _format("SplmtryData.Envlp.Proxy.Type", proxy.MOBILE)
    return None


def _party_refusal(message: proxy.ProxyRegistration | proxy.ProxyLookup) -> Refusal | None:
    if message.header_sender is not None:
        return _format("MsgSndr.Agt.FinInstnId.Othr.Id", "the sender of the header")
    if message.recipient != SERVICE:
        return _format("To.FIId.FinInstnId.Othr.Id", SERVICE)
    return None


def _format(field: str, rule: str) -> Refusal:
    return Refusal(ReasonCode.FF02, field, rule)


def _fault(refusal: Refusal | None) -> str | None:
    return None if refusal is None else f"{refusal.field}: {refusal.rule}"
