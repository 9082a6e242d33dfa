"""The ledger's file: what stands in its rows, what a restart reads back, and what it costs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clearing.ledger_schema import IS_OPEN
from clearing.ledger_sqlite import SqliteLedger
from runtime.group_commit import open_durable
from scheme.errors import StoreError
from scheme.ledger import (
    APPLIED,
    LBTR,
    NATIONAL,
    Advance,
    Position,
    PutFact,
    Remember,
    SetAlert,
    StrikeOff,
)
from scheme.limits import GROUP_COMMANDS_MAX
from tests.support.ledger_fakes import (
    WINDOW,
    a_close_window,
    a_move,
    a_post,
    a_refuse,
    a_release,
    a_reserve,
    a_settle,
    an_account,
    an_advance_window,
    an_entry,
    an_instruct,
    an_open_window,
    an_opening,
    an_oppose,
    an_owed,
    window_of,
)

COOP = an_account("0970")
Open = Callable[[], SqliteLedger]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


@pytest.fixture
def open_ledger(path: str) -> Iterator[Open]:
    opened: list[SqliteLedger] = []

    def open_one() -> SqliteLedger:
        while opened:
            opened.pop().close()
        opened.append(SqliteLedger.open(path, on_failure=_impossible, now_ms=7))
        return opened[0]

    yield open_one
    opened.pop().close()


def _impossible(error: BaseException) -> None:
    raise AssertionError from error


def rows(path: str, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def a_ledger(open_ledger: Open) -> SqliteLedger:
    ledger = open_ledger()
    await ledger.apply((an_opening("0970", 1_000), an_opening("0002", 1_000)))
    return ledger


@pytest.mark.parametrize("together", [True, False])
async def test_a_whole_transfer_is_the_same_in_one_group_or_in_many(
    open_ledger: Open, path: str, *, together: bool
) -> None:
    ledger = await a_ledger(open_ledger)
    owed = (an_owed("t-1:CT5", body=b"exact"),)
    commands = (
        a_reserve("t-1"),
        a_post("t-1", owed=owed),
        Advance(transfer_id="t-1", state="CONFIRMED", at_ms=9, struck=("t-1:CT5",)),
        a_reserve("t-2"),
        a_release("t-2"),
        a_reserve("t-3"),
        a_post("t-3", owed=(an_owed("t-3:CT5", body=b"exact"),)),
        StrikeOff(owed_ids=("t-3:CT5",), parked=True, at_ms=11),
        a_reserve("t-4"),
        a_refuse("t-5"),
        Remember(instruction_id="v-1", key="k", record=b"first", created_ms=1),
        Remember(instruction_id="v-1", key="k", record=b"second", created_ms=2),
        PutFact(name="session:0970", value=b"off"),
        PutFact(name="session:0970", value=b"on"),
        an_oppose("o-1", "t-3", 5),
    )
    for batch in (commands,) if together else [(one,) for one in commands]:
        await ledger.apply(batch)
    await ledger.drain()

    query = "SELECT transfer_id, state, reason, decided_ms, record FROM transfers ORDER BY 1"
    assert rows(path, query) == [
        ("t-1", "CONFIRMED", "", 2, b"posted"),
        ("t-2", "REJECTED", "AB05", 2, b"rejected"),
        ("t-3", "POSTED", "", 2, b"posted"),
        ("t-4", "RESERVED", "", None, b"reserved"),
        ("t-5", "REJECTED", "FF07", 1, b"refused"),
    ]
    assert rows(path, "SELECT owed_id, participant, body, due_ms, parked_ms FROM outbox") == [
        ("t-3:CT5", "0002", b"exact", 5, 11)
    ]
    assert rows(path, "SELECT instruction_id, key, record FROM verifications") == [
        ("v-1", "k", b"first")
    ]
    assert rows(path, "SELECT * FROM facts") == [("session:0970", b"on")]
    query = "SELECT transfer_id, kind, debit, credit, minor FROM entries WHERE kind <> 'funding'"
    assert rows(path, query) == [
        ("t-1", "principal", "0970", "0002", 100),
        ("t-3", "principal", "0970", "0002", 100),
        ("o-1", "opposite", "0002", "0970", 5),
    ]
    query = "SELECT owner, balance, reserved FROM positions ORDER BY owner"
    assert rows(path, query) == [("0002", 1_195, 0), ("0970", 805, 100), ("lbtr", -2_000, 0)]
    assert (await ledger.audit()).clean


async def test_a_message_struck_off_and_owed_again_is_owed(open_ledger: Open, path: str) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.apply((PutFact(name="a", value=b"", owed=(an_owed("s:1", body=b"old"),)),))
    await ledger.apply(
        (
            StrikeOff(owed_ids=("s:1",), at_ms=1),
            StrikeOff(owed_ids=("s:1",), parked=True, at_ms=2),
            PutFact(name="a", value=b"", owed=(an_owed("s:1", body=b"new"),)),
        )
    )

    assert rows(path, "SELECT body, parked_ms FROM outbox") == [(b"new", None)]


async def test_parking_and_striking_off_find_older_rows(open_ledger: Open, path: str) -> None:
    ledger = await a_ledger(open_ledger)
    owed = (an_owed("a:1"), an_owed("b:1"), an_owed("c:1"))
    await ledger.apply((PutFact(name="a", value=b"", owed=owed),))
    await ledger.apply((StrikeOff(owed_ids=("b:1", "c:1"), parked=True, at_ms=6),))
    await ledger.apply((StrikeOff(owed_ids=("a:1", "c:1"), at_ms=7),))

    assert rows(path, "SELECT owed_id, parked_ms FROM outbox") == [("b:1", 6)]


async def test_a_posting_and_its_confirmation_in_one_group_after_the_reservation(
    open_ledger: Open, path: str
) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.apply((a_reserve("t-1", write_ahead=True),))
    await ledger.apply((a_post("t-1"), Advance(transfer_id="t-1", state="CONFIRMED", at_ms=9)))

    assert rows(path, "SELECT state, record FROM transfers") == [("CONFIRMED", b"posted")]


async def test_a_group_larger_than_one_statement_is_written_whole(
    open_ledger: Open, path: str
) -> None:
    ledger = await a_ledger(open_ledger)
    count = 64 + 32 + 7
    names = [f"t-{number:03}" for number in range(count)]
    one = an_entry("0970", "0002", 1)
    await ledger.apply(tuple(a_reserve(name, one) for name in names))
    await ledger.apply(tuple(a_post(name, record=name.encode()) for name in names))
    await ledger.drain()

    expected = [(name, "POSTED", name.encode()) for name in names]
    query = "SELECT transfer_id, state, record FROM transfers ORDER BY transfer_id"
    assert rows(path, query) == expected
    assert (await ledger.audit()).clean


async def test_a_restart_knows_positions_holds_and_keys(open_ledger: Open) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.apply((a_reserve("t-1"), a_reserve("t-2"), a_post("t-1"), a_release("t-2")))
    await ledger.apply((a_reserve("t-3", write_ahead=True),))
    before = ledger.positions()

    ledger = open_ledger()

    assert sorted(ledger.positions(), key=str) == sorted(before, key=str)
    assert await ledger.apply((a_post("t-3"),)) == [APPLIED]
    position = ledger.position(COOP)
    assert position is not None
    assert (position.balance_minor, position.reserved_minor) == (800, 0)
    assert (await ledger.audit()).clean


async def test_reservations_are_answered_before_they_are_on_disk(
    open_ledger: Open, path: str
) -> None:
    ledger = await a_ledger(open_ledger)
    groups = ledger.groups

    await ledger.apply((a_reserve("t-1"),))
    assert ledger.groups == groups
    assert rows(path, "SELECT * FROM transfers") == []

    await ledger.apply((a_reserve("t-2", write_ahead=True),))
    assert rows(path, "SELECT transfer_id FROM transfers") == [("t-1",), ("t-2",)]


async def test_the_low_watermark_is_told_once_and_the_high_one_ends_it(
    open_ledger: Open, path: str
) -> None:
    ledger = open_ledger()
    low: list[Position] = []
    ledger.on_low = low.append
    opening = an_opening("0970", 1_000, low=500, high=600)
    await ledger.apply((opening, an_opening("0002", 0)))

    await ledger.apply((a_reserve("t-1", an_entry("0970", "0002", 500)),))
    assert low == [], "at the watermark is not below it"
    await ledger.apply((a_reserve("t-2", an_entry("0970", "0002", 1)),))
    await ledger.apply((a_reserve("t-3", an_entry("0970", "0002", 1)),))
    assert [one.available_minor for one in low] == [499]

    notice = SetAlert(account=COOP, alerted=True, owed=(an_owed("SNM993:1", participant="0970"),))
    await ledger.apply((notice,))
    await ledger.apply((a_move("m-1", "lbtr", "0970", 102),))
    assert rows(path, "SELECT alerted FROM positions WHERE owner = '0970'") == [(1,)]
    await ledger.apply((a_move("m-2", "lbtr", "0970", 1),))
    assert rows(path, "SELECT alerted FROM positions WHERE owner = '0970'") == [(0,)]
    assert rows(path, "SELECT owed_id FROM outbox") == [("SNM993:1",)]

    await ledger.apply((a_reserve("t-4", an_entry("0970", "0002", 102)),))
    assert len(low) == 2, "below again after it was above high: told again"


async def test_a_batch_that_breaks_a_rule_half_way_ends_the_ledger(path: str) -> None:
    failures: list[BaseException] = []
    ledger = SqliteLedger.open(path, on_failure=failures.append, now_ms=0)
    await ledger.apply((an_opening("0970", 1_000), an_opening("0002", 0)))

    with pytest.raises(AssertionError):
        await ledger.apply((a_reserve("t-1"), a_post("unknown")))

    assert [type(one) for one in failures] == [AssertionError]
    with pytest.raises(StoreError):
        await ledger.drain()
    ledger.close()
    assert rows(path, "SELECT * FROM transfers") == []


async def test_an_audit_finds_what_was_tampered_with(open_ledger: Open, path: str) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.apply((a_reserve("t-1"), a_post("t-1"), a_reserve("t-2")))
    await ledger.drain()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE positions SET balance = balance + 1 WHERE owner = '0002'")
        connection.execute("UPDATE positions SET reserved = 3 WHERE owner = '0970'")
        connection.execute("DELETE FROM lines WHERE line_id BETWEEN 16 AND 31")

    audit = await ledger.audit()

    assert not audit.clean
    assert {(one.what, one.subject) for one in audit.differences} == {
        ("sum", "national/PEN"),
        ("balance", "national/PEN/0002"),
        ("balance", "national/PEN/0970"),
        ("reserved", "national/PEN/0970"),
        ("postings", "t-1"),
        ("sent_accepted", f"{WINDOW} national/PEN/0970"),
        ("sent_accepted_minor", f"{WINDOW} national/PEN/0970"),
        ("received_accepted", f"{WINDOW} national/PEN/0002"),
        ("received_accepted_minor", f"{WINDOW} national/PEN/0002"),
    }


async def test_an_audit_finds_entries_that_were_moved_or_belong_to_nothing(
    open_ledger: Open, path: str
) -> None:
    ledger = await a_ledger(open_ledger)
    for name in ("t-1", "t-2", "t-3"):
        await ledger.apply((a_reserve(name), a_post(name)))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # t-1's entry is t-2's twin now: every sum agrees, and still it is in the wrong place.
        connection.execute("UPDATE lines SET line_id = 33 WHERE line_id = 16")
        connection.execute("UPDATE lines SET line_id = 16000 WHERE line_id = 48")

    audit = await ledger.audit()

    assert [(one.what, one.subject, one.recorded, one.recounted) for one in audit.differences] == [
        ("postings", "number 1000", 1, 0),
        ("postings", "t-1", 0, 1),
        ("postings", "t-2", 2, 1),
        ("postings", "t-3", 0, 1),
    ]


async def test_entries_read_as_one_would_write_them(open_ledger: Open, path: str) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.apply((a_reserve("t-1"), a_post("t-1"), a_reserve("t-2"), a_release("t-2")))
    await ledger.apply((an_oppose("o-1", "t-1", 5), a_move("m-1", "lbtr", "0970", 7)))

    query = "SELECT transfer_id, kind, ledger, debit, credit, minor, window, posted_ms FROM entries"
    assert rows(path, f"{query} WHERE transfer_id = 't-1'") == [
        ("t-1", "principal", "national", "0970", "0002", 100, WINDOW, 2)
    ]
    assert rows(path, f"{query} WHERE transfer_id = 'o-1'") == [
        ("o-1", "opposite", "national", "0002", "0970", 5, WINDOW, 3)
    ]
    assert [one[0] for one in rows(path, query)] == [
        "t-1",
        "m-1",
        "o-1",
        "prefund:national:PEN:0002",
        "prefund:national:PEN:0970",
    ]
    assert rows(path, f"{query} WHERE transfer_id = 't-2'") == []
    plan = str(rows(path, f"EXPLAIN QUERY PLAN {query} WHERE transfer_id = 't-1'"))
    assert "SCAN" not in plan.replace("SCAN CONSTANT ROW", ""), plan


async def test_a_batch_on_disk_cannot_be_changed(open_ledger: Open, path: str) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.apply((an_open_window(), an_advance_window("CLOSING"), a_close_window()))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("UPDATE batches SET body = 'x'", "DELETE FROM batches"):
            with pytest.raises(sqlite3.IntegrityError, match="batch"):
                connection.execute(statement)


async def test_a_restart_knows_windows_tallies_and_the_queue(open_ledger: Open) -> None:
    ledger = await a_ledger(open_ledger)
    after = window_of(NATIONAL, number=2)
    for owner in ("0970", "0002"):
        await ledger.apply((an_opening(owner, 50, ledger=LBTR),))
    await ledger.apply((an_open_window(), an_open_window(after), a_reserve("t-1")))
    await ledger.apply((an_instruct("i-1", "0970", "0002", 60), an_advance_window("CLOSING")))
    await ledger.apply((an_instruct("i-2", "0002", "0970", 60),))
    before = (ledger.windows(), ledger.tallies(WINDOW), ledger.instructions())

    ledger = open_ledger()
    assert (ledger.windows(), ledger.tallies(WINDOW), ledger.instructions()) == before

    told: list[str] = []
    ledger.on_released = told.append
    await ledger.apply((a_post("t-1"), a_settle("i-1", "i-2")))
    assert told == [WINDOW]
    await ledger.apply((an_instruct("i-3", "0002", "0970", 60), a_close_window()))
    await ledger.apply((an_advance_window("SETTLED"),))
    states = [one.state for one in ledger.instructions_of(WINDOW)]
    assert states == ["SETTLED", "SETTLED", "QUEUED"]
    tallies = ledger.tallies(WINDOW)

    ledger = open_ledger()
    assert [one.sequence for one in ledger.instructions()] == [3]
    assert [one.window for one in ledger.windows()] == [after]
    assert ledger.tallies(WINDOW) == tallies == await ledger.recount_window(WINDOW)
    assert (await ledger.audit()).clean


async def test_the_queue_tells_when_it_is_full(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearing.ledger_sqlite.LEDGER_QUEUE_MAX", 3)
    ledger = await a_ledger(open_ledger)
    one = an_entry("0970", "0002", 1)

    await ledger.apply((a_reserve("t-1", one), a_reserve("t-2", one)))
    assert not ledger.is_full
    await ledger.apply((a_reserve("t-3", one),))
    assert ledger.is_full
    await ledger.drain()
    assert not ledger.is_full
    assert GROUP_COMMANDS_MAX > 3


def test_open_transfers_are_read_through_their_index(open_ledger: Open, path: str) -> None:
    open_ledger()
    query = f"EXPLAIN QUERY PLAN SELECT * FROM transfers WHERE state = 'RESERVED' AND {IS_OPEN}"

    assert "transfers_open" in str(rows(path, query))


@pytest.mark.parametrize("version", [1, 99])
def test_a_file_of_another_version_is_refused_and_says_what_to_do(
    open_ledger: Open, path: str, version: int
) -> None:
    open_ledger().close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET schema_version = ?", (version,))

    with pytest.raises(StoreError, match=rf"schema {version}, .*`chasqui reset`.*the version"):
        SqliteLedger.open(path, on_failure=_impossible, now_ms=0)


async def test_a_read_that_fails_is_no_decision(open_ledger: Open) -> None:
    ledger = await a_ledger(open_ledger)
    ledger._reader.close()

    with pytest.raises(StoreError, match="could not be read"):
        await ledger.apply((a_reserve("t-1"),))

    position = ledger.position(COOP)
    assert position is not None
    assert position.reserved_minor == 0


async def test_a_reservation_that_cannot_be_read_back_stops_the_start(
    open_ledger: Open, path: str
) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.apply((a_reserve("t-1", write_ahead=True),))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE transfers SET legs = x'c1'")

    with pytest.raises(StoreError, match="t-1"):
        SqliteLedger.open(path, on_failure=_impossible, now_ms=0)


def _garbage(whole: bytes) -> bytes:
    return b"no database at all" * 300


def _cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def _overwritten(whole: bytes) -> bytes:
    return whole[:4096] + b"\xa5" * (len(whole) - 8192) + whole[-4096:]


def _spoil(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize("damage", [_garbage, _cut, _overwritten])
async def test_a_damaged_file_is_not_built_on(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "ledger.db"
    SqliteLedger.open(str(path), on_failure=_impossible, now_ms=0).close()
    _spoil(path, damage)

    with pytest.raises(StoreError, match=r"ledger\.db: damaged .*`chasqui reset`"):
        SqliteLedger.open(str(path), on_failure=_impossible, now_ms=0)


async def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteLedger.open(str(tmp_path), on_failure=_impossible, now_ms=0)


async def test_an_audit_of_a_file_damaged_meanwhile_says_so(open_ledger: Open, path: str) -> None:
    ledger = await a_ledger(open_ledger)
    await ledger.drain()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _spoil(Path(path), _overwritten)

    with pytest.raises(StoreError, match=r"ledger\.db: damaged"):
        await ledger.audit()


def test_the_moment_of_its_making_stands_in_the_file(open_ledger: Open, path: str) -> None:
    open_ledger()

    assert rows(path, "SELECT * FROM meta") == [(2, 7)]


def test_a_file_that_cannot_be_made_durable_is_refused() -> None:
    with pytest.raises(StoreError, match="not durable"):
        open_durable(":memory:")
