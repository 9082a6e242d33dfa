"""What a terminal's session came to: verdicts, gaps, digests, cash, bytes."""

from collections import Counter as Count
from collections.abc import Iterable
from gettext import gettext as _
from gettext import ngettext
from typing import Final

import click
from msgspec import Struct

from chasqui.agent_bytes import ByteCounter, Bytes, print_bytes
from chasqui.agent_words import code_meaning, fault_text, kind_name
from chasqui.calling import as_called
from chasqui.exits import ExitCode
from chasqui.language import NN_
from chasqui.output import amount_text, bare_amount, paragraph, table
from participants.core.agent_book import Entry
from participants.core.agent_terminal import Terminal
from participants.core.agent_told import (
    Adopted,
    Asked,
    Closed,
    Faulted,
    Renumbered,
    Settled,
    Told,
    Unaccounted,
)
from scheme.wire.agent_payload import CURRENCIES, Agreement, Closing, Kind

_UNJUDGED: Final = NN_(
    "{count} operation has no verdict yet.", "{count} operations have no verdict yet."
)


class VerdictRow(Struct, frozen=True):
    """Verdicts of one kind and code."""

    kind: str
    code: str
    count: int
    minor: int
    currency: str


class DigestRow(Struct, frozen=True):
    """One side's digest of a range."""

    first: int
    last: int
    count: int
    total: int
    xor: str


class TillNow(Struct, frozen=True):
    """The terminal's drawer in one currency, and what its agent may still take in."""

    currency: str
    taken: int
    paid: int
    cash: int
    loss: int
    owed: int
    float_minor: int | None


class SessionResult(Struct, frozen=True, kw_only=True):
    """A session of a terminal.

    Attributes:
        waiting: operations without a verdict.
        asked: ranges that the clearing house asked for; lost: numbers that were told as void.
        adopted: sequence numbers whose verdict the clearing house replaced.
        unaccounted: ranges that the clearing house knows as other operations, or as ones that
            this terminal does not have.
        agrees: None if no digests were compared.
    """

    device: str
    verdicts: tuple[VerdictRow, ...]
    waiting: int
    asked: tuple[tuple[int, int], ...]
    lost: int
    adopted: tuple[int, ...]
    unaccounted: tuple[tuple[int, int], ...]
    faults: tuple[str, ...]
    ours: DigestRow | None
    theirs: DigestRow | None
    agrees: bool | None
    tills: tuple[TillNow, ...]
    bytes: Bytes | None
    is_whole: bool

    @property
    def exit_code(self) -> ExitCode:
        """How a command ends with it."""
        if self.agrees is False:
            return ExitCode.REFUSED
        return ExitCode.DONE if self.is_whole else ExitCode.UNKNOWN


class Journal:
    """Gathers what a terminal tells, and prints what a person should know at once.

    Args:
        says: whether anything is printed meanwhile.
    """

    def __init__(self, device: str, *, says: bool) -> None:
        self.device = device
        self.bytes = ByteCounter(device)
        self.is_whole = False
        self.says = says
        self._settled: dict[int, Entry] = {}
        self._asked: list[tuple[int, int]] = []
        self._lost = 0
        self._adopted: list[int] = []
        self._unaccounted: list[tuple[int, int]] = []
        self._faults: list[str] = []
        self._closed: Closed | None = None

    def told(self, one: Told) -> None:
        """Take what a terminal tells."""
        match one:
            case Settled(entry=entry):
                self._settled[entry.seq] = entry
            case Adopted(entry=entry, before=before):
                self._settled[entry.seq] = entry
                self._adopted.append(entry.seq)
                text = _("Operation {seq}: the clearing house says {code}, not {before}: adopted.")
                code = entry.verdict.code if entry.verdict else ""
                self._say(text.format(seq=entry.seq, code=code, before=before.code))
            case Asked(ranges=ranges, lost=lost):
                self._asked += ranges
                self._lost += lost
                text = _("The clearing house asks for {ranges}: sent.")
                self._say(text.format(ranges=ranges_text(ranges)))
            case Renumbered(next=following):
                text = _("The clearing house knows more of this terminal: it goes on with {next}.")
                self._say(text.format(next=following))
            case Unaccounted(ranges=ranges):
                self._unaccounted += ranges
                text = _(
                    "The clearing house has operations {ranges}, which this terminal does not "
                    "know: its disk is an older copy. It goes on after them; an operator has to "
                    "look at what they were."
                )
                self._say(text.format(ranges=ranges_text(ranges)))
            case Faulted(code=code, text=text):
                said = f"{code}: {text}"
                if said not in self._faults:
                    self._say(_("Not taken: {what}").format(what=fault_text(code, text)))
                self._faults.append(said)
            case Closed():
                self._closed = one
            case _:
                pass

    def result(self, terminal: Terminal) -> SessionResult:
        """Return what the session came to."""
        closed = self._closed
        return SessionResult(
            device=self.device,
            verdicts=tuple(verdict_rows(self._settled.values())),
            waiting=terminal.waiting,
            asked=tuple(self._asked),
            lost=self._lost,
            adopted=tuple(self._adopted),
            unaccounted=tuple(self._unaccounted),
            faults=tuple(self._faults),
            ours=None if closed is None else _digest(closed.ours),
            theirs=None if closed is None else _digest(closed.theirs),
            agrees=None if closed is None else closed.agrees,
            tills=tuple(tills(terminal)),
            bytes=self.bytes.result(),
            is_whole=self.is_whole,
        )

    def _say(self, text: str) -> None:
        if self.says:
            paragraph(text)


