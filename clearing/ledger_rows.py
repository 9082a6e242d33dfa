"""The rows of one group, folded, and the few statements that write them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from clearing.core.tally import Counter
from clearing.ledger_schema import LINES_PER_NUMBER
from scheme.ledger import Account, Owed, Position

PARKED = 6
_ROWS_PER_STATEMENT = 64

Row = Sequence[object]


class MultiRow:
    """A statement over many rows: ``head (?,..),(?,..) tail``."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        self._head = head
        self._row = f"({','.join('?' * columns)})"
        self._tail = tail
        self._texts: dict[int, str] = {}

    def run(self, execute: Callable[[str, Sequence[object]], object], rows: Sequence[Row]) -> None:
        """Run it over all rows, in pieces of powers of two: few texts, so all stay prepared."""
        done = 0
        size = _ROWS_PER_STATEMENT
        while done < len(rows):
            while size > len(rows) - done:
                size //= 2
            piece = rows[done : done + size]
            execute(self._text(size), list(chain.from_iterable(piece)))
            done += size

    def _text(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            text = f"{self._head} {','.join([self._row] * size)} {self._tail}"
            self._texts[size] = text
        return text


def statements() -> dict[str, MultiRow]:
    """Return a statement for each kind of row, in the order in which they must run.

    A group is written whole or not at all, so those of every transfer say ``OR ROLLBACK``: SQLite
    then keeps no journal of each statement, in a file of its own, to undo that one alone.

    Deletions from the outbox stand before insertions: an id that was struck off and is owed
    again in one group must be there afterwards.
    """
    return {
        "transfers": MultiRow("INSERT OR ROLLBACK INTO transfers VALUES", 15),
        # The row is there, so this updates it: UPDATE .. FROM would copy each record twice more.
        "decided": MultiRow(
            "INSERT OR ROLLBACK INTO transfers SELECT column1, '', '', column2, column3, '', '', "
            "'', '', 0, 0, column4, NULL, 0, column5 FROM (VALUES",
            5,
            ") WHERE true ON CONFLICT(number) DO UPDATE SET state = excluded.state, "
            "reason = excluded.reason, decided_ms = excluded.decided_ms, record = excluded.record",
        ),
        "advanced": MultiRow(
            "UPDATE OR ROLLBACK transfers SET state = v.column2 FROM (VALUES",
            2,
            ") AS v WHERE transfers.transfer_id = v.column1",
        ),
        "lanes": MultiRow("INSERT INTO lanes VALUES", 8),
        "lines": MultiRow("INSERT OR ROLLBACK INTO lines VALUES", 4),
        "occasions": MultiRow("INSERT INTO occasions VALUES", 2),
        "struck": MultiRow("DELETE FROM outbox WHERE owed_id IN (VALUES", 1, ")"),
        "outbox": MultiRow("INSERT OR ROLLBACK INTO outbox VALUES", 7),
        "parked": MultiRow(
            "UPDATE outbox SET parked_ms = v.column2 FROM (VALUES",
            2,
            ") AS v WHERE outbox.owed_id = v.column1",
        ),
        # The first one stands, as with every key.
        "verifications": MultiRow("INSERT OR IGNORE INTO verifications VALUES", 4),
        "facts": MultiRow("INSERT OR REPLACE INTO facts VALUES", 2),
        "movements": MultiRow("INSERT INTO movements VALUES", 3),
        "oppositions": MultiRow("INSERT INTO oppositions VALUES", 4),
        "positions": MultiRow("INSERT OR REPLACE INTO positions VALUES", 9),
        "windows": MultiRow(
            "INSERT INTO windows VALUES",
            12,
            'ON CONFLICT("window") DO UPDATE SET state = excluded.state, '
            "closed_ms = excluded.closed_ms, record = excluded.record, "
            "last_number = coalesce(excluded.last_number, last_number)",
        ),
        "batches": MultiRow("INSERT INTO batches VALUES", 6),
        "tallies": MultiRow("INSERT OR REPLACE INTO tallies VALUES", 17),
        "instructions": MultiRow("INSERT OR REPLACE INTO instructions VALUES", 14),
    }


class Group:
    """The rows of one group, folded."""

    def __init__(self) -> None:
        self.transfers: dict[str, list[object]] = {}
        self.decided: dict[str, list[object]] = {}
        self.advanced: dict[str, tuple[str, str]] = {}
        self.lanes: Sequence[Row] = ()
        self.lines: list[Row] = []
        self.occasions: list[Row] = []
        self.struck: dict[str, Row] = {}
        self.outbox: dict[str, list[object]] = {}
        self.parked: dict[str, Row] = {}
        self.verifications: list[Row] = []
        self.facts: dict[str, Row] = {}
        self.movements: list[Row] = []
        self.oppositions: list[Row] = []
        self.positions: dict[Account, Position] = {}
        self.windows: dict[str, list[object]] = {}
        self.batches: list[Row] = []
        self.counted: dict[Counter, Sequence[int]] = {}
        self.instructions: dict[str, Row] = {}

    def rows(self, kind: str) -> Sequence[Row]:
        """Return the rows of one table or update."""
        if kind == "positions":
            return [_position_row(one) for one in self.positions.values()]
        if kind == "tallies":
            return [_tally_row(one, counts) for one, counts in self.counted.items()]
        rows: Mapping[str, Row] | Sequence[Row] = getattr(self, kind)
        return list(rows.values()) if isinstance(rows, Mapping) else rows

    def owe(self, owed: Iterable[Owed]) -> None:
        """Add messages to the outbox."""
        for one in owed:
            row = [one.owed_id, one.participant, one.message, one.subject, one.body, one.due_ms]
            self.outbox[one.owed_id] = [*row, None]

    def strike(self, owed_ids: Iterable[str]) -> None:
        """Take messages off the outbox."""
        for owed_id in owed_ids:
            self.parked.pop(owed_id, None)
            if self.outbox.pop(owed_id, None) is None:
                self.struck[owed_id] = (owed_id,)

    def park(self, owed_ids: Iterable[str], at_ms: int) -> None:
        """Park messages for a person."""
        for owed_id in owed_ids:
            if owed_id in self.outbox:
                self.outbox[owed_id][PARKED] = at_ms
            elif owed_id not in self.struck:
                self.parked[owed_id] = (owed_id, at_ms)

    def enter(
        self, number: int, lanes: Iterable[tuple[int, int]], at_ms: int, *, first: int = 0
    ) -> None:
        """Add the lines of a transfer or another posting.

        Args:
            lanes: lane and amount of each; first: place of the first among those of its number.
        """
        line_id = number * LINES_PER_NUMBER + first
        for lane, minor in lanes:
            self.lines.append((line_id, lane, minor, at_ms))
            line_id += 1


def _position_row(position: Position) -> Row:
    account = position.account
    return (
        account.ledger,
        account.currency,
        account.owner,
        position.balance_minor,
        position.reserved_minor,
        position.low_minor,
        position.high_minor,
        position.cap_minor,
        int(position.alerted),
    )


def _tally_row(counter: Counter, counts: Sequence[int]) -> Row:
    account = counter.account
    return (counter.window, account.ledger, account.currency, account.owner, *counts)
