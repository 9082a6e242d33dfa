"""An account's movements as a statement tells them: who it was with, and never of whom."""

from typing import Final

from participants.core.book import Movement, Role
from participants.core.rail_payment import RETURN_RAIL
from scheme.wire.iso8583_statement import StatementRow

CASH: Final = "cash"
CASH_RETURN: Final = "cash-return"


def row_of(one: Movement) -> StatementRow:
    """Return a movement as a row of a statement; a debit costs its fee too."""
    is_credit = one.role == Role.CREDITOR
    minor = one.amount if is_credit else -(one.amount + one.fee)
    day, _, time = one.at.partition("T")
    at = f"{day[2:4]}{day[5:7]}{day[8:10]}{time[:2]}{time[3:5]}"
    return StatementRow(at, minor, _text(one, is_credit=is_credit))


def _text(one: Movement, *, is_credit: bool) -> str:
    if one.rail == CASH_RETURN:
        return "RETIRO DEVUELTO"
    other = one.counterparty or ""
    if one.rail == CASH:
        return f"RETIRO EN {other}"
    if one.rail == RETURN_RAIL:
        return f"DEVOLUCION DE {other}" if is_credit else f"DEVOLUCION A {other}"
    return f"ABONO DE {other}" if is_credit else f"PAGO A {other}"
