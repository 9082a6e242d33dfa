"""The benchmark on a real switch and fleet: one tiny pair, and a load on a running country."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from loadtests.bench.local_country import MODES, LocalCountry
from loadtests.bench.main import main
from loadtests.bench.traffic import Entry
from runtime.clock import SystemClock

ROOT = Path(__file__).resolve().parents[3]


def test_a_tiny_benchmark_finds_figures_and_equal_books(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "loadtests.bench", "--pairs", "1", "--seconds", "0.2"]
    command += ["--modes", "tin", "--in-flight", "8", "--no-startup", "--output", str(output)]
    home = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "100"}
    done = subprocess.run(
        command, cwd=ROOT, env=home, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal to the ledger" in done.stdout
    report = json.loads(output.read_text())
    figures, check = report["modes"]["tin"], report["checks"]["tin"]
    assert figures["in_flight"] == 8
    assert figures["pairs"] == 1
    for name in ("transfers_per_s", "p50_ms", "cpu_us_per_transfer", "baseline_cpu_us", "ratio"):
        assert figures[name] > 0
    assert figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
    assert check["holds"]
    assert check["accepted"] >= figures["transfers"]
    assert report["environment"]["cores"] >= 1


def test_a_load_on_a_running_country_keeps_a_book_that_the_ledger_agrees_with(
    tmp_path: Path,
) -> None:
    book = tmp_path / "book.jsonl"
    with LocalCountry(MODES[0], tmp_path / "home", None, SystemClock()) as country:
        where = ["--url", f"http://127.0.0.1:{country.tin_port}"]
        where += ["--operator-url", f"http://127.0.0.1:{country.operator_port}"]
        assert main([*where, "--transfers", "30", "--in-flight", "4", "--book", str(book)]) == 0
    entries = [msgspec.json.decode(line, type=Entry) for line in book.read_text().splitlines()]
    assert [entry.outcome for entry in entries] == ["accepted"] * 30
    assert len({entry.instruction_id for entry in entries}) == 30
