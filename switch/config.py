"""Settings of the switch's process: read whole, checked, or refused."""

import tomllib
from pathlib import Path
from typing import Final, Self

import msgspec
from msgspec import Struct

from scheme.errors import ConfigError
from scheme.limits import WIRE_LOG_BYTES_MAX

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may differ between two switches.

    Attributes:
        home: folder of the data.
        fleet: path of ``fleet.toml``.
        profile: name of a built-in profile, or path of one.
        host: address of the TIN port; anything but loopback needs ``token``.
        operator_host: address of the operator port; likewise.
        tin_port, operator_port, network_port: 0 takes a free one. The last is served where the
            fleet has coops of the network, without TLS on loopback only.
        iso8583_port: likewise, where a participant's lane is ISO 8583; on ``host``.
        mqtt_host, mqtt_port: the broker of the field agents; port 0: there is none.
        mqtt_json_mirror: say everything that terminals and switch say once more as JSON.
        token: shared secret that unsigned callers show as ``Authorization: Bearer``.
        tls: serve the TIN port over https with the certificate of the home's ``pki``.
        client_certificates: demand one, of the home's own authority, on that port.
        wire_log: keep the exact bytes of every message.
        qr_password: password of every participant at the QR module; empty: ``demo`` on
            loopback, elsewhere the token.
        lifeline: end when standard input closes, as it does when the parent dies.
        log_level, log_file: of the structured log; no file: standard error.
    """

    home: str
    fleet: str
    profile: str = "peru"
    host: str = "127.0.0.1"
    operator_host: str = "127.0.0.1"
    tin_port: int = 7080
    operator_port: int = 7081
    network_port: int = 7082
    iso8583_port: int = 7083
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 0
    mqtt_json_mirror: bool = False
    token: str = ""
    tls: bool = False
    client_certificates: bool = False
    wire_log: bool = True
    wire_log_bytes_max: int = WIRE_LOG_BYTES_MAX
    qr_password: str = ""
    lifeline: bool = False
    log_level: str = "info"
    log_file: str = ""

    @property
    def qr_secret(self) -> str:
        """The password that the QR module demands."""
        return self.qr_password or self.token or "demo"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a TOML file.

        Raises:
            ConfigError: no such file, unknown or missing key, wrong type, or settings that do
                not go together.
        """
        try:
            config = msgspec.convert(tomllib.loads(path.read_text()), cls)
        except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
        config.check(str(path))
        return config

    def check(self, origin: str) -> None:
        """Raise ConfigError if settings do not go together."""
        for name, host in (("host", self.host), ("operator_host", self.operator_host)):
            if host not in LOOPBACK and not self.token:
                raise ConfigError(
                    f"{origin}: {name}: {host} is not loopback; set token too, "
                    "so that not everyone on the network can act as a participant"
                )
        if self.client_certificates and not self.tls:
            raise ConfigError(f"{origin}: client_certificates: only with tls = true")
