"""The switch's own keys, the certificates it trusts, and its TLS settings."""

import socket
import ssl
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from runtime import pki
from runtime.signing import Keyring, Signer, SigningPool
from scheme.network import Participant
from scheme.wire import jws
from switch.config import LOOPBACK, Config
from switch.core.network_sessions import MemberKey

NAME = "switch"
TLS_NAME = "switch-tls"
"""Serves TLS beyond loopback. Apart from what signs, whose thumbprint others have noted: this
certificate is issued anew when the machine gets another address."""
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_ELSEWHERE = ("192.0.2.1", 9)
"""An address reserved for documentation. Nothing is sent to it."""


class Keys:
    """What the process signs with and whom it trusts, from the home's ``pki`` folder.

    Participants with a certificate of their own in the fleet file are trusted by that; the
    others have one of the demo authority.
    """

    def __init__(self, config: Config, members: Mapping[str, Participant], now: datetime) -> None:
        names = [code for code, one in members.items() if not one.certificate]
        hosts = {TLS_NAME: served_hosts(config.host)} if _serves_others(config) else {}
        self._pki = pki.open_pki(Path(config.home) / "pki", [*names, NAME, *hosts], now, hosts)
        self._members = members

    def keyring(self) -> Keyring:
        """Return the certificate trusted for each participant."""
        return Keyring({code: self._trusted(one) for code, one in self._members.items()})

    def _trusted(self, one: Participant) -> jws.TrustedCertificate:
        if one.certificate:
            return jws.TrustedCertificate.of(pki.load_certificate(Path(one.certificate)))
        return jws.TrustedCertificate.of(self._pki.identities[one.code].certificate, self._pki.ca)

    def signer(self, pool: SigningPool) -> Signer:
        """Return what signs as the switch."""
        identity = self._pki.identities[NAME]
        return Signer(identity.key, jws.thumbprint(identity.certificate), pool)

    def client_tls(self) -> ssl.SSLContext | None:
        """Return the TLS settings towards ``https://`` participants, if there are any."""
        if not any(one.base_url.startswith("https://") for one in self._members.values()):
            return None
        theirs = [Path(one.certificate) for one in self._members.values() if one.certificate]
        return pki.client_context([self._pki.ca_path, *theirs], self._pki.identities[NAME])

    def server_tls(self, config: Config) -> ssl.SSLContext | None:
        """Return the TLS settings of the TIN port, if it has any."""
        if not config.tls:
            return None
        return pki.server_context(
            self._own_tls(config),
            clients=[self._pki.ca_path],
            client_required=config.client_certificates,
        )

    def network_tls(self, config: Config) -> ssl.SSLContext:
        """Return the TLS settings of the access network's port.

        A client may leave its certificate out here: it is told so in the network's own words.
        """
        theirs = [Path(one.certificate) for one in self._members.values() if one.certificate]
        return pki.server_context(self._own_tls(config), clients=[self._pki.ca_path, *theirs])

    def member_keys(self, codes: Iterable[str]) -> dict[str, MemberKey]:
        """Return the certificates with which participants open their sessions."""
        return {code: self._member_key(self._members[code]) for code in codes}

    def _member_key(self, one: Participant) -> MemberKey:
        if one.certificate:
            certificate = pki.load_certificate(Path(one.certificate))
        else:
            certificate = self._pki.identities[one.code].certificate
        return MemberKey(certificate.public_bytes(Encoding.DER), jws.thumbprint(certificate))

    def _own_tls(self, config: Config) -> pki.Identity:
        return self._pki.identities[TLS_NAME if _serves_others(config) else NAME]


def served_hosts(host: str) -> tuple[str, ...]:
    """Return the names under which others reach a server that is bound to a host.

    Looked up without asking the network: a name server that is away must not delay the start.
    """
    if host not in _EVERYWHERE:
        return (host,)
    return tuple(one for one in (socket.gethostname(), _outward_address()) if one)


def _serves_others(config: Config) -> bool:
    return config.tls and config.host not in LOOPBACK


def _outward_address() -> str:
    """Return the address from which this machine would speak to others, or nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)  # A datagram socket only looks up its route.
        except OSError:
            return ""
        return str(probe.getsockname()[0])
