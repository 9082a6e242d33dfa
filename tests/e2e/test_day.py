"""The scripted day, small in `make test` and of its full size in `make soak`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.country import ROOT

SOAK = (pytest.mark.soak, pytest.mark.timeout(1800))


@pytest.mark.parametrize(
    ("transfers", "words"),
    [
        (600, ("--kill", "--approvals", "--customers", "60")),
        pytest.param(100_000, (), marks=SOAK),
        pytest.param(100_000, ("--kill",), marks=SOAK),
    ],
)
def test_a_day_over_all_rails_agrees_to_the_cent(
    tmp_path: Path, transfers: int, words: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "loadtests.day", "--transfers", str(transfers)]
    command += ["--home", str(tmp_path / "home"), "--report", str(tmp_path / "report"), *words]

    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    report = json.loads((tmp_path / "report" / "day.json").read_text(encoding="utf-8"))
    assert report["transfers"] == transfers
    assert {one["state"] for one in report["batches"]} == {"SETTLED", "PARTIAL"}
    assert (report["kills"] > 0) is ("--kill" in words)
    ways = report["orders"]
    assert set(ways) == {"wire", "hook", "deferred", "lbtr"}
    assert any("AB05" in outcome for outcome in ways["wire"])
    assert any("FF07" in outcome for outcome in ways["wire"])
    book = (tmp_path / "report" / "book.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(book) == transfers
