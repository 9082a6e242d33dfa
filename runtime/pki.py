"""A demonstration PKI in a folder: one authority, and a key with a certificate per party.

A participant's certificate signs messages and serves TLS, as one file fewer to hand around. Keys
are for a simulated country only; they lie unencrypted beside the data, readable by their owner.
"""

import fcntl
import os
import re
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scheme.errors import ConfigError
from scheme.wire.jws import is_issued_by

_KEY_BITS = 2048
_EXPONENT = 65537
_THREADS = 2
_LEAF_LIFE = timedelta(days=365)
_CA_LIFE = timedelta(days=3650)
_SKEW = timedelta(days=1)
_CA_NAME = "ca"
_CA_COMMON_NAME = "Chasqui demo authority"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """A party's private key and certificate, and where they lie."""

    name: str
    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    key_path: Path
    certificate_path: Path


@dataclass(frozen=True, slots=True)
class Pki:
    """The authority and everyone it has certified.

    Attributes:
        ca: the authority's own certificate.
        ca_path: its PEM file, for ``curl --cacert`` and the like.
        identities: by participant code, or ``switch``.
    """

    ca: x509.Certificate
    ca_path: Path
    identities: Mapping[str, Identity]


def open_pki(
    folder: Path,
    names: Iterable[str],
    now: datetime,
    hosts: Mapping[str, Sequence[str]] | None = None,
) -> Pki:
    """Load what is there, make what is missing, and certify anew what is not valid now.

    A key, once made, stays: a crash between key and certificate, or an expired certificate,
    costs a new certificate only.

    Args:
        names: participant codes, and ``switch``.
        now: aware instant from which validity counts.
        hosts: by name, the host names and addresses beside loopback under which it serves TLS;
            a certificate that lacks one is issued anew.

    Raises:
        ConfigError: a file is unreadable or is not what its name says.
    """
    wanted = sorted(set(names))
    assert all(_NAME.fullmatch(name) and name != _CA_NAME for name in wanted)
    _make_private_folder(folder)
    with _alone(folder):
        keys = _keys(folder, [_CA_NAME, *wanted])
        ca_key = keys.pop(_CA_NAME)
        ca = _authority(folder, ca_key, now)
        identities = {
            name: _identity(
                folder,
                name,
                key,
                ca=ca,
                ca_key=ca_key,
                now=now,
                served=_served((hosts or {}).get(name, ())),
            )
            for name, key in keys.items()
        }
    return Pki(ca, _certificate_path(folder, _CA_NAME), identities)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes waiting: two that start at once must not make two authorities."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file, a third party's for instance.

    Raises:
        ConfigError: unreadable, or no certificate in it.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: certificate: {error}") from error


def server_context(
    identity: Identity,
    *,
    clients: Sequence[Path] = (),
    client_required: bool = False,
) -> ssl.SSLContext:
    """Return the TLS settings of a server.

    Args:
        clients: PEM files that client certificates are checked against. A client may leave
            its certificate out, unless required; a wrong one is refused either way.
    """
    assert clients or not client_required
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, identity, clients)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
    return context


def client_context(authorities: Sequence[Path], identity: Identity | None = None) -> ssl.SSLContext:
    """Return the TLS settings of a client that trusts only the given authorities.

    Args:
        authorities: PEM files; the system's own store is not consulted.
        identity: shown to a server that asks for a client certificate.
    """
    assert authorities
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, identity, authorities)
    return context


def _load(context: ssl.SSLContext, identity: Identity | None, trusted: Sequence[Path]) -> None:
    path: Path | None = None
    try:
        if identity is not None:
            path = identity.certificate_path
            context.load_cert_chain(path, identity.key_path)
        for path in trusted:
            context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{path}: TLS: {error}") from error


def _keys(folder: Path, names: Sequence[str]) -> dict[str, rsa.RSAPrivateKey]:
    # Making a key releases the GIL, so two threads halve the first start.
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(names, pool.map(lambda name: _key(folder, name), names), strict=True))


def _key(folder: Path, name: str) -> rsa.RSAPrivateKey:
    path = _key_path(folder, name)
    try:
        key = serialization.load_pem_private_key(
            path.read_bytes(),
            password=None,
            # Proving the primes anew costs 30 ms a key, at every start; we made them ourselves.
            unsafe_skip_rsa_key_validation=True,
        )
    except FileNotFoundError:
        return _new_key(path)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: private key: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError(f"{path}: private key: must be RSA")
    return key


def _new_key(path: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(_EXPONENT, _KEY_BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(path, pem)
    return key


def _authority(folder: Path, key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    path = _certificate_path(folder, _CA_NAME)
    if path.exists():
        ca = load_certificate(path)
        if ca.public_key() == key.public_key() and _is_valid(ca, now):
            return ca
    name = _common_name(_CA_COMMON_NAME)
    builder = (
        _builder(name, key.public_key(), now, _CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certifies=True), critical=True)
    )
    return _issue(builder, key, path)


def _identity(
    folder: Path,
    name: str,
    key: rsa.RSAPrivateKey,
    *,
    ca: x509.Certificate,
    ca_key: rsa.RSAPrivateKey,
    now: datetime,
    served: Sequence[x509.GeneralName],
) -> Identity:
    path = _certificate_path(folder, name)
    certificate = load_certificate(path) if path.exists() else None
    if (
        certificate is None
        or not _is_good(certificate, key, ca, now)
        or not set(served) <= _named_in(certificate)
    ):
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        builder = (
            _builder(_common_name(name), key.public_key(), now, _LEAF_LIFE)
            .issuer_name(ca.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certifies=False), critical=True)
            .add_extension(authority, critical=False)
            .add_extension(_PURPOSES, critical=False)
            .add_extension(x509.SubjectAlternativeName(served), critical=False)
        )
        certificate = _issue(builder, ca_key, path)
    return Identity(name, key, certificate, _key_path(folder, name), path)


_PURPOSES = x509.ExtendedKeyUsage(
    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
)
_LOOPBACK = ("localhost", "127.0.0.1")


def _served(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(host) for host in dict.fromkeys((*_LOOPBACK, *hosts))]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise ConfigError(f"host {host!r}: only ASCII can stand in a certificate") from error


def _named_in(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(found.value)


def _builder(
    subject: x509.Name, key: rsa.RSAPublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A day early, for a peer whose clock is behind ours.
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _issue(
    builder: x509.CertificateBuilder, ca_key: rsa.RSAPrivateKey, path: Path
) -> x509.Certificate:
    certificate = builder.sign(ca_key, hashes.SHA256())
    _write(path, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate


def _usage(*, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certifies,
        content_commitment=False,
        key_encipherment=not certifies,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(
    certificate: x509.Certificate, key: rsa.RSAPrivateKey, ca: x509.Certificate, now: datetime
) -> bool:
    return (
        certificate.public_key() == key.public_key()
        and is_issued_by(certificate, ca)
        and _is_valid(certificate, now)
    )


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.key.pem"


def _certificate_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.pem"


def _make_private_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: PKI folder: {error}") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    # mkstemp creates with mode 0600, so the key is never readable by others, not even briefly.
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error}") from error
