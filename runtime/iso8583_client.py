"""The institution's end of ISO 8583 links: dials, signs on, asks, answers, echoes, dials again.

Simulated cores, acquirers and load generators use it. It knows sessions, keys and the matching of
answers, and nothing of money.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct

from runtime.iso8583_link import Link
from runtime.iso8583_multiplexer import BAD_FORMAT, BAD_MAC, Multiplexer, Session, is_answer
from runtime.iso8583_speech import (
    APPROVED,
    ECHO,
    KEY_CHANGE,
    NO_MAC,
    SIGN_OFF,
    SIGN_ON,
    BadMac,
    Speech,
    brief_answer,
    network_request,
    refusal_of,
)
from scheme.clock import Clock
from scheme.errors import NoAnswer, NotConnected, PeerError
from scheme.ids import Sequence as Numbers
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_framing import Framing
from scheme.wire.iso8583_spec import Fields

log = structlog.get_logger()

Answer = Callable[[Fields], Awaitable[Fields | None]]
"""Handles a request of the other end; None leaves it unanswered."""

_STANS: Final = (1, 999_999)


class Dialled(Struct, frozen=True, kw_only=True):
    """Whom to call and how to speak.

    Attributes:
        code: the institution's own, DE32.
        spec, header, tpdu, mac: as the fleet file has them.
        kek: key-encrypting key; empty without a MAC.
        links: connections held at once.
        reconnect_s: waits before dialling again; the last repeats.
        echo_idle_s: silence after which an echo is sent.
        answer_s: wait for the answers of the session itself.
    """

    host: str = "127.0.0.1"
    port: int
    code: str
    spec: str = "ascii-1987"
    header: str = "binary-2"
    tpdu: str = ""
    mac: str = NO_MAC
    kek: bytes = b""
    links: int = 1
    reconnect_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0)
    echo_idle_s: float = 60.0
    answer_s: float = 10.0


class Refused(PeerError):
    """The other end answered a message of the session with another code than 00."""


async def _no_answer(_: Fields) -> None:
    return None


class Iso8583Client:
    """Holds links to a clearing house; requests go out on whichever has fewest pending.

    Args:
        dialled: whom and how.
        answer: handles what the other end asks; echoes are answered without it.
        report: told of every answer nobody waits for, bad MAC and bad format, with its fields.

    Attributes:
        mux: its links, pending requests and counts.
    """

    def __init__(
        self,
        dialled: Dialled,
        *,
        clock: Clock,
        answer: Answer = _no_answer,
        report: Callable[[str, Fields], None] = lambda _, __: None,
        first_stan: int = 1,
    ) -> None:
        self.dialled = dialled
        self.mux = Multiplexer(report)
        self._report = report
        self._clock = clock
        self._answer = answer
        self._stans = Numbers(*_STANS, first_stan)
        self._framing = Framing(dialled.header, dialled.tpdu)
        self._lines: dict[Link, tuple[Session, asyncio.Future[str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()
        self._is_off = False

    async def start(self) -> None:
        """Begin to dial; ``ready`` tells when the links are there."""
        for _ in range(self.dialled.links):
            self._spawn(self._keep())

    async def ready(self, links: int | None = None) -> None:
        """Wait until so many links are signed on; None: all of them."""
        wanted = self.dialled.links if links is None else links
        while len(self.mux.sessions) < wanted:
            self._change.clear()
            await self._change.wait()

    async def stop(self) -> None:
        """Hang up; whoever waits gets no answer."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in list(self._lines):
            link.close("stopped")
        self.mux.close("stopped")
        await asyncio.sleep(0)

    def stan(self) -> int:
        """Return the next system trace audit number."""
        return self._stans.take()

    async def ask(self, fields: Fields, *, answer_s: float) -> Fields:
        """Send a request and return its answer.

        Raises:
            NotConnected: nothing was written.
            NoAnswer: it was, and no answer came in time or at all.
        """
        sent = self.mux.send(fields)
        try:
            async with self._clock.deadline(self._clock.now() + timedelta(seconds=answer_s)):
                answer, _ = await self.mux.answer(sent)
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {answer_s:g} s") from error
        return answer

    async def sign_off(self) -> None:
        """Sign the institution off; its links stay open and may sign on again."""
        session = self.mux.choose()
        await self.network(SIGN_OFF, session)
        self._is_off = True
        for one in list(self.mux.sessions):
            self.mux.drop(one, "signed off", is_gone=False)

    async def sign_on(self) -> None:
        """Sign on again on every link that is open."""
        self._is_off = False
        for session, _ in list(self._lines.values()):
            if not session.is_signed_on:
                await self.network(SIGN_ON, session)
                self._add(session)

    async def change_key(self, session: Session) -> None:
        """Have a link speak under a fresh session key.

        Raises:
            PeerError: the other end gave none, or none that can be used.
        """
        assert session.speech is not None
        answer = await self.network(KEY_CHANGE, session)
        session.speech.adopt(session.speech.unwrapped(answer))

    async def network(self, function: str, session: Session | None = None) -> Fields:
        """Send an 0800 and return its answer.

        Args:
            session: the link; None: whichever is least busy.

        Raises:
            Refused: the answer is another than 00.
            NotConnected: nothing was written.
            NoAnswer: the link ended before an answer came.
            TimeoutError: none came in time.
        """
        now = self._clock.now()
        request = network_request(function, stan=self.stan(), now=now, acquirer=self.dialled.code)
        sent = self.mux.send(request, session)
        async with self._clock.deadline(now + timedelta(seconds=self.dialled.answer_s)):
            answer, _ = await self.mux.answer(sent)
        code = answer.get("39", "")
        if code != APPROVED:
            raise Refused(f"DE70 {function}: answered {code} {answer.get('62', '')}")
        return answer

    def opened(self, link: Link) -> None:
        """Take a connection over (see ``LinkOwner``)."""
        spoken = self.dialled
        session = Session(link, self._clock.now_us(), Speech(spoken.spec, spoken.mac, spoken.kek))
        self._lines[link] = (session, asyncio.get_running_loop().create_future())

    def received(self, link: Link, body: bytes) -> None:
        """Give an answer to whoever waits, and a request to its handler."""
        session, _ = self._lines[link]
        session.received += 1
        session.heard_us = self._clock.now_us()
        assert session.speech is not None
        try:
            fields = session.speech.read(body)
        except IsoFault as fault:
            self._refuse(session, fault)
            return
        if is_answer(fields["t"]):
            self.mux.take(fields, body)
        elif fields.get("70") == ECHO:
            self._reply(session, brief_answer(fields, APPROVED))
        else:
            session.begin()
            self._spawn(self._handle(session, fields))

    def broken(self, link: Link, fault: IsoFault) -> None:
        """Say what was no frame."""
        self.mux.counts[BAD_FORMAT] += 1
        log.warning("frames cannot be told apart", agent=self.dialled.code, rule=str(fault))

    def ended(self, link: Link, reason: str) -> None:
        """Tell whoever waits on a link that is gone."""
        session, over = self._lines.pop(link)
        self.mux.drop(session, reason)
        if not over.done():
            over.set_result(reason)

    async def _keep(self) -> None:
        """Keep one link, for ever."""
        attempts = 0
        while True:
            try:
                reason = await self._hold()
                attempts = 0
            except (OSError, PeerError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            waits: Sequence[float] = self.dialled.reconnect_s
            wait_s = waits[min(attempts, len(waits) - 1)]
            attempts += 1
            log.info("link down", agent=self.dialled.code, cause=reason, again_s=wait_s)
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=wait_s))

    async def _hold(self) -> str:
        """Dial, sign on and echo until the link ends; return why it did."""
        loop = asyncio.get_running_loop()
        spoken = self.dialled
        async with asyncio.timeout(spoken.answer_s):
            _, link = await loop.create_connection(
                lambda: Link(self, self._framing), spoken.host, spoken.port
            )
        line = self._lines.get(link)
        if line is None:
            raise NotConnected("the other end took the link and closed it at once")
        session, over = line
        try:
            if spoken.mac != NO_MAC:
                await self.change_key(session)
            if not self._is_off:
                await self.network(SIGN_ON, session)
                self._add(session)
            while not over.done():
                await self._wait_or_echo(session, over)
            return over.result()
        finally:
            link.cut("given up")

    async def _wait_or_echo(self, session: Session, over: "asyncio.Future[str]") -> None:
        quiet = timedelta(microseconds=self._clock.now_us() - session.heard_us)
        left = timedelta(seconds=self.dialled.echo_idle_s) - quiet
        if left > timedelta(0):
            try:
                async with self._clock.deadline(self._clock.now() + left):
                    await asyncio.shield(over)
            except TimeoutError:
                return
        else:
            await self.network(ECHO, session)

    def _add(self, session: Session) -> None:
        self.mux.add(session)
        self._change.set()

    async def _handle(self, session: Session, fields: Fields) -> None:
        try:
            answer = await self._answer(fields)
            if answer is not None:
                self._reply(session, answer)
        except Exception:
            # The task's root: a bug in one answer must not end the link.
            log.exception("request failed", agent=self.dialled.code, message=fields["t"])
        finally:
            session.end()

    def _reply(self, session: Session, answer: Fields) -> None:
        """Answer on the link a request came by, or on another if that is gone."""
        if session.send(answer) is None and self.mux.sessions:
            self.mux.sessions[0].send(answer)

    def _refuse(self, session: Session, fault: IsoFault) -> None:
        kind = BAD_MAC if isinstance(fault, BadMac) else BAD_FORMAT
        self.mux.counts[kind] += 1
        self._report(kind, dict(fault.raw or {}))
        log.warning("message refused", agent=self.dialled.code, rule=str(fault))
        answer = refusal_of(fault)
        if answer is not None:
            try:
                self._reply(session, answer)
            except IsoFault:
                log.warning("no answer can address it", agent=self.dialled.code)

    def _spawn(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
