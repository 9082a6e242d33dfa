"""The proof that the disk keeps the ledger's promise: power cuts, lies and failed commits."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import apsw
import pytest

from clearing.ledger_sqlite import SqliteLedger
from scheme.errors import StoreError
from scheme.ledger import LBTR, NATIONAL, Advance, Move, Remember, Short
from tests.support.forgetful_disk import ForgetfulDisk, SharedConnection
from tests.support.ledger_fakes import (
    a_close_window,
    a_post,
    a_refuse,
    a_release,
    a_reserve,
    a_settle,
    an_advance_window,
    an_entry,
    an_instruct,
    an_open_window,
    an_opening,
    an_owed,
    window_of,
)

OWNERS = ("0002", "0003", "0970", "0971")
SEEDS = 60
WORKERS = 6
TRANSFERS_PER_WORKER = 12
WINDOWS = 6


@dataclass
class Acknowledged:
    """What was answered as durable before the power went."""

    records: dict[str, bytes] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    owed: set[str] = field(default_factory=set)
    struck: set[str] = field(default_factory=set)
    funded: dict[str, int] = field(default_factory=dict)
    verifications: set[str] = field(default_factory=set)
    closed: dict[str, bytes] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)


class Failures:
    """Takes the place of the process's end."""

    def __init__(self) -> None:
        self.told: list[BaseException] = []
        self._event = asyncio.Event()

    def tell(self, cause: BaseException) -> None:
        self.told.append(cause)
        self._event.set()

    async def or_done(self, task: asyncio.Future[Any]) -> None:
        """Wait for a failure or for the task."""
        failure = asyncio.ensure_future(self._event.wait())
        await asyncio.wait({failure, task}, return_when=asyncio.FIRST_COMPLETED)
        failure.cancel()


def open_on(disk: ForgetfulDisk, failures: Failures) -> SqliteLedger:
    return SqliteLedger.open(
        "ledger.db",
        on_failure=failures.tell,
        connect=disk.connect,
        connect_reader=disk.connect_reader,
        now_ms=0,
    )


def open_window(ledger: SqliteLedger) -> str:
    """Return the window that is open now."""
    (found,) = [one.window for one in ledger.windows() if one.state == "OPEN"]
    return found


async def transfer(
    ledger: SqliteLedger, name: str, rng: random.Random, acknowledged: Acknowledged
) -> None:
    debit, credit = rng.sample(OWNERS, 2)
    minor = rng.randrange(1, 50)
    await ledger.apply((Remember(instruction_id=f"v-{name}", key="k", record=b"v", created_ms=1),))
    acknowledged.verifications.add(f"v-{name}")
    window = open_window(ledger)
    legs = (
        an_entry(debit, credit, minor, window=window),
        an_entry(debit, credit, 8, kind="interbank_fee", window=window),
    )
    (result,) = await ledger.apply((a_reserve(name, *legs, write_ahead=rng.random() < 0.3),))
    if isinstance(result, Short):
        await ledger.apply((a_refuse(name, *legs),))
        acknowledged.states[name], acknowledged.records[name] = "REJECTED", b"refused"
        return
    for _ in range(rng.randrange(4)):
        await asyncio.sleep(0)
    if rng.random() < 0.2:
        await ledger.apply((a_release(name),))
        acknowledged.states[name], acknowledged.records[name] = "REJECTED", b"rejected"
        return
    owed = an_owed(f"{name}:CT5", participant=credit, body=name.encode() * rng.randrange(1, 200))
    await ledger.apply((a_post(name, record=name.encode(), owed=(owed,)),))
    acknowledged.states[name], acknowledged.records[name] = "POSTED", name.encode()
    acknowledged.owed.add(owed.owed_id)
    if rng.random() < 0.5:
        struck = Advance(transfer_id=name, state="CONFIRMED", at_ms=9, struck=(owed.owed_id,))
        acknowledged.owed.discard(owed.owed_id)  # Neither there nor gone for certain until told.
        acknowledged.states.pop(name)
        await ledger.apply((struck,))
        acknowledged.states[name] = "CONFIRMED"
        acknowledged.struck.add(owed.owed_id)


