"""How things are printed: tables for people, JSON for scripts."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from gettext import gettext as _
from typing import IO, TYPE_CHECKING, Any, Literal

import click
import msgspec

from chasqui.calling import as_called
from scheme.clock import from_ms, lima
from scheme.errors import MalformedMessage
from scheme.money import Currency, Money, format_amount, parse_amount

if TYPE_CHECKING:
    from rich.console import Console

TIED = "\N{NO-BREAK SPACE}"
"""A blank at which ``paragraph`` breaks no line."""
SIGNS = {"PEN": "S/", "USD": "US$"}
CURRENCIES = ("PEN", "USD")
_CAP_UNLIMITED_MINOR = 10**15
"""The cap of positions that only mirror others, such as a sponsor's in its network's ledger."""
_COLUMNS_UNKNOWN = 80
_DATE_DIGITS = 8
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def as_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log of the parts that processes share out of what a command prints."""
    # Imported late, as below: most commands share nothing that has a log.
    import structlog

    before = structlog.get_config()
    structlog.configure(
        logger_factory=lambda *_names: structlog.ReturnLogger(), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def console(stream: IO[Any] | None = None) -> "Console":
    """Return a console that writes where click does; 80 columns where nobody knows better."""
    # Imported late: it takes longer than everything else a short command does.
    from rich.console import Console

    out = stream or sys.stdout
    wide = None if out.isatty() else _COLUMNS_UNKNOWN
    return Console(file=out, width=wide, highlight=False, soft_wrap=False)


def visible(text: str) -> str:
    """Return a text that drives no terminal, whoever wrote it; lines stay lines."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: str = "",
    rule_before: int | None = None,
    whole: int | None = None,
) -> None:
    """Print a table.

    Args:
        right: a letter for each column: ``r`` aligns it to the right; missing ones to the left.
        rule_before: number of the row over which a line is drawn, as over totals.
        whole: number of the column that is not broken where the table is too wide: others are.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    printer = console()
    widths = [max(map(len, cells)) for cells in zip(headings, *rows, strict=True)]
    gap = 1 if sum(widths) + 2 * (len(widths) - 1) <= printer.width else 0
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0), show_edge=False)
    for index, heading in enumerate(headings):
        to_the_right = right[index : index + 1] == "r"
        justify: Literal["left", "right"] = "right" if to_the_right else "left"
        drawn.add_column(heading, justify=justify, overflow="fold", no_wrap=index == whole)
    for index, row in enumerate(rows, 1):
        drawn.add_row(*(Text(visible(cell)) for cell in row), end_section=index == rule_before)
    with printer.capture() as captured:
        printer.print(drawn)
    # Without the blanks that fill the last column: they get in the way of what is copied.
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def paragraph(text: str) -> None:
    """Print a sentence or two; in a terminal, broken between words where it ends."""
    text = as_called(visible(text))
    if sys.stdout.isatty():
        # Not by rich: it would break commands that people copy, and style what looks like markup.
        text = textwrap.fill(
            text,
            shutil.get_terminal_size().columns,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    click.echo(text.replace(TIED, " "))


def bare_amount(minor: int) -> str:
    """Return an amount without its sign of currency, where that stands above: ``1,025.50``."""
    return amount_text(minor, "PEN").replace(f"{SIGNS['PEN']} ", "")


def is_unlimited(cap_minor: int) -> bool:
    """Tell whether a cap is one that nobody reaches."""
    return cap_minor >= _CAP_UNLIMITED_MINOR


def cap_text(minor: int, currency: str) -> str:
    """Return a credit line: nothing where there is none, a word where it never ends."""
    if is_unlimited(minor):
        return _("unlimited")
    return amount_text(minor, currency) if minor else "-"


def amount_text(minor: int | None, currency: str) -> str:
    """Return an amount as people write it: ``S/ 1,025.50``."""
    if minor is None:
        return "-"
    sign = "-" if minor < 0 else ""
    known: Currency = "USD" if currency == "USD" else "PEN"
    whole, _point, cents = format_amount(Money(abs(minor), known)).partition(".")
    return f"{sign}{SIGNS.get(currency, currency)} {int(whole):,}.{cents}"


def moved_text(minor: int | None, currency: str) -> str:
    """Return an amount, or a dash where none was ever named, as of what never came."""
    return amount_text(minor, currency) if minor else "-"


def milliseconds(value: float | None) -> str:
    """Return a span in milliseconds, or a dash."""
    return "-" if value is None else f"{value:,.1f} ms"


def local_time(stamp: str | None) -> str:
    """Return the Lima time of day of an ISO 8601 instant, to the millisecond."""
    if not stamp:
        return "-"
    try:
        return lima(datetime.fromisoformat(stamp)).strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return stamp


def local_second(stamp: str | None) -> str:
    """Return the Lima day and time of an ISO 8601 instant, to the second."""
    if not stamp:
        return "-"
    try:
        return lima(datetime.fromisoformat(stamp)).strftime("%m-%d %H:%M:%S")
    except ValueError:
        return stamp


def day_text(date: str | None) -> str:
    """Return a settlement date as people write it: ``2026-11-23``."""
    if not date or len(date) != _DATE_DIGITS or not date.isdigit():
        return date or "-"
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


def local_ms(at_ms: int) -> str:
    """Return the Lima day and time of milliseconds since the epoch; a dash for 0."""
    return local_second(from_ms(at_ms).isoformat()) if at_ms else "-"


def passed_ms(earlier: str | None, later: str | None) -> float:
    """Return the milliseconds between two ISO 8601 instants; 0 where one cannot be read."""
    if not earlier or not later:
        return 0.0
    try:
        between = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    except (ValueError, TypeError):
        return 0.0
    return max(round(between.total_seconds() * 1000, 3), 0.0)


def span(seconds: float | None) -> str:
    """Return an age as people say it: ``42 s``, ``5 min``, ``3.5 h``, ``4.0 d``."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.1f} d"


def is_interactive() -> bool:
    """Tell whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


class Amount(click.ParamType[int]):
    """An amount in soles or dollars, e.g. ``25.50``; its value is in cents."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the cents."""
        if isinstance(value, int):
            return value
        from chasqui.told import told  # Late: it needs this module.

        text = str(value).strip()
        try:
            minor = parse_amount(text, "PEN").minor
        except MalformedMessage as error:
            if "," in text:
                self.fail(
                    _("{value!r}: cents follow a point, as in 25.50").format(value=text), param, ctx
                )
            self.fail(f"{text!r}: {told(error.rule)}", param, ctx)
        if minor == 0:
            self.fail(_("{value!r}: it must be above zero").format(value=text), param, ctx)
        return minor
