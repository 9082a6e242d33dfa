"""Many requests on few links: answers are matched by what they say, never by their order.

One multiplexer speaks with one peer. It spreads requests over the peer's links, gives every
answer to whoever waits for it, by (STAN, RRN, acquirer) or, for network messages, by (DE7, STAN),
and tells what answers nothing: late, a second time, or never asked for.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from runtime.iso8583_link import Link
from runtime.iso8583_speech import Speech
from scheme.errors import NoAnswer, NotConnected
from scheme.limits import (
    ISO_ANSWERED_KEPT_MAX,
    ISO_PENDING_PER_LINK_MAX,
    ISO_REQUESTS_PER_LINK_MAX,
)
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_spec import Fields

LATE: Final = "late"
DUPLICATE: Final = "duplicate"
UNMATCHED: Final = "unmatched"
OUT_OF_ORDER: Final = "out_of_order"
BAD_MAC: Final = "bad_mac"
BAD_FORMAT: Final = "bad_format"
COMPARED_MAX: Final = 64
"""Pending requests that an answer nobody waits for is compared with."""

Key = tuple[str, ...]
Received = tuple[Fields, bytes]
"""A message's fields, and the exact bytes they were read from."""


def key_of(fields: Mapping[str, str]) -> Key:
    """Return what a request and its answer have in common."""
    kind, get = fields["t"], fields.get
    if kind[1] == "8":
        return ("08", get("7", ""), get("11", ""))
    return (kind[:2], get("11", ""), get("37", ""), get("32", ""))


def is_answer(kind: str) -> bool:
    """Tell whether a message type answers another: its third digit is odd."""
    return kind[2] in "13"


class Session:
    """One link of a peer and how it speaks.

    Attributes:
        speech: None until it is known who speaks.
        is_signed_on: requests may use it.
        pending: requests sent on it that wait for an answer.
        running: requests received on it that are being handled.
        since_us, heard_us: when it opened, and when something last came.
    """

    __slots__ = (
        "heard_us",
        "is_signed_on",
        "link",
        "pending",
        "received",
        "running",
        "sent",
        "since_us",
        "speech",
    )

    def __init__(self, link: Link, now_us: int, speech: Speech | None = None) -> None:
        self.link = link
        self.speech = speech
        self.is_signed_on = False
        self.pending = 0
        self.running = 0
        self.received = 0
        self.sent = 0
        self.since_us = now_us
        self.heard_us = now_us

    def begin(self) -> None:
        """Count a request that is being handled; at the limit the link is not read for now."""
        self.running += 1
        if self.running >= ISO_REQUESTS_PER_LINK_MAX:
            self.link.hold()

    def end(self) -> None:
        """Count a request as done."""
        self.running -= 1
        if self.running < ISO_REQUESTS_PER_LINK_MAX:
            self.link.release()

    def send(self, fields: Fields, encoded: bytes = b"") -> bytes | None:
        """Write a message; return its bytes, or None if the link takes no more.

        Args:
            encoded: as for ``Speech.write``.

        Raises:
            IsoFault: an element does not fit the table; nothing was written.
        """
        assert self.speech is not None
        body = self.speech.write(fields, encoded)
        if not self.link.send(body):
            return None
        self.sent += 1
        return body


class Sent(Struct, frozen=True, gc=False):
    """A request that left: what waits for its answer, and its exact bytes."""

    key: Key
    answer: "asyncio.Future[Received]"
    body: bytes


class _Waiting:
    __slots__ = ("answer", "fields", "session")

    def __init__(
        self, answer: "asyncio.Future[Received]", fields: Fields, session: Session
    ) -> None:
        self.answer = answer
        self.fields = fields
        self.session = session


