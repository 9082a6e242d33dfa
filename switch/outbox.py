"""Sees to it that what is owed to peers arrives: repeats, back-off, parking.

Every message stands on disk before it comes here, and leaves the disk when its peer has
acknowledged it. A peer has a queue of its own, so a slow one delays nobody else; at most
``OUTBOX_IN_MEMORY_PER_PEER`` of its messages are in memory, the rest is read from the disk when
there is room.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final, Protocol

import structlog

from scheme.clock import Clock, Timer, from_ms, to_ms
from scheme.ledger import Advance, Command, Owed, StrikeOff
from scheme.limits import OUTBOX_CONCURRENCY_PER_PEER, OUTBOX_IN_MEMORY_PER_PEER
from scheme.profile import Timers
from switch.core.cash import CashState, after_reversal
from switch.core.reversal import REVERSAL
from switch.core.transfer import TransferState
from switch.flight import Attempt
from switch.ports import Delivery, Ledger, OwedRow, Peers

log = structlog.get_logger()

CONFIRMATION: Final = "CT5"
CANCELLATIONS: Final = frozenset({"CTC1", REVERSAL})
_QUIET_STEP: Final = timedelta(milliseconds=20)


class OwedMessages(Protocol):
    """What an outbox needs to read from the disk (a port, see ``switch.store``)."""

    def owed_to(self, participant: str, *, limit: int) -> Sequence[OwedRow]:
        """Return the oldest messages owed to a participant that are not parked."""

    def peers_owed(self) -> Sequence[str]:
        """Return the participants to whom something is owed that is not parked."""


def backoff_s(attempts: int, timers: Timers) -> float:
    """Return the wait after so many attempts; the last one repeats."""
    waits = timers.owed_backoff_s
    return waits[min(attempts, len(waits)) - 1]


class _PeerQueue:
    """What is owed to one peer: waiting by due time, and on its way."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int, Attempt]] = []
        self.sending: dict[str, Attempt] = {}
        self.known: set[str] = set()
        self.has_more = False
        self.timer: Timer | None = None


