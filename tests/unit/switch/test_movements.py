"""What stored transfers say of themselves to the files of a batch."""

import pytest
from msgspec.structs import replace

from scheme.messages import CT1
from scheme.wire.tin_json import decode
from switch.core.cash import CASH_RAIL, CashRecord, CashState, pack_cash
from switch.core.payment import PaymentRecord, PaymentState, pack_payment
from switch.core.records import TransferRecord, pack
from switch.core.transfer import TransferState
from switch.movements import movement_of
from tests.support.switch_world import golden

ORDER = decode(golden("CT1-by-cci"), CT1)
TRANSFER = TransferRecord(
    ct1=ORDER,
    instruction_id="2026011510161209704191000124",
    requested_creditor="0901",
    creditor_agent="0971",
    settlement_date="20260115",
    window="national-PEN-20260115-1",
    created_ms=1,
)
PAYMENT = PaymentRecord(
    payment_id="P20261123090000-0002-000000000000",
    key="k",
    digest="d",
    debtor_agent="0002",
    debtor_cci="00200110000000000142",
    creditor_agent="0003",
    creditor_cci="00300110000000000243",
    amount=5_000_000,
    fee=40,
    currency="PEN",
    rail="deferred",
    description="",
    window="deferred-PEN-20261123-1",
    settlement_date="20261123",
    instruction="",
    created_ms=1_795_442_400_000,
)


def test_an_order_says_what_its_ct1_said_and_who_was_found() -> None:
    found = movement_of(pack(TRANSFER), "tin", TransferState.CONFIRMED)

    assert (found.debtor_account, found.creditor_account) == (ORDER.debtorCCI, ORDER.creditorCCI)
    assert (found.debtor_agent, found.creditor_agent) == (ORDER.debtorParticipantCode, "0971")
    assert (found.amount, found.fee) == (ORDER.amount, ORDER.feeAmount)
    assert found.at == ORDER.creationDate + ORDER.creationTime
    assert (found.channel, found.trace) == (ORDER.channel, ORDER.trace)
    assert (found.instruction_id, found.process_code) == (TRANSFER.instruction_id, "00")


def test_a_card_stands_where_the_cci_would() -> None:
    card = replace(ORDER, creditorCCI=None, creditorCreditCard="4111111111111111")

    found = movement_of(pack(replace(TRANSFER, ct1=card)), "tin", TransferState.CONFIRMED)

    assert found.creditor_account == "4111111111111111"


@pytest.mark.parametrize("rail", ["tin", "deferred"])
def test_a_refused_order_says_its_reason_whichever_rail_would_have_carried_it(rail: str) -> None:
    refused = replace(TRANSFER, reason="FF07", rail=rail)

    assert movement_of(pack(refused), rail, TransferState.REJECTED).process_code == "FF07"


@pytest.mark.parametrize(
    ("state", "code"),
    [(PaymentState.ACSP, "00"), (PaymentState.ACSC, "00"), (PaymentState.RJCT, "ED05")],
)
def test_a_payment_says_its_rail_and_whether_its_cycle_gave_it_back(
    state: PaymentState, code: str
) -> None:
    found = movement_of(pack_payment(PAYMENT), "deferred", state)

    assert (found.transfer_type, found.process_code) == ("deferred", code)
    assert (found.at, found.channel, found.trace) == ("20261123090000", "", "")
    assert (found.instruction_id, found.amount, found.fee) == (PAYMENT.payment_id, 5_000_000, 40)


@pytest.mark.parametrize(
    ("account", "phone", "shown"),
    [
        ("9709751234567890", "", "970975******7890"),
        ("97500100000000000101", "999000111", "97500100000000000101"),
    ],
)
def test_cash_says_what_paid_and_at_which_machine(account: str, phone: str, shown: str) -> None:
    record = CashRecord(
        transfer_id="W20260115120000-0991-0123456789ab",
        key="k",
        content="",
        acquirer="0991",
        issuer="0975",
        account=account,
        phone=phone,
        machine="ATM00001",
        amount=20_000,
        currency="PEN",
        created_ms=1_795_442_400_000,
    )

    found = movement_of(pack_cash(record), CASH_RAIL, CashState.APPROVED)

    assert (found.debtor_agent, found.creditor_agent) == ("0975", "0991")
    assert (found.debtor_account, found.trace) == (shown, "ATM00001")
    assert (found.amount, found.transfer_type, found.process_code) == (20_000, "cash", "00")
