"""Chasqui's own commands, called as a person calls them, on the day's country."""

import json
import subprocess
import sys
from typing import Any

from loadtests.day.country import DayCountry
from loadtests.day.plan import BANK_AGENTS, COOP_AGENTS
from loadtests.day.report import Claim

_WAIT_S = 300.0


def call(country: DayCountry, *words: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it said."""
    command = [sys.executable, "-m", "chasqui", "--home", str(country.home), "--lang", "en"]
    command += ["--operator-url", f"http://127.0.0.1:{country.operator_port}", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_WAIT_S)
    return done.returncode, done.stdout, done.stderr


def reconciled_books(country: DayCountry) -> Claim:
    """Have the institutions' own books compared with the ledger.

    The generator's agents keep no book that a hook could show; theirs is compared by file.
    """
    skip = [word for code in (*BANK_AGENTS, *COOP_AGENTS) for word in ("--skip", code)]
    words = ("reconcile", "--books", "--wait", "30", *skip, "--json")
    code, out, err = call(country, *words)
    name = "the participants' books equal the ledger"
    try:
        said: dict[str, Any] = json.loads(out)
    except json.JSONDecodeError:
        return Claim(name=name, checked=0, differences=(f"exit {code}: {out}{err}",))
    found = [f"exit {code}"] if code else []
    for kind in ("ledger_differences", "different", "not_yet", "not_compared"):
        found += [f"{kind}: {one}" for one in said[kind][:20]]
    return Claim(name=name, checked=int(said["compared"]), differences=tuple(found))
