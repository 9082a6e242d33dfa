"""The baseline of the ISO 8583 lane: a bare TCP relay with the hops of the switch.

Debtors connect to one port, creditors to another. A frame goes on to a creditor as it came, and
its answer goes back. The only bytes that are looked at are the length of a frame and its trace
number, to know whose answer it is. Nothing is decoded, checked, kept or written.
"""

import asyncio
from itertools import cycle
from typing import cast

import uvloop

from loadtests.bench.child import serve_until_orphaned
from loadtests.bench.iso8583_frames import STAN_AT, STAN_DIGITS, split

_STAN = slice(STAN_AT, STAN_AT + STAN_DIGITS)


class _Creditor(asyncio.Protocol):
    """A creditor's connection. Whoever asked is found by the trace number."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._relay.joined(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        frames, self._rest = split(self._rest + data if self._rest else data)
        for frame in frames:
            self._relay.waiting.pop(frame[_STAN]).write(frame)


class _Debtor(asyncio.Protocol):
    """A debtor's connection."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        frames, self._rest = split(self._rest + data if self._rest else data)
        for frame in frames:
            self._relay.waiting[frame[_STAN]] = self._transport
            next(self._relay.creditors).write(frame)


class Relay:
    """Joins debtors and creditors.

    Attributes:
        creditors: the creditors in turn.
        waiting: debtors by the trace number of what they asked.
    """

    def __init__(self) -> None:
        self._joined: list[asyncio.Transport] = []
        self.creditors = cycle(self._joined)
        self.waiting: dict[bytes, asyncio.Transport] = {}

    def joined(self, creditor: asyncio.Transport) -> None:
        """Take one more creditor."""
        self._joined.append(creditor)
        self.creditors = cycle(self._joined)

    def debtor(self) -> asyncio.Protocol:
        """Return the end of a debtor's connection."""
        return _Debtor(self)

    def creditor(self) -> asyncio.Protocol:
        """Return the end of a creditor's connection."""
        return _Creditor(self)


async def _serve() -> None:
    relay = Relay()
    loop = asyncio.get_running_loop()
    debtors = await loop.create_server(relay.debtor, "127.0.0.1", 0)
    creditors = await loop.create_server(relay.creditor, "127.0.0.1", 0)
    ports = [one.sockets[0].getsockname()[1] for one in (debtors, creditors)]
    await serve_until_orphaned(ports[0], creditor_port=ports[1])
    debtors.close()
    creditors.close()


if __name__ == "__main__":
    uvloop.run(_serve())
