"""``python -m loadtests.agents``: the options, and what is done with the result."""

import argparse
import resource
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop
from rich.console import Console

from loadtests.agents import report
from loadtests.agents.plan import BROKERS, EMBEDDED, Plan
from loadtests.agents.run import NotSettled, rage
from loadtests.bench.child import NotReady
from loadtests.bench.operations import NoSuchAnswer
from loadtests.day.calls import Unanswered
from runtime.clock import SystemClock

EXIT_DONE = 0
EXIT_DIFFERS = 1
EXIT_NO_ANSWER = 3
_FILES_BESIDE_CONNECTIONS = 256


def main(arguments: Sequence[str] | None = None) -> int:
    """Raise a storm.

    Returns:
        0 everything agrees to the cent; 1 something differs; 3 a process or an answer was missing.
    """
    asked = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=report.WIDTH)
    plan = Plan(
        broker=asked.broker,
        agents=asked.agents,
        operations=asked.operations,
        live=asked.live,
        idle=asked.idle_agents,
        kill=asked.kill,
        seed=asked.seed,
    )
    _allow_connections(plan.terminals)
    with ExitStack() as stack:
        home = asked.home or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="chasqui-storm-"))
        )
        try:
            work = rage(plan, home.resolve(), SystemClock(), console.print, asked.within)
            found = uvloop.run(work)
        except (NotReady, NoSuchAnswer, NotSettled, Unanswered) as error:
            console.print(f"storm: {error}", style="red", markup=False)
            return EXIT_NO_ANSWER
    report.write(found, asked.report)
    report.show(found, console)
    console.print(f"Written to {asked.report}", markup=False)
    return EXIT_DONE if found.holds else EXIT_DIFFERS


def _allow_connections(count: int) -> None:
    """Raise the limit of open files as far as the connections need and the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _FILES_BESIDE_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.agents", description=__doc__)
    add = parser.add_argument
    add("--broker", choices=BROKERS, default=EMBEDDED, help="which broker (default embedded)")
    add("--agents", type=int, default=1000, help="terminals that come back (default 1000)")
    add("--operations", type=int, default=20, help="in the queue of each (default 20)")
    add("--live", type=int, default=20, help="terminals in use meanwhile (default 20)")
    add("--idle-agents", type=int, default=0, help="terminals that are connected and silent")
    add("--kill", action="store_true", help="kill -9 the switch and the broker in mid-storm")
    add("--seed", type=int, default=992, help="of accounts, amounts and waits (default 992)")
    add("--within", type=float, default=600.0, help="seconds for everything to be settled")
    add("--home", type=Path, help="empty folder for the country's data; it is kept")
    add("--report", type=Path, default=Path("build/storm"), help="folder of the report")
    return parser
