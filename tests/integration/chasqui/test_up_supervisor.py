"""The supervisor with small programs in the place of the switch and the fleet."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chasqui.child import Program
from chasqui.exits import ExitCode
from chasqui.supervisor import StartFailed, Supervisor

ROOT = Path(__file__).resolve().parents[3]
# Says that it is ready, then does what its test is about; ends in order on SIGTERM.
CHILD = """
import json, os, signal, sys, time
def stop(*_):
    open({marks!r}, "a").write({name!r} + " stopped\\n")
    time.sleep({stopping})
    sys.exit({exit_code})
signal.signal(signal.SIGTERM, stop)
open({marks!r}, "a").write({name!r} + " started\\n")
if {complaint!r}:
    print(json.dumps({{"event": "failed", "error": {complaint!r}}}), flush=True)
    sys.exit(2)
print(json.dumps({{"event": "ready", "pid": os.getpid()}}), flush=True)
os.read(0, 1)
sys.exit(9)
"""


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")


def a_program(
    folder: Path,
    name: str,
    *,
    stopping: float = 0.0,
    exit_code: int = 0,
    complaint: str = "",
    stop_s: float = 5.0,
) -> Program:
    script = CHILD.format(
        marks=str(folder / "marks"),
        name=name,
        stopping=stopping,
        exit_code=exit_code,
        complaint=complaint,
    )
    path = folder / f"{name}.py"
    path.write_text(script)
    return Program(name, (sys.executable, "-S", str(path)), folder / f"{name}.err", stop_s)


def marks(folder: Path) -> list[str]:
    path = folder / "marks"
    return path.read_text().splitlines() if path.exists() else []


async def always_ready() -> bool:
    return True


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not claim():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_stop_ends_the_first_program_before_the_second(tmp_path: Path) -> None:
    programs = [a_program(tmp_path, "switch", stopping=0.1), a_program(tmp_path, "fleet")]
    supervisor = Supervisor(programs, say=lambda _line: None)

    code = await supervisor.run(always_ready, supervisor.stop)

    assert code == ExitCode.DONE
    assert marks(tmp_path)[2:] == ["switch stopped", "fleet stopped"]


async def test_a_program_that_dies_is_started_again_and_it_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    programs = [a_program(tmp_path, "switch"), a_program(tmp_path, "fleet")]
    supervisor = Supervisor(programs, say=said.append, backoff_s=(0.01, 0.02))
    running = asyncio.create_task(supervisor.run(always_ready, lambda: None))
    await until(lambda: len(marks(tmp_path)) == 2)
    await until(lambda: len(supervisor.pids) == 2)
    await asyncio.sleep(0.2)
    first = supervisor.pids["fleet"]

    os.kill(first, signal.SIGKILL)
    await until(lambda: "fleet runs again." in said)

    assert supervisor.pids["fleet"] != first
    assert any("fleet died (killed by SIGKILL)" in line for line in said)
    supervisor.stop()
    assert await running == ExitCode.DONE


async def test_a_failed_commit_is_not_started_again_and_stops_everything(tmp_path: Path) -> None:
    said: list[str] = []
    programs = [a_program(tmp_path, "switch", exit_code=70), a_program(tmp_path, "fleet")]
    supervisor = Supervisor(programs, say=said.append, backoff_s=(0.01,))

    def kill_the_switch() -> None:
        os.kill(supervisor.pids["switch"], signal.SIGTERM)

    code = await supervisor.run(always_ready, kill_the_switch)

    assert code == ExitCode.FAILED_COMMIT
    assert marks(tmp_path).count("switch started") == 1
    assert "fleet stopped" in marks(tmp_path)
    assert any("reconcile" in line for line in said)


async def test_a_program_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    program = a_program(tmp_path, "switch", stopping=60, stop_s=0.2)
    supervisor = Supervisor([program], say=lambda _line: None)

    began = time.monotonic()
    await supervisor.run(always_ready, supervisor.stop)

    assert time.monotonic() - began < 5


async def test_a_second_stop_hurries(tmp_path: Path) -> None:
    program = a_program(tmp_path, "switch", stopping=60, stop_s=60)
    supervisor = Supervisor([program], say=lambda _line: None)
    running = asyncio.create_task(supervisor.run(always_ready, supervisor.stop))
    await until(lambda: "switch stopped" in marks(tmp_path))

    supervisor.stop()
    async with asyncio.timeout(5):
        await running


async def test_a_program_that_cannot_start_is_told_with_its_reason(tmp_path: Path) -> None:
    programs = [
        a_program(tmp_path, "switch"),
        a_program(tmp_path, "fleet", complaint="fleet.toml: colour: unknown"),
    ]
    supervisor = Supervisor(programs, say=lambda _line: None)

    with pytest.raises(StartFailed) as failed:
        await supervisor.run(always_ready, lambda: None)

    assert (failed.value.name, failed.value.code) == ("fleet", 2)
    assert failed.value.complaint == "fleet.toml: colour: unknown"
    assert not any(is_alive(pid) for pid in supervisor.pids.values())


async def test_a_country_that_never_becomes_ready_is_given_up(tmp_path: Path) -> None:
    async def never_ready() -> bool:
        return False

    supervisor = Supervisor([a_program(tmp_path, "switch")], say=lambda _line: None, start_s=0.5)

    with pytest.raises(StartFailed) as failed:
        await supervisor.run(never_ready, lambda: None)

    assert failed.value.code is None
    assert not is_alive(supervisor.pids["switch"])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    programs = [a_program(tmp_path, "switch"), a_program(tmp_path, "fleet")]
    driver = tmp_path / "driver.py"
    driver.write_text(
        textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from chasqui.child import Program
        from chasqui.supervisor import Supervisor
        programs = [
            Program(name, (command, "-S", script), Path(errors))
            for name, command, script, errors in {
            [(one.name, one.command[0], one.command[2], str(one.errors)) for one in programs]
        }
        ]
        supervisor = Supervisor(programs, say=print)
        async def ready():
            return True
        def tell():
            print(*supervisor.pids.values(), flush=True)
        asyncio.run(supervisor.run(ready, tell))
        """)
    )
    process = subprocess.Popen(
        [sys.executable, str(driver)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 2
    assert all(is_alive(pid) for pid in pids)

    process.kill()
    process.wait(5)
    process.stdout.close()

    deadline = time.monotonic() + 5
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_alive(pid) for pid in pids)
