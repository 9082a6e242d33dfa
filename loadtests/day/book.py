"""The generator's own book: every order of the day and what its sender was told."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

Outcome = Literal["accepted", "refused", "pending", "unsent"]
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
PENDING: Final = "pending"
UNSENT: Final = "unsent"


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """One order.

    Attributes:
        way: ``wire`` for the generator's own agents, ``hook`` for institutions' customers,
            ``deferred`` or ``lbtr`` for payments.
        outcome: as its sender was told; payments stay ``pending`` in this book.
        order_id: instructionId or payment id; empty if the order never left its institution.
        amount, fee: cents.
        at: ``yyyyMMddHHmmss``, Lima, of the order; empty where the institution made it.
    """

    way: str
    outcome: Outcome
    order_id: str
    reason: str = ""
    debtor: str
    creditor: str
    debtor_cci: str = ""
    creditor_cci: str
    amount: int
    fee: int
    trace: str = ""
    at: str = ""


class DayBook:
    """All lines, in the order of their answers."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def note(self, line: Line) -> None:
        """Enter one order."""
        self.lines.append(line)

    def __len__(self) -> int:
        return len(self.lines)

    def of_way(self, *ways: str) -> Iterator[Line]:
        """Return the lines that travelled so and reached the clearing house."""
        return (one for one in self.lines if one.way in ways and one.order_id)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many orders ended how, by way."""
        found: dict[str, Counter[str]] = {}
        for one in self.lines:
            label = f"{one.outcome} {one.reason}".strip()
            found.setdefault(one.way, Counter())[label] += 1
        return {way: dict(sorted(counter.items())) for way, counter in found.items()}

    def write(self, path: Path) -> None:
        """Write one JSON object a line."""
        with path.open("wb") as file:
            for one in self.lines:
                file.write(msgspec.json.encode(one) + b"\n")
