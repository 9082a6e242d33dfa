"""The wire log keeps exact bytes, finds them again, and never stands in the way."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.clock import ManualClock
from scheme.errors import ConfigError
from switch import wire_log as wire_log_module
from switch.wire_log import WireLog
from tests.support.switch_world import quiet

START = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
AT = int(START.timestamp() * 1_000_000)


def a_log(folder: Path, *, bytes_max: int = 2**30, enabled: bool = True) -> WireLog:
    return WireLog(folder / "wire", clock=ManualClock(START), bytes_max=bytes_max, enabled=enabled)


def write(
    log: WireLog, subject: str, body: bytes = b"{}", *, at: int = 0, name: str = "CT1"
) -> None:
    log.write(AT + at, subject, name, "0970", "CCE", body)


async def bodies(log: WireLog, *subjects: str, since: int = 0) -> list[bytes]:
    return [one.body for one in await log.find(frozenset(subjects), since_us=since)]


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "wire").iterdir())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[WireLog]:
    with quiet():
        made = a_log(tmp_path)
        yield made
        await made.close()


async def test_a_message_is_found_by_its_subject_before_and_after_it_is_on_disk(
    tmp_path: Path,
) -> None:
    log = a_log(tmp_path)
    write(log, "a", b'{"CT1": 1}\xff', at=2)
    write(log, "b", b"other", at=1)
    write(log, "a", b"answer", at=1, name="CT4")
    assert await bodies(log, "a") == [b"answer", b'{"CT1": 1}\xff']
    await log.close()
    again = a_log(tmp_path)
    assert await bodies(again, "a") == [b"answer", b'{"CT1": 1}\xff']
    assert await bodies(again, "a", "b") == [b"other", b"answer", b'{"CT1": 1}\xff']
    assert await bodies(again, "c") == []
    await again.close()


async def test_two_messages_of_one_instant_are_both_kept(log: WireLog) -> None:
    write(log, "a", b"first send")
    write(log, "a", b"resend")
    log._flush()
    assert await bodies(log, "a") == [b"first send", b"resend"]


async def test_what_is_older_than_asked_for_is_not_read(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    write(log, "a", b"old")
    await log.close()
    again = a_log(tmp_path)
    assert await bodies(again, "a", since=AT + 1) == []
    await again.close()


async def test_it_writes_by_itself_after_a_moment(log: WireLog, tmp_path: Path) -> None:
    write(log, "a", b"x" * 10)
    async with asyncio.timeout(5):
        while not segments(tmp_path):  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.01)


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    write(log, "a")
    await log.close()
    folder = tmp_path / "wire"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(one.stat().st_mode) for one in segments(tmp_path)] == [0o600]


@pytest.mark.parametrize("cut", [1, 7, 15, 40])
async def test_a_torn_tail_costs_only_what_was_torn(tmp_path: Path, cut: int) -> None:
    with quiet():
        first = a_log(tmp_path)
        write(first, "a", b"whole")
        await first.close()
        second = a_log(tmp_path)
        write(second, "a", b"torn", at=1)
        await second.close()
        torn = segments(tmp_path)[-1]
        os.truncate(torn, torn.stat().st_size - cut)
        third = a_log(tmp_path)
        write(third, "a", b"after", at=2)
        await third.close()
        found = await bodies(a_log(tmp_path), "a")
        assert b"after" in found
        assert b"torn" not in found


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 512, b"CQW1" + b"\xff" * 60])
async def test_a_damaged_segment_does_not_hide_the_others(tmp_path: Path, garbage: bytes) -> None:
    with quiet():
        log = a_log(tmp_path)
        write(log, "a", b"sound")
        await log.close()
        (tmp_path / "wire" / "000000000000000-1.cqw").write_bytes(garbage)
        assert await bodies(a_log(tmp_path), "a") == [b"sound"]


async def last(log: WireLog, limit: int, participant: str | None = None) -> list[bytes]:
    return [one.body for one in await log.recent(participant=participant, limit=limit)]


async def kept(folder: Path, *texts: bytes, first: int) -> None:
    """Write messages into a segment of their own."""
    log = a_log(folder)
    for at, text in enumerate(texts, first):
        write(log, "", text, at=at)
    await log.close()


async def test_the_last_messages_come_from_all_segments_and_from_memory_newest_last(
    tmp_path: Path,
) -> None:
    await kept(tmp_path, b"1", b"2", b"3", first=1)
    await kept(tmp_path, b"4", b"5", first=4)
    log = a_log(tmp_path)
    write(log, "a", b"6", at=6)
    log._flush()
    write(log, "a", b"7", at=7)
    assert len(segments(tmp_path)) >= 2
    assert await last(log, 500) == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]
    assert await last(log, 4) == [b"4", b"5", b"6", b"7"]
    assert await last(log, 6) == [b"2", b"3", b"4", b"5", b"6", b"7"]
    assert await last(log, 1) == [b"7"]
    await log.close()
    assert await last(log, 3) == [b"5", b"6", b"7"]


async def test_the_last_messages_of_a_participant_are_those_it_sent_or_was_sent(
    tmp_path: Path,
) -> None:
    log = a_log(tmp_path)
    for at, (sender, receiver) in enumerate([("0970", "CCE"), ("CCE", "0971"), ("", "CCE")]):
        log.write(AT + at, "", "CT1", sender, receiver, b"%d" % at)
    for _ in range(2):  # From memory, then from the disk.
        assert await last(log, 9, "0970") == [b"0"]
        assert await last(log, 9, "0971") == [b"1"]
        assert await last(log, 9, "0988") == []
        assert await last(log, 9) == [b"0", b"1", b"2"]
        await log.close()
        log = a_log(tmp_path)
    await log.close()


async def test_twins_of_one_instant_are_both_among_the_last(log: WireLog) -> None:
    write(log, "", b"twin")
    write(log, "", b"twin")
    log._flush()
    assert await last(log, 9) == [b"twin", b"twin"]


@pytest.mark.parametrize("cut", [1, 7, 15, 40])
async def test_a_torn_tail_does_not_hide_the_last_messages_before_it(
    tmp_path: Path, cut: int
) -> None:
    with quiet():
        await kept(tmp_path, b"older", first=1)
        log = a_log(tmp_path)
        for at, text in ((2, b"whole"), (3, b"torn")):
            write(log, "", text, at=at)
            log._flush()
            async with asyncio.timeout(5):
                while log._writing:  # noqa: ASYNC110 - a thread writes it
                    await asyncio.sleep(0.001)
        await log.close()
        torn = segments(tmp_path)[-1]
        os.truncate(torn, torn.stat().st_size - cut)
        await kept(tmp_path, b"after", first=4)
        assert await last(a_log(tmp_path), 9) == [b"older", b"whole", b"after"]


@pytest.mark.parametrize("garbage", [b"", b"\x00" * 512, b"CQW1" + b"\xff" * 60])
async def test_damage_does_not_hide_the_last_messages(tmp_path: Path, garbage: bytes) -> None:
    with quiet():
        await kept(tmp_path, b"sound", first=1)
        await kept(tmp_path, b"spoilt", first=2)
        (_, spoilt) = segments(tmp_path)
        spoilt.write_bytes(spoilt.read_bytes()[:-8] + b"\xff" * 8)
        (tmp_path / "wire" / "999999999999999-1.cqw").write_bytes(garbage)
        assert await last(a_log(tmp_path), 9) == [b"sound"]


async def test_the_last_messages_are_looked_for_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in (1, 2, 3):
        await kept(tmp_path, b"%d" % first * 1_000, first=first)
    log = a_log(tmp_path)
    write(log, "", b"4" * 1_000, at=4)
    monkeypatch.setattr(wire_log_module, "_PAGE_BYTES", 2_500)
    assert [one[:1] for one in await last(log, 9)] == [b"3", b"4"]
    monkeypatch.setattr(wire_log_module, "_PAGE_BYTES", 500)
    assert [one[:1] for one in await last(log, 9)] == [b"4"], "one at least"
    monkeypatch.undo()
    monkeypatch.setattr(wire_log_module, "_LOOK_BACK_BYTES", 1_500)
    assert [one[:1] for one in await last(log, 9)] == [b"2", b"3", b"4"]
    await log.close()


async def test_the_oldest_segments_go_when_it_grows_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_log_module, "WIRE_LOG_SEGMENT_BYTES", 4_000)
    monkeypatch.setattr(wire_log_module, "_BLOCK_BYTES", 1_000)
    with quiet():
        log = a_log(tmp_path, bytes_max=12_000)
        for number in range(60):
            write(log, f"s{number}", os.urandom(1_000), at=number)
        await log.close()
        total = sum(one.stat().st_size for one in segments(tmp_path))
        assert 4_000 <= total <= 13_000
        again = a_log(tmp_path)
        assert await bodies(again, "s0") == []
        assert len(await bodies(again, "s59")) == 1


async def test_over_the_limit_messages_are_dropped_and_counted_and_nobody_waits(
    log: WireLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_log_module, "WIRE_LOG_QUEUE_BYTES_MAX", 100)
    for _ in range(10):
        write(log, "a", b"x" * 60)
    assert log.dropped == 8


async def test_a_disk_that_refuses_costs_evidence_but_nothing_else(
    log: WireLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "_open_segment", full)
    write(log, "a")
    log._flush()
    async with asyncio.timeout(5):
        while not log.dropped:  # noqa: ASYNC110 - a thread fails
            await asyncio.sleep(0.001)
    monkeypatch.undo()
    write(log, "a", b"later")
    assert await bodies(log, "a") == [b"later"]


async def test_a_log_that_is_off_keeps_nothing(tmp_path: Path) -> None:
    log = a_log(tmp_path, enabled=False)
    write(log, "a")
    assert await bodies(log, "a") == []
    assert await log.recent(participant=None, limit=9) == []
    await log.close()
    assert not (tmp_path / "wire").exists()


def test_a_file_in_the_place_of_its_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "wire").write_text("in the way")
    with pytest.raises(ConfigError, match="wire: cannot be used: File exists"):
        a_log(tmp_path)
