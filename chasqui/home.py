"""The databases in a country's folder: they belong together, or nothing is started."""

from gettext import gettext as _
from pathlib import Path

from chasqui.exits import Misused

DATABASES = ("ledger.db", "directory.db", "fleet.db")
BESIDE = ("agents.db", "notices.db")
"""Databases that are made when they are first needed, and mean nothing without the others."""
SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


def present(home: Path) -> list[str]:
    """Return the names of the databases that are there."""
    return [name for name in DATABASES if (home / name).exists()]


def check_together(home: Path) -> None:
    """Check that the databases are all there, or none.

    Raises:
        Misused: some are missing. A new one beside the old ones would differ in every order.
    """
    there = present(home)
    missing = [name for name in DATABASES if name not in there]
    if there and missing:
        text = _("{missing} missing in {home}, but {there} there: they belong together.")
        raise Misused(
            text.format(missing=", ".join(missing), there=", ".join(there), home=home),
            _("Restore what is missing, or start over with: chasqui reset"),
        )


def forget_unfinished(home: Path) -> None:
    """Delete databases of a first start that never made all of them: nothing was paid yet."""
    if len(present(home)) < len(DATABASES):
        for name in (*DATABASES, *BESIDE):
            for suffix in SQLITE_SUFFIXES:
                (home / f"{name}{suffix}").unlink(missing_ok=True)
