"""Entry point of ``chasqui`` and of ``python -m chasqui``."""

import os
import sys
from gettext import gettext as _

import click

from chasqui import language
from chasqui.cli import cli, hoist
from chasqui.exits import ExitCode, Misused
from scheme.errors import ConfigError


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Run one command; failures are printed, never raised.

    Returns:
        The exit code.
    """
    language.use(language.choose(argv, os.environ))
    try:
        ended = cli.main(args=hoist(argv), prog_name="chasqui", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConfigError as error:
        Misused(str(error)).show()
        return ExitCode.USAGE
    except click.Abort:
        click.echo(_("Interrupted."), err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output went away, as `head` does. The interpreter would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    return ended if isinstance(ended, int) else ExitCode.DONE


if __name__ == "__main__":
    main()
