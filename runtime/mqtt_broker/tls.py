"""The certificate of the broker's TLS port, of the home's own authority."""

import socket
from datetime import datetime
from pathlib import Path

from runtime import pki
from runtime.mqtt_broker.config import LOOPBACK, Config
from runtime.mqtt_broker.mosquitto_files import Tls

NAME = "broker-tls"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_ELSEWHERE = ("192.0.2.1", 9)
"""An address reserved for documentation. Nothing is sent to it."""


def identity_of(config: Config, now: datetime) -> tuple[Path, pki.Identity]:
    """Return the authority's certificate, and the broker's own with its key.

    Raises:
        ConfigError: a file of the ``pki`` folder is unreadable or not what its name says.
    """
    hosts = {NAME: _served(config.tls_host)}
    ours = pki.open_pki(Path(config.home) / "pki", [NAME], now, hosts)
    return ours.ca_path, ours.identities[NAME]


def mosquitto_tls(config: Config, now: datetime) -> Tls:
    """Return the same as paths, for Mosquitto.

    Raises:
        ConfigError: as ``identity_of``.
    """
    authority, identity = identity_of(config, now)
    return Tls(
        host=config.tls_host,
        port=config.tls_port,
        authority=authority,
        certificate=identity.certificate_path,
        key=identity.key_path,
    )


def _served(host: str) -> tuple[str, ...]:
    """Return the names beside loopback under which others reach the port."""
    if host in LOOPBACK:
        return ()
    if host not in _EVERYWHERE:
        return (host,)
    return tuple(one for one in (socket.gethostname(), _outward_address()) if one)


def _outward_address() -> str:
    """Return the address from which this machine would speak to others, or nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)  # A datagram socket only looks up its route.
        except OSError:
            return ""
        return str(probe.getsockname()[0])
