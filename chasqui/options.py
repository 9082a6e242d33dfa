"""Click's commands and options with texts that are translated when they are shown.

Each option of a command can also be set by the table of that command in the settings file and by
a variable CHASQUI_<COMMAND>_<OPTION>.
"""

import importlib
import re
from collections.abc import Callable, Mapping
from gettext import gettext as _
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from chasqui.language import N_
from chasqui.session import Session
from chasqui.settings import check_table
from scheme.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
_NUMBERS: tuple[tuple[type[click.ParamType[Any]], type], ...] = (
    (click.types.IntParamType, int),
    (click.types.FloatParamType, float),
)


METAVARS = (
    N_("AMOUNT"),
    N_("ARGS"),
    N_("BATCH"),
    N_("CARD"),
    N_("CODE"),
    N_("COMMAND"),
    N_("CREDITOR"),
    N_("DATE"),
    N_("DEBTOR"),
    N_("DEVICE"),
    N_("DIRECTORY"),
    N_("FILE"),
    N_("FLOAT RANGE"),
    N_("HOST"),
    N_("INSTRUCTION_ID"),
    N_("INTEGER RANGE"),
    N_("KEY"),
    N_("NAME"),
    N_("NAMES"),
    N_("NUMBERS"),
    N_("OPTIONS"),
    N_("OWED_ID"),
    N_("PHONE"),
    N_("PORT"),
    N_("RAIL"),
    N_("SECONDS"),
    N_("SHARE"),
    N_("SPAN"),
    N_("TEXT"),
    N_("TIME"),
    N_("VALUE"),
    N_("WINDOW"),
)
"""What stands for a value in usage and help."""
_METAVAR = re.compile("|".join(rf"\b{one}\b" for one in sorted(METAVARS, key=len, reverse=True)))


def metavar(text: str) -> str:
    """Return what stands for a value, such as ``PHONE|CCI``, in the language in use."""
    return _METAVAR.sub(lambda found: _(found[0]), text)


def translated(text: str | None) -> str:
    """Return a text in the language in use; gettext keeps its own header under no text."""
    return _(text) if text else ""


class Option(click.Option):
    """An option whose help is translated when it is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help, in the language in use."""
        original = self.help
        self.help = translated(original)
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = original

    def make_metavar(self, ctx: click.Context) -> str:
        """Return what stands for its value, in the language in use."""
        return metavar(super().make_metavar(ctx))

    @property
    def key(self) -> str:
        """Its name in the settings file: the long flag, with underscores."""
        longest = max(self.opts, key=len)
        return longest.lstrip("-").replace("-", "_")

    @property
    def shape(self) -> type:
        """The type of its value in the settings file."""
        numbers = (shape for kind, shape in _NUMBERS if isinstance(self.type, kind))
        one = bool if self.is_flag else next(numbers, str)
        return list[one] if self.multiple else one  # type: ignore[valid-type]


class Argument(click.Argument):
    """An argument whose name is translated when it is shown."""

    def make_metavar(self, ctx: click.Context) -> str:
        """Return its name, in the language in use."""
        return metavar(super().make_metavar(ctx))


class Command(click.Command):
    """A command whose help is translated, and whose options the settings file can set."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the parts of the usage line, in the language in use."""
        return [metavar(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help in the language in use."""
        original = self.help
        self.help = translated(original)
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = original

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments, with defaults from the settings file.

        Raises:
            ConfigError: the command's table has an unknown key or a wrong value.
        """
        session = parent.find_object(Session) if parent else None
        options = {one.key: one for one in self.params if isinstance(one, Option)}
        prefix = f"{parent.command_path} {info_name}".split()[1:] if parent else []
        for key, option in options.items():
            option.envvar = "_".join(["CHASQUI", *prefix, key]).upper().replace("-", "_")
        table = _table(session, prefix)
        if session and table:
            shapes = {key: option.shape for key, option in options.items()}
            check_table(session.settings.path, " ".join(prefix), table, shapes)
            extra["default_map"] = {options[key].name: value for key, value in table.items()}
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.BadParameter as error:
            if session is None or not _is_of_settings(error):
                raise
            key = getattr(error.param, "key", "")
            where = f"{session.settings.path}: [{' '.join(prefix)}]: {key}"
            raise ConfigError(f"{where}: {error.message}") from error


def _is_of_settings(error: click.BadParameter) -> bool:
    """Tell whether a wrong value stands in the settings file, and was not typed."""
    if error.ctx is None or error.param is None or not error.param.name:
        return False
    return error.ctx.get_parameter_source(error.param.name) is ParameterSource.DEFAULT_MAP


def _table(session: Session | None, words: list[str]) -> Mapping[str, Any]:
    """Return the settings of a command; those of a command in a group stand in a table inside."""
    table: Any = session.settings.tables if session else {}
    for word in words:
        table = table.get(word, {}) if isinstance(table, Mapping) else {}
    return table if isinstance(table, Mapping) else {}


class Group(click.Group):
    """A group whose help is translated."""

    command_class = Command

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the parts of the usage line, in the language in use."""
        return [metavar(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help in the language in use."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(translated(self.help))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the first line of their help, in the language in use."""
        rows = [(name, self.summary(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section(_("Commands")):
            formatter.write_dl(rows)

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return one line that says what a command does."""
        command = self.get_command(ctx, name)
        return translated(command.help if command else None).partition("\n")[0]


class ListedGroup(Group):
    """A group whose commands are imported only when they run.

    Args:
        listed: name of each command: its module in ``chasqui.commands``, and its line in the list.
            The command ``what-if`` is ``what_if_command`` of its module.
    """

    def __init__(
        self, *args: Any, listed: Mapping[str, tuple[str, str]], **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self._listed = listed

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the list."""
        return list(self._listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._listed:
            return None
        module = importlib.import_module(f"chasqui.commands.{self._listed[cmd_name][0]}")
        found: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return found

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return a command's line without importing it."""
        return _(self._listed[name][1])


def command(name: str, *, help: str) -> Callable[[Callable[..., Any]], Command]:  # noqa: A002
    """Make a function a command.

    Args:
        help: message id of its help; its first line is the summary.
    """
    return click.command(name, cls=Command, help=help)


def option(*flags: str, help: str, **attributes: Any) -> Callable[[F], F]:  # noqa: A002
    """Add an option; ``help`` is a message id."""
    return click.option(*flags, cls=Option, help=help, **attributes)


def json_option(function: F) -> F:
    """Add ``--json`` to a command that prints one object."""
    return option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))(function)


def argument(name: str, **attributes: Any) -> Callable[[F], F]:
    """Add an argument."""
    return click.argument(name, cls=Argument, **attributes)
