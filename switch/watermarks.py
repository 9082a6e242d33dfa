"""Announces a position that passed a watermark, once, with what it says on disk."""

from collections.abc import Callable, Mapping
from datetime import datetime

from scheme.clock import Clock
from scheme.ledger import Owed, Position, SetAlert
from scheme.network import Participant
from switch.core import notices
from switch.core.notices import NoticeHead
from switch.ports import Ledger, Outbox


class Watermarks:
    """Owes SNM993 to a participant whose prefund runs low, and SNM998 when it changed.

    Args:
        head: makes the head of a notice about a participant.
        net_of_window: what the window open now has added to an owner's balance so far.
        spawn: starts a task that the process owns.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        outbox: Outbox,
        fleet: Mapping[str, Participant],
        clock: Clock,
        head: Callable[[str], NoticeHead],
        net_of_window: Callable[[Position], int],
        spawn: Callable[..., object],
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._fleet = fleet
        self._clock = clock
        self._head = head
        self._net_of_window = net_of_window
        self._spawn = spawn

    def on_low(self, position: Position) -> None:
        """Announce a position below its low watermark."""
        self._spawn(self._announce(position, low=True))

    def on_high(self, position: Position) -> None:
        """Announce that a position is above its high watermark again."""
        self._spawn(self._announce(position, low=False))

    async def _announce(self, position: Position, *, low: bool) -> None:
        member = self._fleet.get(position.account.owner)
        owed: tuple[Owed, ...] = ()
        if member is not None and member.base_url:
            head = self._head(member.code)
            opening = position.balance_minor - self._net_of_window(position)
            notice = notices.watermark(head, member, position, opening_minor=opening, low=low)
            owed = (notices.as_owed(notice, head, member, self._clock.now()),)
        alert = SetAlert(account=position.account, alerted=low, owed=owed)
        await self._ledger.apply((alert,))
        self._outbox.take(owed)

    def on_movement(self, before: Position, after: Position) -> tuple[Owed, ...]:
        """Return the notice owed for a funding or drawdown; it is written with it."""
        member = self._fleet.get(after.account.owner)
        if member is None or not member.base_url:
            return ()
        head = self._head(member.code)
        notice = notices.balance_changed(
            head,
            member,
            after.account.currency,
            before_minor=before.balance_minor,
            after_minor=after.balance_minor,
        )
        now: datetime = self._clock.now()
        return (notices.as_owed(notice, head, member, now),)
