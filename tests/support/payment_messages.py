"""Payments, and what the clearing house tells of them, in few words."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from scheme.messages.payment import FIToFICstmrCdtTrf, FIToFIPmtStsRpt, PmtRtr
from scheme.network import Participant
from scheme.wire import pacs_json
from switch.core import payment_messages as owing
from switch.core.payment import PaymentRecord, PaymentState

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
DEBTOR_CCI = "97000110020030040142"
CREDITOR_CCI = "97100220030040050213"
PAYMENT_ID = "P20261123100000-0970-0123456789ab"
DEBTOR = Participant(code="0970", name="Demo", kind="coop", port=7170)
CREDITOR = Participant(code="0971", name="Ensayo", kind="coop", port=7171)


def a_payment(**changes: Any) -> PaymentRecord:
    record = PaymentRecord(
        payment_id=PAYMENT_ID,
        key="k1",
        digest="d",
        debtor_agent="0970",
        debtor_cci=DEBTOR_CCI,
        creditor_agent="0971",
        creditor_cci=CREDITOR_CCI,
        amount=5_000_000,
        fee=40,
        currency="PEN",
        rail="deferred",
        description="FACTURA 1",
        window="deferred-PEN-20261123-1",
        settlement_date="20261123",
        instruction="",
        created_ms=1,
    )
    return replace(record, **changes)


def a_status(state: str, **changes: Any) -> FIToFIPmtStsRpt:
    (owed,) = owing.status_report(a_payment(**changes), PaymentState(state), DEBTOR, NOW)
    return pacs_json.decode(owed.body, FIToFIPmtStsRpt)


def a_transfer(**changes: Any) -> FIToFICstmrCdtTrf:
    (owed,) = owing.credit_transfer(a_payment(**changes), CREDITOR, NOW)
    return pacs_json.decode(owed.body, FIToFICstmrCdtTrf)


def a_return(**changes: Any) -> PmtRtr:
    returned = owing.Returned(
        return_id="R0123",
        transfer_id=PAYMENT_ID,
        debtor_agent="0970",
        debtor_account=DEBTOR_CCI,
        creditor_agent="0971",
        creditor_account=CREDITOR_CCI,
        amount=1_000,
        currency="PEN",
        reason="FOCR",
        settlement_date="20261123",
        at_ms=1,
    )
    (owed,) = owing.payment_return(replace(returned, **changes), CREDITOR, NOW)
    return pacs_json.decode(owed.body, PmtRtr)
