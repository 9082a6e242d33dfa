"""How a country ends: ``kill -9`` of ``up``, Ctrl-C under load, and a disk that takes no more."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from chasqui.exits import ExitCode
from tests.support.country import SupervisedCountry, is_running, until
from tests.support.load import Load, assert_settled

GONE_S_MAX = 20.0
TRANSFERS = 400


def assert_gone(children: list[int]) -> None:
    """No child is left within seconds; that their ports are free, the next start shows."""
    until(lambda: not any(map(is_running, children)), "children gone", seconds=GONE_S_MAX)


async def test_killed_up_takes_its_children_along_and_the_next_one_makes_good(
    tmp_path: Path,
) -> None:
    with SupervisedCountry(tmp_path / "home") as country:
        load = Load(country.up(), seed=21)
        running = asyncio.create_task(load.run(TRANSFERS))
        await load.until_told(TRANSFERS // 3)
        children = list(country.children.values())
        assert len(children) == 2

        await asyncio.to_thread(country.kill_up)
        await asyncio.to_thread(assert_gone, children)
        await asyncio.to_thread(country.up)
        await running

        await load.assert_sound()


async def test_ctrl_c_under_load_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with SupervisedCountry(tmp_path / "home") as country:
        load = Load(country.up(), seed=22)
        running = asyncio.create_task(load.run(TRANSFERS))
        await load.until_told(TRANSFERS // 3)
        children = list(country.children.values())

        code, said = await asyncio.to_thread(country.down)

        assert code == ExitCode.DONE
        assert "Stopped." in said
        await asyncio.to_thread(assert_gone, children)
        before = len(load.told)
        await asyncio.to_thread(country.up)
        await running
        assert len(load.told) > before
        await load.assert_sound()


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files")
@pytest.mark.parametrize("module", ["switch", "participants"])
def test_a_full_disk_ends_the_country_with_its_own_code_and_no_answer(
    tmp_path: Path, module: str
) -> None:
    with SupervisedCountry(tmp_path / "home") as country:
        country.up()
        children = country.children
        # From here on every write beyond what is in its files fails, its log's too.
        psutil.Process(children[module]).rlimit(psutil.RLIMIT_FSIZE, (0, 0))

        paid = country.call(
            "send", "--from", "900000101", "--to", "900000202", "--entity", "0971",
            "--amount", "12.00", code=None,
        )  # fmt: skip
        code, said = country.ended()

        assert paid.returncode == ExitCode.UNKNOWN, (paid.stdout, paid.stderr)
        assert code == ExitCode.FAILED_COMMIT, said
        assert "could not write to its disk" in said
        assert "started again in" not in said
        assert_gone(list(children.values()))
        country.up()
        assert_settled(country)