async def work(
    ledger: SqliteLedger, worker: int, rng: random.Random, acknowledged: Acknowledged
) -> None:
    for number in range(TRANSFERS_PER_WORKER):
        name = f"t-{worker}-{number}"
        await transfer(ledger, name, rng, acknowledged)
        if rng.random() < 0.2:
            owner = OWNERS[worker % 4]
            window = open_window(ledger)
            entry = an_entry("lbtr", owner, 77, kind="funding", window=window)
            move = Move(movement_id=f"m-{name}", entries=(entry,), digest="digest", at_ms=4)
            await ledger.apply((move,))
            acknowledged.funded[f"m-{name}"] = 77


async def roll_windows(ledger: SqliteLedger, acknowledged: Acknowledged) -> None:
    """Close window after window, as soon as nothing is in flight in it, and settle each."""
    released = asyncio.Event()
    ledger.on_released = lambda _: released.set()
    for number in range(1, WINDOWS):
        window, after = (window_of(NATIONAL, number=one) for one in (number, number + 1))
        await ledger.apply((an_open_window(after), an_advance_window("CLOSING", window)))
        stand = ledger.window(window)
        assert stand is not None
        if stand.held:
            released.clear()
            await released.wait()
        openings = tuple((one.account, one.closing_minor) for one in ledger.tallies(window))
        batch = f"batch of {window}".encode()
        await ledger.apply((a_close_window(window, after, *openings, batch=batch),))
        acknowledged.closed[window] = batch
        await ledger.apply((an_advance_window("SETTLING", window),))
        name = f"{window}:in:0002"
        await ledger.apply((an_instruct(name, "0002", "settlement", 1, subject=window),))
        await ledger.apply((a_settle(name),))
        acknowledged.settled.add(name)
        await ledger.apply((an_advance_window("SETTLED", window),))


async def run_until_the_power_goes(seed: int, disk: ForgetfulDisk) -> Acknowledged:
    rng = random.Random(seed)
    failures = Failures()
    acknowledged = Acknowledged()
    ledger = open_on(disk, failures)
    await ledger.apply(tuple(an_opening(owner, 2_000) for owner in OWNERS))
    await ledger.apply((an_opening("0002", 100, ledger=LBTR), an_open_window()))
    await ledger.apply((an_opening("settlement", 0, ledger=LBTR),))
    if rng.random() < 0.5:  # Else the power never goes during a checkpoint.
        disk.connect_reader("").execute("PRAGMA wal_autocheckpoint=20")
    disk.cut_after = rng.randrange(1_000)
    workers = [
        asyncio.create_task(work(ledger, number, random.Random(f"{seed}-{number}"), acknowledged))
        for number in range(WORKERS)
    ]
    workers.append(asyncio.create_task(roll_windows(ledger, acknowledged)))
    # A worker may meet the dead disk while it reads a key; that is no failed commit.
    everything = asyncio.gather(*workers, return_exceptions=True)
    await failures.or_done(everything)
    for worker in workers:
        worker.cancel()
    ends = await everything
    assert all(isinstance(end, apsw.IOError | asyncio.CancelledError | None) for end in ends), ends
    disk.cut_after = None
    if not disk.is_dead:
        disk.cut()
    ledger.close()
    disk.disconnect()
    disk.power_on()
    return acknowledged


