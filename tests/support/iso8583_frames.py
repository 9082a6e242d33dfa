"""Golden ISO 8583 messages, and seeded ones with any elements."""

import json
import random
import string
from pathlib import Path
from typing import Any

import iso8583

from scheme.wire.iso8583_spec import ELEMENTS, MESSAGE_TYPES, SPECS, Element, Fields, pyiso8583_spec

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "iso8583"
FORMS = {name: pyiso8583_spec(name) for name in SPECS}
_LETTERS = string.ascii_letters + string.digits
_TEXT = "".join(chr(code) for code in range(0x20, 0x7F))
_CHARACTERS = {"n": string.digits, "an": _LETTERS, "ans": _TEXT, "b": "0123456789ABCDEF"}


def golden_frames() -> dict[str, dict[str, Any]]:
    """Return every golden message by name: its fields, and its hex digits by variant."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}


def bodies(spec: str) -> list[bytes]:
    """Return the golden messages of a variant."""
    return [bytes.fromhex(one[spec]) for one in golden_frames().values()]


def reference_encoding(fields: Fields, spec: str) -> bytes:
    """Return what pyiso8583 makes of a message."""
    raw, _ = iso8583.encode(dict(fields), FORMS[spec])
    return bytes(raw)


def reference_decoding(body: bytes, spec: str) -> Fields | None:
    """Return what pyiso8583 reads, or None if it refuses."""
    try:
        fields, _ = iso8583.decode(body, FORMS[spec])
    except (iso8583.DecodeError, KeyError):  # The second: a bit of an element without a row.
        return None
    return {key: value for key, value in fields.items() if key not in {"p", "1", "h"}}


def a_message(rng: random.Random) -> Fields:
    """Return a message of any type with any elements, in any order."""
    chosen = rng.sample(ELEMENTS, rng.randrange(len(ELEMENTS) + 1))
    fields = {element.key: a_value(rng, element) for element in chosen}
    return {"t": rng.choice(list(MESSAGE_TYPES)), **fields}


def a_value(rng: random.Random, element: Element) -> str:
    """Return a text that an element may have."""
    most = element.length * (2 if element.kind == "b" else 1)
    length = most if element.prefix == "fixed" else rng.randint(1, most)
    return "".join(rng.choices(_CHARACTERS[element.kind], k=length))


def a_mutation(rng: random.Random, body: bytes) -> bytes:
    """Return a message with bytes changed, lost, added, swapped or repeated."""
    mutated = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(mutated)) if mutated else 0
        match rng.randrange(6):
            case 0:
                mutated[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                mutated[at : at + 1] = bytes([rng.choice(b"0123456789ABCDEF")])
            case 2:
                del mutated[at : at + rng.randint(1, 4)]
            case 3:
                mutated[at:at] = rng.randbytes(rng.randint(1, 4))
            case 4 if mutated:
                mutated[at] ^= 1 << rng.randrange(8)
            case _:
                mutated[at:at] = mutated[at : at + rng.randint(1, 16)]
    return bytes(mutated)
