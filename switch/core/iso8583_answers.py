"""What a debtor's core is answered over ISO 8583: 0210 and 0430, from what the clearing house said.

The same outcome gives the same answer at every repeat: nothing here looks at a clock.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from scheme.messages import AV4, CT4
from scheme.messages.conditions import ACCEPTED
from scheme.reasons import ReasonCode
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import encode_tlv, printable
from scheme.wire.tin_json import decode
from switch.core import rules
from switch.core.iso8583_codes import (
    APPROVED,
    IRREVOCABLE,
    NOT_PERMITTED,
    RESPONSE_CODES,
    UNABLE_TO_LOCATE,
    in_elements,
)

ANSWERS: Final[Mapping[str, str]] = {
    "0200": "0210",
    "0201": "0210",
    "0420": "0430",
    "0421": "0430",
}
"""Message type of the answer, by that of the request."""

FEE_TAG: Final = "11"
"""In DE48: the interbank fee, in cents."""
OTHER_CONTENT: Final = "DE11: known with other content; the first request stands"

_ECHOED: Final = ("3", "4", "7", "11", "12", "13", "32", "37", "41", "42", "49", "102", "103")
_FINANCIAL: Final = "0210"
_AUTHORIZATION: Final = 6
_RULE_CHARACTERS_MAX: Final = 200


_UNREVERSED: Final[Mapping[str, tuple[str, str]]] = {
    IRREVOCABLE: (ReasonCode.FF07, "DE90: it is posted, and what is posted is irrevocable"),
    UNABLE_TO_LOCATE: (
        ReasonCode.BE15,
        "DE90: no such request came; if it still comes it is refused",
    ),
}


class Told(Struct, frozen=True, gc=False, kw_only=True):
    """What a request is answered, whichever of its repeats is.

    Attributes:
        response_code: DE39.
        reason: the one behind it; empty in an approval.
        rule: element and rule that was broken.
        subject: instructionId, or id of a withdrawal; empty where there is none.
        settlement_date: ``yyyyMMdd``, or empty.
        authorization: DE38 of an approval; empty: made of the subject.
        original: of a reversal: DE39 of the reversed request, and its id.
        parties: DE48 of the answer, by tag.
        extra: further elements.
    """

    response_code: str
    reason: str = ""
    rule: str = ""
    subject: str = ""
    settlement_date: str = ""
    authorization: str = ""
    original: str = ""
    parties: Mapping[str, str] = {}
    extra: Mapping[str, str] = {}


class _Said(Struct, gc=False):
    """What counts of a CT4 that is our own."""

    responseCode: str  # noqa: N815 - as on the wire
    instructionId: str = ""  # noqa: N815
    reasonCode: str | None = None  # noqa: N815
    settlementDate: str | None = None  # noqa: N815
    creditorCCI: str | None = None  # noqa: N815
    feeAmount: int | str | None = None  # noqa: N815 - a text in one variant


class _Envelope(Struct, gc=False):
    CT4: _Said


# A third of the time of reading all of it, which every transfer would pay.
_said: Final = msgspec.json.Decoder(_Envelope).decode


def told_of_order(ct4: bytes, explained: str) -> Told:
    """Return what an order is answered.

    Args:
        ct4: the answer as it stands in the record, in its participant's variant.
        explained: ``field: rule`` behind a refusal.
    """
    said: _Said | CT4
    try:
        said = _said(ct4).CT4
    except msgspec.ValidationError:
        said = decode(ct4, CT4)  # Without its root key, as one variant has it.
    date = said.settlementDate or ""
    if said.responseCode == ACCEPTED:
        return Told(
            response_code=APPROVED,
            subject=said.instructionId,
            settlement_date=date,
            parties={FEE_TAG: str(said.feeAmount)} if said.feeAmount not in (None, "") else {},
            extra={} if said.creditorCCI is None else {"103": said.creditorCCI},
        )
    if explained == rules.OTHER_CONTENT.header:
        explained = OTHER_CONTENT  # Here the key is not the field that it is on the other wire.
    return _refused(said.reasonCode, explained, said.instructionId, date)


def told_of_query(av4: AV4, explained: str) -> Told:
    """Return what a verification is answered."""
    if av4.responseCode != ACCEPTED:
        return _refused(av4.reasonCode, explained, av4.instructionId, "")
    found = {
        "01": av4.creditorParticipantCode,
        "08": printable(av4.creditorName or ""),
        "13": av4.sameCustomerFlag,
        "15": av4.creditorIdCode,
        "16": printable(av4.creditorId or ""),
    }
    return Told(
        response_code=APPROVED,
        subject=av4.instructionId,
        parties={tag: value for tag, value in found.items() if value},
        extra={} if av4.creditorCCI is None else {"103": av4.creditorCCI},
    )


def _refused(reason: str | None, explained: str, subject: str, date: str) -> Told:
    reason = reason or ReasonCode.FF07
    return Told(
        response_code=RESPONSE_CODES.get(reason, NOT_PERMITTED),
        reason=str(reason),
        rule=in_elements(explained),
        subject=subject,
        settlement_date=date,
    )


def answer_to(request: Fields, told: Told) -> Fields:
    """Return the 0210, or 0430, to a request."""
    fields = {"t": ANSWERS[request["t"]]}
    for key in _ECHOED:
        value = request.get(key)
        if value is not None:
            fields[key] = value
    if told.settlement_date:
        fields["15"] = told.settlement_date[4:]
    if told.response_code == APPROVED and fields["t"] == _FINANCIAL:
        authorization = told.authorization or told.subject[-_AUTHORIZATION:]
        if len(authorization) == _AUTHORIZATION:
            fields["38"] = authorization
    fields["39"] = told.response_code
    if told.parties:
        fields["48"] = encode_tlv(told.parties)
    private = _private(told)
    if private:
        fields["62"] = private
    if told.extra:
        fields.update(told.extra)
    return fields


def _private(told: Told) -> str:
    private = {"01": told.subject} if told.subject else {}
    if told.reason:
        private["03"] = told.reason
    if told.rule:
        private["04"] = printable(told.rule[:_RULE_CHARACTERS_MAX])
    if told.original:
        private["05"] = told.original
    return encode_tlv(private)


def refusal(request: Fields, response_code: str, reason: ReasonCode, rule: str) -> Fields:
    """Return the answer to a request that came to nothing here.

    Args:
        rule: ``element: rule``.
    """
    return answer_to(request, Told(response_code=response_code, reason=str(reason), rule=rule))


def reversal_answer(request: Fields, response_code: str, original: Told | None) -> Fields:
    """Return the 0430 to a reversal.

    Args:
        response_code: 00 it is undone, 21 it stays, 25 it never came.
        original: what the reversed request is answered; None if it never came.
    """
    reason, rule = _UNREVERSED.get(response_code, ("", ""))
    subject = result = ""
    if original is not None:
        subject = original.subject
        result = f"{original.response_code}{subject}"
    told = Told(
        response_code=response_code, reason=reason, rule=rule, subject=subject, original=result
    )
    return answer_to(request, told)
