"""``chasqui reconcile``: the ledger against itself, and against every participant's own book."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from gettext import gettext as _
from pathlib import Path

import click
from msgspec import structs

from chasqui.agent_books import AgentBook, AgentComparison, compare_agents
from chasqui.answers import Audit, Participant, ReturnRow, Transfer
from chasqui.books import (
    NEVER_SENT,
    NO_OPERATION,
    OTHER_CASH,
    Book,
    Comparison,
    Finding,
    Kind,
    compare,
    doubted,
    given_up,
    recounted,
)
from chasqui.calling import as_called
from chasqui.cash_books import UNHEARD
from chasqui.country import Country
from chasqui.exits import ExitCode, Failure
from chasqui.language import N_
from chasqui.options import command, option
from chasqui.output import as_json, passed_ms, table
from chasqui.session import Session, pass_session
from chasqui.told import told

_SHOWN_MAX = 20
_LOOK_S = 0.5
_MACHINES = "acquirer"
_AGENTS = "mqtt"
_LOOKED_AT_TWICE = frozenset((NEVER_SENT, NO_OPERATION, OTHER_CASH))
"""No waiting makes these better, but an order may be younger than the look at the book."""
_HEARD_S = 15.0
"""After this age of an order its machine has been answered, or has taken it back."""


@command(
    "reconcile",
    help=N_(
        "Compare the ledger with itself and with the books.\n\n"
        "Every currency of every ledger sums to zero, every position equals its entries. With "
        "--books each order is compared with the books of both its institutions, through their "
        "test hooks, and each book is recounted; what still travels is waited for. Of field "
        "agents the terminals' operations and the tills are their book. With --file "
        "an institution's own file of a batch is compared with the ledger's instead."
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
@option(
    "--skip",
    "skip",
    multiple=True,
    metavar="CODE",
    help=N_("Leave this one's book out; may be given several times."),
)
@option(
    "--file",
    "theirs",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=N_("Compare this reconciliation file with the ledger's, movement by movement."),
)
@option("--batch", metavar="BATCH", help=N_("Which batch the file is of."))
@option("--participant", metavar="CODE", help=N_("Which institution the file is of."))
@option("--json", "in_json", is_flag=True, help=N_("Print one JSON object."))
@pass_session
@click.pass_context
def reconcile_command(
    ctx: click.Context,
    session: Session,
    *,
    with_books: bool,
    wait_s: float,
    skip: tuple[str, ...],
    theirs: Path | None,
    batch: str | None,
    participant: str | None,
    in_json: bool,
) -> None:
    """Audit, compare, and say what differs."""
    country = session.country()
    if theirs is not None:
        from chasqui.file_reconciling import reconcile_file  # Late: it is needed for files only.

        operator = country.operator
        ctx.exit(reconcile_file(operator, theirs, batch, participant, in_json=in_json))
    skipped = frozenset(country.participant(code).code for code in skip)
    audit = country.operator.get("/audit", Audit)
    seen = _settled(session, country, wait_s, skipped) if with_books else _Seen()
    code = _exit_code(audit, seen)
    if in_json:
        as_json(_document(audit, seen, skipped, code))
    else:
        _print_ledger(audit)
        if with_books:
            _print_books(seen, skipped)
    ctx.exit(code)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at all books brought.

    Attributes:
        not_compared: participants that took part and whose book could not be seen, with the
            reason where there is one.
        not_recounted: books compared whose owner offers no recount.
        agents: what the tills of field agents came to.
    """

    comparison: Comparison = field(default_factory=lambda: Comparison((), 0, frozenset()))
    not_compared: Mapping[str, str] = field(default_factory=dict)
    not_recounted: tuple[str, ...] = ()
    agents: tuple[AgentComparison, ...] = ()


class _Orders:
    """What lists do not say of orders; it does not change, so each is asked about once."""

    def __init__(self, country: Country) -> None:
        self._country = country
        self._kept: dict[str, Transfer | None] = {}

    def quoted(self, one: Transfer) -> str | None:
        """Return the verification that an order quotes; None if that is not known."""
        if one.verification_id:
            return one.verification_id
        known = self._of(one.instruction_id)
        return None if known is None else known.verification_id or ""

    def older(self, comparison: Comparison, seconds: float) -> frozenset[str]:
        """Return the orders that machines have not heard of for long."""
        from runtime.clock import SystemClock  # Late: it brings in asyncio.

        now = SystemClock().now().isoformat()
        unheard = {one.instruction_id for one in comparison.findings if one.text == UNHEARD}
        known = ((identity, self._of(identity)) for identity in unheard)
        return frozenset(
            identity
            for identity, one in known
            if one is not None and passed_ms(one.created_at, now) >= seconds * 1000
        )

    def _of(self, identity: str) -> Transfer | None:
        if identity not in self._kept:
            try:
                self._kept[identity] = self._country.detail(identity).transfer
            except Failure:
                return None
        return self._kept[identity]


