"""The exceptions of the project, one tree.

    ChasquiError
    +-- ConfigError          a setting is wrong: the process does not come up
    +-- StoreError           a read failed and may be tried again
    +-- IllegalEvent         an event came too late or twice: nothing changes
    +-- PeerError            the other side of a wire
        +-- MalformedMessage it said something that breaks a rule of the wire
        +-- BadSignature     its signature does not hold
        +-- NotConnected     it was never reached: it cannot have seen the message
        +-- NoAnswer         it may have seen the message, and no sound answer came

A lawful "no" is never an exception: it is a value with a ``ReasonCode``.
"""

from collections.abc import Mapping
from typing import Any

from scheme.reasons import ReasonCode


class ChasquiError(Exception):
    """Root of all errors raised on purpose."""


class ConfigError(ChasquiError):
    """A setting is missing, unknown or wrong; says the file, the key and the reason."""


class StoreError(ChasquiError):
    """A read of the store failed and may be tried again."""


class IllegalEvent(ChasquiError):
    """An event has no row for the present state: a duplicate or a latecomer."""


class PeerError(ChasquiError):
    """Something is wrong with the other side of a wire."""


class MalformedMessage(PeerError):
    """A message breaks a rule of its wire.

    Args:
        rule: the rule that was broken, short, without the value received.
        field: the field concerned, as spelt on the wire; ``root`` for the whole body.
        reason: the code that answers it.
        name: root key of the message, where one could be told.
        raw: the message as far as it could be read, for the echo of an answer.
    """

    def __init__(
        self,
        rule: str,
        *,
        field: str,
        reason: ReasonCode = ReasonCode.FF02,
        name: str | None = None,
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{field}: {rule}")
        self.rule = rule
        self.field = field
        self.reason = reason
        self.name = name
        self.raw = raw


class BadSignature(PeerError):
    """A signature is missing, malformed, of the wrong certificate, or does not verify.

    Args:
        reason: DS0A (does not verify, or missing), DS0B (structure), DS0D (certificate).
        detail: ``field: what exactly``, for people and logs.
    """

    def __init__(self, reason: ReasonCode, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class NotConnected(PeerError):
    """No connection was ever established: the peer cannot have seen the message."""


class NoAnswer(PeerError):
    """The message may have arrived, and no sound answer came back: silence, not refusal."""
