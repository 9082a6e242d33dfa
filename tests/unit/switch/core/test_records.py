"""What is the same order and the same query, and how both are remembered."""

from typing import Any

import pytest
from msgspec.structs import replace

from scheme.messages import AV1, CT1
from scheme.wire.tin_json import decode
from switch.core.records import (
    Tombstone,
    TransferRecord,
    is_same_order,
    order_key,
    pack,
    query_content,
    unpack_transfer,
)
from tests.support.switch_world import golden

ORDER = decode(golden("CT1-by-cci"), CT1)
QUERY = decode(golden("AV1-by-cci"), AV1)


def a_record(ct1: CT1 = ORDER, *, requested: str = "0971", found: str = "0971") -> TransferRecord:
    return TransferRecord(
        ct1=ct1,
        instruction_id="2026011510161209704191000124",
        requested_creditor=requested,
        creditor_agent=found,
        settlement_date="20260115",
        window="national-PEN-20260115",
        created_ms=1,
    )


MOVES_MONEY: dict[str, Any] = {
    "creditorParticipantCode": "0988",
    "debtorCCI": "97000110020030040043",
    "creditorCCI": "97100220030040050114",
    "creditorCreditCard": "4111111111111111",
    "amount": 12_501,
    "feeAmount": 81,
    "currency": "840",
    "transactionType": "325",
}
NOT_KEY = {"debtorParticipantCode", "referenceTransactionId"}


@pytest.mark.parametrize("field", sorted(MOVES_MONEY))
def test_what_moves_money_makes_another_order(field: str) -> None:
    assert not is_same_order(replace(ORDER, **{field: MOVES_MONEY[field]}), a_record())


@pytest.mark.parametrize("field", sorted(set(CT1.__struct_fields__) - set(MOVES_MONEY) - NOT_KEY))
def test_nothing_else_does(field: str) -> None:
    value = 7 if field == "grossSalaryAmount" else "7"
    assert is_same_order(replace(ORDER, **{field: value}), a_record())


@pytest.mark.parametrize(
    ("first", "again", "is_same"),
    [
        ("0901", "0901", True),
        ("0901", "0002", True),
        ("0002", "0901", True),
        ("0988", "0988", True),  # Refused as it named a third one; repeated as it was.
        ("0988", "0002", False),
        ("0002", "0988", False),
    ],
)
def test_a_directory_stands_for_the_entity_it_was_resolved_to(
    first: str, again: str, is_same: bool
) -> None:
    record = a_record(replace(ORDER, creditorParticipantCode=first), requested="0901", found="0002")
    assert is_same_order(replace(ORDER, creditorParticipantCode=again), record) is is_same


def test_the_key_is_scoped_to_the_sender() -> None:
    other = replace(ORDER, debtorParticipantCode="0988")
    assert order_key(ORDER) != order_key(other)
    assert order_key(ORDER) == order_key(replace(ORDER, trace="999999", messageTypeId="0201"))


QUERY_CONTENT: dict[str, Any] = {
    "debtorParticipantCode": "0988",
    "creditorParticipantCode": "0988",
    "creditorCCI": "97100220030040050114",
    "creditorCreditCard": "4111111111111111",
    "creditorMobileNumber": "900000299",
    "proxyValue": "00ff",
    "currency": "840",
    "transactionType": "325",
}


@pytest.mark.parametrize("field", AV1.__struct_fields__)
def test_a_query_is_what_it_asks_about(field: str) -> None:
    other = replace(QUERY, **{field: QUERY_CONTENT.get(field, "7")})
    assert (query_content(other) == query_content(QUERY)) is (field not in QUERY_CONTENT)


def test_an_order_is_read_back_as_it_was_written() -> None:
    record = replace(a_record(), answer=b"{}", reason="AC01", decided_ms=9)
    assert unpack_transfer(pack(record)) == record
    assert pack(Tombstone(instruction_id="x", creditor_agent="0971", created_ms=1))
