"""Messages on the wire as people see them: a table, and the bodies on demand."""

from collections.abc import Sequence
from gettext import gettext as _

import click
import msgspec

from chasqui.answers import TimelineRow
from chasqui.iso_lines import frame_answer, frame_title, is_frame
from chasqui.legs import answer_text
from chasqui.names import message_name
from chasqui.output import console, local_second, local_time, milliseconds, table, visible

_PARTY_MAX = 8
"""Characters of a sender or receiver: a malformed message may name anything."""


def print_messages(rows: Sequence[TimelineRow]) -> None:
    """Print a table of messages, with the day where there are several."""
    days = {local_second(row.at).partition(" ")[0] for row in rows}
    headings = (_("At"), _("Message"), _("From -> to"), _("Time"), "HTTP", _("Answer"))
    table(headings, [_row(row, with_day=len(days) > 1) for row in rows], right="lllrr")


def print_bodies(rows: Sequence[TimelineRow]) -> None:
    """Print the bodies of messages, masked as they came."""
    from rich.syntax import Syntax  # Late: slow to import, and rarely asked for

    for row in rows:
        if row.body is None:
            continue
        text = msgspec.json.format(msgspec.json.encode(row.body), indent=2).decode()
        click.secho(f"{local_time(row.at)}  {message_name(row.message)}", bold=True)
        shown = Syntax(visible(text), "json", background_color="default", word_wrap=True)
        console().print(shown)


def _row(row: TimelineRow, *, with_day: bool) -> tuple[str, ...]:
    hop = f"{_party(row.sender)} -> {_party(row.receiver)}" if row.sender or row.receiver else ""
    status = row.http_status
    return (
        local_second(row.at) if with_day else local_time(row.at),
        title(row),
        hop,
        "" if row.ms is None else milliseconds(row.ms),
        "" if status is None else str(status),
        _answer(row),
    )


def title(row: TimelineRow) -> str:
    """Return what a message is called; a frame of ISO 8583 with what it asks for."""
    return (
        frame_title(row.message, row.body) if is_frame(row.message) else message_name(row.message)
    )


def _answer(row: TimelineRow) -> str:
    told = frame_answer(row.body) if is_frame(row.message) else ""
    return told or answer_text(row.response_code, row.reason_code)


def _party(code: str | None) -> str:
    if not code:
        return "?"
    return code if len(code) <= _PARTY_MAX else f"{code[: _PARTY_MAX - 1]}\N{HORIZONTAL ELLIPSIS}"
