"""Frames of the ISO 8583 lane in a line each, from the decoded and masked body of a message."""

from collections.abc import Mapping
from gettext import gettext as _
from typing import Any, Final

from chasqui.answers import TimelineRow
from chasqui.iso_meanings import CURRENCIES, network_name, operation_name, response_meaning
from chasqui.output import amount_text
from scheme.wire.iso8583_spec import MESSAGE_TYPES

_NETWORK_TYPES: Final = frozenset({"0800", "0810"})
_MINOR_DIGITS: Final = 12


def is_frame(message: str) -> bool:
    """Tell whether a message is named as those of this lane are."""
    return message in MESSAGE_TYPES


def elements(body: Any) -> dict[str, Any]:
    """Return the elements of a decoded body by number; empty if there are none to be found."""
    if not isinstance(body, Mapping):
        return {}
    inner = next(iter(body.values()), None)
    content = inner if isinstance(inner, Mapping) and len(body) == 1 else body
    return {str(key).removeprefix("DE"): value for key, value in content.items()}


def frame_title(message: str, body: Any) -> str:
    """Return type, operation and amount: ``0200 transfer S/ 25.50``."""
    found = elements(body)
    if message in _NETWORK_TYPES:
        about = network_name(_text(found, "70"))
        return f"{message} {about}".rstrip()
    operation = operation_name(_text(found, "3"))
    return " ".join(part for part in (message, operation, _amount(found)) if part)


def operation_of(body: Any) -> str:
    """Return the first two digits of DE3, which say what is asked for."""
    return _text(elements(body), "3")[:2]


def frame_answer(body: Any) -> str:
    """Return DE39 with its meaning: ``51 not enough funds``; nothing of a request."""
    code = _text(elements(body), "39")
    return f"{code} {response_meaning(code)}".strip()


def response_code_of(row: TimelineRow) -> str | None:
    """Return DE39 of a frame; None of any other message, and of a request."""
    return (_text(elements(row.body), "39") or None) if is_frame(row.message) else None


def frame_reference(body: Any) -> str:
    """Return what both sides know a request by, for a telephone call."""
    found = elements(body)
    stan, rrn = _text(found, "11"), _text(found, "37")
    return _("STAN {stan}, RRN {rrn}").format(stan=stan, rrn=rrn) if stan and rrn else ""


def _amount(found: Mapping[str, Any]) -> str:
    minor = _text(found, "4")
    if len(minor) != _MINOR_DIGITS or not minor.isdigit():
        return ""
    currency = _text(found, "49")
    return amount_text(int(minor), CURRENCIES.get(currency, currency or "PEN"))


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""
