"""Closes one big window of a ledger of its own, and recounts it: a process of the benchmark.

``python -m loadtests.bench.window_ledger FOLDER TRANSFERS`` fills the ledger's own tables, as a
day of traffic would have left them, and prints one JSON line of figures. It is the one part of
the load tests that looks inside: no wire carries a million transfers in seconds.
"""

import asyncio
import resource
import sqlite3
import sys
from collections.abc import Awaitable
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import msgspec

from clearing.core.netting import Charges, digest, disagreement, make_batch
from clearing.core.recount import REJECTED
from clearing.ledger_schema import COUNTED_FROM, LINES_PER_NUMBER, MIXED
from clearing.ledger_sqlite import SqliteLedger
from loadtests.bench.window import WindowFigures
from runtime.lifeline import watch
from scheme.batch import Batch, decode_batch, encode_batch
from scheme.ledger import NATIONAL, Account, AdvanceWindow, CloseWindow, OpenPosition, OpenWindow
from scheme.standing import WindowStand

PARTICIPANTS = 50
WINDOW, NEXT_WINDOW = "national-PEN-20261123-1", "national-PEN-20261124-1"
OPENED_MS = 1_795_000_000_000
PREFUND_MINOR = 10**12
RECORD_BYTES = 400
"""About what the switch remembers of a transfer."""
_REJECTED_ONE_IN = 33
_TICK_S = 0.001
_KIB = 1024

T = TypeVar("T")

_PEERS = PARTICIPANTS - 1
_FIRST_LANE = 1000
"""Before it are those of the first prefunds."""


def _debtor(pair: str) -> str:
    return f"printf('%04d', 1 + {pair} / {_PEERS})"


def _creditor(pair: str) -> str:
    return f"printf('%04d', 1 + ({pair} / {_PEERS} + 1 + {pair} % {_PEERS}) % {PARTICIPANTS})"


# Lanes of a pair of participants: its principals, its interbank fees, and both of its rejections.
_LANE = f"""
    INSERT INTO lanes
    SELECT {_FIRST_LANE} + 4 * pair + place, '{WINDOW}', kind, '{NATIONAL}', 'PEN',
        {_debtor("pair")}, {_creditor("pair")}, counted
    FROM pairs CROSS JOIN
        (SELECT 0 AS place, 'principal' AS kind, 3 AS counted
         UNION ALL SELECT 1, 'interbank_fee', 0
         UNION ALL SELECT 2, '{REJECTED}', 3 UNION ALL SELECT 3, '{REJECTED}', 0)"""  # noqa: S608
_PAIRS = f"""
    CREATE TEMP TABLE pairs AS
    WITH RECURSIVE n(pair) AS (SELECT 0 UNION ALL SELECT pair + 1 FROM n
        WHERE pair < {PARTICIPANTS * _PEERS - 1}) SELECT pair FROM n"""  # noqa: S608 - constants
_PAIR_OF = f"((number * 48271) % {PARTICIPANTS * _PEERS})"
_MINOR_OF = "(1000 + (number * 7919) % 99000)"
_IS_REJECTED = f"(number % {_REJECTED_ONE_IN} = 0)"
_NUMBERS = (
    "WITH RECURSIVE n(number) AS (SELECT ?1 UNION ALL SELECT number + 1 FROM n WHERE number < ?2)"
)
_LINES = f"""
    {_NUMBERS}
    INSERT INTO lines
    SELECT number * {LINES_PER_NUMBER} + place + {_IS_REJECTED} * {COUNTED_FROM},
        {_FIRST_LANE} + 4 * {_PAIR_OF} + place + 2 * {_IS_REJECTED},
        CASE place WHEN 0 THEN {_MINOR_OF} ELSE 80 END, {OPENED_MS} + number
    FROM n CROSS JOIN (SELECT 0 AS place UNION ALL SELECT 1)"""  # noqa: S608 - constants
_TRANSFERS = f"""
    {_NUMBERS}
    INSERT INTO transfers
    SELECT number, printf('20261123%022d', number), printf('00022026112300%016d', number),
        CASE WHEN {_IS_REJECTED} THEN 'REJECTED' ELSE 'CONFIRMED' END, '', 'tin',
        {_debtor(_PAIR_OF)}, {_creditor(_PAIR_OF)}, 'PEN', {_MINOR_OF},
        {OPENED_MS} + number, {OPENED_MS} + number, x'9292010192020150',
        CASE WHEN {_IS_REJECTED} THEN 0 ELSE (SELECT sum({MIXED}) FROM lines
            WHERE line_id BETWEEN number * {LINES_PER_NUMBER}
                AND number * {LINES_PER_NUMBER} + 7) END,
        zeroblob({RECORD_BYTES})
    FROM n"""  # noqa: S608 - constants
_SUM_BY = """
    SELECT lanes.{side} AS owner, lanes.kind = 'rejected' AS rejected,
        sum(lanes.counted > 0) AS number, sum(lines.minor) AS minor
    FROM lines JOIN lanes USING (lane) WHERE lanes.lane >= {first} GROUP BY 1, 2"""
_TALLY = """
    UPDATE tallies SET {side}_accepted = {side}_accepted + s.number * (1 - s.rejected),
        {side}_accepted_minor = {side}_accepted_minor + s.minor * (1 - s.rejected),
        {side}_rejected = {side}_rejected + s.number * s.rejected,
        {side}_rejected_minor = {side}_rejected_minor + s.minor * s.rejected
    FROM ({sums}) AS s WHERE s.owner = tallies.owner AND s.rejected = {rejected}"""
