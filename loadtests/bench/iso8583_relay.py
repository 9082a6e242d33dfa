"""The baseline of the ISO 8583 lane: a bare TCP relay with the hops of the switch.

Debtors connect to one port, creditors to another. A frame goes on to a creditor twice, as the
switch asks for the account and then orders, and its last answer goes back. The only bytes that
are looked at are the length of a frame and its trace number, to know whose answer it is.
"""

import argparse
import asyncio
from typing import cast

import uvloop

from loadtests.bench.child import serve_until_orphaned
from loadtests.bench.iso8583_frames import STAN_AT, STAN_DIGITS, split

_STAN = slice(STAN_AT, STAN_AT + STAN_DIGITS)


class _Way(asyncio.Protocol):
    """A connection that hands whole frames on."""

    def __init__(self) -> None:
        self._rest = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        frames, self._rest = split(self._rest + data if self._rest else data)
        for frame in frames:
            self.frame(frame)

    def frame(self, frame: bytes) -> None:
        raise NotImplementedError


class Relay:
    """Joins debtors and creditors.

    Args:
        legs: how often a creditor is asked for one transfer.
    """

    def __init__(self, legs: int) -> None:
        self._legs = legs
        self._creditors: list[_Way] = []
        self._turn = 0
        self._waiting: dict[bytes, tuple[_Way, bytes, int]] = {}

    def debtor(self) -> asyncio.Protocol:
        """Return the end of a debtor's connection."""
        relay = self

        class Debtor(_Way):
            def frame(self, frame: bytes) -> None:
                relay.ask(self, frame, relay._legs)

        return Debtor()

    def creditor(self) -> asyncio.Protocol:
        """Return the end of a creditor's connection."""
        relay = self

        class Creditor(_Way):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                relay._creditors.append(self)

            def frame(self, frame: bytes) -> None:
                relay.answered(frame)

        return Creditor()

    def ask(self, debtor: _Way, frame: bytes, legs: int) -> None:
        """Pass a frame on to the next creditor."""
        self._waiting[frame[_STAN]] = (debtor, frame, legs - 1)
        self._turn += 1
        self._creditors[self._turn % len(self._creditors)].transport.write(frame)

    def answered(self, frame: bytes) -> None:
        """Pass an answer back, or ask once more."""
        debtor, asked, legs = self._waiting.pop(frame[_STAN])
        if legs:
            self.ask(debtor, asked, legs)
        else:
            debtor.transport.write(frame)


async def _serve(legs: int) -> None:
    relay = Relay(legs)
    loop = asyncio.get_running_loop()
    debtors = await loop.create_server(relay.debtor, "127.0.0.1", 0)
    creditors = await loop.create_server(relay.creditor, "127.0.0.1", 0)
    ports = [one.sockets[0].getsockname()[1] for one in (debtors, creditors)]
    await serve_until_orphaned(ports[0], creditor_port=ports[1])
    debtors.close()
    creditors.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("legs", type=int)
    uvloop.run(_serve(parser.parse_args().legs))
