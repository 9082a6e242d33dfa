"""``chasqui reconcile --file``: what a participant's own file and the ledger's do not share."""

import re
import tempfile
from collections.abc import Sequence
from gettext import gettext as _
from pathlib import Path
from urllib.parse import quote

import click

from chasqui.country import Api
from chasqui.downloads import write_whole
from chasqui.exits import ExitCode, Misused
from chasqui.output import as_json, paragraph, table
from chasqui.their_file import Comparison, FileComparison, Found
from scheme.masking import mask_card, mask_cci
from scheme.wire.settlement_csv import WrongFile

SHOWN_MAX = 20
_CCI_DIGITS = 20
_OURS = re.compile(r"(?P<batch>[a-z-]+-[A-Z]{3}-\d{8}-\d+)\.(?P<code>\d{4})\.", re.ASCII)
_ACCOUNTS = frozenset({"origin_cci", "receiver_account"})


def reconcile_file(
    operator: Api, theirs: Path, batch: str | None, participant: str | None, *, in_json: bool
) -> ExitCode:
    """Compare a file with the ledger's of the same batch and participant; print and judge.

    Args:
        batch, participant: whose file it is; where the name of the file says it, not needed.

    Raises:
        Misused: it is not known whose file it is, or the file breaks a rule of the format.
    """
    batch, participant = _whose(theirs, batch, participant)
    target = f"/batches/{quote(batch, safe='')}/files/{quote(participant, safe='')}"
    with tempfile.TemporaryDirectory(prefix="chasqui-") as folder:
        ours = Path(folder) / "ours.csv"
        write_whole(ours, operator.pieces(f"{target}/reconciliation.csv"))
        found = _compared(Path(folder), ours, theirs)
    if in_json:
        as_json(
            {"equal": found.is_equal, "batch": batch, "participant": participant, **_row(found)}
        )
    else:
        _print(found)
    return ExitCode.DONE if found.is_equal else ExitCode.REFUSED


def _whose(theirs: Path, batch: str | None, participant: str | None) -> tuple[str, str]:
    named = _OURS.match(theirs.name)
    if named is not None:
        batch, participant = batch or named["batch"], participant or named["code"]
    if batch and participant:
        return batch, participant
    raise Misused(
        _("Which batch and institution is {file} of?").format(file=theirs),
        _("Say it with --batch and --participant."),
    )


def _compared(folder: Path, ours: Path, theirs: Path) -> Comparison:
    try:
        with (
            FileComparison(folder) as comparison,
            ours.open("rb") as here,
            theirs.open("rb") as there,
        ):
            return comparison.take(here, there)
    except WrongFile as error:
        raise Misused(
            f"{theirs}: {error}", _("docs/wire/settlement-files.md describes the columns.")
        ) from error
    except OSError as error:
        raise Misused(
            _("{path} cannot be read: {cause}").format(path=theirs, cause=error.strerror or error)
        ) from error


def _row(found: Comparison) -> dict[str, object]:
    return {
        "ledger": found.ours,
        "file": found.theirs,
        "missing": {"count": found.missing_count, "listed": _plain(found.missing)},
        "extra": {"count": found.extra_count, "listed": _plain(found.extra)},
        "different": {"count": found.different_count, "listed": _plain(found.different)},
    }


def _plain(found: Sequence[Found]) -> list[dict[str, object]]:
    return [
        {
            "instruction_id": one.instruction_id,
            "direction": one.direction,
            "line": one.line or None,
            "columns": [
                {"column": name, "ledger": _shown(name, ours), "file": _shown(name, theirs)}
                for name, ours, theirs in one.columns
            ],
        }
        for one in found
    ]


def _print(found: Comparison) -> None:
    line = _("Movements compared: {ours} of the ledger, {theirs} of the file")
    click.echo(line.format(ours=f"{found.ours:,}", theirs=f"{found.theirs:,}"))
    if found.is_equal:
        click.secho(_("The file and the ledger are equal."), fg="green")
        return
    for title, count, listed in (
        (_("In the ledger, but not in the file: {count}"), found.missing_count, found.missing),
        (_("In the file, but not in the ledger: {count}"), found.extra_count, found.extra),
        (_("Different: {count}"), found.different_count, found.different),
    ):
        if count:
            click.secho(title.format(count=f"{count:,}"), fg="red", bold=True)
            _print_found(listed, count)


def _print_found(listed: Sequence[Found], count: int) -> None:
    rows = []
    for one in listed[:SHOWN_MAX]:
        where = f"{one.line:,}" if one.line else "-"
        direction = _("sent") if one.direction == "sent" else _("received")
        first = (one.instruction_id, direction, where)
        rows += [
            (*first, name, _shown(name, ours), _shown(name, theirs))
            for name, ours, theirs in one.columns
        ] or [(*first, "", "", "")]
    headings = (_("Order"), _("Direction"), _("Line"), _("Column"), _("Ledger"), _("File"))
    has_columns = any(one.columns for one in listed)
    shown = len(headings) if has_columns else 3
    table(headings[:shown], [row[:shown] for row in rows], right="llr")
    if count > SHOWN_MAX:
        more = count - SHOWN_MAX
        paragraph(_("... and {count} more").format(count=more))


def _shown(column: str, value: str) -> str:
    """Return a value as it may be shown: accounts are masked."""
    if column not in _ACCOUNTS:
        return value
    return mask_cci(value) if len(value) == _CCI_DIGITS else mask_card(value)
