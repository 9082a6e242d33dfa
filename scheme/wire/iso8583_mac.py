"""Message authentication codes of the ISO 8583 lane, and the keys for them.

Two algorithms, both with keys of 16 bytes and codes of 8 (docs/wire/iso8583.md#mac): the retail
MAC of ANSI X9.19, which is algorithm 3 of ISO 9797-1 with padding method 1, and AES-CMAC cut to
its first 8 bytes. The code covers every byte of the message before the element that holds it.
"""

from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from scheme.wire.iso8583_codec import MISSING, Codec, IsoFault
from scheme.wire.iso8583_spec import ELEMENTS, Fields

NONE: Final = "none"
X9_19: Final = "x9.19"
AES_CMAC: Final = "aes-cmac"
KEY_BYTES: Final = 16
MAC_BYTES: Final = 8
KEYS_PREPARED_MAX: Final = 2048
"""Keys whose ciphers are kept ready: one for every link and every key-encrypting key."""

_BLOCK: Final = 8
_CHECK_VALUE_BYTES: Final = 3
_PRIMARY, _EXTENDED = "64", "128"
_PLACE: Final = "0" * (2 * MAC_BYTES)
_ABOVE_64: Final = frozenset(one.key for one in ELEMENTS if one.number > int(_PRIMARY))


def mac_of(algorithm: str, key: bytes, data: bytes) -> bytes:
    """Return the 8 bytes of a message authentication code.

    Args:
        algorithm: ``x9.19`` or ``aes-cmac``.
        key: 16 bytes.
        data: at least one byte.
    """
    return _maker(algorithm, key)(data)


def key_check_value(algorithm: str, key: bytes) -> str:
    """Return six hex digits that tell keys apart and reveal none.

    Of a DES key, the first three bytes of eight zero bytes encrypted under it; of an AES key,
    those of the CMAC of sixteen zero bytes.
    """
    if algorithm == X9_19:
        value = _double_des(key).encryptor().update(bytes(_BLOCK))
    else:
        value = mac_of(algorithm, key, bytes(2 * _BLOCK))
    return value[:_CHECK_VALUE_BYTES].hex().upper()


def mac_element(fields: Fields) -> str:
    """Return where a message has its code: ``64``, or ``128`` with any element above 64."""
    return _PRIMARY if _ABOVE_64.isdisjoint(fields) else _EXTENDED


def seal(codec: Codec, fields: Fields, algorithm: str, key: bytes) -> bytes:
    """Return a message's bytes with its code in the last element; without one for ``none``.

    Raises:
        IsoFault: an element does not fit the table.
    """
    if algorithm == NONE:
        return codec.encode(fields)
    body = codec.encode({**fields, mac_element(fields): _PLACE})
    covered = body[: -_mac_size(codec)]
    return covered + _as_written(codec, mac_of(algorithm, key, covered))


def check(codec: Codec, fields: Fields, body: bytes, algorithm: str, key: bytes) -> IsoFault | None:
    """Return what is wrong with the code of a decoded message, or None.

    The fault's rule has the element, the key's check value and how many bytes were covered.

    Args:
        fields: what ``body`` decodes to.
    """
    if algorithm == NONE:
        return None
    element = mac_element(fields)
    covered = len(body) - (_mac_size(codec) if element in fields else 0)
    if element in fields:
        expected = _as_written(codec, mac_of(algorithm, key, body[:covered]))
        if compare_digest(expected, body[covered:]):
            return None
    wrong = "does not verify" if element in fields else MISSING
    known_by = key_check_value(algorithm, key)
    rule = f"DE{element} {wrong}: {algorithm}, key check value {known_by}, {covered} bytes covered"
    return IsoFault("MAC", rule, covered, raw=fields)


def wrap_key(kek: bytes, key: bytes, algorithm: str) -> str:
    """Return a key's cryptogram under a key-encrypting key, as upper-case hex.

    A DES key is two blocks, each encrypted by itself; an AES key is wrapped as by RFC 3394.
    """
    assert len(key) == KEY_BYTES
    if algorithm == X9_19:
        return _double_des(kek).encryptor().update(key).hex().upper()
    return aes_key_wrap(kek, key).hex().upper()


def unwrap_key(kek: bytes, cryptogram: str, algorithm: str) -> bytes:
    """Return the key inside a cryptogram.

    Whether a DES key is the right one only its check value tells.

    Raises:
        IsoFault: it is not hex of the right length, or an AES key was wrapped under another key.
    """
    wanted = KEY_BYTES if algorithm == X9_19 else KEY_BYTES + _BLOCK
    try:
        raw = bytes.fromhex(cryptogram)
    except ValueError as error:
        raise IsoFault(_CRYPTOGRAM, "is not hex digits") from error
    if len(raw) != wanted:
        raise IsoFault(_CRYPTOGRAM, f"has {len(raw)} bytes, and must have {wanted}")
    if algorithm == X9_19:
        return _double_des(kek).decryptor().update(raw)
    try:
        return aes_key_unwrap(kek, raw)
    except InvalidUnwrap as error:
        raise IsoFault(_CRYPTOGRAM, "another key-encrypting key was used") from error


_CRYPTOGRAM: Final = "DE48.40"


def _mac_size(codec: Codec) -> int:
    return MAC_BYTES if codec.spec.binary == "raw" else 2 * MAC_BYTES


def _as_written(codec: Codec, mac: bytes) -> bytes:
    return mac if codec.spec.binary == "raw" else mac.hex().upper().encode()


# Setting a cipher up costs as much as using it, and a link keeps its key for long.
@lru_cache(maxsize=KEYS_PREPARED_MAX)
def _maker(algorithm: str, key: bytes) -> Callable[[bytes], bytes]:
    _must_be_key(key)
    if algorithm == X9_19:
        return _retail_maker(key)
    assert algorithm == AES_CMAC, "the fleet file allows no other"
    fresh = CMAC(AES(key))

    def cmac(data: bytes) -> bytes:
        one = fresh.copy()
        one.update(data)
        return one.finalize()[:MAC_BYTES]

    return cmac


def _retail_maker(key: bytes) -> Callable[[bytes], bytes]:
    """Return the retail MAC under a double-length key.

    Single DES under the left half chains all blocks but the last, which then goes through the
    whole of triple DES: the same as decrypting and encrypting the last chained block once more.
    """
    # Three equal keys make triple DES a single one, which the library no longer offers.
    chain = Cipher(TripleDES(key[:_BLOCK] * 3), CBC(bytes(_BLOCK)))
    # ECB keeps nothing from block to block, so one context serves all messages.
    encrypt = _double_des(key).encryptor().update

    def retail_mac(data: bytes) -> bytes:
        data += bytes(-len(data) % _BLOCK)
        chained = chain.encryptor().update(data[:-_BLOCK])[-_BLOCK:]
        block = int.from_bytes(chained, "big") ^ int.from_bytes(data[-_BLOCK:], "big")
        return encrypt(block.to_bytes(_BLOCK, "big"))

    return retail_mac


# ECB is right here: one block of a MAC, or the two independent halves of a random key.
def _double_des(key: bytes) -> Cipher[ECB]:
    _must_be_key(key)
    return Cipher(TripleDES(key + key[:_BLOCK]), ECB())  # noqa: S305 - see above


def _must_be_key(key: bytes) -> None:
    assert len(key) == KEY_BYTES, "keys of the lane have 16 bytes"
