"""What the books of issuer and machine should say of a withdrawal: pure, one verdict a side.

    ledger                           issuer's book                machine's book
    APPROVED, DISPUTED_POSTED        took what was not returned   got what was not returned
    DECLINED, CANCELLED, TOMBSTONE   took nothing in the end      got nothing in the end
    EXPIRED                          took nothing, or all until   got nothing
                                     its reversal arrives

What was not dispensed is a row of its own in a book, the other way and under the same id; so what
counts is what remains.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from chasqui.answers import Movement, Transfer
from chasqui.language import N_

POSTED: Final = frozenset({"APPROVED", "DISPUTED_POSTED"})
_UNDECIDED: Final = "AUTHORISING"
_EXPIRED: Final = "EXPIRED"
_APPROVED: Final = "APPROVED"
_FINAL: Final = "FINAL"
_PREFIX: Final = "W"
UNHEARD: Final = N_("its machine has not heard of the outcome")
DEBTOR, CREDITOR = "debtor", "creditor"


class Judged(Struct, frozen=True):
    """What is the matter with one side.

    Attributes:
        is_different: False: it may only be on its way.
        text: message id.
    """

    is_different: bool
    text: str


def is_cash(one: Transfer) -> bool:
    """Tell whether an order is a withdrawal at a machine; its id begins with a W."""
    return one.instruction_id.startswith(_PREFIX)


def judge(
    one: Transfer, returned: int, last: Mapping[tuple[str, str], Movement], *, role: str
) -> Judged | None:
    """Return what is the matter with one book, or None.

    Args:
        returned: minor units that went back because they were not dispensed.
        last: the latest movement of the book by role and id.
        role: the side of its owner: the issuer is the debtor.
    """
    own = last.get((role, one.instruction_id))
    back = last.get((CREDITOR if role == DEBTOR else DEBTOR, one.instruction_id))
    net = _final(own) - _final(back)
    if one.state == _UNDECIDED:
        return Judged(is_different=False, text=N_("not decided yet"))
    due = one.amount - returned if one.state in POSTED else 0
    if net == due:
        return None
    if own is None and due and role == CREDITOR:
        # A machine learns of an approval with the answer; without one it takes the cash back.
        return Judged(is_different=False, text=UNHEARD)
    if own is None:
        return Judged(is_different=True, text=N_("posted, but its book does not know it"))
    if net == one.amount and (one.state == _EXPIRED or one.state == _APPROVED):
        return Judged(is_different=False, text=N_("its reversal (0420) is not answered yet"))
    if not due:
        return Judged(is_different=True, text=N_("paid out, but the ledger did not post it"))
    return Judged(is_different=True, text=N_("its book has another amount than was dispensed"))


def _final(movement: Movement | None) -> int:
    return movement.amount if movement is not None and movement.state == _FINAL else 0
