"""The clearing house's end of ISO 8583 links on a real socket, which says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from runtime.iso8583_link import Link
from runtime.iso8583_multiplexer import Multiplexer, Session, is_answer
from runtime.iso8583_speech import APPROVED, KEY_BYTES, KEY_CHANGE, SIGN_ON, Speech, brief_answer
from runtime.kek import kek_of
from scheme.network import Participant
from scheme.wire.iso8583_codec import IsoFault, codec
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import encode_tlv

_SESSION_KEY = bytes(range(16))
Answer = Callable[[Fields], Fields | None]


class LaneSwitch:
    """Listens for a fleet's cores and machines.

    Args:
        members: those of the lane.
        home: of the fleet, where the key-encrypting keys lie.

    Attributes:
        answers: by message type and transaction (``0200/40``, ``0420``); None keeps silent.
        asked: every request that came, in order.
        stray: every answer nobody waited for.
        frames_refused: whatever could not be read.
    """

    def __init__(self, members: tuple[Participant, ...], home: Path) -> None:
        self._members = {one.code: one for one in members}
        self._home = home
        self._server: asyncio.Server | None = None
        self._sessions: dict[Link, Session] = {}
        self._muxes = {
            one.code: Multiplexer(lambda kind, fields: self.stray.append((kind, fields)))
            for one in members
        }
        self._arrived = asyncio.Event()
        self.answers: dict[str, Answer] = {}
        self.asked: list[Fields] = []
        self.stray: list[tuple[str, Fields]] = []
        self.frames_refused: list[str] = []
        self.sign_ons = 0

    @property
    def address(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Link(self), "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._sessions):
            link.cut("stopped")
        await asyncio.sleep(0)

    def types(self) -> list[str]:
        return [fields["t"] for fields in self.asked]

    async def ask(self, code: str, fields: Fields, wait_s: float = 5.0) -> Fields:
        """Ask a participant over one of its links."""
        await self.linked(code)
        async with asyncio.timeout(wait_s):
            return await self._muxes[code].ask(fields)

    async def linked(self, code: str) -> None:
        """Wait until a participant has a link."""
        await self.holds(lambda: bool(self._muxes[code].sessions))

    async def until(self, kind: str, count: int = 1) -> None:
        """Wait until that many requests of a type have come."""
        await self.holds(lambda: self.types().count(kind) >= count)

    def links(self, code: str) -> int:
        return len(self._muxes[code].sessions)

    async def holds(self, true: Callable[[], bool]) -> None:
        """Wait until something is true; looked at whenever something came or a link ended."""
        async with asyncio.timeout(10):
            while not true():
                self._arrived.clear()
                await self._arrived.wait()

    # --- the owner of the links

    def opened(self, link: Link) -> None:
        self._sessions[link] = Session(link, 0)

    def broken(self, link: Link, fault: IsoFault) -> None:
        self.frames_refused.append(str(fault))

    def ended(self, link: Link, reason: str) -> None:
        session = self._sessions.pop(link)
        for mux in self._muxes.values():
            mux.drop(session, reason)
        self._arrived.set()

    def received(self, link: Link, body: bytes) -> None:
        session = self._sessions[link]
        if session.speech is None:
            session.speech = self._recognised(body)
        try:
            fields = session.speech.read(body)
        except IsoFault as fault:
            self.frames_refused.append(str(fault))
            return
        if is_answer(fields["t"]):
            self._take(session, fields, body)
        elif fields["t"] == "0800":
            self._network(session, fields)
        else:
            self.asked.append(fields)
            answer = self.answers.get(f"{fields['t']}/{fields['3'][:2]}") or self.answers.get(
                fields["t"], lambda _: None
            )
            said = answer(fields)
            if said is not None:
                session.send(said)
        self._arrived.set()

    def _take(self, session: Session, fields: Fields, body: bytes) -> None:
        for mux in self._muxes.values():
            if session in mux.sessions:
                mux.take(fields, body)

    def _recognised(self, body: bytes) -> Speech:
        for member in self._members.values():
            spoken = member.iso8583
            try:
                fields = codec(spoken.spec).decode(body)
            except IsoFault:
                continue
            if fields.get("32") == member.code:
                length = KEY_BYTES.get(spoken.mac, 0)
                kek = kek_of(self._home, member.code, length) if length else b""
                return Speech(spoken.spec, spoken.mac, kek)
        raise AssertionError("nobody of the lane speaks so")

    def _network(self, session: Session, fields: Fields) -> None:
        answer = brief_answer(fields, APPROVED)
        assert session.speech is not None
        if fields["70"] == KEY_CHANGE:
            session.send(answer | {"48": encode_tlv(session.speech.wrapped(_SESSION_KEY))})
            session.speech.adopt(_SESSION_KEY)
            return
        session.send(answer)
        if fields["70"] == SIGN_ON:
            self.sign_ons += 1
            self._muxes[fields["32"]].add(session)
