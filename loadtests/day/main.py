"""``python -m loadtests.day``: the options, and what is done with the result."""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop
from rich.console import Console

from loadtests.bench.child import NotReady
from loadtests.bench.operations import NoSuchAnswer
from loadtests.day import report
from loadtests.day.calls import Unanswered
from loadtests.day.plan import APPROVERS, Plan
from loadtests.day.run import live
from runtime.clock import SystemClock

EXIT_DONE = 0
EXIT_DIFFERS = 1
EXIT_NO_ANSWER = 3
TRANSFERS_MIN = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Live a day.

    Returns:
        0 everything agrees to the cent; 1 something differs; 3 a process or an answer was missing.
    """
    asked = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=report.WIDTH)
    plan = Plan(
        transfers=asked.transfers,
        seed=asked.seed,
        kill=asked.kill,
        approvals=len(APPROVERS) if asked.approvals else 0,
        customers=asked.customers,
    )
    with ExitStack() as stack:
        home = asked.home or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="chasqui-day-"))
        )
        folder = asked.report or Path("build/day")
        try:
            found = uvloop.run(live(plan, home.resolve(), folder, SystemClock(), console.print))
        except (NotReady, NoSuchAnswer, Unanswered) as error:
            console.print(f"day: {error}", style="red", markup=False)
            return EXIT_NO_ANSWER
    report.show(found, console)
    console.print(f"Written to {folder}", markup=False)
    return EXIT_DONE if found.holds else EXIT_DIFFERS


def _enough(text: str) -> int:
    number = int(text)
    if number < TRANSFERS_MIN:
        raise argparse.ArgumentTypeError(f"at least {TRANSFERS_MIN}: fewer touch no rule")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.day", description=__doc__)
    add = parser.add_argument
    add("--transfers", type=_enough, default=100_000, help="orders of all rails (default 100000)")
    add("--seed", type=int, default=970, help="of who pays whom and how much (default 970)")
    add("--kill", action="store_true", help="kill -9 the switch while batches are settled")
    add("--approvals", action="store_true", help="two people approve every batch")
    add("--customers", type=int, default=400, help="most customers of one institution")
    add("--home", type=Path, help="empty folder for the country's data; it is kept")
    add("--report", type=Path, help="folder of the report and all files (default build/day)")
    return parser
