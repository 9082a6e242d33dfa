"""Frames out of a stream, however it was cut, and none that no frame may be."""

import pytest

from scheme.limits import ISO_FRAME_BYTES_MAX
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_framing import Deframer, Framing
from tests.support.iso8583_frames import bodies

TPDU = "6000010002"
FRAMINGS = [
    Framing(header, tpdu) for header in ("binary-2", "ascii-4") for tpdu in ("", TPDU)
]  # fmt: skip
BODIES = bodies("packed-1987")[:4]


def test_the_length_counts_tpdu_and_message_and_not_itself() -> None:
    body = b"0800" + b"0" * 16
    assert Framing("binary-2").wrap(body) == b"\x00\x14" + body
    assert Framing("ascii-4").wrap(body) == b"0020" + body
    assert Framing("binary-2", TPDU).wrap(body) == b"\x00\x19" + bytes.fromhex(TPDU) + body
    assert Framing("ascii-4", TPDU).wrap(body) == b"0025" + bytes.fromhex(TPDU) + body


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
def test_messages_come_out_however_the_stream_is_cut(framing: Framing, size: int) -> None:
    stream = b"".join(map(framing.wrap, BODIES))
    deframer = Deframer(framing)
    found: list[bytes] = []
    for at in range(0, len(stream), size):
        found += deframer.feed(stream[at : at + size])
    assert found == BODIES
    assert deframer.rest == 0


def test_the_addresses_of_a_tpdu_are_the_peers_own() -> None:
    body = b"0800" + b"0" * 16
    theirs = Framing("binary-2", "6000020001").wrap(body)
    assert Deframer(Framing("binary-2", TPDU)).feed(theirs) == [body]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_longest_frame_passes_and_one_byte_more_does_not(framing: Framing) -> None:
    longest = b"x" * (ISO_FRAME_BYTES_MAX - len(framing.tpdu) // 2)
    assert Deframer(framing).feed(framing.wrap(longest)) == [longest]
    with pytest.raises(IsoFault) as caught:
        framing.wrap(longest + b"x")
    assert caught.value.field == "length"


@pytest.mark.parametrize(
    ("header", "tpdu", "data"),
    [
        ("binary-2", "", b"\x00\x00"),
        ("binary-2", "", b"\xff\xff"),
        ("binary-2", "", (ISO_FRAME_BYTES_MAX + 1).to_bytes(2, "big")),
        ("binary-2", TPDU, b"\x00\x05"),
        ("ascii-4", "", b"0000"),
        ("ascii-4", "", b"%04d" % (ISO_FRAME_BYTES_MAX + 1)),
        ("ascii-4", "", b"\x00\x14\x08\x00"),
        ("ascii-4", "", b"+020"),
        ("ascii-4", "", b" 020"),
        ("ascii-4", TPDU, b"0005"),
    ],
)
def test_a_length_that_no_frame_has_is_a_fault(header: str, tpdu: str, data: bytes) -> None:
    with pytest.raises(IsoFault) as caught:
        Deframer(Framing(header, tpdu)).feed(data)
    assert caught.value.field == "length"


def test_framings_are_equal_by_content() -> None:
    assert Framing("ascii-4", TPDU) == Framing("ascii-4", TPDU)
    assert len({Framing("ascii-4"), Framing("ascii-4"), Framing("binary-2")}) == 2
