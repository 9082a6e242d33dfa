"""The mode ``window``: what it costs to close one big settlement window and to recount it."""

from pathlib import Path

import msgspec

from loadtests.bench.child import Child

WINDOW = "window"
"""Name of the mode."""
_S_MAX_FOR_A_MILLION = 120.0
_MILLION = 1_000_000


class WindowFigures(msgspec.Struct, frozen=True):
    """What closing and recounting cost.

    Attributes:
        open_s: to open the filled ledger, which reads every page of it once.
        close_s: from the tallies to the batch on disk; recount_s: the window anew from its lines,
            held against the batch; audit_s: everything in the ledger.
        loop_pause_ms: the longest that the event loop stood still during the audit.
        rss_mb: the most memory the process ever had.
        agrees: whether batch and recount agree and the audit is clean.
    """

    transfers: int
    participants: int
    lines: int
    fill_s: float
    ledger_mb: float
    open_s: float
    close_s: float
    recount_s: float
    audit_s: float
    loop_pause_ms: float
    rss_mb: float
    agrees: bool


def measure_window(folder: Path, transfers: int) -> WindowFigures:
    """Fill a ledger of its own in an empty folder, close its window, recount it.

    Raises:
        NotReady: the process that does it ended without figures.
    """
    folder.mkdir(parents=True)
    command = ["-m", "loadtests.bench.window_ledger", str(folder), str(transfers)]
    within_s = _S_MAX_FOR_A_MILLION * max(transfers / _MILLION, 1.0)
    with Child(WINDOW, command, core=None, log=folder / "window.log") as child:
        return msgspec.convert(child.ready(within_s), WindowFigures)
