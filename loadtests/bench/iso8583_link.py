"""A core's end of a link: signed on, sealed if need be, its frames handed on as they come."""

import asyncio
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from loadtests.bench.iso8583_frames import (
    HEADER_BYTES,
    MAC_DIGITS,
    answer_to,
    framed,
    split,
)
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_mac import mac_of, seal, unwrap_key
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv

SPEC = "ascii-1987"
NO_MAC = "none"
_STEP_S_MAX = 30.0
_KEY_CHANGE, _SIGN_ON = "101", "001"


class RefusedLink(Exception):
    """The other side is not there, ended the link, or did not let this core sign on."""


class Identity(Struct, frozen=True, kw_only=True):
    """Who speaks on a link.

    Attributes:
        code: DE32.
        mac: algorithm of the MACs, or ``none``.
        kek: key under which the session key comes; empty without a MAC.
    """

    code: str
    mac: str = NO_MAC
    kek: bytes = b""


class CoreLink(asyncio.Protocol):
    """One kept connection of a core.

    Args:
        on_frame: given each financial message, without header and with a MAC that held.
        on_lost: called once when the connection is gone.
    """

    def __init__(
        self, who: Identity, on_frame: Callable[["CoreLink", bytes], None],
        on_lost: Callable[["CoreLink"], None],
    ) -> None:  # fmt: skip
        self.who = who
        self.session_key = b""
        self.wrong_macs = 0
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the owner, and whoever waits for the sign-on."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RefusedLink(f"{self.who.code}: cut: {error}"))
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole."""
        frames, self._rest = split(self._rest + data if self._rest else data)
        for frame in frames:
            body = frame[HEADER_BYTES:]
            kind = body[:4]
            if kind == b"0810":
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(body)
            elif self.session_key and not self._holds(body):
                self.wrong_macs += 1
            elif kind == b"0800":
                self.send(answer_to(body, {}, sealed=bool(self.session_key)))
            else:
                self._on_frame(self, body)

    def send(self, body: bytes) -> None:
        """Send a body, which ends with its MAC if the link has a key."""
        assert self._transport is not None
        if self.session_key:
            body += mac_of(self.who.mac, self.session_key, body).hex().upper().encode()
        self._transport.write(framed(body))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    async def sign_on(self, sent: str, number: int) -> None:
        """Exchange the key, if there are MACs, and sign on.

        Args:
            sent: DE7.
            number: DE11; the next one is used too.

        Raises:
            RefusedLink: no, or no answer in time.
        """
        if self.who.mac != NO_MAC:
            said = await self._ask(_network(self.who.code, sent, number, _KEY_CHANGE))
            cryptogram = decode_tlv(said.get("48", ""), "48")["40"]
            self.session_key = unwrap_key(self.who.kek, cryptogram, self.who.mac)
        await self._ask(_network(self.who.code, sent, number + 1, _SIGN_ON))

    async def _ask(self, request: Fields) -> Fields:
        assert self._transport is not None
        spoken = codec(SPEC)
        key = self.session_key or self.who.kek
        body = seal(spoken, request, self.who.mac, key) if key else spoken.encode(request)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(framed(body))
        try:
            async with asyncio.timeout(_STEP_S_MAX):
                said = spoken.decode(await self._answer)
        except TimeoutError as error:
            raise RefusedLink(f"{self.who.code}: DE70 {request['70']}: no answer") from error
        if said.get("39") != "00":
            raise RefusedLink(f"{self.who.code}: DE70 {request['70']}: DE39 {said.get('39')}")
        return said

    def _holds(self, body: bytes) -> bool:
        mac = mac_of(self.who.mac, self.session_key, body[:-MAC_DIGITS])
        return mac.hex().upper().encode() == body[-MAC_DIGITS:]


def _network(code: str, sent: str, number: int, function: str) -> Fields:
    return {"t": "0800", "7": sent, "11": f"{number:06}", "32": code, "70": function}


async def dial(
    port: int, who: Identity, on_frame: Callable[[CoreLink, bytes], None],
    on_lost: Callable[[CoreLink], None],
) -> CoreLink:  # fmt: skip
    """Return an open link; signing on is the caller's next step, where there is one.

    Raises:
        RefusedLink: nobody listens.
    """
    loop = asyncio.get_running_loop()
    try:
        _, link = await loop.create_connection(
            lambda: CoreLink(who, on_frame, on_lost), "127.0.0.1", port
        )
    except OSError as error:
        raise RefusedLink(f"{who.code}: {error}") from error
    return link
