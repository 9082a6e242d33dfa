"""The benchmark's mode ``window`` on a small ledger."""

import json
from pathlib import Path

import pytest

from loadtests.bench.main import main


def test_a_small_window_is_closed_and_agrees_with_its_recount(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bench.json"
    options = ["--modes", "window", "--window-transfers", "2000", "--no-startup"]

    assert main([*options, "--output", str(output)]) == 0

    figures = json.loads(output.read_text())["modes"]["window"]
    assert figures["agrees"]
    assert (figures["transfers"], figures["participants"]) == (2_000, 50)
    assert figures["lines"] == 2 * (2_000 - 2_000 // 33) + 50, "those of the prefunds included"
    assert "agrees" in capsys.readouterr().out