def _settled(session: Session, country: Country, wait_s: float, skipped: frozenset[str]) -> _Seen:
    """Compare until all is equal, or nothing more is waited for; then have the books recounted.

    The books are read one after the other while transfers may go on: a finding counts only when
    it is still there at the end. An order that its payer's institution never sent does not get
    better by waiting: two looks are enough.
    """
    deadline = time.monotonic() + wait_s
    before: frozenset[Finding] = frozenset()
    has_looked_again = False
    orders = _Orders(country)
    while True:
        everyone = [one for one in country.participants() if one.code not in skipped]
        # The tills first: what is younger than the look at them is told apart, of books it is not.
        tills, no_tills = _read_tills(session, country, everyone)
        books, lost = _read_books(country, everyone)
        comparison, agents = _compared(country, books, tills, orders)
        lost |= {code: no_tills[code] for code in comparison.without_book & no_tills.keys()}
        comparison = given_up(comparison, orders.older(comparison, _HEARD_S))
        never_sent = frozenset(one for one in comparison.findings if one.text in _LOOKED_AT_TWICE)
        # The book was read before the ledger, so an order may be younger than the look at it.
        new, before = never_sent - before, never_sent
        travelling = len(comparison.findings) > len(never_sent)
        is_over = time.monotonic() >= deadline
        if is_over and has_looked_again:
            comparison, new = doubted(comparison, new), frozenset()
        if not new and (is_over or not travelling):
            seen = _recounted(country, everyone, comparison, lost, skipped)
            return replace(seen, agents=agents)
        has_looked_again = is_over
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
            books[one.code] = Book.of(
                one.code,
                country.movements(one),
                writes_first=one.simulated and one.kind != _MACHINES,
                has_machines=one.simulated and one.kind == _MACHINES,
            )
        except Failure as error:
            lost[one.code] = error.message
    return books, lost


def _read_tills(
    session: Session, country: Country, everyone: Iterable[Participant]
) -> tuple[dict[str, AgentBook], dict[str, str]]:
    codes = [one.code for one in everyone if one.lane == _AGENTS and not one.hook_url]
    if not codes:
        return {}, {}
    from chasqui.agent_reconciling import read_agent_books  # Late: it brings in asyncio.

    try:
        books, why = read_agent_books(country.operator, session.home, codes)
    except Failure as error:
        books, why = {}, error.message
    return books, {code: why for code in codes if code not in books}


def _compared(
    country: Country,
    books: Mapping[str, Book],
    tills: Mapping[str, AgentBook],
    orders: _Orders,
) -> tuple[Comparison, tuple[AgentComparison, ...]]:
    """Read the ledger once, and compare it with all books and tills."""
    own: list[Transfer] = []

    def noting(transfers: Iterable[Transfer]) -> Iterable[Transfer]:
        for one in transfers:
            if not tills.keys().isdisjoint((one.debtor_agent, one.creditor_agent)):
                own.append(one)
            yield one

    transfers = noting(country.transfers())
    returns: tuple[ReturnRow, ...] = tuple(country.returns())
    comparison = compare(transfers, books, returns, orders.quoted, tills)
    returned: Counter[str] = Counter()
    for row in returns:
        returned[row.transfer_id] += row.amount
    agents = tuple(compare_agents(one, own, returned) for one in tills.values())
    found = tuple(finding for one in agents for finding in one.findings)
    return replace(comparison, findings=comparison.findings + found), agents


def _recounted(
    country: Country,
    everyone: Iterable[Participant],
    comparison: Comparison,
    lost: Mapping[str, str],
    skipped: frozenset[str],
) -> _Seen:
    findings = comparison.findings
    unseen = dict.fromkeys(comparison.without_book - skipped, "") | dict(lost)
    without: list[str] = []
    for one in everyone:
        if not one.hook_url or one.code in unseen:
            continue
        try:
            found = country.recount(one)
        except Failure as error:
            unseen[one.code] = error.message
            continue
        if found is None:
            without.append(one.code)
        else:
            findings += recounted(one.code, found)
    return _Seen(replace(comparison, findings=findings), unseen, tuple(sorted(without)))


