"""The demonstration PKI: made once, kept, repaired, and good for TLS and signatures."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.pki import (
    Identity,
    Pki,
    _write,
    client_context,
    load_certificate,
    open_pki,
    server_context,
)
from scheme.errors import ConfigError
from scheme.wire.jws import TrustedCertificate

NOW = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
YEAR = timedelta(days=366)
# OpenSSL judges validity by the machine's own clock, so TLS needs certificates of today.
TODAY = datetime.now(UTC)  # noqa: TID251


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return open_pki(tmp_path_factory.mktemp("pki"), ["switch", "0970"], TODAY)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> ssl.SSLObject:
    """Shake hands in memory; return the server's side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    served = server.wrap_bio(to_server, to_client, server_side=True)
    asked = client.wrap_bio(to_client, to_server, server_hostname=host)
    waiting = [asked, served]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            # TLS 1.3: the server judges the client's certificate after the client is done.
            return served
    raise AssertionError("no end to the handshake")


def test_each_party_has_a_certificate_of_the_authority(pki: Pki) -> None:
    assert set(pki.identities) == {"switch", "0970"}
    for name, identity in pki.identities.items():
        identity.certificate.verify_directly_issued_by(pki.ca)
        subject = identity.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert [attribute.value for attribute in subject] == [name]
        assert identity.key.key_size == 2048
        assert identity.certificate.public_key() == identity.key.public_key()
        assert TrustedCertificate.of(identity.certificate, pki.ca).is_issued_by_ca


def test_a_certificate_serves_and_asks_on_loopback_for_a_year(pki: Pki) -> None:
    certificate = pki.identities["0970"].certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.not_valid_before_utc <= TODAY
    assert timedelta(364) < certificate.not_valid_after_utc - TODAY <= timedelta(365)


def test_only_the_owner_reads_the_files(pki: Pki) -> None:
    for path in pki.ca_path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_opening_again_changes_nothing_and_adding_adds(tmp_path: Path) -> None:
    first = open_pki(tmp_path, ["switch"], NOW)
    before = contents(tmp_path)
    assert open_pki(tmp_path, ["switch"], NOW).identities["switch"].certificate == (
        first.identities["switch"].certificate
    )
    assert contents(tmp_path) == before

    added = open_pki(tmp_path, ["switch", "0971"], NOW)
    after = contents(tmp_path)
    assert after.items() > before.items()
    assert set(after) - set(before) == {"0971.pem", "0971.key.pem"}
    added.identities["0971"].certificate.verify_directly_issued_by(first.ca)


def test_a_lost_or_expired_certificate_is_issued_anew_for_the_same_key(tmp_path: Path) -> None:
    first = open_pki(tmp_path, ["0970"], NOW).identities["0970"]
    first.certificate_path.unlink()
    second = open_pki(tmp_path, ["0970"], NOW).identities["0970"]
    third = open_pki(tmp_path, ["0970"], NOW + YEAR).identities["0970"]
    for renewed in (second, third):
        assert renewed.key.private_numbers() == first.key.private_numbers()
        assert renewed.certificate != first.certificate
    assert third.certificate.not_valid_after_utc > NOW + YEAR


def served(identity: Identity) -> list[str]:
    names = identity.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(one.value) for one in names.value]


def test_a_certificate_is_issued_anew_once_it_is_to_serve_another_host(tmp_path: Path) -> None:
    first = open_pki(tmp_path, ["a", "b"], NOW).identities
    hosts = {"a": ("country.example", "10.1.2.3", "2001:db8::1")}
    second = open_pki(tmp_path, ["a", "b"], NOW, hosts).identities
    third = open_pki(tmp_path, ["a", "b"], NOW, {"a": ("10.1.2.3",)}).identities

    assert served(first["a"]) == ["localhost", "127.0.0.1"]
    assert served(second["a"]) == ["localhost", "127.0.0.1", *hosts["a"]]
    assert second["a"].key.private_numbers() == first["a"].key.private_numbers()
    assert third["a"].certificate == second["a"].certificate
    assert second["b"].certificate == first["b"].certificate


def test_a_host_that_cannot_stand_in_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only ASCII"):
        open_pki(tmp_path, ["a"], NOW, {"a": ("cañete.example",)})


