"""The mode ``iso8583_codec``: our compiled codec beside pyiso8583, on one message of the load."""

import statistics
from collections.abc import Callable
from time import process_time

import iso8583
from msgspec import Struct

from loadtests.bench.iso8583_link import SPEC
from loadtests.bench.iso8583_traffic import transfer
from scheme.wire.iso8583_codec import codec
from scheme.wire.iso8583_spec import pyiso8583_spec

ISO_CODEC = "iso8583_codec"
"""Name of the mode."""
_ACCOUNT = "94199920001234567812"
_ROUNDS = 9


class CodecFigures(Struct, frozen=True):
    """Processor time in us to decode a 0200 and encode it again; medians of the rounds.

    Attributes:
        elements: data elements of the message, MTI and bitmaps not among them.
        ratio: how many times ours the reference took.
    """

    elements: int
    frame_bytes: int
    decode_us: float
    encode_us: float
    both_us: float
    both_us_max: float
    reference_decode_us: float
    reference_encode_us: float
    reference_both_us: float
    ratio: float


def measure_codec(times: int = 5_000) -> CodecFigures:
    """Measure both, in turn, in this process.

    Args:
        times: of each operation in each round; a tenth of it by the reference.
    """
    fields = transfer("0941", "0951", _ACCOUNT, 80) | {"43": f"{'LIMA':<40}"}
    ours = codec(SPEC)
    body = ours.encode(fields)
    form = pyiso8583_spec(SPEC)
    theirs = {**iso8583.decode(body, form)[0]}
    assert ours.decode(body) == fields
    rounds = []
    for number in range(_ROUNDS + 1):
        one = (
            _us(lambda: ours.decode(body), times),
            _us(lambda: ours.encode(fields), times),
            _us(lambda: iso8583.decode(body, form), times // 10),
            _us(lambda: iso8583.encode(theirs, form), times // 10),
        )
        if number:
            rounds.append(one)
    decode, encode, their_decode, their_encode = (
        statistics.median(one[n] for one in rounds) for n in range(4)
    )
    both = statistics.median(one[0] + one[1] for one in rounds)
    reference = statistics.median(one[2] + one[3] for one in rounds)
    return CodecFigures(
        elements=len(fields) - 1,
        frame_bytes=len(body),
        decode_us=decode,
        encode_us=encode,
        both_us=both,
        both_us_max=max(one[0] + one[1] for one in rounds),
        reference_decode_us=their_decode,
        reference_encode_us=their_encode,
        reference_both_us=reference,
        ratio=reference / both,
    )


def _us(do: Callable[[], object], times: int) -> float:
    begun = process_time()
    for _ in range(times):
        do()
    return (process_time() - begun) / times * 1e6
