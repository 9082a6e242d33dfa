"""A load on a country that is already running, with a book of every answer.

For rehearsals of crashes: an order whose answer was lost is sent again as 0201 until it comes, so
that the book ends with what was really decided.
"""

from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from loadtests.bench.local_country import debtors
from loadtests.bench.operations import Operations
from loadtests.bench.orders import Plain
from loadtests.bench.run import PAYEES_EACH, Check, check
from loadtests.bench.traffic import Book, Traffic
from scheme.clock import Clock

PATIENCE_S = 60.0
RUN_S_MAX = 300.0
"""Bound of a load that was given as a number of transfers."""


class Rehearsal(Struct, frozen=True):
    """Where the load goes and how long it is; unsigned.

    Attributes:
        url: of the clearing house.
        operator_url: of its operator API.
        transfers: how many; else ``seconds``.
        book: file that takes one JSON line for every transfer.
    """

    url: str
    operator_url: str
    transfers: int | None
    seconds: float | None
    in_flight: int
    seed: int
    book: Path


async def rehearse(plan: Rehearsal, clock: Clock) -> Check:
    """Drive the load, wait until nothing is owed, and hold the book against the ledger."""
    operations = Operations(plan.operator_url)
    parts = urlsplit(plan.url)
    plan.book.parent.mkdir(parents=True, exist_ok=True)
    with plan.book.open("w", encoding="utf-8") as file:
        book = Book(file=file)
        senders = debtors(
            operations.senders(), operations.payees(PAYEES_EACH), plan.seed, lambda _: Plain()
        )
        traffic = Traffic(
            parts.port or 80,
            senders,
            book,
            clock,
            in_flight=plan.in_flight,
            patience_s=PATIENCE_S,
            host=parts.hostname or "127.0.0.1",
        )
        await traffic.sign_on()
        before = operations.balances()
        await traffic.run(seconds=plan.seconds or RUN_S_MAX, transfers=plan.transfers)
        traffic.close()
        return check(operations, book, before)