def missing(connection: SharedConnection, told: Acknowledged) -> list[str]:
    """Return everything that was answered as durable and is not there."""
    query = "SELECT transfer_id, state, record FROM transfers"
    transfers = {row[0]: row[1:] for row in connection.execute(query).fetchall()}
    outbox = {row[0] for row in connection.execute("SELECT owed_id FROM outbox").fetchall()}
    moves = {row[0] for row in connection.execute("SELECT movement_id FROM movements").fetchall()}
    query = "SELECT instruction_id FROM verifications"
    verifications = {row[0] for row in connection.execute(query).fetchall()}
    batches = dict(connection.execute('SELECT "window", body FROM batches').fetchall())
    states = dict(connection.execute('SELECT "window", state FROM windows').fetchall())
    query = "SELECT instruction_id FROM instructions WHERE state = 'SETTLED'"
    settled = {row[0] for row in connection.execute(query).fetchall()}
    lost = [
        name
        for name, record in told.records.items()
        if name not in transfers
        or transfers[name][1] != record
        or told.states.get(name, transfers[name][0]) != transfers[name][0]
    ]
    lost += [name for name in told.owed if name not in outbox]
    lost += [name for name in told.struck if name in outbox]
    lost += [name for name in told.funded if name not in moves]
    lost += [name for name, batch in told.closed.items() if batches.get(name) != batch]
    lost += [name for name in told.closed if states.get(name) in (None, "OPEN", "CLOSING")]
    lost += [name for name in told.settled if name not in settled]
    lost += [name for name in told.verifications if name not in verifications]
    return lost


async def lost_after_a_cut(seed: int, *, honours_sync: bool) -> list[str]:
    """Run one world to its power cut and return what its disk has lost; [] if nothing."""
    disk = ForgetfulDisk(random.Random(f"disk-{seed}"), honours_sync=honours_sync)
    told = await run_until_the_power_goes(seed, disk)
    try:
        ledger = open_on(disk, Failures())
        lost = missing(disk.connect_reader(""), told)
        audit = await ledger.audit()
        lost += [repr(one) for one in audit.differences]
        ledger.close()
    except (apsw.Error, StoreError, IndexError) as error:
        lost = [f"the ledger cannot be read back: {error!r}"]
    finally:
        disk.disconnect()
    return lost


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_what_was_acknowledged_survives_a_power_cut(seed: int) -> None:
    assert await lost_after_a_cut(seed, honours_sync=True) == [], f"{seed=}"


async def test_with_the_fsync_taken_out_the_same_test_finds_a_loss() -> None:
    lost = [await lost_after_a_cut(seed, honours_sync=False) for seed in range(5)]

    assert any(lost), "the proof above could not fail"


@pytest.mark.parametrize("failure", [apsw.FullError, apsw.IOError])
@pytest.mark.parametrize("step", range(6))
async def test_a_failed_commit_answers_nobody(step: int, failure: type[Exception]) -> None:
    disk = ForgetfulDisk(random.Random(step))
    failures = Failures()
    ledger = open_on(disk, failures)
    await ledger.apply((an_opening("0970", 1_000), an_opening("0002", 0), a_reserve("t-1")))
    disk.failure, disk.fail_after = failure, step

    lost = [
        asyncio.create_task(ledger.apply((a_post("t-1", owed=(an_owed("t-1:CT5"),)),))),
        asyncio.create_task(ledger.apply((a_reserve("t-2", write_ahead=True),))),
    ]
    await failures.or_done(lost[0])
    late = [
        asyncio.create_task(ledger.apply((a_reserve("t-3"),))),
        asyncio.create_task(ledger.apply((a_refuse("t-4"),))),
        asyncio.create_task(ledger.apply((a_reserve("t-1"),))),
    ]
    for _ in range(5):
        await asyncio.sleep(0)

    if failures.told:
        assert not any(task.done() for task in (*lost, *late))
        assert len(failures.told) == 1
        with pytest.raises(StoreError):
            await ledger.drain()
    else:
        assert step > 3, "the group was on disk before the fault came"
    for task in (*lost, *late):
        task.cancel()
    await asyncio.gather(*lost, *late, return_exceptions=True)
    ledger.close()
    disk.disconnect()
