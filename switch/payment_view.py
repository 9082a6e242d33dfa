"""Payments as operators see them: amounts in minor units, persons masked."""

from typing import Any

import msgspec

from scheme.clock import from_ms
from scheme.masking import mask_cci, mask_text
from switch.core.payment import PaymentRecord, PaymentState, unpack_payment
from switch.payment_ports import StoredPayment
from switch.ports import TransferRow

_EXPLANATIONS = {
    PaymentState.ACSP: "accepted: its money is held until it settles",
    PaymentState.ACSC: "settled: the creditor's agent is told to credit it",
    PaymentState.RJCT: "rejected: its money was given back",
}


def payment_view(payment: StoredPayment) -> dict[str, Any]:
    """Return a payment as a row of GET /payments."""
    record = payment.record
    return {
        "payment_id": record.payment_id,
        "status": payment.state,
        "rail": record.rail,
        "debtor_agent": record.debtor_agent,
        "debtor_cci": mask_cci(record.debtor_cci),
        "creditor_agent": record.creditor_agent,
        "creditor_cci": mask_cci(record.creditor_cci),
        "amount": record.amount,
        "fee": record.fee,
        "currency": record.currency,
        "description": mask_text(record.description) if record.description else "",
        "window": record.window or None,
        "instruction": record.instruction or None,
        "settlement_date": record.settlement_date,
        "why": record.why,
        "created_at": from_ms(record.created_ms).isoformat(),
        "ended_at": from_ms(record.ended_ms).isoformat() if record.ended_ms else None,
    }


def considered_of(record: PaymentRecord) -> list[dict[str, Any]]:
    """Return the rails that were looked at, as they were told."""
    considered: list[dict[str, Any]] = msgspec.json.decode(record.answer)["considered"]
    return considered


def as_transfer_line(row: TransferRow) -> dict[str, Any]:
    """Return a payment as a row of GET /transfers."""
    record = unpack_payment(row.record)
    return {
        "instruction_id": record.payment_id,
        "state": row.state,
        "response_code": None,
        "reason_code": row.reason or None,
        "debtor_agent": record.debtor_agent,
        "creditor_agent": record.creditor_agent,
        "amount": record.amount,
        "fee": record.fee,
        "currency": record.currency,
        "created_at": from_ms(record.created_ms).isoformat(),
        "decided_at": from_ms(record.ended_ms).isoformat() if record.ended_ms else None,
        "elapsed_ms": record.ended_ms - record.created_ms if record.ended_ms else None,
        "rail": record.rail,
        "window": record.window or None,
        "network_window": None,
    }


def as_decision(row: TransferRow) -> dict[str, Any]:
    """Return why a payment went as it did, as GET /transfers/{id} tells it."""
    record = unpack_payment(row.record)
    told = _EXPLANATIONS[PaymentState(row.state)]
    return {
        "decision": {
            "rule": record.why,
            "decided_by": "" if row.state == PaymentState.ACSP else "settlement",
            "rail": record.rail,
            "considered": [
                {name: one[name] for name in ("rail", "taken", "rule", "text")}
                for one in considered_of(record)
            ],
        },
        "explanation": f"{told}: {record.why}" if record.why else told,
    }
