"""``chasqui reconcile``: the ledger against itself, and against every participant's own book."""

import time
from collections.abc import Iterable
from gettext import gettext as _

import click
from msgspec import structs

from chasqui.answers import Audit, Participant
from chasqui.books import Book, Comparison, Finding, Kind, compare
from chasqui.country import Country
from chasqui.exits import ExitCode, Failure
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.output import as_json, table
from chasqui.session import Session, pass_session
from chasqui.told import told

_SHOWN_MAX = 20
_LOOK_S = 0.5
_LOAD = "load"


@command(
    "reconcile",
    help=N_(
        "Compare the ledger with itself and with the books.\n\n"
        "Every currency of every ledger sums to zero, every position equals its entries. With "
        "--books each order is compared with the books of both its institutions, through their "
        "test hooks; what still travels is waited for."
    ),
)
@option("--books", "with_books", is_flag=True, help=N_("Compare the institutions' own books too."))
@option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=15.0,
    metavar="SECONDS",
    help=N_("How long to wait for what still travels (default: 15)."),
)
@option("--strict", is_flag=True, help=N_("Load agents without a book count as not compared."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
@click.pass_context
def reconcile_command(
    ctx: click.Context,
    session: Session,
    *,
    with_books: bool,
    wait_s: float,
    strict: bool,
    in_json: bool,
) -> None:
    """Audit, compare, and say what differs."""
    country = session.country()
    audit = country.operator.get("/audit", Audit)
    comparison = Comparison((), 0, frozenset())
    lost: dict[str, str] = {}
    skipped: frozenset[str] = frozenset()
    if with_books:
        comparison, lost, agents = _settled(country, wait_s)
        if not strict:
            skipped = frozenset(comparison.without_book & agents)
    unseen = (comparison.without_book - skipped) | frozenset(lost)
    code = _exit_code(audit, comparison, unseen)
    if in_json:
        as_json(_document(audit, comparison, unseen, skipped, code))
    else:
        _print(audit, comparison, with_books=with_books)
        _print_unseen(lost, unseen, skipped)
    ctx.exit(code)


def _settled(country: Country, wait_s: float) -> tuple[Comparison, dict[str, str], frozenset[str]]:
    """Compare until all is equal, or nothing more is waited for.

    The books are read one after the other while transfers may go on: a finding counts only when
    it is still there at the end.
    """
    deadline = time.monotonic() + wait_s
    while True:
        everyone = country.participants()
        books, lost = _read_books(country, everyone)
        comparison = compare(country.transfers(), books)
        if not comparison.findings or time.monotonic() >= deadline:
            agents = frozenset(one.code for one in everyone if one.kind == _LOAD)
            return comparison, lost, agents
        time.sleep(_LOOK_S)


def _read_books(
    country: Country, everyone: Iterable[Participant]
) -> tuple[dict[str, Book], dict[str, str]]:
    books: dict[str, Book] = {}
    lost: dict[str, str] = {}
    for one in everyone:
        if not one.hook_url:
            continue
        try:
            books[one.code] = Book.of(one.code, country.movements(one))
        except Failure as error:
            lost[one.code] = error.message
    return books, lost


def _exit_code(audit: Audit, comparison: Comparison, unseen: frozenset[str]) -> ExitCode:
    if not audit.clean or comparison.of_kind(Kind.DIFFERENT):
        return ExitCode.REFUSED
    if unseen:
        return ExitCode.NOT_COMPARED
    return ExitCode.UNKNOWN if comparison.findings else ExitCode.DONE


def _document(
    audit: Audit,
    comparison: Comparison,
    unseen: frozenset[str],
    skipped: frozenset[str],
    code: ExitCode,
) -> dict[str, object]:
    return {
        "equal": code == ExitCode.DONE,
        "ledger_clean": audit.clean,
        "ledger_differences": audit.differences,
        "compared": comparison.compared,
        "different": [_row(one) for one in comparison.of_kind(Kind.DIFFERENT)],
        "not_yet": [_row(one) for one in comparison.of_kind(Kind.NOT_YET)],
        "not_compared": sorted(unseen),
        "skipped": sorted(skipped),
    }


def _row(one: Finding) -> dict[str, str]:
    return {
        "instruction_id": one.instruction_id,
        "participant": one.participant,
        "what": one.text,
    }


def _print(audit: Audit, comparison: Comparison, *, with_books: bool) -> None:
    if audit.clean:
        click.secho(_("The ledger agrees with itself."), fg="green")
    else:
        click.secho(_("The ledger does not agree with itself:"), fg="red", bold=True)
        for one in audit.differences[:_SHOWN_MAX]:
            line = _("  {what} of {subject}: recorded {recorded}, recounted {recounted}")
            click.echo(line.format_map(structs.asdict(one)))
    if not with_books:
        return
    click.echo(_("Orders compared: {count}").format(count=comparison.compared))
    different, not_yet = comparison.of_kind(Kind.DIFFERENT), comparison.of_kind(Kind.NOT_YET)
    if different:
        click.secho(_("Different: {count}").format(count=len(different)), fg="red", bold=True)
        _print_findings(different)
    if not_yet:
        click.secho(_("Not yet: {count}").format(count=len(not_yet)), fg="yellow", bold=True)
        _print_findings(not_yet)
        click.echo(_("See what is owed with: chasqui stuck"))
    if not comparison.findings:
        click.secho(_("All books are equal."), fg="green")


def _print_findings(findings: list[Finding]) -> None:
    rows = [(one.instruction_id, one.participant, _(one.text)) for one in findings[:_SHOWN_MAX]]
    table((_("Instruction"), _("At"), _("What")), rows)
    if len(findings) > _SHOWN_MAX:
        click.echo(_("... and {count} more").format(count=len(findings) - _SHOWN_MAX))


def _print_unseen(lost: dict[str, str], unseen: frozenset[str], skipped: frozenset[str]) -> None:
    if skipped:
        codes = ", ".join(sorted(skipped))
        click.echo(_("Left out, load agents without a book: {codes}").format(codes=codes))
    for code in sorted(unseen):
        why = told(lost.get(code, "")) or _("it has no test hook (control_url in fleet.toml)")
        click.secho(_("{code} could not be compared: {why}").format(code=code, why=why), fg="red")
