"""One blocking link to the clearing house, for load generators that are no asyncio programs.

It uses plain sockets and starts nothing: whoever waits for an answer reads for all who wait. So a
Locust user can own one, or several greenlets share one, since gevent patches what it waits on.
What is said on a link is not here: ``runtime.iso8583_conversation``.

    with BlockingClient(dialled, SystemClock()) as client:
        client.sign_on()
        answer = client.ask(order, answer_s=12)
"""

import socket
import time
from collections import Counter
from collections.abc import Callable
from threading import Condition, Lock
from typing import Final, Self

from runtime.iso8583_client import Dialled
from runtime.iso8583_conversation import Conversation, Heard, turned_down
from runtime.iso8583_multiplexer import BAD_FORMAT, BAD_MAC, UNMATCHED, Key, key_of
from runtime.iso8583_speech import ECHO, SIGN_OFF, BadMac, Speech, transmitted
from scheme.clock import Clock
from scheme.errors import NoAnswer, NotConnected
from scheme.ids import Sequence
from scheme.limits import ISO_PENDING_PER_LINK_MAX
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_framing import Framing
from scheme.wire.iso8583_reversal import reversal_of
from scheme.wire.iso8583_spec import Fields

REVERSED: Final = frozenset({"00", "21", "25"})
"""Answers to a reversal that are final; after any other one it is sent again."""
_READ_BYTES: Final = 65_536
_STANS: Final = (1, 999_999)
_NETWORK: Final = "08"

Respond = Callable[[Fields], Fields | None]
"""Answers what the clearing house asks; None leaves it unanswered."""


