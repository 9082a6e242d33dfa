"""Settings of the notifier's process: read whole, checked, or refused."""

import tomllib
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from scheme.errors import ConfigError


class NotifierConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may differ between two notifiers.

    Attributes:
        home: folder of the data, with the ledger that is followed.
        fleet: path of ``fleet.toml``.
        mqtt_host, mqtt_port: the broker.
        mqtt_ca: file of the authority that the broker's certificate is of; empty: no TLS.
        lifeline: end when standard input closes, as it does when the parent dies.
        log_level, log_file: of the structured log; no file: standard error.
    """

    home: str
    fleet: str
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 7084
    mqtt_ca: str = ""
    lifeline: bool = False
    log_level: str = "info"
    log_file: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a TOML file.

        Raises:
            ConfigError: no such file, unknown or missing key, or a value of the wrong type.
        """
        try:
            return msgspec.convert(tomllib.loads(path.read_text()), cls)
        except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
