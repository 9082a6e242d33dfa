"""What the codes of the ISO 8583 lane mean to a person."""

from collections.abc import Mapping
from gettext import gettext as _
from typing import Final

from chasqui.language import N_

_RESPONSES: Final[Mapping[str, str]] = {
    "00": N_("approved"),
    "08": N_("approved with conditions, which counts as no answer"),
    "09": N_("still being processed, which counts as no answer"),
    "10": N_("approved in part, which counts as no answer"),
    "11": N_("approved with conditions, which counts as no answer"),
    "12": N_("this type of transfer is not allowed for the account"),
    "13": N_("wrong amount"),
    "14": N_("no such account or card"),
    "15": N_("no institution issued it"),
    "16": N_("approved with conditions, which counts as no answer"),
    "21": N_("posted and final: the reversal changes nothing"),
    "25": N_("the original is not known"),
    "26": N_("registered already"),
    "30": N_("format error"),
    "32": N_("done in part, which counts as no answer"),
    "36": N_("restricted account or card"),
    "39": N_("no such credit account"),
    "40": N_("operation not supported"),
    "42": N_("closed account"),
    "44": N_("account in another currency"),
    "51": N_("not enough funds"),
    "52": N_("no such current account"),
    "53": N_("no such savings account"),
    "54": N_("expired code or card"),
    "55": N_("wrong code or PIN"),
    "56": N_("phone or token not affiliated there"),
    "57": N_("not permitted here and now"),
    "58": N_("not signed on, or blocked"),
    "61": N_("above the limit"),
    "62": N_("blocked account"),
    "63": N_("wrong signature"),
    "64": N_("amount differs from the original's"),
    "68": N_("no answer in time: the outcome is open"),
    "75": N_("too many wrong codes"),
    "91": N_("the other institution is not available"),
    "93": N_("a regulatory reason"),
    "94": N_("the same key with other content"),
    "96": N_("wrong MAC, or a fault of the system"),
}
_OPERATIONS: Final[Mapping[str, str]] = {
    "01": N_("withdrawal"),
    "21": N_("deposit"),
    "31": N_("balance"),
    "33": N_("verification"),
    "38": N_("mini-statement"),
    "40": N_("transfer"),
}
_NETWORK: Final[Mapping[str, str]] = {
    "001": N_("sign-on"),
    "002": N_("sign-off"),
    "101": N_("key change"),
    "301": N_("echo"),
    "701": N_("notice"),
}
CURRENCIES: Final[Mapping[str, str]] = {"604": "PEN", "840": "USD"}


def response_meaning(code: str | None) -> str:
    """Return what a DE39 means, or nothing if it is none that we know."""
    known = _RESPONSES.get(code or "")
    return _(known) if known else ""


def operation_name(processing_code: str) -> str:
    """Return what a DE3 asks for, or nothing if it is none that we know."""
    known = _OPERATIONS.get(processing_code[:2])
    return _(known) if known else ""


def network_name(code: str) -> str:
    """Return what a DE70 is about, or nothing if it is none that we know."""
    return _(_NETWORK[code]) if code in _NETWORK else ""
