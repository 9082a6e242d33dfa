"""An operation's name in the wire log is read back from the numbers of its request."""

from datetime import UTC, datetime

import pytest

from scheme.network import Participant
from scheme.wire.agent_payload import Kind, Operation
from scheme.wire.iso8583_spec import Fields
from switch.core.agent_requests import fields_of
from switch.core.agent_subjects import operation_subject, subject_of_cash
from switch.core.cash import CashRecord
from switch.core.iso8583_requests import key_of

NOW = datetime(2026, 1, 15, 15, 15, tzinfo=UTC)
AGENTS = Participant(code="0992", name="RED DE AGENTES", kind="acquirer", lane="mqtt")
ACCOUNT = "97100100000000004218"


def a_request(device: str, seq: int) -> Fields:
    operation = Operation(seq, bytes(8), Kind.CASH_OUT, 5000, 0, ACCOUNT, "", 0, False)
    return fields_of(operation, device, AGENTS, NOW)


def a_withdrawal(key: str) -> CashRecord:
    return CashRecord(
        transfer_id="R",
        key=key,
        content="",
        acquirer="0992",
        issuer="0971",
        account=ACCOUNT,
        phone="",
        machine="",
        amount=5000,
        currency="PEN",
        created_ms=0,
    )


@pytest.mark.parametrize("seq", [1, 999_999, 1_000_000, 123_456_789_012 % 10**11])
@pytest.mark.parametrize("device", ["0992-0001-1", "0992-2500-9"])
def test_a_withdrawal_leads_back_to_its_operation(device: str, seq: int) -> None:
    key = key_of(a_request(device, seq), AGENTS, NOW)
    assert subject_of_cash(a_withdrawal(key)) == operation_subject(device, seq)


@pytest.mark.parametrize(
    "key", ["", "iso:0992:20260115:000001:ABC", "iso:0991:20260115:1:2", "x:y"]
)
def test_numbers_that_no_agent_has_lead_nowhere(key: str) -> None:
    assert subject_of_cash(a_withdrawal(key)) == ""
