"""Withdrawals as operators see them: amounts in minor units, persons and cards masked."""

from typing import Any, Final

from scheme.clock import from_ms
from scheme.ledger import DALE, NATIONAL
from scheme.masking import mask_card, mask_cci, mask_phone
from switch.core.cash import CASH_RAIL, POSTED, CashRecord, CashState, unpack_cash
from switch.core.cash_codes import Code
from switch.ports import TransferRow

_EXPLANATIONS: Final = {
    CashState.AUTHORISING: "its money is held; the issuer was asked and has not answered yet",
    CashState.APPROVED: "the issuer paid the machine's institution",
    CashState.DISPUTED_POSTED: (
        "cash that was not given out went back to the issuer, which will not give it to its member"
    ),
    CashState.DECLINED: "refused; nothing moved",
    CashState.EXPIRED: "without an answer in time; the issuer is owed the reversal",
    CashState.CANCELLED: "undone; the issuer holds nothing of it",
    CashState.DISPUTED: "expired, and the issuer will not undo what it may have posted",
    CashState.TOMBSTONE: "its reversal came first; it is never executed",
}


def cash_view(row: TransferRow, undispensed: int) -> dict[str, Any]:
    """Return a withdrawal as a row of GET /cash.

    Args:
        undispensed: minor units that went back because the machine did not give them out.
    """
    record, state = unpack_cash(row.record), CashState(row.state)
    is_by_card = bool(record.account) and not record.names_account
    return {
        "transfer_id": record.transfer_id,
        "state": state,
        "issuer": record.issuer,
        "acquirer": record.acquirer,
        "machine": record.machine,
        "card": mask_card(record.account) if is_by_card else None,
        "phone": mask_phone(record.phone) if record.phone else None,
        "account": mask_cci(record.account) if record.names_account else None,
        "amount": record.amount,
        "dispensed": record.amount - undispensed if state in POSTED else 0,
        "currency": record.currency,
        "response_code": record.response_code or None,
        "reason_code": record.reason or None,
        "rule": record.rule,
        "decided_by": record.decided_by,
        "settlement_date": record.settlement_date or None,
        "created_at": from_ms(record.created_ms).isoformat(),
        "decided_at": _instant(record),
    }


def code_view(code: Code) -> dict[str, Any]:
    """Return a one-time code as a row of GET /cash/codes: all but the code."""
    return {
        "phone": mask_phone(code.phone),
        "participant": code.issuer,
        "account": mask_cci(code.account),
        "amount": code.amount,
        "currency": code.currency,
        "attempts_left": code.attempts_left,
        "used_by": code.used_by or None,
        "created_at": from_ms(code.created_ms).isoformat(),
        "expires_at": from_ms(code.expires_ms).isoformat(),
    }


def cash_line(row: TransferRow) -> dict[str, Any]:
    """Return a withdrawal as a row of GET /transfers: its issuer pays, its acquirer is paid."""
    record = unpack_cash(row.record)
    window = record.windows.get(NATIONAL) or record.windows.get(DALE)
    return {
        "instruction_id": record.transfer_id,
        "state": row.state,
        "response_code": record.response_code or None,
        "reason_code": record.reason or None,
        "debtor_agent": record.issuer,
        "creditor_agent": record.acquirer,
        "amount": record.amount,
        "fee": 0,
        "currency": record.currency,
        "created_at": from_ms(record.created_ms).isoformat(),
        "decided_at": _instant(record),
        "elapsed_ms": record.decided_ms - record.created_ms if record.decided_ms else None,
        "rail": CASH_RAIL,
        "window": window,
        "network_window": record.windows.get(DALE),
    }


def cash_details(row: TransferRow) -> dict[str, Any]:
    """Return what GET /transfers/{id} tells of a withdrawal beyond its row in the list."""
    record = unpack_cash(row.record)
    told = {"settlement_date": record.settlement_date, "reference": record.machine}
    return {name: value for name, value in told.items() if value}


def cash_decision(row: TransferRow) -> dict[str, Any]:
    """Return why a withdrawal went as it did, as GET /transfers/{id} tells it."""
    record = unpack_cash(row.record)
    told = _EXPLANATIONS[CashState(row.state)]
    return {
        "decision": {
            "rule": record.rule,
            "decided_by": record.decided_by,
            "rail": CASH_RAIL,
            "considered": [],
        },
        "explanation": f"{told}: {record.rule}" if record.rule else told,
    }


def _instant(record: CashRecord) -> str | None:
    return from_ms(record.decided_ms).isoformat() if record.decided_ms else None