class Multiplexer:
    """The links of one peer and the requests on them.

    Args:
        report: told of every answer that nobody waits for: its kind and its fields.
        pending_max: requests on one link that wait for an answer.

    Attributes:
        sessions: every link that is signed on.
        counts: of what came and went, and of what did not fit, by name.
    """

    def __init__(
        self,
        report: Callable[[str, Fields], None],
        *,
        pending_max: int = ISO_PENDING_PER_LINK_MAX,
    ) -> None:
        self._report = report
        self._pending_max = pending_max
        self._waiting: dict[Key, _Waiting] = {}
        # What was answered or given up, in two generations: the older one is dropped whole.
        self._done: dict[Key, str] = {}
        self._done_before: dict[Key, str] = {}
        self.sessions: list[Session] = []
        self.counts: Counter[str] = Counter()

    @property
    def pending(self) -> int:
        """How many requests wait for an answer."""
        return len(self._waiting)

    def waiting(self) -> Iterator[Fields]:
        """Return the oldest requests that wait, to compare a stray answer with."""
        return (one.fields for one in islice(self._waiting.values(), COMPARED_MAX))

    def add(self, session: Session) -> None:
        """Use a link that has signed on."""
        session.is_signed_on = True
        if session not in self.sessions:
            self.sessions.append(session)

    def drop(self, session: Session, reason: str, *, is_gone: bool = True) -> None:
        """Use a link no more.

        Args:
            is_gone: whoever waits for an answer on it is told that none will come.
        """
        session.is_signed_on = False
        if session in self.sessions:
            self.sessions.remove(session)
        if not is_gone or not session.pending:
            return
        for key in [key for key, one in self._waiting.items() if one.session is session]:
            self._fail(key, NoAnswer(f"the link ended: {reason}"))

    def choose(self) -> Session:
        """Return the link with the fewest requests pending.

        Raises:
            NotConnected: there is none, or each has all it may.
        """
        best: Session | None = None
        for session in self.sessions:
            if session.link.is_open and (best is None or session.pending < best.pending):
                best = session
        if best is None:
            raise NotConnected("no link is signed on")
        if best.pending >= self._pending_max:
            raise NotConnected(f"{best.pending} requests wait on every link: it does not answer")
        return best

    def send(self, fields: Fields, session: Session | None = None, encoded: bytes = b"") -> Sent:
        """Send a request; nothing is awaited.

        Args:
            session: the link to use; None: the one with the fewest requests pending.
            encoded: as for ``Speech.write``.

        Raises:
            NotConnected: nothing was written.
        """
        session = session or self.choose()
        key = key_of(fields)
        if key in self._waiting:
            raise NotConnected("a request with the same STAN, RRN and acquirer waits already")
        try:
            body = session.send(fields, encoded)
        except IsoFault as error:
            raise NotConnected(f"it cannot be written: {error}") from error
        if body is None:
            raise NotConnected("the link is closing")
        answer: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        self._waiting[key] = _Waiting(answer, fields, session)
        session.pending += 1
        return Sent(key, answer, body)

    async def ask(self, fields: Fields, session: Session | None = None) -> Fields:
        """Send a request and return its answer; the caller guards the wait.

        Raises:
            NotConnected: nothing was written.
            NoAnswer: the link ended before an answer came.
        """
        answer, _ = await self.answer(self.send(fields, session))
        return answer

    async def answer(self, sent: Sent) -> Received:
        """Wait for the answer to a request; given up, a late answer is known as one.

        Raises:
            NoAnswer: the link ended before it came.
        """
        try:
            return await sent.answer
        except asyncio.CancelledError:
            self._give_up(sent.key)
            raise

    def take(self, fields: Fields, body: bytes) -> bool:
        """Give an answer to whoever waits for it; return whether anybody does."""
        key = key_of(fields)
        waiting = self._waiting.get(key)
        if waiting is None:
            kind = self._done.get(key) or self._done_before.get(key) or UNMATCHED
            self.counts[kind] += 1
            self._report(kind, fields)
            return False
        if next(iter(self._waiting)) != key:
            # Lawful, and worth a count: a peer whose answers never cross hides shifted ones.
            self.counts[OUT_OF_ORDER] += 1
        del self._waiting[key]
        waiting.session.pending -= 1
        self._remember(key, DUPLICATE)
        if not waiting.answer.done():
            waiting.answer.set_result((fields, body))
        return True

    def close(self, reason: str) -> None:
        """Tell everyone who still waits that no answer will come."""
        for key in list(self._waiting):
            self._fail(key, NoAnswer(reason))

    def _fail(self, key: Key, error: NoAnswer) -> None:
        waiting = self._waiting[key]
        self._give_up(key)
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
            waiting.answer.exception()  # Whoever was waiting may be gone too.

    def _give_up(self, key: Key) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.session.pending -= 1
            self._remember(key, LATE)

    def _remember(self, key: Key, verdict: str) -> None:
        if len(self._done) >= ISO_ANSWERED_KEPT_MAX // 2:
            self._done_before, self._done = self._done, {}
        self._done[key] = verdict
