"""What people call things at a field agent's counter."""

from collections.abc import Mapping
from gettext import gettext as _
from typing import Final

from chasqui.exits import Refused
from chasqui.iso_meanings import response_meaning
from chasqui.language import N_
from chasqui.output import amount_text, span
from chasqui.told import told
from participants.core.agent_limits import Stop, StopReason
from scheme.masking import mask_cci, mask_phone
from scheme.wire.agent_payload import CURRENCIES, Kind

_CCI_DIGITS: Final = 20
KIND_NAMES: Final[Mapping[Kind, str]] = {
    Kind.VOID: N_("void"),
    Kind.CASH_IN: N_("cash in"),
    Kind.CASH_OUT: N_("cash out"),
    Kind.CREDIT_PAYMENT: N_("credit payment"),
    Kind.CONTRIBUTION: N_("contribution"),
    Kind.TRANSFER: N_("transfer"),
    Kind.BALANCE: N_("balance"),
    Kind.STATEMENT: N_("statement"),
}
KIND_WORDS: Final[Mapping[str, Kind]] = {
    "in": Kind.CASH_IN,
    "out": Kind.CASH_OUT,
    "pay": Kind.CREDIT_PAYMENT,
    "contribute": Kind.CONTRIBUTION,
    "transfer": Kind.TRANSFER,
    "balance": Kind.BALANCE,
    "statement": Kind.STATEMENT,
}
"""What the commands, and ``--kinds``, call them."""
_CODES: Final[Mapping[str, str]] = {
    "00": N_("applied"),
    "12": N_("made after it was sent, by the terminal's clock"),
    "30": N_("malformed"),
    "61": N_("more than the agent may move"),
    "62": N_("the terminal is revoked"),
    "63": N_("its code does not verify"),
    "65": N_("more operations than the agent may make alone"),
    "68": N_("made too long ago"),
    "94": N_("the number was used for another operation"),
}
"""What a verdict means where the lane judged by itself; other codes are DE39's."""
_STOPS: Final[Mapping[StopReason, tuple[str, str]]] = {
    StopReason.NO_LEASE: (
        N_("The terminal never was in session, so it has no limits to work alone by."),
        N_("Connect it once: chasqui agent sync --device {device}"),
    ),
    StopReason.HOURS: (
        N_("The terminal has been alone for more than {span}: it takes nothing more."),
        N_("Connect it: chasqui agent sync --device {device}"),
    ),
    StopReason.CLOCK: (
        N_("The terminal's clock was set back: it takes nothing alone."),
        N_("Set the clock, then connect it: chasqui agent sync --device {device}"),
    ),
    StopReason.COUNT: (
        N_("The terminal has made as many operations as it may make alone: {limit}."),
        N_("Connect it: chasqui agent sync --device {device}"),
    ),
    StopReason.AMOUNT: (
        N_("Alone, the terminal may still move {left} of {most}."),
        N_("Connect it: chasqui agent sync --device {device}"),
    ),
    StopReason.FLOAT: (
        N_("The agent's float lets it take in {left} more."),
        N_("Pay cash out first, or look at the floats: chasqui agent tills"),
    ),
    StopReason.NEEDS_LINK: (
        N_("Only the clearing house can answer this, so it is not done offline."),
        N_("Leave --offline out."),
    ),
    StopReason.NO_LINK: (
        N_("The terminal is not in session."),
        N_("Try again, or queue the operation with --offline."),
    ),
    StopReason.FULL: (
        N_("The terminal's queue is full: {limit} operations."),
        N_("Connect it: chasqui agent sync --device {device}"),
    ),
}
_FAULTS: Final[Mapping[str, str]] = {
    "version": N_("the clearing house speaks another version of the payloads"),
    "payload": N_("a payload was not understood"),
    "session": N_("the clearing house knows a later session: an old copy of the terminal?"),
    "unknown": N_("the clearing house knows no verdict of some operations"),
    "busy": N_("the clearing house has too much to do; it is sent again"),
    "behind": N_("the clearing house lacks what this terminal has, and lets it in no more"),
}


def kind_name(kind: int) -> str:
    """Return what a kind of operation is called."""
    return _(KIND_NAMES[Kind(kind)])


def code_meaning(code: str) -> str:
    """Return what the code of a verdict means, or nothing if it is none that we know."""
    known = _CODES.get(code)
    return _(known) if known else response_meaning(code)


def stop_failure(stop: Stop, currency: int, device: str) -> Refused:
    """Return a terminal's own no as a failure with what to do next."""
    text, hint = _STOPS[stop.reason]
    return Refused(_(text).format_map(_slots(stop, currency)), _(hint).format(device=device))


def stop_text(stop: Stop, currency: int) -> str:
    """Return a terminal's own no in one sentence."""
    return _(_STOPS[stop.reason][0]).format_map(_slots(stop, currency))


def fault_text(code: str, text: str) -> str:
    """Return what a Fault says."""
    known = _FAULTS.get(code)
    return f"{_(known)} ({told(text)})" if known else f"{code}: {told(text)}"


def account_text(account: str) -> str:
    """Return an account as a receipt shows it."""
    return mask_cci(account) if len(account) == _CCI_DIGITS else mask_phone(account)


def _slots(stop: Stop, currency: int) -> dict[str, object]:
    name = CURRENCIES[currency]
    return {
        "limit": stop.limit,
        "span": span(stop.limit),
        "most": amount_text(stop.limit, name),
        "left": amount_text(stop.left, name),
    }
