"""Entries: which positions each transfer moves, the debtor's own first."""

import pytest
from msgspec.structs import replace

from scheme.messages import CT1
from scheme.wire.tin_json import decode
from switch.core.entries import is_internal, legs, refused_entries, settler, transfer_entries
from switch.core.records import TransferRecord
from tests.support.switch_world import golden, tiered_fleet

MEMBERS = tiered_fleet()
MEMBERS["0972"] = replace(MEMBERS["0971"], code="0972", sponsor="0988")


@pytest.mark.parametrize(
    ("rail", "debtor", "creditor", "expected"),
    [
        ("on_us", "0970", "0970", ()),
        ("network", "0970", "0971", (("dale", "0970", "0971"),)),
        ("tin", "0002", "0988", (("national", "0002", "0988"),)),
        ("tin", "0970", "0002", (("dale", "0970", "0987"), ("national", "0987", "0002"))),
        ("tin", "0002", "0970", (("national", "0002", "0987"), ("dale", "0987", "0970"))),
        ("tin", "0970", "0987", (("dale", "0970", "0987"),)),
        ("tin", "0987", "0970", (("dale", "0987", "0970"),)),
        ("tin", "0970", "0971", (("dale", "0970", "0987"), ("dale", "0987", "0971"))),
        (
            "tin",
            "0970",
            "0972",
            (("dale", "0970", "0987"), ("national", "0987", "0988"), ("dale", "0988", "0972")),
        ),
        ("deferred", "0002", "0988", (("deferred", "0002", "0988"),)),
        ("deferred", "0970", "0002", (("sponsor", "0970", "0987"), ("deferred", "0987", "0002"))),
        ("deferred", "0970", "0971", (("sponsor", "0970", "0987"), ("sponsor", "0987", "0971"))),
        ("lbtr", "0002", "0988", ()),
        ("lbtr", "0970", "0972", (("sponsor", "0970", "0987"), ("sponsor", "0988", "0972"))),
    ],
)
def test_the_legs_of_each_rail(
    rail: str, debtor: str, creditor: str, expected: tuple[tuple[str, str, str], ...]
) -> None:
    assert legs(rail, MEMBERS[debtor], MEMBERS[creditor]) == expected


def test_a_network_is_inside_only_behind_one_sponsor() -> None:
    assert is_internal(MEMBERS["0970"], MEMBERS["0971"])
    assert not is_internal(MEMBERS["0970"], MEMBERS["0972"])
    assert not is_internal(MEMBERS["0970"], MEMBERS["0002"])


def a_record(**changes: object) -> TransferRecord:
    record = TransferRecord(
        ct1=decode(golden("CT1-by-cci"), CT1),
        instruction_id="2026011510161209704191000124",
        requested_creditor="0002",
        creditor_agent="0002",
        settlement_date="20260115",
        window="n-1",
        network_window="d-1",
        created_ms=1,
    )
    return replace(record, **changes)


def test_principal_and_fee_carry_the_window_of_their_ledger() -> None:
    entries = transfer_entries(a_record(), MEMBERS["0970"], MEMBERS["0002"])
    assert [(one.debit.ledger, one.kind, one.minor, one.window) for one in entries] == [
        ("dale", "principal", 12_500, "d-1"),
        ("dale", "interbank_fee", 80, "d-1"),
        ("national", "principal", 12_500, "n-1"),
        ("national", "interbank_fee", 80, "n-1"),
    ]


def test_a_transfer_without_fee_has_one_entry_a_leg() -> None:
    free = a_record(ct1=replace(a_record().ct1, feeAmount=0))
    assert len(transfer_entries(free, MEMBERS["0002"], MEMBERS["0988"])) == 1


def test_a_refused_order_counts_where_it_would_have_gone_if_there_is_such_a_position() -> None:
    bank, poor = MEMBERS["0002"], replace(MEMBERS["0988"], currencies=("USD",))
    assert refused_entries(a_record(), bank, MEMBERS["0988"])
    assert refused_entries(a_record(), bank, poor) == ()
    assert refused_entries(a_record(), bank, None) == ()


def test_a_coop_is_settled_for_by_its_sponsor() -> None:
    assert (settler(MEMBERS["0970"]), settler(MEMBERS["0002"])) == ("0987", "0002")
