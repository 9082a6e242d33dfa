"""What a day came to, as JSON and as tables a person can check."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field
from rich import box
from rich.console import Console
from rich.table import Table

from scheme.batch import Batch, BatchRow, Bearer

WIDTH = 160
"""Columns that a batch's table needs."""


class Settled(Struct, frozen=True, kw_only=True):
    """A batch, its end and what its files hold."""

    batch: Batch
    state: str
    rules_applied: tuple[str, ...]
    bearers: tuple[Bearer, ...]
    unwound: int
    files: int = 0
    file_lines: int = 0


class Claim(Struct, frozen=True, kw_only=True):
    """Something that was checked: how many single things, and what differs."""

    name: str
    checked: int
    differences: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing differs, and there was something to check."""
        return not self.differences and self.checked > 0


class Report(Struct, frozen=True, kw_only=True):
    """One whole day."""

    transfers: int
    seed: int
    kills: int
    traffic_s: float
    total_s: float
    orders: Mapping[str, Mapping[str, int]]
    batches: tuple[Settled, ...] = ()
    claims: tuple[Claim, ...] = ()
    deeds: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether every claim does."""
        return bool(self.claims) and all(one.holds for one in self.claims)


def write(report: Report, folder: Path) -> None:
    """Write ``day.json`` and ``day.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(report))
    (folder / "day.json").write_bytes(content + b"\n")
    with (folder / "day.txt").open("w", encoding="utf-8") as file:
        show(report, Console(file=file, width=WIDTH, highlight=False))


def show(report: Report, console: Console) -> None:
    """Print every batch with its nets, then the orders and what was checked."""
    for one in report.batches:
        _show_batch(one, console)
    for way, counts in report.orders.items():
        told = ", ".join(f"{count} {label}" for label, count in counts.items())
        console.print(f"{way}: {told}", markup=False)
    console.print(
        f"{report.transfers} orders in {report.traffic_s:.1f} s, {report.total_s:.1f} s with all "
        f"checks; seed {report.seed}; the switch was killed {report.kills} times",
        markup=False,
    )
    _show_claims(report.claims, console)


def _show_batch(one: Settled, console: Console) -> None:
    batch = one.batch
    rows = [row for row in batch.participants if _is_busy(row)]
    if not rows:
        console.print(f"{batch.batch}: {one.state}, nothing in it", markup=False)
        return
    table = Table(title=f"{batch.batch}: {one.state}", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("Participant")
    for title in (
        "Opening", "Sent", "Value", "Rejected", "Received", "Value", "Rejected", "Net",
        "Funded", "Drawn", "New opening",
    ):  # fmt: skip
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.participant, soles(row.opening),
            str(row.sent.accepted.count), soles(row.sent.accepted.value),
            str(row.sent.rejected.count),
            str(row.received.accepted.count), soles(row.received.accepted.value),
            str(row.received.rejected.count),
            soles(row.net), soles(row.funded.value), soles(row.drawn.value),
            soles(row.new_opening),
        )  # fmt: skip
    console.print(table)
    console.print(
        f"gross {batch.gross.count} orders, {soles(batch.gross.value)} {batch.currency}; nets sum "
        f"to {soles(batch.net_sum)}; {one.files} files with {one.file_lines} movements",
        markup=False,
    )
    if one.rules_applied:
        console.print(f"could not pay in: {', '.join(one.rules_applied)}", markup=False)
    for bearer in one.bearers:
        console.print(
            f"  {soles(bearer.minor)} owed by {bearer.failing}: {bearer.participant}, {bearer.by}",
            markup=False,
        )
    if one.unwound:
        console.print(f"  {one.unwound} orders were given back", markup=False)
    console.print()


def _is_busy(row: BatchRow) -> bool:
    counted = (row.sent.accepted, row.sent.rejected, row.received.accepted, row.received.rejected)
    return any(one.count for one in (*counted, row.funded, row.drawn))


def _show_claims(claims: Sequence[Claim], console: Console) -> None:
    for claim in claims:
        if claim.holds:
            console.print(f"holds: {claim.name} ({claim.checked})", style="green", markup=False)
            continue
        text = f"DIFFERS: {claim.name} ({claim.checked} checked)"
        console.print(text, style="red", markup=False)
        for line in claim.differences[:20]:
            console.print(f"  {line}", markup=False)


def soles(cents: int) -> str:
    """Return cents as people write an amount."""
    return f"{cents / 100:,.2f}"
