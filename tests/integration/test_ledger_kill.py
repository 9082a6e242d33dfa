"""``kill -9`` of a process that writes: what it has said is on disk."""

import subprocess
import sys
from pathlib import Path

from clearing.ledger_sqlite import SqliteLedger
from scheme.ledger import Duplicate
from tests.support.ledger_fakes import a_reserve

ROOT = Path(__file__).resolve().parents[2]
ACKNOWLEDGEMENTS = 150

WRITER = """
import asyncio, sys
from clearing.ledger_sqlite import SqliteLedger
from tests.support.ledger_fakes import a_post, a_reserve, an_opening, an_owed

async def work(ledger, worker):
    for number in range(1_000_000):
        name = f"t-{worker}-{number}"
        await ledger.apply((a_reserve(name),))
        await ledger.apply((a_post(name, record=name.encode(), owed=(an_owed(name + ":CT5"),)),))
        sys.stdout.write(name + "\\n")
        sys.stdout.flush()

async def main():
    ledger = SqliteLedger.open(sys.argv[1], on_failure=print, now_ms=0)
    await ledger.apply((an_opening("0970", 10**12), an_opening("0002", 0)))
    await asyncio.gather(*(work(ledger, worker) for worker in range(8)))

asyncio.run(main())
"""


def _acknowledged_until_killed(path: Path) -> list[str]:
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        names = [writer.stdout.readline().strip() for _ in range(ACKNOWLEDGEMENTS)]
        writer.kill()
        names += writer.stdout.read().split()  # Said before the end, read after it.
    return names


async def test_every_acknowledged_transfer_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    names = _acknowledged_until_killed(path)
    assert len(names) >= ACKNOWLEDGEMENTS
    assert all(names)

    ledger = SqliteLedger.open(str(path), on_failure=_impossible, now_ms=0)
    for name in names:
        (result,) = await ledger.apply((a_reserve("again", key=f"key-{name}"),))
        assert result == Duplicate(name, name.encode())
    audit = await ledger.audit()
    ledger.close()

    assert audit.clean, audit.differences


def _impossible(error: BaseException) -> None:
    raise AssertionError from error
