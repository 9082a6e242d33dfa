"""What the broker had lately, to be told again when it was lost and is back.

A broker that starts anew may have forgotten what it had acknowledged and not handed on, and who
its subscribers were: they come back one after another. So everything from shortly before the loss
until shortly after the return goes out once more, each with the id it had.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from scheme.clock import Clock
from scheme.limits import MQTT_RECONNECT_S
from switch.notifier.wording import Message

BEFORE: Final = timedelta(seconds=10)
"""How long before the loss a notice may have been told that is told again."""
AFTER: Final = timedelta(seconds=max(MQTT_RECONNECT_S) + 1)
"""How long subscribers have to come back."""
_KEPT_MAX: Final = 2_048


class Recent:
    """The youngest notices, and whether the broker may have forgotten them."""

    def __init__(self, clock: Clock, *, after: timedelta = AFTER) -> None:
        self._clock = clock
        self._after = after
        self._told: deque[tuple[datetime, Message]] = deque(maxlen=_KEPT_MAX)
        self._lost_at: datetime | None = None
        self._due_at: datetime | None = None

    def told(self, message: Message) -> None:
        """Note that the broker has acknowledged a notice."""
        self._told.append((self._clock.now(), message))

    def lost(self) -> None:
        """Note that the broker is away; said again while it stays away."""
        self._lost_at = self._lost_at or self._clock.now()
        self._due_at = None

    def back(self) -> None:
        """Note that the broker is there."""
        if self._lost_at is not None:
            self._due_at = self._clock.now() + self._after

    def due(self) -> list[Message]:
        """Return what is to be told again now."""
        if self._lost_at is None or self._due_at is None or self._clock.now() < self._due_at:
            return []
        since = self._lost_at - BEFORE
        again = [message for at, message in self._told if at >= since]
        self._lost_at = self._due_at = None
        self._told.clear()
        return again
