"""What both sides of an institution say and read on the ISO 8583 lane (docs/wire/iso8583.md)."""

import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from scheme.clock import lima
from scheme.reasons import ReasonCode
from scheme.wire import iso8583_reasons as codes
from scheme.wire.iso8583_codec import IsoFault
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv

REQUEST, REPEAT, ANSWER = "0200", "0201", "0210"
REVERSAL, REVERSAL_REPEAT, REVERSAL_ANSWER = "0420", "0421", "0430"
REQUESTS: Final = frozenset({REQUEST, REPEAT})
REVERSALS: Final = frozenset({REVERSAL, REVERSAL_REPEAT})
WITHDRAWAL, DEPOSIT, BALANCE, VERIFICATION, TRANSFER = "01", "21", "31", "33", "40"
STATEMENT: Final = "38"

APPROVED: Final = codes.APPROVED
IRREVOCABLE: Final = codes.IRREVOCABLE
UNKNOWN: Final = codes.UNABLE_TO_LOCATE
NO_FUNDS: Final = codes.NO_FUNDS
NOT_SIGNED_ON: Final = codes.NOT_SIGNED_ON
SYSTEM: Final = codes.MAC_ERROR
OTHER_REFUSAL: Final = codes.NOT_PERMITTED
"""For what no other code says; the reason stands in DE62."""

_NO_OUTCOME: Final = codes.UNDECIDED | {NOT_SIGNED_ON, SYSTEM}
_ANSWERS: Final = {
    REQUEST: ANSWER,
    REPEAT: ANSWER,
    REVERSAL: REVERSAL_ANSWER,
    REVERSAL_REPEAT: REVERSAL_ANSWER,
    "0800": "0810",
}
_ECHOED: Final = (
    "3", "4", "7", "11", "12", "13", "15", "32", "37", "41", "42", "49", "70", "102", "103",
)  # fmt: skip
_STAN: Final = slice(4, 10)
_DISPENSED_DIGITS: Final = 12


def tags(fields: Fields, element: str) -> dict[str, str]:
    """Return the tagged values of DE48 or DE62; what cannot be read counts as absent."""
    try:
        return decode_tlv(fields.get(element, ""), element)
    except IsoFault:
        return {}


def tagged(values: Mapping[str, str | None]) -> str:
    """Return values as the text of one element, without the empty ones."""
    return encode_tlv({tag: value for tag, value in values.items() if value})


def transaction(fields: Fields) -> str:
    """Return what is asked for: the first digits of DE3."""
    return fields.get("3", "")[:2]


def cents(fields: Fields) -> int:
    """Return DE4; 0 if there is none."""
    text = fields.get("4", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def key_of(fields: Fields) -> str:
    """Return what a request is told by, whatever its message type says of repeats."""
    return ":".join(fields.get(element, "") for element in ("32", "11", "37", "13"))


def original_key(reversal: Fields) -> str:
    """Return the key of the request that a reversal names."""
    return key_of({**reversal, "11": reversal.get("90", "")[_STAN]})


def content_of(fields: Fields) -> str:
    """Return what moves money in a request: the same under its key, or it is another one."""
    parts = (fields.get(element, "") for element in ("4", "49", "102", "103"))
    return ":".join((transaction(fields), *parts, tags(fields, "48").get("31", "")))


def dispensed_of(reversal: Fields) -> int:
    """Return what a reversal says was handed out: DE95, or nothing."""
    text = reversal.get("95", "")[:_DISPENSED_DIGITS]
    return int(text) if text.isascii() and text.isdigit() else 0


def answer_to(
    request: Fields,
    code: str,
    *,
    subject: str = "",
    reason: str = "",
    rule: str = "",
    parties: Mapping[str, str | None] | None = None,
    more: Mapping[str, str] | None = None,
) -> Fields:
    """Return the answer to a request.

    Args:
        code: DE39.
        subject: the clearing house's id of what it is about.
        reason, rule: why it was refused.
        parties: values of DE48.
        more: further elements.
    """
    fields = {"t": _ANSWERS[request["t"]]}
    fields |= {element: request[element] for element in _ECHOED if element in request}
    fields["39"] = code
    if code == APPROVED and request["t"] in REQUESTS:
        fields["38"] = approval(subject or key_of(request))
    private = tagged({"01": subject, "03": reason, "04": rule})
    if private:
        fields["62"] = private
    if parties and (told := tagged(parties)):
        fields["48"] = told
    return fields | dict(more or {})


def refusal_of(request: Fields, reason: ReasonCode, *, subject: str = "", rule: str = "") -> Fields:
    """Return the answer that refuses for a reason."""
    return answer_to(
        request, codes.response_code_of(reason), subject=subject, reason=reason, rule=rule
    )


def reason_behind(answer: Fields) -> str:
    """Return the reason of a refusal: the one that it names, or what its code says."""
    named = tags(answer, "62").get("03")
    # A core may have reasons of its own: what it names is passed on as it is.
    return named or codes.reason_of(answer.get("39", ""))


def is_refusal(answer: Fields) -> bool:
    """Tell whether an answer is a refusal, and not an answer that says nothing of the outcome."""
    code = answer.get("39", "")
    if not code or code == APPROVED:
        return False
    named = "03" in tags(answer, "62")
    return named or code not in _NO_OUTCOME


def approval(subject: str) -> str:
    """Return DE38 of an approval: the same for the same subject."""
    return f"{zlib.crc32(subject.encode()) % 1_000_000:06}"


def transmitted(now: datetime) -> str:
    """Return DE7."""
    return now.strftime("%m%d%H%M%S")


def year_of(day: str, now: datetime) -> str:
    """Return ``yyyyMMdd`` of a ``MMDD`` close to now."""
    here = lima(now)
    # Across New Year the other year is the closer one.
    ahead = int(day[:2]) - here.month
    year = here.year + (1 if ahead < -6 else -1 if ahead > 6 else 0)
    return f"{year:04}{day}"


def account_amount(currency: str, minor: int) -> str:
    """Return DE54 of what may be spent of an account."""
    sign = "C" if minor >= 0 else "D"
    return f"0002{currency}{sign}{abs(minor):012}"


def available_in(text: str) -> int | None:
    """Return the minor units that a DE54 begins with; None if it holds no amount."""
    sign, digits = text[7:8], text[8:20]
    if sign not in {"C", "D"} or len(digits) != _DISPENSED_DIGITS or not digits.isdigit():
        return None
    return int(digits) if sign == "C" else -int(digits)
