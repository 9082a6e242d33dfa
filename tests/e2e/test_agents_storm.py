"""The storm of field agents, in `make soak` only: it takes minutes and thousands of connections."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.country import ROOT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.needs_mosquitto,
]
MOSQUITTO = ("--broker", "mosquitto")
AGENTS, OPERATIONS, SILENT = 1000, 20, 5000
SWITCH_BYTES_MAX = 200 << 20


def storm(folder: Path, *words: str) -> Any:
    """Raise a storm that must agree with itself; return its report."""
    command = [sys.executable, "-m", "loadtests.agents", "--within", "400", *words]
    command += ["--home", str(folder / "home"), "--report", str(folder / "report")]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return json.loads((folder / "report" / "storm.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("words", [MOSQUITTO, (*MOSQUITTO, "--kill"), ("--kill",)])
def test_a_thousand_terminals_that_come_back_at_once_are_all_settled(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    report = storm(tmp_path, *words)

    assert report["operations"] == AGENTS * OPERATIONS
    assert sum(report["codes"]["storm"].values()) == AGENTS * OPERATIONS
    assert [name for name, _ in report["kills"]] == (
        ["switch", "runtime.mqtt_broker"] if "--kill" in words else []
    )
    assert report["during"]["count"] > 0


def test_five_thousand_connected_terminals_cost_the_switch_little_memory(tmp_path: Path) -> None:
    report = storm(tmp_path, *MOSQUITTO, "--idle-agents", str(SILENT), "--agents", "100")

    assert report["idle_rss"]["switch"] < SWITCH_BYTES_MAX
    assert report["uses"]["switch"]["rss_max"] < SWITCH_BYTES_MAX
