"""The locks are whole, name no host and agree; what is imported is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
EXTRAS_OF_LOCK = {"base": ("build",), "dev": ("build", "dev"), "load": ("build", "load")}
LOCKS = sorted(EXTRAS_OF_LOCK)

PIN = re.compile(r"^(?P<requirement>[^\s#].*?) \\\n(?P<hashes>(?:    --hash=\S+(?: \\)?\n)+)", re.M)
HOST_OR_PATH = re.compile(r"https?://|file:|--(?:index|extra-index|find-links)|\s@\s|\.whl")


def _lock_text(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text()


@cache
def _pins(lock: str) -> dict[str, list[Requirement]]:
    """Return the locked requirements by name; one name may have several, for several platforms."""
    pins: dict[str, list[Requirement]] = {}
    for match in PIN.finditer(_lock_text(lock)):
        requirement = Requirement(match["requirement"])
        pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


def _versions(lock: str, name: str) -> set[str]:
    return {str(pin.specifier) for pin in _pins(lock)[name]}


def _declared(lock: str) -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = list(PROJECT["project"]["dependencies"])
    for extra in EXTRAS_OF_LOCK[lock]:
        wanted += extras[extra]
    return [Requirement(text) for text in wanted]


def _imported(package: str) -> Iterator[tuple[str, str]]:
    """Yield (file, top-level name) for every absolute import in a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                yield str(path.relative_to(ROOT)), name.partition(".")[0]


def _imported_as(distribution: str) -> str:
    # This one alone is not imported under its own name.
    return "iso8583" if distribution == "pyiso8583" else distribution.replace("-", "_")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_file(lock: str) -> None:
    assert HOST_OR_PATH.findall(_lock_text(lock)) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_one_pinned_and_hashed_version(lock: str) -> None:
    entries = [line for line in _lock_text(lock).splitlines() if re.match(r"[^\s#]", line)]
    pins = [pin for pins in _pins(lock).values() for pin in pins]
    assert len(pins) == len(entries)
    assert all(re.fullmatch(r"==[^,*]+", str(pin.specifier)) for pin in pins)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_all_that_is_declared(lock: str) -> None:
    pins = _pins(lock)
    for wanted in _declared(lock):
        name = canonicalize_name(wanted.name)
        assert name in pins, f"{name} is not in {lock}.txt: run make lock"
        for version in _versions(lock, name):
            assert wanted.specifier.contains(version.removeprefix("==")), f"{name}{version}"


@pytest.mark.parametrize("lock", ["dev", "load"])
def test_a_larger_lock_pins_the_same_versions_as_the_base(lock: str) -> None:
    differing = [name for name in _pins("base") if _versions("base", name) != _versions(lock, name)]
    assert differing == []


def test_the_build_needs_nothing_that_is_not_locked() -> None:
    names = {
        canonicalize_name(Requirement(text).name) for text in PROJECT["build-system"]["requires"]
    }
    assert names <= set(_pins("base"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_is_declared(package: str) -> None:
    # The load tests run with the tools of development or of load beside the base.
    extras = PROJECT["project"]["optional-dependencies"]
    texts = list(PROJECT["project"]["dependencies"])
    if package == "loadtests":
        texts += extras["dev"] + extras["load"]
    declared = {_imported_as(Requirement(text).name) for text in texts}
    known = declared | set(PACKAGES) | sys.stdlib_module_names
    assert [(path, name) for path, name in _imported(package) if name not in known] == []


def test_every_package_is_known_to_the_build_and_to_the_floors() -> None:
    floors = PROJECT["tool"]["importlinter"]["root_packages"]
    layers = " ".join(PROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    assert sorted(floors) == sorted(PACKAGES) == sorted(re.findall(r"\w+", layers))


def test_every_dependency_is_explained() -> None:
    page = (ROOT / "docs" / "decisions" / "dependencies.md").read_text()
    extras = PROJECT["project"]["optional-dependencies"].values()
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in extras for text in extra)]
    names = [Requirement(text).name for text in texts]
    assert [name for name in names if f"| {name} |" not in page] == []
