"""``chasqui init``, ``reset`` and ``version``."""

import shutil
from gettext import gettext as _
from importlib import metadata, resources
from pathlib import Path

import click

from chasqui.calling import as_called
from chasqui.exits import Misused
from chasqui.home import BESIDE, DATABASES, SQLITE_SUFFIXES
from chasqui.language import N_
from chasqui.options import command, json_option, option
from chasqui.output import as_json
from chasqui.session import Session, pass_session
from chasqui.settings import FLEET_FILE, SETTINGS_FILE

_FOLDERS = ("wire", "logs", "run", "mqtt", "agents")
_KEYS = "pki"
_YES = frozenset({"y", "yes", "s", "si", "sí"})


@command(
    "init",
    help=N_(
        "Write commented settings to start from.\n\n"
        "chasqui.toml and fleet.toml, into the country's folder, where the next start finds "
        "them. Files that are there are left alone."
    ),
)
@option("--force", is_flag=True, help=N_("Overwrite files that are there."))
@json_option
@pass_session
def init_command(session: Session, *, force: bool, in_json: bool) -> None:
    """Write the settings files."""
    settings = resources.files("chasqui") / "templates" / SETTINGS_FILE
    fleet = resources.files("participants") / FLEET_FILE
    targets = {session.home / SETTINGS_FILE: settings, session.home / FLEET_FILE: fleet}
    present = [str(path) for path in targets if path.exists()]
    if present and not force:
        raise Misused(
            _("There already: {paths}").format(paths=", ".join(present)),
            _("Nothing was written. Overwrite with: chasqui init --force"),
        )
    try:
        session.home.mkdir(parents=True, exist_ok=True)
        for path, template in targets.items():
            path.write_bytes(template.read_bytes())
    except OSError as error:
        raise Misused(str(error)) from error
    if in_json:
        as_json({"written": [str(path) for path in targets]})
        return
    for path in targets:
        click.echo(_("Written: {path}").format(path=path))


@command(
    "reset",
    help=N_(
        "Delete the country's data.\n\n"
        "Books, ledger, directory, wire log and logs; the settings stay, and the keys too "
        "unless --keys is given. Refused while the country runs."
    ),
)
@option("--yes", is_flag=True, help=N_("Do not ask."))
@option("--keys", is_flag=True, help=N_("Delete the demo keys too."))
@json_option
@pass_session
def reset_command(session: Session, *, yes: bool, keys: bool, in_json: bool) -> None:
    """Start over."""
    from runtime.folder_lock import FolderLock  # Late: not needed elsewhere here.

    home = session.home
    databases = (*DATABASES, *BESIDE)
    doomed = [home / f"{name}{suffix}" for name in databases for suffix in SQLITE_SUFFIXES]
    doomed += [home / name for name in (*_FOLDERS, *((_KEYS,) if keys else ()))]
    doomed = [path for path in doomed if path.exists()]
    if not doomed and not in_json:
        click.echo(_("Nothing to delete in {home}.").format(home=home))
        return
    # All the locks at once: a switch or a fleet may have been started by hand.
    with FolderLock(home, "up"), FolderLock(home, "switch"), FolderLock(home, "fleet"):
        named = ", ".join(map(str, doomed))
        click.echo(_("To be deleted: {paths}").format(paths=named), err=in_json)
        if doomed and not yes and not _agrees(_("Delete it all?"), on_errors=in_json):
            raise click.Abort
        for path in doomed:
            _delete(path)
    if in_json:
        as_json({"deleted": [str(path) for path in doomed]})
        return
    click.echo(as_called(_("Deleted. The next start seeds a new country: chasqui up")))


def _agrees(question: str, *, on_errors: bool) -> bool:
    """Ask; anything but a yes, in either language, is a no."""
    # Not click's own question, which takes no other language's yes.
    answer: str = click.prompt(
        question + " " + _("[y/N]"),
        default="",
        show_default=False,
        prompt_suffix=" ",
        err=on_errors,
    )
    return answer.strip().lower() in _YES


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@command("version", help=N_("Print the version."))
@json_option
def version_command(*, in_json: bool) -> None:
    """Print the version."""
    version = metadata.version("chasqui")
    if in_json:
        as_json({"version": version})
        return
    click.echo(f"chasqui {version}")
