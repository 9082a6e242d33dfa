"""What an institution says to one request, before a wire turns it into bytes."""

from msgspec import Struct

from participants.core.magic import Act
from scheme.messages import Message
from scheme.wire.iso8583_spec import Fields
from scheme.wire.tin_json import WireVariant


class Reply(Struct, frozen=True, gc=False):
    """One answer.

    Attributes:
        message: None for an empty answer.
        spoiled: how the answer goes wrong on purpose, if it does.
        variant: how it is spoken, if otherwise than usual.
        status: HTTP status, if otherwise than usual.
        text: sent as it is in place of a message.
    """

    message: Message | None = None
    spoiled: Act | None = None
    variant: WireVariant | None = None
    status: int | None = None
    text: bytes = b""


TAKEN = Reply()
"""The empty acknowledgement."""


class LaneReply(Struct, frozen=True, gc=False):
    """One answer on the ISO 8583 lane.

    Attributes:
        fields: its elements; None for no answer.
        spoiled: how it goes wrong on purpose, if it does.
    """

    fields: Fields | None = None
    spoiled: Act | None = None


SILENCE = LaneReply()
"""No answer at all."""
