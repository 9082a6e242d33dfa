"""One ISO 8583 connection without a socket: frames, bounds, back-pressure."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from runtime.iso8583_link import (
    PEER_CLOSED,
    SLOW_READER,
    TRUNCATED,
    Link,
    recognise,
)
from scheme.limits import ISO_FRAME_BYTES_MAX
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_framing import Framing

FRAMINGS = [
    Framing("binary-2"),
    Framing("ascii-4"),
    Framing("binary-2", "6000000000"),
    Framing("ascii-4", "6012345678"),
]
BODIES = [b"0800" + bytes(20), b"0200" + b"x" * 200, b"0810"]


class FakeTransport:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.written = b""
        self.is_reading = True
        self.ended = ""

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 7) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "cut"


class Owner:
    """Remembers what its link reports."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.faults: list[str] = []
        self.reasons: list[str] = []
        self.hold_after = 0

    def opened(self, link: Link) -> None:
        assert link.is_open

    def received(self, link: Link, body: bytes) -> None:
        self.bodies.append(body)
        if self.hold_after and len(self.bodies) == self.hold_after:
            link.hold()

    def broken(self, link: Link, fault: IsoFault) -> None:
        assert link.is_open
        self.faults.append(str(fault))

    def ended(self, link: Link, reason: str) -> None:
        assert not link.is_open
        self.reasons.append(reason)


def a_link(framing: Framing | None = None, **bounds: Any) -> tuple[Link, Owner, FakeTransport]:
    owner, transport = Owner(), FakeTransport()
    link = Link(owner, framing, **bounds)
    link.connection_made(cast("asyncio.Transport", transport))
    return link, owner, transport


def _split(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    for at in range(len(stream) + 1):
        yield stream[:at], stream[at:]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("is_known", [True, False])
async def test_frames_come_whole_wherever_the_bytes_are_cut(
    framing: Framing, is_known: bool
) -> None:
    stream = b"".join(framing.wrap(body) for body in BODIES)
    for first, second in _split(stream):
        link, owner, _ = a_link(framing if is_known else None)
        for part in (first, second):
            if part:
                link.data_received(part)
        assert owner.bodies == BODIES
        assert not link.half_since
        assert link.framing == framing


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_what_is_written_is_framed_as_the_peer_frames(framing: Framing) -> None:
    link, _, transport = a_link()
    link.data_received(framing.wrap(b"0800"))
    assert link.send(b"0810")
    assert link.send(b"0210")
    assert transport.written == b""
    await asyncio.sleep(0)
    assert transport.written == framing.wrap(b"0810") + framing.wrap(b"0210")


async def test_what_was_written_leaves_before_a_link_is_closed() -> None:
    framing = Framing("binary-2")
    link, _, transport = a_link(framing)
    link.send(b"0810")
    link.close("done")
    assert (transport.written, transport.ended) == (framing.wrap(b"0810"), "closed")


@pytest.mark.parametrize(
    "head",
    [
        b"\x00\x00",
        b"\xff\xff",
        (ISO_FRAME_BYTES_MAX + 1).to_bytes(2, "big"),
        b"0000",
        b"9999",
        b"00x4",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_a_header_that_no_frame_has_cuts_the_link_with_a_word(head: bytes) -> None:
    link, owner, transport = a_link()
    link.data_received(head + b"0800" + bytes(20))
    assert len(owner.faults) == 1
    assert owner.faults[0].startswith("length")
    assert transport.ended == "cut"
    assert owner.bodies == []
    assert not link.send(b"0810")


@pytest.mark.parametrize("framing", FRAMINGS[:2])
async def test_the_longest_frame_is_taken_and_one_byte_more_is_not(framing: Framing) -> None:
    link, owner, _ = a_link(framing)
    link.data_received(framing.wrap(b"0" * ISO_FRAME_BYTES_MAX))
    assert [len(body) for body in owner.bodies] == [ISO_FRAME_BYTES_MAX]
    over = ISO_FRAME_BYTES_MAX + 1
    header = over.to_bytes(2, "big") if framing.header == "binary-2" else f"{over:04}".encode()
    link.data_received(header)
    assert owner.faults


async def test_a_half_frame_is_overdue_by_its_first_byte_not_by_its_last() -> None:
    link, _, _ = a_link(Framing("binary-2"), frame_s_max=10.0)
    now = asyncio.get_running_loop().time()
    link.data_received(b"\x00")
    began = link.half_since
    link.data_received(b"\x08")
    link.data_received(b"0800")
    assert link.half_since == began
    assert not link.is_overdue(now + 9.0)
    assert link.is_overdue(began + 10.1)
    link.data_received(b"1111")
    assert not link.is_overdue(began + 100.0)


async def test_a_half_first_frame_of_an_unknown_caller_is_overdue_too() -> None:
    link, _, _ = a_link(None, frame_s_max=10.0)
    link.data_received(b"\x00")
    assert link.is_overdue(link.half_since + 10.1)


async def test_a_held_link_is_not_read_and_hands_on_in_order_when_released() -> None:
    framing = Framing("binary-2")
    link, owner, transport = a_link(framing)
    owner.hold_after = 1
    link.data_received(b"".join(framing.wrap(body) for body in BODIES))
    assert owner.bodies == BODIES[:1]
    assert not transport.is_reading
    owner.hold_after = 2
    link.release()
    assert owner.bodies == BODIES[:2]
    assert not transport.is_reading
    link.release()
    assert owner.bodies == BODIES
    assert transport.is_reading


async def test_a_peer_that_is_not_read_is_not_blamed_for_its_half_frame() -> None:
    framing = Framing("binary-2")
    link, owner, _ = a_link(framing)
    owner.hold_after = 1
    link.data_received(framing.wrap(b"0800") + b"\x00")
    assert not link.is_overdue(link.half_since + 100.0)


async def test_a_peer_that_does_not_read_is_cut() -> None:
    link, owner, transport = a_link(Framing("binary-2"))
    link.pause_writing()
    assert not link.send(b"0810")
    await asyncio.sleep(0)
    assert transport.ended == "cut"
    link.connection_lost(None)
    assert owner.reasons == [SLOW_READER]


@pytest.mark.parametrize(("sent", "reason"), [(b"", PEER_CLOSED), (b"\x00\x08080", TRUNCATED)])
async def test_why_a_link_ended_is_told_once(sent: bytes, reason: str) -> None:
    link, owner, _ = a_link(Framing("binary-2"))
    if sent:
        link.data_received(sent)
    link.connection_lost(None)
    assert owner.reasons == [reason]


async def test_a_frame_after_the_owner_ended_the_link_is_not_handed_on() -> None:
    framing = Framing("binary-2")
    link, owner, _ = a_link(framing)
    owner.hold_after = 1
    link.data_received(b"".join(framing.wrap(body) for body in BODIES))
    link.close("enough")
    link.release()
    assert owner.bodies == BODIES[:1]


def test_more_bytes_are_waited_for_until_a_framing_is_certain() -> None:
    for framing in FRAMINGS:
        stream = framing.wrap(b"0800" + bytes(20))
        known = [recognise(stream[:size]) for size in range(1, len(stream))]
        assert {one for one in known if one is not None} == {framing}
        assert known[0] is None


@pytest.mark.parametrize("head", [b"\0\0", b"0000"])
async def test_a_first_length_of_nothing_is_wrong_at_once(head: bytes) -> None:
    link, owner, transport = a_link()

    for at in range(len(head)):
        link.data_received(head[at : at + 1])

    assert [one.partition(": ")[0] for one in owner.faults] == ["length"]
    assert transport.ended == "cut"
