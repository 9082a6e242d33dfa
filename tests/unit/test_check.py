"""The tools behind `make`: the whole run, what it left out, and the environment's interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MARKED_TEST = "import pytest\n\n\n@pytest.mark.needs_curl\ndef test_wire():\n    pass\n"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """Return tools/check.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("chasqui_check", ROOT / "tools" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_step_runs_even_after_one_has_failed(check: ModuleType) -> None:
    steps = [check.Step(name, ()) for name in ("a", "b", "c")]
    outcomes = check.run_all(steps, lambda step: 3 if step.name == "b" else 0)
    assert [(outcome.name, outcome.exit_code) for outcome in outcomes] == [
        ("a", 0),
        ("b", 3),
        ("c", 0),
    ]


def test_one_failed_step_fails_the_whole(check: ModuleType) -> None:
    passed, failed = check.Outcome("a", 0, 0.1), check.Outcome("b", 3, 0.1)
    assert check.verdict([passed, failed]) == 1
    assert check.verdict([passed, passed]) == 0
    assert "FAILED (exit 3)" in check.summary([passed, failed], [])


def test_the_summary_names_what_was_left_out(check: ModuleType) -> None:
    text = check.summary([check.Outcome("tests", 0, 0.1)], ["test_x: this machine has no curl"])
    assert text.endswith("test_x: this machine has no curl")
    assert "Nothing was left out" not in text


def _run_pytest(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a test that needs curl, on a machine without any tool."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_marked.py").write_text(MARKED_TEST)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHASQUI_")}
    empty = folder / "bin"
    empty.mkdir()
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**kept, "PATH": str(empty), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_a_test_whose_tool_is_missing_is_left_out_and_named(tmp_path: Path) -> None:
    list_path = tmp_path / "left-out.txt"
    done = _run_pytest(tmp_path, CHASQUI_LEFT_OUT=str(list_path))
    assert done.returncode == 0, done.stdout
    assert "left out on this machine" in done.stdout
    assert list_path.read_text() == "test_marked.py::test_wire: this machine has no curl\n"


def test_a_test_whose_tool_is_missing_fails_the_run_when_all_is_required(tmp_path: Path) -> None:
    done = _run_pytest(tmp_path, CHASQUI_REQUIRE_ALL="1")
    assert done.returncode == 1, done.stdout
    assert "test_marked.py::test_wire: this machine has no curl" in done.stdout


def test_an_environment_is_not_made_by_an_interpreter_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "tools" / "venv.sh"), str(tmp_path / "venv")],
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (tmp_path / "venv").exists()
