"""The list of members who want to be told."""

from __future__ import annotations

import os
from pathlib import Path

from switch.notifier.members import Members


def members(path: Path) -> Members:
    made = Members(path, lambda account: f"m{account}")
    made.look()
    return made


def test_only_who_is_on_the_list_is_told(tmp_path: Path) -> None:
    path = tmp_path / "members"
    path.write_text("m1\nm2\n")
    known = members(path)

    assert [known.told(account) for account in ("1", "2", "3", "", None)] == [
        "m1",
        "m2",
        "",
        "",
        "",
    ]


def test_without_a_list_nobody_is_told_until_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "members"
    known = members(path)
    assert known.told("1") == ""

    path.write_text("m1\n")
    known.look()
    assert known.told("1") == "m1"
    path.unlink()
    known.look()

    assert known.told("1") == ""


def test_a_list_written_in_the_same_moment_is_another_one(tmp_path: Path) -> None:
    path, part = tmp_path / "members", tmp_path / "part"
    path.write_text("m1\n")
    known = members(path)
    before = path.stat()
    part.write_text("m2\n")
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    part.replace(path)

    known.look()

    assert (known.told("1"), known.told("2")) == ("", "m2")


def test_a_list_that_cannot_be_read_leaves_everybody_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "members"
    path.write_text("m1\n")
    known = members(path)
    path.write_bytes(b"\xff\n")

    known.look()

    assert known.told("1") == "m1"
