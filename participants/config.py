"""Settings of the fleet's process: read whole, checked, or refused."""

import math
import tomllib
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from scheme.errors import ConfigError

_PORT_MAX = 65_535
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may differ between two fleets.

    Attributes:
        home: folder of the data.
        fleet: path of ``fleet.toml``.
        profile: name of a built-in profile, or path of one.
        switch_url: where the clearing house serves, without a path.
        network_url: where the coops' network serves, without a path; empty: its coops ask the
            directory at the clearing house like everyone else.
        iso8583_address: host and port that institutions of that lane dial; empty: there are none.
        host: address the institutions listen on: loopback, as nothing here asks who is calling.
        seed: of latencies and free digits; the people come from the fleet file's own.
        latency_ms: median for every institution, in place of the fleet file's; 0 for none.
        magic: whether magic values act.
        token: shared secret shown to the clearing house as ``Authorization: Bearer``.
        qr_password: password at the QR module; empty: the token, or ``demo`` without one.
        grace_s: seconds that running requests have to end when the fleet stops.
        lifeline: end when standard input closes, as it does when the parent dies.
        log_level, log_file: of the structured log; no file: standard error.
    """

    home: str
    fleet: str
    profile: str = "peru"
    switch_url: str = "http://127.0.0.1:7080"
    network_url: str = ""
    iso8583_address: str = "127.0.0.1:7083"
    host: str = "127.0.0.1"
    seed: int = 0
    latency_ms: float | None = None
    magic: bool = True
    token: str = ""
    qr_password: str = ""
    grace_s: float = 2.0
    lifeline: bool = False
    log_level: str = "info"
    log_file: str = ""

    @property
    def qr_secret(self) -> str:
        """The password shown to the QR module."""
        return self.qr_password or self.token or "demo"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a TOML file.

        Raises:
            ConfigError: no such file, unknown or missing key, or wrong type or value.
        """
        try:
            config = msgspec.convert(tomllib.loads(path.read_text()), cls)
        except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{path}: {error}") from error
        config.check(str(path))
        return config

    def check(self, origin: str) -> None:
        """Raise ConfigError for a value that cannot be."""
        if self.host not in _LOOPBACK:
            raise ConfigError(f"{origin}: host: loopback only; nothing here asks who is calling")
        if not self.switch_url.startswith(("http://", "https://")):
            raise ConfigError(f"{origin}: switch_url: starts with http:// or https://")
        if self.network_url and not self.network_url.startswith(("http://", "https://")):
            raise ConfigError(f"{origin}: network_url: starts with http:// or https://")
        host, _, port = self.iso8583_address.rpartition(":")
        is_sound = host and port.isascii() and port.isdigit() and int(port) <= _PORT_MAX
        if self.iso8583_address and not is_sound:
            raise ConfigError(f"{origin}: iso8583_address: host and port are needed")
        for key, value in (("latency_ms", self.latency_ms or 0.0), ("grace_s", self.grace_s)):
            if not 0 <= value < math.inf:
                raise ConfigError(f"{origin}: {key}: zero or more")
