"""How this program is called, so that the commands it prints run as they stand.

In a checkout it is not on the path, and a country may have a folder of its own: a bare
``chasqui show`` would not be found, or would look elsewhere.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

NAME = "chasqui"
_COMMAND = re.compile(rf"\b{NAME} (?=[a-z]+\b)")


class _Call:
    """What is printed instead of the name: the language's catalogue is kept the same way."""

    start = NAME


def use(home: Path | None) -> None:
    """Have commands printed with the way to this program from the present folder.

    Args:
        home: folder that a command must name, or None for the default one.
    """
    words = [program()]
    if home is not None:
        words += ["--home", shortest(home)]
    _Call.start = shlex.join(words)


def as_called(text: str) -> str:
    """Return a text with the commands in it as they are to be typed here."""
    return _COMMAND.sub(lambda _found: f"{_Call.start} ", text)


def program() -> str:
    """Return how to call this program from the present folder: by name if that finds it."""
    ours = Path(sys.executable).parent / NAME
    found = shutil.which(NAME)
    if not ours.exists() or (found and Path(found).samefile(ours)):
        return NAME
    return shortest(ours)


def shortest(path: Path) -> str:
    """Return a path from the present folder if it is inside, else the whole one."""
    # Not resolved: an environment's own python is a link to somewhere else.
    whole = Path(os.path.abspath(path))
    here = Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)
