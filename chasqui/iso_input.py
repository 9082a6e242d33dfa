"""Frames as people hand them over: hex in an argument, in a file or on standard input."""

import re
import sys
from gettext import gettext as _
from pathlib import Path
from typing import Final

from chasqui.exits import Misused
from scheme.limits import ISO_FRAME_BYTES_MAX

_STDIN: Final = "-"
_BETWEEN: Final = re.compile(r"0x|[\s:,.;_-]", re.IGNORECASE)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_HEADER_BYTES_MAX: Final = 4
_READ_BYTES_MAX: Final = 16 * ISO_FRAME_BYTES_MAX


def bytes_of(text: str) -> bytes:
    """Return the bytes that hex digits, a file or standard input hold.

    A file may also be the bytes themselves, as a capture tool writes them.

    Raises:
        Misused: it is none of these, or longer than any frame.
    """
    found = _from_hex(text) if text != _STDIN else _content(sys.stdin.buffer.read(_READ_BYTES_MAX))
    if found is None:
        path = Path(text)
        try:
            with path.open("rb") as file:
                found = _content(file.read(_READ_BYTES_MAX))
        except (OSError, ValueError) as error:
            raise Misused(
                _("{text}: neither hex digits nor a file that can be read.").format(
                    text=_cut(text)
                ),
                _("Two digits a byte; blanks and colons do not matter."),
                field="HEX",
            ) from error
    if not found:
        raise Misused(_("There is nothing to read."), field="HEX")
    most = ISO_FRAME_BYTES_MAX + _HEADER_BYTES_MAX
    if len(found) > most:
        text = _("{count} bytes: a frame has at most {most}.").format(count=len(found), most=most)
        raise Misused(text, field="HEX")
    return found


def _content(raw: bytes) -> bytes:
    """Return what a file holds: hex text, or the bytes as they are."""
    try:
        read = _from_hex(raw.decode("ascii"))
    except UnicodeDecodeError:
        read = None
    return raw if read is None else read


def _from_hex(text: str) -> bytes | None:
    digits = _BETWEEN.sub("", text)
    return bytes.fromhex(digits) if _HEX.fullmatch(digits) else None


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}\N{HORIZONTAL ELLIPSIS}"
