"""Golden bytes of every TIN message: they change only with a new version of the wire."""

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from scheme.errors import MalformedMessage
from scheme.wire.tin_json import MESSAGES, decode, decode_any, encode, peek_name

GOLDEN = Path(__file__).parent.parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json") if path.stem.split("-")[0] in MESSAGES)


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")


def test_every_message_has_golden_bytes() -> None:
    assert {name.split("-")[0] for name in NAMES} == set(MESSAGES)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_message_survives_decoding_and_encoding_byte_for_byte(name: str) -> None:
    body = golden(name)
    root = name.split("-")[0]

    message = decode(body, MESSAGES[root])

    assert type(message) is MESSAGES[root]
    assert encode(message) == body
    assert decode_any(body) == message
    assert peek_name(body) == root


@pytest.mark.parametrize("name", NAMES)
def test_layout_and_field_order_make_no_difference(name: str) -> None:
    body = golden(name)
    root, content = next(iter(json.loads(body).items()))
    turned = {root: dict(reversed(content.items()))}

    loose = json.dumps(turned, indent=2).encode()

    assert encode(decode(b"\xef\xbb\xbf\r\n " + loose, MESSAGES[root])) == body
    assert peek_name(b"\xef\xbb\xbf\r\n " + loose) == root


@pytest.mark.parametrize("name", ["CT1-by-cci", "CT3"])
def test_every_truncation_is_malformed(name: str) -> None:
    body = golden(name)
    message = MESSAGES[name.split("-")[0]]
    for length in range(len(body)):
        with pytest.raises(MalformedMessage):
            decode(body[:length], message)
        with pytest.raises(MalformedMessage):
            decode_any(body[:length])


@pytest.mark.parametrize("seed", range(20))
def test_a_garbled_message_is_a_message_or_malformed_and_nothing_else(seed: int) -> None:
    rng = random.Random(seed)
    for name in NAMES:
        body = bytearray(golden(name))
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(len(body))] = rng.choice(b'"{}[]:,0918 \\ntrue\x00\xff')
        with suppress(MalformedMessage):
            encode(decode(bytes(body), MESSAGES[name.split("-")[0]]))
