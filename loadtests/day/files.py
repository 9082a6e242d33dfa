"""Every file of every batch: fetched, kept, summed up, and held against batch and ledger."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from loadtests.day.book import ACCEPTED, DayBook, Line
from loadtests.day.calls import Unanswered
from loadtests.day.commands import call
from loadtests.day.country import DayCountry
from loadtests.day.listing import SettledBatch
from loadtests.day.plan import COOP_AGENTS
from loadtests.day.reckoning import Order
from loadtests.day.report import Claim
from scheme.batch import Batch, BatchRow

RECONCILIATION: Final = "reconciliation.csv"
NET: Final = "net.csv"
STATEMENT: Final = "camt.053.xml"
INSTRUCTION: Final = "pacs.009.xml"
NAMES: Final = (RECONCILIATION, NET, STATEMENT, INSTRUCTION)
_COLUMNS: Final = (
    "origin_cci", "receiver_account", "receiver_entity", "amount", "fee", "fee_sign",
    "transfer_type", "date_time", "channel", "trace", "instruction_id", "process_code", "state",
)  # fmt: skip
_SEPARATOR: Final = ";"
_OK, _NOT_FOUND = 200, 404
_AT_ONCE: Final = 4
_TRANSFER_TYPE, _CHANNEL = "320", "91"

Told = Mapping[str, tuple[Order, str]]


class FileChecks:
    """Fetches the files of all batches into a folder and checks them.

    Args:
        folder: of the report; the files go to ``files/<batch>/<participant>/``.
    """

    def __init__(self, country: DayCountry, batches: Sequence[SettledBatch], folder: Path) -> None:
        self._country = country
        self._batches = [one.batch for one in batches]
        self._nets = {one.batch.batch: one.nets for one in batches}
        self._folder = folder / "files"
        self._count: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()

    def count(self, batch: str) -> int:
        """Return how many files a batch has."""
        return self._count[batch]

    def lines(self, batch: str) -> int:
        """Return how many movements the reconciliation files of a batch list."""
        return self._lines[batch]

    def claims(self, book: DayBook, transfers: Told) -> list[Claim]:
        """Fetch everything, and return what was checked."""
        busy = [(batch, row) for batch in self._batches for row in _busy(batch)]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for made, count in threads.map(self._fetch, busy):
                self._count[made] += count
        sums: list[str] = []
        statements: list[str] = []
        for batch, row in busy:
            folder = self._place(batch, row)
            rows = _read(folder / RECONCILIATION)
            self._lines[batch.batch] += len(rows)
            sums += _unlike_batch(batch, row, rows)
            sums += _unlike_net(batch, row, _read(folder / NET))
            statements += _unlike_statement(batch, row, folder / STATEMENT)
            net = self._nets[batch.batch].get(row.participant, 0)
            statements += _unlike_instruction(batch, row, net, folder / INSTRUCTION)
        return [
            Claim(
                name="each reconciliation and net file sums up to its batch",
                checked=sum(self._lines.values()),
                differences=tuple(sums),
            ),
            Claim(
                name="each statement and instruction holds its batch's amounts",
                checked=len(busy),
                differences=tuple(statements),
            ),
            self._own_books(book, transfers),
        ]

    def _place(self, batch: Batch, row: BatchRow) -> Path:
        return self._folder / batch.batch / row.participant

    def _fetch(self, one: tuple[Batch, BatchRow]) -> tuple[str, int]:
        batch, row = one
        folder = self._place(batch, row)
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        for name in NAMES:
            path = f"/batches/{batch.batch}/files/{row.participant}/{name}"
            status, body = self._country.api.ask("GET", path)
            net = self._nets[batch.batch].get(row.participant, 0)
            if status == _NOT_FOUND and name == INSTRUCTION and not net:
                continue
            if status != _OK:
                raise Unanswered(f"GET {path}: HTTP {status}: {body[:300]!r}")
            (folder / name).write_bytes(body)
            count += 1
        return batch.batch, count

    def _own_books(self, book: DayBook, transfers: Told) -> Claim:
        """Have the books of the generator's agents compared by ``chasqui reconcile --file``."""
        own: defaultdict[tuple[str, str], list[Line]] = defaultdict(list)
        for line in book.of_way("wire"):
            known = transfers.get(line.order_id)
            if known is None:
                continue
            order = known[0]
            inside = line.debtor in COOP_AGENTS
            window = order.network_window or order.window if inside else order.window
            own[window, line.debtor].append(line)
        made = {batch.batch for batch in self._batches}
        known_windows = [(*key, lines) for key, lines in sorted(own.items()) if key[0] in made]
        found: list[str] = []
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for told in threads.map(lambda one: self._own_book(*one), known_windows):
                found += told
        return Claim(
            name="the generator's own books equal the ledger, by reconcile --file",
            checked=sum(map(len, own.values())),
            differences=tuple(found),
        )

    def _own_book(self, batch: str, code: str, lines: Sequence[Line]) -> list[str]:
        folder = self._folder / batch / code
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "own-book.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=_SEPARATOR, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows(_own_row(line) for line in lines)
        words = ("reconcile", "--file", str(path), "--participant", code, "--batch", batch)
        exit_code, out, err = call(self._country, *words)
        return [f"{batch} {code}: exit {exit_code}: {(out + err)[-600:]}"] if exit_code else []


