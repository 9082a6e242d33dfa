"""Tells participants about their prefund: watermarks, movements, and closed windows."""

from collections.abc import Callable, Mapping
from datetime import datetime

from scheme.batch import Batch
from scheme.clock import Clock
from scheme.ledger import Account, Owed, Position, SetAlert
from scheme.network import Participant
from switch.core import notices
from switch.core.notices import NoticeHead
from switch.ports import Ledger, Outbox


class Watermarks:
    """Owes SNM993 to who runs low, SNM998 when a prefund changed, SNM999 when a window closed.

    A coop of the network is told of its line with its money, as one prefund.

    Args:
        head: makes the head of a notice about a participant.
        since_opening: what the window open now has changed on a position so far.
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
        since_opening: Callable[[Account], int],
        spawn: Callable[..., object],
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._fleet = fleet
        self._clock = clock
        self._head = head
        self._since_opening = since_opening
        self._spawn = spawn

    def on_low(self, position: Position) -> None:
        """Announce a position below its low watermark."""
        self._spawn(self._announce(position, low=True))

    def on_high(self, position: Position) -> None:
        """Announce that a position is above its high watermark again."""
        self._spawn(self._announce(position, low=False))

    async def _announce(self, position: Position, *, low: bool) -> None:
        member = self._told(position.account)
        owed: tuple[Owed, ...] = ()
        if member is not None:
            head = self._head(member.code)
            opening = position.balance_minor - self._since_opening(position.account)
            opening += _line(member, position)
            notice = notices.watermark(head, member, position, opening_minor=opening, low=low)
            owed = (notices.as_owed(notice, head, member, self._clock.now()),)
        alert = SetAlert(account=position.account, alerted=low, owed=owed)
        await self._ledger.apply((alert,))
        self._outbox.take(owed)

    def on_movement(self, before: Position, after: Position) -> tuple[Owed, ...]:
        """Return the notice owed for a funding or drawdown; it is written with it."""
        member = self._told(after.account)
        if member is None:
            return ()
        head = self._head(member.code)
        line = _line(member, after)
        notice = notices.balance_changed(
            head,
            member,
            after.account.currency,
            before_minor=before.balance_minor + line,
            after_minor=after.balance_minor + line,
        )
        now: datetime = self._clock.now()
        return (notices.as_owed(notice, head, member, now),)

    def on_window(self, batch: Batch, next_date: str) -> tuple[Owed, ...]:
        """Return the notices owed for a closed window; they are written with its batch.

        Args:
            next_date: settlement date of the window now open.
        """
        owed = []
        for row in batch.participants:
            account = Account(ledger=batch.ledger, currency=batch.currency, owner=row.participant)
            member = self._told(account)
            position = self._ledger.position(account)
            if member is None or position is None:
                continue
            head = self._head(member.code)
            line = _line(member, position)
            notice = notices.window_closed(
                head, member, batch, row, next_date=next_date, line_minor=line
            )
            owed.append(notices.as_owed(notice, head, member, self._clock.now()))
        return tuple(owed)

    def _told(self, account: Account) -> Participant | None:
        """Return the participant whose own prefund this is, if it listens."""
        member = self._fleet.get(account.owner)
        if member is None or not member.listens or account.ledger != member.ledger:
            return None
        return member


def _line(member: Participant, position: Position) -> int:
    return position.cap_minor if member.is_tiered else 0
