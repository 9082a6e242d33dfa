"""How a command ends: exit codes, and failures that say what, why and what to do next."""

import sys
from collections.abc import Mapping
from enum import IntEnum
from gettext import gettext as _
from typing import IO, Any, Self

import click

from chasqui.calling import as_called


class ExitCode(IntEnum):
    """Exit codes of every command (docs/howto/command-line.md#exit-codes)."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNKNOWN = 3
    NOT_COMPARED = 4
    FAILED_COMMIT = 70
    INTERRUPTED = 130


class Failure(click.ClickException):
    """A command cannot go on.

    Args:
        message: what happened, and why: in the language in use, or as the country said it, which
            is translated when it is shown.
        hint: what to do next, or empty; as above.
        field: what it is about, a flag or a member of a message, or empty.
    """

    exit_code = ExitCode.UNKNOWN

    def __init__(self, message: str, hint: str = "", *, field: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.field = field

    def said_in(self, currency: str) -> Self:
        """Return the same failure with its amounts in a currency's units, not in cents."""
        from chasqui.told import told

        message, hint = (told(one, currency=currency) for one in (self.message, self.hint))
        return type(self)(message, hint, field=self.field)

    def about(self, flags: Mapping[str, str]) -> Self:
        """Return the same failure about the flag behind its field."""
        return type(self)(self.message, self.hint, field=flags.get(self.field, self.field))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message and the hint to standard error."""
        from chasqui.told import told  # Late: most commands do not fail.

        out = file or sys.stderr
        first = click.style(_("Error:"), fg="red", bold=True)
        field = f"{self.field}: " if self.field else ""
        click.echo(f"{first} {field}{as_called(told(self.message))}", file=out)
        if self.hint:
            click.echo(f"  {as_called(told(self.hint))}", file=out)


class Refused(Failure):
    """The scheme, or the side that was asked, said no."""

    exit_code = ExitCode.REFUSED


class Misused(Failure):
    """An argument or a setting is wrong: nothing was done."""

    exit_code = ExitCode.USAGE


class FailedCommit(Failure):
    """The ledger could not be written: what is on disk decides after a restart."""

    exit_code = ExitCode.FAILED_COMMIT


class Unknown(Failure):
    """No answer came, or one that cannot be understood."""

    exit_code = ExitCode.UNKNOWN