def _own_row(line: Line) -> tuple[str, ...]:
    accepted = line.outcome == ACCEPTED
    return (
        line.debtor_cci,
        line.creditor_cci,
        line.creditor,
        _text(line.amount),
        _text(line.fee),
        "-",
        _TRANSFER_TYPE,
        line.at,
        _CHANNEL,
        line.trace,
        line.order_id,
        "00" if accepted else line.reason,
        "approved" if accepted else "rejected",
    )


def _busy(batch: Batch) -> Iterable[BatchRow]:
    for row in batch.participants:
        counts = (row.sent.accepted, row.sent.rejected, row.received.accepted,
                  row.received.rejected, row.funded, row.drawn)  # fmt: skip
        if any(one.count for one in counts):
            yield row


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=_SEPARATOR))


def _unlike_batch(batch: Batch, row: BatchRow, rows: Sequence[Mapping[str, str]]) -> Iterable[str]:
    counted: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for one in rows:
        pair = counted[one["fee_sign"], one["state"]]
        pair[0] += 1
        pair[1] += _cents(one["amount"]) + _cents(one["fee"])
    for sign, state, said in (
        ("-", "approved", row.sent.accepted),
        ("-", "rejected", row.sent.rejected),
        ("+", "approved", row.received.accepted),
        ("+", "rejected", row.received.rejected),
    ):
        summed = counted[sign, state]
        if summed != [said.count, said.value]:
            yield f"{batch.batch} {row.participant}: {state} {sign}: file {summed}, batch {said}"


def _unlike_net(batch: Batch, row: BatchRow, rows: Sequence[Mapping[str, str]]) -> Iterable[str]:
    said = [(_cents(one["net"]), _cents(one["new_opening"])) for one in rows]
    if said != [(row.net, row.new_opening)]:
        yield f"{batch.batch} {row.participant}: net file {said}, batch {row.net}"


def _unlike_statement(batch: Batch, row: BatchRow, path: Path) -> Iterable[str]:
    """Sum a statement up: its entries must lead from its first balance to its last.

    Returns are on the statements of the dispute cycle, though they move the same position.
    """
    document = ElementTree.fromstring(path.read_bytes())  # noqa: S314 - the country's own file
    balances: dict[str, int] = {}
    for balance in document.iterfind(".//{*}Bal"):
        code = balance.findtext("{*}Tp/{*}CdOrPrtry/{*}Cd", "")
        balances[code] = _signed(balance)
    moved = sum(_signed(entry) for entry in document.iterfind(".//{*}Ntry"))
    opened, closed = balances.get("OPBD", 0), balances.get("CLBD", 0)
    if closed - opened != moved or closed != row.new_opening - row.returns:
        yield (
            f"{batch.batch} {row.participant}: statement from {opened} by {moved} to {closed}, "
            f"the batch leaves {row.new_opening}"
        )


def _unlike_instruction(batch: Batch, row: BatchRow, net: int, path: Path) -> Iterable[str]:
    if not net:
        return
    document = ElementTree.fromstring(path.read_bytes())  # noqa: S314 - the country's own file
    amounts = [_cents(one.text or "0") for one in document.iterfind(".//{*}IntrBkSttlmAmt")]
    if sum(amounts) != abs(net):
        yield f"{batch.batch} {row.participant}: instruction of {amounts}, net {net}"


def _signed(element: ElementTree.Element) -> int:
    cents = _cents(element.findtext("{*}Amt", "0"))
    return cents if element.findtext("{*}CdtDbtInd") == "CRDT" else -cents


def _cents(text: str) -> int:
    return int(Decimal(text) * 100)


def _text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