def _exit_code(audit: Audit, seen: _Seen) -> ExitCode:
    if not audit.clean or seen.comparison.of_kind(Kind.DIFFERENT):
        return ExitCode.REFUSED
    if seen.not_compared:
        return ExitCode.NOT_COMPARED
    return ExitCode.UNKNOWN if seen.comparison.findings else ExitCode.DONE


def _document(
    audit: Audit, seen: _Seen, skipped: frozenset[str], code: ExitCode
) -> dict[str, object]:
    comparison = seen.comparison
    return {
        "equal": code == ExitCode.DONE,
        "ledger_clean": audit.clean,
        "ledger_differences": audit.differences,
        "compared": comparison.compared,
        "different": [_row(one) for one in comparison.of_kind(Kind.DIFFERENT)],
        "not_yet": [_row(one) for one in comparison.of_kind(Kind.NOT_YET)],
        "not_compared": sorted(seen.not_compared),
        "not_recounted": seen.not_recounted,
        "skipped": sorted(skipped),
        "agents": _agents_documents(seen),
    }


def _agents_documents(seen: _Seen) -> list[dict[str, object]]:
    if not seen.agents:
        return []
    from chasqui.agent_reconciling import agents_document  # Late: it brings in asyncio.

    return [agents_document(one) for one in seen.agents]


def _row(one: Finding) -> dict[str, object]:
    row: dict[str, object] = {
        "instruction_id": one.instruction_id,
        "participant": one.participant,
        "what": one.text,
    }
    if one.recorded is not None:
        row |= {"recorded": one.recorded, "recounted": one.recounted}
    if one.operation:
        row["operation"] = one.operation
    return row


def _print_ledger(audit: Audit) -> None:
    if audit.clean:
        click.secho(_("The ledger agrees with itself."), fg="green")
        return
    click.secho(_("The ledger does not agree with itself:"), fg="red", bold=True)
    for one in audit.differences[:_SHOWN_MAX]:
        line = _("  {what} of {subject}: recorded {recorded}, recounted {recounted}")
        click.echo(line.format_map(structs.asdict(one)))


def _print_books(seen: _Seen, skipped: frozenset[str]) -> None:
    comparison = seen.comparison
    click.echo(_("Orders compared: {count}").format(count=comparison.compared))
    different, not_yet = comparison.of_kind(Kind.DIFFERENT), comparison.of_kind(Kind.NOT_YET)
    if different:
        click.secho(_("Different: {count}").format(count=len(different)), fg="red", bold=True)
        _print_findings(different)
    if not_yet:
        click.secho(_("Not yet: {count}").format(count=len(not_yet)), fg="yellow", bold=True)
        _print_findings(not_yet)
        click.echo(as_called(_("See what is owed with: chasqui stuck")))
    if not comparison.findings:
        some = skipped or seen.not_compared
        click.secho(
            _("The books that were compared are equal.") if some else _("All books are equal."),
            fg="green",
        )
    if seen.agents:
        from chasqui.agent_reconciling import print_agents  # Late: it brings in asyncio.

        for one in seen.agents:
            print_agents(one)
    _print_unseen(seen, skipped)


def _print_findings(findings: list[Finding]) -> None:
    rows = [(one.instruction_id, one.participant, _what(one)) for one in findings[:_SHOWN_MAX]]
    table((_("Order or account"), _("At"), _("What")), rows)
    if len(findings) > _SHOWN_MAX:
        click.echo(_("... and {count} more").format(count=len(findings) - _SHOWN_MAX))


def _what(one: Finding) -> str:
    if one.operation and one.operation != one.instruction_id:
        text = _("operation {operation}: {what}")
        return text.format(operation=one.operation, what=_(one.text))
    if one.recorded is None or one.recounted is None:
        return _(one.text)
    figures = _("recorded {recorded}, recounted {recounted}")
    return f"{_(one.text)}: {figures}".format(recorded=one.recorded, recounted=one.recounted)


def _print_unseen(seen: _Seen, skipped: frozenset[str]) -> None:
    if skipped:
        click.echo(_("Left out as asked: {codes}").format(codes=", ".join(sorted(skipped))))
    if seen.not_recounted:
        codes = ", ".join(seen.not_recounted)
        line = _("Compared, but not recounted, for want of GET /control/audit: {codes}")
        click.echo(line.format(codes=codes))
    for code, cause in sorted(seen.not_compared.items()):
        why = told(cause) or _("it has no test hook (control_url in fleet.toml)")
        click.secho(_("{code} could not be compared: {why}").format(code=code, why=why), fg="red")