class Outbox:
    """Delivers owed messages, peer by peer.

    Args:
        ledger: strikes off what was acknowledged.
        messages: what is owed on disk.
        spawn: starts a task that the process owns.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        messages: OwedMessages,
        peers: Peers,
        timers: Timers,
        clock: Clock,
        spawn: Callable[..., object],
    ) -> None:
        self._ledger = ledger
        self._messages = messages
        self._peers = peers
        self._timers = timers
        self._clock = clock
        self._spawn = spawn
        self._queues: dict[str, _PeerQueue] = {}
        self._order = 0
        self._struck: list[tuple[Owed, Command]] = []
        self._is_flushing = False
        self._closed = False

    def start(self) -> None:
        """Take up what a former process left owed."""
        for participant in self._messages.peers_owed():
            self._queue(participant).has_more = True
            self._refill(participant)

    def close(self) -> None:
        """Begin no more deliveries; what is still owed stays on disk."""
        self._closed = True
        for queue in self._queues.values():
            if queue.timer is not None:
                queue.timer.cancel()

    def take(self, owed: Sequence[Owed]) -> None:
        """Deliver these from now on; they are on disk."""
        for message in owed:
            queue = self._queue(message.participant)
            if message.owed_id in queue.known:
                continue  # A refill has read it from the disk meanwhile.
            if len(queue.known) >= OUTBOX_IN_MEMORY_PER_PEER:
                queue.has_more = True
                continue
            self._push(queue, Attempt(message))
            self._pump(message.participant)

    def look(self, participant: str) -> None:
        """Look on the disk for something owed to a peer that was written by somebody else."""
        self._refill(participant)

    def wake(self, participant: str) -> int:
        """Try everything owed to a peer now, as it has signed on; return how many wait."""
        queue = self._queue(participant)
        now_ms = to_ms(self._clock.now())
        attempts = [attempt for _, _, attempt in queue.waiting]
        queue.waiting = []
        for attempt in attempts:
            attempt.due_ms = now_ms
            self._push(queue, attempt)
        if queue.has_more:
            self._refill(participant)
        self._pump(participant)
        return len(attempts)

    def resend(self, owed: Owed) -> None:
        """Try one message now, also one that was parked: it gets its whole time again."""
        queue = self._queue(owed.participant)
        if owed.owed_id in queue.sending:
            return
        queue.waiting = [item for item in queue.waiting if item[2].owed.owed_id != owed.owed_id]
        heapq.heapify(queue.waiting)
        attempt = Attempt(owed, is_repeat=True)
        attempt.first_ms = attempt.due_ms = to_ms(self._clock.now())
        self._push(queue, attempt)
        self._pump(owed.participant)

    async def quiet(self) -> None:
        """Wait until nothing is on its way; what waits for its time stays on disk."""
        while any(queue.sending for queue in self._queues.values()):
            await self._clock.sleep_until(self._clock.now() + _QUIET_STEP)

    def attempts(self) -> Iterator[Attempt]:
        """Return what is owed and in memory."""
        for queue in self._queues.values():
            yield from queue.sending.values()
            for _, _, attempt in queue.waiting:
                yield attempt

    def _queue(self, participant: str) -> _PeerQueue:
        return self._queues.setdefault(participant, _PeerQueue())

    def _push(self, queue: _PeerQueue, attempt: Attempt) -> None:
        self._order += 1
        queue.known.add(attempt.owed.owed_id)
        heapq.heappush(queue.waiting, (attempt.due_ms, self._order, attempt))

    def _pump(self, participant: str) -> None:
        """Send what is due, up to the number on its way at once; set the timer for the rest."""
        queue = self._queue(participant)
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        now_ms = to_ms(self._clock.now())
        while (
            queue.waiting
            and not self._closed
            and queue.waiting[0][0] <= now_ms
            and len(queue.sending) < OUTBOX_CONCURRENCY_PER_PEER
        ):
            _, _, attempt = heapq.heappop(queue.waiting)
            queue.sending[attempt.owed.owed_id] = attempt
            self._spawn(self._send(participant, attempt))
        if queue.waiting and not self._closed and queue.waiting[0][0] > now_ms:
            due = from_ms(queue.waiting[0][0])
            queue.timer = self._clock.call_at(due, lambda: self._pump(participant))

    async def _send(self, participant: str, attempt: Attempt) -> None:
        queue = self._queue(participant)
        attempt.attempts += 1
        try:
            delivery = await self._attempt(attempt)
        except Exception as error:
            # The task's root: whatever a peer makes of our client, the message stays owed.
            log.exception("delivery failed", owed_id=attempt.owed.owed_id)
            delivery = Delivery(acknowledged=False, detail=repr(error))
        finally:
            queue.sending.pop(attempt.owed.owed_id, None)
        if delivery.acknowledged:
            self._strike(attempt, delivery)
        elif self._is_last(attempt):
            # The profile rehearses the enquiry: no longer owed, and not confirmed either.
            now_ms = to_ms(self._clock.now())
            self._write(attempt.owed, StrikeOff(owed_ids=(attempt.owed.owed_id,), at_ms=now_ms))
        else:
            self._again(queue, attempt, delivery)
        self._pump(participant)

    async def _attempt(self, attempt: Attempt) -> Delivery:
        repeated = attempt.is_repeat or attempt.attempts > 1
        deadline = self._clock.now() + timedelta(seconds=self._timers.owed_answer_s)
        try:
            async with self._clock.deadline(deadline):
                return await self._peers.deliver(attempt.owed, repeated=repeated)
        except TimeoutError:
            return Delivery(acknowledged=False, detail="no acknowledgement in time")

    def _is_last(self, attempt: Attempt) -> bool:
        """Tell whether the profile wants no further delivery: it rehearses the enquiry."""
        most = self._timers.ct5_deliveries
        return attempt.owed.message == CONFIRMATION and 0 < most <= attempt.attempts

    def _again(self, queue: _PeerQueue, attempt: Attempt, delivery: Delivery) -> None:
        now_ms = to_ms(self._clock.now())
        log.info(
            "owed message not acknowledged",
            owed_id=attempt.owed.owed_id,
            agent=attempt.owed.participant,
            attempts=attempt.attempts,
            cause=delivery.detail,
        )
        if now_ms - attempt.first_ms >= self._timers.owed_parked_after_s * 1000:
            parked = StrikeOff(owed_ids=(attempt.owed.owed_id,), parked=True, at_ms=now_ms)
            self._write(attempt.owed, parked)
            log.warning("owed message parked", owed_id=attempt.owed.owed_id)
            return
        wait_ms = int(backoff_s(attempt.attempts, self._timers) * 1000)
        attempt.due_ms = now_ms + wait_ms
        self._push(queue, attempt)

    def _strike(self, attempt: Attempt, delivery: Delivery) -> None:
        owed = attempt.owed
        now_ms = to_ms(self._clock.now())
        state = _state_after(owed, delivery)
        if state is None:
            self._write(owed, StrikeOff(owed_ids=(owed.owed_id,), at_ms=now_ms))
            return
        self._write(
            owed,
            Advance(
                transfer_id=owed.subject,
                state=state,
                at_ms=now_ms,
                struck=(owed.owed_id,),
            ),
        )
        if delivery.refused:
            log.warning("cancellation refused", transfer_id=owed.subject, agent=owed.participant)

    def _write(self, owed: Owed, command: Command) -> None:
        """Strike off with everything else that is acknowledged in this turn of the loop."""
        self._struck.append((owed, command))
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        struck, self._struck = self._struck, []
        self._is_flushing = False
        self._spawn(self._strike_off(struck))

    async def _strike_off(self, struck: Sequence[tuple[Owed, Command]]) -> None:
        """Write what became of messages, and only then forget them.

        Until then their rows are still on the disk: a refill must know them, or it would send
        them once more.
        """
        await self._ledger.apply([command for _, command in struck])
        for owed, _ in struck:
            self._queue(owed.participant).known.discard(owed.owed_id)
        for participant in {owed.participant for owed, _ in struck}:
            queue = self._queue(participant)
            if queue.has_more and len(queue.known) <= OUTBOX_IN_MEMORY_PER_PEER // 2:
                self._refill(participant)

    def _refill(self, participant: str) -> None:
        """Read the next messages of a peer from the disk."""
        queue = self._queue(participant)
        # Those in memory may be the oldest on disk too: what keeps failing must not hide the rest.
        limit = OUTBOX_IN_MEMORY_PER_PEER + len(queue.known)
        rows = self._messages.owed_to(participant, limit=limit)
        queue.has_more = len(rows) == limit
        now_ms = to_ms(self._clock.now())
        for row in rows:
            if row.owed.owed_id in queue.known:
                continue
            if len(queue.known) >= OUTBOX_IN_MEMORY_PER_PEER:
                queue.has_more = True
                break
            attempt = Attempt(row.owed, is_repeat=True)  # A former process may have sent it.
            # The time in which nobody could deliver it does not count towards parking.
            attempt.first_ms = max(attempt.first_ms, now_ms)
            self._push(queue, attempt)
        self._pump(participant)


def _state_after(owed: Owed, delivery: Delivery) -> TransferState | CashState | None:
    """Return the state a transfer reaches when this message of it is acknowledged."""
    if owed.message == CONFIRMATION:
        return TransferState.CONFIRMED
    if owed.message in CANCELLATIONS:
        cash = after_reversal(owed.owed_id, refused=delivery.refused)
        if cash is not None:
            return cash
        return TransferState.DISPUTED if delivery.refused else TransferState.CANCELLED
    return None
