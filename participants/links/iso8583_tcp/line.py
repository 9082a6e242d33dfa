"""An institution's links of the ISO 8583 lane: kept up, cut or held back, answers spoiled by magic.

Dialling, signing on, keys, echoes and the matching of answers are the shared client's.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from participants.core.magic import Act
from participants.core.replies import SILENCE, LaneReply
from runtime.iso8583_client import Dialled, Iso8583Client
from runtime.iso8583_speech import ECHO
from scheme.clock import Clock
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import Fields

log = structlog.get_logger()

_GARBAGE: Final = b"<html><body>Gateway</body></html>"
_WRONG_MAC: Final = "0" * 16
_SECOND_BITMAP: Final = 64

Take = Callable[[Fields], Awaitable[LaneReply]]


async def _nobody(_: Fields) -> LaneReply:
    return SILENCE


class Line:
    """The links of one institution.

    Args:
        dialled: whom, and how it speaks.
        first_stan: of its session's messages.

    Attributes:
        take: answers what comes; set before the line starts.
    """

    def __init__(self, dialled: Dialled, clock: Clock, *, first_stan: int = 1) -> None:
        self.take: Take = _nobody
        self._dialled = dialled
        self._client = Iso8583Client(
            dialled, clock=clock, answer=self._answer, report=self._report, first_stan=first_stan
        )
        self._is_up = False

    @property
    def links(self) -> int:
        """How many links are signed on."""
        return len(self._client.mux.sessions)

    @property
    def is_held(self) -> bool:
        """Whether it stays away on purpose."""
        return not self._is_up

    async def start(self) -> None:
        """Dial, and go on dialling."""
        if not self._is_up:
            self._is_up = True
            await self._client.start()

    async def stop(self) -> None:
        """Hang up, and stay away."""
        if self._is_up:
            self._is_up = False
            await self._client.stop()

    def cut(self) -> None:
        """Break every link; they are dialled again."""
        for session in list(self._client.mux.sessions):
            session.link.cut("cut on purpose")

    async def ready(self) -> None:
        """Wait until a link is signed on."""
        await self._client.ready(1)

    async def ask(self, fields: Fields) -> Fields:
        """Send a request and return its answer; the caller guards the wait.

        Raises:
            NotConnected: nothing was written.
            NoAnswer: the link ended before an answer came.
        """
        return await self._client.mux.ask(fields)

    async def sign_on(self) -> None:
        """Sign on again; raises PeerError or TimeoutError where that fails."""
        if not self.links:
            await self._client.sign_on()
            self._client.mux.choose()

    async def sign_off(self) -> None:
        """Sign off; raises PeerError or TimeoutError where that fails."""
        await self._client.sign_off()

    async def echo(self) -> Fields:
        """Test the line; raises PeerError or TimeoutError where nobody answers."""
        return await self._client.network(ECHO)

    async def _answer(self, fields: Fields) -> Fields | None:
        reply = await self.take(fields)
        match reply.spoiled:
            case None:
                return reply.fields
            case Act.GARBAGE:
                self._send(_GARBAGE)
            case Act.BAD_SIGNATURE:
                return self._under_wrong_mac(reply.fields)
            case _:
                # Whoever waits on another link of this institution loses it too, as with a core
                # that falls over.
                self.cut()
        return None

    def _under_wrong_mac(self, fields: Fields | None) -> Fields | None:
        assert fields is not None
        if self._dialled.mac == "none":
            return fields
        has_second = any(int(key) > _SECOND_BITMAP for key in fields if key != "t")
        spoiled = fields | {"128" if has_second else "64": _WRONG_MAC}
        self._send(codec(self._dialled.spec).encode(spoiled))
        return None

    def _send(self, body: bytes) -> None:
        for session in self._client.mux.sessions[:1]:
            session.link.send(body)

    def _report(self, kind: str, fields: Fields) -> None:
        log.info(
            "frame nobody waits for",
            agent=self._dialled.code,
            kind=kind,
            message=fields.get("t", ""),
            stan=fields.get("11", ""),
        )
