"""One link of an institution to the clearing house, without the link: bytes in, bytes out.

What owns the socket, and how it waits, is the caller's: the command line asks one thing at a time,
load generators have many under way. What is said on a link stands here once for both
(docs/wire/iso8583.md#session).
"""

from datetime import datetime
from typing import Final

from msgspec import Struct

from runtime.iso8583_multiplexer import is_answer
from runtime.iso8583_speech import (
    APPROVED,
    KEY_CHANGE,
    NO_MAC,
    RULE_TAG,
    SIGN_ON,
    BadMac,
    Speech,
    brief_answer,
    network_request,
)
from scheme.errors import PeerError
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_framing import Deframer, Framing
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv

_FINANCIAL: Final = "02"
_NETWORK: Final = "08"
_NOT_AVAILABLE: Final = "91"


class Heard(Struct, frozen=True, kw_only=True):
    """A message that came.

    Attributes:
        body: its bytes, without header and TPDU.
        fields: none if it could not be read; none to be believed if its MAC does not hold.
        fault: what is wrong with its MAC or form, if anything is.
    """

    body: bytes
    fields: Fields
    fault: IsoFault | None = None

    @property
    def is_request(self) -> bool:
        """Whether it asks for something."""
        return bool(self.fields) and not is_answer(self.fields["t"])


class NotGranted(PeerError):
    """A message of the session was answered with another code than 00.

    Attributes:
        function: its DE70.
        answer: what came back.
    """

    def __init__(self, function: str, answer: Fields) -> None:
        super().__init__(f"0800 {function}: answered {answer.get('39', '-')} {rule_of(answer)}")
        self.function = function
        self.answer = answer


class Conversation:
    """What is said on one link, in an institution's name.

    Args:
        code: the institution's own, DE32.
        speech: table of elements, MAC and keys of the link.
    """

    def __init__(self, code: str, framing: Framing, speech: Speech) -> None:
        self.speech = speech
        self._code = code
        self._framing = framing
        self._deframer = Deframer(framing)

    @property
    def opening(self) -> tuple[str, ...]:
        """The functions, DE70, that must be granted before anything else may be asked."""
        return (SIGN_ON,) if self.speech.algorithm == NO_MAC else (KEY_CHANGE, SIGN_ON)

    def request(self, function: str, *, stan: int, now: datetime) -> Fields:
        """Return the 0800 of a function."""
        return network_request(function, stan=stan, now=now, acquirer=self._code)

    def granted(self, function: str, answer: Heard) -> None:
        """Take the answer to a function in; a new key is spoken under from now on.

        Raises:
            NotGranted: it says no.
            IsoFault: its MAC does not hold, or its key is not under ours.
        """
        if answer.fault is not None:
            raise answer.fault
        if answer.fields.get("39") != APPROVED:
            raise NotGranted(function, answer.fields)
        if function == KEY_CHANGE:
            self.speech.adopt(self.speech.unwrapped(answer.fields))

    def frame(self, body: bytes) -> bytes:
        """Return a message as it goes on the link."""
        return self._framing.wrap(body)

    def hear(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole with what has come now.

        They are read one by one (see ``read``): a new key counts from the next one on.

        Raises:
            IsoFault: frames cannot be told apart any more.
        """
        return self._deframer.feed(data)

    def read(self, body: bytes) -> Heard:
        """Return a message that came, whatever it is worth."""
        try:
            return Heard(body=body, fields=self.speech.read(body))
        except BadMac as fault:
            return Heard(body=body, fields=dict(fault.raw or {}), fault=fault)
        except IsoFault as fault:
            return Heard(body=body, fields={}, fault=fault)


def turned_down(request: Fields) -> Fields | None:
    """Return what is answered to the clearing house by somebody who keeps no books.

    Echoes and notices are acknowledged, and orders refused. A reversal is left to the
    institution's own core: it comes again, on another link.
    """
    kind = request["t"]
    if kind.startswith(_NETWORK):
        return brief_answer(request, APPROVED)
    return brief_answer(request, _NOT_AVAILABLE) if kind.startswith(_FINANCIAL) else None


def rule_of(answer: Fields) -> str:
    """Return the field and rule that an answer names; empty if it names none."""
    try:
        return decode_tlv(answer.get("62", ""), 62).get(RULE_TAG, "")
    except IsoFault:
        return ""
