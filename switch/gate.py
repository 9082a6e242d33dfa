"""Answers the session's messages: sign-on, sign-off, echo."""

from collections.abc import Callable, Mapping

from scheme.clock import Clock
from scheme.messages import ET1, ET2, SignOff1, SignOff2, SignOn1, SignOn2
from scheme.messages.session import SessionAnswer, SessionRequest
from scheme.network import Participant
from scheme.reasons import ReasonCode
from scheme.wire.tin_json import encode
from switch.core import answers
from switch.flight import Answer
from switch.sessions import Sessions


class Gate:
    """Lets registered participants on and off.

    Args:
        wake: called with a participant that has signed on: what is owed to it is due.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        fleet: Mapping[str, Participant],
        clock: Clock,
        wake: Callable[[str], object],
    ) -> None:
        self._sessions = sessions
        self._fleet = fleet
        self._clock = clock
        self._wake = wake

    async def sign_on(self, request: SignOn1) -> Answer:
        """Sign a participant on; the answer leaves once it is on disk."""
        if request.participantCode in self._fleet:
            await self._sessions.sign(request.participantCode, on=True)
            self._wake(request.participantCode)
        return self._answer(SignOn2, request)

    async def sign_off(self, request: SignOff1) -> Answer:
        """Sign a participant off; what is reserved for it goes on."""
        if request.participantCode in self._fleet:
            await self._sessions.sign(request.participantCode, on=False)
        return self._answer(SignOff2, request)

    async def echo(self, request: ET1) -> Answer:
        """Answer an echo test."""
        return self._answer(ET2, request)

    def _answer(self, kind: type[SessionAnswer], request: SessionRequest) -> Answer:
        participant = self._fleet.get(request.participantCode)
        reason = None if participant is not None else ReasonCode.DNOR
        message = answers.session_answer(
            kind,
            participant=request.participantCode,
            trace=request.trace,
            now=self._clock.now(),
            reason=reason,
        )
        if participant is None:
            return Answer(encode(message), "participantCode: not a registered participant")
        return Answer(encode(message, participant.wire))
