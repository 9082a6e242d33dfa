"""What proves an operation, a voucher and a whole session of a terminal: HMACs under its own key.

They protect against what a lane without coverage does to messages, and against a till that is
corrected by hand; the broker's passwords and TLS protect against strangers (docs/wire/mqtt.md).
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from scheme.wire.agent_payload import Operation, Verdict

APPLIED: Final = "00"
_BYTES: Final = 8
_VOUCHER_BYTES: Final = 5
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VOUCHER_CHARACTERS: Final = 8
_encode: Final = msgspec.msgpack.Encoder().encode


def mac_of(key: bytes, device: str, operation: Operation) -> bytes:
    """Return the first eight bytes of the HMAC-SHA256 of an operation and its terminal's name."""
    return _mac(key, (device, replace(operation, mac=b"")))


def sealed(key: bytes, device: str, operation: Operation) -> Operation:
    """Return an operation with its MAC."""
    return replace(operation, mac=mac_of(key, device, operation))


def is_genuine(key: bytes, device: str, operation: Operation) -> bool:
    """Tell whether an operation is as its terminal made it."""
    return hmac.compare_digest(operation.mac, mac_of(key, device, operation))


def voucher_of(operation: Operation) -> str:
    """Return the code on the receipt of an operation made offline, as ``XXXX-XXXX``."""
    number = int.from_bytes(operation.mac[:_VOUCHER_BYTES], "big")
    code = "".join(
        _CROCKFORD[number >> 5 * place & 31] for place in reversed(range(_VOUCHER_CHARACTERS))
    )
    return f"{code[:4]}-{code[4:]}"


def verdict_mac(key: bytes, device: str, operation: Operation, verdict: Verdict) -> bytes:
    """Return what one verdict adds to the digest of a session."""
    return _mac(key, (device, operation.seq, operation.op_id, verdict.code, operation.minor))


def digest_of(
    key: bytes, device: str, ended: Iterable[tuple[Operation, Verdict]]
) -> tuple[int, int, bytes]:
    """Return count, minor units applied and XOR of the HMACs of operations with their verdicts."""
    count = total = mixed = 0
    for operation, verdict in ended:
        count += 1
        if verdict.code == APPLIED:
            total += operation.minor
        mixed ^= int.from_bytes(verdict_mac(key, device, operation, verdict), "big")
    return count, total, mixed.to_bytes(_BYTES, "big")


def _mac(key: bytes, content: object) -> bytes:
    return hmac.digest(key, _encode(content), hashlib.sha256)[:_BYTES]
