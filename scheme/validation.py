"""The order in which a receiver looks at AV2 and CT2 (docs/wire/tin-messages.md#validation-order).

The first step that fails answers. The steps are data: receivers run them, rehearsals expect them,
the wire page prints them. How a step is decided is the receiver's own matter.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from scheme.reasons import ReasonCode


class Check(Enum):
    """What one step looks at."""

    SIGNATURE = auto()
    INSTRUCTION_UNSEEN = auto()
    CHANNEL_ACTIVE = auto()
    TRANSACTION_TYPE = auto()
    RECEIVER_OPEN = auto()
    ORIGINATOR_OPEN = auto()
    CREDITOR_CCI = auto()
    ALIAS_AFFILIATED = auto()
    DOCUMENT = auto()
    ACCOUNT_EXISTS = auto()
    ACCOUNT_USABLE = auto()
    ACCOUNT_CURRENCY = auto()
    DEBTOR_CCI = auto()
    AMOUNT = auto()
    PRODUCT_LIMITS = auto()
    DEBTOR_NAME = auto()
    REFERENCE = auto()
    ALIAS_LIMITS = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the order.

    Attributes:
        reasons: codes it may answer with.
        text: what must hold.
        in_query, in_order: whether it applies to AV2, to CT2.
    """

    check: Check
    reasons: tuple[ReasonCode, ...]
    text: str
    in_query: bool = True
    in_order: bool = True


_R = ReasonCode

RECEIVER_ORDER: Final[tuple[Step, ...]] = (
    Step(
        check=Check.SIGNATURE,
        reasons=(_R.DS0A, _R.DS0B, _R.DS0D, _R.FF07),
        text="the signature holds",
    ),
    Step(
        check=Check.INSTRUCTION_UNSEEN,
        reasons=(_R.AM05,),
        text="the instructionId is new",
    ),
    Step(
        check=Check.CHANNEL_ACTIVE,
        reasons=(_R.FF07,),
        text="the channel is known and active",
    ),
    Step(
        check=Check.TRANSACTION_TYPE,
        reasons=(_R.AC14,),
        text="the transaction type is taken",
    ),
    Step(
        check=Check.RECEIVER_OPEN,
        reasons=(_R.FF07,),
        text="the receiver is signed on and not blocked",
    ),
    Step(
        check=Check.ORIGINATOR_OPEN,
        reasons=(_R.DNOR,),
        text="the originator is signed on and not blocked",
    ),
    Step(
        check=Check.CREDITOR_CCI,
        reasons=(_R.FF02,),
        text="creditorCCI has 20 digits; check digits are not looked at",
    ),
    Step(
        check=Check.ALIAS_AFFILIATED,
        reasons=(_R.CH11,),
        text="on channel 52 the account is affiliated here",
        in_order=False,
    ),
    Step(
        check=Check.DOCUMENT,
        reasons=(_R.FF02, _R.BE16),
        text="the document has a type, and its length and characters fit",
    ),
    Step(check=Check.ACCOUNT_EXISTS, reasons=(_R.AC01,), text="the account exists"),
    Step(
        check=Check.ACCOUNT_USABLE,
        reasons=(_R.AC06, _R.AC07),
        text="the account is neither blocked nor closed",
    ),
    Step(
        check=Check.ACCOUNT_CURRENCY,
        reasons=(_R.AC11,),
        text="the currency is the account's",
    ),
    Step(
        check=Check.DEBTOR_CCI,
        reasons=(_R.FF02,),
        text="debtorCCI has 20 digits",
        in_query=False,
    ),
    Step(
        check=Check.AMOUNT,
        reasons=(_R.AM01,),
        text="the amount is above zero",
        in_query=False,
    ),
    Step(
        check=Check.PRODUCT_LIMITS,
        reasons=(_R.FF07,),
        text="the product's limits allow it",
        in_query=False,
    ),
    Step(
        check=Check.DEBTOR_NAME,
        reasons=(_R.BE08,),
        text="debtorName is given",
        in_query=False,
    ),
    Step(
        check=Check.REFERENCE,
        reasons=(_R.BE15,),
        text="referenceTransactionId is given",
        in_query=False,
    ),
    Step(
        check=Check.ALIAS_LIMITS,
        reasons=(_R.FF07,),
        text="on channel 52 the limits per transfer, then per day, allow it",
        in_query=False,
    ),
)
"""Every step, in order."""