def verdict_rows(entries: Iterable[Entry]) -> list[VerdictRow]:
    """Return how many operations of each kind came to which code."""
    counts: Count[tuple[int, str, int]] = Count()
    amounts: Count[tuple[int, str, int]] = Count()
    for entry in entries:
        operation = entry.given_up or entry.operation
        code = entry.verdict.code if entry.verdict else ""
        key = (operation.kind, code, operation.currency)
        counts[key] += 1
        amounts[key] += operation.minor
    return [
        VerdictRow(Kind(kind).name.lower(), code, counts[key], amounts[key], CURRENCIES[currency])
        for key in sorted(counts)
        for kind, code, currency in (key,)
    ]


def tills(terminal: Terminal) -> list[TillNow]:
    """Return the cash of each currency that was ever used."""
    lease = terminal.facts.lease
    return [
        TillNow(
            currency=name,
            taken=row.taken,
            paid=row.paid,
            cash=row.cash,
            loss=row.loss,
            owed=row.owed,
            float_minor=None if lease is None else lease.float_minor[number],
        )
        for number, (name, row) in enumerate(zip(CURRENCIES, terminal.till(), strict=True))
        if row.taken or row.paid or number == 0
    ]


def print_session(result: SessionResult) -> None:
    """Print what a session came to."""
    if result.verdicts:
        rows = [
            (
                kind_name(Kind[row.kind.upper()]),
                row.code,
                code_meaning(row.code),
                str(row.count),
                amount_text(row.minor, row.currency),
            )
            for row in result.verdicts
        ]
        headings = (_("Kind"), _("Verdict"), _("Meaning"), _("Count"), _("Amount"))
        table(headings, rows, right="lllrr")
        click.echo()
    _print_digests(result)
    _print_tills(result.tills)
    if result.bytes is not None:
        click.echo()
        print_bytes(result.bytes)


def _print_digests(result: SessionResult) -> None:
    if result.ours is not None and result.theirs is not None:
        rows = [
            (name, _range(one.first, one.last), str(one.count), bare_amount(one.total), one.xor)
            for name, one in (
                (_("terminal"), result.ours),
                (_("clearing house"), result.theirs),
            )
        ]
        headings = (_("Digest of"), _("Operations"), _("Count"), _("Total"), "XOR")
        table(headings, rows, right="llrrl")
    if result.agrees:
        click.secho(_("The digests agree: the session is closed."), fg="green", bold=True)
    elif result.agrees is False:
        click.secho(_("The digests differ: an operator has to look."), fg="red", bold=True)
        click.echo(as_called(_("See: chasqui agent findings")))
    elif not result.waiting:
        click.echo(_("Nothing was left to close."))
    if result.waiting:
        text = ngettext(*_UNJUDGED, result.waiting).format(count=result.waiting)
        click.secho(text, fg="yellow", bold=True)
        click.echo(
            as_called(
                _("Ask again: chasqui agent sync --device {device}").format(device=result.device)
            )
        )
    click.echo()


def _print_tills(found: Iterable[TillNow]) -> None:
    rows = [
        (
            amount_text(row.taken, row.currency),
            amount_text(row.paid, row.currency),
            amount_text(row.cash, row.currency),
            amount_text(row.float_minor, row.currency),
        )
        for row in found
    ]
    table((_("Taken"), _("Paid out"), _("In the drawer"), _("Float left")), rows, right="rrrr")
    for row in found:
        if row.loss:
            text = _("Paid out alone and refused afterwards, the agent's loss: {amount}.")
            paragraph(text.format(amount=amount_text(row.loss, row.currency)))
        if row.owed:
            text = _("Taken alone and refused afterwards, to be given back: {amount}.")
            paragraph(text.format(amount=amount_text(row.owed, row.currency)))


def _digest(one: Closing | Agreement) -> DigestRow:
    return DigestRow(one.first, one.last, one.count, one.total, one.xor.hex())


def ranges_text(ranges: Iterable[tuple[int, int]]) -> str:
    """Return ranges of numbers in a line."""
    return ", ".join(_range(*one) for one in ranges)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
