"""Settings of the broker's process: read whole, checked, or refused."""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import msgspec
from msgspec import Meta, Struct

from scheme.errors import ConfigError
from scheme.limits import MQTT_CONNECTIONS_MAX
from scheme.network import Port

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may differ between two brokers.

    Attributes:
        home: folder of the data.
        fleet: path of ``fleet.toml``: its terminals and institutions may connect.
        kind: ``embedded`` in this process, or ``mosquitto`` as a child of it.
        host, port: without TLS, so on loopback only; port 0 takes a free one.
        tls_host, tls_port: with the certificate of the home's ``pki``; port 0: there is none.
        connections_max: open at once on each port.
        lifeline: end when standard input closes, as it does when the parent dies.
        log_level, log_file: of the structured log; no file: standard error.
    """

    home: str
    fleet: str
    kind: Literal["embedded", "mosquitto"] = "embedded"
    host: str = "127.0.0.1"
    port: Port = 7084
    tls_host: str = "127.0.0.1"
    tls_port: Port = 0
    connections_max: Annotated[int, Meta(ge=1)] = MQTT_CONNECTIONS_MAX
    lifeline: bool = False
    log_level: str = "info"
    log_file: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a TOML file.

        Raises:
            ConfigError: no such file, unknown or missing key, wrong type, or a host that others
                can reach without TLS.
        """
        try:
            config = msgspec.convert(tomllib.loads(path.read_text()), cls)
        except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
        if config.host not in LOOPBACK:
            raise ConfigError(
                f"{path}: host: {config.host} is not loopback; others connect to tls_port only, "
                "because a password would be read on the way"
            )
        return config
