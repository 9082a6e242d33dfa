"""What every command has at hand: the settings, and clients of the running country."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chasqui.country import Api, Country
from chasqui.settings import (
    FLEET_FILE,
    ISO8583_PORT,
    OPERATOR_PORT,
    TIN_PORT,
    Settings,
    whereabouts,
)

if TYPE_CHECKING:
    from scheme.network import Fleet


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line.

    Attributes:
        home: folder of the country's data.
        settings: what the settings file says.
        operator_url, tin_url: as given by flag or variable; empty: look for them.
    """

    home: Path
    settings: Settings
    operator_url: str = ""
    tin_url: str = ""

    def country(self) -> Country:
        """Return a client of the running country."""
        return Country(Api(self._operator_url(), timeout_s=self.settings.config.timeout_s))

    def qr_module(self) -> Api:
        """Return a client of the QR module, on the port of the wire."""
        config = self.settings.config
        told = whereabouts(self.home)
        url = self.tin_url or config.tin_url or (told.tin_url if told else "")
        url = url or f"http://127.0.0.1:{TIN_PORT}"
        return Api(url, timeout_s=config.timeout_s, pki=self.home / "pki")

    def iso8583_address(self) -> tuple[str, int]:
        """Return host and port of the ISO 8583 lane of the running country."""
        told = whereabouts(self.home)
        host, _colon, port = (told.iso8583_address if told else "").rpartition(":")
        return (host, int(port)) if host and port.isdigit() else ("127.0.0.1", ISO8583_PORT)

    def own_fleet_path(self) -> Path:
        """Return the file of institutions in the home, or else the built-in one."""
        own = self.home / FLEET_FILE
        return own if own.exists() else Path(str(resources.files("participants") / FLEET_FILE))

    def fleet(self) -> "Fleet":
        """Return the institutions of the running country, or of the next one."""
        from runtime.files import load_fleet  # Late: few commands need it.

        told = whereabouts(self.home)
        return load_fleet(Path(told.fleet) if told else self.own_fleet_path())

    def _operator_url(self) -> str:
        told = whereabouts(self.home)
        url = self.operator_url or self.settings.config.operator_url
        return url or (told.operator_url if told else f"http://127.0.0.1:{OPERATOR_PORT}")


pass_session = click.make_pass_decorator(Session)
