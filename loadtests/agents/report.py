"""What a storm came to, as JSON and as lines a person can check."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.agents.plan import Plan
from loadtests.agents.watch import Use
from loadtests.bench.measure import percentile
from loadtests.day.report import Claim

WIDTH = 120
_MB = 1 << 20


class Waits(Struct, frozen=True, kw_only=True):
    """How long people waited at a counter, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Waits":
        """Return the figures of some waits; all 0 if there were none."""
        if not seconds:
            return cls(count=0, p50_ms=0, p95_ms=0, p99_ms=0, max_ms=0)
        ordered = sorted(one * 1000 for one in seconds)
        return cls(
            count=len(ordered),
            p50_ms=percentile(ordered, 50),
            p95_ms=percentile(ordered, 95),
            p99_ms=percentile(ordered, 99),
            max_ms=ordered[-1],
        )


class Bytes(Struct, frozen=True, kw_only=True):
    """Bytes for one operation of the storm, both ways together.

    Attributes:
        operation, verdict: of the payloads that carry them.
        payloads: of all payloads, Hello and digest too; wire: of the connections from their first
            byte on, without TCP.
    """

    operation: float
    verdict: float
    payloads: float
    wire: float


class Report(Struct, frozen=True, kw_only=True):
    """One storm.

    Attributes:
        operations: of the storm; settled_s: until the last had its verdict; closed_s: until all
            digests agreed.
        codes: verdicts by code, of the storm and of live operations.
        repeats: Hellos of terminals that heard nothing for a while.
        before, during: waits for live operations.
        uses: by program, while the storm lasted; load_cpu_s: of the generator.
        idle_rss: of each program when only the silent terminals were connected.
        kills: what was killed, and for how many seconds it was away.
    """

    plan: Plan
    operations: int
    settled_s: float
    closed_s: float
    connected_s: float
    codes: Mapping[str, Mapping[str, int]]
    repeats: int
    faults: int
    before: Waits
    during: Waits
    bytes_each: Bytes
    uses: Mapping[str, Use]
    load_cpu_s: float
    idle_rss: Mapping[str, int]
    kills: tuple[tuple[str, float], ...]
    claims: tuple[Claim, ...]

    @property
    def holds(self) -> bool:
        """Whether every claim does."""
        return bool(self.claims) and all(one.holds for one in self.claims)

    @property
    def rate(self) -> float:
        """Operations of the storm settled in a second."""
        return self.operations / self.settled_s if self.settled_s else 0.0


def write(report: Report, folder: Path) -> None:
    """Write ``storm.json`` and ``storm.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(report))
    (folder / "storm.json").write_bytes(content + b"\n")
    with (folder / "storm.txt").open("w", encoding="utf-8") as file:
        show(report, Console(file=file, width=WIDTH, highlight=False))


def show(report: Report, console: Console) -> None:
    """Print the figures, then what was checked."""
    plan, each = report.plan, report.bytes_each
    say = console.print
    say(
        f"{plan.agents} terminals with {plan.operations} operations each, {plan.live} in use, "
        f"{plan.idle} silent; broker: {plan.broker}; seed {plan.seed}",
        markup=False,
    )
    say(
        f"{report.operations} operations settled in {report.settled_s:.1f} s "
        f"({report.rate:.0f}/s), all digests closed after {report.closed_s:.1f} s; all were "
        f"connected after {report.connected_s:.1f} s",
        markup=False,
    )
    for kind, counts in report.codes.items():
        told = ", ".join(f"{code} {count}" for code, count in counts.items())
        say(f"verdicts, {kind}: {told}", markup=False)
    say(f"Hello said again {report.repeats} times; told busy {report.faults} times", markup=False)
    say(
        f"bytes for an operation: {each.operation:.0f} with {each.verdict:.0f} of its verdict, "
        f"{each.payloads:.0f} in all payloads, {each.wire:.0f} on the connections",
        markup=False,
    )
    for program, seconds in report.kills:
        say(f"kill -9 of {program}: away for {seconds:.1f} s", markup=False)
    _show_waits(report, console)
    _show_uses(report, console)
    _show_claims(report.claims, console)


def _show_waits(report: Report, console: Console) -> None:
    table = Table(title="Live operations, ms", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("When")
    for title in ("Operations", "p50", "p95", "p99", "longest"):
        table.add_column(title, justify="right")
    for when, waits in (("before", report.before), ("during the storm", report.during)):
        figures = (waits.p50_ms, waits.p95_ms, waits.p99_ms, waits.max_ms)
        table.add_row(when, str(waits.count), *(f"{one:,.1f}" for one in figures))
    console.print(table)


def _show_uses(report: Report, console: Console) -> None:
    table = Table(title="During the storm", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("Program")
    for title in ("CPU, s", "us for an operation", "Memory at most, MB", "before it, MB"):
        table.add_column(title, justify="right")
    for program, use in report.uses.items():
        each = use.cpu_s / report.operations * 1e6 if report.operations else 0.0
        before = report.idle_rss.get(program, 0) / _MB
        memory = f"{use.rss_max / _MB:.0f}"
        table.add_row(program, f"{use.cpu_s:.1f}", f"{each:.0f}", memory, f"{before:.0f}")
    table.add_row("this generator", f"{report.load_cpu_s:.1f}", "", "", "")
    console.print(table)


def _show_claims(claims: Sequence[Claim], console: Console) -> None:
    for claim in claims:
        if claim.holds:
            console.print(f"holds: {claim.name} ({claim.checked})", style="green", markup=False)
            continue
        text = f"DIFFERS: {claim.name} ({claim.checked} checked)"
        console.print(text, style="red", markup=False)
        for line in claim.differences[:20]:
            console.print(f"  {line}", markup=False)
