"""The session of an institution: sign-on and -off, echo tests, and what notices tell."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from participants.agents.institution import Institution
from participants.core import answers
from participants.core.book import Change
from participants.core.replies import TAKEN, Reply
from participants.core.session import Fact
from scheme.errors import PeerError
from scheme.messages import (
    ET1,
    ET2,
    SNM971,
    SNM972,
    SNM982,
    Message,
    Reject,
    SignOff1,
    SignOff2,
    SignOn1,
    SignOn2,
)
from scheme.messages.session import SessionAnswer, SessionRequest
from scheme.reasons import ReasonCode

log = structlog.get_logger()

A = TypeVar("A", bound=SessionAnswer)

_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits between attempts to sign on; the last repeats. Short at first: the switch is starting."""


class SessionDesk:
    """Keeps the session of one institution.

    Args:
        institution: whose session it is.
    """

    def __init__(self, institution: Institution) -> None:
        self._own = institution

    async def sign_on(self) -> SessionAnswer:
        """Open the session; return the clearing house's answer.

        Raises:
            PeerError, TimeoutError: no answer.
        """
        answer = await self._ask(SignOn1, SignOn2)
        await self._note(answer, on=True)
        return answer

    async def sign_off(self) -> SessionAnswer:
        """Close the session; return the clearing house's answer.

        Raises:
            PeerError, TimeoutError: no answer.
        """
        answer = await self._ask(SignOff1, SignOff2)
        await self._note(answer, on=False)
        return answer

    async def echo(self) -> SessionAnswer:
        """Test the line; return the clearing house's answer.

        Raises:
            PeerError, TimeoutError: no answer.
        """
        return await self._ask(ET1, ET2)

    async def _ask(self, question: type[SessionRequest], answer: type[A]) -> A:
        stamp = self._own.stamp(self._own.clock.now())
        asked = question(
            participantCode=self._own.code,
            creationDate=stamp.date,
            creationTime=stamp.time,
            trace=stamp.trace,
        )
        async with self._own.within(self._own.profile.timers.owed_answer_s):
            return await self._own.house.ask(asked, answer)

    async def keep_up(self) -> None:
        """Sign on, however long the clearing house is away, then test the line for ever."""
        attempt = 0
        while not await self._signed_on():
            await self._own.wait_s(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1
        while True:
            await self._own.wait_s(self._own.profile.timers.echo_interval_s)
            try:
                await self.echo()
            except (PeerError, TimeoutError) as error:
                log.info("echo unanswered", agent=self._own.code, cause=type(error).__name__)

    async def _signed_on(self) -> bool:
        try:
            answer = await self.sign_on()
        except (PeerError, TimeoutError) as error:
            log.debug("sign-on unanswered", agent=self._own.code, cause=type(error).__name__)
            return False
        log.info("signed on", agent=self._own.code, response_code=answer.status)
        return answer.status == answers.ACCEPTED

    async def follow(self, opened: Callable[[], Awaitable[None]]) -> None:
        """Note that the session is open, on a lane whose links sign on by themselves."""
        await opened()
        await self._save(self._own.session.sign(on=True))
        log.info("signed on", agent=self._own.code, response_code=answers.ACCEPTED)

    async def answer_echo(self, asked: ET1) -> Reply:
        """Answer an ET1; one that names somebody else is refused."""
        reason = None if asked.participantCode == self._own.code else ReasonCode.FF02
        return Reply(answers.echo_answer(asked, reason, self._own.clock.now()))

    async def hear(self, notice: Message) -> Reply:
        """Take a notice in, and acknowledge it once what it changes is on disk."""
        match notice:
            case SNM971() | SNM972() | SNM982():
                facts = self._own.session.hear(notice)
                if facts:
                    await self._save(facts)
            case Reject():
                log.warning("rejected", agent=self._own.code, reason=notice.reasonCode)
            case _:
                log.info("notice", agent=self._own.code, message=type(notice).__name__)
        return TAKEN

    async def _note(self, answer: SessionAnswer, *, on: bool) -> None:
        if answer.status == answers.ACCEPTED:
            await self._save(self._own.session.sign(on=on))

    async def _save(self, facts: tuple[Fact, ...]) -> None:
        await self._own.books.save(Change(participant=self._own.code, facts=facts))
