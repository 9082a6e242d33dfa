"""What a running country answers about routes, orders, windows, batches and money."""

from typing import Any

from tests.support.fake_country import PAYEE_CCI, PAYER_CCI

PAYMENT = "P20260115101830-0970-1f2e3d4c5b6a"
WINDOW = "national-PEN-20260115-1"
DISPUTE = "national-dispute-PEN-20260116-1"


def considered(taken: str = "tin", **fees: int) -> list[dict[str, Any]]:
    """Return what is said of each rail; one of them is taken, unless it is called ``none``."""
    texts = {
        "on_us": "debtor and creditor bank apart",
        "network": "not both are coops of one network",
        "tin": "above the limit of an immediate transfer, 3000000 PEN",
        "deferred": "another one comes first",
        "lbtr": "the rail lbtr takes orders from 07:45:00 to 18:00:00 of business days",
    }
    told = "the first that nothing speaks against"
    return [
        {
            "rail": rail,
            "taken": rail == taken,
            "rule": "taken" if rail == taken else "other",
            "text": told if rail == taken else text,
            "fee": fees.get(rail, 0),
        }
        for rail, text in texts.items()
    ]


def a_route(rail: str | None = "tin", **others: Any) -> dict[str, Any]:
    refused = {"reason": "FF07", "rule": "above_limit", "text": "amount: above its limit"}
    return {
        "rail": rail,
        "fee": 80 if rail else 0,
        "plaza": "M",
        "refused": None if rail else refused,
        "considered": considered(rail or "none", tin=80, deferred=40, lbtr=1500),
    } | others


def an_order(**others: Any) -> dict[str, Any]:
    return {
        "payment_id": PAYMENT,
        "status": "ACSP",
        "rail": "deferred",
        "debtor_agent": "0970",
        "debtor_cci": PAYER_CCI,
        "creditor_agent": "0971",
        "creditor_cci": PAYEE_CCI,
        "amount": 5_000_000,
        "fee": 40,
        "currency": "PEN",
        "window": "deferred-PEN-20260115-2",
        "settlement_date": "20260115",
        "why": "",
        "created_at": "2026-01-15T15:18:30+00:00",
        "ended_at": None,
    } | others


def an_entry(**others: Any) -> dict[str, Any]:
    return {
        "kind": "principal",
        "ledger": "national",
        "currency": "PEN",
        "debit": "0987",
        "credit": "0002",
        "minor": 2550,
        "window": WINDOW,
    } | others


def a_window(**others: Any) -> dict[str, Any]:
    return {
        "window": WINDOW,
        "cycle": "national",
        "currency": "PEN",
        "settlement_date": "20260115",
        "number": 1,
        "state": "OPEN",
        "held": 0,
        "opens_ms": 1_768_489_200_000,
        "closes_ms": 1_768_512_915_000,
        "closed_ms": 0,
    } | others


def counted(count: int = 0, value: int = 0) -> dict[str, int]:
    return {"count": count, "value": value}


def a_batch_row(code: str, **others: Any) -> dict[str, Any]:
    return {
        "participant": code,
        "name": f"INSTITUCION SIMULADA {code}",
        "opening": 1_000_000_000,
        "sent": {"accepted": counted(), "rejected": counted()},
        "received": {"accepted": counted(), "rejected": counted()},
        "net": 0,
        "funded": counted(),
        "drawn": counted(),
        "returns": 0,
        "new_opening": 1_000_000_000,
        "fees_due": 0,
    } | others


def a_batch(**others: Any) -> dict[str, Any]:
    """Return a batch of three: one pays another, and one does nothing."""
    payer = a_batch_row(
        "0002",
        sent={"accepted": counted(41_230, 912_345_678), "rejected": counted(7, 70_000)},
        received={"accepted": counted(3, 45_678), "rejected": counted()},
        net=-912_300_000,
        funded=counted(1, 500_000_000),
        new_opening=587_700_000,
    )
    payee = a_batch_row(
        "0987",
        sent={"accepted": counted(3, 45_678), "rejected": counted()},
        received={"accepted": counted(41_230, 912_345_678), "rejected": counted(7, 70_000)},
        net=912_300_000,
        new_opening=1_912_300_000,
    )
    return {
        "batch": WINDOW,
        "cycle": "national",
        "ledger": "national",
        "currency": "PEN",
        "settlement_date": "20260115",
        "number": 1,
        "cut_off": "20260115163515",
        "opened_at": "20260115100000",
        "closed_at": "20260115163516",
        "next_window": "national-PEN-20260116-1",
        "participants": [payer, a_batch_row("0003"), payee],
        "gross": counted(41_233, 912_391_356),
        "net_sum": 0,
    } | others


def an_instruction(**others: Any) -> dict[str, Any]:
    return {
        "instruction": f"{WINDOW}:in:0002",
        "kind": "pay_in",
        "subject": WINDOW,
        "ledger": "lbtr",
        "currency": "PEN",
        "debit": "0002:prefund",
        "credit": "settlement",
        "amount": 912_300_000,
        "state": "SETTLED",
        "reason": "",
        "queued_ms": 1_768_512_917_000,
        "settled_ms": 1_768_512_917_500,
    } | others


def a_settlement(**others: Any) -> dict[str, Any]:
    return {
        "state": "SETTLED",
        "cut_off_ms": 1_768_512_915_000,
        "approvals": [],
        "audit": "agreed",
        "refused": "",
        "round": 1,
        "rules_applied": [],
        "bearers": [],
        "unwound": [],
        "nets": None,
        "since_ms": 0,
        "instructions": [an_instruction()],
    } | others


def an_account(account: str, **others: Any) -> dict[str, Any]:
    return {
        "ledger": "lbtr",
        "currency": "PEN",
        "account": account,
        "balance": 20_000_000_000,
        "reserved": 0,
        "available": 20_000_000_000,
        "credit": 0,
    } | others


def a_position(**others: Any) -> dict[str, Any]:
    return {
        "ledger": "national",
        "currency": "PEN",
        "participant": "0970",
        "balance": 1_000_000_000,
        "reserved": 250_000_000,
        "available": 750_000_000,
        "low": 0,
        "high": 0,
        "cap": 0,
        "alerted": False,
    } | others
