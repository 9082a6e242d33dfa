"""Follows the ledger in rounds: read a page, tell it, note how far that was.

What is noted was acknowledged by the broker, so a crash at any moment repeats notices and loses
none; a repeat has the same id. The switch knows nothing of all this.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from scheme.clock import Clock, to_ms
from scheme.errors import NotConnected, StoreError
from scheme.ledger import ACCEPTED
from scheme.limits import NOTICE_BATCH_MAX, NOTICE_PENDING_MAX, NOTICE_POLL_S
from switch.notifier.events import (
    AlertRow,
    Outcome,
    Parties,
    TransferRow,
    outcome_of,
    parties_of,
)
from switch.notifier.members import Members
from switch.notifier.recent import Recent
from switch.notifier.store import AlertKey, LedgerTail, NoticeBook
from switch.notifier.wording import Message, Wording

log = structlog.get_logger()

Deliver = Callable[[str, bytes], Awaitable[None]]
"""Publishes, and returns when the broker has acknowledged it; raises NotConnected."""

TRANSFERS: Final = "transfers"
OCCASIONS: Final = "occasions"
BATCHES: Final = "batches"
ALERTS: Final = "alerts"
LEDGER: Final = "ledger"
_AGAIN_S: Final = 0.2
"""Seconds before what the broker did not acknowledge is published again."""
_TROUBLE_S: Final = 5.0
"""Seconds of rest after a file failed: nothing of a round is noted then, so all is told again."""
WAITING_LOOK: Final = timedelta(seconds=2)
"""Between two looks at what waits for its settlement, where that is many."""


class _Round(Struct):
    """What one round found, to be told and then noted."""

    cursors: dict[str, int]
    messages: list[Message] = []
    entered: dict[int, str] = {}
    left: list[int] = []
    low: list[AlertKey] = []
    restored: list[AlertKey] = []
    is_full: bool = False


class Follower:
    """Tells what the ledger has decided, each thing at least once.

    Args:
        tail: the ledger; book: how far has been told.
        recent: what the broker had lately.
        deliver: to the broker.
        is_new: the ledger was made while this process looked on, so all of it is to be told.
    """

    def __init__(
        self,
        *,
        tail: LedgerTail,
        book: NoticeBook,
        members: Members,
        wording: Wording,
        recent: Recent,
        deliver: Deliver,
        clock: Clock,
        is_new: bool = False,
    ) -> None:
        self._tail = tail
        self._book = book
        self._members = members
        self._wording = wording
        self._recent = recent
        self._deliver = deliver
        self._clock = clock
        self._cursors = self._begun(is_new=is_new)
        pending = book.pending()
        # Immediate ones end within seconds; those of the slow rails may wait for a day.
        self._waiting = {one: state for one, state in pending.items() if state == ACCEPTED}
        self._flying = {one: state for one, state in pending.items() if state != ACCEPTED}
        self._alerted = book.alerted()
        self._version = -1
        self._look_at: datetime | None = None

    @property
    def pending(self) -> int:
        """How many transfers it has seen whose outcome is still to be told."""
        return len(self._waiting) + len(self._flying)

    async def run(self) -> None:
        """Follow for ever; cancelled to end."""
        while True:
            rest_s = NOTICE_POLL_S
            try:
                if await self.round():
                    continue
            except StoreError as error:
                log.warning("nothing can be followed", cause=str(error))
                rest_s = _TROUBLE_S
            await self._sleep(rest_s)

    async def round(self) -> bool:
        """Tell a page of what has happened; return whether there is more at once.

        Raises:
            StoreError: a file failed; nothing was noted.
        """
        self._members.look()
        await self._tell(self._recent.due())
        version = self._tail.version()
        if version == self._version:
            return False
        found = _Round(dict(self._cursors))
        self._read_transfers(found)
        looked = self._read_outcomes(found)
        self._read_returns(found)
        self._read_batches(found)
        self._read_alerts(found)
        await self._tell(found.messages)
        self._note(found)
        # Only what was read to its end is known up to this commit.
        self._version = version if looked and not found.is_full else -1
        return found.is_full

    def _begun(self, *, is_new: bool) -> dict[str, int]:
        """Return where to go on: at the end of a ledger that was never followed."""
        made_ms, (transfers, occasions, batches) = self._tail.made_ms(), self._tail.ends()
        known = self._book.cursors()
        if (
            known.get(LEDGER) == made_ms
            and known[TRANSFERS] <= transfers
            and known[OCCASIONS] >= occasions
            and known[BATCHES] <= batches
        ):
            return known
        if is_new:
            transfers = occasions = batches = 0
        cursors = {
            LEDGER: made_ms,
            TRANSFERS: transfers,
            OCCASIONS: occasions,
            BATCHES: batches,
            # So that an alert's id is new even where this file was thrown away.
            ALERTS: to_ms(self._clock.now()),
        }
        alerted = [_key(one) for one in self._tail.positions() if one.alerted]
        log.info("following a ledger from its end", transfers=transfers)
        self._book.begin_anew(cursors, alerted)
        return cursors

    def _read_transfers(self, found: _Round) -> None:
        rows = self._tail.transfers_after(self._cursors[TRANSFERS], limit=NOTICE_BATCH_MAX)
        for row in rows:
            if outcome_of(row.state) is not Outcome.OPEN:
                found.messages += self._words_of(row)
            elif self._is_followed(row):
                found.entered[row.number] = row.state
        if rows:
            found.cursors[TRANSFERS] = rows[-1].number
        found.is_full |= len(rows) == NOTICE_BATCH_MAX

    def _is_followed(self, row: TransferRow) -> bool:
        # Whoever enrols while an order waits for its cycle is told of its end; an immediate one
        # of nobody's is forgotten at once, so that most of a load costs one look.
        if row.state == ACCEPTED:
            return True
        parties = _readable(row)
        return parties is not None and self._wording.is_anybodys(parties)

    def _read_outcomes(self, found: _Round) -> bool:
        """Look again at what had no outcome; return False if it was left for later."""
        self._read_ended(found, self._flying)
        is_due = self._look_at is None or self._clock.now() >= self._look_at
        if len(self._waiting) > NOTICE_BATCH_MAX and not is_due:
            return False
        if not self._read_ended(found, self._waiting):
            self._look_at = self._clock.now() + WAITING_LOOK
        return True

    def _read_ended(self, found: _Round, pending: dict[int, str]) -> bool:
        """Read outcomes among these, a page at most; return whether that was cut short."""
        numbers = list(pending)
        begun = len(found.left)
        for first in range(0, len(numbers), NOTICE_BATCH_MAX):
            if len(found.left) - begun >= NOTICE_BATCH_MAX:
                found.is_full = True
                return True
            page = numbers[first : first + NOTICE_BATCH_MAX]
            for row in self._tail.decided_among(page):
                found.left.append(row.number)
                found.messages += self._words_of(row)
        return False

    def _words_of(self, row: TransferRow) -> Iterator[Message]:
        if outcome_of(row.state) is Outcome.NOTHING:
            return
        parties = _readable(row)
        if parties is not None:
            yield from self._wording.of_transfer(row, parties)

    def _read_returns(self, found: _Round) -> None:
        rows, last = self._tail.occasions_after(self._cursors[OCCASIONS], limit=NOTICE_BATCH_MAX)
        for row in rows:
            parties = _readable(row.original)
            if parties is not None:
                found.messages += self._wording.of_return(row, parties)
        found.is_full |= self._cursors[OCCASIONS] - last >= NOTICE_BATCH_MAX
        found.cursors[OCCASIONS] = last

    def _read_batches(self, found: _Round) -> None:
        rows = self._tail.batches_after(self._cursors[BATCHES], limit=NOTICE_BATCH_MAX)
        for number, batch, made_ms in rows:
            found.messages += self._wording.of_batch(batch, made_ms)
            found.cursors[BATCHES] = number
        found.is_full |= len(rows) == NOTICE_BATCH_MAX

    def _read_alerts(self, found: _Round) -> None:
        now_ms = to_ms(self._clock.now())
        for row in self._tail.positions():
            key = _key(row)
            if bool(row.alerted) == (key in self._alerted):
                continue
            found.cursors[ALERTS] += 1
            (found.low if row.alerted else found.restored).append(key)
            found.messages += self._wording.of_alert(row, found.cursors[ALERTS], now_ms)

    async def _tell(self, messages: Sequence[Message]) -> None:
        """Publish until the broker has acknowledged everything."""
        left = messages
        while left:
            told = await asyncio.gather(*(self._is_told(one) for one in left))
            left = [one for one, is_told in zip(left, told, strict=True) if not is_told]
            if left:
                await self._sleep(_AGAIN_S)

    async def _is_told(self, message: Message) -> bool:
        try:
            await self._deliver(message.topic, message.payload)
        except NotConnected:
            return False
        self._recent.told(message)
        return True

    def _note(self, found: _Round) -> None:
        """Note what was told, on disk first."""
        dropped = self._too_many(found)
        left = found.left + dropped
        if found.cursors != self._cursors or found.entered or left:
            self._book.save(
                found.cursors,
                entered=found.entered,
                left=left,
                low=found.low,
                restored=found.restored,
            )
        self._cursors = found.cursors
        for number, state in found.entered.items():
            (self._waiting if state == ACCEPTED else self._flying)[number] = state
        for number in left:
            self._waiting.pop(number, None)
            self._flying.pop(number, None)
        self._alerted = (self._alerted | set(found.low)) - set(found.restored)

    def _too_many(self, found: _Round) -> list[int]:
        """Return the oldest of what waits, as far as it is beyond the limit."""
        surplus = self.pending + len(found.entered) - len(found.left) - NOTICE_PENDING_MAX
        if surplus <= 0:
            return []
        gone = set(found.left)
        kept = sorted(one for one in (*self._flying, *self._waiting) if one not in gone)
        log.warning("outcomes will not be told: too many wait", dropped=surplus)
        return kept[:surplus]

    async def _sleep(self, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=seconds))


def _key(row: AlertRow) -> AlertKey:
    return row.ledger, row.currency, row.owner


def _readable(row: TransferRow) -> Parties | None:
    """Return the parties; None of a record that another version wrote, which stops nothing."""
    try:
        return parties_of(row)
    except msgspec.DecodeError as error:
        log.warning("a record that cannot be read", transfer_id=row.transfer_id, cause=str(error))
        return None
