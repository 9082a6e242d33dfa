"""What all tests share: marks for tools that a machine may lack, and Hypothesis profiles.

A test with such a mark is skipped where the tool is missing, and named at the end of the run. With
CHASQUI_REQUIRE_ALL=1 in the environment nothing may be left out: the run then fails.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
"""Servers are not in every user's path."""
ROOT = Path(__file__).resolve().parents[1]
TOOLS = {
    "needs_curl": "curl",
    "needs_mosquitto": "mosquitto",
    "needs_mosquitto_sub": "mosquitto_sub",
    "needs_openssl": "openssl",
    "needs_taskset": "taskset",
}

# The same examples in every run, and none judged by its time; `make soak` explores.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    # Each of the many processes that tests start would compile the whole project otherwise.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / "build" / "pycache"))
    for mark, tool in TOOLS.items():
        config.addinivalue_line("markers", f"{mark}: left out where there is no {tool}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark, tool in TOOLS.items():
        if item.get_closest_marker(mark) is not None and shutil.which(tool, path=PATH) is None:
            pytest.skip(f"this machine has no {tool}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    left_out = _left_out(config)
    if left_out:
        terminalreporter.section("left out on this machine")
        for line in left_out:
            terminalreporter.line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    left_out = _left_out(session.config)
    list_path = os.environ.get("CHASQUI_LEFT_OUT")
    if left_out and list_path:
        Path(list_path).write_text("".join(f"{line}\n" for line in left_out))
    required = os.environ.get("CHASQUI_REQUIRE_ALL") == "1"
    if left_out and required and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _left_out(config: pytest.Config) -> list[str]:
    """Return one line for each skipped test; nothing in a worker of xdist."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return []
    reports = reporter.stats.get("skipped", [])
    return list(dict.fromkeys(f"{report.nodeid}: {_reason(report)}" for report in reports))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # A skip is told as (file, line, reason).
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
