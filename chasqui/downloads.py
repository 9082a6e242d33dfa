"""Files of the country written down: whole under their name, or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterable
from gettext import gettext as _
from pathlib import Path

from chasqui.exits import Misused


def write_whole(path: Path, pieces: Iterable[bytes]) -> int:
    """Write a file that appears under its name only when its last piece is in; return its size.

    Raises:
        Misused: the folder cannot be made, or the file cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            size = _written(file.write, pieces, path)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return size


def _written(write: Callable[[bytes], int], pieces: Iterable[bytes], path: Path) -> int:
    size = 0
    for piece in pieces:
        try:
            size += write(piece)
        except OSError as error:
            raise _unwritable(path, error) from error
    return size


def _unwritable(path: Path, error: OSError) -> Misused:
    return Misused(
        _("{path} cannot be written: {cause}").format(path=path, cause=error.strerror or error),
        _("Name another folder or file."),
    )
