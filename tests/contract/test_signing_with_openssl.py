"""What we sign, and whom we certify, holds for an independent implementation."""

import base64
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from runtime.pki import Pki, open_pki
from scheme.wire import jws

pytestmark = pytest.mark.needs_openssl

# The tool judges validity by the machine's own clock.
TODAY = datetime.now(UTC)  # noqa: TID251


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return open_pki(tmp_path_factory.mktemp("pki"), ["0970"], TODAY)


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout


def test_openssl_verifies_our_signature(pki: Pki, tmp_path: Path) -> None:
    identity = pki.identities["0970"]
    body = jws.sign(b'{"ET1":{}}', identity.key, jws.thumbprint(identity.certificate))
    parts = json.loads(body)
    (tmp_path / "input").write_text(f"{parts['protected']}.{parts['payload']}")
    (tmp_path / "signature").write_bytes(base64.urlsafe_b64decode(parts["signature"] + "=="))
    (tmp_path / "public.pem").write_bytes(
        identity.certificate.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    said = openssl(
        "dgst", "-sha256", "-verify", tmp_path / "public.pem",
        "-signature", tmp_path / "signature", tmp_path / "input",
    )  # fmt: skip
    assert "Verified OK" in said


def test_openssl_computes_the_same_thumbprint(pki: Pki) -> None:
    identity = pki.identities["0970"]
    said = openssl("x509", "-in", identity.certificate_path, "-noout", "-fingerprint", "-sha1")
    digest = bytes.fromhex(said.strip().rpartition("=")[2].replace(":", ""))
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert jws.thumbprint(identity.certificate) == expected


def test_openssl_trusts_our_certificates_even_strictly(pki: Pki) -> None:
    path = pki.identities["0970"].certificate_path
    said = openssl("verify", "-x509_strict", "-CAfile", pki.ca_path, path)
    assert said.strip().endswith("OK")
