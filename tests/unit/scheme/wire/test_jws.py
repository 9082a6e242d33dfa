"""Signed messages: what is sound passes, and each fault has its code."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from scheme.errors import BadSignature
from scheme.reasons import ReasonCode
from scheme.wire.jws import (
    TrustedCertificate,
    looks_signed,
    sign,
    split,
    thumbprint,
    verify,
)

NOW = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
PAYLOAD = b'{"ET1":{"participantCode":"0970"}}'
DAY = timedelta(days=1)

# Invented and signed with a throwaway key; the page on signing prints it too.
EXAMPLE = json.dumps(
    {
        "payload": (
            "eyJFVDEiOnsicGFydGljaXBhbnRDb2RlIjoiMDk3MCIsImNyZWF0aW9uRGF0ZSI6IjIwMjYwMTE1Iiwi"
            "Y3JlYXRpb25UaW1lIjoiMDgwMDAwIiwidHJhY2UiOiIwMDAwMDEifX0"
        ),
        "protected": "eyJhbGciOiJSUzI1NiIsIng1dCI6InFSRUM3T1ZEYU9DNGY3cjdpdU5vRndFOG95dyJ9",
        "signature": (
            "pJgeEdcZvZKgdrkDwBlT3_WiOpKDOhoH2xajNHxQu4qybcJdYZ5ThBDPlf7wz-QOUEmNMVfAd02PVN40"
            "rwoTpcSF0jTvqpQkT7lsK14CEPc5jxFVoVEDFxVaj1vp6DETGth49ywrwCjYnf5HFrjcveK6_ZkAjSN0"
            "yJhFuD7caV-fOIVv68_W2zUQ3H2d2ccKPP2yXLDd2wkG7vc8iQOSGrHq4dtNZfFehxFdn9myEQ70XoP_"
            "jDVZhlXQ8vnOYsnta4yGkC8Mhr2NY3Trr-hAPJtvLvntbGPHJMzN6nXj87uRoscNOEo9VXpPgyKiWXnV"
            "7eJO8y-8ino3OcBhXMgLOA"
        ),
    }
).encode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    return certified("0970", key, "authority", key)


@pytest.fixture(scope="module")
def trusted(certificate: x509.Certificate) -> TrustedCertificate:
    return TrustedCertificate.of(certificate)


@pytest.fixture(scope="module")
def body(key: rsa.RSAPrivateKey, trusted: TrustedCertificate) -> bytes:
    return sign(PAYLOAD, key, trusted.x5t)


def certified(
    subject: str,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    *,
    days: int = 10,
) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - days * DAY)
        .not_valid_after(NOW + days * DAY)
        .sign(issuer_key, hashes.SHA256())
    )


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parts_of(body: bytes) -> dict[str, str]:
    parts: dict[str, str] = json.loads(body)
    return parts


def with_header(header: object) -> bytes:
    return json.dumps(
        parts_of(EXAMPLE) | {"protected": encode(json.dumps(header).encode())}
    ).encode()


def structure_fault(body: bytes) -> None:
    with pytest.raises(BadSignature) as caught:
        split(body)
    assert caught.value.reason is ReasonCode.DS0B


def verdict(body: bytes, certificate: TrustedCertificate, now: datetime = NOW) -> ReasonCode:
    with pytest.raises(BadSignature) as caught:
        verify(split(body), certificate, now)
    return caught.value.reason


def test_the_worked_example_comes_apart() -> None:
    signed = split(EXAMPLE)
    assert signed.payload == (
        b'{"ET1":{"participantCode":"0970","creationDate":"20260115",'
        b'"creationTime":"080000","trace":"000001"}}'
    )
    assert (signed.alg, signed.x5t) == ("RS256", "qREC7OVDaOC4f7r7iuNoFwE8oyw")
    assert len(signed.signature) == 256
    assert signed.signing_input.startswith(b"eyJhbGciOiJSUzI1NiIsIng1dCI6")


def test_what_is_signed_verifies(body: bytes, trusted: TrustedCertificate) -> None:
    signed = split(body)
    verify(signed, trusted, NOW)
    assert signed.payload == PAYLOAD


def test_the_form_is_the_worked_examples(body: bytes) -> None:
    parts = parts_of(body)
    assert list(parts) == ["payload", "protected", "signature"]
    assert "=" not in "".join(parts.values())
    header = json.loads(base64.urlsafe_b64decode(parts["protected"] + "=="))
    assert list(header) == ["alg", "x5t"]


def test_the_thumbprint_is_of_the_der_by_sha_1(certificate: x509.Certificate) -> None:
    x5t = thumbprint(certificate)
    assert base64.urlsafe_b64decode(x5t + "=") == certificate.fingerprint(hashes.SHA1())
    assert len(x5t) == 27


def test_padding_is_optional(key: rsa.RSAPrivateKey, trusted: TrustedCertificate) -> None:
    protected, payload = encode(f'{{"alg":"RS256","x5t":"{trusted.x5t}="}}'.encode()), encode(b"{}")
    padded = payload + "=" * (-len(payload) % 4)
    assert padded != payload
    signature = key.sign(f"{protected}.{padded}".encode(), PKCS1v15(), hashes.SHA256())
    padded_signature = base64.urlsafe_b64encode(signature).decode()
    body = {"payload": padded, "protected": protected, "signature": padded_signature}
    verify(split(json.dumps(body).encode()), trusted, NOW)


def test_order_blanks_and_other_members_do_not_matter(
    body: bytes, trusted: TrustedCertificate
) -> None:
    parts = parts_of(body)
    shuffled = {"header": {"kid": "x"}, **dict(reversed(parts.items()))}
    verify(split(json.dumps(shuffled, indent=2).encode()), trusted, NOW)


@pytest.mark.parametrize("member", ["payload", "protected", "signature"])
@pytest.mark.parametrize(
    "value", [None, 7, "a", "a===", "abc==", "ab+/", "ab cd", "ab\n", "año", "Zh", "=", "{}"]
)
def test_a_member_that_is_no_base64url_is_a_structure_fault(member: str, value: object) -> None:
    structure_fault(json.dumps(parts_of(EXAMPLE) | {member: value}).encode())


@pytest.mark.parametrize("member", ["payload", "protected", "signature"])
def test_a_missing_member_is_a_structure_fault(member: str) -> None:
    parts = parts_of(EXAMPLE)
    del parts[member]
    structure_fault(json.dumps(parts).encode())


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "x5t": "x"},
        {"alg": "HS256", "x5t": "x"},
        {"alg": "ES256", "x5t": "x"},
        {"alg": "rs256", "x5t": "x"},
        {"alg": "RS256"},
        {"x5t": "x"},
        {"alg": "RS256", "x5t": 7},
        {"alg": "RS256", "x5t": "x", "crit": ["b64"]},
        {"alg": "RS256", "x5t": "x" * 1000},
        [],
        "RS256",
        "",
    ],
)
def test_a_header_of_another_kind_is_a_structure_fault(header: object) -> None:
    structure_fault(with_header(header))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"x":' + b"[" * 100_000]
)
def test_what_is_no_object_of_three_texts_is_a_structure_fault(body: bytes) -> None:
    structure_fault(body)


def test_every_truncation_is_a_structure_fault(body: bytes) -> None:
    for end in range(len(body)):
        structure_fault(body[:end])


@pytest.mark.parametrize("member", ["payload", "signature"])
def test_one_changed_character_never_verifies(
    member: str, body: bytes, trusted: TrustedCertificate
) -> None:
    parts = parts_of(body)
    text = parts[member]
    for at in range(len(text)):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(BadSignature) as caught:
            verify(split(json.dumps(parts | {member: changed}).encode()), trusted, NOW)
        assert caught.value.reason in {ReasonCode.DS0A, ReasonCode.DS0B}


def test_the_signature_covers_the_text_and_not_the_meaning(
    body: bytes, trusted: TrustedCertificate
) -> None:
    printed_anew = encode(json.dumps(json.loads(PAYLOAD), indent=1).encode())
    assert verdict(json.dumps(parts_of(body) | {"payload": printed_anew}).encode(), trusted) == (
        ReasonCode.DS0A
    )


def test_a_signature_of_the_wrong_length_does_not_verify(
    body: bytes, trusted: TrustedCertificate
) -> None:
    for signature in ("", "AAAA", encode(bytes(257))):
        changed = json.dumps(parts_of(body) | {"signature": signature}).encode()
        assert verdict(changed, trusted) == ReasonCode.DS0A


def test_another_certificate_is_not_trusted(body: bytes, key: rsa.RSAPrivateKey) -> None:
    # The same key under the next certificate: x5t tells them apart.
    other = TrustedCertificate.of(certified("0970", key, "authority", key, days=11))
    assert verdict(body, other) == ReasonCode.DS0D


def test_another_key_under_the_right_thumbprint_does_not_verify(
    trusted: TrustedCertificate,
) -> None:
    forged = sign(PAYLOAD, rsa.generate_private_key(65537, 2048), trusted.x5t)
    assert verdict(forged, trusted) == ReasonCode.DS0A


@pytest.mark.parametrize(
    ("now", "good"),
    [
        (NOW - 10 * DAY, True),
        (NOW - 10 * DAY - timedelta(seconds=1), False),
        (NOW + 10 * DAY, True),
        (NOW + 10 * DAY + timedelta(seconds=1), False),
    ],
)
def test_a_certificate_is_good_within_its_validity(
    now: datetime, good: bool, body: bytes, trusted: TrustedCertificate
) -> None:
    if good:
        verify(split(body), trusted, now)
    else:
        assert verdict(body, trusted, now) == ReasonCode.DS0D


def test_a_certificate_must_come_from_the_trusted_authority(key: rsa.RSAPrivateKey) -> None:
    ca_key = rsa.generate_private_key(65537, 2048)
    ca = certified("authority", ca_key, "authority", ca_key, days=5)
    issued = TrustedCertificate.of(certified("0970", key, "authority", ca_key), ca)
    foreign = TrustedCertificate.of(certified("0970", key, "authority", key), ca)
    unrelated = TrustedCertificate.of(certified("0970", key, "another", key), ca)

    verify(split(sign(PAYLOAD, key, issued.x5t)), issued, NOW)
    assert verdict(sign(PAYLOAD, key, foreign.x5t), foreign) == ReasonCode.DS0D
    assert verdict(sign(PAYLOAD, key, unrelated.x5t), unrelated) == ReasonCode.DS0D
    # Past the authority's own end, though not the certificate's.
    assert verdict(sign(PAYLOAD, key, issued.x5t), issued, NOW + 6 * DAY) == ReasonCode.DS0D


def test_keys_too_weak_or_of_another_kind_are_not_trusted(key: rsa.RSAPrivateKey) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    for other in (weak, ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(BadSignature) as caught:
            TrustedCertificate.of(certified("0970", other, "authority", key))
        assert caught.value.reason is ReasonCode.DS0D


def test_signed_and_plain_bodies_are_told_apart(body: bytes) -> None:
    assert looks_signed(body)
    assert looks_signed(json.dumps(parts_of(body), indent=2).encode())
    assert looks_signed(b' {"signature" : 1')
    plain = [PAYLOAD, b"", b"{}", b'{"header":{"user":"0970"}}', b'{"BusMsg":{}}', b'"payload":']
    assert not any(looks_signed(one) for one in plain)
