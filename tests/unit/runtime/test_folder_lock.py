"""One process per folder of data."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.folder_lock import FolderLock
from scheme.errors import ConfigError


def test_a_second_holder_is_turned_away_and_told_who_has_it(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(ConfigError) as refused:
        FolderLock(tmp_path).acquire()
    assert str(tmp_path) in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)


def test_another_process_is_turned_away(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from runtime.folder_lock import FolderLock\n"
        "FolderLock(pathlib.Path(sys.argv[1])).acquire()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    root = Path(__file__).resolve().parents[3]
    with FolderLock(tmp_path):
        refused = subprocess.run(command, cwd=root, capture_output=True, check=False)
    allowed = subprocess.run(command, cwd=root, capture_output=True, check=False)
    assert f"process {os.getpid()}".encode() in refused.stderr
    assert allowed.returncode == 0


def test_a_released_folder_can_be_had_again(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.release()
    lock.acquire()
    lock.release()
    with FolderLock(tmp_path):
        pass


def test_parts_of_a_folder_are_locked_apart(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "switch"), FolderLock(tmp_path, "fleet"):
        pass


def test_a_missing_folder_is_made_and_the_lock_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "home"
    with FolderLock(folder):
        mode = (folder / "chasqui.lock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ConfigError, match="file: cannot be used"):
        FolderLock(path).acquire()
