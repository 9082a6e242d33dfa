"""Keeps who is signed on and blocked, on disk too, and tells the others."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from scheme.clock import Clock
from scheme.ledger import Command, Owed, PutFact
from scheme.messages import Message
from scheme.network import Participant
from switch.core import notices
from switch.core.notices import NoticeHead
from switch.core.sessions import (
    SESSION_FACT,
    SUSPENDED_FACT,
    NetworkState,
    Session,
    pack_session,
    unpack_session,
)
from switch.identifiers import DurableSequence
from switch.ports import Ledger, Outbox

log = structlog.get_logger()


def read_state(facts: Mapping[str, bytes]) -> NetworkState:
    """Return the network's state as the stored facts have it."""
    sessions = {
        name.removeprefix(SESSION_FACT): unpack_session(value)
        for name, value in facts.items()
        if name.startswith(SESSION_FACT)
    }
    suspended = SUSPENDED_FACT in facts and msgspec.msgpack.decode(facts[SUSPENDED_FACT], type=bool)
    return NetworkState(sessions, suspended)


class Sessions:
    """Changes the network's state: the change and its notices are on disk before anyone hears.

    Args:
        state: as read from the stored facts.
        sequence: numbers of the notices.
    """

    def __init__(
        self,
        state: NetworkState,
        *,
        ledger: Ledger,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        clock: Clock,
        sequence: DurableSequence,
    ) -> None:
        self._state = state
        self._ledger = ledger
        self._outbox = outbox
        self._fleet = fleet
        self._clock = clock
        self._sequence = sequence

    @property
    def state(self) -> NetworkState:
        """Who is signed on and blocked at this moment."""
        return self._state

    def head(self, participant: str) -> NoticeHead:
        """Return the head of a new notice about a participant."""
        return NoticeHead(self._clock.now(), participant, self._sequence.take())

    async def sign(self, code: str, *, on: bool) -> bool:
        """Sign a registered participant on or off; return whether that changed anything."""
        session = self._state.session(code)
        if session.signed_on is on:
            # The one before may still be on its way to the disk: a repeat waits behind it.
            await self._change(code, session, ())
            return False
        member = self._fleet[code]
        notice_head = self.head(code)
        notice = notices.session_status(notice_head, member, signed_on=on)
        owed = self._to_others(code, notice, notice_head)
        await self._change(code, Session(signed_on=on, blocked=session.blocked), owed)
        log.info("session changed", agent=code, signed_on=on)
        return True

    async def block(self, code: str, *, blocked: bool) -> bool:
        """Block or unblock a registered participant; return whether that changed anything."""
        session = self._state.session(code)
        if session.blocked is blocked:
            return False
        member = self._fleet[code]
        owed: list[Owed] = []
        for currency in member.currencies:
            notice_head = self.head(code)
            notice = notices.block_status(notice_head, member, currency, blocked=blocked)
            owed += self._to(self._fleet.values(), notice, notice_head)
        await self._change(code, Session(signed_on=session.signed_on, blocked=blocked), owed)
        log.info("block changed", agent=code, blocked=blocked)
        return True

    async def suspend(self, *, suspended: bool) -> bool:
        """Suspend or resume the whole system; return whether that changed anything."""
        if self._state.suspended is suspended:
            return False
        notice_head = self.head("0000")
        notice = notices.system_status(notice_head, suspended=suspended)
        owed = tuple(self._to(self._fleet.values(), notice, notice_head))
        fact = PutFact(name=SUSPENDED_FACT, value=msgspec.msgpack.encode(suspended), owed=owed)
        self._state = self._state.with_suspended(suspended)
        await self._save(fact, owed)
        log.info("system status changed", suspended=suspended)
        return True

    async def announce(self, text: str, codes: Sequence[str]) -> int:
        """Send a free text to participants; return to how many."""
        receivers = [self._fleet[code] for code in codes] if codes else self._fleet.values()
        notice_head = self.head("0000")
        owed = tuple(self._to(receivers, notices.announcement(notice_head, text), notice_head))
        # A fact of its own keeps the text on record beside what is owed.
        fact = PutFact(name="system:announcement", value=text.encode(), owed=owed)
        await self._save(fact, owed)
        return len(owed)

    async def _change(self, code: str, session: Session, owed: Sequence[Owed]) -> None:
        fact = PutFact(name=SESSION_FACT + code, value=pack_session(session), owed=tuple(owed))
        self._state = self._state.with_session(code, session)
        await self._save(fact, owed)

    async def _save(self, command: Command, owed: Sequence[Owed]) -> None:
        await self._ledger.apply((command,))
        self._outbox.take(owed)

    def _to_others(self, code: str, notice: Message, head: NoticeHead) -> list[Owed]:
        others = (member for member in self._fleet.values() if member.code != code)
        return self._to(others, notice, head)

    def _to(
        self, receivers: Iterable[Participant], notice: Message, head: NoticeHead
    ) -> list[Owed]:
        """Owe a notice to every receiver that listens somewhere."""
        now = self._clock.now()
        return [
            notices.as_owed(notice, head, receiver, now)
            for receiver in receivers
            if receiver.listens
        ]
