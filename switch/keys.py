"""The switch's own keys, the certificates it trusts, and its TLS settings."""

import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from runtime import pki
from runtime.signing import Keyring, Signer, SigningPool
from scheme.network import Participant
from scheme.wire import jws
from switch.config import Config

NAME = "switch"


class Keys:
    """What the process signs with and whom it trusts, from the home's ``pki`` folder.

    Participants with a certificate of their own in the fleet file are trusted by that; the
    others have one of the demo authority.
    """

    def __init__(self, home: Path, members: Mapping[str, Participant], now: datetime) -> None:
        names = [code for code, one in members.items() if not one.certificate]
        self._pki = pki.open_pki(home / "pki", [*names, NAME], now)
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
            self._pki.identities[NAME],
            clients=[self._pki.ca_path],
            client_required=config.client_certificates,
        )
