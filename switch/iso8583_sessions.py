"""Sessions on ISO 8583 links: who calls, session keys, sign-on, sign-off, echoes.

A caller is not known before its first message. Its message type tells which table it uses; DE32 of
its first 0800 says who it is, and then everything must agree with the fleet file, or it is told
what differs.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from runtime.iso8583_link import Link
from runtime.iso8583_multiplexer import BAD_FORMAT, BAD_MAC, Multiplexer, Session
from runtime.iso8583_speech import (
    APPROVED,
    ECHO,
    FORMAT_ERROR,
    KEY_BYTES,
    KEY_CHANGE,
    NO_MAC,
    NOT_PERMITTED,
    SIGN_OFF,
    SIGN_ON,
    BadMac,
    Speech,
    brief_answer,
    refusal_of,
)
from scheme.clock import Clock
from scheme.network import Participant
from scheme.wire.iso8583_codec import IsoFault, check_mandatory, codec
from scheme.wire.iso8583_framing import Framing
from scheme.wire.iso8583_secrets import for_log, for_log_refused
from scheme.wire.iso8583_spec import SPECS, Fields
from scheme.wire.iso8583_tlv import encode_tlv
from switch.iso8583_links import MISMATCH, REFUSED, IsoLinks
from switch.wire_log import WireLog
from switch.wire_names import HOUSE

log = structlog.get_logger()

Sign = Callable[[str, bool], Awaitable[object]]
"""Signs a participant on or off, and returns once that is on disk."""

NETWORK: Final = "0800"


class Caller(Session):
    """A link of the acceptor.

    Attributes:
        member: who speaks; None until its first 0800.
        opened: when it opened or was signed off, by the loop's time.
        is_probed: an echo is under way.
    """

    __slots__ = ("is_probed", "member", "opened")

    def __init__(self, link: Link, now_us: int, opened: float) -> None:
        super().__init__(link, now_us)
        self.member: Participant | None = None
        self.opened = opened
        self.is_probed = False

    @property
    def code(self) -> str:
        """Its participant, or empty."""
        return "" if self.member is None else self.member.code


class SessionDesk:
    """Lets callers on and off, and answers for what could not be taken.

    Args:
        sign: signs a participant on or off.
        wake: called with a participant that has signed on: what is owed to it is due.
        keks: key-encrypting keys of those with a MAC.
        new_key: returns so many random bytes.
        probe: sends an echo on a link, and cuts it if none comes back.
        spawn: starts a task that the process owns.
    """

    def __init__(
        self,
        *,
        links: IsoLinks,
        fleet: Mapping[str, Participant],
        sign: Sign,
        wake: Callable[[str], object],
        keks: Mapping[str, bytes],
        new_key: Callable[[int], bytes],
        probe: Callable[[Caller], None],
        wire_log: WireLog,
        clock: Clock,
        spawn: Callable[..., object],
    ) -> None:
        self._links = links
        self._fleet = fleet
        self._sign = sign
        self._wake = wake
        self._keks = keks
        self._new_key = new_key
        self._probe = probe
        self._log = wire_log
        self._clock = clock
        self._spawn = spawn
        self._joining: Counter[str] = Counter()

    def introduce(self, caller: Caller, body: bytes) -> None:
        """Take the first message of a link: an 0800 of a participant, as the fleet file says."""
        spec, fields, fault = _recognise(body)
        caller.speech = Speech(spec)  # Until it is known who speaks: to answer, without a MAC.
        try:
            if fields is None:
                assert fault is not None
                self.refuse_frame(caller, fault, body)
                return
            member = self._fleet.get(fields.get("32", ""))
            if fields["t"] != NETWORK or fields.get("70") not in (SIGN_ON, KEY_CHANGE):
                self.refuse(
                    caller, fields, NOT_PERMITTED, "DE70: a link begins with a sign-on", body
                )
            elif member is None or member.code not in self._links.lanes:
                self.refuse(
                    caller, fields, NOT_PERMITTED, "DE32: no institution of this lane", body
                )
            elif differs := _differences(caller, spec, member):
                self._links.note(MISMATCH, member.code, differs, fields, session=caller, body=body)
                self.reply(caller, brief_answer(fields, FORMAT_ERROR, differs))
            else:
                self._welcome(caller, member, body)
        finally:
            if caller.member is None:
                caller.speech = None

    def network(self, caller: Caller, fields: Fields, body: bytes) -> None:
        """Answer an 0800 of a known caller."""
        self.keep(caller, fields, body)
        fault = check_mandatory(fields)
        speech = caller.speech
        assert speech is not None
        function = fields.get("70", "")
        if fault is not None:
            self.refuse_frame(caller, fault, body, is_kept=True)
        elif fields.get("32", caller.code) != caller.code:
            rule = f"DE32: this link is {caller.code}'s"
            self.refuse(caller, fields, NOT_PERMITTED, rule, body)
        elif function == KEY_CHANGE:
            self._change_key(caller, speech, fields, body)
        elif not speech.is_keyed:
            rule = "DE70: a key change (101) comes first, as fleet.toml names a MAC"
            self.refuse(caller, fields, NOT_PERMITTED, rule, body)
        elif function == SIGN_ON:
            self._spawn(self._sign_on(caller, fields, body))
        elif not caller.is_signed_on:
            self.refuse(caller, fields, NOT_PERMITTED, "DE70: the link is not signed on", body)
        elif function == ECHO:
            self.reply(caller, brief_answer(fields, APPROVED))
        elif function == SIGN_OFF:
            self._spawn(self._sign_off(caller, fields))
        else:
            self.refuse(caller, fields, FORMAT_ERROR, "DE70: not served here", body)

    def refuse(self, caller: Caller, fields: Fields, code: str, rule: str, body: bytes) -> None:
        """Answer a request that its sender may not make."""
        self._links.note(REFUSED, caller.code, rule, fields, session=caller, body=body)
        self.reply(caller, brief_answer(fields, code, rule))

    def refuse_frame(
        self, caller: Caller, fault: IsoFault, body: bytes, *, is_kept: bool = False
    ) -> None:
        """Answer a frame that could not be taken, if an answer can be addressed.

        Args:
            is_kept: the wire log has it already.
        """
        kind = BAD_MAC if isinstance(fault, BadMac) else BAD_FORMAT
        self._links.note(kind, caller.code, str(fault), fault.raw, session=caller, body=body)
        if not is_kept and self._log.enabled:
            assert caller.speech is not None
            shown = for_log_refused(caller.speech.codec, body)
            name = (fault.raw or {}).get("t", "ISO 8583")
            now_us = self._clock.now_us()
            self._log.write(now_us, "", name, caller.code, HOUSE, shown, note=str(fault))
        answer = refusal_of(fault)
        if answer is not None:
            self.reply(caller, answer)

    def reply(self, caller: Caller, answer: Fields, *, subject: str = "") -> bytes | None:
        """Answer on the link a request came by, or on another of its participant's.

        Returns:
            The bytes that left, or None if nothing did.
        """
        try:
            body = caller.send(answer)
            if body is None and caller.member is not None:
                others = self._links.lane(caller.code).sessions
                body = others[0].send(answer) if others else None
        except IsoFault as fault:
            # What its sender put there does not fit our own table either: nobody to address.
            log.warning("no answer can be written", agent=caller.code, rule=str(fault))
            return None
        if body is not None and answer["t"] == "0810":
            self.keep(caller, answer, body, sent=True)
        return body

    def keep(self, caller: Caller, fields: Fields, body: bytes, *, sent: bool = False) -> None:
        """Put a message of the session into the wire log."""
        if not self._log.enabled or not body:
            return
        assert caller.speech is not None
        sender, receiver = (HOUSE, caller.code) if sent else (caller.code, HOUSE)
        shown = for_log(caller.speech.codec, fields, body)
        self._log.write(self._clock.now_us(), "", fields["t"], sender, receiver, shown)

    def _welcome(self, caller: Caller, member: Participant, body: bytes) -> None:
        """Speak with a caller as the fleet file says, from this first message on."""
        spoken = member.iso8583
        caller.member = member
        caller.link.answer_as(Framing(spoken.header, spoken.tpdu))
        caller.speech = Speech(spoken.spec, spoken.mac, self._keks.get(member.code, b""))
        try:
            fields = caller.speech.read(body)
        except IsoFault as fault:
            self.refuse_frame(caller, fault, body)
            return
        self.network(caller, fields, body)

    def _change_key(self, caller: Caller, speech: Speech, fields: Fields, body: bytes) -> None:
        if speech.algorithm == NO_MAC:
            rule = 'DE70: fleet.toml says mac = "none": there is no key to change'
            self.refuse(caller, fields, FORMAT_ERROR, rule, body)
            return
        key = self._new_key(KEY_BYTES[speech.algorithm])
        answer = brief_answer(fields, APPROVED)
        answer["48"] = encode_tlv(speech.wrapped(key))
        self.reply(caller, answer)
        speech.adopt(key)
        log.info("session key changed", agent=caller.code, check_value=speech.check_value)

    async def _sign_on(self, caller: Caller, fields: Fields, body: bytes) -> None:
        assert caller.member is not None
        lane = self._links.lane(caller.code)
        most = caller.member.iso8583.links_max
        # Those that only wait for the disk count too: two at once are two.
        if not caller.is_signed_on and len(lane.sessions) + self._joining[caller.code] >= most:
            self._crowded(lane)
            rule = f"DE32: {most} links are signed on already"
            self.refuse(caller, fields, NOT_PERMITTED, rule, body)
            return
        self._joining[caller.code] += 1
        try:
            await self._sign(caller.code, True)
        finally:
            self._joining[caller.code] -= 1
        if not caller.link.is_open:
            return
        lane.add(caller)
        self.reply(caller, brief_answer(fields, APPROVED))
        log.info("link signed on", agent=caller.code, peer=caller.link.peer)
        self._wake(caller.code)

    def _crowded(self, lane: Multiplexer) -> None:
        """Ask the links that are there whether they still are: their far ends may have died."""
        for session in lane.sessions:
            if isinstance(session, Caller):
                self._probe(session)

    async def _sign_off(self, caller: Caller, fields: Fields) -> None:
        lane = self._links.lane(caller.code)
        now = asyncio.get_running_loop().time()
        for session in list(lane.sessions):
            # What was asked may still be answered; nothing new goes either way.
            lane.drop(session, "signed off", is_gone=False)
            if isinstance(session, Caller):
                session.opened = now
        await self._sign(caller.code, False)
        self.reply(caller, brief_answer(fields, APPROVED))


def _recognise(body: bytes) -> tuple[str, Fields | None, IsoFault | None]:
    """Return which table a first message is of, and its fields, or what is wrong with it.

    A message type begins with the character ``0`` in one and with half a byte of it in the other,
    so at most one can read it; if none does, the one that gets furthest tells why.
    """
    best: tuple[int, str, IsoFault] | None = None
    for name in SPECS:
        try:
            return name, codec(name).decode(body), None
        except IsoFault as fault:
            reached = fault.at or 0
            if best is None or reached > best[0]:
                best = (reached, name, fault)
    assert best is not None
    return best[1], None, best[2]


def _differences(caller: Caller, spec: str, member: Participant) -> str:
    """Return how a caller speaks otherwise than the fleet file says, or nothing."""
    framing, spoken = caller.link.framing, member.iso8583
    assert framing is not None, "a frame has come"
    told = [
        ("length header", framing.header, spoken.header),
        ("table of elements", spec, spoken.spec),
    ]
    # Which TPDU it is says nothing: it routes within the caller's own network.
    if bool(framing.tpdu) is not bool(spoken.tpdu):
        told.append(("TPDU", framing.tpdu or "none", spoken.tpdu or "none"))
    return "; ".join(
        f"{name} is {found}, fleet.toml says {expected}"
        for name, found, expected in told
        if found != expected
    )