def test_a_renewed_authority_still_vouches_for_certificates_of_its_key(tmp_path: Path) -> None:
    first = open_pki(tmp_path, ["0970"], NOW)
    first.ca_path.unlink()
    second = open_pki(tmp_path, ["0970"], NOW)
    assert second.ca != first.ca
    assert second.identities["0970"].certificate == first.identities["0970"].certificate


def test_a_certificate_of_another_authority_is_replaced(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    foreign = open_pki(one, ["0970"], NOW).identities["0970"]
    open_pki(two, ["0970"], NOW)
    (two / "0970.pem").write_bytes(foreign.certificate_path.read_bytes())
    (two / "0970.key.pem").write_bytes(foreign.key_path.read_bytes())
    pki = open_pki(two, ["0970"], NOW)
    pki.identities["0970"].certificate.verify_directly_issued_by(pki.ca)
    assert pki.identities["0970"].key.public_key() == foreign.key.public_key()


@pytest.mark.parametrize("file", ["0970.pem", "0970.key.pem", "ca.pem", "ca.key.pem"])
def test_a_garbled_file_is_named(file: str, tmp_path: Path) -> None:
    open_pki(tmp_path, ["0970"], NOW)
    (tmp_path / file).write_text("garbled")
    with pytest.raises(ConfigError, match=file):
        open_pki(tmp_path, ["0970"], NOW)


def test_a_key_that_is_not_rsa_is_refused(tmp_path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "0970.key.pem").write_bytes(pem)
    with pytest.raises(ConfigError, match="must be RSA"):
        open_pki(tmp_path, ["0970"], NOW)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="file"):
        open_pki(tmp_path / "file" / "pki", [], NOW)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").mkdir()
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        open_pki(tmp_path, [], NOW)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0970\.pem: cannot be written"):
        _write(tmp_path / "absent" / "0970.pem", b"")


@pytest.mark.parametrize("name", ["", "ca", "../0970", "a/b", "a.b"])
def test_a_name_is_a_plain_file_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        open_pki(tmp_path, [name], NOW)


def test_a_third_partys_certificate_is_loaded_from_its_file(pki: Pki, tmp_path: Path) -> None:
    identity = pki.identities["0970"]
    assert load_certificate(identity.certificate_path) == identity.certificate
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        load_certificate(tmp_path / "absent.pem")
    with pytest.raises(ConfigError, match=r"key\.pem"):
        load_certificate(identity.key_path)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tls_works_both_ways(host: str, pki: Pki) -> None:
    server = server_context(pki.identities["switch"], clients=[pki.ca_path], client_required=True)
    client = client_context([pki.ca_path], pki.identities["0970"])
    peer = handshake(server, client, host).getpeercert()
    assert peer is not None
    assert peer["subject"] == ((("commonName", "0970"),),)


def test_a_client_certificate_is_optional_unless_required(pki: Pki) -> None:
    client = client_context([pki.ca_path])
    optional = server_context(pki.identities["switch"], clients=[pki.ca_path])
    assert not handshake(optional, client, "localhost").getpeercert()
    unasked = server_context(pki.identities["switch"])
    assert not handshake(unasked, client, "localhost").getpeercert()
    required = server_context(pki.identities["switch"], clients=[pki.ca_path], client_required=True)
    with pytest.raises(ssl.SSLError):
        handshake(required, client, "localhost")


def test_a_server_of_another_authority_is_not_trusted(pki: Pki, tmp_path: Path) -> None:
    other = open_pki(tmp_path, ["switch"], TODAY)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(
            server_context(other.identities["switch"]), client_context([pki.ca_path]), "localhost"
        )


def test_another_host_name_is_not_trusted(pki: Pki) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(
            server_context(pki.identities["switch"]), client_context([pki.ca_path]), "example.org"
        )


def test_old_versions_of_tls_are_refused(pki: Pki) -> None:
    for context in (server_context(pki.identities["switch"]), client_context([pki.ca_path])):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_file_that_tls_cannot_use_is_named(pki: Pki, tmp_path: Path) -> None:
    garbled = tmp_path / "garbled.pem"
    garbled.write_text("garbled")
    with pytest.raises(ConfigError, match=r"garbled\.pem"):
        client_context([garbled])
    one = pki.identities["0970"]
    broken = Identity(one.name, one.key, one.certificate, garbled, one.certificate_path)
    with pytest.raises(ConfigError, match=r"0970\.pem"):
        server_context(broken)