_BALANCES = """
    UPDATE positions SET balance = balance + t.net FROM
        (SELECT owner, received_accepted_minor - sent_accepted_minor AS net FROM tallies) AS t
    WHERE t.owner = positions.owner"""
_AT_ONCE = 250_000


def owners() -> list[str]:
    """Return the codes of the participants."""
    return [f"{number:04d}" for number in range(1, PARTICIPANTS + 1)]


async def make(path: Path) -> None:
    """Make a ledger with positions and a window."""
    ledger = _open(path)
    await ledger.apply((_opening(WINDOW, 1), _opening(NEXT_WINDOW, 1)))
    await ledger.apply(
        tuple(
            OpenPosition(
                account=Account(ledger=NATIONAL, currency="PEN", owner=owner),
                prefund_minor=PREFUND_MINOR,
                low_minor=0,
                high_minor=0,
                window=WINDOW,
                at_ms=OPENED_MS,
            )
            for owner in owners()
        )
    )
    await ledger.drain()
    ledger.close()


def fill(path: Path, transfers: int) -> None:
    """Put a day of transfers into the tables, with positions and tallies that go with them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_PAIRS)
        connection.execute(_LANE)
        for first in range(1, transfers + 1, _AT_ONCE):
            span = (first, min(first + _AT_ONCE - 1, transfers))
            connection.execute("BEGIN")
            connection.execute(_LINES, span)
            connection.execute(_TRANSFERS, span)
            connection.execute("COMMIT")
        for side, account in (("sent", "debit"), ("received", "credit")):
            for rejected in (0, 1):
                sums = _SUM_BY.format(side=account, first=_FIRST_LANE)
                connection.execute(_TALLY.format(side=side, sums=sums, rejected=rejected))
        connection.execute(_BALANCES)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def measure(path: Path, transfers: int, *, fill_s: float, ledger_mb: float) -> WindowFigures:
    """Close the window and recount it."""
    begun = perf_counter()
    ledger = _open(path)
    open_s = perf_counter() - begun
    await ledger.apply((AdvanceWindow(window=WINDOW, state="CLOSING", at_ms=OPENED_MS),))
    begun = perf_counter()
    batch = await _close(ledger)
    close_s = perf_counter() - begun
    begun = perf_counter()
    wrong = disagreement(batch, await ledger.recount_window(WINDOW))
    recount_s = perf_counter() - begun
    begun = perf_counter()
    audit, pause_s = await _with_longest_pause(ledger.audit())
    audit_s = perf_counter() - begun
    ledger.close()
    return WindowFigures(
        transfers=transfers,
        participants=PARTICIPANTS,
        lines=audit.entries,
        fill_s=fill_s,
        ledger_mb=ledger_mb,
        open_s=open_s,
        close_s=close_s,
        recount_s=recount_s,
        audit_s=audit_s,
        loop_pause_ms=pause_s * 1e3,
        rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _rss_unit() / 1e6,
        agrees=not wrong and audit.clean,
    )


async def _close(ledger: SqliteLedger) -> Batch:
    stand = ledger.window(WINDOW)
    assert isinstance(stand, WindowStand)
    tallies = ledger.tallies(WINDOW)
    batch = make_batch(
        stand,
        tallies,
        names={owner: f"Banco {owner}" for owner in owners()},
        carried={one.account.owner: one.closing_minor for one in tallies},
        charges=Charges(),
        cut_off_ms=stand.closes_ms,
        closed_ms=OPENED_MS,
        next_window=NEXT_WINDOW,
    )
    command = CloseWindow(
        window=WINDOW,
        batch=encode_batch(batch),
        digest=digest(batch),
        next_window=NEXT_WINDOW,
        openings=tuple((one.account, one.closing_minor) for one in tallies),
        at_ms=OPENED_MS,
    )
    await ledger.apply((command,))
    kept = ledger.batch(WINDOW)
    assert kept is not None
    return decode_batch(kept)


async def _with_longest_pause(work: Awaitable[T]) -> tuple[T, float]:
    """Return what some work returns, and the longest the loop stood still meanwhile."""
    task = asyncio.ensure_future(work)
    longest = 0.0
    while not task.done():
        before = perf_counter()
        await asyncio.wait((task,), timeout=_TICK_S)
        longest = max(longest, perf_counter() - before - _TICK_S)
    return task.result(), longest


def _open(path: Path) -> SqliteLedger:
    return SqliteLedger.open(str(path), on_failure=_give_up, now_ms=OPENED_MS)


def _give_up(cause: BaseException) -> None:
    raise SystemExit(f"the ledger cannot be written: {cause}")


def _opening(window: str, number: int) -> OpenWindow:
    return OpenWindow(
        window=window,
        cycle=NATIONAL,
        currency="PEN",
        settlement_date=window.split("-")[2],
        number=number,
        opens_ms=OPENED_MS,
        closes_ms=OPENED_MS + 86_400_000,
    )


def _rss_unit() -> int:
    """Return the bytes that ``ru_maxrss`` counts in: 1 on macOS, 1024 elsewhere."""
    return 1 if sys.platform == "darwin" else _KIB


def main() -> None:
    """Fill, measure, print."""
    lifeline = watch(0, lambda: None, grace_s=0.0)
    path = Path(sys.argv[1]) / "ledger.db"
    transfers = int(sys.argv[2])
    asyncio.run(make(path))
    begun = perf_counter()
    fill(path, transfers)
    filled = {"fill_s": perf_counter() - begun, "ledger_mb": path.stat().st_size / 1e6}
    figures = asyncio.run(measure(path, transfers, **filled))
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    sys.stdout.flush()
    lifeline.stopped()


if __name__ == "__main__":
    main()
