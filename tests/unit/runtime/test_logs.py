"""What a log shows, and what it must not."""

import asyncio
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.logs import Lines, LogFile, configure, mask_fields
from scheme.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import asyncio, logging, sys
from pathlib import Path
import structlog
from runtime.logs import configure
log = structlog.get_logger()
configure(process="switch", level=sys.argv[2], path=Path(sys.argv[1]) if sys.argv[1] else None,
          json=sys.argv[3] == "json")
log.debug("quiet")
log.info("transfer reserved", transfer_id="t-1", creditor_phone="900000101")
logging.getLogger("aiohttp.server").error("bad account %s", "97000110020030040142")
try:
    raise KeyError("97000110020030040142")
except KeyError:
    log.exception("failed", cause="phone 900000101 is not here")
"""


def run(path: str, *, level: str = "info", form: str = "json") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, path, level, form]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def masked(**fields: Any) -> dict[str, Any]:
    return dict(mask_fields(None, "info", {"event": "x", **fields}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone", "900000101"),
        ("creditor_phone", "900000101"),
        ("cci", "97000110020030040142"),
        ("debtor_cci", "97000110020030040142"),
        ("document", "00000101"),
        ("name", "SOCIA UNO DEMO PRUEBA"),
        ("card", "4000000000000002"),
        ("wallet_token", "abcdefghijklmnopqrstuvwxyz"),
        ("phone", 900000101),
        ("cause", "no such phone: 900000101"),
        ("phones", ["900000101"]),
        ("body", {"debtorName": "SOCIA UNO DEMO PRUEBA"}),
        ("bodies", [{"debtorName": "SOCIA UNO DEMO PRUEBA"}]),
    ],
)
def test_an_identifier_of_a_person_is_masked(field: str, value: object) -> None:
    shown = str(masked(**{field: value})[field])
    assert "*" in shown
    for secret in ("900000101", "97000110020030040142", "SOCIA", "4000000000000002", "mnopqrs"):
        assert secret not in shown


def test_what_is_of_nobody_is_left_as_it_is() -> None:
    fields = {
        "transfer_id": "20261123097010000001",
        "agent": "0970",
        "count": 3,
        "ok": True,
        "codes": ["0970", "0971"],
        "nothing": None,
    }
    assert masked(**fields) == {"event": "x", **fields}


def test_a_line_is_json_with_the_process_the_level_and_the_time(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "switch.log"
    run(str(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first, library, failed = lines
    assert first["event"] == "transfer reserved"
    assert (first["process"], first["level"]) == ("switch", "info")
    assert first["timestamp"].endswith("Z")
    assert first["transfer_id"] == "t-1"
    assert library["library"] == "aiohttp.server"
    assert "KeyError" in failed["exception"]
    assert "900000101" not in path.read_text()
    assert "97000110020030040142" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("level", "events"), [("debug", 4), ("info", 3), ("error", 2)])
def test_less_than_the_level_is_not_written(level: str, events: int) -> None:
    done = run("", level=level)
    assert len(done.stderr.splitlines()) == events
    assert done.stdout == ""


def test_people_get_text() -> None:
    shown = run("", form="text").stderr
    assert "transfer reserved" in shown
    assert "900000101" not in shown


def test_a_full_file_is_put_aside_and_one_old_file_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    file = LogFile(path, bytes_max=100)
    for n in range(25):
        file.write(f"line {n:04}\n")
        file.flush()
    file.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.log", "x.log.1"]
    assert path.read_text().startswith("line 0020\n")
    assert path.with_name("x.log.1").read_text().startswith("line 0010\n")


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Iterator[tuple[Path, Lines]]:
    path = tmp_path / "x.log"
    file = LogFile(path)
    yield path, Lines(file)
    file.close()


async def test_lines_of_one_turn_of_the_loop_are_written_at_its_end(
    log: tuple[Path, Lines],
) -> None:
    path, lines = log
    lines.info("one")
    lines.info("two")
    assert path.read_text() == ""
    await asyncio.sleep(0)
    assert path.read_text() == "one\ntwo\n"
    lines.info("three")
    await asyncio.sleep(0)
    assert path.read_text() == "one\ntwo\nthree\n"


async def test_a_warning_is_written_at_once_and_all_before_it_too(
    log: tuple[Path, Lines],
) -> None:
    path, lines = log
    lines.info("one")
    lines.warning("two")
    assert path.read_text() == "one\ntwo\n"
    await asyncio.sleep(0)


def test_a_line_without_a_loop_is_written_at_once(
    log: tuple[Path, Lines],
) -> None:
    path, lines = log
    lines.info("one")
    assert path.read_text() == "one\n"


def test_a_loop_that_ended_before_it_wrote_keeps_no_other_from_it(
    log: tuple[Path, Lines],
) -> None:
    path, lines = log
    for name in ("one", "two"):
        loop = asyncio.new_event_loop()
        loop.call_soon(lines.info, name)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    lines.info("three")
    assert path.read_text() == "one\ntwo\nthree\n"


def test_a_restart_appends(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    for word in ("one\n", "two\n"):
        file = LogFile(path, bytes_max=8)
        file.write(word)
        file.close()
    assert path.with_name("x.log.1").read_text() == "one\ntwo\n"


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ConfigError, match="'loud': one of debug, info, warning, error"):
        configure(process="x", level="loud")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="log file"):
        LogFile(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_loses_the_line_and_nothing_else() -> None:
    file = LogFile(Path("/dev/full"))
    file.write("line\n")
    file.flush()
    file.close()


def test_a_file_that_cannot_be_put_aside_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    (tmp_path / "x.log.1").mkdir()
    file = LogFile(path, bytes_max=8)
    for word in ("one\n", "two\n", "six\n"):
        file.write(word)
        file.flush()
    file.close()
    assert path.read_text() == "one\ntwo\nsix\n"
