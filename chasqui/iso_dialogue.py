"""A link of one's own to the clearing house, in a participant's name: one request at a time."""

import socket
import time
from gettext import gettext as _
from typing import Final, Self

from msgspec import Struct, field

from chasqui.exits import Refused, Unknown
from chasqui.iso_watching import step_after
from chasqui.told import told
from runtime.iso8583_conversation import Conversation, Heard, NotGranted, rule_of, turned_down
from runtime.iso8583_multiplexer import key_of
from runtime.iso8583_speech import MAC_ERROR, Speech
from scheme.clock import Clock
from scheme.network import Participant
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_framing import Framing
from scheme.wire.iso8583_spec import Fields

_READ_BYTES: Final = 65_536
_CONNECT_S: Final = 3.0
_NETWORK: Final = "08"


class Exchange(Struct, kw_only=True):
    """One request and what came back.

    Attributes:
        sent: the request's bytes, without header and TPDU.
        answer: the answer's, or None if none came in time.
        took_s: from the write to the answer, or the whole wait.
        others: messages that are no answer to it, in their order.
        refused: requests of the clearing house that came meanwhile, and were turned down.
        fault: what was wrong with the answer's MAC or form, or empty.
        heard: the answer, read.
    """

    sent: bytes
    answer: bytes | None = None
    took_s: float = 0.0
    others: list[bytes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    fault: str = ""
    heard: Heard | None = None


class Dialogue:
    """One link; ``sign_on`` comes first.

    Args:
        participant: in whose name.
        address: host and port of the lane.
        kek: its key-encrypting key; unused without a MAC.
        answer_s: wait for each answer.

    Raises:
        Unknown: nothing listens there.
    """

    def __init__(
        self,
        participant: Participant,
        address: tuple[str, int],
        kek: bytes,
        clock: Clock,
        *,
        answer_s: float,
    ) -> None:
        spoken = participant.iso8583
        self.speech = Speech(spoken.spec, spoken.mac, kek)
        self._code = participant.code
        framing = Framing(spoken.header, spoken.tpdu)
        self._conversation = Conversation(participant.code, framing, self.speech)
        self._frames: list[bytes] = []
        self._clock = clock
        self._answer_s = answer_s
        self._number = 0
        self._address = f"{address[0]}:{address[1]}"
        try:
            self._socket = socket.create_connection(address, timeout=_CONNECT_S)
        except OSError as error:
            raise Unknown(
                _("{url} was not reached: {cause}").format(url=self._address, cause=error),
                _("Is the country running? Start it with: chasqui up"),
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        # Without a sign-off: that would end the session of the participant's other links too.
        self._socket.close()

    def sign_on(self) -> None:
        """Exchange a key if the participant wants a MAC, and sign on.

        Raises:
            Refused: the clearing house says no, or its key is not under ours.
            Unknown: no answer came.
        """
        for function in self._conversation.opening:
            self._manage(function)

    def ask(self, body: bytes, request: Fields | None) -> Exchange:
        """Send a request and wait for its answer.

        Args:
            request: its fields, which tell its answer; None takes whatever comes first.
        """
        exchange = Exchange(sent=body)
        started = time.perf_counter()
        self.write(body)
        while exchange.answer is None and (frame := self._next(started)) is not None:
            self._take(frame, request, exchange)
        exchange.took_s = time.perf_counter() - started
        return exchange

    def write(self, body: bytes) -> None:
        """Send a message and do not wait.

        Raises:
            Unknown: the link is gone.
        """
        try:
            self._socket.sendall(self._conversation.frame(body))
        except OSError as error:
            raise self._lost(str(error)) from error

    def _take(self, frame: bytes, request: Fields | None, exchange: Exchange) -> None:
        heard = self._conversation.read(frame)
        if heard.is_request:
            self._turn_down(heard.fields, exchange)
        elif request is None or (heard.fields and key_of(heard.fields) == key_of(request)):
            exchange.answer, exchange.heard = frame, heard
            exchange.fault = "" if heard.fault is None else str(heard.fault)
        else:
            exchange.others.append(frame)

    def _turn_down(self, request: Fields, exchange: Exchange) -> None:
        """Answer a request that was meant for the participant's own core.

        Nothing is booked here, so an order is refused. A reversal goes unanswered: it comes again
        on another link.
        """
        answer = turned_down(request)
        if answer is not None:
            self.write(self.speech.write(answer))
        if not request["t"].startswith(_NETWORK):
            exchange.refused.append(request["t"])

    def _manage(self, function: str) -> None:
        """Ask for a network function, and take its answer in."""
        self._number += 1
        now = self._clock.now()
        request = self._conversation.request(function, stan=self._number, now=now)
        exchange = self.ask(self.speech.write(request), request)
        if exchange.heard is None:
            look = _("See what it made of it with: chasqui iso findings")
            raise Unknown(_("0800 {code} was not answered.").format(code=function), look)
        try:
            self._conversation.granted(function, exchange.heard)
        except IsoFault as fault:
            raise self._other_key(str(fault)) from fault
        except NotGranted as no:
            raise self._refused(function, no.answer) from no

    def _refused(self, function: str, answer: Fields) -> Refused:
        """Return the refusal of a network function, with the rule it names and what to do."""
        code = answer.get("39", "-")
        rule = rule_of(answer)
        text = _("0800 {code} was answered with DE39 {answer}.").format(code=function, answer=code)
        if rule:
            text = text.removesuffix(".") + f": {told(rule)}"
        if code == MAC_ERROR:
            return self._other_key(text)
        look = _("See what it made of it with: chasqui iso findings")
        return Refused(text, step_after(rule) or look)

    def _next(self, started: float) -> bytes | None:
        """Return the next message; None once the wait is over."""
        while not self._frames:
            left = started + self._answer_s - time.perf_counter()
            if left <= 0:
                return None
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(_READ_BYTES)
            except TimeoutError:
                return None
            except OSError as error:
                raise self._lost(str(error)) from error
            if not data:
                raise self._lost(_("the link was closed"))
            self._frames += self._conversation.hear(data)
        return self._frames.pop(0)

    def _other_key(self, fault: str) -> Refused:
        hint = _("Both sides must have the same key: CHASQUI_KEK_{code}, or keys/{code}.kek")
        return Refused(fault, hint.format(code=self._code))

    def _lost(self, cause: str) -> Unknown:
        return Unknown(
            _("{url} did not answer: {cause}").format(url=self._address, cause=cause),
            _("See what it made of it with: chasqui iso findings"),
        )
