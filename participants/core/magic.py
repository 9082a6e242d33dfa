"""Magic values: amounts and phones that make a simulated creditor misbehave on purpose.

A number NN means the same everywhere: the amount S/ 66.NN at the order, the payee's phone
9000990NN at the verification, 9000991NN at the order (docs/howto/magic-values.md prints the
table below). An amount wins over a phone.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from scheme.people import (
    MAGIC_NUMBERS,
    MAGIC_ORDER_PHONES,
    MAGIC_VERIFICATION_PHONES,
)
from scheme.reasons import MEANINGS, ReasonCode
from scheme.wire.tin_json import WireVariant

MAGIC_SOLES: Final = 6600
"""Amount in cents of magic number 0: S/ 66.00 itself does nothing."""
_SOLES: Final = "604"


class Act(StrEnum):
    """What a creditor does instead of behaving well."""

    REFUSE = "refuse"
    SILENT = "silent"
    HOLD_SILENT = "hold_silent"
    LATE = "late"
    GARBAGE = "garbage"
    HALF = "half"
    ERROR_500 = "error_500"
    ERROR_400 = "error_400"
    DROP = "drop"
    BAD_SIGNATURE = "bad_signature"
    OTHER_ID = "other_id"
    NO_REASON = "no_reason"
    CT5_ERROR = "ct5_error"
    CT5_DROP = "ct5_drop"
    CT5_FORGET = "ct5_forget"
    CT5_TEXT = "ct5_text"
    CTC1_ERROR = "ctc1_error"
    UNDO_REFUSED = "undo_refused"
    VARIANT = "variant"


class Magic(Struct, frozen=True, kw_only=True):
    """One number's meaning.

    Attributes:
        reason: answered with, where it refuses.
        times: how many confirmations or cancellations go wrong before one is taken.
        variant: how it speaks, where it only speaks differently.
        at_query: whether it also acts on a verification.
    """

    act: Act
    text: str
    reason: ReasonCode | None = None
    times: int = 0
    variant: WireVariant | None = None
    at_query: bool = True


_REFUSALS = (
    "AC01", "AC06", "AC07", "AC11", "AC14", "AM01", "AM05", "AM09", "BE08", "BE15", "BE16",
    "CH11", "DNOR", "DS0A", "DS0B", "DS0D", "DS16", "FF02", "FF07", "RR04", "RR10", "DS24",
    "AB05",
)  # fmt: skip

_ALWAYS = 1_000_000


def _acts() -> dict[int, Magic]:
    found = {
        number: Magic(
            act=Act.REFUSE,
            reason=ReasonCode(code),
            text=f"refuses with {code}: {MEANINGS[ReasonCode(code)]}",
        )
        for number, code in enumerate(_REFUSALS, start=1)
    }
    found |= {
        30: Magic(act=Act.SILENT, text="never answers, and holds nothing"),
        31: Magic(act=Act.LATE, text="accepts, after the clearing house has given up"),
        32: Magic(act=Act.GARBAGE, text="answers 200 with something that is not JSON"),
        33: Magic(act=Act.HALF, text="sends half an answer and cuts the connection"),
        34: Magic(act=Act.ERROR_500, text="answers HTTP 500 without a body"),
        35: Magic(act=Act.DROP, text="cuts the connection without an answer"),
        36: Magic(act=Act.ERROR_400, text="answers HTTP 400 with a gateway's error object"),
        37: Magic(act=Act.BAD_SIGNATURE, text="spoils its signature, where it signs at all"),
        38: Magic(act=Act.OTHER_ID, text="accepts, under another instructionId"),
        39: Magic(act=Act.NO_REASON, text="refuses with 05 and no reason"),
        40: _at_order(Act.CT5_ERROR, "answers the first CT5 with HTTP 500", times=1),
        41: _at_order(Act.CT5_ERROR, "answers the first three CT5 with HTTP 500", times=3),
        42: _at_order(
            Act.CT5_DROP, "cuts the connection on every CT5; asks by PSR1", times=_ALWAYS
        ),
        43: _at_order(Act.CT5_FORGET, "acknowledges CT5 and forgets it; asks by PSR1", times=1),
        44: _at_order(Act.HOLD_SILENT, "holds the order and never answers"),
        45: _at_order(Act.CT5_TEXT, 'answers CT5 with {"CT5": {"responseCode": "00"}}'),
        46: _at_order(
            Act.CTC1_ERROR, "holds, never answers, answers the first CTC1 with 500", times=1
        ),
        47: _at_order(
            Act.UNDO_REFUSED, "holds, never answers; on ISO 8583 it refuses the 0420 as well"
        ),
    }
    return found | _variants()


def _at_order(act: Act, text: str, *, times: int = 0) -> Magic:
    return Magic(act=act, text=text, times=times, at_query=False)


def _variants() -> dict[int, Magic]:
    spoken = {
        50: (WireVariant(amounts="text"), "accepts, with amounts as text"),
        51: (WireVariant(envelope="flat"), "accepts, without the root key"),
        52: (WireVariant(success_status=201, ct5_status=201), "accepts, with HTTP 201"),
        53: (
            WireVariant(retrieval_reference="retrievalReferenceNumber"),
            "accepts, with retrievalReferenceNumber spelt right",
        ),
        54: (WireVariant(absent="omit"), "accepts, leaving absent fields out"),
        55: (WireVariant(absent="empty"), 'accepts, with absent fields as ""'),
        56: (WireVariant(ct5_status=204), "accepts, and answers CT5 with HTTP 204"),
    }
    return {
        number: Magic(act=Act.VARIANT, text=text, variant=variant)
        for number, (variant, text) in spoken.items()
    }


MAGIC: Final[Mapping[int, Magic]] = MappingProxyType(_acts())
"""Every number that means something."""

assert set(MAGIC) <= set(MAGIC_NUMBERS), "each number has a person"


def at_verification(phone: str) -> Magic | None:
    """Return what a payee's phone makes of a verification."""
    magic = MAGIC.get(_after(phone, MAGIC_VERIFICATION_PHONES))
    return magic if magic is not None and magic.at_query else None


def at_order(phone: str, amount: int, currency: str) -> Magic | None:
    """Return what an amount, or a payee's phone, makes of an order and what follows it."""
    if currency == _SOLES and (magic := MAGIC.get(amount - MAGIC_SOLES)) is not None:
        return magic
    return MAGIC.get(_after(phone, MAGIC_ORDER_PHONES))


def _after(phone: str, first: int) -> int:
    return int(phone) - first if phone.startswith("900099") else 0
