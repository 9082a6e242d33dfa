"""A switch that cannot start says why in one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FLEET = """
[[participant]]
code = "0970"
name = "CAJA SIMULADA UNO"
kind = "caja"
simulated = false
"""


def _garbage(home: Path) -> None:
    (home / "ledger.db").write_bytes(b"no database at all" * 300)


def _in_the_way(home: Path) -> None:
    (home / "wire").write_text("a file")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [(_garbage, "ledger.db: damaged"), (_in_the_way, "wire: cannot be used")],
)
def test_a_home_that_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], named: str
) -> None:
    fleet, config = tmp_path / "fleet.toml", tmp_path / "switch.toml"
    fleet.write_text(FLEET)
    config.write_text(f'home = "{tmp_path}"\nfleet = "{fleet}"\ntin_port = 0\noperator_port = 0\n')
    spoil(tmp_path)

    ended = subprocess.run(
        [sys.executable, "-m", "switch", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 2
    said = json.loads(ended.stdout)
    assert said["event"] == "failed"
    assert named in said["error"]
    assert "Traceback" not in ended.stderr
