"""Codes as published vectors and single blocks have them; keys that travel; what a fault says."""

import random

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

from scheme.wire.iso8583_codec import IsoFault, codec
from scheme.wire.iso8583_mac import (
    check,
    key_check_value,
    mac_element,
    mac_of,
    seal,
    unwrap_key,
    wrap_key,
)
from scheme.wire.iso8583_spec import SPECS
from tests.support.iso8583_frames import golden_frames

X9_19, AES_CMAC = "x9.19", "aes-cmac"
ALGORITHMS = (X9_19, AES_CMAC)
KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
KEK = bytes.fromhex("000102030405060708090A0B0C0D0E0F")
AES_KEY = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
AES_TEXT = bytes.fromhex(
    "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51"
    "30C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710"
)
TRANSFER = {
    key: value
    for key, value in golden_frames()["0200-40"]["fields"].items()
    if key not in {"102", "103"}
}


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (16, "070A16B46B4D4144"),
        (40, "DFA66747DE9AE630"),
        (64, "51F0BEBF7E3B9D92"),
    ],
)
def test_aes_cmac_is_that_of_rfc_4493_cut_to_eight_bytes(length: int, expected: str) -> None:
    assert mac_of(AES_CMAC, AES_KEY, AES_TEXT[:length]).hex().upper() == expected


@pytest.mark.parametrize(
    ("key", "data", "expected"),
    [
        # Equal halves make it the single-DES code of FIPS 113, whose example this is.
        ("0123456789ABCDEF" * 2, b"7654321 Now is the time for ", "F1D30F6849312CA4"),
        # ISO 9797-1, algorithm 3 with padding method 1.
        ("0123456789ABCDEFFEDCBA9876543210", b"Now is the time for all ", "A1C72E74EA3FA9B6"),
    ],
)
def test_the_retail_mac_is_that_of_the_standards(key: str, data: bytes, expected: str) -> None:
    assert mac_of(X9_19, bytes.fromhex(key), data).hex().upper() == expected


def _des(key: bytes, block: bytes, *, encrypts: bool) -> bytes:
    cipher = Cipher(TripleDES(key * 3), ECB())
    one = cipher.encryptor() if encrypts else cipher.decryptor()
    return one.update(block)


def _retail_by_blocks(key: bytes, data: bytes) -> bytes:
    left, right = key[:8], key[8:]
    data += bytes(-len(data) % 8)
    state = bytes(8)
    for at in range(0, len(data), 8):
        mixed = bytes(a ^ b for a, b in zip(state, data[at : at + 8], strict=True))
        state = _des(left, mixed, encrypts=True)
    return _des(left, _des(right, state, encrypts=False), encrypts=True)


def test_the_retail_mac_of_any_length_is_that_of_its_single_blocks() -> None:
    rng = random.Random(919)
    for length in (*range(1, 34), 199, 200, 201):
        key, data = rng.randbytes(16), rng.randbytes(length)
        assert mac_of(X9_19, key, data) == _retail_by_blocks(key, data)


def test_a_check_value_is_the_beginning_of_encrypted_zeros() -> None:
    encrypted = _retail_by_blocks(KEY, bytes(8))  # Of one zero block: triple DES of it.
    assert key_check_value(X9_19, KEY) == encrypted[:3].hex().upper() == "08D7B4"
    assert key_check_value(AES_CMAC, KEY) == mac_of(AES_CMAC, KEY, bytes(16))[:3].hex().upper()


def test_an_aes_key_travels_as_rfc_3394_has_it() -> None:
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    cryptogram = "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"
    assert wrap_key(KEK, key, AES_CMAC) == cryptogram
    assert unwrap_key(KEK, cryptogram, AES_CMAC) == key


def test_the_halves_of_a_des_key_travel_as_two_blocks() -> None:
    cryptogram = bytes.fromhex(wrap_key(KEK, KEY, X9_19))
    block = Cipher(TripleDES(KEK + KEK[:8]), ECB()).encryptor()
    assert cryptogram == block.update(KEY[:8]) + block.update(KEY[8:])
    assert unwrap_key(KEK, cryptogram.hex(), X9_19) == KEY


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("cryptogram", ["", "XY" * 16, "00" * 15, "0" * 33, "00" * 25])
def test_what_is_no_cryptogram_is_a_fault(algorithm: str, cryptogram: str) -> None:
    with pytest.raises(IsoFault) as caught:
        unwrap_key(KEK, cryptogram, algorithm)
    assert caught.value.field == "DE48.40"


def test_a_key_wrapped_under_another_key_is_noticed() -> None:
    assert unwrap_key(KEY, wrap_key(KEK, KEY, X9_19), X9_19) != KEY
    with pytest.raises(IsoFault, match="another key-encrypting key"):
        unwrap_key(KEY, wrap_key(KEK, KEY, AES_CMAC), AES_CMAC)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("more", "element"), [({}, "64"), ({"102": "1" * 20}, "128")])
def test_a_sealed_message_ends_in_the_code_of_all_before_it(
    spec: str, algorithm: str, more: dict[str, str], element: str
) -> None:
    spoken = codec(spec)
    body = seal(spoken, TRANSFER | more, algorithm, KEY)

    fields = spoken.decode(body)
    size = 8 if spec == "packed-1987" else 16
    mac = mac_of(algorithm, KEY, body[:-size]).hex().upper()
    assert fields == TRANSFER | more | {element: mac}
    assert mac_element(TRANSFER | more) == mac_element(fields) == element
    assert check(spoken, fields, body, algorithm, KEY) is None


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_byte_of_a_sealed_message_can_change_unnoticed(spec: str, algorithm: str) -> None:
    spoken = codec(spec)
    body = seal(spoken, TRANSFER, algorithm, KEY)
    refused = 0
    for at in range(len(body)):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        try:
            fields = spoken.decode(changed)
        except IsoFault:
            continue
        refused += check(spoken, fields, changed, algorithm, KEY) is not None
        assert check(spoken, fields, changed, algorithm, KEY) is not None
    assert refused > len(body) // 2


@pytest.mark.parametrize("spec", SPECS)
def test_a_fault_says_element_key_and_how_many_bytes_were_covered(spec: str) -> None:
    spoken = codec(spec)
    sealed = seal(spoken, TRANSFER, X9_19, KEK)
    plain = spoken.encode(TRANSFER)
    covered = len(sealed) - (8 if spec == "packed-1987" else 16)

    wrong = check(spoken, spoken.decode(sealed), sealed, X9_19, KEY)
    missing = check(spoken, TRANSFER, plain, X9_19, KEY)

    told = "x9.19, key check value 08D7B4"
    assert str(wrong) == f"MAC: DE64 does not verify: {told}, {covered} bytes covered"
    assert str(missing) == f"MAC: DE64 it must be there: {told}, {len(plain)} bytes covered"
    assert wrong is not None
    assert wrong.raw == spoken.decode(sealed)


def test_a_code_in_the_other_element_is_none() -> None:
    spoken = codec("ascii-1987")
    fields = TRANSFER | {"64": "0" * 16, "102": "1" * 20}
    fault = check(spoken, fields, spoken.encode(fields), AES_CMAC, KEY)
    assert fault is not None
    assert fault.rule.startswith("DE128 it must be there")


def test_without_an_algorithm_there_is_no_code() -> None:
    spoken = codec("ascii-1987")
    body = seal(spoken, TRANSFER, "none", b"")
    assert body == spoken.encode(TRANSFER)
    assert check(spoken, TRANSFER, body, "none", b"") is None
