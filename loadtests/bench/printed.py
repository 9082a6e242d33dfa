"""The figures as a table for people."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtests.bench.iso8583_codec import ISO_CODEC, CodecFigures
from loadtests.bench.iso8583_links import ISO_LINKS, LinksFigures
from loadtests.bench.measure import Figures
from loadtests.bench.run import Report
from loadtests.bench.window import WINDOW, WindowFigures

_MANY = 10


def print_report(report: Report, console: Console) -> None:
    """Print one row for each mode, then the checks, then start-up and memory."""
    _print_modes(report, console)
    _print_singles(report, console)
    for name, held in report.checks.items():
        verdict = "equal to the ledger" if held.holds else "NOT equal to the ledger"
        console.print(f"{name}: {held.accepted} transfers accepted, the book is {verdict}")
    if report.startup is not None:
        begun = report.startup
        console.print(
            f"chasqui up to the first transfer: {begun.again_s:.2f} s "
            f"(with seeding {begun.first_s:.2f} s)"
        )
        parts = ", ".join(f"{name} {mb:.0f}" for name, mb in begun.rss_mb_by_process.items())
        console.print(f"Resident memory, idle: {begun.rss_mb:.0f} MB ({parts})")


def _print_modes(report: Report, console: Console) -> None:
    table = Table(
        title="Full transfers, durable",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for title in ("mode", "per s", "p50 ms", "p95", "p99", "CPU us", "relay us", "ratio"):
        table.add_column(title, justify="left" if title == "mode" else "right")
    for name, one in report.modes.items():
        if not isinstance(one, Figures):
            continue
        table.add_row(
            name,
            f"{one.transfers_per_s:.0f}",
            f"{one.p50_ms:.1f}",
            f"{one.p95_ms:.1f}",
            f"{one.p99_ms:.1f}",
            f"{one.cpu_us_per_transfer:.0f}",
            f"{one.baseline_cpu_us:.0f}",
            f"{_times(one.ratio)} ({_times(one.ratio_min)}-{_times(one.ratio_max)})",
        )
    if table.rows:
        console.print(table)


def _times(ratio: float) -> str:
    """Return a ratio with three or four digits, so that the table keeps to 80 columns."""
    return f"{ratio:.2f}" if ratio < _MANY else f"{ratio:.1f}"


def _print_singles(report: Report, console: Console) -> None:
    """Print the modes that are no transfers through a switch, a sentence each."""
    codec = report.modes.get(ISO_CODEC)
    if isinstance(codec, CodecFigures):
        console.print(
            f"0200 of {codec.elements} elements: decode {codec.decode_us:.1f} us + encode "
            f"{codec.encode_us:.1f} us = {codec.both_us:.1f} us; pyiso8583 "
            f"{codec.reference_both_us:.1f} us, {codec.ratio:.1f} times as much"
        )
    links = report.modes.get(ISO_LINKS)
    if isinstance(links, LinksFigures):
        console.print(
            f"{links.links} links signed on: + {links.more_mb:.1f} MB, "
            f"switch {links.after_mb:.0f} MB ({links.before_mb:.0f} MB before)"
        )
    window = report.modes.get(WINDOW)
    if isinstance(window, WindowFigures):
        console.print(
            f"window of {window.transfers} transfers between {window.participants}: closed in "
            f"{window.close_s:.3f} s, recounted in {window.recount_s:.2f} s, whole audit "
            f"{window.audit_s:.2f} s (loop still for {window.loop_pause_ms:.0f} ms at most), "
            f"{window.rss_mb:.0f} MB; {'agrees' if window.agrees else 'does NOT agree'}"
        )
