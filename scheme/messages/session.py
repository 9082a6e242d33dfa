"""The session: sign-on, sign-off and the echo test (docs/wire/tin-messages.md#session)."""

from scheme.messages import fields as f
from scheme.messages.conditions import answer_fault, moment_fault


class SessionRequest(f.Message, kw_only=True, frozen=True, gc=False):
    """What every question of the session carries."""

    participantCode: f.Participant
    creationDate: f.Date
    creationTime: f.Time
    trace: f.Trace

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return moment_fault(self.creationDate, self.creationTime)


class SessionAnswer(f.Message, kw_only=True, frozen=True, gc=False):
    """What every answer of the session carries."""

    participantCode: f.Participant | None
    responseDate: f.Date | None
    responseTime: f.Time | None
    status: f.ResponseCode
    reasonCode: f.Reason | None = None
    trace: f.Trace | None

    def fault(self) -> f.Fault | None:
        """Return the first rule between fields that is broken."""
        return answer_fault(self.status, field="status")


class ET1(SessionRequest, kw_only=True, frozen=True, gc=False):
    """Echo test, in either direction."""


class ET2(SessionAnswer, kw_only=True, frozen=True, gc=False):
    """Answer to an echo test."""


class SignOn1(SessionRequest, kw_only=True, frozen=True, gc=False):
    """A participant opens its session."""


class SignOn2(SessionAnswer, kw_only=True, frozen=True, gc=False):
    """Answer to a sign-on."""


class SignOff1(SessionRequest, kw_only=True, frozen=True, gc=False):
    """A participant closes its session."""


class SignOff2(SessionAnswer, kw_only=True, frozen=True, gc=False):
    """Answer to a sign-off."""
