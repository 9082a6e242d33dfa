"""Run every check of the project, whatever fails on the way, and say at the end how it went."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Step:
    """One check: what it is called and the command that does it."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check ended."""

    name: str
    exit_code: int
    seconds: float


CHECKS = (
    Step("format", (str(_BIN / "ruff"), "format", "--check", "--quiet", ".")),
    Step("lint", (str(_BIN / "ruff"), "check", "--quiet", ".")),
    Step("types", (str(_BIN / "mypy"),)),
    Step("floors", (str(_BIN / "lint-imports"),)),
)
# Last, so that pytest's closing line stands beside the summary.
TESTS = Step("tests", (sys.executable, "-m", "pytest", "-q", "-n", "2"))


def run_all(steps: Sequence[Step], run: Callable[[Step], int]) -> list[Outcome]:
    """Run every step in order, also after one has failed, and return how each ended."""
    outcomes = []
    for step in steps:
        print(f"== {step.name}", flush=True)
        started = time.monotonic()
        exit_code = run(step)
        outcomes.append(Outcome(step.name, exit_code, time.monotonic() - started))
    return outcomes


def summary(outcomes: Sequence[Outcome], left_out: Sequence[str]) -> str:
    """Return the closing words: a line for each check, then what was left out."""
    lines = ["", "Summary"]
    for outcome in outcomes:
        verdict = "passed" if outcome.exit_code == 0 else f"FAILED (exit {outcome.exit_code})"
        lines.append(f"  {outcome.name:<8} {verdict:<18} {outcome.seconds:6.1f} s")
    if left_out:
        lines.append("Left out on this machine:")
        lines += [f"  {line}" for line in left_out]
    elif any(outcome.name == TESTS.name for outcome in outcomes):
        lines.append("Nothing was left out. Longer runs: make soak, make bench.")
    else:
        lines.append("The tests were not asked for: make test.")
    return "\n".join(lines)


def verdict(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of the whole: 0 only if every check passed."""
    return int(any(outcome.exit_code for outcome in outcomes))


def _runner(environment: Mapping[str, str]) -> Callable[[Step], int]:
    def run(step: Step) -> int:
        return subprocess.run(step.command, cwd=_ROOT, env=environment, check=False).returncode

    return run


def main(arguments: Sequence[str]) -> int:
    """Run the checks; ``--no-tests`` leaves pytest out, anything else is handed to it."""
    passed_on = tuple(argument for argument in arguments if argument != "--no-tests")
    tests = Step(TESTS.name, TESTS.command + passed_on)
    steps = CHECKS if "--no-tests" in arguments else (*CHECKS, tests)
    with tempfile.TemporaryDirectory() as folder:
        # tests/conftest.py writes here what it had to skip.
        list_path = Path(folder) / "left-out.txt"
        environment = {**os.environ, "CHASQUI_LEFT_OUT": str(list_path)}
        outcomes = run_all(steps, _runner(environment))
        left_out = list_path.read_text().splitlines() if list_path.exists() else []
    print(summary(outcomes, left_out))
    return verdict(outcomes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
