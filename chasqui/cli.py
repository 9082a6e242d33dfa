"""The root of the command line: global options, and commands imported only when they run."""

from gettext import gettext as _
from pathlib import Path

import click

from chasqui import calling, language
from chasqui.exits import Misused
from chasqui.language import N_
from chasqui.options import ListedGroup, Option
from chasqui.session import Session
from chasqui.settings import HOME_DEFAULT, SETTINGS_FILE, read_settings
from scheme.errors import ConfigError

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("up", N_("Start the country and supervise it, in the foreground.")),
    "send": ("send", N_("Pay: look up, verify and transfer, leg by leg.")),
    "route": ("route", N_("Explain which rail would carry a payment.")),
    "payments": ("payments", N_("List orders of the deferred and LBTR rails.")),
    "cash": ("cash", N_("Withdraw and hand in cash at machines and agents.")),
    "agent": ("agent", N_("Play terminals of field agents, and look at them.")),
    "lookup": ("lookup", N_("Show where a phone can be paid.")),
    "transfers": ("transfers", N_("List transfers.")),
    "show": ("show", N_("Show everything about one transfer.")),
    "return": ("payments", N_("Give a posted transfer back, whole or in part.")),
    "wire": ("wire", N_("List the last messages on the wire.")),
    "participants": ("people", N_("List the institutions and their state.")),
    "customers": ("people", N_("List invented people that one can pay.")),
    "positions": ("positions", N_("List the positions of the institutions.")),
    "fund": ("positions", N_("Fund a position, or draw it down.")),
    "settle": ("settle", N_("Close windows, and settle their batches.")),
    "breakers": ("breakers", N_("List the circuit breakers, or open and close one.")),
    "prefer": ("prefer", N_("List the preferred rails, or set those of a pair.")),
    "signon": ("sessions", N_("Sign an institution on.")),
    "signoff": ("sessions", N_("Sign an institution off.")),
    "block": ("sessions", N_("Block an institution (notice 972).")),
    "unblock": ("sessions", N_("Unblock an institution (notice 972).")),
    "qr": ("qr", N_("Print a QR code, and save it as PNG or SVG.")),
    "stuck": ("stuck", N_("List what waits for somebody.")),
    "resend": ("stuck", N_("Send owed messages again now.")),
    "notice": ("notices", N_("Send notice 971, 972 or 981.")),
    "notices": ("notices", N_("Follow what members and institutions are told over MQTT.")),
    "reconcile": ("reconcile", N_("Compare the ledger with itself and with the books.")),
    "iso": ("iso", N_("Explain, send and inspect frames of ISO 8583.")),
    "jws": ("jws", N_("Sign or verify a message with the demo keys.")),
    "init": ("setup", N_("Write commented settings to start from.")),
    "reset": ("setup", N_("Delete the country's data.")),
    "version": ("setup", N_("Print the version.")),
}
"""Name of each command: its module in ``chasqui.commands``, and its line in the list."""


class Root(ListedGroup):
    """The list of commands, and what the exit codes mean."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        rows = [
            ("0", _("done")),
            ("1", _("refused by the scheme, or the books differ")),
            ("2", _("usage: a wrong argument or setting; nothing was done")),
            ("3", _("no answer, or the outcome is not known yet")),
            ("4", _("reconcile: one book could not be compared")),
            ("70", _("up: the ledger could not be written; not restarted")),
        ]
        with formatter.section(_("Exit codes")):
            formatter.write_dl(rows)


GLOBAL_OPTIONS = ("--home", "--config", "--lang", "--operator-url", "--tin-url")


@click.group(
    cls=Root,
    listed=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=N_(
        "Chasqui: a simulator of Peru's instant payments.\n\n"
        "The options below may stand before or after the command."
    ),
)
@click.option(
    "--home",
    cls=Option,
    envvar="CHASQUI_HOME",
    type=click.Path(path_type=Path, file_okay=False),
    help=N_("Folder of the country's data (default: .chasqui)."),
)
@click.option(
    "--config",
    cls=Option,
    envvar="CHASQUI_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help=N_("Settings file (default: chasqui.toml in that folder)."),
)
@click.option(
    "--lang",
    cls=Option,
    envvar="CHASQUI_LANG",
    type=click.Choice(language.LANGUAGES),
    help=N_("Language (default: as the locale says)."),
)
@click.option(
    "--operator-url",
    cls=Option,
    envvar="CHASQUI_OPERATOR_URL",
    default="",
    help=N_("Address of the operator API (default: of the running country)."),
)
@click.option(
    "--tin-url",
    cls=Option,
    envvar="CHASQUI_TIN_URL",
    default="",
    help=N_("Address of the wire, for the QR module (default: of the running country)."),
)
@click.pass_context
def cli(
    ctx: click.Context,
    home: Path | None,
    config: Path | None,
    lang: str | None,
    operator_url: str,
    tin_url: str,
) -> None:
    """Prepare what every command has at hand."""
    folder = home or Path(HOME_DEFAULT)
    path = config or folder / SETTINGS_FILE
    try:
        settings = read_settings(path, commands=COMMANDS, must_exist=config is not None)
    except ConfigError as error:
        raise Misused(str(error)) from error
    if lang is None and settings.config.lang:
        language.use(settings.config.lang)
    has_own_home = home is not None and home != Path(HOME_DEFAULT)
    calling.use(folder if has_own_home else None)
    ctx.obj = Session(
        home=folder,
        settings=settings,
        operator_url=operator_url,
        tin_url=tin_url,
    )


def hoist(argv: list[str]) -> list[str]:
    """Return the arguments with the global options first, wherever they were typed."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in GLOBAL_OPTIONS:
            first += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.partition("=")[0] in GLOBAL_OPTIONS:
            first.append(word)
        else:
            rest.append(word)
    return first + rest
