"""The creditors behind switch or relay: cores that approve whatever they are asked, at least cost.

``python -m loadtests.bench.iso8583_core PORT CODE,CODE`` dials, signs on, and says it is ready.
"""

import argparse
from pathlib import Path

import uvloop

from loadtests.bench.child import serve_until_orphaned
from loadtests.bench.iso8583_frames import answer_to
from loadtests.bench.iso8583_link import NO_MAC, CoreLink, Identity, dial
from runtime.clock import SystemClock
from runtime.kek import kek_of
from scheme.wire.iso8583_tlv import encode_tlv

KEK_BYTES = 16
_HOLDER = {"08": "SOCIA DE CARGA SIMULADA", "13": "O", "15": "2", "16": "00000202"}


def identity(code: str, mac: str, home: Path) -> Identity:
    """Return who a core is, with its key if it has MACs."""
    return Identity(code=code, mac=mac, kek=kek_of(home, code, KEK_BYTES) if mac != NO_MAC else b"")


class Creditors:
    """Approves on every link."""

    def __init__(self) -> None:
        holder = encode_tlv(_HOLDER)
        self._holder = {48: f"{len(holder):03}{holder}".encode()}

    def answer(self, link: CoreLink, body: bytes) -> None:
        """Answer one request."""
        link.send(answer_to(body, self._holder, sealed=bool(link.session_key)))

    def lost(self, link: CoreLink) -> None:
        """Do nothing: the load says what it misses."""


async def _serve(asked: argparse.Namespace) -> None:
    sent = f"{SystemClock().now():%m%d%H%M%S}"
    creditors = Creditors()
    links = []
    for code in asked.codes.split(","):
        who = identity(code, asked.mac, asked.home)
        links.append(await dial(asked.port, who, creditors.answer, creditors.lost))
        if asked.sign_on:
            await links[-1].sign_on(sent, 1)
    await serve_until_orphaned(asked.port)
    for link in links:
        link.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("codes")
    parser.add_argument("--mac", default=NO_MAC)
    parser.add_argument("--home", type=Path, default=Path())
    parser.add_argument("--no-sign-on", dest="sign_on", action="store_false")
    uvloop.run(_serve(parser.parse_args()))
