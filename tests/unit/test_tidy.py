"""The shape of the code: what ruff and mypy do not check and a reader relies on."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
TEXT_BYTES_MAX = 2_000_000

# Written so that these lines do not match themselves.
REGISTRY_HOST = re.compile(r"pypi\.org|python(?:hosted)|registry\.npmjs|deb\.debian\.org")
MACHINE_PATH = re.compile(r"(?:^|[^\w.])/(?:work|root|farm)/", re.MULTILINE)

# The scheme's profile is the field's own word, and nobody here needs the standard profiler.
NAMES_ALLOWED = {"profile"}
IGNORED_FOLDERS = {"build", "dist", "__pycache__"}


def _project_files() -> list[Path]:
    """Return the files that are, or would be, in the repository."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
        found = [ROOT / name for name in listing.decode().split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not _is_ignored(path)]
    return sorted({path for path in found if path.is_file()})


def _is_ignored(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return any(part.startswith(".") or part in IGNORED_FOLDERS for part in parts)


FILES = _project_files()
MODULES = [path for path in FILES if path.suffix == ".py"]


def _texts() -> Iterator[tuple[Path, str]]:
    for path in FILES:
        if path.stat().st_size <= TEXT_BYTES_MAX:
            yield path.relative_to(ROOT), path.read_bytes().decode(errors="replace")


def _matches(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}: {match.group()}" for path, text in _texts() if (match := pattern.search(text))
    ]


def test_no_function_is_longer_than_a_page() -> None:
    too_long = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert too_long == []


def test_no_module_holds_more_than_one_idea() -> None:
    sizes = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: size for path, size in sizes.items() if size > FILE_LINES_MAX} == {}


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert _matches(REGISTRY_HOST) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _matches(MACHINE_PATH) == []


def test_no_module_is_named_like_a_standard_module_or_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = " ".join(project["dependencies"])
    dependencies = {name.replace("-", "_") for name in re.findall(r"(?:^|\s)([a-z0-9-]+)", named)}
    taken = (sys.stdlib_module_names | dependencies | {"iso8583"}) - NAMES_ALLOWED
    assert [path for path in MODULES if path.stem in taken and path.stem != "__main__"] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY_HOST, "see https://" + "files.python" + "hosted.org/x"),
        (MACHINE_PATH, "open('/" + "work/main/x')"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
