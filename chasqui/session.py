"""What every command has at hand: the settings, and clients of the running country."""

from dataclasses import dataclass
from pathlib import Path

import click

from chasqui.country import Api, Country
from chasqui.settings import OPERATOR_PORT, TIN_PORT, Settings, whereabouts


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line.

    Attributes:
        home: folder of the country's data.
        settings: what the settings file says.
        operator_url, tin_url: as given by flag or variable; empty: look for them.
        has_own_home: the home is not the default of the current folder, so commands that
            are printed must name it.
    """

    home: Path
    settings: Settings
    operator_url: str = ""
    tin_url: str = ""
    has_own_home: bool = False

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

    def _operator_url(self) -> str:
        told = whereabouts(self.home)
        url = self.operator_url or self.settings.config.operator_url
        return url or (told.operator_url if told else f"http://127.0.0.1:{OPERATOR_PORT}")


pass_session = click.make_pass_decorator(Session)
