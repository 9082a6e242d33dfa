"""``python -m loadtests.bench``: the options, and what is done with the result."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from loadtests.bench.child import NotReady
from loadtests.bench.iso8583_codec import ISO_CODEC
from loadtests.bench.iso8583_link import RefusedLink
from loadtests.bench.iso8583_links import ISO_LINKS
from loadtests.bench.local_country import MODES
from loadtests.bench.measure import NothingMeasured
from loadtests.bench.operations import NoSuchAnswer
from loadtests.bench.printed import print_report
from loadtests.bench.rehearse import Rehearsal, rehearse
from loadtests.bench.run import Plan, failures, run
from loadtests.bench.window import WINDOW
from runtime.clock import SystemClock

EXIT_DONE = 0
EXIT_DIFFERS = 1
EXIT_NO_ANSWER = 3

_NAMES = (*(mode.name for mode in MODES), ISO_CODEC, ISO_LINKS, WINDOW)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for.

    Returns:
        0 done; 1 answers or money differ from the ledger; 3 a process or an answer was missing.
    """
    asked = _parser().parse_args(arguments)
    console = Console(highlight=False)
    try:
        if asked.url:
            return _rehearse(asked, console)
        return _bench(asked, console)
    except (NotReady, NoSuchAnswer, NothingMeasured, RefusedLink) as error:
        console.print(f"bench: {error}", style="red", markup=False)
        return EXIT_NO_ANSWER


def _bench(asked: argparse.Namespace, console: Console) -> int:
    plan = Plan(
        modes=tuple(mode for mode in MODES if mode.name in asked.modes),
        pairs=asked.pairs,
        seconds=asked.seconds,
        in_flight=asked.in_flight,
        seed=asked.seed,
        with_startup=asked.startup,
        window_transfers=asked.window_transfers if WINDOW in asked.modes else 0,
        with_codec=ISO_CODEC in asked.modes,
        iso8583_links=asked.iso8583_links if ISO_LINKS in asked.modes else 0,
    )
    with tempfile.TemporaryDirectory(prefix="chasqui-bench-") as folder:
        report = uvloop.run(run(plan, Path(folder), SystemClock(), console.print))
    print_report(report, console)
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    console.print(f"Written to {asked.output}")
    wrong = failures(report)
    for line in wrong:
        console.print(line, style="red", markup=False)
    return EXIT_DIFFERS if wrong else EXIT_DONE


def _rehearse(asked: argparse.Namespace, console: Console) -> int:
    plan = Rehearsal(
        url=asked.url,
        operator_url=asked.operator_url,
        transfers=asked.transfers,
        seconds=None if asked.transfers else asked.seconds,
        in_flight=asked.in_flight,
        seed=asked.seed,
        book=asked.book,
    )
    found = uvloop.run(rehearse(plan, SystemClock()))
    console.print(msgspec.json.format(msgspec.json.encode(found)).decode(), markup=False)
    return EXIT_DONE if found.holds else EXIT_DIFFERS


def _modes(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in _NAMES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]}: one of {', '.join(_NAMES)}")
    return names


def _above_zero(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    add = parser.add_argument
    add("--pairs", type=_above_zero, default=5, help="pairs that count (default 5)")
    add("--seconds", type=float, default=2.0, help="length of a round (default 2)")
    add("--modes", type=_modes, default=_NAMES, help=",".join(_NAMES))
    add(
        "--window-transfers",
        type=_above_zero,
        default=1_000_000,
        help="of the window that is closed and recounted (default 1000000)",
    )
    add(
        "--iso8583-links",
        type=_above_zero,
        default=1_000,
        help="open links whose memory is taken (default 1000)",
    )
    add("--in-flight", type=_above_zero, default=64, help="transfers at once (default 64)")
    add("--seed", type=int, default=970, help="of payees and amounts (default 970)")
    add("--no-startup", dest="startup", action="store_false", help="leave start-up out")
    add("--output", type=Path, default=Path("build/bench.json"), help="file of the figures")
    add("--url", default="", help="drive this running clearing house instead, unsigned")
    add("--operator-url", default="http://127.0.0.1:7081", help="its operator API")
    add("--transfers", type=_above_zero, help="with --url: how many, instead of --seconds")
    add(
        "--book", type=Path, default=Path("build/bench-book.jsonl"), help="with --url: every answer"
    )
    return parser
