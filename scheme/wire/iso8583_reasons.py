"""What a refusal is called on the ISO 8583 lane, and what its codes mean to the others.

One table each way (docs/wire/iso8583.md#response-codes). DE39 has fewer meanings than there are
reasons, so the reason itself always travels beside it, in tag 03 of DE62.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from scheme.reasons import ReasonCode

APPROVED: Final = "00"
INVALID_AMOUNT: Final = "13"
IRREVOCABLE: Final = "21"
"""A reversal came for what is posted, and posted it stays."""
UNABLE_TO_LOCATE: Final = "25"
FORMAT_ERROR: Final = "30"
NO_FUNDS: Final = "51"
EXPIRED_CODE: Final = "54"
WRONG_CODE: Final = "55"
NOT_PERMITTED: Final = "57"
NOT_SIGNED_ON: Final = "58"
ABOVE_LIMIT: Final = "61"
ISSUER_TIMEOUT: Final = "68"
TOO_MANY_ATTEMPTS: Final = "75"
ISSUER_UNAVAILABLE: Final = "91"
DUPLICATE: Final = "94"
"""The same key as an earlier request, with other content."""
MAC_ERROR: Final = "96"

UNDECIDED: Final = frozenset({"08", "09", "10", "11", "16", "32", ISSUER_TIMEOUT})
"""Answers to a request that leave open whether, or how much of it, was posted.

The standard has approvals with conditions, which no transfer can meet, and answers that are none.
Neither is a refusal: they count as silence, and a reversal settles it.
"""


def response_code_of(reason: ReasonCode) -> str:  # noqa: C901 - a case for each, or no type check
    """Return DE39 for a refusal."""
    match reason:
        case ReasonCode.AC14:
            return "12"
        case ReasonCode.AM01 | ReasonCode.AM09:
            return INVALID_AMOUNT
        case ReasonCode.AC01:
            return "14"
        case ReasonCode.BE15:
            return UNABLE_TO_LOCATE
        case ReasonCode.IREG:
            return "26"
        case ReasonCode.FF02 | ReasonCode.BE08 | ReasonCode.BE16 | ReasonCode.RR10:
            return FORMAT_ERROR
        case ReasonCode.AC07:
            return "42"
        case ReasonCode.AC11:
            return "44"
        case ReasonCode.CH11 | ReasonCode.UREG:
            return "56"
        case ReasonCode.FF07 | ReasonCode.DS24:
            # Not 68 for what came too late: that would leave open whether it was posted.
            return NOT_PERMITTED
        case ReasonCode.DNOR:
            return NOT_SIGNED_ON
        case ReasonCode.AC06:
            return "62"
        case ReasonCode.DS0A | ReasonCode.DS0B | ReasonCode.DS0D | ReasonCode.DS16:
            return "63"
        case ReasonCode.AB05:
            return ISSUER_UNAVAILABLE
        case ReasonCode.RR04:
            return "93"
        case ReasonCode.AM05:
            return DUPLICATE
        case _:
            assert_never(reason)


RESPONSE_CODES: Final[Mapping[str, str]] = {
    str(reason): response_code_of(reason) for reason in ReasonCode
}
"""DE39 by reason, as spelt on the other wire."""

_R = ReasonCode
REASONS: Final[Mapping[str, ReasonCode]] = {
    "12": _R.AC14,
    INVALID_AMOUNT: _R.AM09,
    "14": _R.AC01,
    UNABLE_TO_LOCATE: _R.BE15,
    "26": _R.IREG,
    FORMAT_ERROR: _R.FF02,
    "36": _R.AC06,
    "39": _R.AC01,
    "40": _R.AC14,
    "42": _R.AC07,
    "44": _R.AC11,
    "52": _R.AC01,
    "53": _R.AC01,
    "56": _R.CH11,
    NOT_SIGNED_ON: _R.DNOR,
    "62": _R.AC06,
    "63": _R.DS0A,
    "64": _R.AM09,
    ISSUER_UNAVAILABLE: _R.AB05,
    "93": _R.RR04,
    DUPLICATE: _R.AM05,
}
"""Reasons by DE39, for a refusal that names none in DE62; any other code is FF07."""

_KNOWN: Final[Mapping[str, ReasonCode]] = {str(reason): reason for reason in ReasonCode}


def reason_of(response_code: str, named: str = "") -> ReasonCode:
    """Return the reason behind a refusal.

    Args:
        response_code: DE39.
        named: tag 03 of DE62, which goes first if it is a reason.
    """
    return _KNOWN.get(named) or REASONS.get(response_code, ReasonCode.FF07)
