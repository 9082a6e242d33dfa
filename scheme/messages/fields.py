"""The types of message fields: lengths in the type, the kind beside them.

Lengths are checked in C while a message is decoded. Whether a field is all digits is only marked
here (``extra={"kind": "n"}``) and tested once per message over all such fields together: patterns
in the types would cost more than the rest of the decoding. The description is what the field
tables of docs/wire/tin-messages.md print.
"""

from typing import Annotated, Any, Final, NamedTuple

import msgspec

from scheme.reasons import ReasonCode

AMOUNT_MAX: Final = 10**12 - 1
"""Largest amount of a transfer, in cents (12 digits)."""
FEE_MAX: Final = 10**15 - 1
"""Largest fee, settlement amount or balance, in cents (15 digits)."""
FREE_TEXT_MAX: Final = 140
"""Length allowed where the wire's own limit is not public."""
LONG_TEXT_MAX: Final = 4000
"""Length allowed for a quoted message or an announcement."""


class Fault(NamedTuple):
    """What is wrong with a message: the field, the broken rule, the code that answers it."""

    field: str
    rule: str
    reason: ReasonCode = ReasonCode.FF02


class Message(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Anything that travels under a root key of the TIN wire; the class is named as the key."""

    def fault(self) -> Fault | None:
        """Return the first rule between fields that the message breaks, if any."""
        return None


def _meta(kind: str, size_min: int, size_max: int, text: str) -> Any:
    return msgspec.Meta(
        min_length=size_min, max_length=size_max, description=text, extra={"kind": kind}
    )


def _cents(least: int, most: int, text: str) -> Any:
    return msgspec.Meta(ge=least, le=most, description=text, extra={"kind": "num"})


Participant = Annotated[str, _meta("n", 4, 4, "`0` and the entity's 3-digit code")]
Date = Annotated[str, _meta("n", 8, 8, "`yyyyMMdd` in Lima")]
Time = Annotated[str, _meta("n", 6, 6, "`HHmmss` in Lima")]
DateTime = Annotated[str, _meta("n", 14, 14, "`yyyyMMddHHmmss` in Lima")]
MessageType = Annotated[str, _meta("n", 4, 4, "`0200` first send, `0201` resend")]
Terminal = Annotated[str, _meta("an", 1, 8, "terminal; 8 positions, some connectors send fewer")]
Retrieval = Annotated[
    str, _meta("an", 12, 12, "`MMddHHmmss` and two digits; not a key; the misspelling is official")
]
Trace = Annotated[str, _meta("n", 6, 6, "the sender's own sequence")]
Name = Annotated[str, _meta("an", 1, 140, "full name")]
DocumentNumber = Annotated[str, _meta("an", 1, 12, "number of the document")]
DocumentType = Annotated[str, _meta("n", 1, 1, "type of the document")]
Landline = Annotated[str, _meta("n", 1, 7, "landline")]
Mobile = Annotated[str, _meta("n", 1, 9, "mobile, 9 digits without country code")]
Address = Annotated[str, _meta("an", 1, 70, "address")]
TransactionType = Annotated[str, _meta("n", 3, 3, "`320` transfer, `325` card payment")]
Channel = Annotated[str, _meta("n", 2, 2, "where the payer ordered; `52` means by alias")]
Cci = Annotated[str, _meta("n", 20, 20, "interbank account code")]
Card = Annotated[str, _meta("n", 1, 20, "card account")]
Person = Annotated[str, _meta("a", 1, 1, "`N` natural, `J` legal person")]
Currency = Annotated[str, _meta("n", 3, 3, "`604` soles, `840` US dollars")]
ProxyValue = Annotated[str, _meta("an", 1, 2048, "token read from a wallet's QR")]
ProxyType = Annotated[str, _meta("an", 1, 35, "`O` for a QR token")]
Instruction = Annotated[
    str, _meta("an", 1, 35, "assigned by the clearing house; opaque, never parsed")
]
KnownInstruction = Annotated[
    str, _meta("an", 0, 35, "assigned by the clearing house; empty if a refusal came before it")
]
Branch = Annotated[str, _meta("an", 1, 35, "set by the clearing house, echoed by the receiver")]
ResponseCode = Annotated[str, _meta("n", 2, 2, "`00` accepted, `05` refused")]
EnquiryCode = Annotated[str, _meta("n", 2, 2, "`00` posted, `05` refused, `99` not found")]
Reason = Annotated[str, _meta("an", 4, 4, "why it was refused")]
SameCustomer = Annotated[str, _meta("a", 1, 1, "`M` same customer, `O` other; decides the tax")]
Reference = Annotated[str, _meta("an", 1, 25, "the originator's own reference")]
FeeCode = Annotated[str, _meta("an", 4, 4, "tariff code")]
Criteria = Annotated[str, _meta("a", 1, 1, "`M` same plaza, `O` other, `E` exclusive")]
Purpose = Annotated[str, _meta("an", 4, 4, "purpose; some connectors leave it out")]
Narrative = Annotated[str, _meta("an", 1, 140, "narrative; the QR's id for a clearing-house QR")]
SalaryIndicator = Annotated[str, _meta("n", 1, 1, "payroll only: `4`, `5`, `8` or `9`")]
Month = Annotated[str, _meta("n", 2, 2, "`MM`, severance deposits only")]
Year = Annotated[str, _meta("n", 4, 4, "`yyyy`, severance deposits only")]
Event = Annotated[str, _meta("n", 3, 3, "number of the event")]
NoticeId = Annotated[str, _meta("an", 1, 27, "id of the notice")]
Text = Annotated[str, _meta("an", 1, FREE_TEXT_MAX, "text")]
LongText = Annotated[str, _meta("an", 1, LONG_TEXT_MAX, "free text")]
Definition = Annotated[str, _meta("an", 1, 35, "name of the ISO 20022 message")]
Count = Annotated[str, _meta("n", 1, 18, "a count, sent as text")]

Amount = Annotated[int, _cents(0, AMOUNT_MAX, "cents")]
Fee = Annotated[int, _cents(0, FEE_MAX, "interbank fee in cents")]
Settlement = Annotated[int, _cents(0, FEE_MAX, "cents: amount and fee together")]
Salary = Annotated[int, _cents(0, FEE_MAX, "cents, severance deposits only")]
Balance = Annotated[int, _cents(-FEE_MAX, FEE_MAX, "cents; may be negative")]
