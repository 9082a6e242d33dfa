"""The ISO 8583 port: links in, requests to the desk, answers back on the links they came by."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from runtime.iso8583_link import SLOW_WRITER, Link, listen
from runtime.iso8583_multiplexer import BAD_FORMAT, is_answer
from runtime.iso8583_speech import ECHO, FORMAT_ERROR, NOT_PERMITTED, RULE_TAG, network_request
from scheme.clock import Clock
from scheme.errors import MalformedMessage, PeerError
from scheme.limits import ISO_LINKS_MAX, ISO_SIGN_ON_S_MAX
from scheme.network import Participant
from scheme.profile import Iso8583Rules
from scheme.wire.iso8583_codec import IsoFault, check_mandatory
from scheme.wire.iso8583_secrets import for_log
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv
from switch.core.iso8583_messages import HOUSE as FORWARDER
from switch.core.iso8583_requests import original_key_of
from switch.flight import NotAccepting, UnknownOutcome
from switch.iso8583_links import BROKEN, LINK_LOST, REFUSED, SLOW, IsoLinks
from switch.iso8583_sessions import NETWORK, Caller, SessionDesk
from switch.wire_log import WireLog
from switch.wire_names import HOUSE

log = structlog.get_logger()

Handle = Callable[[Participant, Fields], Awaitable[Fields | None]]
"""Answers a financial request or a reversal; None leaves it unanswered."""

_WATCH_S: Final = 0.5
_ECHO_LOOKS: Final = 4
_CLOSING_S: Final = 0.05
_INSTRUCTION_TAG: Final = "01"
_REVERSALS: Final = frozenset({"0420", "0421"})
_OF_A_KEY: Final = frozenset({"13", "37", "90"})
_ANOTHERS: Final = "DE39:"
_FOUND: Final[Mapping[str, str]] = {FORMAT_ERROR: BAD_FORMAT, NOT_PERMITTED: REFUSED}


class Iso8583Acceptor:
    """Serves the links of participants.

    Args:
        handle: answers their requests.
        next_stan: our own STANs.
        spawn: starts a task that the process owns.
        links_max: open links; beyond it the oldest that has not signed on makes room.
        sign_on_s_max: seconds until a link must have signed on.
    """

    def __init__(
        self,
        *,
        links: IsoLinks,
        handle: Handle,
        next_stan: Callable[[], int],
        rules: Iso8583Rules,
        wire_log: WireLog,
        clock: Clock,
        spawn: Callable[..., object],
        host: str = "127.0.0.1",
        port: int = 0,
        links_max: int = ISO_LINKS_MAX,
        sign_on_s_max: float = ISO_SIGN_ON_S_MAX,
    ) -> None:
        self._links = links
        self._handle = handle
        self._next_stan = next_stan
        self._rules = rules
        self._log = wire_log
        self._clock = clock
        self._spawn = spawn
        self._host = host
        self.port = port
        self._links_max = links_max
        self._sign_on_s_max = sign_on_s_max
        self._callers: dict[Link, Caller] = {}
        self._sessions: SessionDesk | None = None
        self._listening: asyncio.Server | None = None
        self._running = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def open_links(self) -> int:
        """How many links are open, signed on or not."""
        return len(self._callers)

    async def start(self, sessions: SessionDesk) -> None:
        """Begin to take links.

        Args:
            sessions: lets callers on and off.

        Raises:
            ConfigError: the address cannot be had.
        """
        self._sessions = sessions
        self._links.not_signed_on = self._not_signed_on
        self._listening = await listen(self, self._host, self.port)
        self.port = self._listening.sockets[0].getsockname()[1]
        self._spawn(self._watch())
        self._spawn(self._echo_the_idle())

    async def stop(self, grace_s: float) -> None:
        """Take no more links, let answers go out for at most ``grace_s``, end all links."""
        if self._listening is None:
            return
        listening, self._listening = self._listening, None
        listening.close()
        try:
            async with asyncio.timeout(grace_s):
                await self._quiet.wait()
        except TimeoutError:
            log.warning("requests cut off at stop", port=self.port, requests=self._running)
        for link in list(self._callers):
            link.close("the clearing house stops")
        if self._callers:
            await asyncio.sleep(_CLOSING_S)
        for link in list(self._callers):
            link.cut("the clearing house stops")
        await listening.wait_closed()

    def opened(self, link: Link) -> None:
        """Take a link, if there is room for it, or can be made."""
        if len(self._callers) >= self._links_max and not self._make_room():
            log.warning("link refused", peer=link.peer, rule=f"at most {self._links_max} links")
            link.cut("too many links")
            return
        now = asyncio.get_running_loop().time()
        self._callers[link] = Caller(link, self._clock.now_us(), now)

    def _not_signed_on(self) -> Iterable[tuple[str, Caller]]:
        return [(one.code, one) for one in self._callers.values() if not one.is_signed_on]

    def _make_room(self) -> bool:
        """Cut the oldest link that has not signed on: who never does shuts nobody out."""
        idle = [one for one in self._callers.values() if one.link.is_open and not one.is_signed_on]
        if not idle:
            return False
        oldest = min(idle, key=lambda one: one.opened)
        log.warning("link makes room", peer=oldest.link.peer, agent=oldest.code)
        oldest.link.cut("not signed on, and another needed its place")
        return True

    def received(self, link: Link, body: bytes) -> None:
        """Handle one frame."""
        caller = self._callers[link]
        sessions = self._sessions
        assert sessions is not None, "links come after the start"
        caller.received += 1
        caller.heard_us = self._clock.now_us()
        if caller.speech is None:
            sessions.introduce(caller, body)
            return
        try:
            fields = caller.speech.read(body)
        except IsoFault as fault:
            sessions.refuse_frame(caller, fault, body)
            return
        if is_answer(fields["t"]):
            self._answered(caller, fields, body)
        elif fields["t"] == NETWORK:
            sessions.network(caller, fields, body)
        else:
            self._request(sessions, caller, fields, body)

    def broken(self, link: Link, fault: IsoFault) -> None:
        """Say what was no frame."""
        caller = self._callers.get(link)
        code = "" if caller is None else caller.code
        self._links.note(BROKEN, code, str(fault), session=caller)

    def ended(self, link: Link, reason: str) -> None:
        """Forget a link; whoever waits for an answer on it is told."""
        caller = self._callers.pop(link, None)
        if caller is None:
            return
        if caller.pending:
            count = caller.pending
            sent = "1 request was" if count == 1 else f"{count} requests were"
            rule = f"{sent} sent and not answered: {reason}"
            self._links.note(LINK_LOST, caller.code, rule, session=caller)
        if caller.member is not None:
            self._links.lane(caller.code).drop(caller, reason)
        log.info("link ended", agent=caller.code, peer=link.peer, cause=reason)

    def probe(self, caller: Caller) -> None:
        """Send an echo on a link, unless one is under way; without its answer the link is cut."""
        if not caller.is_probed:
            caller.is_probed = True
            self._spawn(self._echo(caller))

    def _answered(self, caller: Caller, fields: Fields, body: bytes) -> None:
        assert caller.speech is not None
        if not caller.speech.is_keyed:
            # Whoever has no session key has proved nothing, so it answers for nobody.
            rule = "MAC: no session key was exchanged"
            self._links.note(REFUSED, caller.code, rule, fields, session=caller, body=body)
            return
        fault = check_mandatory(fields)
        if fault is not None:
            assert self._sessions is not None
            self._sessions.refuse_frame(caller, fault, body)
            return
        if self._links.take(caller.code, caller, fields, body):
            self._links.lane(caller.code).counts["answers"] += 1
        elif self._log.enabled:
            self._write(caller, fields, body, "nobody waits for it")

    def _request(self, sessions: SessionDesk, caller: Caller, fields: Fields, body: bytes) -> None:
        # Everything else about it is the desk's to judge.
        if not caller.is_signed_on:
            sessions.refuse(caller, fields, NOT_PERMITTED, "DE70: the link is not signed on", body)
            return
        caller.begin()
        self._running += 1
        self._quiet.clear()
        self._spawn(self._serve(sessions, caller, fields, body))

    async def _serve(
        self, sessions: SessionDesk, caller: Caller, fields: Fields, body: bytes
    ) -> None:
        """Have one request answered, in a task of its own: its link may end meanwhile."""
        assert caller.member is not None
        began_us = self._clock.now_us()
        counts = self._links.lane(caller.code).counts
        counts["requests"] += 1
        answer: Fields | None = None
        sent: bytes | None = None
        note = ""
        try:
            answer = await self._handle(caller.member, fields)
            if answer is not None:
                sent = sessions.reply(caller, answer)
                if sent is not None:
                    counts["answered"] += 1
                if answer.get("39") in _FOUND:
                    self._find(caller, fields, body, answer)
        except NotAccepting:
            note = "the clearing house is stopping"
        except UnknownOutcome as error:
            # Never a guessed outcome: the sender asks again.
            note = repr(error)
        finally:
            caller.end()
            self._running -= 1
            if not self._running:
                self._quiet.set()
            if self._log.enabled:
                self._keep(caller, began_us, (fields, body), (answer, sent), note)

    def _find(self, caller: Caller, fields: Fields, body: bytes, answer: Fields) -> None:
        """Note a request that the desk turned away for what it says, not for what it asks.

        What became an order has an id, and the codes of its refusal may be another's: a
        creditor's, or an issuer's, which DE39 stands for. The request itself was sound.
        """
        told = _private(answer)
        rule = told.get(RULE_TAG)
        if rule and _INSTRUCTION_TAG not in told and not rule.startswith(_ANOTHERS):
            kind = _FOUND[answer["39"]]
            self._links.note(kind, caller.code, rule, fields, session=caller, body=body)

    def _keep(
        self,
        caller: Caller,
        began_us: int,
        request: tuple[Fields, bytes],
        reply: tuple[Fields | None, bytes | None],
        note: str,
    ) -> None:
        """Put a request and what it got into the wire log."""
        assert caller.speech is not None
        assert caller.member is not None
        spoken = caller.speech.codec
        fields, body = request
        answer, sent = reply
        subject = _subject(answer or {}) or _subject(fields)
        if not subject and fields["t"] in _REVERSALS:
            subject = _key_of_original(fields, caller.member, self._clock.now())
        shown = for_log(spoken, fields, body)
        self._log.write(began_us, subject, fields["t"], caller.code, HOUSE, shown)
        now_us = self._clock.now_us()
        self._log.write(
            now_us,
            subject,
            answer["t"] if answer is not None else "no answer",
            HOUSE,
            caller.code,
            for_log(spoken, answer, sent) if answer is not None and sent is not None else b"",
            took_us=now_us - began_us,
            note=note,
        )

    def _write(self, caller: Caller, fields: Fields, body: bytes, note: str) -> None:
        assert caller.speech is not None
        shown = for_log(caller.speech.codec, fields, body)
        now_us = self._clock.now_us()
        subject = _subject(fields)
        self._log.write(now_us, subject, fields["t"], caller.code, HOUSE, shown, note=note)

    async def _watch(self) -> None:
        """Cut links that do not sign on, and half frames that get no other half."""
        loop = asyncio.get_running_loop()
        while self._listening is not None:
            await asyncio.sleep(_WATCH_S)
            now = loop.time()
            for link, caller in list(self._callers.items()):
                if link.is_overdue(now):
                    self._links.note(SLOW, caller.code, f"length: {SLOW_WRITER}", session=caller)
                    link.cut(SLOW_WRITER)
                elif not caller.is_signed_on and now - caller.opened > self._sign_on_s_max:
                    link.cut(f"not signed on within {self._sign_on_s_max:g} s")

    async def _echo_the_idle(self) -> None:
        """Send an echo on every link that was silent for the profile's time, for ever."""
        idle = timedelta(seconds=self._rules.echo_idle_s)
        idle_us = idle // timedelta(microseconds=1)
        while self._listening is not None:
            await self._clock.sleep_until(self._clock.now() + idle / _ECHO_LOOKS)
            now_us = self._clock.now_us()
            for caller in self._callers.values():
                if caller.is_signed_on and now_us - caller.heard_us >= idle_us:
                    self.probe(caller)

    async def _echo(self, caller: Caller) -> None:
        lane = self._links.lane(caller.code)
        now = self._clock.now()
        stan = self._next_stan()
        request = network_request(ECHO, stan=stan, now=now, acquirer=FORWARDER)
        try:
            async with self._clock.deadline(now + timedelta(seconds=self._rules.echo_answer_s)):
                await lane.ask(request, caller)
        except (PeerError, TimeoutError):
            caller.link.cut("no answer to an echo")
        finally:
            caller.is_probed = False


def _subject(fields: Fields) -> str:
    """Return the instructionId a message names, or nothing."""
    return _private(fields).get(_INSTRUCTION_TAG, "")


def _key_of_original(fields: Fields, sender: Participant, now: datetime) -> str:
    """Return the key under which is remembered that a reversal came first, or nothing."""
    if not fields.keys() >= _OF_A_KEY:
        return ""
    try:
        return original_key_of(fields, sender, now)
    except MalformedMessage:
        return ""


def _private(fields: Fields) -> Mapping[str, str]:
    text = fields.get("62")
    if not text:
        return {}
    try:
        return decode_tlv(text, 62)
    except MalformedMessage:
        return {}
