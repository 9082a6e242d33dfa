"""Requests to participants over ISO 8583 links, and what their answers are worth.

Silence is not refusal: whatever is not a sound answer is ``NoAnswer``; only what was never written
to a link is ``NotConnected``.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from runtime.iso8583_speech import (
    APPROVED,
    ECHO,
    NOTICE,
    network_request,
    transmitted,
)
from scheme.clock import Clock, from_ms
from scheme.errors import MalformedMessage, NoAnswer, NotConnected, PeerError
from scheme.ledger import Owed
from scheme.messages import AV2, CT2, ET1, ET2, Message
from scheme.network import ISO8583_SPECS, Participant
from scheme.wire.iso8583_codec import Codec, IsoFault, codec
from scheme.wire.iso8583_secrets import for_log
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import VALUE_CHARACTERS_MAX, encode_tlv, printable
from switch.core.cash import is_undone
from switch.core.iso8583_messages import HOUSE as FORWARDER
from switch.core.iso8583_messages import reply_of, request_for
from switch.core.reversal import REVERSAL
from switch.iso8583_links import UNFIT, IsoLinks
from switch.iso8583_unfit import against, objection
from switch.ports import Delivery
from switch.wire_log import WireLog
from switch.wire_names import HOUSE

PREPARED_KEPT_MAX: Final = 4096
"""Prepared requests whose fields are kept, to spare their decoding."""
REPEATED_REVERSAL: Final = "0421"
_NAME_TAG, _TEXT_TAG = "07", "08"
_NOTICE_CHARACTERS_MAX: Final = VALUE_CHARACTERS_MAX - 60


_Read = TypeVar("_Read")


def _as_it_is(answer: Fields) -> Fields:
    return answer


def _unnumbered() -> int:
    raise AssertionError("the sequence comes with the house")


class Iso8583Peers:
    """Sends requests to the cores of participants, and reads their answers.

    Attributes:
        next_stan: the durable sequence of our own STANs; given before the first request.
    """

    def __init__(
        self,
        links: IsoLinks,
        *,
        fleet: Mapping[str, Participant],
        wire_log: WireLog,
        clock: Clock,
    ) -> None:
        self._links = links
        self._fleet = fleet
        self._log = wire_log
        self._clock = clock
        self._prepared: dict[bytes, Fields] = {}
        self.next_stan: Callable[[], int] = _unnumbered

    def prepare(self, participant: str, message: Message, subject: str) -> bytes:
        """Return the exact 0200 that asks what an AV2 or CT2 asks, without its MAC.

        Raises:
            NotConnected: it cannot be said on this wire, so it will not be.
        """
        if not isinstance(message, AV2 | CT2):
            return b""
        creditor = self._fleet[participant]
        fields = request_for(
            message, stan=self.next_stan(), now=self._clock.now(), creditor=creditor
        )
        return self._encoded(participant, fields)

    async def ask(
        self, participant: str, message: Message, subject: str, prepared: bytes = b""
    ) -> Message:
        """Send a message and return its answer (see ``switch.ports.Peers``)."""
        if isinstance(message, ET1):
            return await self._echo(participant, message)
        assert isinstance(message, AV2 | CT2), "only these and echoes are asked"
        body = prepared or self.prepare(participant, message, subject)
        asked: AV2 | CT2 = message
        fields, encoded = self._of_prepared(participant, body)
        return await self._exchange(
            participant, fields, subject, lambda answer: reply_of(asked, answer), encoded
        )

    def prepare_fields(self, participant: str, fields: Fields) -> bytes:
        """Return the exact request to a core, with DE7, DE11 and DE33 filled in, without its MAC.

        Raises:
            NotConnected: it cannot be said on this wire.
        """
        own = {"7": transmitted(self._clock.now()), "11": f"{self.next_stan():06}"}
        return self._encoded(participant, {**fields, **own, "33": FORWARDER})

    async def ask_prepared(self, participant: str, prepared: bytes, subject: str) -> Fields:
        """Send a prepared request and return its answer; the caller guards the wait.

        Raises:
            NotConnected: nothing was written.
            NoAnswer: it was, and no answer came.
        """
        fields, encoded = self._of_prepared(participant, prepared)
        return await self._exchange(participant, fields, subject, _as_it_is, encoded)

    async def deliver(self, owed: Owed, *, repeated: bool = False) -> Delivery:
        """Send an owed message: a reversal as 0420 or 0421, anything else as a notice."""
        peer = self._fleet.get(owed.participant)
        if peer is None:
            return Delivery(acknowledged=False, detail="it has left the fleet")
        try:
            if owed.message != REVERSAL:
                notice = self._notice(owed)
                answer = await self._exchange(peer.code, notice, owed.subject, _as_it_is)
                code = answer.get("39", "")
                return Delivery(acknowledged=code == APPROVED, detail=f"DE39: {code}")
            fields = _owed_fields(owed.body, codec(peer.iso8583.spec))
            if repeated:
                fields["t"] = REPEATED_REVERSAL
            answer = await self._exchange(peer.code, fields, owed.subject, _as_it_is)
        except PeerError as error:
            return Delivery(acknowledged=False, detail=str(error))
        code = answer.get("39", "")
        if answer["t"] != "0430" or not code:
            return Delivery(acknowledged=False, detail="no 0430 with a DE39")
        return Delivery(
            acknowledged=True, refused=not is_undone(owed.owed_id, code), detail=f"DE39: {code}"
        )

    async def _echo(self, participant: str, et1: ET1) -> ET2:
        answer = await self._exchange(participant, self._network(ECHO), "", _as_it_is)
        return ET2(
            participantCode=et1.participantCode,
            responseDate=et1.creationDate,
            responseTime=et1.creationTime,
            status=answer.get("39", ""),
            trace=et1.trace,
        )

    def _notice(self, owed: Owed) -> Fields:
        text = printable(" ".join(owed.body.decode(errors="replace").split()))
        tags = {_NAME_TAG: owed.message, _TEXT_TAG: text[:_NOTICE_CHARACTERS_MAX]}
        now = from_ms(owed.due_ms)  # Every repeat of a notice is the same.
        return {**self._network(NOTICE), "7": transmitted(now), "62": encode_tlv(tags)}

    def _network(self, function: str) -> Fields:
        return network_request(
            function, stan=self.next_stan(), now=self._clock.now(), acquirer=FORWARDER
        )

    def _encoded(self, participant: str, fields: Fields) -> bytes:
        """Return a request's bytes; its fields are kept until it is asked, as it soon is."""
        try:
            body = codec(self._fleet[participant].iso8583.spec).encode(fields)
        except IsoFault as error:
            raise NotConnected(f"it cannot be said on this wire: {error}") from error
        if len(self._prepared) >= PREPARED_KEPT_MAX:
            self._prepared.clear()  # Some are never asked; those that are can be read again.
        self._prepared[body] = fields
        return body

    def _of_prepared(self, participant: str, prepared: bytes) -> tuple[Fields, bytes]:
        """Return a prepared request's fields, and its bytes if they are today's table's."""
        self._links.lane(participant)  # Before its table is asked for: it may have left the fleet.
        fields = self._prepared.pop(prepared, None)
        return (self._decoded(participant, prepared), b"") if fields is None else (fields, prepared)

    def _decoded(self, participant: str, prepared: bytes) -> Fields:
        try:
            return codec(self._fleet[participant].iso8583.spec).decode(prepared)
        except IsoFault as error:
            raise NotConnected(f"it was prepared for another table: {error}") from error

    async def _exchange(
        self,
        participant: str,
        fields: Fields,
        subject: str,
        read: Callable[[Fields], _Read],
        encoded: bytes = b"",
    ) -> _Read:
        """Send a request and return what its answer says; both go into the wire log.

        Args:
            read: raises NoAnswer for an answer that does not fit the request.
            encoded: the request's bytes without its MAC, if they are known already.
        """
        lane = self._links.lane(participant)
        session = lane.choose()
        began_us = self._clock.now_us()
        sent = lane.send(fields, session, encoded)
        lane.counts["asked"] += 1
        answer: Fields = {}
        rule, note, body = "", "", b""
        try:
            answer, body = await lane.answer(sent)
            rule = objection(fields, answer)
            return read(answer)
        except NoAnswer as error:
            note = f"NoAnswer: {error}"
            rule = str(error) if answer else ""
            raise
        except BaseException:
            note = "given up at the deadline"
            raise
        finally:
            if rule:
                # It counts as silence, so this is the only place that tells why.
                note = f"unfit answer: {rule}"
                near = against(rule, fields, answer)
                self._links.note(
                    UNFIT, participant, rule, answer, near=near, session=session, body=body
                )
            if self._log.enabled:
                self._write(
                    participant, subject, began_us, (fields, sent.body), (answer, body), note
                )

    def _write(
        self,
        participant: str,
        subject: str,
        began_us: int,
        request: tuple[Fields, bytes],
        answer: tuple[Fields, bytes],
        note: str,
    ) -> None:
        spoken = codec(self._fleet[participant].iso8583.spec)
        fields, body = request
        self._log.write(
            began_us, subject, fields["t"], HOUSE, participant, for_log(spoken, fields, body)
        )
        now_us = self._clock.now_us()
        said, received = answer
        self._log.write(
            now_us,
            subject,
            said.get("t") or "no answer",
            participant,
            HOUSE,
            for_log(spoken, said, received) if said else b"",
            took_us=now_us - began_us,
            note=note,
        )


class Iso8583Cores:
    """The same for cash at machines (see ``switch.cash_ports.Cores``)."""

    def __init__(self, peers: Iso8583Peers) -> None:
        self._peers = peers

    def prepare(self, participant: str, fields: Fields) -> bytes:
        """Return the exact request to a core."""
        return self._peers.prepare_fields(participant, fields)

    async def ask(self, participant: str, prepared: bytes, subject: str) -> Fields:
        """Send a prepared request and return its answer."""
        return await self._peers.ask_prepared(participant, prepared, subject)


def _owed_fields(body: bytes, spoken: Codec) -> Fields:
    """Return an owed reversal's fields, also if its participant has changed its table since.

    Raises:
        MalformedMessage: it is of no table that is known here.
    """
    fault: MalformedMessage | None = None
    for one in (spoken, *(codec(name) for name in ISO8583_SPECS)):
        try:
            return one.decode(body)
        except MalformedMessage as error:
            fault = fault or error
    assert fault is not None
    raise fault
