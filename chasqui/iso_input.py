"""Frames as people hand them over: hex in an argument, in a file or on standard input."""

import re
import sys
from gettext import gettext as _
from pathlib import Path
from typing import Final

from chasqui.exits import Misused
from chasqui.language import N_
from scheme.limits import ISO_FRAME_BYTES_MAX

_STDIN: Final = "-"
_BETWEEN: Final = re.compile(r"0x|[\s:,.;_-]", re.IGNORECASE)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_TEXT: Final = re.compile(rb"[\t\n\r -~]*")
_HEADER_BYTES_MAX: Final = 4
_BYTES_MAX: Final = ISO_FRAME_BYTES_MAX + _HEADER_BYTES_MAX
_READ_BYTES_MAX: Final = 16 * ISO_FRAME_BYTES_MAX
_READ_MAX: Final = _READ_BYTES_MAX + 1
_MEANT_MIN: Final = 3
_MEANT_SHARE: Final = 0.75
_HINT: Final = N_("Two digits a byte; blanks and colons do not matter.")


def bytes_of(text: str) -> bytes:
    """Return the bytes that hex digits, a file or standard input hold.

    A file may also be the bytes themselves, as a capture tool writes them.

    Raises:
        Misused: it is none of these, or longer than any frame.
    """
    found = None if text == _STDIN else _from_hex(text)
    if found is None:
        found = _content(sys.stdin.buffer.read(_READ_MAX) if text == _STDIN else _read(text))
    if not found:
        raise Misused(_("There is nothing to read."), field="HEX")
    _check_size(len(found))
    return found


def _read(text: str) -> bytes:
    try:
        with Path(text).open("rb") as file:
            return file.read(_READ_MAX)
    except (OSError, ValueError) as error:
        if _is_nearly_hex(text):
            raise _wrong_hex(text) from error
        raise Misused(
            _("{text}: neither hex digits nor a file that can be read.").format(text=_cut(text)),
            _(_HINT),
            field="HEX",
        ) from error


def _content(raw: bytes) -> bytes:
    """Return what a file holds: hex text, or the bytes as they are.

    Raises:
        Misused: it is text, but neither hex digits nor a frame.
    """
    if len(raw) > _READ_BYTES_MAX:
        text = _("more than {count} bytes: a frame has at most {most}.")
        raise Misused(text.format(count=_READ_BYTES_MAX, most=_BYTES_MAX), field="HEX")
    if _TEXT.fullmatch(raw) is None:
        return raw
    text = raw.decode("ascii")
    found = _from_hex(text)
    if found is not None or not raw:
        return found or raw
    if _is_sound(raw):
        return raw
    raise _wrong_hex(text)


def _is_sound(raw: bytes) -> bool:
    """Tell whether text is a frame all the same: one variant is nothing but printable ASCII."""
    from chasqui.iso_frames import Framed, explained  # Late: hex is what mostly comes.

    return len(raw) <= _BYTES_MAX and not explained(raw, Framed()).is_broken


def _check_size(size: int) -> None:
    if size > _BYTES_MAX:
        text = _("{count} bytes: a frame has at most {most}.").format(count=size, most=_BYTES_MAX)
        raise Misused(text, field="HEX")


def _from_hex(text: str) -> bytes | None:
    digits = _BETWEEN.sub("", text)
    return bytes.fromhex(digits) if _HEX.fullmatch(digits) else None


def _is_nearly_hex(text: str) -> bool:
    """Tell whether somebody meant hex digits: no name of a file has that many of them."""
    digits = _BETWEEN.sub("", text)
    good = sum(one in _HEX_DIGITS for one in digits)
    return good >= _MEANT_MIN and good >= len(digits) * _MEANT_SHARE


def _wrong_hex(text: str) -> Misused:
    """Return what keeps a text from being hex digits: where it is wrong, or one too few."""
    at = _wrong_at(text)
    if at is None:
        count = len(_BETWEEN.sub("", text))
        line = _("{count} hex digits: one is missing, or one is too many.").format(count=count)
    else:
        line = _("{what!r} at character {at} is no hex digit.").format(what=text[at], at=at + 1)
    return Misused(line, _(_HINT), field="HEX")


def _wrong_at(text: str) -> int | None:
    at = 0
    while at < len(text):
        between = _BETWEEN.match(text, at)
        if between is not None:
            at = between.end()
        elif text[at] in _HEX_DIGITS:
            at += 1
        else:
            return at
    return None


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}\N{HORIZONTAL ELLIPSIS}"