class BlockingClient:
    """A link of one institution; ``sign_on`` comes first.

    While nobody waits nothing is read, and so no echo answered: somebody idle calls ``listen``.

    Args:
        dialled: whom and how; of links there is one, and it is not dialled again.
        respond: answers what is asked on the link.

    Attributes:
        counts: what came and was of no use, by kind.

    Raises:
        NotConnected: nothing listens there.
    """

    def __init__(
        self,
        dialled: Dialled,
        clock: Clock,
        *,
        respond: Respond = turned_down,
        first_stan: int = 1,
    ) -> None:
        self.dialled = dialled
        self.counts: Counter[str] = Counter()
        framing = Framing(dialled.header, dialled.tpdu)
        speech = Speech(dialled.spec, dialled.mac, dialled.kek)
        self._conversation = Conversation(dialled.code, framing, speech)
        self._clock = clock
        self._respond = respond
        self._stans = Sequence(*_STANS, first_stan)
        self._turn = Condition()
        self._writing = Lock()
        self._pending: dict[Key, Heard | None] = {}
        self._is_read = False
        self._end = ""
        try:
            self._socket = socket.create_connection(
                (dialled.host, dialled.port), timeout=dialled.answer_s
            )
        except OSError as error:
            raise NotConnected(str(error)) from error
        # A second handle: the wait of a reader is not that of a writer.
        self._incoming = self._socket.dup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up, without a sign-off: that would be one of all the institution's links."""
        self._end = self._end or "closed"
        self._incoming.close()
        self._socket.close()

    def stan(self) -> int:
        """Return the next system trace audit number."""
        with self._turn:
            return self._stans.take()

    # --- the session

    def sign_on(self) -> None:
        """Exchange a key if there is a MAC, and sign on; nothing else may be under way.

        Raises:
            NotGranted: the clearing house says no.
            IsoFault: the keys of both sides differ.
            NotConnected: nothing was written.
            NoAnswer: it was, and no answer came.
        """
        for function in self._conversation.opening:
            self.manage(function)

    def sign_off(self) -> None:
        """Sign the institution off, on all its links."""
        self.manage(SIGN_OFF)

    def echo(self) -> None:
        """Ask for a sign of life."""
        self.manage(ECHO)

    def manage(self, function: str) -> None:
        """Have a function of the session, DE70, granted (errors as of ``sign_on``)."""
        request = self._conversation.request(function, stan=self.stan(), now=self._clock.now())
        self.send(request)
        # Also an answer that is not genuine tells what is wrong: there may be no key yet.
        self._conversation.granted(function, self._wait(request, self.dialled.answer_s))

    def listen(self, span_s: float) -> None:
        """Answer what is asked, for a while; for users that think.

        Raises:
            NoAnswer: the link is gone.
        """
        self._until(lambda: False, time.perf_counter() + span_s)

    # --- requests

    def ask(self, request: Fields, *, answer_s: float) -> Fields:
        """Send a request and return its answer (errors as of ``send`` and ``answer``)."""
        self.send(request)
        return self.answer(request, answer_s=answer_s)

    def send(self, request: Fields) -> None:
        """Send a request, whose ``answer`` is asked for later; many may be under way.

        Raises:
            NotConnected: nothing was written.
            NoAnswer: the link broke over it.
            IsoFault: an element does not fit the table; nothing was written.
        """
        key = key_of(request)
        body = self._conversation.speech.write(request)
        with self._turn:
            if self._end:
                raise NotConnected(self._end)
            if len(self._pending) >= ISO_PENDING_PER_LINK_MAX:
                raise NotConnected(f"at most {ISO_PENDING_PER_LINK_MAX} requests under way")
            self._pending[key] = None
        self._write(body)

    def answer(self, request: Fields, *, answer_s: float) -> Fields:
        """Return the answer to a request that was sent.

        Raises:
            NoAnswer: none came in time, or none that counts, or the link is gone.
        """
        heard = self._wait(request, answer_s)
        if heard.fault is not None:
            raise NoAnswer(str(heard.fault)) from heard.fault
        return heard.fields

    def reverse(
        self, request: Fields, *, answer_s: float, tries: int = 3, dispensed: int = 0
    ) -> Fields:
        """Take a request back: its 0420, and 0421 until an answer is final.

        Args:
            dispensed: minor units that a machine handed out all the same.

        Raises:
            NoAnswer: no answer was, or the link is gone.
            NotConnected: nothing was written.
        """
        reversal, last = reversal_of(request, dispensed=dispensed), "no try"
        for repeat in range(tries):
            stamp = {"t": "0421" if repeat else "0420", "7": transmitted(self._clock.now())}
            try:
                answer = self.ask(reversal | stamp, answer_s=answer_s)
            except NoAnswer as error:
                last = str(error)
                continue
            if answer.get("39") in REVERSED:
                return answer
            last = f"answered {answer.get('39', '-')}"
        raise NoAnswer(f"not reversed in {tries} tries: {last}")

    # --- the link

    def _wait(self, request: Fields, answer_s: float) -> Heard:
        """Return what came for a request that was sent, genuine or not."""
        key = key_of(request)
        try:
            self._until(lambda: self._pending.get(key) is not None, time.perf_counter() + answer_s)
            heard = self._pending.get(key)
        finally:
            with self._turn:
                self._pending.pop(key, None)
        if heard is None:
            raise NoAnswer(f"no answer within {answer_s:g} s")
        return heard

    def _until(self, is_there: Callable[[], bool], deadline: float) -> None:
        """Wait until something is there or time is over; one of those who wait reads for all."""
        with self._turn:
            while not is_there() and (left := deadline - time.perf_counter()) > 0:
                if self._end:
                    raise NoAnswer(self._end)
                if self._is_read:
                    self._turn.wait(left)
                    continue
                self._is_read = True
                self._turn.release()
                try:
                    bodies = self._read(left)
                    for body in bodies:
                        self._take(body)
                finally:
                    self._turn.acquire()
                    self._is_read = False
                    self._turn.notify_all()

    def _read(self, left_s: float) -> list[bytes]:
        self._incoming.settimeout(left_s)
        try:
            data = self._incoming.recv(_READ_BYTES)
            if not data:
                self._end = "the link was closed"
            return self._conversation.hear(data)
        except TimeoutError:
            pass
        except OSError as error:
            self._end = str(error)
        except IsoFault as fault:
            self._end = str(fault)
        return []

    def _take(self, body: bytes) -> None:
        """Keep an answer for whoever waits, and answer a request."""
        heard = self._conversation.read(body)
        key = key_of(heard.fields) if heard.fields else ()
        if heard.fault is not None:
            self.counts[BAD_MAC if isinstance(heard.fault, BadMac) else BAD_FORMAT] += 1
            if heard.is_request or key[:1] != (_NETWORK,):
                return  # It may be anybody's: no answer to it, and no answer.
        if heard.is_request:
            answer = self._respond(heard.fields)
            if answer is not None:
                self._write(self._conversation.speech.write(answer))
            return
        with self._turn:
            if key in self._pending:
                self._pending[key] = heard
            else:
                self.counts[UNMATCHED] += 1

    def _write(self, body: bytes) -> None:
        try:
            with self._writing:
                self._socket.sendall(self._conversation.frame(body))
        except OSError as error:
            self._end = str(error)
            raise NoAnswer(self._end) from error
