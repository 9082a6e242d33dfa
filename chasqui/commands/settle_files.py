"""``chasqui settle files``: the files of a batch that are handed on to participants."""

import re
from gettext import gettext as _
from pathlib import Path
from urllib.parse import quote

import click
from msgspec import Struct

from chasqui.downloads import write_whole
from chasqui.exits import Misused, Unknown
from chasqui.language import N_
from chasqui.options import argument, command, json_option, option
from chasqui.output import as_json, table
from chasqui.session import Session, pass_session

_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}", re.ASCII)


class BatchFile(Struct, frozen=True, kw_only=True):
    """A row of GET /batches/{id}/files; ``participant`` is ``all`` for everybody's net report."""

    participant: str
    kind: str
    name: str
    path: str


class BatchFiles(Struct, frozen=True):
    """GET /batches/{id}/files."""

    files: tuple[BatchFile, ...]


@command(
    "files",
    help=N_(
        "Write the files of a batch that are handed on.\n\n"
        "For each institution: its movements and its net report as CSV, a camt.053 statement, "
        "and a pacs.009 instruction if it pays in or is paid. They hold whole account numbers: "
        "hand them to nobody but that institution."
    ),
)
@argument("batch", metavar="BATCH")
@option("--participant", metavar="CODE", help=N_("Only those of this institution."))
@option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIRECTORY",
    help=N_("Folder to write them to (default: this one)."),
)
@json_option
@pass_session
def files_command(
    session: Session, *, batch: str, participant: str | None, folder: Path, in_json: bool
) -> None:
    """Download the files of a batch, each of them whole or not at all."""
    operator = session.country().operator
    listed = operator.get(f"/batches/{quote(batch, safe='')}/files", BatchFiles).files
    wanted = [one for one in listed if participant in {None, one.participant}]
    if not wanted:
        codes = ", ".join(sorted({one.participant for one in listed}))
        raise Misused(
            _("{batch} has no files of {code}.").format(batch=batch, code=participant),
            _("There are: {codes}").format(codes=codes),
        )
    written = []
    for one in wanted:
        if not _PLAIN.fullmatch(one.name):
            raise Unknown(_("The country named a file {name!r}.").format(name=one.name))
        size = write_whole(folder / one.name, operator.pieces(one.path))
        written.append((one, folder / one.name, size))
    if in_json:
        rows = [
            {"participant": one.participant, "kind": one.kind, "file": str(path), "bytes": size}
            for one, path, size in written
        ]
        as_json({"batch": batch, "files": rows})
        return
    table(
        (_("At"), _("File"), _("Bytes")),
        [(one.participant, str(path), f"{size:,}") for one, path, size in written],
        right="llr",
    )
